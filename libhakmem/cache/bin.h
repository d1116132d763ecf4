/* SPDX-License-Identifier: MIT */
/*
 * The number of blocks that a bin may have. Its limit grows when a longer bin would have spared
 * refills, and shrinks while the bin is unused; its room is counted down by free. Only the thread
 * that runs the cache calls these.
 */
#ifndef HAK_BIN_H
#define HAK_BIN_H

#include "heap/heap.h"

/*
 * Makes room in a bin that has none left for p. Returns true if p, a block of a slab, went to its
 * slab instead.
 */
bool hak_cache_trip(struct hak_cache *c, unsigned int cls, void *p);
/*
 * Gives a freed run for which the budget has no room to its extent, and counts it as if it had been
 * cached.
 */
void hak_cache_pass_run(struct hak_cache *c, unsigned int cls, void *p);
/*
 * Makes a run in use one for `size` bytes, where it is, and counts that as a free and an
 * allocation. Returns false if hak_run_resize() does. `size` is above HAK_SLAB_MAX and below
 * HAK_WHALE_MIN.
 */
bool hak_cache_resize_run(struct hak_cache *c, void *p, size_t size);
/* Sets all limits to the first ones, and the budget to the value in force. */
void hak_cache_reset_limits(struct hak_cache *c);
/* The bytes of the budget by which the lists of slab classes have grown. */
uint64_t hak_cache_grown_bytes(const struct hak_heap *h);
/*
 * While allocations are sampled, makes the bin and its room so small that the malloc to be sampled
 * next finds the bin empty.
 */
void hak_cache_bound(struct hak_cache *c, unsigned int cls);
void hak_cache_bound_all(struct hak_cache *c);
/* Reports that the first block of a bin is not as it was freed, and empties the bin. */
void hak_cache_broken(struct hak_cache *c, unsigned int cls);

/*
 * The rules of one bin (heap.h): room, limit, the length and the class of the blocks in both lists,
 * as far as the program did not write to them after it freed them. And of the budget. By the
 * thread that runs the cache, or with all threads stopped.
 */
#if HAK_DEBUG
void hak_bin_check(struct hak_cache *c, unsigned int cls);
void hak_budget_check(struct hak_cache *c);
#else
static inline void hak_bin_check(struct hak_cache *c, unsigned int cls)
{
	(void)c, (void)cls;
}

static inline void hak_budget_check(struct hak_cache *c)
{
	(void)c;
}
#endif

/* ---- for refill.c and cache.c ---- */

/*
 * Returns how many blocks both lists of a bin may have together; a class without a limit yet has
 * its first one.
 */
uint32_t hak_bin_limit(const struct hak_heap_class *hc, unsigned int cls);
uint32_t hak_bin_first_limit(unsigned int cls);
/* Sets the room of a bin of n blocks. */
void hak_bin_arm(struct hak_cache *c, unsigned int cls, uint32_t n, uint32_t limit);
/*
 * Ends direct mode, and sets the limit by the number of blocks that went past the bin. Before the
 * bin is refilled from slabs.
 */
void hak_bin_refilled(struct hak_cache *c, unsigned int cls);
void hak_bin_shrink(struct hak_cache *c, unsigned int cls);
/* Keeps the newest `keep` runs of the bin. */
void hak_bin_trim_runs(struct hak_cache *c, unsigned int cls, uint32_t keep);

#endif
