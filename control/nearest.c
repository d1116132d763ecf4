/* SPDX-License-Identifier: MIT */
/* The nearest name, see nearest.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/nearest.h"
#include "control/abi/grammar.h"
#include "control/abi/schema.h"

/* The costs of the ways in which a name can be near. Each wrong letter costs TYPO. */
enum { SAME_BUT_CASE = 1, TYPO = 2, BEGINNING = 3, PART = 8, FAR = 100 };

/* Words that are shorter are parts of many names. */
#define BEGINNING_LEAST 2u
#define PART_LEAST	4u
/* One letter may be wrong, and one more for each so many letters. */
#define LETTERS_A_TYPO 6u

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * The letters to insert, remove or replace, and the neighbours to exchange, that make one word of
 * the other, in any case (optimal string alignment).
 */
static unsigned distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	unsigned row[3][HAK_NEAREST_BYTES + 1];
	unsigned *before = row[0], *last = row[1], *now = row[2], *spare;

	for (size_t k = 0; k <= b_bytes; k++)
		last[k] = (unsigned)k;
	for (size_t i = 1; i <= a_bytes; i++) {
		now[0] = (unsigned)i;
		for (size_t k = 1; k <= b_bytes; k++) {
			bool same = hak_lower(a[i - 1]) == hak_lower(b[k - 1]);

			now[k] = least(last[k] + 1, now[k - 1] + 1);
			now[k] = least(now[k], last[k - 1] + !same);
			if (i > 1 && k > 1 && hak_lower(a[i - 1]) == hak_lower(b[k - 2]) &&
			    hak_lower(a[i - 2]) == hak_lower(b[k - 1]))
				now[k] = least(now[k], before[k - 2] + 1);
		}
		spare = before, before = last, last = now, now = spare;
	}
	return last[b_bytes];
}

static unsigned cost_of(const char *word, const char *name)
{
	size_t w = strnlen(word, HAK_NEAREST_BYTES + 1), n = strnlen(name, HAK_NEAREST_BYTES + 1);
	unsigned wrong, cost = FAR;

	if (w == 0 || w > HAK_NEAREST_BYTES || n > HAK_NEAREST_BYTES)
		return FAR;
	if (strcasecmp(word, name) == 0)
		return SAME_BUT_CASE;
	wrong = distance(word, w, name, n);
	if (wrong <= 1 + w / LETTERS_A_TYPO && wrong < w && wrong < n)
		cost = wrong * TYPO;
	if (w >= BEGINNING_LEAST && strncasecmp(word, name, w) == 0)
		cost = least(cost, BEGINNING);
	if (w >= PART_LEAST && strcasestr(name, word))
		cost = least(cost, PART);
	return cost;
}

void hak_nearest_see(struct hak_nearest *n, const char *name)
{
	unsigned cost = cost_of(n->word, name);

	if (cost == FAR || (n->name && cost > n->cost))
		return;
	if (n->name && cost == n->cost && strlen(name) >= strlen(n->name))
		return;
	n->name = name;
	n->cost = cost;
}

void hak_nearest_say(const struct hak_nearest *n, const char *before, char out[HAK_WHY_TEXT])
{
	out[0] = '\0';
	if (n->name)
		snprintf(out, HAK_WHY_TEXT, "; did you mean %s%.*s?", before, HAK_NEAREST_BYTES,
			 n->name);
}

void hak_nearest_tunable(const char *word, char out[HAK_WHY_TEXT])
{
	struct hak_nearest n = hak_nearest_begin(word);

	for (size_t i = 0; i < hak_tunable_rows_n; i++)
		hak_nearest_see(&n, hak_tunable_rows[i].name);
	hak_nearest_say(&n, "", out);
}
