/* SPDX-License-Identifier: MIT */
/*
 * The counters of the process. stats.h says which thread writes which of them.
 *
 * A move from private to shared memory or back loses no count: the pointer changes first, then each
 * old cell is emptied by an exchange and added to the new one.
 */
#include "stats.h"

static _Atomic uint64_t private_proc[HAK_PROC_COUNTERS];
static _Atomic uint64_t *left; /* the array used before; hak_stats_fold() empties it once more */
static uint64_t saved[HAK_PROC_COUNTERS]; /* gauges as they were at fork */

_Atomic(_Atomic uint64_t *) hak_proc = private_proc;

/* clang-format off */
#define PROC_ONLY_HOT(sym, kind, unit)
#define PROC_ONLY_CLASS(sym, kind, unit)
#define PROC_ONLY_HEAP(sym, kind, unit)
#define PROC_ONLY_PROC(sym, kind, unit) [HAK_C_##sym] = { HAK_KIND_##kind, HAK_UNIT_##unit },
#define COUNTER(id, scope, sym, name, kind, unit, ...) PROC_ONLY_##scope(sym, kind, unit)
/* clang-format on */
const struct hak_proc_row hak_proc_row[HAK_PROC_COUNTERS] = {
#include "control/abi/counters.def"
};
#undef COUNTER

void hak_stats_fold(void)
{
	_Atomic uint64_t *from = left;

	if (!from)
		return;
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++) {
		uint64_t n;

		if (!atomic_load_explicit(&from[i], memory_order_relaxed))
			continue;
		n = atomic_exchange_explicit(&from[i], 0, memory_order_relaxed);
		atomic_fetch_add_explicit(hak_proc_at(i), n, memory_order_relaxed);
	}
}

void hak_stats_move(_Atomic uint64_t *shared)
{
	_Atomic uint64_t *to = shared ? shared : private_proc;

	left = hak_proc_at(0);
	/* relaxed: the memory holds zeros, or what atomics counted there before */
	atomic_store_explicit(&hak_proc, to, memory_order_relaxed);
	if (left == to)
		left = NULL;
	hak_stats_fold();
}

void hak_stats_fork_prepare(void)
{
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		/* gauges describe memory and heaps, which the child has as well */
		if (hak_proc_row[i].kind != HAK_KIND_COUNTER)
			saved[i] = hak_proc_read(i);
	saved[HAK_C_AGENT] = 0;
}

void hak_stats_fork_inside(void)
{
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		if (hak_proc_row[i].kind != HAK_KIND_COUNTER)
			atomic_store_explicit(hak_proc_at(i), saved[i], memory_order_relaxed);
}

void hak_stats_fork_child(void)
{
	left = NULL;
	atomic_store_explicit(&hak_proc, private_proc, memory_order_relaxed);
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		atomic_store_explicit(&private_proc[i], saved[i], memory_order_relaxed);
}

/* ---- what is mapped ---- */

struct hak_peak hak_mapped[HAK_MAPPED_KINDS];

static void mapped_add(enum hak_mapped kind, int64_t n)
{
	struct hak_peak *p = &hak_mapped[kind];
	uint64_t now, most;

	if (hak_single_threaded()) {
		now = atomic_load_explicit(&p->now, memory_order_relaxed) + (uint64_t)n;
		atomic_store_explicit(&p->now, now, memory_order_relaxed);
	} else {
		now = atomic_fetch_add_explicit(&p->now, (uint64_t)n, memory_order_relaxed) +
		      (uint64_t)n;
	}
	most = atomic_load_explicit(&p->most, memory_order_relaxed);
	while (n > 0 && now > most &&
	       !atomic_compare_exchange_weak_explicit(&p->most, &most, now, memory_order_relaxed,
						      memory_order_relaxed))
		;
}

void hak_mapped_extent(int64_t bytes)
{
	hak_count(HAK_C_MEM_MAPPED, bytes);
	mapped_add(HAK_MAPPED_EXTENTS, bytes);
	mapped_add(HAK_MAPPED_ALL, bytes);
}

void hak_mapped_region_bytes(int64_t bytes)
{
	hak_count(HAK_C_MEM_MAPPED, bytes);
	hak_count(HAK_C_RING_BYTES, bytes);
	mapped_add(HAK_MAPPED_REGION_BYTES, bytes);
	mapped_add(HAK_MAPPED_ALL, bytes);
}

void hak_mapped_regions(int64_t n)
{
	hak_count(HAK_C_RING_REGIONS, n);
	mapped_add(HAK_MAPPED_REGIONS, n);
}
