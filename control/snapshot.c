/* SPDX-License-Identifier: MIT */
/*
 * Takes a snapshot (see snapshot.h) through the segment's own descriptors, and computes the sums
 * that users see.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/budget.h"
#include "control/abi/schema.h"
#include "control/snapshot.h"

/* Bytes of heap slots in one read. */
#define CHUNK_BYTES (512u << 10)

/* -- reading ----------------------------------------------------------------------------------- */
static uint64_t word_at(const char *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return value;
}

static void add_heap(const struct hak_segment *seg, struct hak_snapshot *snap, const char *heap)
{
	for (uint32_t i = 0; i < snap->counters; i++) {
		const struct hak_counter_desc *d = &seg->counter[i];
		uint64_t *row = snap->by_class + (size_t)i * snap->classes;

		if (d->scope == HAK_SCOPE_HEAP) {
			snap->total[i] += word_at(heap + d->offset);
			continue;
		}
		if (d->scope != HAK_SCOPE_HOT && d->scope != HAK_SCOPE_CLASS)
			continue;
		for (uint32_t c = 0; c < snap->classes; c++) {
			uint64_t value = word_at(heap + d->offset + (size_t)c * d->stride);

			row[c] += value;
			snap->total[i] += value;
		}
	}
}

static int add_heaps(const struct hak_segment *seg, struct hak_snapshot *snap)
{
	const struct hak_stats_header *h = &seg->header;
	uint32_t at_once = h->heap_stride ? CHUNK_BYTES / h->heap_stride : 0, n;
	char *buf;
	int r = 0;

	if (at_once == 0 || snap->heaps == 0)
		return 0;
	buf = malloc((size_t)at_once * h->heap_stride);
	if (!buf)
		return -ENOMEM;
	for (uint32_t first = 0; r == 0 && first < snap->heaps; first += n) {
		n = snap->heaps - first < at_once ? snap->heaps - first : at_once;
		r = hak_segment_read(seg, h->heaps_off + (uint64_t)first * h->heap_stride, buf,
				     (size_t)n * h->heap_stride);
		for (uint32_t i = 0; r == 0 && i < n; i++) {
			add_heap(seg, snap, buf + (size_t)i * h->heap_stride);
			if (hak_budget_spent())
				r = -ETIME;
		}
	}
	free(buf);
	return r;
}

static int add_process(const struct hak_segment *seg, struct hak_snapshot *snap)
{
	const struct hak_stats_header *h = &seg->header;
	char *proc = malloc(h->proc_bytes + 1);
	int r;

	if (!proc)
		return -ENOMEM;
	r = hak_segment_read(seg, h->proc_off, proc, h->proc_bytes);
	for (uint32_t i = 0; r == 0 && i < snap->counters; i++)
		if (seg->counter[i].scope == HAK_SCOPE_PROC)
			snap->total[i] = word_at(proc + seg->counter[i].offset);
	free(proc);
	return r;
}

/* Counters are read one after the other, so a difference may fall below 0 for a moment. */
static uint64_t above_zero(uint64_t difference)
{
	return (int64_t)difference < 0 ? 0 : difference;
}

/* See enum hak_kind. */
static void part_whales(const struct hak_segment *seg, struct hak_snapshot *snap)
{
	struct hak_use whales = hak_tier_use(seg, snap, HAK_TIER_WHALE);

	for (uint32_t i = 0; i < snap->counters; i++) {
		const struct hak_counter_desc *d = &seg->counter[i];
		uint64_t n = d->unit == HAK_UNIT_COUNT ? whales.in_use : whales.in_use_bytes;

		if (d->kind == HAK_KIND_GROSS)
			snap->total[i] = above_zero(snap->total[i] - n);
	}
}

int hak_snapshot_take(const struct hak_segment *seg, struct hak_snapshot *ret)
{
	const struct hak_stats_header *h = &seg->header;
	struct hak_snapshot snap = { .counters = h->counters, .classes = h->classes };
	struct hak_ack ack;
	int r;

	r = hak_segment_read(seg, seg->header.ack_off, &ack, sizeof(ack));
	if (r < 0)
		return r;
	snap.time_ns = hak_segment_now_ns(seg);
	snap.applied = ack.applied;
	snap.agent = ack.agent;
	snap.heaps = ack.heaps_populated < h->heaps_max ? ack.heaps_populated : h->heaps_max;
	snap.total = calloc(2 * (size_t)snap.counters + 1, sizeof(uint64_t));
	snap.by_class = calloc((size_t)snap.counters * snap.classes + 1, sizeof(uint64_t));
	r = -ENOMEM;
	if (snap.total && snap.by_class)
		r = add_process(seg, &snap);
	if (r == 0)
		r = add_heaps(seg, &snap);
	if (r < 0) {
		hak_snapshot_free(&snap);
		return r;
	}
	snap.cell = snap.total + snap.counters;
	memcpy(snap.cell, snap.total, snap.counters * sizeof(uint64_t));
	part_whales(seg, &snap);
	*ret = snap;
	return 0;
}

