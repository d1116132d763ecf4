/* SPDX-License-Identifier: MIT */
/*
 * The figures of one process at one moment: every counter that its segment describes, summed over
 * heaps, and what follows from them (memory by state, by tier, by class).
 *
 * For hakmemctl, hakmemd and tests. A snapshot is plain memory of the caller. While the process
 * runs, figures are read at slightly different moments and may contradict each other; differences
 * below 0 are then shown as 0.
 */
#ifndef HAK_SNAPSHOT_H
#define HAK_SNAPSHOT_H

#include "control/segment.h"

enum hak_tier { HAK_TIER_TINY, HAK_TIER_MID, HAK_TIER_LARGE, HAK_TIER_WHALE, HAK_TIERS };

struct hak_snapshot {
	uint64_t time_ns; /* CLOCK_BOOTTIME of the process */
	uint64_t applied; /* generation of tunables last applied */
	uint32_t heaps;	  /* slots read: the most heaps that existed at one time */
	uint32_t agent;
	uint32_t counters, classes;
	uint64_t *total;    /* [counters], in the order of the segment's descriptors */
	uint64_t *cell;	    /* [counters]: the same with whales in use still part of GROSS gauges */
	uint64_t *by_class; /* [counters][classes]; zeros for scopes that have no classes */
};

/* Returns 0, -ENOMEM, -ETIME (budget.h) or the error of a read. *ret needs hak_snapshot_free()
 * after success only. */
int hak_snapshot_take(const struct hak_segment *seg, struct hak_snapshot *ret);
void hak_snapshot_free(struct hak_snapshot *snap);

/* Returns a counter by its id in counters.def; 0 when this process has no such counter. */
uint64_t hak_total(const struct hak_segment *seg, const struct hak_snapshot *snap, uint16_t id);
uint64_t hak_of_class(const struct hak_segment *seg, const struct hak_snapshot *snap, uint16_t id,
		      uint32_t cls);

/* Reads one counter of scope PROC without a snapshot. Returns 0, with 0 if this process has no such
 * counter, or the error of the read. */
int hak_counter_read(const struct hak_segment *seg, uint16_t id, uint64_t *ret);

/* Blocks and bytes of one class or tier. Requested bytes are an estimate from samples for classes,
 * and exact for whales. */
struct hak_use {
	uint64_t allocs, frees;
	uint64_t in_use, in_use_bytes;
	uint64_t requested_bytes;
	uint64_t cached, cached_bytes; /* in thread caches */
	uint64_t alloc_bytes,
		free_bytes; /* of all allocs and frees; whales count what realloc adds */
};

enum hak_tier hak_tier_of(uint32_t class_size);
const char *hak_tier_word(enum hak_tier tier);
struct hak_use hak_class_use(const struct hak_segment *seg, const struct hak_snapshot *snap,
			     uint32_t cls);
struct hak_use hak_tier_use(const struct hak_segment *seg, const struct hak_snapshot *snap,
			    enum hak_tier tier);

/* Where the memory is, in bytes. mapped = in_use + thread_cached + slab_free + dirty + lazy + clean
 * + reserved. */
struct hak_memory {
	uint64_t in_use;	/* usable bytes of blocks in use */
	uint64_t requested;	/* requested bytes of these blocks: an estimate */
	uint64_t thread_cached; /* freed blocks in thread caches */
	uint64_t slab_free;	/* free or not yet carved within slabs and runs in use */
	uint64_t dirty; /* free, resident as far as touched, waiting for the purge or for reuse */
	uint64_t lazy;	/* lazily freed: in RSS until the kernel wants it */
	uint64_t clean; /* free, without pages */
	uint64_t reserved; /* mapped and not yet used */
	uint64_t mapped;
	uint64_t metadata; /* the allocator's own tables, not part of mapped */
};
/* What CachedMax= limits as far as it is resident: hak_resident_cached(). */
static inline uint64_t hak_memory_cached(const struct hak_memory *m)
{
	return m->thread_cached + m->dirty + m->lazy;
}
struct hak_memory hak_memory_of(const struct hak_segment *seg, const struct hak_snapshot *snap);

/* What is in force for one tunable, and why. */
struct hak_tunable_state {
	struct hak_ack_value ack;		/* of the process */
	struct hak_tune_slot slot[HAK_ORIGINS]; /* POLICY and ADMIN as written from outside; zeros
						   if unreadable */
	uint64_t expires_ns; /* time left to the deadline of the layer in force; 0: none */
	bool pending;	     /* written from outside, not yet applied */
};

/* Returns whether that layer holds a value, as written from outside, whether or not the process has
 * applied it. A value whose deadline has passed does not count. */
bool hak_layer_holds(const struct hak_segment *seg, const struct hak_tunable_state *state,
		     enum hak_origin origin);

/* Reads all tunables, in the order of the segment's descriptors, into a new array for the caller to
 * free. Returns 0 or -errno. */
int hak_tunables_read(const struct hak_segment *seg, struct hak_tunable_state **ret);

#endif
