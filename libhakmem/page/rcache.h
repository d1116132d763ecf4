/* SPDX-License-Identifier: MIT */
/*
 * The region cache keeps the regions (region.h) of freed whales for the next whale of nearly the
 * same size: with their pages until they are evicted, and without them afterwards.
 *
 * Regions of about one size share a bucket (eight buckets per doubling), last in, first out. All of
 * them are on one list by age, oldest first out. A region is handed out whole if it is at most 12.5
 * % larger than requested. Of a larger one the first part is handed out and the rest stays. A
 * region that comes back is joined with neighbours in the region cache whose pages are in the same
 * state, so a program that uses many sizes reuses one piece of memory instead of one for each size.
 * whale.ring_slots and whale.ring_bytes bound the region cache, and so do limits on the process
 * (room.h). HAK_LOCK_RCACHE guards buckets, lists, states, HAK_KEPT slices and the lazy table. No
 * system call is made under the lock: a region to be evicted or unmapped leaves the region cache
 * first, and comes back when it is clean.
 *
 * Hot regions: a thread that frees whales again and again keeps the last region for itself, in
 * front of the region cache. While its whales are of one size the thread gets the region back
 * without a lock or a mark. Only the thread puts a region there; any thread may take it, by
 * exchange. `most` is given and taken back under the lock. A thread that takes `most` back looks
 * for a region afterwards, and a thread that puts a region there looks at `most` afterwards, so one
 * of them finds the region. The limits of the region cache count a hot region as if it were in the
 * region cache. A purge takes the hot region back from a thread that freed no whale for an epoch.
 */
#ifndef HAK_RCACHE_H
#define HAK_RCACHE_H

#include <stdatomic.h>

#include "base/hak.h"
#include "base/stop.h"
#include "base/values.h"
#include "region.h"
#include "system/room.h"

struct hak_hot {
	_Atomic(struct hak_region *) region;
	_Atomic size_t most;	/* bytes of a region here; 0: none. HAK_LOCK_RCACHE to write */
	_Atomic uint32_t epoch; /* of the purge clock, when the thread last freed a whale */
	uint32_t puts;		/* into the region cache in that epoch; the thread's own */
	uint8_t life;		/* of the region cache that lists it; HAK_LOCK_RCACHE, like next */
	struct hak_hot *next;
};

/* Called by the thread. */
static inline struct hak_region *hak_hot_take(struct hak_hot *f)
{
	struct hak_region *r = atomic_load_explicit(&f->region, memory_order_relaxed);

	if (!r)
		return NULL;
	if (hak_single_threaded()) {
		atomic_store_explicit(&f->region, NULL, memory_order_relaxed);
		return r;
	}
	return atomic_exchange(&f->region, NULL);
}

/*
 * Called by the thread. Returns the region that has no place there: the one put before, or r
 * itself.
 */
static inline struct hak_region *hak_hot_put(struct hak_hot *f, struct hak_region *r)
{
	struct hak_region *before;

	if (hak_single_threaded()) {
		before = atomic_load_explicit(&f->region, memory_order_relaxed);
		atomic_store_explicit(&f->region, r, memory_order_relaxed);
		return before;
	}
	hak_stop("hot.before_put");
	before = atomic_exchange(&f->region, r);
	hak_stop("hot.after_put");
	if (hak_unlikely(!atomic_load(&f->most)) && !before)
		return atomic_exchange(&f->region, NULL);
	return before;
}

/* Returns the address space that the region cache may have, in bytes. */
static inline uint64_t hak_rcache_most_bytes(void)
{
	uint64_t most = hak_tun(HAK_T_WHALE_RING_BYTES), room = hak_room_address();

	return most < room ? most : room;
}

/* Called when the thread ends: its hot region goes to the region cache. */
void hak_hot_leave(struct hak_hot *f);
/* After that, when the memory of f itself goes: no list has it any more. */
void hak_hot_forget(struct hak_hot *f);

/*
 * Takes a region of at least `bytes` and not much more out of the region cache, in any state; NULL:
 * there is none. `other` is what the thread's hot region held; it goes to the region cache.
 */
struct hak_region *hak_rcache_get(struct hak_hot *f, struct hak_region *other, size_t bytes,
				  size_t align);
/* See kept.h. */
struct hak_region *hak_rcache_get_roomy(size_t bytes, size_t least);
bool hak_rcache_extend(struct hak_region *r, size_t more);
/*
 * Takes a region back that is DIRTY and of the present epoch. Returns true if the region cache has
 * grown so much that the limits on the process must be read (limit.h).
 */
bool hak_rcache_put(struct hak_hot *f, struct hak_region *r);
/*
 * Returns the bytes kept, for a look at the limits on the process. Growth beyond them causes
 * another look.
 */
uint64_t hak_rcache_kept(void);
/* Returns the bytes of whales in use; a guess while other threads allocate. Takes no lock. */
uint64_t hak_rcache_in_use(void);
/* Returns the bytes of kept regions that are DIRTY, hot regions included; takes no lock. */
uint64_t hak_rcache_dirty(void);
/*
 * Called when there is less room (room.h), or less when `more` bytes are in use than now: gives up
 * what exceeds the room. Returns the bytes of the regions that were evicted because of the limit of
 * the control groups, touched or not.
 */
uint64_t hak_rcache_fit(uint64_t more);

/*
 * Unmaps a region. If munmap refuses, the region waits in the region cache regardless of the
 * limits, because free never fails.
 */
void hak_rcache_unmap(struct hak_region *r);
/*
 * Gives back pages of kept regions, of those put into the region cache before epoch `before` of the
 * purge clock. Returns bytes, touched or not. `forced`: even with region.evict=keep. HAK_LOCK_PURGE
 * held, no other.
 */
uint64_t hak_rcache_evict(uint32_t before, bool forced);
/* Unmaps all regions in the region cache. Returns the bytes that may have been resident. */
uint64_t hak_rcache_empty(void);
/* Called when slots or bytes were lowered: unmaps what exceeds them. */
void hak_rcache_tuned(void);
/*
 * For a copy of the process made without fork handlers while another thread held HAK_LOCK_RCACHE:
 * the region cache begins anew, and the regions in it are lost.
 */
void hak_rcache_abandon(void);
/*
 * Returns whether any kept region is not yet evicted. The answer is a guess while other threads
 * run.
 */
bool hak_rcache_holds_dirty(void);

/* Checks all regions in the region cache, the threads of hot regions, and the lazy table. */
#if HAK_DEBUG
void hak_rcache_check(void); /* HAK_LOCK_RCACHE held, or all threads stopped */
#else
static inline void hak_rcache_check(void)
{
}
#endif

#endif
