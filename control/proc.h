/* SPDX-License-Identifier: MIT */
/*
 * Small files of /proc, read whole and as text, through a descriptor of the folder that holds them:
 * such a descriptor stays with one process even if its pid is reused. Not for lists such as maps or
 * mountinfo, which the kernel gives out in pieces. No state.
 *
 * For control/, hakmemctl and hakmemd.
 */
#ifndef HAK_PROC_H
#define HAK_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/value.h"

/*
 * Returns 0 if /proc can be relied on. Returns -ENODEV, with a sentence, where none is mounted, or
 * one of another PID namespace, whose numbers are those of other processes.
 */
int hak_proc_check(char why[HAK_WHY_TEXT]);

/* Reads the file's first bytes as a string. Returns their number, or -errno and an empty string. */
ssize_t hak_proc_read(int dir, const char *name, char *buf, size_t bytes);

/* Reads /proc/PID/comm, raw, without the line end that the kernel adds. A name may hold others. */
ssize_t hak_proc_read_comm(int dir, const char *name, char *buf, size_t bytes);

/*
 * Reads a number in the text of /proc/PID/stat by its place, from 4 on (proc(5)). Returns 0, or
 * -EIO if there is none.
 */
int hak_proc_field(const char *stat, unsigned field, uint64_t *ret);

/* Room for the text of /proc/PID/status of a process with more than a thousand groups. */
#define HAK_PROC_STATUS_BYTES 16384u

/*
 * Returns what follows `key`, such as "\nUid:", in the text of /proc/PID/status; NULL unless the
 * whole line is there.
 */
const char *hak_proc_status(const char *status, const char *key);
/* Stores the pid in the process's own namespace, the last one of NSpid, if that line is there. */
bool hak_proc_own_pid(const char *status, uint32_t *ret);

/* Reads the effective user in the text of /proc/PID/status. Returns 0, or -EIO if there is none. */
int hak_proc_euid(const char *status, uid_t *ret);

/* Returns the letter that ps shows; 0 if unknown. */
char hak_proc_state(const char *stat);

/* Enough room for the text of /proc/PID/stat. */
#define HAK_STAT_BYTES 1024

#endif
