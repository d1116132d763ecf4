/* SPDX-License-Identifier: MIT */
/*
 * Whales: blocks of 1 MiB and more, and those aligned to more than half an extent: each a region of
 * its own (rcache.h), fresh or kept.
 */
#ifndef HAK_WHALE_H
#define HAK_WHALE_H

#include "base/hak.h"
#include "page/rcache.h"

struct hak_cache;

/*
 * A block of at least `bytes`, aligned. *ret_zero: reads as zeros. NULL: no memory. `f` is the
 * hot region of the thread that runs the cache.
 */
void *hak_whale_alloc(struct hak_cache *c, struct hak_hot *f, size_t bytes, size_t align,
		      bool *ret_zero);
void hak_whale_free(struct hak_cache *c, struct hak_hot *f, struct hak_region *r);
/*
 * The block resized, moved by remapping if need be; NULL: copy, or no memory (the block is as it
 * was).
 */
void *hak_whale_resize(struct hak_cache *c, struct hak_region *r, size_t bytes);

#endif
