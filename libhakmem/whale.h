/* SPDX-License-Identifier: MIT */
/*
 * Whales: blocks of 1 MiB and more, each with a mapping of its own, a region. A freed whale's
 * region goes to the ring and waits for the next whale of nearly its size, with its pages until it
 * is evicted, without them afterwards.
 *
 * The ring: regions of about one size share a bucket (eight buckets per doubling), last in first
 * out; all of them hang on one age list, oldest first out. A region is handed out whole if it is at
 * most 12.5 % larger than asked; of a larger one the first part is handed out and the rest stays. A
 * region that comes back is joined with neighbours in the ring whose pages are in the same state: a
 * program that goes through many sizes uses one piece of memory, not one per size. whale.ring_slots
 * and whale.ring_bytes bound the ring. HAK_LOCK_RING guards ring, lists, state, HAK_KEPT granules
 * and lazy table; no system call is made under it: a region to be evicted or unmapped leaves the
 * ring first and comes back when it is clean.
 *
 * State of a region's pages:
 *   IN_USE  a program has it        DIRTY  pages as the last owner left them
 *   LAZY    MADV_FREEd: each page is either the old one or zero     CLEAN  reads as zeros, no pages
 * `zero` is set last, for fresh mappings and after an eviction of the whole region succeeded, and
 * cleared at every get.
 */
#ifndef HAK_WHALE_H
#define HAK_WHALE_H

#include "hak.h"

struct hak_cache;

enum hak_region_state { HAK_REGION_IN_USE, HAK_REGION_DIRTY, HAK_REGION_LAZY, HAK_REGION_CLEAN };

struct hak_region {
	char *base;			/* what malloc returned; whole granules */
	size_t bytes;			/* of the mapping: all usable */
	size_t requested;		/* by the program, exact */
	uint8_t state;
	bool zero;
	bool thp;			/* advised for huge pages */
	/* times it was found filled when freed; thp.mode=adaptive */
	uint8_t filled;
	uint32_t epoch;			/* of the purge clock, when it was put into the ring */
	struct hak_region *prev, *next;	/* bucket */
	struct hak_region *older, *newer;
};

/* A block of at least `bytes`, aligned. *ret_zero: reads as zeros. NULL: no memory. */
void *hak_whale_alloc(struct hak_cache *c, size_t bytes, size_t align, bool *ret_zero);
void hak_whale_free(struct hak_cache *c, struct hak_region *r);
/*
 * The block resized, moved by remapping if need be; NULL: copy, or no memory (the block is as it
 * was).
 */
void *hak_whale_resize(struct hak_cache *c, struct hak_region *r, size_t bytes);

/*
 * Gives pages of kept regions back: those put into the ring before epoch `before` of the purge
 * clock. Returns bytes, touched or not. `forced`: even with region.evict=keep. HAK_LOCK_PURGE held,
 * no other.
 */
uint64_t hak_ring_evict(uint32_t before, bool forced);
/* Unmaps everything in the ring. Returns bytes that may have been resident. */
uint64_t hak_ring_empty(void);
/* Slots or bytes were lowered: unmap what is over. */
void hak_ring_tuned(void);

#endif
