/* SPDX-License-Identifier: MIT */
/*
 * Size classes. 16-byte steps to 256 bytes, then eight per doubling (11 % worst waste; four per
 * doubling waste 20 %): classes [0, HAK_SLAB_CLASSES) up to 16 KiB are blocks of slabs, those
 * above, up to 1 MiB, page runs in multiples of 4 KiB. A size that is a multiple of a power of two
 * A <= 16 KiB has a class whose size is a multiple of A too, so aligned blocks need no search:
 * round the size up to the alignment. Pure functions, no state.
 */
#ifndef HAK_CLASS_H
#define HAK_CLASS_H

#include "control/abi/abi.h"
#include "hak.h"

#define HAK_TINY_MAX   ((size_t)1024)
#define HAK_SLAB_MAX   ((size_t)16 << 10) /* largest block of a slab */
#define HAK_WHALE_MIN  ((size_t)1 << 20)  /* smallest whale */
#define HAK_SLAB_BYTES ((size_t)64 << 10)
/* runs are counted in these, whatever the page size */
#define HAK_UNIT ((size_t)4 << 10)

/* Sizes of a doubling start at class 16: 257 bytes. */
static inline unsigned int hak_class_log(size_t size)
{
	size_t n = size - 1;
	unsigned int e = 63u - (unsigned int)__builtin_clzl(n);

	return 16 + (e - 8) * 8 + (unsigned int)(n >> (e - 3) & 7);
}

extern HAK_HIDDEN const uint8_t hak_class_tiny[HAK_TINY_MAX / 16 + 1];
extern HAK_HIDDEN const uint32_t hak_class_bytes[HAK_CLASSES];

/* For sizes up to HAK_TINY_MAX, 0 included. */
static inline unsigned int hak_class_of_tiny(size_t size)
{
	return hak_class_tiny[(size + 15) >> 4];
}

/* For sizes in (256, HAK_SLAB_MAX]. */
static inline unsigned int hak_class_of_mid(size_t size)
{
	return hak_class_log(size);
}

/*
 * For sizes in (HAK_SLAB_MAX, HAK_WHALE_MIN]. Below 32 KiB eighths are not whole units: every other
 * class is unused.
 */
static inline unsigned int hak_class_of_run(size_t size)
{
	unsigned int c = hak_class_log(size);

	return c < HAK_SLAB_CLASSES + 8 ? c | 1 : c;
}

/* 2^32 / size, rounded up */
extern HAK_HIDDEN const uint32_t hak_class_inverse[HAK_SLAB_CLASSES];

/*
 * Whether an offset into a slab is a multiple of the block size: one multiplication, exact below
 * 2^16 (Lemire, Kaser, Kurz, "Faster remainder by direct computation", 2019). Nothing is a multiple
 * for inverse = 0.
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
