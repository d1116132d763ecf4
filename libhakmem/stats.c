/* SPDX-License-Identifier: MIT */
/*
 * The counters of the process, and sums over its heaps. See stats.h for who writes what.
 *
 * A move from private to shared memory or back never loses a count: the pointer changes first, then
 * each old cell is emptied by an exchange and added to the new one.
 */
#include "stats.h"

#include "class.h"
#include "heap.h"

static _Atomic uint64_t private_proc[HAK_PROC_COUNTERS];
static _Atomic uint64_t *left; /* the array used before, emptied again by hak_stats_fold() */
static uint64_t saved[HAK_PROC_COUNTERS]; /* gauges as they were at fork */

_Atomic(_Atomic uint64_t *) hak_proc = private_proc;

/* clang-format off */
#define PROC_ONLY_HOT(sym, kind, unit)
#define PROC_ONLY_CLASS(sym, kind, unit)
#define PROC_ONLY_HEAP(sym, kind, unit)
#define PROC_ONLY_PROC(sym, kind, unit) [HAK_C_##sym] = { HAK_KIND_##kind, HAK_UNIT_##unit },
#define COUNTER(id, scope, sym, name, kind, unit, ...) PROC_ONLY_##scope(sym, kind, unit)
/* clang-format on */
static const struct {
	uint8_t kind, unit;
} proc_row[HAK_PROC_COUNTERS] = {
#include "../control/counters.def"
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
	/* relaxed: the memory is zeros, or what was counted there before by atomics */
	atomic_store_explicit(&hak_proc, to, memory_order_relaxed);
	if (left == to)
		left = NULL;
	hak_stats_fold();
}

void hak_stats_fork_prepare(void)
{
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		/* gauges describe memory and heaps, which the child has too */
		if (proc_row[i].kind != HAK_KIND_COUNTER)
			saved[i] = hak_proc_read(i);
	saved[HAK_C_AGENT] = 0;
}

void hak_stats_fork_inside(void)
{
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		if (proc_row[i].kind != HAK_KIND_COUNTER)
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

/* ---- sums ---- */

static void add_block(struct hak_totals *t, const struct hak_heap_block *b)
{
	for (unsigned int i = 0; i < HAK_HEAP_COUNTERS; i++)
		t->heap[i] += b->heap[i];
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		t->cls[k].allocs += b->hot[k].allocs;
		t->cls[k].frees += b->hot[k].frees;
		for (unsigned int i = 0; i < HAK_CLASS_COUNTERS; i++)
			t->cls[k].cls[i] += b->cls[i][k];
	}
}

/*
 * A difference of sums that were not read at one instant may come out below zero: then it is
 * none.
 */
static uint64_t at_least_zero(uint64_t n)
{
	return (int64_t)n < 0 ? 0 : n;
}

/* Every free goes through a cache, whoever owns the block's slab. */
static void derive_class(struct hak_totals *t, unsigned int k)
{
	const uint64_t *c = t->cls[k].cls;
	uint64_t allocs = t->cls[k].allocs, frees = t->cls[k].frees;

	t->cls[k].cached = at_least_zero(c[HAK_C_REFILLED] + frees - allocs - c[HAK_C_FLUSHED]);
	t->cls[k].in_use = at_least_zero(allocs + c[HAK_C_INHERITED] - frees);
	t->in_use_bytes += t->cls[k].in_use * hak_class_size(k);
	t->cached_bytes += t->cls[k].cached * hak_class_size(k);
}

/* See enum hak_kind. */
static void derive_whales(struct hak_totals *t)
{
	const uint64_t *h = t->heap;

	t->whales = at_least_zero(h[HAK_C_WHALE_ALLOCS] + h[HAK_C_WHALE_INHERITED] -
				  h[HAK_C_WHALE_FREES]);
	t->whale_bytes = at_least_zero(h[HAK_C_WHALE_ALLOC_BYTES] + h[HAK_C_WHALE_INHERITED_BYTES] -
				       h[HAK_C_WHALE_FREE_BYTES]);
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++) {
		uint64_t in_use = proc_row[i].unit == HAK_UNIT_COUNT ? t->whales : t->whale_bytes;

		if (proc_row[i].kind == HAK_KIND_KEPT)
			t->proc[i] = at_least_zero(t->proc[i] - in_use);
	}
	t->in_use_bytes += t->whale_bytes;
}

void hak_stats_totals(struct hak_totals *ret)
{
	unsigned int heaps = hak_heap_count();

	__builtin_memset(ret, 0, sizeof(*ret));
	for (unsigned int i = 0; i < heaps; i++)
		add_block(ret, hak_heap_block_at(i));
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		ret->proc[i] = hak_proc_read(i);
	for (unsigned int k = 0; k < HAK_CLASSES; k++)
		derive_class(ret, k);
	derive_whales(ret);
}
