/* SPDX-License-Identifier: MIT */
/*
 * Whales: blocks of 1 MiB and more, and blocks aligned to more than half an extent. Each is a
 * region of its own (rcache.h), fresh or kept.
 */
#ifndef HAK_WHALE_H
#define HAK_WHALE_H

#include "base/hak.h"
#include "page/rcache.h"

struct hak_cache;

/*
 * Returns a block of at least `bytes`, aligned; NULL: no memory. *ret_zero: the block reads as
 * zeros. `f` is the hot region of the thread that runs the cache.
 */
void *hak_whale_alloc(struct hak_cache *c, struct hak_hot *f, size_t bytes, size_t align,
		      bool *ret_zero);
void hak_whale_free(struct hak_cache *c, struct hak_hot *f, struct hak_region *r);
/*
 * Returns the block resized, moved by remapping if necessary; NULL: the caller has to copy, or no
 * memory (the block is unchanged).
 */
void *hak_whale_resize(struct hak_cache *c, struct hak_region *r, size_t bytes);

#endif
