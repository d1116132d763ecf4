/* SPDX-License-Identifier: MIT */
/*
 * Sampled allocations, for profilers. profile.sample_bytes (0: off) is the mean distance, in
 * allocated bytes, between two points strewn over all that a thread allocates; each block on which
 * points fall is sampled. The distances are drawn from an exponential distribution, so that points
 * fall independently of each other and of the program's habits. A block of s usable bytes is hit by
 * s / sample_bytes points on the average. Its weight, points * sample_bytes, is an unbiased
 * estimate of the bytes of all similar blocks. Sums of weights are unbiased as well, both of what
 * was allocated and of what is in use, with a variance of at most sample_bytes times the sum.
 *
 * Cost. The fast paths contain no code for sampling. All blocks of a class have one size, so the
 * distance to the next point is a number of mallocs: `due` is the value that class.allocs will have
 * with the block that is hit. While sampling is on, a bin is kept so short that its blocks and the
 * frees for which it has room together are no more than the mallocs until then (hak_cache_bound).
 * The malloc that is due therefore finds the bin empty and calls this module. Each time half of the
 * distance is allowed, so a sample costs a logarithm of slow paths. Runs and whales always take a
 * slow path, where bytes are counted down.
 *
 * A sampled block of a slab's class is not taken from a slab. It is a run of whole pages (run.h) of
 * the same usable size. free finds no slab's tag there and takes its slow path, where a run of a
 * slab's class can only be a sampled one. Sampled runs are marked in extent.start[], sampled whales
 * in their region.
 *
 * struct hak_sample belongs to the thread that runs the heap. The random numbers begin with the
 * heap's index, so a program that repeats its allocations has the same blocks sampled.
 */
#ifndef HAK_SAMPLE_H
#define HAK_SAMPLE_H

#include "heap.h"

/*
 * Begins sampling in a cache: takes the value in force and new distances. Bins may have to be bound
 * afterwards.
 */
void hak_sample_begin(struct hak_cache *c);
/* Does the same if profile.sample_bytes has changed. */
void hak_sample_tune(struct hak_cache *c);
/* For a fork child: takes other numbers than the parent's. Bins have to be bound afterwards. */
void hak_sample_fork_child(struct hak_cache *c);

/* Returns the mallocs of a class until one is sampled; 0: the next. Sampling must be on. */
uint64_t hak_sample_ahead(struct hak_cache *c, unsigned int cls);
/*
 * Returns the block of a slab class that is due, sampled; NULL if none is due or there is no memory
 * for it.
 */
void *hak_sample_block(struct hak_cache *c, unsigned int cls);
/* Called for a run or a whale that is being handed out; for a run only while sampling is on. */
void hak_sample_run(struct hak_cache *c, void *p, unsigned int cls);
void hak_sample_whale(struct hak_cache *c, struct hak_region *r);

/* Called when a sampled block of a slab class is freed: gives back its run. */
void hak_sample_free_block(struct hak_cache *c, void *p, unsigned int cls);
/* Called when a sampled run is about to be freed. */
void hak_sample_gone(struct hak_cache *c, const void *p);
/* Called when a sampled whale is about to be freed or moved, or was resized. */
void hak_sample_whale_gone(struct hak_cache *c, struct hak_region *r);

#endif
