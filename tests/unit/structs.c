/* SPDX-License-Identifier: MIT */
/*
 * The table of places (structs.h): a reader that knows nothing but the table, the address map and
 * the list of extents finds blocks of each kind, and reads in their structures what the modules
 * have there.
 */
#include <string.h>

#include "base/class.h"
#include "page/extent.h"
#include "page/region.h"
#include "page/run.h"
#include "page/slab.h"
#include "share/structs.h"
#include "unit.h"

#if HAK_CONTROL
static const struct hak_struct_place *const row = hak_structs.row;
static struct hak_stats_header header;

static uint64_t field(enum hak_struct_row r, const void *structure)
{
	uint64_t value = 0;

	CHECK(row[r].bytes <= sizeof(value), "row %d has %u bytes", (int)r, row[r].bytes);
	memcpy(&value, (const char *)structure + row[r].at, row[r].bytes);
	return value;
}

static const char *slice_of(const void *p)
{
	const uint64_t *leaves = (const uint64_t *)(uintptr_t)header.leaves;
	const uint64_t i = ((uintptr_t)p & UINT32_MAX) / row[HAK_S_SLICE_BYTES].at;
	const char *leaf = (const char *)(uintptr_t)leaves[(uintptr_t)p >> 32];

	CHECK(leaf, "no window for %p", p);
	return leaf + row[HAK_S_LEAF_FIRST_SLICE].at + i * row[HAK_S_SLICE].at;
}

static const char *slab_of(const void *p)
{
	const uint64_t *leaves = (const uint64_t *)(uintptr_t)header.leaves;
	const uint64_t i = ((uintptr_t)p & UINT32_MAX) / row[HAK_S_SLICE_BYTES].at;

	return (const char *)(uintptr_t)leaves[(uintptr_t)p >> 32] + row[HAK_S_LEAF_FIRST_SLAB].at +
	       i * row[HAK_S_SLAB].at;
}

static void names_are_those_of_the_rows(void)
{
	unsigned int n = 0;

	CHECK(!memcmp(hak_structs.magic, HAK_STRUCTS_MAGIC, 8), "magic");
	CHECK(hak_structs.bytes == sizeof(hak_structs), "bytes");
	for (const char *p = hak_structs.names; *p; p++)
		n += *p == ' ';
	CHECK(n == HAK_STRUCT_ROWS, "%u names", n);
	CHECK(memchr(hak_structs.names, '\0', sizeof(hak_structs.names)), "names have no end");
}

static void a_block_of_a_slab(void)
{
	char *p = malloc(700);
	const char *slice = slice_of(p), *slab = slab_of(p);
	const struct hak_slab *s = hak_slab_of(p);

	CHECK(field(HAK_S_SLICE_KIND, slice) == row[HAK_S_KIND_SLAB].at, "kind");
	CHECK(slab == (const char *)s, "the descriptor is %p, not %p", slab, s);
	CHECK(field(HAK_S_SLAB_BASE, slab) == (uintptr_t)s->base, "base");
	CHECK(field(HAK_S_SLAB_CLASS, slab) == s->cls, "class");
	CHECK(field(HAK_S_SLAB_USED, slab) == s->used, "used");
	CHECK(field(HAK_S_SLAB_FREE, slab) == s->nfree, "free");
	CHECK(field(HAK_S_SLAB_CARVED, slab) == s->carved, "carved");
	CHECK(field(HAK_S_SLAB_CAPACITY, slab) == s->capacity, "capacity");
	free(p);
}

/* The key as a reader computes it. */
static void a_free_block_has_the_key(void)
{
	char *p = malloc(700);
	const unsigned int shift = 64 - row[HAK_S_KEY_BITS].at;
	uint64_t word;

	memcpy(&word, p + 8, 8);
	CHECK((word ^ header.leaves ^ (uintptr_t)p) << shift, "a block in use has the key");
	free(p);
	__asm__ volatile("" : "+r"(p));
	memcpy(&word, p + 8, 8);
	CHECK(!((word ^ header.leaves ^ (uintptr_t)p) << shift), "a free block has no key");
}

static void a_run_is_in_its_extent(void)
{
	char *p = malloc(100 << 10);
	const char *slice = slice_of(p);
	const char *extent = (const char *)(uintptr_t)field(HAK_S_SLICE_WORD, slice);
	const uint64_t i = ((uintptr_t)p - field(HAK_S_EXTENT_BASE, extent)) / HAK_UNIT;
	uint64_t at = field(HAK_S_EXTENTS_ALL, (const void *)(uintptr_t)header.extents), n = 0;

	CHECK(field(HAK_S_SLICE_KIND, slice) == row[HAK_S_KIND_RUNS].at, "kind");
	CHECK(field(HAK_S_EXTENT_KIND, extent) == row[HAK_S_EXTENT_RUNS].at, "kind of the extent");
	CHECK((uint8_t)extent[row[HAK_S_EXTENT_START].at + i] == hak_class_of_run(100 << 10) + 1,
	      "class");
	CHECK((uint8_t)extent[row[HAK_S_EXTENT_USED].at + i / 8] >> i % 8 & 1, "used");
	for (; at && at != (uintptr_t)extent; n++)
		at = field(HAK_S_EXTENT_NEXT, (const void *)(uintptr_t)at);
	CHECK(at, "none of %" PRIu64 " extents", n);
	free(p);
	CHECK((uint8_t)extent[row[HAK_S_EXTENT_START].at + i] & row[HAK_S_RUN_CACHED].at, "cached");
}

static void a_whale_is_a_region(void)
{
	char *p = malloc(3 << 20);
	const char *slice = slice_of(p);
	const char *region = (const char *)(uintptr_t)field(HAK_S_SLICE_WORD, slice);

	CHECK(field(HAK_S_SLICE_KIND, slice) == row[HAK_S_KIND_WHALE].at, "kind");
	CHECK(field(HAK_S_REGION_BASE, region) == (uintptr_t)p, "base");
	CHECK(field(HAK_S_REGION_BYTES, region) == 3 << 20, "bytes");
	CHECK(field(HAK_S_REGION_REQUESTED, region) == 3 << 20, "requested");
	CHECK(field(HAK_S_REGION_IN_USE, region), "in use");
	free(p);
	CHECK(!field(HAK_S_REGION_IN_USE, region), "in use after the free");
	CHECK(field(HAK_S_REGION_STATE, region) == row[HAK_S_REGION_DIRTY].at, "state");
}

__attribute__((constructor)) static void begin(void)
{
	hak_structs_name(&header);
}

static const struct tcase cases[] = {
	{ "names_are_those_of_the_rows", names_are_those_of_the_rows },
	{ "a_block_of_a_slab", a_block_of_a_slab },
	{ "a_free_block_has_the_key", a_free_block_has_the_key },
	{ "a_run_is_in_its_extent", a_run_is_in_its_extent },
	{ "a_whale_is_a_region", a_whale_is_a_region },
};
#else
static void none(void)
{
	SKIP("this build is without control");
}

static const struct tcase cases[] = { { "none", none } };
#endif

CASES(cases)
