/* SPDX-License-Identifier: MIT */
/* Maps of the units of an extent, a bit each. All functions are pure. */
#ifndef HAK_UNITMAP_H
#define HAK_UNITMAP_H

#include "base/class.h"
#include "base/hak.h"
#include "system/os.h"

#define HAK_EXTENT_UNITS (HAK_EXTENT / HAK_UNIT) /* 512 */
#define HAK_EXTENT_WORDS (HAK_EXTENT_UNITS / 64)
#define HAK_SLAB_UNITS	 (HAK_SLAB_BYTES / HAK_UNIT) /* 16 */

static inline bool hak_unitmap_bit(const uint64_t *map, unsigned int i)
{
	return map[i / 64] >> (i % 64) & 1;
}

/* Returns the first bit from i on that is set in map ^ flip. */
static inline unsigned int hak_unitmap_next(const uint64_t *map, uint64_t flip, unsigned int i)
{
	while (i < HAK_EXTENT_UNITS) {
		uint64_t w = (map[i / 64] ^ flip) >> (i % 64);

		if (w)
			return i + (unsigned int)__builtin_ctzl(w);
		i = (i / 64 + 1) * 64;
	}
	return HAK_EXTENT_UNITS;
}

static inline unsigned int hak_unitmap_next_clear(const uint64_t *map, unsigned int i)
{
	return hak_unitmap_next(map, UINT64_MAX, i);
}

static inline unsigned int hak_unitmap_next_set(const uint64_t *map, unsigned int i)
{
	return hak_unitmap_next(map, 0, i);
}

/* Returns the first of the clear bits that end with bit i. */
static inline unsigned int hak_unitmap_first_clear(const uint64_t *map, unsigned int i)
{
	for (;;) {
		uint64_t w = map[i / 64] << (63 - i % 64);

		if (w)
			return i + 1 - (unsigned int)__builtin_clzl(w);
		if (i < 64)
			return 0;
		i = (i / 64) * 64 - 1;
	}
}

/*
 * The part of the bits [i, i + n) that lies in the word of i: as a mask (n at most
 * hak_unitmap_step()), and as a number of bits.
 */
static inline uint64_t hak_unitmap_mask(unsigned int i, unsigned int n)
{
	uint64_t m = n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;

	return m << (i % 64);
}

static inline unsigned int hak_unitmap_step(unsigned int i, unsigned int n)
{
	unsigned int left = 64 - i % 64;

	return n < left ? n : left;
}

static inline void hak_unitmap_set(uint64_t *map, unsigned int i, unsigned int n)
{
	for (unsigned int s; n; i += s, n -= s) {
		s = hak_unitmap_step(i, n);
		map[i / 64] |= hak_unitmap_mask(i, s);
	}
}

/* Clears bits and returns how many were set. */
static inline unsigned int hak_unitmap_clear(uint64_t *map, unsigned int i, unsigned int n)
{
	unsigned int were = 0;

	for (unsigned int s; n; i += s, n -= s) {
		uint64_t m;

		s = hak_unitmap_step(i, n);
		m = hak_unitmap_mask(i, s);
		were += (unsigned int)__builtin_popcountl(map[i / 64] & m);
		map[i / 64] &= ~m;
	}
	return were;
}

#endif
