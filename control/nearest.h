/* SPDX-License-Identifier: MIT */
/*
 * The name that a mistyped word most likely means: of a tunable, a counter, a verb, an option, a
 * policy. One rule for all of them.
 *
 * For hakmemctl and hakmemd. The caller shows each name that there is to hak_nearest_see(), in any
 * order. The word may come from any user: the work is bounded by HAK_NEAREST_BYTES, and beyond that
 * no name is near.
 */
#ifndef HAK_NEAREST_H
#define HAK_NEAREST_H

#include <stddef.h>

#include "control/value.h"

#define HAK_NEAREST_BYTES 64

struct hak_nearest {
	const char *word;
	const char *name; /* the nearest so far; NULL: none is near */
	unsigned cost;	  /* of the name */
};

static inline struct hak_nearest hak_nearest_begin(const char *word)
{
	return (struct hak_nearest){ .word = word };
}

/* Keeps `name`, which must stay, if it is nearer than the names before it. */
void hak_nearest_see(struct hak_nearest *n, const char *name);

/* Writes "; did you mean NAME?", or "" if no name is near. The name follows `before`. */
void hak_nearest_say(const struct hak_nearest *n, const char *before, char out[HAK_WHY_TEXT]);

/* The same among the names of all tunables. */
void hak_nearest_tunable(const char *word, char out[HAK_WHY_TEXT]);

#endif
