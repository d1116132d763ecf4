/* SPDX-License-Identifier: MIT */
/*
 * A thread cache as a whole. heap.h declares the structures; refill.h, bin.h and flush.h have the
 * slow paths of single bins. Only the thread that runs the cache calls these.
 */
#ifndef HAK_CACHE_H
#define HAK_CACHE_H

#include "heap/heap.h"

/* Gives all blocks back to slabs and extents, releases empty slabs, and collects remote blocks. */
void hak_cache_flush(struct hak_cache *c);
/* Shrinks lists that have not missed for a while. */
void hak_cache_decay(struct hak_cache *c, uint64_t now_ms);

/*
 * The rules of heap.h for a cache, its heap, each of its bins and lists of slabs. By the thread
 * that runs the cache, outside of its other functions, or with all threads stopped there.
 */
#if HAK_DEBUG
void hak_cache_check(struct hak_cache *c);
#else
static inline void hak_cache_check(struct hak_cache *c)
{
	(void)c;
}
#endif

#endif
