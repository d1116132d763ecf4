/* SPDX-License-Identifier: MIT */
/* How many bytes of free memory may stay dirty. See allowance.h. */
#include "allowance.h"

#include "base/stats.h"

/* for each byte of a refault, so that the price is paid a few times only */
#define GROWTH 4u

struct hak_allowance hak_allowance_units = HAK_ALLOWANCE_INIT;
struct hak_allowance hak_allowance_regions = HAK_ALLOWANCE_INIT;

static void set(struct hak_allowance *a, uint64_t bytes)
{
	hak_count(HAK_C_ALLOWED_BYTES, (int64_t)(bytes - hak_allowance(a)));
	atomic_store_explicit(&a->bytes, bytes, memory_order_relaxed);
}

void hak_allowance_start(void)
{
	hak_count(HAK_C_ALLOWED_BYTES, 2 * (int64_t)HAK_ALLOWANCE_LEAST);
}

void hak_allowance_roll(struct hak_allowance *a, uint64_t dirty)
{
	uint32_t epoch = hak_purge_epoch();
	uint64_t spare = hak_allowance(a) - HAK_ALLOWANCE_LEAST;

	set(a, hak_allowance(a) - (a->low < spare ? a->low : spare) / 2);
	a->gone_before = epoch - a->epoch == 1 ? a->gone : 0;
	a->gone = 0;
	a->low = dirty;
	a->epoch = epoch;
}

/* Returns how many of `bytes` keeping more would have served, and forgets as many. */
static uint64_t refault(struct hak_allowance *a, uint64_t bytes)
{
	uint64_t now = bytes < a->gone ? bytes : a->gone, before = bytes - now;

	if (before > a->gone_before)
		before = a->gone_before;
	a->gone -= now;
	a->gone_before -= before;
	return now + before;
}

void hak_allowance_taken(struct hak_allowance *a, uint64_t before, uint64_t dirty, uint64_t clean,
			 uint64_t most)
{
	uint64_t bytes;

	hak_allowance_given(a, before);
	if (dirty < a->low)
		a->low = dirty;
	if (hak_likely(!clean || !(a->gone | a->gone_before)))
		return;
	clean = refault(a, clean);
	hak_count(HAK_C_REFAULT_BYTES, (int64_t)clean);
	bytes = hak_allowance(a) + GROWTH * clean;
	bytes = bytes < most ? bytes : most;
	if (bytes > hak_allowance(a))
		set(a, bytes);
}

void hak_allowance_gone(struct hak_allowance *a, uint64_t dirty, uint64_t bytes)
{
	hak_allowance_given(a, dirty);
	a->gone += bytes;
}

#if HAK_DEBUG
void hak_allowance_check(const struct hak_allowance *a)
{
	hak_assert(hak_allowance(a) >= HAK_ALLOWANCE_LEAST);
	hak_assert((int32_t)(hak_purge_epoch() - a->epoch) >= 0);
}
#endif
