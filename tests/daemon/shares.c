/* SPDX-License-Identifier: MIT */
/*
 * control/budget.h with a clock that only the test advances. A budget ends loops. A pass ends when
 * its time is over. A user with expensive processes does not delay other users, owes excess time,
 * and gets each process served before one is served twice. Pieces put off are counted, and get more
 * time the next time.
 */
#include "control/budget.h"
#include "tests/check.h"

#define MS 1000000
enum { PASS = 10 * MS, USER = 4 * MS, PIECE = 2 * MS, DEAR = 50, HONEST = 20, USERS = 3 };

static int64_t now_ns = 1;

static int64_t now(void)
{
	return now_ns;
}

/* Takes `ns` of work in steps of a tenth of a millisecond, or until the budget is spent. */
static bool work(int64_t ns)
{
	for (; ns > 0; ns -= MS / 10) {
		if (hak_budget_spent())
			return false;
		now_ns += MS / 10;
	}
	return true;
}

static void check_budget(void)
{
	struct hak_budget outer, inner;

	EXPECT(!hak_budget_is_set() && work(1000 * MS), "without a budget nothing is spent");
	hak_budget_enter(&outer, 3 * MS);
	EXPECT(hak_budget_is_set(), "there is one");
	hak_budget_enter(&inner, MS);
	EXPECT(work(MS / 2), "half of it");
	EXPECT(!work(MS), "more than it");
	EXPECT(hak_budget_leave(&inner), "the inner one was spent");
	EXPECT(work(MS), "the outer one was not");
	hak_budget_enter(&inner, 100 * MS);
	EXPECT(!work(10 * MS), "an inner one ends with the outer one");
	EXPECT(hak_budget_leave(&inner) && !hak_budget_leave(&outer),
	       "the outer one was not asked");
	EXPECT(!hak_budget_is_set(), "none is left");
}

static struct hak_shares shares;
static struct hak_turn dear[DEAR], honest[USERS][HONEST];
static unsigned dear_served[DEAR], served[USERS][HONEST];

/* Does all work of both kinds in one pass; returns how long it took. */
static int64_t pass(int64_t dear_ns)
{
	int64_t begun = now_ns;

	hak_shares_begin(&shares);
	for (unsigned i = 0; i < DEAR; i++) {
		if (!hak_share_enter(&shares, 1000, &dear[i]))
			continue;
		work(dear_ns);
		hak_share_leave(&shares, &dear[i]);
		dear_served[i]++;
	}
	for (unsigned u = 0; u < USERS; u++)
		for (unsigned i = 0; i < HONEST; i++) {
			if (!hak_share_enter(&shares, 2000 + u, &honest[u][i]))
				continue;
			work(MS / 10);
			hak_share_leave(&shares, &honest[u][i]);
			served[u][i]++;
		}
	return now_ns - begun;
}

/* Finds a secret with which no honest user shares the account of the expensive one. */
static void find_secret(void)
{
	for (;; shares.secret++) {
		bool apart = true;

		hak_shares_begin(&shares);
		while (hak_share_enter(&shares, 1000, NULL)) {
			work(MS);
			hak_share_leave(&shares, NULL);
		}
		for (unsigned u = 0; u < USERS && apart; u++) {
			apart = hak_share_enter(&shares, 2000 + u, NULL);
			if (apart)
				hak_share_leave(&shares, NULL);
		}
		if (apart)
			break;
	}
	shares = (struct hak_shares){
		.pass_ns = PASS, .user_ns = USER, .piece_ns = PIECE, .secret = shares.secret
	};
}

static void check_shares(void)
{
	unsigned looks = 0, least = ~0u, most = 0;

	for (unsigned look = 0; look < 30; look++, looks++) {
		hak_shares_look(&shares);
		EXPECT(pass(100 * MS) <= PASS + (PIECE << HAK_LATE_MAX), "look %u takes %d ms",
		       look, (int)(PASS / MS));
		/*
		 * Where the expensive user overdrew the pass itself, the others come in the next.
		 */
		while (shares.waits && served[0][0] <= look)
			pass(100 * MS);
	}
	for (unsigned u = 0; u < USERS; u++)
		for (unsigned i = 0; i < HONEST; i++)
			EXPECT(served[u][i] == looks,
			       "process %u of user %u was served %u times "
			       "in %u looks",
			       i, u, served[u][i], looks);
	for (unsigned i = 0; i < DEAR; i++) {
		least = dear_served[i] < least ? dear_served[i] : least;
		most = dear_served[i] > most ? dear_served[i] : most;
	}
	EXPECT(most - least <= 1, "of the dear ones, some were served %u times, some %u", least,
	       most);
	EXPECT(shares.put_off > 0, "put off %u times", (unsigned)shares.put_off);
}

