/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Walks over the blocks of a range of addresses (blocks.bpf.h), for space.bpf.c: notes pages that
 * were given back, looks for them, or counts those that are populated again.
 */
#ifndef HAK_WALK_BPF_H
#define HAK_WALK_BPF_H

#include "bpf/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/space.h"
#include "bpf/blocks.bpf.h"

/* For kernels without bpf_loop(). */
#define BLOCKS_UNROLLED 32
/* Far fewer than the table holds: one range must neither push all others out nor take long. */
#define BLOCKS_MAX 2048

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hak_space_totals);
} space_totals SEC(".maps");

enum { WALK_GIVE, WALK_GIVE_LAZY, WALK_LOOK, WALK_POPULATE };

/* One pass over the blocks of a range. */
struct walk {
	__u64 owner, start, end, now; /* in whole pages */
	__u64 found, late;	      /* pages: met within T, met later */
	__u32 what, pad;
};

static __always_inline void visit_word(struct walk *walk, struct hak_block *block, __u64 mask,
				       __u32 w, bool in_time, __u64 *added)
{
	__u64 old;

	switch (walk->what) {
	case WALK_GIVE:
	case WALK_GIVE_LAZY:
		old = __sync_fetch_and_or(&block->given[w], mask);
		*added += bits(mask & ~old);
		if (walk->what == WALK_GIVE_LAZY)
			__sync_fetch_and_or(&block->lazy[w], mask);
		else
			__sync_fetch_and_and(&block->lazy[w], ~mask);
		__sync_fetch_and_and(&block->read[w], ~mask);
		break;
	case WALK_LOOK:
		if (in_time)
			walk->found += bits(block->given[w] & ~block->lazy[w] & mask);
		break;
	case WALK_POPULATE:
		old = __sync_fetch_and_and(&block->given[w], ~mask) & mask;
		__sync_fetch_and_or(&block->again[w], old);
		note_add(HAK_NOTE_PAGES_TAKEN, bits(old));
		if (in_time)
			walk->found += bits(old);
		else
			walk->late += bits(old);
		break;
	}
}

static __always_inline void count_distance(__u64 ns, __u64 pages)
{
	struct hak_space_totals *totals;
	__u32 zero = 0;

	totals = bpf_map_lookup_elem(&space_totals, &zero);
	if (totals)
		totals->populated_slots[log2_slot(ns) % HAK_HISTOGRAM_SLOTS] += pages;
}

/*
 * Visits the `i`th block of the range; returns 1 behind its end. This and walk_range() are global
 * so that the verifier checks each once, and not once for each caller.
 */
__noinline int visit_block(struct walk *walk, __u32 i)
{
	struct hak_block_key key = { 0 };
	__u32 shift = filter.page_shift & 31;
	struct hak_block *block;
	__u64 base, added = 0, before;
	__s32 first, last;
	bool gives, in_time;

	if (!walk)
		return 1;
	key.owner = walk->owner;
	key.block = (walk->start >> HAK_BLOCK_SHIFT) + i;
	base = key.block << HAK_BLOCK_SHIFT;
	gives = walk->what == WALK_GIVE || walk->what == WALK_GIVE_LAZY;
	if (base >= walk->end)
		return 1;
	first = base < walk->start ? (walk->start - base) >> shift : 0;
	last = base + (1 << HAK_BLOCK_SHIFT) > walk->end ? (walk->end - base) >> shift
							 : (1 << HAK_BLOCK_SHIFT) >> shift;
	block = bpf_map_lookup_elem(&blocks, &key);
	if (!block && gives) {
		if (bpf_map_update_elem(&blocks, &key, (const void *)&no_block, BPF_NOEXIST) == 0)
			note_add(HAK_NOTE_BLOCKS_ADDED, 1);
		block = bpf_map_lookup_elem(&blocks, &key);
	}
	if (!block) {
		if (gives)
			note_add(HAK_NOTE_PAGES_UNFOLLOWED, last - first);
		return 0;
	}
	in_time = walk->now - block->time_ns < filter.window_ns;
	before = walk->found + walk->late;
	for (__u32 w = 0; w < HAK_BLOCK_WORDS; w++) {
		__u64 mask = word_mask(first, last, w);

		if (mask)
			visit_word(walk, block, mask, w, in_time, &added);
	}
	if (walk->what == WALK_POPULATE)
		count_distance(walk->now - block->time_ns, walk->found + walk->late - before);
	if (gives) {
		block->time_ns = walk->now;
		note_add(HAK_NOTE_PAGES_ADDED, added);
	}
	return 0;
}

/* For bpf_loop(): 0 continues. */
static long visit(__u32 i, struct walk *walk)
{
	return visit_block(walk, i) != 0;
}

__noinline int walk_range(struct walk *range)
{
	__u64 page = 1ULL << (filter.page_shift & 31), n, most = BLOCKS_UNROLLED;
	struct walk walk;

	if (!range || range->end <= range->start)
		return 0;
	walk = *range; /* bpf_loop() takes only what is on the stack */
	n = ((walk.end - 1) >> HAK_BLOCK_SHIFT) - (walk.start >> HAK_BLOCK_SHIFT) + 1;
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_loop)) {
		most = BLOCKS_MAX;
		bpf_loop(n < most ? n : most, visit, &walk, 0);
	} else {
		for (__u32 i = 0; i < BLOCKS_UNROLLED; i++)
			if (visit_block(&walk, i))
				break;
	}
	if (n > most && (walk.what == WALK_GIVE || walk.what == WALK_GIVE_LAZY))
		note_add(HAK_NOTE_PAGES_UNFOLLOWED, ((n - most) << HAK_BLOCK_SHIFT) / page);
	range->found = walk.found;
	range->late = walk.late;
	return 0;
}

#endif
