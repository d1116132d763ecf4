// SPDX-License-Identifier: MIT
/*
 * Every tunable is changed at random from outside while the stress test (tests/preload/stress,
 * which checks the contents of every block) allocates in several threads and forks. The changes are
 * values in and out of range, layers, deadlines, slots torn in the middle of a write, a generation
 * that stays odd, and purge requests of every level. The stress test must pass. When everything has
 * been reset, the defaults must be in force, in a process that works on.
 *
 * control.segment is left out, because switching it off hides the process; tests/live/drop
 * covers it.
 */
#include "effects.h"

/* The seed of this run; HAK_SEED=N replays one. */
static uint64_t seed(void)
{
	const char *s = getenv("HAK_SEED");

	return s ? strtoull(s, NULL, 0) : 1;
}

static void one_slot(struct peer *p, uint64_t *s)
{
	unsigned i = rnd(s) % p->h.tunables;
	const struct hak_tunable_desc *d = &p->tunable[i];
	enum hak_origin who = rnd(s) % 2 ? HAK_ORIGIN_ADMIN : HAK_ORIGIN_POLICY;
	uint64_t span = d->max - d->min, v;
	struct timespec now;
	uint64_t deadline = 0;

	if (strcmp(d->name, "control.segment") == 0)
		return;
	switch (rnd(s) % 6) {
	case 0:
		v = rnd(s); /* most are far out of range */
		break;
	case 1:
		v = d->max + 1 + rnd(s) % 3;
		break;
	case 2:
		v = rnd(s) % 2 ? d->min : d->max;
		break;
	default:
		v = d->min + (span > 64 && rnd(s) % 2 ? rnd(s) % 64 : rnd(s) % (span + 1));
	}
	if (rnd(s) % 4 == 0) {
		clock_gettime(CLOCK_BOOTTIME, &now);
		deadline = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec +
			   rnd(s) % 50000000;
	}
	peer_write(p, d->name, who, rnd(s) % 4 != 0, v, deadline);
}

/* Words of a slot without the protocol, as a writer leaves them that dies or ignores it. */
static void torn_slot(struct peer *p, uint64_t *s)
{
	unsigned i = rnd(s) % p->h.tunables;
	uint64_t *word = (uint64_t *)&p->tune->slot[i];
	size_t n = sizeof(p->tune->slot[i]) / 8;

	if (strcmp(p->tunable[i].name, "control.segment") == 0)
		return;
	if (rnd(s) % 2)
		__atomic_fetch_or(&p->tune->generation_seq, 1, __ATOMIC_SEQ_CST);
	for (size_t k = 0, m = 1 + rnd(s) % n; k < m; k++)
		__atomic_store_n(&word[rnd(s) % n], rnd(s) >> rnd(s) % 64, __ATOMIC_RELAXED);
	if (rnd(s) % 2)
		__atomic_store_n(&p->tune->generation_seq, (p->tune->generation_seq | 1) + 1,
				 __ATOMIC_SEQ_CST);
	peer_wake(p);
}

static void one_blow(struct peer *p, uint64_t *s)
{
	switch (rnd(s) % 16) {
	case 0:
		__atomic_store_n(&p->tune->purge_request,
				 ((p->tune->purge_request >> 8) + 1) << 8 | rnd(s) % 5,
				 __ATOMIC_SEQ_CST);
		peer_wake(p);
		break;
	case 1:
	case 2:
	case 3:
		torn_slot(p, s);
		break;
	default:
		one_slot(p, s);
	}
}

/* Resets all outside layers of all tunables, in one generation. */
static uint64_t reset_all(struct peer *p)
{
	uint64_t g = p->tune->generation_seq | 1;

	__atomic_store_n(&p->tune->generation_seq, g, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < HAK_MAX_TUNABLES; i++)
		memset(&p->tune->slot[i], 0, sizeof(p->tune->slot[i]));
	__atomic_store_n(&p->tune->generation_seq, g + 1, __ATOMIC_SEQ_CST);
	peer_wake(p);
	return g + 1;
}

static void check_defaults(struct peer *p)
{
	for (unsigned i = 0; i < p->h.tunables; i++) {
		struct hak_ack_value a = peer_ack(p, p->tunable[i].name);

		CHECK(a.value == p->tunable[i].dflt && a.origin == HAK_ORIGIN_DEFAULT &&
			      a.set == 1u << HAK_ORIGIN_DEFAULT,
		      "%s is %lu after the reset, from layer %u, layers %#x", p->tunable[i].name,
		      a.value, a.origin, a.set);
	}
}

