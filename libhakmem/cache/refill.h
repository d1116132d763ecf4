/* SPDX-License-Identifier: MIT */
/*
 * Fills an empty bin: from the spare list, from remote blocks, from the heap's slabs, from the
 * pool, from the slabs of a dead heap, or from a new slab.
 */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "heap/heap.h"

/*
 * Returns a block of the class for a bin found empty; NULL: no memory. `size` is the requested
 * size, for sampling.
 */
void *hak_cache_refill(struct hak_cache *c, unsigned int cls, size_t size);

#endif
