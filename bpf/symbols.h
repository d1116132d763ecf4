/* SPDX-License-Identifier: MIT */
/*
 * From addresses of a process to functions. The mapped files are noted while the process runs, so
 * that stacks can be unwound and named after its end. Unwinding works on copies of registers and
 * stack, by the call frame information that every program has, with or without frame pointers.
 * Frames beyond the copy are cut. Code that is in no file has the names of perfmap.h.
 *
 * For hakmemctl. Paths and names are untrusted and raw; code that prints them escapes them. Files
 * are opened in the process's own root, so that the files of a container are those that it sees.
 */
#ifndef HAK_BPF_SYMBOLS_H
#define HAK_BPF_SYMBOLS_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/space.h"
#include "control/value.h"

#define HAK_FRAMES_MAX 48

struct hak_symbols;

/* What is known of one address. The strings live as long as the symbols. */
struct hak_symbol {
	uint64_t address;
	const char *function;	/* as in the file; NULL: unknown */
	bool plain;		/* `function` is for people as it is, not for hak_symbols_spell() */
	uint64_t offset;	/* into the function, or into the module without one */
	const char *module;	/* path; NULL: no mapped file */
	uint64_t module_offset; /* as build id and file have it */
	unsigned char build_id[32];
	size_t build_id_bytes; /* 0: none */
	const char *source;    /* NULL: unknown */
	int line;
};

/* Notes the mapped files of a process. Returns 0, -ESRCH, -EACCES, -ENOMEM, other. */
int hak_symbols_open(pid_t pid, struct hak_symbols **ret);
void hak_symbols_close(struct hak_symbols *s);

/* Does the same again, for files mapped since. Returns -EBUSY if it was done too often. */
int hak_symbols_refresh(struct hak_symbols *s);

/* Returns whether the address lies in a file that was noted. */
int hak_symbols_covers(const struct hak_symbols *s, uint64_t address);

/* Returns a number for the place in the file, independent of its mapping; 0: no mapped file. */
uint64_t hak_symbols_place(const struct hak_symbols *s, uint64_t address);

/*
 * Stores the addresses of the callers, innermost first; the first is where the copy was taken.
 * Returns how many.
 */
size_t hak_symbols_unwind(struct hak_symbols *s, const struct hak_site_event *site,
			  uint64_t ret[HAK_FRAMES_MAX]);

/* `address` is one of hak_symbols_unwind()'s: within the call, not behind it. */
void hak_symbols_find(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret);
/* Does the same without function and source, in negligible time. The process's files decide how
 * long a search for these takes. */
void hak_symbols_locate(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret);

/*
 * Returns the number of removed files that were not searched for in the mappings: there were too
 * many.
 */
unsigned hak_symbols_left_out(const struct hak_symbols *s);

/*
 * Returns whether code that the process makes (JIT) was asked for and has no name, and then stores
 * the file that should have it and the reason.
 */
bool hak_symbols_missing(const struct hak_symbols *s, char why[HAK_WHY_TEXT]);
#define HAK_SYMBOLS_MISSING "names of code that the process makes (JIT)"

/* Writes a function's name for people: without the version that it has in a library, and as C++
 * source if this build can demangle. Names that would become too long stay unchanged. */
void hak_symbols_spell(const char *function, char *out, size_t bytes);

#endif
