/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/turns.h: a pass takes its time and little more, however many are dear; those that are
 * cheap are served in each; and no dear one twice before all others were.
 */
#include "hakmemd/turns.h"
#include "tests/ctl/check.h"

enum { N = 60, DEAR = 40, PASS_NS = 4000000, DEAR_NS = 1000000 };

static struct hak_turns turns;
static struct hak_turn turn[N];
static unsigned served[N];

static void burn(int64_t ns)
{
	int64_t end = hak_processor_ns() + ns;

	while (hak_processor_ns() < end)
		;
}

/* How many of the dear ones were served. */
static unsigned pass(void)
{
	unsigned n = 0;

	hak_turns_begin(&turns, PASS_NS);
	for (unsigned i = 0; i < N; i++) {
		if (!hak_turn_begin(&turns, &turn[i]))
			continue;
		if (i < DEAR)
			burn(DEAR_NS);
		hak_turn_end(&turns, &turn[i]);
		served[i]++;
		n += i < DEAR;
	}
	return n;
}

int main(void)
{
	unsigned passes, total = 0, cheap = 0;

	/* Nobody is known at first, so that the dear ones keep the cheap ones waiting once. */
	for (passes = 0; total < DEAR; passes++) {
		unsigned n = pass();

		CHECK(n > 0 && n <= PASS_NS / DEAR_NS, "%u dear ones in one pass", n);
		total += n;
	}
	CHECK(total == DEAR && passes >= DEAR * (DEAR_NS / 1000) / (PASS_NS / 1000),
	      "%u dear ones in %u passes", total, passes);
	for (unsigned i = 0; i < DEAR; i++)
		CHECK(served[i] == 1, "%u was served %u times", i, served[i]);
	pass();
	for (unsigned i = DEAR; i < N; i++)
		served[i] = 0;
	for (passes = 0; passes < 30; passes++)
		pass();
	/* The processor may be away for long enough that one looks dear for once. */
	for (unsigned i = DEAR; i < N; i++)
		cheap += served[i];
	CHECK(cheap >= 30 * (N - DEAR) * 3 / 4, "cheap ones were served %u times in 30 passes",
	      cheap);
	for (unsigned i = 1; i < DEAR; i++)
		CHECK(served[i] + 1 >= served[0] && served[i] <= served[0] + 1,
		      "%u was served %u times, the first %u times", i, served[i], served[0]);
	return check_end();
}
