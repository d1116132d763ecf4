/* SPDX-License-Identifier: MIT */
/*
 * How much of our processor time others may use up: work whose amount another process decides, such
 * as walks over its mappings, its descriptors and its heaps.
 *
 * A budget is the time that one piece of work may take. Loops ask hak_budget_spent() for each line,
 * entry or heap, and end with -ETIME: "put off", which says nothing about the process. The budget
 * is ambient, as memalloc_nofs_save() is in the kernel: what lies between the caller who knows the
 * limit and the loop that has to keep it need not pass it on. Without a budget nothing is ever
 * spent. A budget within another ends no later than the outer one.
 *
 * Shares divide a pass over many pieces among the users whose processes they are about. Each user
 * has as much as any other, so that a user's processes keep only that user's processes waiting;
 * root and the caller's own user are bounded by the pass alone. A piece begins while anything is
 * left, and what it takes too much is owed in the passes after it. Users are told apart by a hash
 * with a secret: there are no more accounts for a user with many uids, and nobody chooses with whom
 * to share one.
 *
 * Time is the processor's, of the calling thread, so that a busy machine serves nobody less. A
 * share is charged with the time that the thread slept as well, as for a page from a disk. Where a
 * process can decide how long that is, another process of ours sleeps, for a bounded time
 * (reader.h): its time counts as the thread's. For hakmemctl, hakmemd and tests; the current budget
 * is the thread's, shares are one thread's.
 */
#ifndef HAK_BUDGET_H
#define HAK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

int64_t hak_processor_ns(void);
/*
 * How long the main thread has slept, from an unknown moment on; 0 where the kernel does not tell.
 */
int64_t hak_slept_ns(void);
/* Other clocks, for tests; NULL: the processor's, and that of the main thread's sleep. */
void hak_processor_clock(int64_t (*clock)(void));
void hak_sleep_clock(int64_t (*clock)(void));

struct hak_budget {
	struct hak_budget *outer;
	int64_t end_ns;
	bool spent;
};

/* `b` is the budget until hak_budget_leave(), which is to be called in the same function and
 * answers whether it was spent. */
void hak_budget_enter(struct hak_budget *b, int64_t ns);
bool hak_budget_leave(struct hak_budget *b);

/* True from the moment that there is no time left: the caller ends its loop with -ETIME. */
bool hak_budget_spent(void);
/* The thread waited for another process of ours (reader.h), whose time counts as its own: `ns`.
 * `free_ns` of its wait are charged to no account: the machine was busy. */
void hak_budget_charge(int64_t ns, int64_t free_ns);
/* The piece is put off, whatever is left. */
void hak_budget_give_up(void);
/* Whether there is a budget at all. */
bool hak_budget_is_set(void);

/* -- shares ------------------------------------------------------------------------------------ */
#define HAK_SHARES 256u /* a power of two */

struct hak_share {
	int64_t left_ns; /* in `pass`; below 0: owed */
	unsigned pass;	 /* 0: never asked for */
	unsigned look, round;
	bool waits; /* in this look, a piece of the user's was not done */
};

struct hak_shares {
	/* Set by the owner, at any time. */
	int64_t pass_ns;  /* of all users in one pass */
	int64_t user_ns;  /* of that, for one user */
	int64_t piece_ns; /* the first time; see struct hak_turn */
	uint32_t secret;

	uint64_t put_off; /* pieces that were begun and not ended, ever */
	bool waits;	  /* in this pass, a piece was not done */

	int64_t left_ns;
	unsigned pass, look;
	struct hak_share *now;
	struct hak_budget budget;
	int64_t begun_ns, slept_ns;
	struct hak_share free, share[HAK_SHARES];
};

/* Of one piece of work that comes again and again. */
struct hak_turn {
	unsigned round; /* of its user, in which it was done last */
	uint8_t late;	/* how often in a row it was put off: it gets more time */
};

/* 2^this times `piece_ns` is what a piece gets at most. */
#define HAK_LATE_MAX 4u

/* One more pass. */
void hak_shares_begin(struct hak_shares *s);
/* Pieces with turns may be done again, those first that were not done in the last look. */
void hak_shares_look(struct hak_shares *s);

/*
 * Whether a piece of work about a process of `uid` is done now; then hak_share_leave() follows in
 * the same function. False: there is no time left in this pass (s->waits), or with a turn (NULL: it
 * has none) it was done in this look.
 */
bool hak_share_enter(struct hak_shares *s, uid_t uid, struct hak_turn *turn);
/* Whether a piece of work is done just now; for whom. */
bool hak_share_account(uid_t *ret);
/* True if it was put off, which is counted. */
bool hak_share_leave(struct hak_shares *s, struct hak_turn *turn);

#endif
