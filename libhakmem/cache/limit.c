/* SPDX-License-Identifier: MIT */
/* Gives up memory that limits on the process leave no room for. See limit.h. */
#include "limit.h"

#include "heap/heap.h"
#include "page/clean.h"
#include "page/rcache.h"
#include "system/room.h"

#define LOOK_MS 100u /* between two looks at RLIMIT_AS and RLIMIT_DATA */

void hak_limit_look(void)
{
	if (hak_likely(!hak_room_look(hak_rcache_kept())))
		return;
	hak_heap_fit();
	hak_rcache_fit();
	hak_extent_tuned();
}

void hak_limit_tick(uint64_t now)
{
	static _Atomic uint64_t next_ms;

	if (hak_likely((int64_t)(now - atomic_load_explicit(&next_ms, memory_order_relaxed)) < 0))
		return;
	atomic_store_explicit(&next_ms, now + LOOK_MS, memory_order_relaxed);
	hak_limit_look();
}
