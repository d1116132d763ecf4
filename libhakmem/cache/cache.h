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

#endif
