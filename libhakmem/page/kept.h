/* SPDX-License-Identifier: MIT */
/*
 * The lists of the region cache: each region in it is in the bucket of its size and on the list by
 * age, both its ends have HAK_KEPT slices, and a LAZY one is published in the lazy table if there
 * is room. This module adds and removes regions, joins a region with its neighbours, and finds or
 * splits off the region for a whale. rcache.c decides which regions are kept and for how long, and
 * alone uses this module.
 *
 * HAK_LOCK_RCACHE guards all of it. No function makes a system call.
 */
#ifndef HAK_KEPT_H
#define HAK_KEPT_H

#include <stdatomic.h>

#include "base/hak.h"
#include "region.h"
#include "slice.h"

/* eight per doubling, from 1 MiB to an eighth above the address space; 0 holds smaller rests */
#define HAK_KEPT_BUCKETS ((HAK_ADDRESS_BITS - 20u) * 8 + 3)

extern HAK_HIDDEN struct hak_kept {
	struct hak_region *bucket[HAK_KEPT_BUCKETS];
	struct hak_region *oldest, *newest;
	uint32_t regions;
	uint64_t bytes;		/* address space; also read without the lock */
	_Atomic uint64_t dirty; /* bytes of DIRTY regions; also read without the lock */
	_Atomic uint64_t lazy;	/* of LAZY ones; also read without the lock */
	uint64_t bits[(HAK_KEPT_BUCKETS + 63) / 64]; /* buckets that are not empty */
	struct hak_region *spare;		     /* a descriptor for the next split */
	uint8_t life; /* number of this cache, not 0; a hot region in no cache has 0 */
} hak_kept;

static inline uint64_t hak_kept_dirty(void)
{
	return atomic_load_explicit(&hak_kept.dirty, memory_order_relaxed);
}

static inline uint64_t hak_kept_lazy(void)
{
	return atomic_load_explicit(&hak_kept.lazy, memory_order_relaxed);
}

/* Puts a region on the lists, at the young or the old end, joined with its neighbours. */
void hak_kept_add(struct hak_region *r, bool newest);
void hak_kept_remove(struct hak_region *r);
/*
 * Removes a region of at least `bytes`, aligned to `align`: one that is little larger, or the first
 * part of a larger one, for which `spare` is used. NULL: there is none.
 */
struct hak_region *hak_kept_find(size_t bytes, size_t align);
/*
 * Removes the first `bytes` of the largest DIRTY region, if that has `least` bytes. NULL: there is
 * none, or no spare descriptor.
 */
struct hak_region *hak_kept_take_roomy(size_t bytes, size_t least);
/*
 * Makes the first `more` bytes of the DIRTY region that follows `r`, which is in use, a part of r.
 * Returns false, with nothing changed: no such region follows.
 */
bool hak_kept_extend(struct hak_region *r, size_t more);
/* Begins anew: see hak_rcache_abandon(). */
void hak_kept_abandon(void);

/* Checks all regions on the lists, their slices, the sums, and the lazy table. */
#if HAK_DEBUG
void hak_kept_check(void);
#else
static inline void hak_kept_check(void)
{
}
#endif

#endif
