/* SPDX-License-Identifier: MIT */
/* The periodic work of slow paths. See tick.h. */
#include "tick.h"

#include "cache/cache.h"
#include "cache/limit.h"
#include "heap/slablist.h"
#include "page/epoch.h"
#include "page/map.h"
#include "share/tune.h"
#include "system/os.h"

#define IDLE_MAX_MS  60000u /* between two looks of the agent */
#define IDLE_MIN_MS  50u
#define QUIET_EPOCHS 3u /* in which nothing was given back, or could be later */

/* The agent found nothing to give back, and waits to be woken. */
static _Atomic bool dozing;

/* No slice changes meanwhile, and none was left in the middle of a change by a thread. */
static inline void check_map(void)
{
	static uint32_t looks;

	if (HAK_DEBUG && hak_single_threaded() && hak_heap_count() <= 1 &&
	    hak_check_due(&looks, 16))
		hak_map_check();
}

static HAK_COLD void look_at_clock(struct hak_cache *c)
{
	uint64_t delay = hak_tun(HAK_T_PURGE_DELAY_MS), now = hak_os_now_ms();

	if (hak_unlikely(atomic_load_explicit(&dozing, memory_order_relaxed)) &&
	    atomic_exchange_explicit(&dozing, false, memory_order_relaxed))
		hak_tune_call();
	hak_tune_tick();
	hak_limit_tick(now);
	if (hak_unlikely(hak_room_is_limited()))
		hak_purge_by_amount();
	if (delay >= HAK_DELAY_NEVER)
		return;
	if (hak_is_past(now, c->heap->decay_ms + (delay ? delay : 1))) {
		hak_cache_decay(c, now);
		hak_count(HAK_C_PURGE_BYTES, (int64_t)hak_slablist_trim(c, 2, HAK_TRIM_MOST));
	}
	hak_purge_by_age(now, delay);
}

void hak_tick_slow(struct hak_cache *c)
{
	uint32_t request = atomic_load_explicit(&hak_purge_asked, memory_order_relaxed);

	if (hak_unlikely(c->heap->flushed != request))
		hak_purge_obey(c, request);
	if (hak_unlikely(hak_purge_is_full()))
		hak_purge_by_amount();
	if (c->ticks >= HAK_TICKS) {
		c->ticks = 0;
		check_map();
		look_at_clock(c);
	}
}

unsigned int hak_tick_idle(bool *ret_idle)
{
	static bool dozed; /* used by the agent alone */
	uint64_t delay = hak_tun(HAK_T_PURGE_DELAY_MS), now = hak_os_now_ms(), left;
	bool never = delay >= HAK_DELAY_NEVER;

	/* a thread woke the agent, and memory is free or will be */
	if (!atomic_exchange_explicit(&dozing, false, memory_order_relaxed) && dozed)
		hak_purge_disturb();
	hak_limit_tick(now);
	hak_purge_obey_all();
	if (!never)
		hak_purge_by_age(now, delay);
	*ret_idle = never || hak_purge_calm() >= QUIET_EPOCHS;
	dozed = never || hak_purge_still() >= QUIET_EPOCHS;
	if (dozed)
		atomic_store_explicit(&dozing, true, memory_order_relaxed);
	/* after `dozing`: the next slow path of each thread looks at the clock, and so at it */
	hak_heap_poke();
	if (dozed)
		return IDLE_MAX_MS;
	left = hak_purge_epoch_left(now);
	if (left < IDLE_MIN_MS)
		return IDLE_MIN_MS;
	return left < IDLE_MAX_MS ? (unsigned int)left : IDLE_MAX_MS;
}