static void check_in_range(struct peer *p)
{
	for (unsigned i = 0; i < p->h.tunables; i++) {
		uint64_t v = peer_value(p, p->tunable[i].name);

		CHECK(v >= p->tunable[i].min && v <= p->tunable[i].max, "%s is %lu in force",
		      p->tunable[i].name, v);
	}
}

/* ---- the stress test ---- */

/*
 * Returns the process below `pid` that does the work: its first child. 0: not there yet, or gone.
 */
static pid_t worker_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	return child;
}

static pid_t start_stress(char *number)
{
	static char path[4200], ops[32];
	const char *build = getenv("top_builddir");
	pid_t pid;

	snprintf(path, sizeof(path), "%s/tests/preload/stress", build ? build : ".");
	snprintf(ops, sizeof(ops), "%zu", scale(60000, 600000));
	if (access(path, X_OK))
		SKIP("no %s", path);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(log_fd, 1);
		dup2(log_fd, 2);
		execl(path, path, "--threads", "4", "--fork", "--ops", ops, "--seed", number,
		      (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* Changes tunables until the test has ended. Returns how many changes were written. */
static unsigned long storm_over(pid_t stress, int *status, uint64_t *s)
{
	const struct timespec pause = { 0, 200000 };
	unsigned long blows = 0;
	struct peer p;
	pid_t worker;
	int open = 0;

	while (waitpid(stress, status, WNOHANG) == 0) {
		if (!open) {
			worker = worker_of(stress);
			open = worker && peer_try_open(&p, worker);
		}
		if (open) {
			for (uint64_t n = rnd(s) % 8; n; n--, blows++)
				one_blow(&p, s);
		}
		nanosleep(&pause, NULL);
	}
	if (open)
		peer_close(&p);
	return blows;
}

static void while_stress_runs(void)
{
	uint64_t s = seed();
	unsigned long blows = 0;

	/* On a busy machine fewer land while one runs. */
	for (size_t i = 0; i < scale(1, 20) || blows < 500; i++) {
		char number[32];
		pid_t stress;
		int status;

		snprintf(number, sizeof(number), "%lu", seed() + i);
		stress = start_stress(number);
		blows += storm_over(stress, &status, &s);
		CHECK(status == 0, "status %#x; replay with HAK_SEED=%lu", status, seed() + i);
	}
}

/* ---- a subject that is looked at ---- */

static struct remote r;

/* Blocks that keep their contents while everything around them changes. */
static long fill_all(long a, long b)
{
	for (long i = 0; i < b; i++) {
		uint64_t x = mix64((uint64_t)(a + i));
		size_t n = 1 + mix64(x) % (i % 16 ? 5000 : i % 32 ? 300000 : 3000000);

		kept[i] = malloc(n);
		CHECK(kept[i]);
		fill(kept[i], n, x);
	}
	kept_n = b;
	return b;
}

static long check_all(long a, long b)
{
	for (long i = 0; i < b; i++) {
		uint64_t x = mix64((uint64_t)(a + i));
		size_t n = 1 + mix64(x) % (i % 16 ? 5000 : i % 32 ? 300000 : 3000000);

		check_block(kept[i], n, x);
		free(kept[i]);
	}
	kept_n = 0;
	return 0;
}

static void and_then_reset(void)
{
	uint64_t s = seed(), g;

	start(&r, NULL);
	for (long round = 0; round < (long)scale(40, 400); round++) {
		for (int i = 0; i < 30; i++)
			one_blow(&r.p, &s);
		ask(&r, fill_all, round, 300);
		for (int i = 0; i < 30; i++)
			one_blow(&r.p, &s);
		ask(&r, check_all, round, 300);
		check_in_range(&r.p);
	}
	g = reset_all(&r.p);
	WAIT_FOR(nudge(&r) && peer_has_applied(&r.p, g));
	check_defaults(&r.p);
	/*
	 * The values have their effects, too: the region cache keeps a whale, nothing is unmapped,
	 * a purge is answered.
	 */
	ask(&r, whales, 2 * MIB, 1);
	g = count(&r, "whale.hits");
	ask(&r, whales, 2 * MIB, 100);
	CHECK(count(&r, "whale.hits") == g + 100, "%lu hits, then %lu", g, count(&r, "whale.hits"));
	purge(&r, HAK_PURGE_ALL);
	CHECK(count(&r, "ring.regions") == 0);
	close(r.fd);
}

static const struct tcase cases[] = {
	{ "while_stress_runs", while_stress_runs, 120 },
	{ "and_then_reset", and_then_reset, 60 },
};

EFFECTS_MAIN(cases)
