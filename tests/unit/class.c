// SPDX-License-Identifier: MIT
/*
 * libhakmem/base/class.c: size classes. The test looks up every size, and every offset into a slab
 * of every class, and compares the tables and multiplications with loops and divisions.
 */
#include "libhakmem/base/class.h"

#include "unit.h"

/* Asks in the way of malloc.c. */
static unsigned int class_of(size_t size)
{
	if (size <= HAK_TINY_MAX)
		return hak_class_of_tiny(size);
	if (size <= HAK_SLAB_MAX)
		return hak_class_of_mid(size);
	return hak_class_of_run(size);
}

/* Every other class between 16 and 32 KiB is a duplicate of the next one, and is never used. */
static bool is_used(unsigned int cls)
{
	return cls + 1 == HAK_CLASSES || hak_class_size(cls) != hak_class_size(cls + 1);
}

static void sizes_rise(void)
{
	unsigned int used = 0;

	for (unsigned int c = 0; c < HAK_CLASSES; c++) {
		EXPECT(!c || hak_class_size(c) >= hak_class_size(c - 1), "class %u", c);
		EXPECT(hak_class_size(c) % 16 == 0, "class %u", c);
		EXPECT((hak_class_size(c) <= HAK_SLAB_MAX) == (c < HAK_SLAB_CLASSES), "class %u",
		       c);
		EXPECT(c < HAK_SLAB_CLASSES || hak_class_size(c) % HAK_UNIT == 0, "class %u", c);
		used += is_used(c);
	}
	EXPECT(used == HAK_CLASSES - 4, "%u classes in use", used);
	EXPECT(hak_class_size(HAK_SLAB_CLASSES - 1) == HAK_SLAB_MAX, "last class of slabs");
	EXPECT(hak_class_size(HAK_CLASSES - 1) == HAK_WHALE_MIN, "last class");
}

static void every_size_has_the_smallest_class(void)
{
	unsigned int want = 0;

	for (size_t size = 0; size <= HAK_WHALE_MIN; size++) {
		while (hak_class_size(want) < size || !is_used(want))
			want++;
		CHECK(class_of(size) == want, "%zu bytes: class %u, not %u", size, class_of(size),
		      want);
	}
	EXPECT(want == HAK_CLASSES - 1, "%u", want);
}

/* Checks the promise of README. */
static void little_is_wasted(void)
{
	for (size_t size = 257; size <= HAK_WHALE_MIN; size++) {
		size_t bytes = hak_class_size(class_of(size));
		size_t percent = size > HAK_SLAB_MAX && size <= 2 * HAK_SLAB_MAX ? 20 : 11;

		/* rounded to the nearest percent */
		CHECK((bytes - size) * 200 < bytes * (2 * percent + 1), "%zu bytes in %zu", size,
		      bytes);
	}
}

/* Aligned blocks need no search: see class.h. */
static void multiples_stay_multiples(void)
{
	for (size_t align = 16; align <= HAK_SLAB_MAX; align *= 2)
		for (size_t size = align; size <= HAK_WHALE_MIN; size += align)
			CHECK(hak_class_size(class_of(size)) % align == 0, "%zu of %zu", size,
			      align);
}

/* A size that both the table and the logarithm know has one class. */
static void tiny_is_mid(void)
{
	for (size_t size = 257; size <= HAK_TINY_MAX; size++)
		CHECK(hak_class_of_tiny(size) == hak_class_of_mid(size), "%zu", size);
	EXPECT(hak_class_of_tiny(0) == 0 && hak_class_of_tiny(1) == 0, "nothing");
}

static void divides_exactly(void)
{
	for (unsigned int c = 0; c < HAK_SLAB_CLASSES; c++)
		for (uint32_t offset = 0; offset < HAK_SLAB_BYTES; offset++)
			CHECK(hak_class_divides(c, offset) == (offset % hak_class_size(c) == 0),
			      "class %u, offset %u", c, offset);
	for (uint32_t offset = 0; offset < HAK_SLAB_BYTES; offset++)
		CHECK(!hak_multiple(0, offset), "%u", offset);
}

static const struct tcase cases[] = {
	{ "sizes_rise", sizes_rise },
	{ "every_size_has_the_smallest_class", every_size_has_the_smallest_class },
	{ "little_is_wasted", little_is_wasted },
	{ "multiples_stay_multiples", multiples_stay_multiples },
	{ "tiny_is_mid", tiny_is_mid },
	{ "divides_exactly", divides_exactly },
};

CASES(cases)