void hak_snapshot_free(struct hak_snapshot *snap)
{
	free(snap->total);
	free(snap->by_class);
	snap->total = snap->cell = snap->by_class = NULL;
}

uint64_t hak_total(const struct hak_segment *seg, const struct hak_snapshot *snap, uint16_t id)
{
	int i = hak_segment_counter(seg, id);

	return i < 0 ? 0 : snap->total[i];
}

uint64_t hak_of_class(const struct hak_segment *seg, const struct hak_snapshot *snap, uint16_t id,
		      uint32_t cls)
{
	int i = hak_segment_counter(seg, id);

	return i < 0 || cls >= snap->classes ? 0 : snap->by_class[(size_t)i * snap->classes + cls];
}

int hak_counter_read(const struct hak_segment *seg, uint16_t id, uint64_t *ret)
{
	int i = hak_segment_counter(seg, id);

	*ret = 0;
	if (i < 0 || seg->counter[i].scope != HAK_SCOPE_PROC)
		return 0;
	return hak_segment_read(seg, seg->header.proc_off + seg->counter[i].offset, ret,
				sizeof(*ret));
}

/* -- what follows from them -------------------------------------------------------------------- */
enum hak_tier hak_tier_of(uint32_t class_size)
{
	if (class_size <= 1024)
		return HAK_TIER_TINY;
	return class_size <= 65536 ? HAK_TIER_MID : HAK_TIER_LARGE;
}

const char *hak_tier_word(enum hak_tier tier)
{
	static const char *const words[] = { "tiny", "mid", "large", "whale" };

	return words[tier];
}

struct hak_use hak_class_use(const struct hak_segment *seg, const struct hak_snapshot *snap,
			     uint32_t cls)
{
	uint64_t size = seg->class_size[cls];
	uint64_t allocs = hak_of_class(seg, snap, HAK_ID_ALLOCS, cls);
	uint64_t frees = hak_of_class(seg, snap, HAK_ID_FREES, cls);
	uint64_t refilled = hak_of_class(seg, snap, HAK_ID_REFILLED, cls);
	uint64_t flushed = hak_of_class(seg, snap, HAK_ID_FLUSHED, cls);
	uint64_t inherited = hak_of_class(seg, snap, HAK_ID_INHERITED, cls);
	uint64_t samples = hak_of_class(seg, snap, HAK_ID_REQ_SAMPLES, cls);
	uint64_t sampled = hak_of_class(seg, snap, HAK_ID_REQ_BYTES, cls);
	struct hak_use use = {
		.allocs = allocs,
		.frees = frees,
		.in_use = above_zero(inherited + allocs - frees),
		.cached = above_zero(refilled + frees - allocs - flushed),
	};

	use.in_use_bytes = use.in_use * size;
	use.cached_bytes = use.cached * size;
	use.alloc_bytes = allocs * size;
	use.free_bytes = frees * size;
	/* Applies the mean of the samples to all blocks in use; never more than the blocks hold. */
	use.requested_bytes = use.in_use_bytes;
	if (samples) {
		double requested = (double)use.in_use * ((double)sampled / (double)samples);

		if (requested < (double)use.in_use_bytes)
			use.requested_bytes = (uint64_t)requested;
	}
	return use;
}

static struct hak_use whale_use(const struct hak_segment *seg, const struct hak_snapshot *snap)
{
	uint64_t inherited = hak_total(seg, snap, HAK_ID_WHALE_INHERITED_BYTES);
	struct hak_use use = {
		.allocs = hak_total(seg, snap, HAK_ID_WHALE_ALLOCS),
		.frees = hak_total(seg, snap, HAK_ID_WHALE_FREES),
		.alloc_bytes = hak_total(seg, snap, HAK_ID_WHALE_ALLOC_BYTES),
		.free_bytes = hak_total(seg, snap, HAK_ID_WHALE_FREE_BYTES),
	};

	use.in_use =
		above_zero(hak_total(seg, snap, HAK_ID_WHALE_INHERITED) + use.allocs - use.frees);
	use.in_use_bytes = above_zero(inherited + use.alloc_bytes - use.free_bytes);
	use.requested_bytes = above_zero(hak_total(seg, snap, HAK_ID_WHALE_INHERITED_REQ) +
					 hak_total(seg, snap, HAK_ID_WHALE_REQ_ALLOC) -
					 hak_total(seg, snap, HAK_ID_WHALE_REQ_FREE));
	return use;
}

struct hak_use hak_tier_use(const struct hak_segment *seg, const struct hak_snapshot *snap,
			    enum hak_tier tier)
{
	struct hak_use sum = { 0 };

