/* SPDX-License-Identifier: MIT */
/*
 * Size classes. The classes go in 16-byte steps to 256 bytes and then by eight for each doubling,
 * which wastes 11 % at worst; four for each doubling would waste 20 %. The classes [0,
 * HAK_SLAB_CLASSES), up to 16 KiB, are blocks of slabs; those above, up to 1 MiB, are runs of whole
 * 4 KiB units. A size that is a multiple of a power of two A <= 16 KiB has a class whose size is a
 * multiple of A too, so aligned blocks need no search: the size is rounded up to the alignment. All
 * functions are pure.
 */
#ifndef HAK_CLASS_H
#define HAK_CLASS_H

#include "control/abi/abi.h"
#include "hak.h"

#define HAK_TINY_MAX   ((size_t)1024)
#define HAK_SLAB_MAX   ((size_t)16 << 10) /* largest block of a slab */
#define HAK_WHALE_MIN  ((size_t)1 << 20)  /* smallest whale */
#define HAK_SLAB_BYTES ((size_t)64 << 10)
/* the unit in which runs are counted, at any page size */
#define HAK_UNIT ((size_t)4 << 10)

/* The eighths of doublings start at class 16, whose smallest request is 257 bytes. */
static inline unsigned int hak_class_log(size_t size)
{
	size_t n = size - 1;
	unsigned int e = 63u - (unsigned int)__builtin_clzl(n);

	return 16 + (e - 8) * 8 + (unsigned int)(n >> (e - 3) & 7);
}

extern HAK_HIDDEN const uint8_t hak_class_tiny[HAK_TINY_MAX / 16 + 1];
extern HAK_HIDDEN const uint32_t hak_class_bytes[HAK_CLASSES];

/* Takes sizes up to HAK_TINY_MAX, 0 included. */
static inline unsigned int hak_class_of_tiny(size_t size)
{
	return hak_class_tiny[(size + 15) >> 4];
}

/* Takes sizes in (256, HAK_SLAB_MAX]. */
static inline unsigned int hak_class_of_mid(size_t size)
{
	return hak_class_log(size);
}

/*
 * Takes sizes in (HAK_SLAB_MAX, HAK_WHALE_MIN]. Below 32 KiB an eighth is not a whole number of
 * units, so every other class is unused.
 */
static inline unsigned int hak_class_of_run(size_t size)
{
	unsigned int c = hak_class_log(size);

	return c < HAK_SLAB_CLASSES + 8 ? c | 1 : c;
}

/* 2^32 / size, rounded up */
extern HAK_HIDDEN const uint32_t hak_class_inverse[HAK_SLAB_CLASSES];

/*
 * Returns whether an offset into a slab is a multiple of the block size. One multiplication
 * decides, exactly below 2^16 (Lemire, Kaser, Kurz, "Faster remainder by direct computation",
 * 2019). With inverse = 0 no offset is a multiple.
 */
static inline bool hak_multiple(uint32_t inverse, uint32_t offset)
{
	return offset * inverse < inverse;
}

static inline bool hak_class_divides(unsigned int cls, uint32_t offset)
{
	return hak_multiple(hak_class_inverse[cls], offset);
}

static inline size_t hak_class_size(unsigned int cls)
{
	return hak_class_bytes[cls];
}

#endif
