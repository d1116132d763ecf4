/* SPDX-License-Identifier: MIT */
/*
 * The region cache keeps the regions (region.h) of freed whales for the next whale of nearly the
 * size, with their pages until they are evicted, without them afterwards.
 *
 * Regions of about one size share a bucket (eight buckets per doubling), last in first out; all of
 * them hang on one age list, oldest first out. A region is handed out whole if it is at most 12.5 %
 * larger than asked; of a larger one the first part is handed out and the rest stays. A region that
 * comes back is joined with neighbours in the region cache whose pages are in the same state: a
 * program that goes through many sizes uses one piece of memory, not one per size. whale.ring_slots
 * and whale.ring_bytes bound the region cache, and so do limits on the process (room.h).
 * HAK_LOCK_RCACHE guards ring, lists, state, HAK_KEPT slices and lazy table; no system call is made
 * under it: a region to be evicted or unmapped leaves the region cache first and comes back when it
 * is clean.
 *
 * Hot regions: a thread that frees whales again and again keeps the last one for itself, in front
 * of the ring, and gets it back without a lock or a mark while its whales are of one size. Only the
 * thread puts a region there; anybody may take it, by exchange. `most` is given and taken back
 * under the lock: who takes it back looks for a region afterwards, who puts one there looks at
 * `most` afterwards, so that one of them finds it. The region cache's limits count a hot region as
 * if it were in the ring; a purge takes it back from a thread that freed no whale for an epoch.
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
	_Atomic size_t most;	/* bytes it may have; 0: none. HAK_LOCK_RCACHE to write */
	_Atomic uint32_t epoch; /* of the purge clock, when the thread last freed a whale */
	uint32_t puts;		/* into the region cache in that epoch; the thread's own */
	uint8_t life;		/* of the region cache that lists it; HAK_LOCK_RCACHE, like next */
	struct hak_hot *next;
};

/* By its thread. */
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

/* By its thread. Returns what has no place there: the region put before, or r itself. */
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

/* Address space that the region cache may have. */
static inline uint64_t hak_rcache_most_bytes(void)
{
	uint64_t most = hak_tun(HAK_T_WHALE_RING_BYTES), room = hak_room_address();

	return most < room ? most : room;
}

/* The thread ends: what it kept goes to the ring. */
void hak_hot_leave(struct hak_hot *f);

/*
 * A region of at least `bytes` and not much more, in no region cache any more, in whatever state;
 * NULL: there is none. `other`: what the thread's hot region held, and goes to the ring.
 */
struct hak_region *hak_rcache_get(struct hak_hot *f, struct hak_region *other, size_t bytes,
				  size_t align);
/*
 * A region, DIRTY and of the present epoch, comes back. True: the region cache has grown so much
 * that the limits on the process need a look (limit.h).
 */
bool hak_rcache_put(struct hak_hot *f, struct hak_region *r);
/* Bytes kept, for a look at the limits on the process: another one follows when they grow. */
uint64_t hak_rcache_kept(void);
/* There is less room (room.h): what there is none for goes. */
void hak_rcache_fit(void);

/*
 * Gives the mapping up; where munmap refuses, the region waits in the region cache whatever its
 * limits: free never fails.
 */
void hak_rcache_unmap(struct hak_region *r);
/*
 * Gives pages of kept regions back: those put into the region cache before epoch `before` of the
 * purge clock. Returns bytes, touched or not. `forced`: even with region.evict=keep. HAK_LOCK_PURGE
 * held, no other.
 */
uint64_t hak_rcache_evict(uint32_t before, bool forced);
/* Unmaps everything in the ring. Returns bytes that may have been resident. */
uint64_t hak_rcache_empty(void);
/* Slots or bytes were lowered: unmap what is over. */
void hak_rcache_tuned(void);
/*
 * In a copy of the process made without fork handlers while another thread held HAK_LOCK_RCACHE:
 * the ring begins anew, what was in it is lost.
 */
void hak_rcache_abandon(void);
/* Whether any kept region is not yet evicted; a guess while others run. */
bool hak_rcache_holds_dirty(void);

#endif
