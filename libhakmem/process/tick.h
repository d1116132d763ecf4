/* SPDX-License-Identifier: MIT */
/*
 * The periodic work of slow paths: they obey requests to all threads, look at the clock, let caches
 * decay, give memory back by age, and expire deadlines of tunables. No lock may be held.
 */
#ifndef HAK_TICK_H
#define HAK_TICK_H

#include <stdatomic.h>

#include "cache/purge.h"
#include "heap/heap.h"

/*
 * Called at the entry of slow paths with no lock held. Looks at the clock every HAK_TICKS calls,
 * and lets the cache decay or flush.
 */
#define HAK_TICKS 16u /* slow paths between two looks at the clock */
void hak_tick_slow(struct hak_cache *c);

static inline void hak_tick(struct hak_cache *c)
{
	if (hak_unlikely(c->heap->flushed !=
				 atomic_load_explicit(&hak_purge_asked, memory_order_relaxed) ||
			 ++c->ticks >= HAK_TICKS || hak_purge_is_full()))
		hak_tick_slow(c);
}

/*
 * For the agent, when threads sleep or stay on their fast paths. Ends the epoch if it is over, and
 * makes other threads look at the clock. Returns the milliseconds until the next call. *ret_idle is
 * set when nothing went back for some epochs, and nothing is left but what threads that do not
 * sleep hold. When all threads sleep, too, the agent dozes: the first slow path that looks at the
 * clock wakes it.
 */
unsigned int hak_tick_idle(bool *ret_idle);

#endif
