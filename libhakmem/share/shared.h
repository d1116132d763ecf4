/* SPDX-License-Identifier: MIT */
/*
 * Mappings of the memfds: shared ones, and the private ones that replace them. The system calls are
 * raw and not counted, because their number belongs to the segment and not to the allocator.
 */
#ifndef HAK_SHARED_H
#define HAK_SHARED_H

#include "base/hak.h"

/* Returns whether a system call's result is an error. */
static inline bool hak_shared_failed(long r)
{
	return r < 0 && r > -4096;
}

/* Maps over `at` if `at` is not NULL. Returns NULL if refused. */
void *hak_shared_map(void *at, size_t bytes, int prot, int fd, size_t offset);
/* Maps private zeros over the range. Returns 0 or -errno. */
int hak_shared_cover(void *at, size_t bytes, int prot);
/*
 * Gives the pages of a shared mapping memory, or returns an error where a touch would cause SIGBUS.
 */
int hak_shared_populate(void *p, size_t bytes);
/* Makes pages private, with their content. No other thread may write to them meanwhile. */
int hak_shared_copy(void *at, size_t bytes);
/* Does the same, with the content of the first `part` of each `stride` bytes; zeros elsewhere. */
int hak_shared_copy_parts(void *at, size_t bytes, size_t stride, size_t part);
/*
 * Makes pages private that hold nothing but counters of 8 bytes, to which other threads go on
 * adding by atomics: no count is lost. Meanwhile a reader finds them too low.
 */
int hak_shared_recount(uint64_t *at, size_t bytes);

#endif
