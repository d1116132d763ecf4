/* SPDX-License-Identifier: MIT */
/* The periodic work of slow paths. See tick.h. */
#include "tick.h"

#include "cache/cache.h"
#include "cache/limit.h"
#include "heap/slablist.h"
#include "share/tune.h"
#include "system/os.h"

#define IDLE_MAX_S  60u	      /* between two looks of the agent */
#define DELAY_NEVER 86400000u /* purge.delay_ms at its maximum */

static bool past(uint64_t now, uint64_t then)
{
	return (int64_t)(now - then) >= 0;
}

static HAK_COLD void look_at_clock(struct hak_cache *c)
{
	uint64_t delay = hak_tun(HAK_T_PURGE_DELAY_MS), now = hak_os_now_ms();

	hak_tune_tick();
	hak_limit_tick(now);
	if (delay >= DELAY_NEVER)
		return;
	if (past(now, c->heap->decay_ms + (delay ? delay : 1))) {
		hak_cache_decay(c, now);
		hak_count(HAK_C_PURGE_BYTES, (int64_t)hak_slablist_trim(c, 2, HAK_PURGE_TRIM_MOST));
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
		look_at_clock(c);
	}
}

unsigned int hak_tick_idle(void)
{
	static unsigned int pause_s = 1; /* used by the agent alone */
	uint64_t delay = hak_tun(HAK_T_PURGE_DELAY_MS);
	bool worth;

	hak_limit_tick(hak_os_now_ms());
	if (delay >= DELAY_NEVER)
		return IDLE_MAX_S;
	/* whales, in use or kept, are in both counters, so the difference is memory of extents */
	worth = hak_purge_by_age(hak_os_now_ms(), delay) || hak_rcache_holds_dirty() ||
		hak_proc_read(HAK_C_MEM_DIRTY) != hak_proc_read(HAK_C_RING_DIRTY);
	hak_heap_poke();
	pause_s = worth ? 1 : pause_s * 2;
	if (pause_s < delay / 1000)
		pause_s = (unsigned int)(delay / 1000);
	if (pause_s > IDLE_MAX_S)
		pause_s = IDLE_MAX_S;
	return pause_s;
}
