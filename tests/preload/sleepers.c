// SPDX-License-Identifier: MIT
/*
 * Threads that work in bursts and sleep in between, while another purges all the time and takes
 * their caches over (hazard 43): contents of all blocks, forks and ends of threads in the middle,
 * and the books afterwards. HAK_SLEEPERS_ROUNDS is how many rounds a case has, else 1.
 */
#include "../live/peer.h"

#include <pthread.h>

#include "libhakmem/hakmem.h"

enum { THREADS = 6, SLOTS = 96, LIVES = 2, BURSTS = 40, OPS = 400, FORKS = 12 };

struct block {
	unsigned char *p;
	size_t n;
	uint64_t seed;
};

/* Blocks that change hands; an exchange takes one. */
static _Atomic(struct block *) passed[THREADS];
static _Atomic int over;
static _Atomic unsigned int working;
static uint64_t purges;

static uint64_t counter(const char *name)
{
	uint64_t n;

	CHECK(!HAKMEM(hakmem_counter, hakmem_get_fn)(name, &n), "no counter %s", name);
	return n;
}

static void purge(int level)
{
	CHECK(!HAKMEM(hakmem_purge, int (*)(int, uint64_t *))(level, NULL));
}

/* Mostly of few classes, whose bins are then long; some runs, seldom a whale. */
static size_t size_of(uint64_t r)
{
	if (r % 256 == 0)
		return MIB + (r >> 8) % MIB;
	if (r % 32 == 0)
		return 20000 + (r >> 8) % 100000;
	return (r >> 8) % 8 * 48 + 16;
}

static void take(struct block *b, uint64_t *state)
{
	b->n = size_of(rnd(state));
	b->seed = rnd(state);
	b->p = launder(malloc(b->n));
	CHECK(b->p);
	fill(b->p, b->n, b->seed);
}

static void give(struct block *b)
{
	if (!b->p)
		return;
	check_block(b->p, b->n, b->seed);
	memset(b->p, 0x5a, b->n < 4096 ? b->n : 4096);
	free(launder(b->p));
	b->p = NULL;
}

static void grow(struct block *b, uint64_t *state)
{
	size_t n = size_of(rnd(state)), both = n < b->n ? n : b->n;

	check_block(b->p, b->n, b->seed);
	b->p = launder(realloc(b->p, n));
	CHECK(b->p);
	check_block(b->p, both, b->seed);
	b->n = n;
	fill(b->p, n, b->seed);
}

static void pass(struct block *b, uint64_t *state)
{
	struct block *mine = launder(malloc(sizeof(*mine)));

	CHECK(mine);
	*mine = *b;
	mine = atomic_exchange(&passed[rnd(state) % THREADS], mine);
	b->p = NULL;
	if (!mine)
		return;
	*b = *mine;
	free(mine);
}

static void burst(struct block *slot, uint64_t *state)
{
	for (int i = 0; i < OPS; i++) {
		struct block *b = &slot[rnd(state) % SLOTS];
		uint64_t r = rnd(state) % 16;

		if (!b->p)
			take(b, state);
		else if (r == 0)
			grow(b, state);
		else if (r == 1)
			pass(b, state);
		else
			give(b);
	}
}

static void *work(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	struct block slot[SLOTS] = { { NULL, 0, 0 } };

	for (int i = 0; i < BURSTS; i++) {
		const struct timespec t = { 0, (long)(rnd(&state) % 1000000) };

		burst(slot, &state);
		nanosleep(&t, NULL);
	}
	for (int i = 0; i < SLOTS; i++)
		give(&slot[i]);
	return NULL;
}

/* One after the other, so that heaps die and are adopted. */
static void *lives(void *arg)
{
	pthread_t t;

	for (uintptr_t life = 1; life <= LIVES; life++) {
		CHECK(!pthread_create(&t, NULL, work, (void *)((uintptr_t)arg * 1000 + life)));
		CHECK(!pthread_join(t, NULL));
	}
	atomic_fetch_sub(&working, 1);
	return NULL;
}

static void *purger(void *arg)
{
	for (uint64_t i = 0; !atomic_load(&over); i++, purges++)
		purge(HAKMEM_PURGE_CACHE + (int)(i % 3));
	return arg;
}

static void fork_one(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		exercise_all_tiers(1);
		purge(HAKMEM_PURGE_ALL);
		exercise_all_tiers(2);
		_exit(0);
	}
	reap(pid, "a child");
}

static void round_of(uint64_t seed)
{
	pthread_t t[THREADS], p;

	atomic_store(&over, 0);
	atomic_store(&working, THREADS);
	CHECK(!pthread_create(&p, NULL, purger, NULL));
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, lives, (void *)(seed * THREADS + i + 1)));
	for (int i = 0; i < FORKS || atomic_load(&working); i++) {
		const struct timespec pause = { 0, 5000000 };

		if (i < FORKS)
			fork_one();
		nanosleep(&pause, NULL);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	atomic_store(&over, 1);
	CHECK(!pthread_join(p, NULL));
	for (int i = 0; i < THREADS; i++) {
		struct block *b = atomic_exchange(&passed[i], NULL);

		if (b)
			give(b);
		free(b);
	}
}

/* Blocks in use, of all sizes. */
static int64_t in_use(void)
{
	return (int64_t)(counter("class.allocs") - counter("class.frees") +
			 counter("whale.allocs") - counter("whale.frees"));
}

static void check_books(int64_t in_use_before)
{
	uint64_t whales = counter("whale.alloc_bytes") - counter("whale.free_bytes"), sum;
	uint64_t cached;

	purge(HAKMEM_PURGE_CACHE);
	purge(HAKMEM_PURGE_ALL);
	cached = counter("class.refilled") - counter("class.flushed") -
		 (counter("class.allocs") - counter("class.frees"));
	CHECK(cached == 0, "%lu blocks are in caches that were emptied", cached);
	CHECK(in_use() == in_use_before, "%ld blocks in use, were %ld", in_use(), in_use_before);
	sum = counter("mem.slab") + counter("mem.run") + whales + counter("mem.dirty") +
	      counter("mem.lazy") + counter("mem.clean");
	CHECK(counter("mem.mapped") == sum, "%lu mapped, %lu in states", counter("mem.mapped"),
	      sum);
}

static void bursts(void)
{
	const char *rounds = getenv("HAK_SLEEPERS_ROUNDS");
	unsigned long n = rounds ? strtoul(rounds, NULL, 10) : 1;
	int64_t before;

	/* libc's own blocks, of threads and their stacks, are there after a first round */
	round_of(0);
	before = in_use();
	/* a purge meets threads outside the allocator and inside in some round */
	for (uint64_t i = 1; i <= n || !counter("purge.takeovers") || !counter("purge.held"); i++) {
		round_of(i);
		check_books(before);
	}
	say("# %lu purges, %lu caches emptied, %lu kept\n", purges, counter("purge.takeovers"),
	    counter("purge.held"));
}

#define QUIET "control.agent=off,purge.delay_ms=86400000"
static const struct tcase cases[] = {
	{ "bursts_43", bursts, 120, QUIET, NULL },
	{ "bursts_unmapped_43", bursts, 120, QUIET ",superslab.enable=off", NULL },
	{ "bursts_sampled_43", bursts, 120, QUIET ",profile.sample_bytes=4096", NULL },
	{ "bursts_without_a_segment_43", bursts, 120, QUIET ",control.segment=off", NULL },
	{ "bursts_by_age_43", bursts, 120, "purge.delay_ms=1", NULL },
};

CONTROL_MAIN(cases)
