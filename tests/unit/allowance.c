// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/allowance.c: memory is given, taken and given back by amount at random, beside a
 * model that keeps each byte that went back, with its epoch, in a list. And single rules of the
 * allowance by figures computed by hand.
 */
#include "../../libhakmem/page/allowance.c"

#include "unit.h"

#define MIB	((uint64_t)1 << 20)
#define LEAST	HAK_ALLOWANCE_LEAST
#define NO_MOST UINT64_MAX

static void tick(void)
{
	atomic_fetch_add(&hak_purge_clock, 1);
}

/* ---- by hand ---- */

static void what_is_wanted_again_stays(void)
{
	struct hak_allowance a = HAK_ALLOWANCE_INIT;

	hak_allowance_taken(&a, 0, 0, 100 * MIB, NO_MOST);
	CHECK(hak_allowance(&a) == LEAST, "grown for new memory");
	hak_allowance_gone(&a, 6 * MIB, 30 * MIB);
	hak_allowance_taken(&a, 6 * MIB, 0, 10 * MIB, NO_MOST);
	CHECK(hak_allowance(&a) == LEAST + GROWTH * 10 * MIB, "%" PRIu64, hak_allowance(&a));
	/* 20 of the 30 are left, and are wanted once */
	hak_allowance_taken(&a, 0, 0, 50 * MIB, NO_MOST);
	CHECK(hak_allowance(&a) == LEAST + GROWTH * 30 * MIB, "%" PRIu64, hak_allowance(&a));
	hak_allowance_taken(&a, 0, 0, 50 * MIB, NO_MOST);
	CHECK(hak_allowance(&a) == LEAST + GROWTH * 30 * MIB, "wanted twice");
}

static void what_is_used_is_no_refault(void)
{
	struct hak_allowance a = HAK_ALLOWANCE_INIT;

	hak_allowance_gone(&a, 6 * MIB, 30 * MIB);
	hak_allowance_taken(&a, 6 * MIB, 0, 0, NO_MOST);
	CHECK(hak_allowance(&a) == LEAST, "grown by memory that was kept");
}

static void the_most_holds(void)
{
	struct hak_allowance a = HAK_ALLOWANCE_INIT;

	hak_allowance_gone(&a, 0, 30 * MIB);
	hak_allowance_taken(&a, 0, 0, 30 * MIB, 20 * MIB);
	CHECK(hak_allowance(&a) == 20 * MIB, "%" PRIu64, hak_allowance(&a));
	/* a lower one later takes nothing away */
	hak_allowance_gone(&a, 0, MIB);
	hak_allowance_taken(&a, 0, 0, MIB, 10 * MIB);
	CHECK(hak_allowance(&a) == 20 * MIB, "%" PRIu64, hak_allowance(&a));
}

static void gone_is_forgotten(void)
{
	for (unsigned int epochs = 0; epochs < 4; epochs++) {
		struct hak_allowance a = HAK_ALLOWANCE_INIT;

		hak_allowance_given(&a, 0);
		hak_allowance_gone(&a, 0, 10 * MIB);
		for (unsigned int i = 0; i < epochs; i++)
			tick();
		hak_allowance_taken(&a, 0, 0, 10 * MIB, NO_MOST);
		CHECK((hak_allowance(&a) > LEAST) == (epochs <= 1), "after %u epochs: %" PRIu64,
		      epochs, hak_allowance(&a));
	}
}

