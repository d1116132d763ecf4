/* SPDX-License-Identifier: MIT */
/*
 * Small files of /proc, read whole and as text, through a descriptor of the folder that holds them:
 * /proc/PID keeps to one process, whatever becomes of its pid. Not for lists such as maps or
 * mountinfo, which the kernel gives out in pieces. No state.
 *
 * For: control/, hakmemctl, hakmemd.
 */
#ifndef HAK_PROC_H
#define HAK_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/value.h"

/*
 * Whether /proc can be relied on: 0; or, with a sentence, -ENODEV where none is mounted, or one of
 * another PID namespace, whose numbers are those of other processes.
 */
int hak_proc_check(char why[HAK_WHY_TEXT]);

/* The file's first bytes as a string; how many, or -errno and an empty string. */
ssize_t hak_proc_read(int dir, const char *name, char *buf, size_t bytes);

/* The same of /proc/PID/comm, raw, without the line end that the kernel adds: a name may hold
 * others. */
ssize_t hak_proc_read_comm(int dir, const char *name, char *buf, size_t bytes);

/*
 * A number in the text of /proc/PID/stat by its place, from 4 on (proc(5)). 0; -EIO: there is none.
 */
int hak_proc_field(const char *stat, unsigned field, uint64_t *ret);

/* The effective user in the text of /proc/PID/status. 0; -EIO: there is none. */
int hak_proc_euid(const char *status, uid_t *ret);

/* The letter that ps shows; 0 if unknown. */
char hak_proc_state(const char *stat);

/* Enough for the text of /proc/PID/stat. */
#define HAK_STAT_BYTES 1024

#endif
