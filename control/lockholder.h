/* SPDX-License-Identifier: MIT */
/*
 * Who holds a lock on a file: for the message of a command that was refused one. The kernel tells
 * no pid for OFD locks, so the descriptors of the processes we may look at are searched for one of
 * that file which says it has the lock. Slow, by design used only when a command has already
 * failed.
 */
#ifndef HAK_LOCKHOLDER_H
#define HAK_LOCKHOLDER_H

#include <stddef.h>

/* "process 123 (name)" in `out`, escaped; 0, or -ENOENT if nobody could be found. */
int hak_lock_holder(int fd, unsigned byte, char *out, size_t bytes);

#endif
