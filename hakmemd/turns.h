/* SPDX-License-Identifier: MIT */
/*
 * Work on many processes, any of which may have made itself dear: those that were cheap the last
 * time are always served; the others as long as the time of this pass lasts, and then in the next
 * passes, before any of them is served again.
 *
 * Time is the processor's, so that a busy machine serves nobody less.
 */
#ifndef HAK_TURNS_H
#define HAK_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define HAK_CHEAP_NS	200000

struct hak_turns {
	unsigned round;
	int64_t left_ns;	/* of this pass */
	int64_t begun_ns;
};

/* Of one process. */
struct hak_turn {
	unsigned round;		/* in which it was served last */
	int64_t cost_ns;	/* then; 0: it never was */
};

static inline int64_t hak_processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One more pass over all of them begins. */
static inline void hak_turns_begin(struct hak_turns *t, int64_t time_ns)
{
	if (t->left_ns > 0 || t->round == 0)
		t->round++;	/* everybody had its turn */
	t->left_ns = time_ns;
}

/* Whether it is served now: if so, hak_turn_end() follows. */
static inline bool hak_turn_begin(struct hak_turns *t, struct hak_turn *turn)
{
	bool cheap = turn->cost_ns && turn->cost_ns < HAK_CHEAP_NS;

	if (!cheap && (t->left_ns <= 0 || turn->round == t->round))
		return false;
	turn->round = t->round;
	t->begun_ns = hak_processor_ns();
	return true;
}

static inline void hak_turn_end(struct hak_turns *t, struct hak_turn *turn)
{
	turn->cost_ns = hak_processor_ns() - t->begun_ns + 1;
	if (turn->cost_ns >= HAK_CHEAP_NS)
		t->left_ns -= turn->cost_ns;
}

#endif
