/* SPDX-License-Identifier: MIT */
/*
 * The address map, from an address to its owner. Every 64 KiB slice of the library's address space
 * has one struct hak_slice (16 bytes, read mostly: four share a cache line, and no remote free
 * writes there) and one struct hak_slab (slab.h) for the state of the slab in it. Both lie in dense
 * arrays, one pair per 4 GiB window ("leaf"), and not in the slab. So a free touches no page of the
 * heap but the block's own; headers at 64 KiB strides would also share one cache set. A root table
 * in .bss finds the leaf. Leaves are reserved readable, so that looking up any address is safe, and
 * enabled piece by piece: 2 GiB of flat map would become resident under mlockall and be charged
 * under overcommit 2.
 *
 * In front of both arrays lies the map that the fast path of free reads, and nothing else: one byte
 * for each slice, the size class + 1 of the slab in it, or 0 if there is no slab. One 4 KiB page of
 * this map spans 256 MiB.
 *
 * Kind 0 is foreign. `word` is the owner: for a slab the thread cache that owns it (or the pool),
 * for others the struct behind the slice. A slice is set before a pointer into it escapes, and
 * cleared before it is unmapped. Only the module named by its kind may change a slice.
 */
#ifndef HAK_SLICE_H
#define HAK_SLICE_H

#include <stdatomic.h>

#include "base/hak.h"

enum hak_kind_of_slice {
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
#define HAK_LEAF_BITS	32 /* address bits that a leaf covers */
#define HAK_LEAVES	((size_t)1 << (HAK_ADDRESS_BITS - HAK_LEAF_BITS))
#define HAK_LEAF_SLICES ((size_t)1 << (HAK_LEAF_BITS - 16))

struct hak_slab;

#define HAK_SLAB_RECORD ((size_t)128)	/* bytes of struct hak_slab: two cache lines */
#define HAK_LEAF_TAGS	HAK_LEAF_SLICES /* bytes; the slices follow */
/* where the slab descriptors of a leaf begin, behind its slices */
#define HAK_LEAF_SLABS (HAK_LEAF_TAGS + HAK_LEAF_SLICES * sizeof(struct hak_slice))

extern HAK_HIDDEN _Atomic(uint8_t *) hak_leaves[HAK_LEAVES];

/* Returns the tags of a leaf, or NULL for an address outside of the map. */
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
	return (uintptr_t)p >> 16 & (HAK_LEAF_SLICES - 1);
}

/* Returns size class + 1 of the slab in which p lies; 0: no slab. Lock-free, safe for any value. */
static inline size_t hak_slice_tag(const void *p)
{
	uint8_t *leaf = hak_slice_leaf(p);

	return hak_likely(leaf) ? __atomic_load_n(&leaf[hak_slice_index(p)], __ATOMIC_RELAXED) : 0;
}

/*
 * Returns the slice of an address; NULL for an address outside of the map. Lock-free, safe for any
 * value.
 */
static inline struct hak_slice *hak_slice(const void *p)
{
	uint8_t *leaf = hak_slice_leaf(p);

	if (hak_unlikely(!leaf))
		return NULL;
	return (struct hak_slice *)(leaf + HAK_LEAF_TAGS) + hak_slice_index(p);
}

/* Returns the slab descriptor beside a slice that was prepared with slabs = true. */
struct hak_slab *hak_slice_slab(const struct hak_slice *g, const void *p);

/* Returns the slice of an address that is known to be prepared. */
static inline struct hak_slice *hak_slice_ours(const void *p)
{
	struct hak_slice *g = hak_slice(p);

	if (!g)
		__builtin_unreachable();
	return g;
}

/*
 * Makes the slices of [p, p + bytes) writable, and their slab descriptors if `slabs`. Returns 0 or
 * -ENOMEM. Takes HAK_LOCK_META. Prepared slices stay prepared.
 */
int hak_slice_prepare(const void *p, size_t bytes, bool slabs);

static inline enum hak_kind_of_slice hak_slice_kind(const struct hak_slice *g)
{
	/* acquire: pairs with the release below; a reader of the kind sees what the slice names */
	return g ? atomic_load_explicit(&g->kind, memory_order_acquire) : HAK_FOREIGN;
}

/*
 * For slab.c: the tag of a slab is set before the slab's first block escapes, and cleared (0) after
 * the last came back.
 */
static inline void hak_slice_set_tag(const void *p, unsigned int tag)
{
	uint8_t *leaf = hak_slice_leaf(p);

	__atomic_store_n(&leaf[hak_slice_index(p)], (uint8_t)tag, __ATOMIC_RELAXED);
}

/* Sets a prepared slice. Called by the module that owns it. */
static inline void hak_slice_set(struct hak_slice *g, enum hak_kind_of_slice kind, void *word)
{
	atomic_store_explicit(&g->word, word, memory_order_relaxed);
	atomic_store_explicit(&g->kind, (uint8_t)kind, memory_order_release);
}

static inline void hak_slice_clear(struct hak_slice *g)
{
	atomic_store_explicit(&g->kind, HAK_FOREIGN, memory_order_relaxed);
	atomic_store_explicit(&g->word, NULL, memory_order_relaxed);
}

/*
 * Checks each slice that may be set: a foreign one has no word; a slab has its class as tag and a
 * descriptor that is memory, and no other slice has a tag. Calls `owner` with the address of each
 * slice that is not foreign, in ascending order (map.h). No thread may run meanwhile.
 */
#if HAK_DEBUG
void hak_slice_check(void (*owner)(char *p, const struct hak_slice *g));
#else
static inline void hak_slice_check(void (*owner)(char *p, const struct hak_slice *g))
{
	(void)owner;
}
#endif

#endif
