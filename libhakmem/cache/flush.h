/* SPDX-License-Identifier: MIT */
/*
 * Giving lists of free blocks back. Blocks of the heap's own slabs go to these slabs, other blocks
 * in batches to the remote word of their slab, runs to their extent. Only the thread that runs the
 * cache calls these.
 */
#ifndef HAK_FLUSH_H
#define HAK_FLUSH_H

#include "heap/heap.h"

/* Begins a flush, of one list or of both lists of a class. */
void hak_flush_begin(struct hak_cache *c);
#define HAK_SPARSE_MANY \
	32u /* nearly empty slabs that one flush met: the program frees what it had */
/*
 * Gives a list of n blocks back, neighbours of one slab together. A block that was freed twice
 * makes the list a circle, and a block written after it was freed lacks its key; the rest of the
 * list is then lost.
 */
void hak_flush_list(struct hak_cache *c, unsigned int cls, void *p, uint32_t n);
/* Gives a list of runs back, which has `all` runs by the counters. Returns how many went. */
uint32_t hak_flush_runs(struct hak_cache *c, unsigned int cls, void *p, uint32_t all);
/* Gives the buffered blocks of other heaps to their slabs. */
void hak_cache_flush_remote(struct hak_cache *c);

#endif
