// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/slice.c: address to owner. The test sets ranges around the borders of the parts of
 * the map, at addresses that the process does not use: 4 GiB windows, pieces of 256 MiB of slices
 * and of 32 MiB of slab descriptors. Each slice keeps its own values.
 */
#include "libhakmem/page/slice.h"

#include <errno.h>

#include "libhakmem/system/os.h"
#include "libhakmem/page/slab.h"
#include "unit.h"

#define MIB ((uintptr_t)1 << 20)
#define GIB ((uintptr_t)1 << 30)

static void *at(uintptr_t a)
{
	return (void *)a;
}

static void is_foreign(uintptr_t a)
{
	EXPECT(hak_slice_kind(hak_slice(at(a))) == HAK_FOREIGN, "%#" PRIxPTR, a);
	EXPECT(hak_slice_tag(at(a)) == 0, "%#" PRIxPTR, a);
}

/* A word, a kind, a class, a tag and a descriptor that only this slice has. */
static void *word_of(uintptr_t a)
{
	return (void *)(a * 8 + 1);
}

static enum hak_kind_of_granule kind_of(uintptr_t a)
{
	return 1 + (a >> 16) % 4;
}

static unsigned int tag_of(uintptr_t a)
{
	return 1 + (unsigned int)(a >> 16) % 255;
}

static void write_all(uintptr_t from, uintptr_t to, bool slabs)
{
	for (uintptr_t a = from; a < to; a += HAK_SLICE) {
		struct hak_slice *g = hak_slice_ours(at(a));

		is_foreign(a);
		hak_slice_set(g, kind_of(a), word_of(a));
		g->cls = (uint8_t)tag_of(a);
		hak_slice_set_tag(at(a), tag_of(a));
		if (slabs) {
			struct hak_slab *s = hak_slab_of(at(a));

			s->base = at(a);
			s->reserved2[5] = a;
		}
	}
}

static void check_all(uintptr_t from, uintptr_t to, bool slabs)
{
	for (uintptr_t a = from; a < to; a += HAK_SLICE) {
		/* any address inside */
		struct hak_slice *g = hak_slice(at(a + random_below(HAK_SLICE)));

		CHECK(g == hak_slice(at(a)) && g, "%#" PRIxPTR, a);
		CHECK(hak_slice_kind(g) == kind_of(a), "%#" PRIxPTR, a);
		CHECK(atomic_load(&g->word) == word_of(a), "%#" PRIxPTR, a);
		CHECK(g->cls == (uint8_t)tag_of(a), "%#" PRIxPTR, a);
		CHECK(hak_slice_tag(at(a + HAK_SLICE - 1)) == tag_of(a), "%#" PRIxPTR, a);
		if (slabs) {
			const struct hak_slab *s = hak_slab_of(at(a + HAK_SLICE - 1));

			CHECK(s->base == at(a) && s->reserved2[5] == a, "%#" PRIxPTR, a);
		}
	}
}

static void clear_all(uintptr_t from, uintptr_t to)
{
	for (uintptr_t a = from; a < to; a += HAK_SLICE) {
		hak_slice_clear(hak_slice_ours(at(a)));
		hak_slice_set_tag(at(a), 0);
		is_foreign(a);
		CHECK(!atomic_load(&hak_slice(at(a))->word), "%#" PRIxPTR, a);
	}
}

static void around(uintptr_t border, uintptr_t before, uintptr_t after, bool slabs)
{
	uintptr_t from = border - before, to = border + after;

	CHECK(!hak_slice_prepare(at(from), to - from, slabs), "%#" PRIxPTR, border);
	write_all(from, to, slabs);
	check_all(from, to, slabs);
	is_foreign(from - 1);
	is_foreign(to);
	/* prepared again, and more: the slices keep their values */
	CHECK(!hak_slice_prepare(at(from - MIB), to - from + 2 * MIB, slabs), "%#" PRIxPTR, border);
	check_all(from, to, slabs);
	is_foreign(from - 1);
	is_foreign(to);
	clear_all(from, to);
}

static void borders(void)
{
	const uintptr_t base = (uintptr_t)0x123 << HAK_LEAF_BITS;
	const uintptr_t top = (uintptr_t)1 << HAK_ADDRESS_BITS;

	CHECK(!hak_slice(at(base)), "a leaf where nothing is");
	is_foreign(base);
	/* single slices on both sides, then whole pieces, then a window and more */
	around(base, HAK_SLICE, HAK_SLICE, true);
	around(base + 256 * MIB, HAK_SLICE, HAK_SLICE, true);
	around(base + 32 * MIB, HAK_SLICE, HAK_SLICE, true);
	around(base + 4 * GIB, 300 * MIB, 300 * MIB, true);
	around(base + 16 * GIB, 5 * GIB, 64 * MIB, false);
	around(base + 40 * GIB, HAK_SLICE, 0, true);
	around(base + 44 * GIB, 0, HAK_SLICE, true);
	around(top - 4 * MIB, MIB, MIB, true);
	around(2 * MIB, HAK_SLICE, HAK_SLICE, true);
}

static void beyond_the_end(void)
{
	const uintptr_t top = (uintptr_t)1 << HAK_ADDRESS_BITS;

	EXPECT(hak_slice_prepare(at(top), HAK_SLICE, false) == -ENOMEM, "above");
	EXPECT(hak_slice_prepare(at(top - HAK_SLICE), 2 * HAK_SLICE, true) == -ENOMEM,
	       "over the end");
	EXPECT(!hak_slice(at(top)) && !hak_slice(at(UINTPTR_MAX)), "above");
	is_foreign(top);
	is_foreign(UINTPTR_MAX);
}

/* Tries any address that a program may pass to free. */
static void any_address(void)
{
	for (unsigned int i = 0; i < 100000; i++) {
		uintptr_t a = random_word() >> random_below(64);
		const struct hak_slice *g = hak_slice(at(a));

		CHECK(!g == !hak_slice_leaf(at(a)), "%#" PRIxPTR, a);
		/* the test left nothing there; other addresses belong to this process */
		if (a >> HAK_LEAF_BITS >= 0x120 && a >> HAK_LEAF_BITS < 0x140)
			is_foreign(a);
	}
}

static const struct tcase cases[] = {
	{ "hak_os_init", hak_os_init },
	{ "borders", borders },
	{ "beyond_the_end", beyond_the_end },
	{ "any_address", any_address },
};

CASES(cases)
