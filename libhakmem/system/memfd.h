/* SPDX-License-Identifier: MIT */
/*
 * A sealed memfd and its descriptor. The program may take over the number at any time (closefrom,
 * dup2). So a number is used only after fstat said that it still leads to the memfd's inode. After
 * creation nothing but fstat and F_OFD_GETLK is called on it, because the number may change hands
 * directly after the fstat. Only a fork child, which has one thread, and a process that never had a
 * second thread may close it.
 *
 * Only the segment (share/) uses memfds, under HAK_LOCK_TUNE.
 */
#ifndef HAK_MEMFD_H
#define HAK_MEMFD_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "base/hak.h"

/* The headers of glibc 2.31 lack it. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct hak_memfd {
	int fd; /* -1: none is kept, or the program has taken the number */
	ino_t ino;
	dev_t dev;
};

/* Makes an empty memfd. Returns 0 or -errno. */
int hak_memfd_new(struct hak_memfd *m, const char *name);
/* Writes all bytes, or returns -errno. */
int hak_memfd_write(const struct hak_memfd *m, const void *p, size_t bytes, size_t offset);
/* Sets F_SEAL_SEAL, SHRINK, GROW and `more`. */
int hak_memfd_seal(const struct hak_memfd *m, int more);
/*
 * Moves the descriptor out of the program's way, once all work that needs the low number is done.
 * The number is final then, and -1 if no number from 256 to 999 is free below the soft limit.
 */
void hak_memfd_settle(struct hak_memfd *m);
/* The descriptor is not needed any more; the inode's number is kept. */
void hak_memfd_discard(struct hak_memfd *m);

void hak_memfd_close(struct hak_memfd *m); /* if the number still leads to the memfd */
/*
 * Returns whether another open description holds a write lock on this byte. The call only asks; it
 * never locks.
 */
bool hak_memfd_is_locked(struct hak_memfd *m, off_t byte);

/*
 * For a child that a seccomp filter may kill: makes every call that the segment makes, with the
 * arguments that a filter may look at. Returns 0 or -errno. The child shares the memory, so it
 * cleans up.
 */
int hak_memfd_probe(void);

#endif
