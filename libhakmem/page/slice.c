/* SPDX-License-Identifier: MIT */
/* The leaves of the address map. See slice.h. */
#include "slice.h"

#include <errno.h>

#include "base/lock.h"
#include "system/os.h"

/*
 * A leaf consists of tags, slices and slab descriptors. It is enabled in pieces, with one bit for
 * each piece.
 */
#define SLABS_BYTES (HAK_LEAF_SLICES * HAK_SLAB_RECORD) /* 8 MiB */
#define PIECE	    ((size_t)16 << 10)			/* or a page, if that is larger */
#define LEAF_BYTES  (HAK_LEAF_SLABS + SLABS_BYTES)
#define PIECES	    (LEAF_BYTES / PIECE)

_Static_assert(sizeof(struct hak_slice) == 16, "four slices share a cache line");
_Static_assert(sizeof(_Atomic(void *)) == 8, "64-bit only");

_Atomic(uint8_t *) hak_leaves[HAK_LEAVES];

/*
 * Which pieces of a leaf are writable. Lies after the leaf's arrays, in a piece of its own.
 * HAK_LOCK_META.
 */
struct enabled {
	uint64_t bits[(PIECES + 63) / 64];
};

static size_t piece(void)
{
	return hak_page > PIECE ? hak_page : PIECE;
}

static struct enabled *enabled_of(uint8_t *leaf)
{
	return (struct enabled *)(leaf + LEAF_BYTES);
}

static uint8_t *new_leaf(size_t index)
{
	uint8_t *leaf = hak_os_reserve(LEAF_BYTES + piece(), true);

	if (!leaf)
		return NULL;
	if (hak_os_enable(enabled_of(leaf), hak_page)) {
		hak_os_unmap(leaf, LEAF_BYTES + piece());
		return NULL;
	}
	/* release: pairs with the dependent load in hak_slice_leaf */
	atomic_store_explicit(&hak_leaves[index], leaf, memory_order_release);
	return leaf;
}

static int enable(uint8_t *leaf, size_t first_byte, size_t last_byte)
{
	struct enabled *e = enabled_of(leaf);

	for (size_t i = first_byte / piece(); i <= last_byte / piece(); i++) {
		if (e->bits[i / 64] >> (i % 64) & 1)
			continue;
		if (hak_os_enable(leaf + i * piece(), piece()))
			return -ENOMEM;
		e->bits[i / 64] |= (uint64_t)1 << (i % 64);
	}
	return 0;
}

static int prepare_in_leaf(uintptr_t a, size_t slices, bool slabs)
{
	uint8_t *leaf = atomic_load_explicit(&hak_leaves[a >> HAK_LEAF_BITS], memory_order_relaxed);
	size_t first = a >> 16 & (HAK_LEAF_SLICES - 1), last = first + slices - 1;
	int r;

	if (!leaf)
		leaf = new_leaf(a >> HAK_LEAF_BITS);
	if (!leaf)
		return -ENOMEM;
	r = enable(leaf, first, last);
	if (!r)
		r = enable(leaf, HAK_LEAF_TAGS + first * sizeof(struct hak_slice),
			   HAK_LEAF_TAGS + last * sizeof(struct hak_slice));
	if (!r && slabs)
		r = enable(leaf, HAK_LEAF_SLABS + first * HAK_SLAB_RECORD,
			   HAK_LEAF_SLABS + last * HAK_SLAB_RECORD);
	return r;
}

/*
 * Makes the first touches of the map around [a, end) while no lock is held. Slices are set and
 * neighbours looked at under EXTENT or RCACHE, where a thread that the kernel throttles would hold
 * up all other threads.
 */
static void touch(uintptr_t a, uintptr_t end)
{
	*(volatile uint8_t *)hak_slice_ours((void *)a)->reserved = 0;
	*(volatile uint8_t *)hak_slice_ours((void *)(end - 1))->reserved = 0;
	hak_slice_kind(hak_slice((void *)(a - 1)));
	hak_slice_kind(hak_slice((void *)end));
}

int hak_slice_prepare(const void *p, size_t bytes, bool slabs)
{
	uintptr_t a = (uintptr_t)p, end = a + bytes;
	int r = 0;

	if (end >> HAK_ADDRESS_BITS)
		return -ENOMEM;
	hak_lock(HAK_LOCK_META);
	while (!r && a < end) {
		uintptr_t window = ((a >> HAK_LEAF_BITS) + 1) << HAK_LEAF_BITS;
		uintptr_t stop = window < end ? window : end;

		r = prepare_in_leaf(a, (stop - a + HAK_SLICE - 1) >> 16, slabs);
		a = stop;
	}
	hak_unlock(HAK_LOCK_META);
	if (!r)
		touch((uintptr_t)p, end);
	return r;
}

struct hak_slab *hak_slice_slab(const struct hak_slice *g, const void *p)
{
	size_t i = hak_slice_index(p);

	return (struct hak_slab *)((char *)(g - i) - HAK_LEAF_TAGS + HAK_LEAF_SLABS +
				   i * HAK_SLAB_RECORD);
}

/* ---- invariants ---- */

#if HAK_DEBUG

static bool is_enabled(uint8_t *leaf, size_t byte)
{
	size_t i = byte / piece();

	return enabled_of(leaf)->bits[i / 64] >> (i % 64) & 1;
}

static void check_slice(uint8_t *leaf, size_t i, const struct hak_slice *g)
{
	enum hak_kind_of_slice kind = hak_slice_kind(g);
	bool has_word = atomic_load_explicit(&g->word, memory_order_relaxed);

	hak_assert(kind <= HAK_KEPT);
	hak_assert(has_word == (kind != HAK_FOREIGN));
	hak_assert(leaf[i] == (kind == HAK_SLAB ? g->cls + 1u : 0));
	hak_assert(kind == HAK_FOREIGN || is_enabled(leaf, i));
	hak_assert(kind != HAK_SLAB || is_enabled(leaf, HAK_LEAF_SLABS + i * HAK_SLAB_RECORD));
}

/* Slices whose piece is not enabled read as zeros. */
static void check_leaf(size_t index, uint8_t *leaf, void (*owner)(char *, const struct hak_slice *))
{
	const struct hak_slice *g = (const struct hak_slice *)(leaf + HAK_LEAF_TAGS);

	for (size_t i = 0; i < HAK_LEAF_SLICES; i++) {
		if (!is_enabled(leaf, HAK_LEAF_TAGS + i * sizeof(*g))) {
			i |= piece() / sizeof(*g) - 1;
			continue;
		}
		check_slice(leaf, i, &g[i]);
		if (hak_slice_kind(&g[i]) != HAK_FOREIGN)
			owner((char *)(index << HAK_LEAF_BITS | i << 16), &g[i]);
	}
}

void hak_slice_check(void (*owner)(char *, const struct hak_slice *))
{
	for (size_t i = 0; i < HAK_LEAVES; i++) {
		uint8_t *leaf = atomic_load_explicit(&hak_leaves[i], memory_order_relaxed);

		if (!leaf)
			continue;
		hak_assert(!((uintptr_t)leaf & (hak_page - 1)));
		check_leaf(i, leaf, owner);
	}
}

#endif
