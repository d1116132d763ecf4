/* SPDX-License-Identifier: MIT */
/* The tables of class.h. The preprocessor makes them, so they are constant data. */
#include "class.h"

/* Each line of the tables holds one doubling of sizes. */
/* clang-format off */

/* The size of the k-th eighth above 2^e, in bytes. */
#define EIGHTH(e, k)	((1u << (e)) + ((k) + 1u) * (1u << ((e) - 3)))
#define DOUBLING(e)	EIGHTH(e, 0), EIGHTH(e, 1), EIGHTH(e, 2), EIGHTH(e, 3), \
			EIGHTH(e, 4), EIGHTH(e, 5), EIGHTH(e, 6), EIGHTH(e, 7)

const uint32_t hak_class_bytes[HAK_CLASSES] = {
	16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256,
	DOUBLING(8), DOUBLING(9), DOUBLING(10), DOUBLING(11), DOUBLING(12), DOUBLING(13),
	/* runs are whole units; only the odd entries of this first row are classes in use */
	20480, 20480, 24576, 24576, 28672, 28672, 32768, 32768,
	DOUBLING(15), DOUBLING(16), DOUBLING(17), DOUBLING(18), DOUBLING(19),
};

#define INVERSE(size)	((uint32_t)((((uint64_t)1 << 32) + (size) - 1) / (size)))
#define STEP4(s)	INVERSE(s), INVERSE((s) + 16), INVERSE((s) + 32), INVERSE((s) + 48)
#define INVERSE8(e)                                                                  \
	INVERSE(EIGHTH(e, 0)), INVERSE(EIGHTH(e, 1)), INVERSE(EIGHTH(e, 2)),         \
		INVERSE(EIGHTH(e, 3)), INVERSE(EIGHTH(e, 4)), INVERSE(EIGHTH(e, 5)), \
		INVERSE(EIGHTH(e, 6)), INVERSE(EIGHTH(e, 7))

const uint32_t hak_class_inverse[HAK_SLAB_CLASSES] = {
	STEP4(16), STEP4(80), STEP4(144), STEP4(208),
	INVERSE8(8), INVERSE8(9), INVERSE8(10), INVERSE8(11), INVERSE8(12), INVERSE8(13),
};

#define T1(n)	((n) <= 1 ? 0 : (n) <= 16 ? (n) - 1 : (n) <= 32 ? 16 + ((n) * 16 - 1 - 256) / 32 : \
		 24 + ((n) * 16 - 1 - 512) / 64)
#define T8(n)                                                                                \
	T1(n), T1((n) + 1), T1((n) + 2), T1((n) + 3), T1((n) + 4), T1((n) + 5), T1((n) + 6), \
		T1((n) + 7)

const uint8_t hak_class_tiny[HAK_TINY_MAX / 16 + 1] = {
	T8(0), T8(8), T8(16), T8(24), T8(32), T8(40), T8(48), T8(56), T1(64),
};
