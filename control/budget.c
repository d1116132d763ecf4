/* SPDX-License-Identifier: MIT */
/* Bounds on work that other processes cause, see budget.h. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "control/budget.h"

/*
 * How long a look at a process may sleep uncharged, for example while its pages are read from a
 * disk.
 */
#define SLEEP_LEAST_NS 5000000

/* Time that child processes worked for the thread, see hak_budget_charge(). */
static __thread int64_t charged_ns, lost_ns;

static int64_t processor(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + charged_ns;
}

static int64_t (*clock_)(void) = processor;
static __thread struct hak_budget *current;

/*
 * Returns how long the thread has slept in the kernel: neither ran nor waited for a processor. Only
 * differences have a meaning. 0 where the kernel does not tell.
 */
static int64_t slept(void)
{
	static int schedstat = -1;
	unsigned long long waited;
	struct timespec t;
	char text[80];
	ssize_t n;

	if (schedstat == -1)
		schedstat = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	n = schedstat < 0 ? -1 : pread(schedstat, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		schedstat = -2;
		return 0;
	}
	text[n] = '\0';
	if (sscanf(text, "%*u %llu", &waited) != 1)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - processor() - (int64_t)waited - lost_ns;
}

static int64_t (*sleep_clock)(void) = slept;

void hak_sleep_clock(int64_t (*clock)(void))
{
	sleep_clock = clock ? clock : slept;
}

int64_t hak_slept_ns(void)
{
	return sleep_clock();
}

int64_t hak_processor_ns(void)
{
	return clock_();
}

void hak_budget_charge(int64_t ns, int64_t free_ns)
{
	charged_ns += ns;
	lost_ns += free_ns;
}

void hak_processor_clock(int64_t (*clock)(void))
{
	clock_ = clock ? clock : processor;
}

/* -- a budget ---------------------------------------------------------------------------------- */
void hak_budget_enter(struct hak_budget *b, int64_t ns)
{
	b->outer = current;
	b->end_ns = clock_() + ns;
	b->spent = false;
	if (b->outer && b->outer->end_ns < b->end_ns)
		b->end_ns = b->outer->end_ns;
	current = b;
}

bool hak_budget_leave(struct hak_budget *b)
{
	current = b->outer;
	return b->spent;
}

bool hak_budget_spent(void)
{
	if (!current)
		return false;
	if (!current->spent)
		current->spent = clock_() >= current->end_ns;
	return current->spent;
}

void hak_budget_give_up(void)
{
	if (current)
		current->spent = true;
}

bool hak_budget_is_set(void)
{
	return current;
}

/* -- shares ------------------------------------------------------------------------------------ */
static struct hak_share *share_of(struct hak_shares *s, uid_t uid)
{
	uint32_t hash = ((uint32_t)uid ^ s->secret) * 2654435761u;

	if (uid == 0 || uid == geteuid())
		return &s->free;
	return &s->share[(hash ^ hash >> 16) & (HAK_SHARES - 1)];
}

void hak_shares_begin(struct hak_shares *s)
{
	s->pass++;
	s->left_ns = s->pass_ns;
	s->waits = false;
}

void hak_shares_look(struct hak_shares *s)
{
	s->look++;
}

/* Brings the share up to this pass and this look. */
static void bring_up(const struct hak_shares *s, struct hak_share *share)
{
	int64_t more = share == &s->free ? s->pass_ns : s->user_ns;

	if (!share->pass || share->pass != s->pass) {
		/* Passes in which the user had no work also pay off what the share owes. */
		unsigned passed = share->pass ? s->pass - share->pass : 1;

		for (; passed && share->left_ns < more; passed--)
			share->left_ns += more;
		if (share->left_ns > more)
			share->left_ns = more;
		share->pass = s->pass;
	}
	if (!share->round || share->look != s->look) {
		if (!share->waits)
			share->round++;
		share->waits = false;
		share->look = s->look;
	}
}

static __thread struct {
	bool is_set;
	uid_t account;
} sharing;

bool hak_share_account(uid_t *ret)
{
	*ret = sharing.account;
	return sharing.is_set;
}

bool hak_share_enter(struct hak_shares *s, uid_t uid, struct hak_turn *turn)
{
	struct hak_share *share = share_of(s, uid);

	bring_up(s, share);
	if (turn && turn->round == share->round)
		return false;
	if (s->left_ns <= 0 || share->left_ns <= 0) {
		s->waits = share->waits = true;
		return false;
	}
	s->now = share;
	sharing.is_set = true;
	sharing.account = uid;
	hak_budget_enter(&s->budget, s->piece_ns << (turn ? turn->late : 0));
	s->begun_ns = clock_();
	s->slept_ns = sleep_clock();
	return true;
}

bool hak_share_leave(struct hak_shares *s, struct hak_turn *turn)
{
	bool spent = hak_budget_leave(&s->budget);
	int64_t took_ns = clock_() - s->begun_ns;
	int64_t slept_ns = sleep_clock() - s->slept_ns;

	sharing.is_set = false;
	s->left_ns -= took_ns;
	s->now->left_ns -= took_ns;
	/*
	 * All users waited this time. The sleep is charged to this share, so next time only this
	 * user waits.
	 */
	if (slept_ns > SLEEP_LEAST_NS && s->now != &s->free)
		s->now->left_ns -= slept_ns;
	s->put_off += spent;
	if (!turn)
		return spent;
	turn->round = s->now->round;
	if (spent && turn->late < HAK_LATE_MAX)
		turn->late++;
	/* A piece that needed more time will need it again. */
	if (!spent && turn->late && took_ns < s->piece_ns << (turn->late - 1))
		turn->late--;
	return spent;
}
