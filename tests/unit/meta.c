// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/meta.c: descriptors are taken and given back, none twice, each zeroed. In debug
 * builds its check finds what is corrupted.
 */
#include "../../libhakmem/page/meta.c"

#include "unit.h"

enum { PIECES = 3000 };
static char *piece[PIECES];
static uint8_t kind_of[PIECES];

static void look(unsigned int i)
{
	for (uint32_t at = 0; at < meta_bytes[kind_of[i]]; at++)
		CHECK(!piece[i][at], "byte %u of piece %u", at, i);
	memset(piece[i], 1, meta_bytes[kind_of[i]]);
}

static void pieces_are_apart(void)
{
	for (unsigned int step = 0; step < 20 * PIECES; step++) {
		unsigned int i = random_below(PIECES);

		if (piece[i]) {
			for (uint32_t at = 0; at < meta_bytes[kind_of[i]]; at++)
				CHECK(piece[i][at] == 1, "byte %u of piece %u is another's", at, i);
			hak_meta_put(kind_of[i], piece[i]);
			piece[i] = NULL;
			continue;
		}
		kind_of[i] = (uint8_t)random_below(HAK_META_KINDS);
		piece[i] = hak_meta_get(kind_of[i]);
		CHECK(piece[i], "no memory");
		look(i);
	}
	hak_meta_check();
}

#if HAK_DEBUG
#define META_FINDS(text, ...) FINDS(text, hak_meta_check(), __VA_ARGS__)

static void corruption_is_found(void)
{
	char *a = hak_meta_get(HAK_META_REGION), *b = hak_meta_get(HAK_META_REGION);

	CHECK(a && b, "no memory");
	hak_meta_put(HAK_META_REGION, a);
	hak_meta_put(HAK_META_REGION, b);
	hak_meta_check();
	META_FINDS("meta.at <= meta.enabled && ", meta.at = meta.enabled + 64);
	META_FINDS("meta.at <= meta.enabled && ", meta.end = meta.at - 64);
	META_FINDS("!((uintptr_t)meta.at & 63) && ", meta.at -= 8);
	META_FINDS("!((uintptr_t)meta.at & 63) && ", meta.enabled -= 64; meta.at = meta.enabled);
	META_FINDS("!((uintptr_t)p & 63)", meta.free[HAK_META_REGION] = b + 8);
	META_FINDS("!next || ", *(char **)b = b + 64);
	META_FINDS("!next || ", *(char **)b = b); /* given back twice */
	META_FINDS("p + meta_bytes[kind] <= meta.at || ", *(char **)b = meta.at);
	hak_meta_check();
}
#endif

static const struct tcase cases[] = {
	{ "pieces_are_apart", pieces_are_apart },
#if HAK_DEBUG
	{ "corruption_is_found", corruption_is_found },
#endif
};

CASES(cases)
