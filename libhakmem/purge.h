/* SPDX-License-Identifier: MIT */
/*
 * Giving memory back: by age on slow paths, by request, by level. One purger at a time
 * (HAK_LOCK_PURGE, trylock); the caches' own locks are never held over a system call.
 */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include <stdatomic.h>

#include "../control/abi.h"
#include "hak.h"
#include "heap.h"

/*
 * Resident bytes of free memory given back to the kernel. CACHE: the calling thread's caches, dead
 * heaps and remote lists go back to their slabs, empty slabs to their extents. DIRTY: and all free
 * pages older than nothing are given back, kept regions evicted. ALL: and kept regions and empty
 * extents are unmapped. Callable from any thread, no lock held.
 */
uint64_t hak_purge(enum hak_purge_level level);

/*
 * No memory: unmaps all that is kept. Bytes, touched or not; 0: there was nothing. Makes only the
 * system calls that may always be made. No lock held.
 */
uint64_t hak_reclaim(void);

/*
 * At the entry of slow paths, no lock held: looks at the clock every so many calls, lets the cache
 * decay or flush.
 */
#define HAK_PURGE_TICKS 16u			    /* slow paths between two looks at the clock */
extern HAK_HIDDEN _Atomic uint32_t hak_purge_asked; /* the last request to all threads */
void hak_purge_tick_slow(struct hak_cache *c);

static inline void hak_purge_tick(struct hak_cache *c)
{
	if (hak_unlikely(c->heap->flushed !=
				 atomic_load_explicit(&hak_purge_asked, memory_order_relaxed) ||
			 ++c->ticks >= HAK_PURGE_TICKS))
		hak_purge_tick_slow(c);
}

/*
 * For the agent, when threads sleep or stay on their fast paths: ends the epoch if it is over, and
 * makes the others look at the clock. Seconds until it should be called again: it backs off while
 * there is nothing to give back.
 */
unsigned int hak_purge_idle(void);

/*
 * Values of tunables changed: resize the ring, empty what is no longer allowed. No lock held but
 * HAK_LOCK_TUNE.
 */
void hak_purge_tuned(void);

#endif
