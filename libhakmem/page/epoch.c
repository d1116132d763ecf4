/* SPDX-License-Identifier: MIT */
/* The purge clock, and the count of memory given back. See epoch.h. */
#include "epoch.h"

#include "base/lock.h"
#include "base/stats.h"
#include "system/os.h"

_Atomic uint32_t hak_purge_clock;

/*
 * A purge on request is running. Written under HAK_LOCK_PURGE, read by each thread that gives
 * memory back.
 */
static _Atomic bool exact;

uint64_t hak_purge_count(void *p, uint64_t bytes)
{
	bool ask = atomic_load_explicit(&exact, memory_order_relaxed);

	return ask ? hak_os_resident_bytes(p, bytes) : bytes;
}

/* The bytes that the purging thread unmapped as they became free; HAK_LOCK_PURGE. */
static uint64_t noted;

void hak_purge_note(void *p, uint64_t bytes)
{
	if (hak_lock_held(HAK_LOCK_PURGE))
		noted += hak_purge_count(p, bytes);
}

void hak_purge_count_begin(bool count_resident)
{
	atomic_store_explicit(&exact, count_resident, memory_order_relaxed);
	noted = 0;
}

uint64_t hak_purge_count_end(void)
{
	atomic_store_explicit(&exact, false, memory_order_relaxed);
	return noted;
}

void hak_purge_count_limit(uint64_t bytes)
{
	if (hak_likely(!bytes))
		return;
	hak_count(HAK_C_PURGES, 1);
	hak_count(HAK_C_PURGE_BYTES, (int64_t)bytes);
	hak_count(HAK_C_LIMIT_OBEYED, 1);
}
