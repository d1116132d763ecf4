/* SPDX-License-Identifier: MIT */
/* How much RLIMIT_AS and RLIMIT_DATA allow to keep. See room.h. */
#include "room.h"

#include "base/stats.h"
#include "cgroup.h"
#include "os.h"

#define SHARE 64u /* 1/SHARE of what the limit leaves may be kept */

struct hak_room hak_room = { UINT64_MAX, UINT64_MAX, UINT64_MAX, HAK_ROOM_FIRST };

static uint64_t share(uint64_t limit, uint64_t used)
{
	if (limit == SIZE_MAX)
		return UINT64_MAX;
	return limit > used ? (limit - used) / SHARE : 0;
}

/* Returns true if there is less room than before. */
static bool set(_Atomic uint64_t *room, uint64_t bytes)
{
	uint64_t before = atomic_load_explicit(room, memory_order_relaxed);

	if (hak_likely(bytes == before))
		return false;
	atomic_store_explicit(room, bytes, memory_order_relaxed);
	return bytes < before;
}

bool hak_room_look(uint64_t kept)
{
	uint64_t mapped = hak_proc_read(HAK_C_MEM_MAPPED), used = mapped > kept ? mapped - kept : 0;
	uint64_t address, data;
	bool less;

	if (hak_unlikely(hak_os_sandboxed()))
		return false;
	address = share(hak_os_address_limit(), used);
	data = share(hak_os_data_limit(), used);
	less = set(&hak_room.address, address);
	return set(&hak_room.data, address < data ? address : data) || less;
}

static _Atomic uint64_t floor_bytes = HAK_ROOM_FIRST; /* as set, without the limit */

static void update_floor(void)
{
	uint64_t floor = atomic_load_explicit(&floor_bytes, memory_order_relaxed);
	uint64_t part = atomic_load_explicit(&hak_room.group, memory_order_relaxed) / 16;

	atomic_store_explicit(&hak_room.floor, floor < part ? floor : part, memory_order_relaxed);
}

void hak_room_set_floor(uint64_t bytes)
{
	atomic_store_explicit(&floor_bytes, bytes, memory_order_relaxed);
	update_floor();
}

void hak_room_look_group(void)
{
	uint64_t before = atomic_load_explicit(&hak_room.group, memory_order_relaxed), limit;

	if (hak_unlikely(hak_os_sandboxed()))
		return;
	limit = hak_tun(HAK_T_PURGE_LIMIT_SHARE) < 100 ? hak_cgroup_memory_limit() : UINT64_MAX;
	atomic_store_explicit(&hak_room.group, limit, memory_order_relaxed);
	update_floor();
	if (limit != before)
		hak_count(HAK_C_LIMIT_BYTES, (int64_t)((limit == UINT64_MAX ? 0 : limit) -
						       (before == UINT64_MAX ? 0 : before)));
}