	if (tier == HAK_TIER_WHALE)
		return whale_use(seg, snap);
	for (uint32_t c = 0; c < snap->classes; c++) {
		struct hak_use use;

		if (hak_tier_of(seg->class_size[c]) != tier)
			continue;
		use = hak_class_use(seg, snap, c);
		sum.allocs += use.allocs;
		sum.frees += use.frees;
		sum.in_use += use.in_use;
		sum.in_use_bytes += use.in_use_bytes;
		sum.requested_bytes += use.requested_bytes;
		sum.cached += use.cached;
		sum.cached_bytes += use.cached_bytes;
		sum.alloc_bytes += use.alloc_bytes;
		sum.free_bytes += use.free_bytes;
	}
	return sum;
}

struct hak_memory hak_memory_of(const struct hak_segment *seg, const struct hak_snapshot *snap)
{
	struct hak_memory m = {
		.dirty = hak_total(seg, snap, HAK_ID_MEM_DIRTY),
		.lazy = hak_total(seg, snap, HAK_ID_MEM_LAZY),
		.clean = hak_total(seg, snap, HAK_ID_MEM_CLEAN),
		.mapped = hak_total(seg, snap, HAK_ID_MEM_MAPPED),
		.metadata = hak_total(seg, snap, HAK_ID_MEM_META),
	};
	uint64_t held =
		hak_total(seg, snap, HAK_ID_MEM_SLAB) + hak_total(seg, snap, HAK_ID_MEM_RUN);
	uint64_t blocks = 0, whales = 0;

	for (enum hak_tier tier = 0; tier < HAK_TIERS; tier++) {
		struct hak_use use = hak_tier_use(seg, snap, tier);

		m.in_use += use.in_use_bytes;
		m.requested += use.requested_bytes;
		m.thread_cached += use.cached_bytes;
		if (tier == HAK_TIER_WHALE)
			whales = use.in_use_bytes;
		else
			blocks += use.in_use_bytes + use.cached_bytes;
	}
	m.slab_free = above_zero(held - blocks);
	m.reserved = above_zero(m.mapped - held - whales - m.dirty - m.lazy - m.clean);
	return m;
}

/* -- tunables ---------------------------------------------------------------------------------- */
static uint64_t left_ns(const struct hak_segment *seg, uint64_t deadline_ns)
{
	uint64_t now = hak_segment_now_ns(seg);

	/* The deadline is over, and the process has not noticed yet. 0 would mean no deadline. */
	return deadline_ns > now ? deadline_ns - now : 1;
}

/* Returns whether what was written from outside differs from what the process last obeyed. */
static bool wants_change(const struct hak_tune_slot *policy, const struct hak_tune_slot *admin,
			 const struct hak_ack_value *ack)
{
	if (admin->set)
		return ack->origin != HAK_ORIGIN_ADMIN || ack->asked != admin->value;
	if (policy->set)
		return ack->origin != HAK_ORIGIN_POLICY || ack->asked != policy->value;
	return ack->origin == HAK_ORIGIN_ADMIN || ack->origin == HAK_ORIGIN_POLICY;
}

bool hak_layer_holds(const struct hak_segment *seg, const struct hak_tunable_state *state,
		     enum hak_origin origin)
{
	const struct hak_tune_slot *slot = &state->slot[origin];

	return slot->set && (!slot->deadline_ns || slot->deadline_ns > hak_segment_now_ns(seg));
}

int hak_tunables_read(const struct hak_segment *seg, struct hak_tunable_state **ret)
{
	struct hak_tunable_state *all;
	struct hak_tune tune = { 0 };
	struct hak_ack ack;
	int r;

	r = hak_segment_read(seg, seg->header.ack_off, &ack, sizeof(ack));
	if (r < 0)
		return r;
	if (hak_segment_read_tune(seg, &tune) < 0)
		tune = (struct hak_tune){ .generation_seq = ack.applied };
	all = calloc(seg->header.tunables + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (uint32_t i = 0; i < seg->header.tunables; i++) {
		struct hak_tunable_state *s = &all[i];

		s->ack = ack.value[i];
		s->slot[HAK_ORIGIN_POLICY] = tune.slot[i].policy;
		s->slot[HAK_ORIGIN_ADMIN] = tune.slot[i].admin;
		s->pending = (int64_t)(tune.generation_seq - ack.applied) > 0 &&
			     wants_change(&tune.slot[i].policy, &tune.slot[i].admin, &s->ack);
		if (s->ack.origin < HAK_ORIGINS && s->slot[s->ack.origin].deadline_ns)
			s->expires_ns = left_ns(seg, s->slot[s->ack.origin].deadline_ns);
	}
	*ret = all;
	return 0;
}
