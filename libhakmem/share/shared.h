/* SPDX-License-Identifier: MIT */
/*
 * Mappings of the memfds: shared ones, and the private ones that replace them. Raw system calls,
 * which are not counted: their number belongs to the segment and not to the allocator.
 */
#ifndef HAK_SHARED_H
#define HAK_SHARED_H

#include "base/hak.h"

/* A system call's result that is an error. */
static inline bool hak_shared_failed(long r)
{
	return r < 0 && r > -4096;
}

/* Over `at` if that is not NULL. NULL: refused. */
void *hak_shared_map(void *at, size_t bytes, int prot, int fd, size_t offset);
/* Private zeroes over whatever is mapped there. 0 or -errno. */
int hak_shared_cover(void *at, size_t bytes, int prot);
/*
 * Gives the pages of a shared mapping memory, or says why not; a touch would answer SIGBUS instead.
 */
int hak_shared_populate(void *p, size_t bytes);
/* Pages become private, with what they hold. No other thread may write there meanwhile. */
int hak_shared_copy(void *at, size_t bytes);

#endif
