/* SPDX-License-Identifier: MIT */
/*
 * How many blocks a bin may have: its limit, which grows while the bin misses and shrinks while it
 * is not used, and its room, which free counts down. By the thread that runs the cache.
 */
#ifndef HAK_BIN_H
#define HAK_BIN_H

#include "heap/heap.h"

/* A bin has no room left: make some. */
void hak_cache_trip(struct hak_cache *c, unsigned int cls);
/* A freed run for which the budget has no room: to its extent, counted as if it had been cached. */
void hak_cache_pass_run(struct hak_cache *c, unsigned int cls, void *p);
void hak_cache_reset_limits(struct hak_cache *c);
/*
 * While allocations are sampled: makes the bin so short, and its room so little, that the malloc to
 * be sampled next finds it empty.
 */
void hak_cache_bound(struct hak_cache *c, unsigned int cls);
void hak_cache_bound_all(struct hak_cache *c);
/* The first block of a bin is not as it was freed: says so and empties the bin. */
void hak_cache_broken(struct hak_cache *c, unsigned int cls);

/* ---- for refill.c and cache.c ---- */

/* The blocks that one list of a bin may have, and to begin with. */
uint32_t hak_bin_limit(const struct hak_heap_class *hc, unsigned int cls);
uint32_t hak_bin_first_limit(unsigned int cls);
/* Room for a bin of n blocks. */
void hak_bin_arm(struct hak_cache *c, unsigned int cls, uint32_t n, uint32_t limit);
void hak_bin_shrink(struct hak_cache *c, unsigned int cls);
/* Keeps the newest `keep` runs of the bin. */
void hak_bin_trim_runs(struct hak_cache *c, unsigned int cls, uint32_t keep);

#endif
