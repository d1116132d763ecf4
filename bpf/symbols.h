/* SPDX-License-Identifier: MIT */
/*
 * From addresses of a process to functions: its mapped files are noted while it runs, so that
 * stacks can be unwound and named after it has ended. Unwinding works on copies of registers and
 * stack, by the call frame information that every program has, frame pointers or not; what the copy
 * does not reach is cut.
 *
 * For: hakmemctl. Paths and names are those of strangers: whoever prints them escapes them. Files
 * are opened in the process's own root, so that containers are seen as they see themselves.
 */
#ifndef HAK_BPF_SYMBOLS_H
#define HAK_BPF_SYMBOLS_H

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/space.h"

#define HAK_FRAMES_MAX 48

struct hak_symbols;

/* What is known of one address; strings live as long as the symbols. */
struct hak_symbol {
	uint64_t address;
	const char *function;	/* as the file has it; NULL: unknown */
	uint64_t offset;	/* into the function, or into the module without one */
	const char *module;	/* path; NULL: no mapped file */
	uint64_t module_offset; /* as build id and file have it */
	unsigned char build_id[32];
	size_t build_id_bytes; /* 0: none */
	const char *source;    /* NULL: unknown */
	int line;
};

/* Notes the mapped files of a process. 0, -ESRCH, -EACCES, -ENOMEM, other. */
int hak_symbols_open(pid_t pid, struct hak_symbols **ret);
void hak_symbols_close(struct hak_symbols *s);

/* Again, for files mapped since; -EBUSY: it was done too often. */
int hak_symbols_refresh(struct hak_symbols *s);

/* Whether the address lies in a file that was noted. */
int hak_symbols_covers(const struct hak_symbols *s, uint64_t address);

/* A number for the place in the file, wherever that is mapped; 0: no mapped file. */
uint64_t hak_symbols_place(const struct hak_symbols *s, uint64_t address);

/* Addresses of the callers, innermost first, the first being where the copy was taken; how many. */
size_t hak_symbols_unwind(struct hak_symbols *s, const struct hak_site_event *site,
			  uint64_t ret[HAK_FRAMES_MAX]);

/* `address` as hak_symbols_unwind() gives it: within the call, not behind it. */
void hak_symbols_find(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret);
/* The same without function and source, which takes no time to speak of: how long these are looked
 * for, the process's files decide. */
void hak_symbols_locate(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret);

/* Removed files that were not looked for where they are mapped: too many of them. */
unsigned hak_symbols_left_out(const struct hak_symbols *s);

/* A function's name for people: without the version that it has in a library, C++ as it is written
 * where this build can tell. Names that would be too long then stay as they are. */
void hak_symbols_spell(const char *function, char *out, size_t bytes);

#endif
