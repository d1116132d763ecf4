/* SPDX-License-Identifier: MIT */
/*
 * Which program a process runs, to notice that it executes another one.
 *
 * The kernel reports an exec only to processes with further privileges, and neither the executable
 * nor the start time need change. But an open /proc/PID/pagemap belongs to the memory of the
 * program that ran when the file was opened. One system call, which touches nothing of the process,
 * shows whether this memory still exists. Where the file cannot be opened, the identity of the
 * executable is compared.
 *
 * The file must not be opened between vfork and exec, when the memory is still the parent's.
 */
#ifndef HAK_PROGRAM_H
#define HAK_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

struct hak_program {
	int fd;	      /* of pagemap; -1: not open */
	uint32_t exe; /* a digest of the executable's identity; 0: unknown */
};

#define HAK_PROGRAM_NONE ((struct hak_program){ .fd = -1 })

/* Opens the program of the process whose folder is `process`, relative to `dir`. Half of the
 * descriptors that the daemon may have stay free for other uses. Returns 0, or -ENOENT if there is
 * no such process. */
int hak_program_open(int dir, const char *process, struct hak_program *ret);
void hak_program_close(struct hak_program *program);
/* With a descriptor: false when the process executed another program, or ended. */
bool hak_program_runs(const struct hak_program *program);
/* Without a descriptor: whether the executable is the same. */
bool hak_program_same_exe(int dir, const char *process, const struct hak_program *program);

#endif
