/* SPDX-License-Identifier: MIT */
/*
 * Giving lists of free blocks back. Blocks of the heap's own slabs go to these slabs, other blocks
 * in batches to the remote word of their slab, runs to their extent. Only the thread that runs the
 * cache calls these.
 */
#ifndef HAK_FLUSH_H
#define HAK_FLUSH_H

#include "heap/holes.h"
#include "heap/takeover.h"
#include "page/epoch.h"

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
/*
 * Gives one block of the class, which free was called with, to its slab, if the slab is the heap's
 * own. Returns false if it is not, or if the block cannot be one.
 */
bool hak_flush_own(struct hak_cache *c, unsigned int cls, void *p);
/*
 * The same within a fast path of free that found no room, where there is nothing to be decided: the
 * bin is long enough, or the class is in direct mode (bin.c), and the slab keeps its state. Returns
 * false otherwise, and each time that HAK_DIRECT_MOST blocks went this way: then free looks at
 * requests and the clock. The key, of which the fast path takes no notice, is read here, because
 * the block is in no list whose flush would read it.
 */
static inline bool hak_flush_direct(struct hak_cache *c, size_t cls, void **p)
{
	struct hak_bin *b = &c->bin[cls];
	uint32_t inverse = hak_fast_inverse(b);
	uint64_t index = (uint64_t)(uint16_t)(uintptr_t)p * inverse; /* and 32 bits: class.h */
	uint8_t *leaf;
	struct hak_heap_class *hc;
	struct hak_slice *g;
	struct hak_slab *s;

	if (b->room >= -1 || b->room < -HAK_DIRECT_MOST || (uint32_t)index >= inverse)
		return false;
	hc = &c->heap->cls[cls];
	if (!hc->direct && (!hc->limit || hak_bin_length(c, (unsigned int)cls) < hc->limit))
		return false;
	leaf = hak_slice_leaf(p);
	g = (struct hak_slice *)(leaf + HAK_LEAF_TAGS);
	s = (struct hak_slab *)(leaf + HAK_LEAF_SLABS) + hak_slice_index(p);
	/* acquire: as hak_slab_owner() */
	if (atomic_load_explicit(&g[hak_slice_index(p)].word, memory_order_acquire) != c)
		return false;
	hak_assert(s == hak_slab_of(p));
	if (s->state == HAK_SLAB_FULL || s->used <= 1 || s->holes || index >> 32 >= s->carved ||
	    hak_unlikely(hak_key_is_free(p)))
		return false;
	hak_heap_busy(c);
	p[0] = s->free;
	__atomic_store_n(&p[1], (void *)hak_key_of(p, 0), __ATOMIC_RELAXED);
	s->free = p;
	hak_stop("free.direct_half");
	s->nfree++;
	s->used--;
	if (hak_unlikely(s->trimmed || s->epoch != (uint8_t)hak_purge_epoch()))
		hak_slab_came_back(s, hak_purge_epoch());
	hak_counters(c)->hot[cls].frees++;
	hak_class_count_n(c, FLUSHED, cls, 1);
	hc->base--;
	hak_heap_idle(c);
	return true;
}

/* Gives a list of runs back, which has `all` runs by the counters. Returns how many went. */
uint32_t hak_flush_runs(struct hak_cache *c, unsigned int cls, void *p, uint32_t all);
/* Gives the buffered blocks of other heaps to their slabs. */
void hak_cache_flush_remote(struct hak_cache *c);

#endif
