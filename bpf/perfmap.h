/* SPDX-License-Identifier: MIT */
/*
 * Names of code that a process makes itself (JIT): /tmp/perf-PID.map, which compilers of Java,
 * JavaScript, .NET and Python write for perf(1). PID is the number of the process in its own PID
 * namespace, and the file is looked up below its own root.
 *
 * For symbols.c. The process chooses the whole text. The file is read once, when a name is first
 * wanted, and must be a regular file with one name, owned by the process's user or root. Bytes,
 * lines and names are bounded. Names are raw; code that prints them escapes them.
 */
#ifndef HAK_BPF_PERFMAP_H
#define HAK_BPF_PERFMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/value.h"

#define HAK_PERFMAP_BYTES (64u << 20)
#define HAK_PERFMAP_LINES (1u << 20)
#define HAK_PERFMAP_NAME  1023u /* longer names are cut */

/* The addresses from start up to end, which is greater. */
struct hak_perfmap_range {
	uint64_t start, end;
	const char *name;
};

/* What a file says: ranges in order of address, of which no two overlap. */
struct hak_perfmap_names {
	char *text; /* the names are in it */
	struct hak_perfmap_range *range;
	size_t n;
	size_t strange; /* lines that name no range */
	bool cut;	/* the file has more bytes or lines than are read */
};

/*
 * Takes the text over, which has room for a zero byte behind its `bytes`. Where lines overlap, the
 * later line counts, because a compiler writes a line when it has made the code. Returns 0 or
 * -ENOMEM.
 */
int hak_perfmap_parse(char *text, size_t bytes, struct hak_perfmap_names *ret);
void hak_perfmap_names_free(struct hak_perfmap_names *names);

struct hak_perfmap;

/* Opens the root of the process. Returns NULL if the process is gone or there is no memory. */
struct hak_perfmap *hak_perfmap_open(pid_t pid);
void hak_perfmap_close(struct hak_perfmap *m);

/*
 * Notes, while the process runs, whether the address is in executable memory without a program
 * file, and opens the file of names if so. It can be read then after the end of the process.
 */
void hak_perfmap_meet(struct hak_perfmap *m, uint64_t address);

/* Returns the range that holds the address, which lives as long as `m`; NULL: it has no name. */
const struct hak_perfmap_range *hak_perfmap_find(struct hak_perfmap *m, uint64_t address);

/*
 * Returns whether hak_perfmap_find() had no name for an address that hak_perfmap_meet() noted, and
 * then stores the file's name and the reason.
 */
bool hak_perfmap_missing(const struct hak_perfmap *m, char why[HAK_WHY_TEXT]);

#endif
