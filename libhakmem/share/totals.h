/* SPDX-License-Identifier: MIT */
/*
 * Sums of the counters, for the program itself (hakmem.h, mallinfo). Programs outside form the same
 * sums from the segment: control/snapshot.c.
 */
#ifndef HAK_TOTALS_H
#define HAK_TOTALS_H

#include "base/hak.h"
#include "control/abi/abi.h"

/*
 * Sums over all heaps, published or not. They are exact while no other thread runs. Takes no lock.
 */
struct hak_totals {
	uint64_t proc[HAK_PROC_COUNTERS];
	uint64_t heap[HAK_HEAP_COUNTERS];
	struct {
		uint64_t allocs, frees;
		uint64_t cls[HAK_CLASS_COUNTERS];
		uint64_t in_use, cached; /* blocks, derived */
	} cls[HAK_CLASSES];
	uint64_t whales, whale_bytes; /* in use, derived */
	uint64_t in_use_bytes;	      /* usable bytes of all blocks in use, whales included */
	uint64_t cached_bytes;	      /* blocks in thread caches */
};
void hak_stats_totals(struct hak_totals *ret);

#endif