static void what_no_one_takes_leaves(void)
{
	struct hak_allowance a = HAK_ALLOWANCE_INIT;

	hak_allowance_gone(&a, 0, 20 * MIB);
	hak_allowance_taken(&a, 0, 0, 20 * MIB, NO_MOST);
	CHECK(hak_allowance(&a) == LEAST + 80 * MIB, "%" PRIu64, hak_allowance(&a));
	/* all but 40 are used in this epoch, in which nothing was dirty at first */
	tick();
	hak_allowance_given(&a, 60 * MIB);
	CHECK(hak_allowance(&a) == LEAST + 80 * MIB, "%" PRIu64, hak_allowance(&a));
	hak_allowance_taken(&a, 60 * MIB, 40 * MIB, 0, NO_MOST);
	hak_allowance_taken(&a, 50 * MIB, 45 * MIB, 0, NO_MOST);
	tick();
	hak_allowance_given(&a, 50 * MIB);
	CHECK(hak_allowance(&a) == LEAST + 60 * MIB, "%" PRIu64, hak_allowance(&a));
	/* and never more than what exceeds the least */
	for (unsigned int i = 0; i < 64; i++) {
		tick();
		hak_allowance_given(&a, 500 * MIB);
	}
	CHECK(hak_allowance(&a) <= LEAST + 1, "%" PRIu64, hak_allowance(&a));
}

/* ---- the model ---- */

enum { PIECES = 4096 };
static struct {
	uint32_t epoch;
	bool wanted;
} gone[PIECES]; /* a MiB each, in the order in which they went */
static unsigned int gone_n;
static uint64_t dirty, low, allowed;
static uint32_t model_epoch;

static void model_roll(void)
{
	uint64_t spare = allowed - LEAST;

	if (model_epoch == hak_purge_epoch())
		return;
	model_epoch = hak_purge_epoch();
	allowed -= (low < spare ? low : spare) / 2;
	low = dirty;
}

/* Returns how many of so many pieces were wanted again. The youngest are. */
static unsigned int model_take(unsigned int pieces)
{
	unsigned int n = 0;

	for (unsigned int i = gone_n; i-- > 0 && n < pieces;) {
		if (gone[i].wanted || hak_purge_epoch() - gone[i].epoch > 1)
			continue;
		gone[i].wanted = true;
		n++;
	}
	return n;
}

static void step(struct hak_allowance *a)
{
	unsigned int n = random_below(20), what = random_below(100);
	uint64_t used;

	if (what < 40) {
		model_roll();
		hak_allowance_given(a, dirty);
		dirty += n * MIB;
	} else if (what < 80) {
		used = random_below(2) && n * MIB <= dirty ? n * MIB : 0;
		model_roll();
		hak_allowance_taken(a, dirty, dirty - used, used ? 0 : n * MIB, 1000 * MIB);
		dirty -= used;
		low = dirty < low ? dirty : low;
		allowed += used ? 0 : GROWTH * model_take(n) * MIB;
		allowed = allowed < 1000 * MIB ? allowed : 1000 * MIB;
	} else if (what < 95) {
		n = n * MIB <= dirty && gone_n + n <= PIECES ? n : 0;
		dirty -= n * MIB;
		model_roll();
		hak_allowance_gone(a, dirty, n * MIB);
		for (unsigned int i = 0; i < n; i++) {
			gone[gone_n].epoch = hak_purge_epoch();
			gone[gone_n++].wanted = false;
		}
	} else {
		tick();
	}
}

static void as_the_model_says(void)
{
	struct hak_allowance a = HAK_ALLOWANCE_INIT;
	uint64_t most = 0;

	allowed = LEAST;
	model_epoch = a.epoch = hak_purge_epoch();
	for (unsigned int i = 0; i < 2000; i++) {
		step(&a);
		hak_allowance_check(&a);
		CHECK(hak_allowance(&a) == allowed, "step %u: %" PRIu64 ", not %" PRIu64, i,
		      hak_allowance(&a), allowed);
		most = allowed > most ? allowed : most;
	}
	CHECK(most > 2 * LEAST, "it never grew");
}

static const struct tcase cases[] = {
	{ "what_is_wanted_again_stays", what_is_wanted_again_stays },
	{ "what_is_used_is_no_refault", what_is_used_is_no_refault },
	{ "the_most_holds", the_most_holds },
	{ "gone_is_forgotten", gone_is_forgotten },
	{ "what_no_one_takes_leaves", what_no_one_takes_leaves },
	{ "as_the_model_says", as_the_model_says },
};

CASES(cases)
