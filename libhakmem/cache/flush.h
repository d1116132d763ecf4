/* SPDX-License-Identifier: MIT */
/*
 * Giving lists of free blocks back: blocks of the heap's own slabs to these, others in batches to
 * the remote word of their slab, runs to their extent. By the thread that runs the cache.
 */
#ifndef HAK_FLUSH_H
#define HAK_FLUSH_H

#include "heap/heap.h"

/* A flush begins: of one list, or of both of a class. */
void hak_flush_begin(struct hak_cache *c);
/*
 * A list of n blocks goes back, neighbours of one slab together. A block that was freed twice makes
 * it a circle, one written after it was freed lacks its key: then the rest is lost.
 */
void hak_flush_list(struct hak_cache *c, unsigned int cls, void *p, uint32_t n);
/* A list of runs, `all` by the counters, goes back. Returns how many went. */
uint32_t hak_flush_runs(struct hak_cache *c, unsigned int cls, void *p, uint32_t all);
/* What lies in the buffer for other heaps' blocks goes to their slabs. */
void hak_cache_flush_remote(struct hak_cache *c);

#endif
