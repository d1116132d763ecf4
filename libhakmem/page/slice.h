/* SPDX-License-Identifier: MIT */
/*
 * Address to owner. Every 64 KiB slice of the address space that is ours has one struct
 * hak_slice (16 bytes, read mostly: four share a cache line, and nothing a remote free writes
 * lies here) and one struct hak_slab (slab.h) for the state of the slab in it. Both lie in dense
 * arrays, one pair per 4 GiB window ("leaf"), not in the slab: a free touches no page of the heap
 * but the block's own, and headers at 64 KiB strides would share one cache set. A root table in
 * .bss finds the leaf. Leaves are reserved readable, so that looking up a stranger's address is
 * safe, and enabled piece by piece: 2 GiB of flat map would become resident under mlockall and be
 * charged under overcommit 2.
 *
 * In front of both arrays lies the map that the fast path of free reads and nothing else: one byte
 * per slice, the size class + 1 of the slab in it, 0 for all that is no slab. One 4 KiB page of
 * it spans 256 MiB.
 *
 * kind 0 is foreign. `word` is the owner: for a slab the thread cache that owns it (or the pool),
 * for others the struct behind the slice. Set before a pointer into the slice escapes, cleared
 * before the slice is unmapped. Whoever may change a slice: the module named by its kind, see
 * there.
 */
#ifndef HAK_SLICE_H
#define HAK_SLICE_H

#include <stdatomic.h>

#include "base/hak.h"

enum hak_kind_of_granule {
	HAK_FOREIGN,
	HAK_SLAB,  /* word: struct hak_cache *owner; the only kind with a tag */
	HAK_RUNS,  /* word: struct hak_extent * */
	HAK_WHALE, /* first slice of a whale; word: struct hak_region * */
	/*
	 * first and last slice of a region in the region cache; word: struct hak_region *;
	 * HAK_LOCK_RCACHE
	 */
	HAK_KEPT,
};

struct hak_slice {
	_Atomic(void *) word;
	_Atomic uint8_t kind;
	uint8_t cls; /* slab: size class */
	uint8_t reserved[6];
};

#if defined(__aarch64__)
#define HAK_ADDRESS_BITS 48
#else
#define HAK_ADDRESS_BITS 47
#endif
#define HAK_LEAF_BITS	  32 /* address bits a leaf covers */
#define HAK_LEAVES	  ((size_t)1 << (HAK_ADDRESS_BITS - HAK_LEAF_BITS))
#define HAK_LEAF_GRANULES ((size_t)1 << (HAK_LEAF_BITS - 16))

struct hak_slab;

#define HAK_SLAB_RECORD ((size_t)128)	  /* bytes of struct hak_slab: two cache lines */
#define HAK_LEAF_TAGS	HAK_LEAF_GRANULES /* bytes; the slices follow */

extern HAK_HIDDEN _Atomic(uint8_t *) hak_leaves[HAK_LEAVES];

/* The tags of a leaf, or NULL for what cannot be ours. */
static inline uint8_t *hak_slice_leaf(const void *p)
{
	uintptr_t a = (uintptr_t)p;

	if (hak_unlikely(a >> HAK_ADDRESS_BITS))
		return NULL;
	/* consume: the leaf was filled before its address was stored (slice.c, release) */
	return atomic_load_explicit(&hak_leaves[a >> HAK_LEAF_BITS], memory_order_relaxed);
}

static inline size_t hak_slice_index(const void *p)
{
	return (uintptr_t)p >> 16 & (HAK_LEAF_GRANULES - 1);
}

/* Size class + 1 of the slab p lies in; 0: no slab. Lock-free, safe for any value. */
static inline size_t hak_slice_tag(const void *p)
{
	uint8_t *leaf = hak_slice_leaf(p);

	return hak_likely(leaf) ? __atomic_load_n(&leaf[hak_slice_index(p)], __ATOMIC_RELAXED) : 0;
}

/* The slice of an address; NULL for what cannot be ours. Lock-free, safe for any value. */
static inline struct hak_slice *hak_slice(const void *p)
{
	uint8_t *leaf = hak_slice_leaf(p);

	if (hak_unlikely(!leaf))
		return NULL;
	return (struct hak_slice *)(leaf + HAK_LEAF_TAGS) + hak_slice_index(p);
}

/* The slab descriptor beside a slice that was prepared with slabs = true. */
struct hak_slab *hak_slice_slab(const struct hak_slice *g, const void *p);

/* The slice of an address known to be prepared. */
static inline struct hak_slice *hak_slice_ours(const void *p)
{
	struct hak_slice *g = hak_slice(p);

	if (!g)
		__builtin_unreachable();
	return g;
}

/*
 * Makes the slices of [p, p + bytes) writable, and their slab descriptors if `slabs`. 0 or
 * -ENOMEM. Takes HAK_LOCK_META. What was prepared stays so.
 */
int hak_slice_prepare(const void *p, size_t bytes, bool slabs);

static inline enum hak_kind_of_granule hak_slice_kind(const struct hak_slice *g)
{
	/* acquire: pairs with the release below; whoever sees the kind sees what it names */
	return g ? atomic_load_explicit(&g->kind, memory_order_acquire) : HAK_FOREIGN;
}

/*
 * slab.c: the tag of a slab, set before its first block escapes and cleared (0) after its last came
 * back.
 */
static inline void hak_slice_set_tag(const void *p, unsigned int tag)
{
	uint8_t *leaf = hak_slice_leaf(p);

	__atomic_store_n(&leaf[hak_slice_index(p)], (uint8_t)tag, __ATOMIC_RELAXED);
}

/* On a prepared slice, by the module that owns it. */
static inline void hak_slice_set(struct hak_slice *g, enum hak_kind_of_granule kind, void *word)
{
	atomic_store_explicit(&g->word, word, memory_order_relaxed);
	atomic_store_explicit(&g->kind, (uint8_t)kind, memory_order_release);
}

static inline void hak_slice_clear(struct hak_slice *g)
{
	atomic_store_explicit(&g->kind, HAK_FOREIGN, memory_order_relaxed);
	atomic_store_explicit(&g->word, NULL, memory_order_relaxed);
}

#endif
