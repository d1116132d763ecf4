/* SPDX-License-Identifier: MIT */
/* Gives up memory that limits on the process leave no room for. See limit.h. */
#include "limit.h"

#include "heap/heap.h"
#include "page/clean.h"
#include "page/epoch.h"
#include "page/rcache.h"
#include "system/os.h"
#include "system/room.h"

#define LOOK_MS	      100u  /* between two looks at RLIMIT_AS and RLIMIT_DATA */
#define LOOK_GROUP_MS 1000u /* at the limit of the control groups, which costs more calls */

static void look_at_process(void)
{
	if (hak_likely(!hak_room_look(hak_rcache_kept())))
		return;
	hak_heap_fit();
	hak_purge_count_limit(hak_rcache_fit(0));
	hak_extent_tuned();
}

/* Whether a look is due; the next one follows `pause_ms` later. */
static bool is_due(_Atomic uint64_t *next_ms, uint64_t now, uint64_t pause_ms)
{
	if (hak_likely(!hak_is_past(now, atomic_load_explicit(next_ms, memory_order_relaxed))))
		return false;
	atomic_store_explicit(next_ms, now + pause_ms, memory_order_relaxed);
	return true;
}

static void look_at_group(uint64_t now)
{
	static _Atomic uint64_t next_ms;

	if (hak_proc_read(HAK_C_MEM_MAPPED) >= HAK_ROOM_GROUP_LEAST &&
	    is_due(&next_ms, now, LOOK_GROUP_MS))
		hak_room_look_group();
}

void hak_limit_look(void)
{
	look_at_process();
	look_at_group(hak_os_now_ms());
}

void hak_limit_tick(uint64_t now)
{
	static _Atomic uint64_t next_ms;

	if (is_due(&next_ms, now, LOOK_MS))
		look_at_process();
	look_at_group(now);
}
