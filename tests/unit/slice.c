// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/slice.c: address to owner. The test sets ranges around the borders of the parts of
 * the map, at addresses that the process does not use: 4 GiB windows, pieces of 256 MiB of slices
 * and of 32 MiB of slab descriptors. Each slice keeps its own values. In debug builds also what the
 * check of the whole map finds.
 */
#include "../../libhakmem/page/slice.c"

#include "libhakmem/page/extent.h"
#include "libhakmem/page/map.h"
#include "libhakmem/page/region.h"
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

static enum hak_kind_of_slice kind_of(uintptr_t a)
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

#if HAK_DEBUG

static struct {
	char *block, *run, *whale, *kept; /* the first slice of each */
	struct hak_slab *slab;
	struct hak_extent *extent;
	struct hak_region *region, *kept_region;
} map;

static void *slice_of(const void *p)
{
	return (void *)((uintptr_t)p & ~(uintptr_t)(HAK_SLICE - 1));
}

static void *word_at(const void *p, enum hak_kind_of_slice kind)
{
	CHECK(hak_slice_kind(hak_slice(p)) == kind, "kind %d", hak_slice_kind(hak_slice(p)));
	return atomic_load(&hak_slice(p)->word);
}

/* One of each kind. The blocks stay in use until the case ends. */
static void one_of_each_kind(void)
{
	void *volatile p = malloc(8 * MIB);

	map.kept = slice_of(p);
	free(p);
	p = malloc(100);
	map.block = slice_of(p);
	p = malloc(100 << 10);
	map.run = slice_of(p);
	p = malloc(16 * MIB);
	map.whale = slice_of(p);
	word_at(map.block, HAK_SLAB);
	map.slab = hak_slab_of(map.block);
	CHECK(map.slab->extent, "a single slab");
	map.extent = word_at(map.run, HAK_RUNS);
	map.region = word_at(map.whale, HAK_WHALE);
	map.kept_region = word_at(map.kept, HAK_KEPT);
	CHECK(map.kept_region->base == map.kept && map.kept_region->bytes > 2 * HAK_SLICE,
	      "another region");
	hak_map_check();
}

#define MAP_FINDS(text, ...) FINDS(text, hak_map_check(), __VA_ARGS__)

static void disable(const void *p, size_t byte)
{
	enabled_of(hak_slice_leaf(p))->bits[byte / piece() / 64] &=
		~((uint64_t)1 << byte / piece() % 64);
}

static void corruption_of_slices_is_found(void)
{
	size_t i;

	one_of_each_kind();
	i = hak_slice_index(map.block);
	MAP_FINDS("kind <= HAK_KEPT", hak_slice(map.run)->kind = HAK_KEPT + 1);
	MAP_FINDS("has_word == ", hak_slice(map.run)->word = NULL);
	MAP_FINDS("has_word == ", hak_slice(map.block)->kind = HAK_FOREIGN);
	MAP_FINDS("has_word == ", hak_slice(map.whale + HAK_SLICE)->word = map.region);
	MAP_FINDS("leaf[i] == ", hak_slice_set_tag(map.block, 0));
	MAP_FINDS("leaf[i] == ", hak_slice(map.block)->cls++);
	MAP_FINDS("leaf[i] == ", hak_slice_set_tag(map.run, 1));
	MAP_FINDS("leaf[i] == ", hak_slice_set_tag(map.whale + HAK_SLICE, 1));
	MAP_FINDS("kind == HAK_FOREIGN || is_enabled(", disable(map.block, i));
	MAP_FINDS("kind != HAK_SLAB || ", disable(map.block, HAK_LEAF_SLABS + i * HAK_SLAB_RECORD));
	MAP_FINDS("!((uintptr_t)leaf & (hak_page - 1))",
		  hak_leaves[(uintptr_t)map.block >> HAK_LEAF_BITS]++);
	hak_map_check();
}

static void corruption_of_owners_is_found(void)
{
	one_of_each_kind();
	MAP_FINDS("s->base == p", map.slab->base += HAK_SLICE);
	MAP_FINDS("s->state != HAK_SLAB_NONE", map.slab->state = HAK_SLAB_NONE);
	MAP_FINDS("s->extent->kind == HAK_EXTENT_SLABS", map.slab->extent = map.extent);
	MAP_FINDS("s->extent->base == ", map.slab->extent->base += HAK_EXTENT);
	MAP_FINDS("e->kind == HAK_EXTENT_RUNS", map.extent->kind = HAK_EXTENT_FREE);
	MAP_FINDS("e->base == ", map.extent->base += HAK_EXTENT);
	hak_map_check();
}

static void corruption_of_regions_is_found(void)
{
	struct hak_slice *end;

	one_of_each_kind();
	end = hak_slice(map.kept + map.kept_region->bytes - 1);
	MAP_FINDS("r->base == p", map.region->base += HAK_SLICE);
	MAP_FINDS("r->base == p", map.kept_region->base += HAK_SLICE);
	MAP_FINDS("r->bytes && ", map.region->bytes++);
	MAP_FINDS("r->bytes && ", map.kept_region->bytes = 0);
	MAP_FINDS("p >= in.end || kind == HAK_KEPT",
		  hak_slice_set(hak_slice(map.whale + HAK_SLICE), HAK_WHALE, map.region));
	MAP_FINDS("r == in.region && p + HAK_SLICE == in.end",
		  hak_slice_set(hak_slice(map.whale + HAK_SLICE), HAK_KEPT, map.kept_region));
	MAP_FINDS("r == in.region && p + HAK_SLICE == in.end",
		  hak_slice_set(hak_slice(map.kept + HAK_SLICE), HAK_KEPT, map.kept_region));
	MAP_FINDS("!r->in_use", map.kept_region->in_use = true);
	MAP_FINDS("hak_slice_kind(hak_slice(in.end - 1)) == ", hak_slice_clear(end));
	MAP_FINDS("atomic_load_explicit(&hak_slice(in.end - 1)->word",
		  hak_slice_set(end, HAK_KEPT, map.region));
	hak_map_check();
}

#endif

static const struct tcase cases[] = {
	{ "hak_os_init", hak_os_init },
	{ "borders", borders },
	{ "beyond_the_end", beyond_the_end },
	{ "any_address", any_address },
#if HAK_DEBUG
	{ "corruption_of_slices_is_found", corruption_of_slices_is_found },
	{ "corruption_of_owners_is_found", corruption_of_owners_is_found },
	{ "corruption_of_regions_is_found", corruption_of_regions_is_found },
#endif
};

CASES(cases)
