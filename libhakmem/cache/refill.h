/* SPDX-License-Identifier: MIT */
/*
 * Filling an empty bin: from the spare list, from what other threads gave back, from the heap's
 * slabs, from the pool, from the slabs of a heap without a thread, or from a new slab.
 */
#ifndef HAK_REFILL_H
#define HAK_REFILL_H

#include "heap/heap.h"

/*
 * A block of the class for a bin found empty; NULL: no memory. `size` is what was asked, for the
 * sample.
 */
void *hak_cache_refill(struct hak_cache *c, unsigned int cls, size_t size);

#endif
