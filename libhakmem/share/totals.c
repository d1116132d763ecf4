/* SPDX-License-Identifier: MIT */
/* Sums over all heaps. See totals.h. */
#include "totals.h"

#include "base/class.h"
#include "base/stats.h"
#include "heap/heap.h"

/* Of the blocks that have no tallies the second half is not even read: it has no memory. */
static void add_block(struct hak_totals *t, const struct hak_heap_block *b, bool tallies)
{
	unsigned int of_class = tallies ? HAK_CLASS_COUNTERS : HAK_FIRST_TALLY;

	for (unsigned int i = 0; i < HAK_HEAP_COUNTERS; i++)
		t->heap[i] += b->heap[i];
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		t->cls[k].allocs += b->hot[k].allocs;
		t->cls[k].frees += b->hot[k].frees;
		for (unsigned int i = 0; i < of_class; i++)
			t->cls[k].cls[i] += b->cls[i][k];
	}
}

/* A difference of sums that were not read at one instant may come out negative; it is zero then. */
static uint64_t at_least_zero(uint64_t n)
{
	return (int64_t)n < 0 ? 0 : n;
}

/* Every free goes through a cache, whichever thread owns the block's slab. */
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
		uint64_t in_use = hak_proc_row[i].unit == HAK_UNIT_COUNT ? t->whales
									 : t->whale_bytes;

		if (hak_proc_row[i].kind == HAK_KIND_GROSS)
			t->proc[i] = at_least_zero(t->proc[i] - in_use);
	}
	t->in_use_bytes += t->whale_bytes;
}

void hak_stats_totals(struct hak_totals *ret)
{
	unsigned int heaps = hak_heap_count();

	__builtin_memset(ret, 0, sizeof(*ret));
	for (unsigned int i = 0; i < heaps; i++)
		add_block(ret, hak_heap_block_at(i), i < HAK_TALLY_BLOCKS);
	for (unsigned int i = 0; i < HAK_PROC_COUNTERS; i++)
		ret->proc[i] = hak_proc_read(i);
	for (unsigned int k = 0; k < HAK_CLASSES; k++)
		derive_class(ret, k);
	derive_whales(ret);
}
