/* SPDX-License-Identifier: MIT */
/*
 * A thread cache as a whole. The structures are in heap.h; refill.h, bin.h and flush.h have the
 * slow paths of single bins. By the thread that runs the cache.
 */
#ifndef HAK_CACHE_H
#define HAK_CACHE_H

#include "heap/heap.h"

/*
 * Everything back to slabs and extents; empty slabs released; what strangers gave back collected.
 */
void hak_cache_flush(struct hak_cache *c);
/* Shrinks lists that have not missed for a while. */
void hak_cache_decay(struct hak_cache *c, uint64_t now_ms);

#endif
