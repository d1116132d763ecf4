/* SPDX-License-Identifier: MIT */
/*
 * Where counters live and how they are written. control/abi/counters.def has their names, units and
 * meaning.
 *
 * PROC counters are an array that all threads write with relaxed atomics. Before the segment
 * exists, and with control off, the array is private memory. Per-heap counters (struct
 * hak_heap_block, abi.h) lie at a constant distance HAK_HEAP_DELTA behind the heap itself, and only
 * the thread that runs the heap writes them, with plain stores; but tallies (abi.h), which heaps
 * share, are written with relaxed atomics. Readers of all of them sum up without a lock and see
 * exact figures while the process is quiet.
 */
#ifndef HAK_STATS_H
#define HAK_STATS_H

#include <stdatomic.h>

#include "control/abi/abi.h"
#include "hak.h"

/* [HAK_PROC_COUNTERS]; moves while other threads count: see hak_stats_move() */
extern HAK_HIDDEN _Atomic(_Atomic uint64_t *) hak_proc;

static inline _Atomic uint64_t *hak_proc_at(enum hak_proc_counter c)
{
	return &atomic_load_explicit(&hak_proc, memory_order_relaxed)[c];
}

/* The kind and the unit of each counter of the process, from control/abi/counters.def. */
extern HAK_HIDDEN const struct hak_proc_row {
	uint8_t kind, unit;
} hak_proc_row[HAK_PROC_COUNTERS];

#if HAK_CONTROL
static inline void hak_count(enum hak_proc_counter c, int64_t n)
{
	_Atomic uint64_t *at = hak_proc_at(c);

	if (hak_single_threaded())
		atomic_store_explicit(at,
				      atomic_load_explicit(at, memory_order_relaxed) + (uint64_t)n,
				      memory_order_relaxed);
	else
		atomic_fetch_add_explicit(at, (uint64_t)n, memory_order_relaxed);
}
#else
static inline void hak_count(enum hak_proc_counter c, int64_t n)
{
	(void)c, (void)n;
}
#endif

static inline uint64_t hak_proc_read(enum hak_proc_counter c)
{
	return atomic_load_explicit(hak_proc_at(c), memory_order_relaxed);
}

/*
 * The memory that is mapped for blocks, now and at its peak, for malloc_stats and malloc_info. The
 * counts change by atomics when a mapping is made, split, joined or given back. So the largest sum
 * is the peak, whichever threads added to it. Memory in use has no such count, because a whale that
 * comes and goes with its pages would pay for it.
 */
enum hak_mapped {
	HAK_MAPPED_ALL,		 /* bytes; the two below together */
	HAK_MAPPED_EXTENTS,	 /* bytes of extents and single slabs */
	HAK_MAPPED_REGION_BYTES, /* whales in use, and regions kept */
	HAK_MAPPED_REGIONS,	 /* the number of these */
	HAK_MAPPED_KINDS
};
struct hak_peak {
	_Atomic uint64_t now, most;
};
extern HAK_HIDDEN struct hak_peak hak_mapped[HAK_MAPPED_KINDS];

void hak_mapped_extent(int64_t bytes);	     /* of an extent or a single slab; also MEM_MAPPED */
void hak_mapped_region_bytes(int64_t bytes); /* of a region; also MEM_MAPPED and RING_BYTES */
void hak_mapped_regions(int64_t n);	     /* also RING_REGIONS */

/* Address space of the caches of all heaps. Their counters lie HAK_HEAP_DELTA behind. */
#define HAK_HEAP_REGION ((size_t)HAK_MAX_HEAPS * HAK_HEAP_STRIDE)
#define HAK_HEAP_DELTA	HAK_HEAP_REGION
#define HAK_HEAP_CHUNK	16u /* slots made usable at once */

struct hak_cache;

/*
 * The offset of a cache in its slot, within one page. It differs from the offset of the counters in
 * their slot: otherwise every store to a counter would share its low 12 address bits with the bin
 * that the next load reads, and the processor would take the load for dependent on the store.
 */
#define HAK_CACHE_OFFSET ((size_t)HAK_CLASSES * 16 - 48)

static inline struct hak_heap_block *hak_counters(struct hak_cache *c)
{
	return (struct hak_heap_block *)((char *)c - HAK_CACHE_OFFSET + HAK_HEAP_DELTA);
}

/* Adds to a counter that other threads write, too. */
static inline void hak_count_at(uint64_t *at, uint64_t n)
{
	if (hak_single_threaded())
		*at += n;
	else
		__atomic_fetch_add(at, n, __ATOMIC_RELAXED);
}

/* Slow-path counters of the heap of the calling thread. */
#if HAK_CONTROL
#define hak_heap_count_n(c, sym, n)	(hak_counters(c)->heap[HAK_C_##sym] += (uint64_t)(n))
#define hak_class_count_n(c, sym, k, n) (hak_counters(c)->cls[HAK_C_##sym][k] += (uint64_t)(n))
#else
#define hak_heap_count_n(c, sym, n)	((void)(c), (void)(n))
#define hak_class_count_n(c, sym, k, n) ((void)(c), (void)(k), (void)(n))
#endif
#define hak_heap_count1(c, sym) hak_heap_count_n(c, sym, 1)

/*
 * For share.c. From now on PROC counters are counted in `shared`, or in private memory if it is
 * NULL; what was counted so far is carried over. A thread that read the old pointer before may
 * still add to the old array. The next call, or hak_stats_fold(), carries these late counts over.
 */
void hak_stats_move(_Atomic uint64_t *shared);
void hak_stats_fold(void);

/*
 * prepare saves the gauges, which the child inherits. child makes counters private; all are zero
 * except the gauges.
 */
void hak_stats_fork_prepare(void);
void hak_stats_fork_child(void);
/*
 * For a child that counts in private memory, but not yet from zero: sets the gauges to the saved
 * ones.
 */
void hak_stats_fork_inside(void);

#endif