/* A piece that takes 5 ms is done once it was put off often enough. */
static void check_late(void)
{
	struct hak_shares s = { .pass_ns = PASS, .user_ns = USER, .piece_ns = MS };
	struct hak_turn turn = { 0 };
	unsigned tries = 0;
	bool done = false;

	for (unsigned passes = 0; !done && passes < 100; passes++) {
		hak_shares_look(&s);
		hak_shares_begin(&s);
		if (!hak_share_enter(&s, 1000, &turn))
			continue;
		done = work(5 * MS);
		hak_share_leave(&s, &turn);
		tries++;
	}
	EXPECT(done && tries == 4 && s.put_off == 3, "done %d after %u tries, %u put off", done,
	       tries, (unsigned)s.put_off);
	for (unsigned i = 0; i < 10; i++)
		s.put_off = 0, hak_shares_look(&s), hak_shares_begin(&s);
	EXPECT(hak_share_enter(&s, 1000, &turn) && work(5 * MS) && !hak_share_leave(&s, &turn),
	       "it needs as much again");
	EXPECT(!hak_share_enter(&s, 1000, &turn) && !s.waits, "it was done in this look");
	EXPECT(!hak_share_enter(&s, 1000, NULL) && s.waits, "there is no more in this pass");
}

/* Three shares at once, which nothing stopped, are paid by the two following passes. */
static void check_debt(void)
{
	struct hak_shares s = { .pass_ns = 10 * PASS, .user_ns = USER, .piece_ns = MS };
	unsigned refused = 0;

	hak_shares_begin(&s);
	EXPECT(hak_share_enter(&s, 1000, NULL), "a first time");
	now_ns += 3 * USER;
	hak_share_leave(&s, NULL);
	for (hak_shares_begin(&s); !hak_share_enter(&s, 1000, NULL); hak_shares_begin(&s))
		refused++;
	EXPECT(refused == 2, "refused in %u passes", refused);
	hak_share_leave(&s, NULL);
}

/* Only the pass bounds root's processes, and all users together. */
static int64_t sleep_ns;

static int64_t asleep(void)
{
	return sleep_ns;
}

/*
 * A process that makes its reader wait is looked at again when its user's share has paid for that.
 */
static void check_sleep(void)
{
	struct hak_shares s = { .pass_ns = 10 * PASS, .user_ns = USER, .piece_ns = MS };
	unsigned refused = 0;

	hak_shares_begin(&s);
	EXPECT(hak_share_enter(&s, 1000, NULL), "a first time");
	sleep_ns += 100 * USER;
	hak_share_leave(&s, NULL);
	EXPECT(hak_share_enter(&s, 2000, NULL), "another user's, in the same pass");
	hak_share_leave(&s, NULL);
	for (hak_shares_begin(&s); !hak_share_enter(&s, 1000, NULL); hak_shares_begin(&s))
		refused++;
	EXPECT(refused == 99, "refused in %u passes", refused);
	hak_share_leave(&s, NULL);
}

static void check_all(void)
{
	struct hak_shares s = { .pass_ns = PASS, .user_ns = USER, .piece_ns = MS };
	unsigned n = 0;

	hak_shares_begin(&s);
	while (hak_share_enter(&s, 0, NULL)) {
		work(MS);
		hak_share_leave(&s, NULL);
		n++;
	}
	EXPECT(n == PASS / MS, "%u pieces in a pass of %d", n, PASS / MS);
	/* The same holds for many users. */
	n = 0;
	hak_shares_begin(&s);
	for (uid_t uid = 1000; uid < 1100; uid++) {
		if (!hak_share_enter(&s, uid, NULL))
			continue;
		work(MS);
		hak_share_leave(&s, NULL);
		n++;
	}
	EXPECT(n == PASS / MS && s.waits, "%u users have their turn in a pass", n);
}

static const struct tcase cases[] = {
	{ "budget", check_budget }, { "shares", check_shares }, { "late", check_late },
	{ "debt", check_debt },	    { "sleep", check_sleep },	{ "all", check_all },
};

int main(int argc, char **argv)
{
	hak_processor_clock(now);
	hak_sleep_clock(asleep);
	shares = (struct hak_shares){ .pass_ns = 100 * PASS, .user_ns = USER, .piece_ns = PIECE };
	find_secret();
	return RUN(argc, argv, cases);
}
