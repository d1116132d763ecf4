/* SPDX-License-Identifier: MIT */
/*
 * Counters: where they live and how they are written. Names, units and meaning:
 * control/abi/counters.def.
 *
 * PROC counters are an array that is written with relaxed atomics by anybody; before the segment
 * exists, and with control off, it is private memory. Per-heap counters (struct hak_heap_block,
 * abi.h) lie at a constant distance HAK_HEAP_DELTA behind the heap itself and are written
 * with plain stores by the one thread that runs the heap; readers of either sum up without a lock
 * and see exact figures when the process is quiet.
 */
#ifndef HAK_STATS_H
#define HAK_STATS_H

#include <stdatomic.h>

#include "control/abi/abi.h"
#include "hak.h"

/* [HAK_PROC_COUNTERS]; moves while others count: see hak_stats_move() */
extern HAK_HIDDEN _Atomic(_Atomic uint64_t *) hak_proc;

static inline _Atomic uint64_t *hak_proc_at(enum hak_proc_counter c)
{
	return &atomic_load_explicit(&hak_proc, memory_order_relaxed)[c];
}

/* Of each counter of the process, what control/abi/counters.def says of it. */
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
 * What is mapped for blocks, now and at most so far, for malloc_stats and malloc_info. Counted when
 * a mapping is made, split, joined or given back, by atomics, so that the largest sum ever reached
 * is the peak, whichever threads added to it. What is in use has no such count: a whale that comes
 * and goes with its pages would pay for it.
 */
enum hak_mapped {
	HAK_MAPPED_ALL,		 /* bytes; the two below together */
	HAK_MAPPED_EXTENTS,	 /* bytes of extents and single slabs */
	HAK_MAPPED_REGION_BYTES, /* whales in use, and regions kept */
	HAK_MAPPED_REGIONS,	 /* how many these are */
	HAK_MAPPED_KINDS
};
struct hak_peak {
	_Atomic uint64_t now, most;
};
extern HAK_HIDDEN struct hak_peak hak_mapped[HAK_MAPPED_KINDS];

void hak_mapped_extent(int64_t bytes);	     /* of an extent or a single slab; also MEM_MAPPED */
void hak_mapped_region_bytes(int64_t bytes); /* of a region; also MEM_MAPPED and RING_BYTES */
void hak_mapped_regions(int64_t n);	     /* also RING_REGIONS */

/* Address space of all heaps' caches, and of their counters, so much further. */
#define HAK_HEAP_REGION ((size_t)HAK_MAX_HEAPS * HAK_HEAP_STRIDE)
#define HAK_HEAP_DELTA	HAK_HEAP_REGION
#define HAK_HEAP_CHUNK	16u /* slots made usable at once */

struct hak_cache;

/*
 * Where in its slot a cache lies: not at the offset of its counters in theirs, or every store to a
 * counter would look, by its low 12 address bits, like a store to the bin that the next load reads.
 * Within one page.
 */
#define HAK_CACHE_OFFSET ((size_t)HAK_CLASSES * 16 - 48)

static inline struct hak_heap_block *hak_counters(struct hak_cache *c)
{
	return (struct hak_heap_block *)((char *)c - HAK_CACHE_OFFSET + HAK_HEAP_DELTA);
}

/* Slow-path counters of the calling thread's heap. */
#if HAK_CONTROL
#define hak_heap_count_n(c, sym, n)	(hak_counters(c)->heap[HAK_C_##sym] += (uint64_t)(n))
#define hak_class_count_n(c, sym, k, n) (hak_counters(c)->cls[HAK_C_##sym][k] += (uint64_t)(n))
#else
#define hak_heap_count_n(c, sym, n)	((void)(c), (void)(n))
#define hak_class_count_n(c, sym, k, n) ((void)(c), (void)(k), (void)(n))
#endif
#define hak_heap_count1(c, sym) hak_heap_count_n(c, sym, 1)

/*
 * For segment.c: PROC counters are counted in `shared` from now on (NULL: in private memory), what
 * was counted so far included. Whoever read the old pointer before may still add there: what comes
 * late is carried over by the next call or by hak_stats_fold().
 */
void hak_stats_move(_Atomic uint64_t *shared);
void hak_stats_fold(void);

/*
 * prepare: saves the gauges, which the child inherits; child: private counters, zero but for
 * those.
 */
void hak_stats_fork_prepare(void);
void hak_stats_fork_child(void);
/* In a child that counts in private memory, but not yet from zero: gauges as saved. */
void hak_stats_fork_inside(void);

#endif
