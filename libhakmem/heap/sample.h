/* SPDX-License-Identifier: MIT */
/*
 * Sampled allocations, for profilers: profile.sample_bytes (0: off) is the mean distance, in
 * allocated bytes, between two points strewn over all that a thread allocates; each block on which
 * points fall is sampled. The distances are drawn from an exponential distribution, so that points
 * fall independently of each other and of the program's habits: a block of s usable bytes is hit by
 * s / sample_bytes points on the average, and its weight, points * sample_bytes, is an unbiased
 * estimate of the bytes of all blocks like it. Sums of weights are so too, of what was allocated
 * and of what is in use, with a variance of at most sample_bytes times the sum.
 *
 * Cost. The fast paths know nothing of it. A class's blocks are all of one size, so the distance
 * to the next point is a number of mallocs: `due` is the value class.allocs will have with the
 * block that is hit. While sampling is on, a bin is kept so short that its blocks and the frees it
 * has room for together are no more than the mallocs until then (hak_cache_bound): the malloc that
 * is due finds the bin empty, and comes here. Each time half of the way is allowed, so a sample
 * costs a logarithm of slow paths. Runs and whales always pass a slow path; there bytes are
 * counted down.
 *
 * A sampled block of a slab's class is not taken from a slab but is a run of whole pages (run.h),
 * of the same usable size: free does not find a slab's tag there and takes its slow path, where a
 * run of a slab's class can only be a sampled one. Sampled runs are marked in extent.start[],
 * sampled whales in their region.
 *
 * struct hak_sample belongs to the thread that runs the heap. The random numbers begin with the
 * heap's index: a program that does the same has the same blocks sampled.
 */
#ifndef HAK_SAMPLE_H
#define HAK_SAMPLE_H

#include "heap.h"

/* A cache begins: the value in force, new distances. Bins may have to be bound afterwards. */
void hak_sample_begin(struct hak_cache *c);
/* The same if profile.sample_bytes has changed. */
void hak_sample_tune(struct hak_cache *c);
/* In a fork child: other numbers than the parent's. Bins have to be bound afterwards. */
void hak_sample_fork_child(struct hak_cache *c);

/* Mallocs of a class until one is sampled; 0: the next. Sampling is on. */
uint64_t hak_sample_ahead(struct hak_cache *c, unsigned int cls);
/* The block of a slab class that is due, sampled; NULL: none is, or there is no memory for it. */
void *hak_sample_block(struct hak_cache *c, unsigned int cls);
/* Of a run or a whale that is being handed out; of a run, when sampling is on. */
void hak_sample_run(struct hak_cache *c, void *p, unsigned int cls);
void hak_sample_whale(struct hak_cache *c, struct hak_region *r);

/* A sampled block of a slab class is freed: gives back its run. */
void hak_sample_free_block(struct hak_cache *c, void *p, unsigned int cls);
/* A sampled run is about to be freed. */
void hak_sample_gone(struct hak_cache *c, const void *p);
/* A sampled whale is about to be freed or moved, or was resized. */
void hak_sample_whale_gone(struct hak_cache *c, struct hak_region *r);

#endif
