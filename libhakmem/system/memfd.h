/* SPDX-License-Identifier: MIT */
/*
 * A sealed memfd of ours and its descriptor, which belongs to the program as soon as that says so
 * (closefrom, dup2): nothing is done with a number before fstat said that it still leads to our
 * inode, and after creation nothing is done but fstat and F_OFD_GETLK, since the number may change
 * hands right behind the fstat. Only a fork child, which is alone, and a process that never had a
 * second thread may close.
 *
 * Used by segment.c alone, under HAK_LOCK_TUNE.
 */
#ifndef HAK_MEMFD_H
#define HAK_MEMFD_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "base/hak.h"

/* Not known to the headers of glibc 2.31. */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct hak_memfd {
	int fd; /* -1: none is kept, or it is the program's by now */
	ino_t ino;
	dev_t dev;
};

/* An empty memfd. 0 or -errno. */
int hak_memfd_new(struct hak_memfd *m, const char *name);
/* All of it, or -errno. */
int hak_memfd_write(const struct hak_memfd *m, const void *p, size_t bytes, size_t offset);
/* F_SEAL_SEAL, SHRINK, GROW and `more`. */
int hak_memfd_seal(const struct hak_memfd *m, int more);
/*
 * Out of the program's way, once all that needs the low number is done; the number is final then.
 * -1 where no number from 256 to 999 is free below the soft limit.
 */
void hak_memfd_settle(struct hak_memfd *m);
/* The descriptor is not needed any more; the inode's number is kept. */
void hak_memfd_discard(struct hak_memfd *m);

void hak_memfd_close(struct hak_memfd *m); /* if it is ours */
/* Whether somebody else's open description holds a write lock on this byte; asks, never locks. */
bool hak_memfd_is_locked(struct hak_memfd *m, off_t byte);

/*
 * In a child that a seccomp filter may kill: makes every call, with the arguments that count, of
 * which the segment makes any. 0 or -errno. The child shares our memory, so it cleans up there.
 */
int hak_memfd_probe(void);

#endif
