/* SPDX-License-Identifier: MIT */
/*
 * Bounds the processor time that other processes can make this program spend: work whose amount
 * another process decides, such as walks over its mappings, its descriptors and its heaps.
 *
 * A budget is the time that one piece of work may take. Loops ask hak_budget_spent() for each line,
 * entry or heap, and end with -ETIME. That error means "put off" and says nothing about the
 * process. The budget is ambient, as memalloc_nofs_save() is in the kernel: functions between the
 * caller that knows the limit and the loop that has to keep it need not pass the limit on. Without
 * a budget no time is ever spent. A budget within another one ends no later than the outer one.
 *
 * Shares divide a pass over many pieces among the users whose processes the pieces are about. All
 * users have equal shares, so a user's processes delay only that user's processes; root and the
 * caller's own user are bounded by the pass alone. A piece begins while any time of the share is
 * left, and the time that it takes beyond the share is owed in later passes. Users are told apart
 * by a hash with a secret: a user with many uids does not get more accounts, and no user can choose
 * which users share an account.
 *
 * Time is the processor time of the calling thread, so that a busy machine does not shorten a
 * share. A share is charged with the time that the thread slept as well, as for a page from a disk.
 * Where a process can decide how long that is, a child process (reader.h) sleeps instead, for a
 * bounded time; its time counts as the thread's. For hakmemctl, hakmemd and tests. The current
 * budget belongs to the thread, shares belong to one thread.
 */
#ifndef HAK_BUDGET_H
#define HAK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

int64_t hak_processor_ns(void);
/*
 * Returns how long the main thread has slept, from an unknown moment on; 0 where the kernel does
 * not tell.
 */
int64_t hak_slept_ns(void);
/* Sets other clocks, for tests; NULL: the processor's, and that of the main thread's sleep. */
void hak_processor_clock(int64_t (*clock)(void));
void hak_sleep_clock(int64_t (*clock)(void));

struct hak_budget {
	struct hak_budget *outer;
	int64_t end_ns;
	bool spent;
};

/* `b` is the budget until hak_budget_leave(), which must be called in the same function and returns
 * whether the budget was spent. */
void hak_budget_enter(struct hak_budget *b, int64_t ns);
bool hak_budget_leave(struct hak_budget *b);

/* Returns true once no time is left: the caller ends its loop with -ETIME. */
bool hak_budget_spent(void);
/* Charges `ns`, the time of a child process for which the thread waited (reader.h). `free_ns` of
 * the wait are charged to no account, because the machine was busy. */
void hak_budget_charge(int64_t ns, int64_t free_ns);
/* Puts the piece off, whatever time is left. */
void hak_budget_give_up(void);
/* Returns whether there is a budget. */
bool hak_budget_is_set(void);

/* -- shares ------------------------------------------------------------------------------------ */
#define HAK_SHARES 256u /* a power of two */

struct hak_share {
	int64_t left_ns; /* in `pass`; below 0: owed */
	unsigned pass;	 /* 0: never asked for */
	unsigned look, round;
	bool waits; /* in this look, a piece of the user was not done */
};

struct hak_shares {
	/* The owner may set these at any time. */
	int64_t pass_ns;  /* of all users in one pass */
	int64_t user_ns;  /* of that, for one user */
	int64_t piece_ns; /* the first time; see struct hak_turn */
	uint32_t secret;

	uint64_t put_off; /* pieces that were begun and not ended, since the start */
	bool waits;	  /* in this pass, a piece was not done */

	int64_t left_ns;
	unsigned pass, look;
	struct hak_share *now;
	struct hak_budget budget;
	int64_t begun_ns, slept_ns;
	struct hak_share free, share[HAK_SHARES];
};

/* State of one piece of work that is repeated. */
struct hak_turn {
	unsigned round; /* of its user, in which the piece was last done */
	uint8_t late;	/* how often in a row the piece was put off, which gives it more time */
};

/* A piece gets at most 2^HAK_LATE_MAX times `piece_ns`. */
#define HAK_LATE_MAX 4u

/* Begins one more pass. */
void hak_shares_begin(struct hak_shares *s);
/*
 * Begins a look: pieces with turns may be done again, and those first that the last look left out.
 */
void hak_shares_look(struct hak_shares *s);

/*
 * Returns whether a piece of work about a process of `uid` is done now; then hak_share_leave() must
 * follow in the same function. Returns false if no time is left in this pass (s->waits), or if the
 * piece has a turn (not NULL) and was done in this look.
 */
bool hak_share_enter(struct hak_shares *s, uid_t uid, struct hak_turn *turn);
/* Returns whether a piece of work is being done, and for which account. */
bool hak_share_account(uid_t *ret);
/* Returns true if the piece was put off, which is counted. */
bool hak_share_leave(struct hak_shares *s, struct hak_turn *turn);

#endif
