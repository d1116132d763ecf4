/* SPDX-License-Identifier: MIT */
/*
 * What slow paths do on the way: obey requests to all threads, look at the clock, let caches decay,
 * memory go by age, and deadlines of tunables pass. No lock held.
 */
#ifndef HAK_TICK_H
#define HAK_TICK_H

#include <stdatomic.h>

#include "cache/purge.h"
#include "heap/heap.h"

/*
 * At the entry of slow paths, no lock held: looks at the clock every so many calls, lets the cache
 * decay or flush.
 */
#define HAK_TICKS 16u /* slow paths between two looks at the clock */
void hak_tick_slow(struct hak_cache *c);

static inline void hak_tick(struct hak_cache *c)
{
	if (hak_unlikely(c->heap->flushed !=
				 atomic_load_explicit(&hak_purge_asked, memory_order_relaxed) ||
			 ++c->ticks >= HAK_TICKS))
		hak_tick_slow(c);
}

/*
 * For the agent, when threads sleep or stay on their fast paths: ends the epoch if it is over, and
 * makes the others look at the clock. Seconds until it should be called again: it backs off while
 * there is nothing to give back.
 */
unsigned int hak_tick_idle(void);

#endif
