/* SPDX-License-Identifier: MIT */
/*
 * Which program a process runs, to notice that it executes another.
 *
 * The kernel tells nobody of that without further privileges, and neither the executable nor the
 * start time need change. But an open /proc/PID/pagemap belongs to the memory of the program that
 * ran when it was opened, and one system call, which touches nothing of the process's, tells
 * whether that is still there. Where it cannot be opened, the executable's identity has to do.
 *
 * Not to be opened between vfork and exec, when the memory is still the parent's.
 */
#ifndef HAK_PROGRAM_H
#define HAK_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct hak_program {
	int fd;	      /* of pagemap; -1: none is open */
	uint32_t exe; /* a digest of its executable's identity; 0: unknown */
};

#define HAK_PROGRAM_NONE ((struct hak_program){ .fd = -1 })

/* Of the process whose folder is `process`, as seen from `dir`. Half of the descriptors that we may
 * have stay free of these. 0, or -ENOENT if there is no such process. */
int hak_program_open(int dir, const char *process, struct hak_program *ret);
void hak_program_close(struct hak_program *program);
/* Of one with a descriptor: false when another was executed, or the process ended. */
bool hak_program_runs(const struct hak_program *program);
/* Of one without: whether the executable is the same. */
bool hak_program_same_exe(int dir, const char *process, const struct hak_program *program);

#endif
