/* SPDX-License-Identifier: MIT */
/*
 * Finds the holder of a lock on a file, for the message of a command that was refused the lock. The
 * kernel tells no pid for OFD locks, so this searches the descriptors of the processes that it may
 * look at for one of that file that has the lock. It is slow, and used only when a command has
 * already failed.
 */
#ifndef HAK_LOCKHOLDER_H
#define HAK_LOCKHOLDER_H

#include <stddef.h>

/* Stores "process 123 (name)" in `out`, escaped. Returns 0, or -ENOENT if no holder was found. */
int hak_lock_holder(int fd, unsigned byte, char *out, size_t bytes);

#endif
