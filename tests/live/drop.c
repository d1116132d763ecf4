// SPDX-License-Identifier: MIT
/*
 * control.segment=off and on again in a running process: no count is doubled or lost, and no thread
 * loses the counters that it writes.
 */
#include "peer.h"

#include <pthread.h>
#include <sys/mman.h>

static struct peer p;
static pthread_barrier_t barrier;

static void *counts_for_ever(void *stop)
{
	while (!atomic_load((_Atomic int *)stop))
		free(launder(malloc(opaque(64))));
	return NULL;
}

static void can_be_dropped_live(void)
{
	static _Atomic int stop;
	uint64_t g, before, after;
	pthread_t t;

	peer_open(&p, getpid());
	CHECK(pthread_create(&t, NULL, counts_for_ever, &stop) == 0);
	exercise_all_tiers(1);
	g = peer_set(&p, "control.segment", 0);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	munmap(p.tune, sizeof(*p.tune));
	p.tune = NULL;
	/* The other thread moves its counters when it looks at the clock. */
	WAIT_FOR(poked() && !peer_mapped(getpid(), "/memfd:hakmem-"));
	CHECK(HAKMEM(hakmem_counter, hakmem_get_fn)("class.allocs", &before) == 0 && before > 20);
	exercise_all_tiers(2);
	CHECK(HAKMEM(hakmem_counter, hakmem_get_fn)("class.allocs", &after) == 0 && after > before);
	atomic_store(&stop, 1);
	pthread_join(t, NULL);

	/* The program makes the segment again, with the counts so far. */
	peer_close(&p);
	CHECK(HAKMEM(hakmem_set, hakmem_set_fn)("control.segment", 1) == 0);
	CHECK(!peer_mapped(getpid(), "/memfd:hakmem-"), "the program overrides the admin");
}

static void *counts_and_waits(void *arg)
{
	free(launder(malloc(opaque(64))));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void *counts_thousands(void *arg)
{
	static void *block[2000];

	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 2000; k++)
			block[k] = launder(malloc(opaque(64 + i % 5 * 100)));
		for (int k = 0; k < 2000; k++)
			free(block[k]);
	}
	return arg;
}

/*
 * A thread ends while there is no segment. The next segment shows the thread that takes its place,
 * and its counts.
 */
static void ended_threads_count_in_the_next(void)
{
	hakmem_set_fn set = HAKMEM(hakmem_set, hakmem_set_fn);
	hakmem_get_fn get = HAKMEM(hakmem_counter, hakmem_get_fn);
	uint64_t own, seen;
	pthread_t t;

	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&t, NULL, counts_and_waits, NULL) == 0);
	pthread_barrier_wait(&barrier);
	CHECK(set("control.segment", 0) == 0);
	pthread_barrier_wait(&barrier);
	pthread_join(t, NULL);
	CHECK(set("control.segment", 1) == 0);
	WAIT_FOR(poked() && peer_mapped(getpid(), "/memfd:" HAK_STATS_NAME));
	CHECK(pthread_create(&t, NULL, counts_thousands, NULL) == 0);
	pthread_join(t, NULL);
	peer_open(&p, getpid());
	CHECK(get("class.allocs", &own) == 0 && own > 40000);
	seen = peer_counter(&p, "class.allocs");
	CHECK(seen == own, "%lu of %lu allocations are seen", seen, own);
}

static void *drops(void *arg)
{
	free(launder(malloc(opaque(100))));
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	CHECK(HAKMEM(hakmem_set, hakmem_set_fn)("control.segment", 0) == 0);
	return arg;
}

static void *counts_meanwhile(void *arg)
{
	int (*purge)(int, uint64_t *) = HAKMEM(hakmem_purge, int (*)(int, uint64_t *));
	void *block[100];

	for (int i = 0; i < 100; i++)
		CHECK((block[i] = launder(malloc(opaque(200)))));
	for (int i = 0; i < 100; i++)
		free(block[i]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(arg);
	/* The other thread is held between copying some counters and replacing them by the copy. */
	for (int i = 0; i < 10; i++)
		CHECK((block[i] = launder(malloc(opaque(200)))));
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	/* A bin whose length contradicts its counters would end this process. */
	CHECK(purge(HAK_PURGE_CACHE, NULL) == 0);
	for (int i = 0; i < 10; i++)
		free(block[i]);
	CHECK(purge(HAK_PURGE_CACHE, NULL) == 0);
	return NULL;
}

/*
 * No thread's counters are replaced while it may count. The thread is held at each of the first
 * replacements.
 */
static void dropping_cuts_no_counts(uint32_t skip)
{
	struct hak_stops *s = stops_map();
	pthread_barrier_t steps;
	pthread_t t[2];

	CHECK(pthread_barrier_init(&barrier, NULL, 3) == 0);
	CHECK(pthread_barrier_init(&steps, NULL, 2) == 0);
	CHECK(pthread_create(&t[0], NULL, drops, NULL) == 0);
	CHECK(pthread_create(&t[1], NULL, counts_meanwhile, &steps) == 0);
	pthread_barrier_wait(&barrier);
	stop_arm(&s->slot[0], "segment.copied", skip);
	pthread_barrier_wait(&barrier);
	stop_await(&s->slot[0]);
	pthread_barrier_wait(&steps);
	pthread_barrier_wait(&steps);
	stop_go(&s->slot[0]);
	pthread_join(t[0], NULL);
	pthread_barrier_wait(&steps);
	pthread_join(t[1], NULL);
}

static void dropping_cuts_no_counts_1(void)
{
	dropping_cuts_no_counts(0);
}

static void dropping_cuts_no_counts_2(void)
{
	dropping_cuts_no_counts(1);
}

static void dropping_cuts_no_counts_3(void)
{
	dropping_cuts_no_counts(2);
}

static void *holds_a_heap(void *arg)
{
	free(launder(malloc(opaque(100))));
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

/*
 * Carrying the counts of other threads over would cut them, so the segment is made again only when
 * there are no other threads.
 */
static void is_not_made_among_threads(void)
{
	hakmem_set_fn set = HAKMEM(hakmem_set, hakmem_set_fn);
	pthread_barrier_t b;
	pthread_t t;

	CHECK(pthread_barrier_init(&b, NULL, 2) == 0);
	CHECK(set("control.segment", 0) == 0);
	CHECK(pthread_create(&t, NULL, holds_a_heap, &b) == 0);
	pthread_barrier_wait(&b);
	CHECK(set("control.segment", 1) == 0 && !peer_mapped(getpid(), "/memfd:hakmem-"));
	pthread_barrier_wait(&b);
	pthread_join(t, NULL);
	CHECK(set("control.segment", 0) == 0 && set("control.segment", 1) == 0);
	peer_open(&p, getpid());
	CHECK(peer_counter(&p, "heap.live") == 1);
}

static void can_be_dropped_and_made_again(void)
{
	hakmem_set_fn set = HAKMEM(hakmem_set, hakmem_set_fn);
	uint64_t allocs, g;

	exercise_all_tiers(1);
	CHECK(set("control.segment", 0) == 0 && !peer_mapped(getpid(), "/memfd:hakmem-"));
	CHECK(!peer_try_open(&p, getpid()), "descriptors are still there");
	exercise_all_tiers(2);
	CHECK(HAKMEM(hakmem_counter, hakmem_get_fn)("class.allocs", &allocs) == 0);
	CHECK(set("control.segment", 1) == 0);
	peer_open(&p, getpid());
	CHECK(peer_counter(&p, "class.allocs") >= allocs, "%lu before, %lu after", allocs,
	      peer_counter(&p, "class.allocs"));
	g = peer_set(&p, "whale.ring_slots", 4);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(peer_value(&p, "whale.ring_slots") == 4);
}

/* No epoch ends: a thread that ends one waits for the thread that is held. */
#define QUIET "purge.delay_ms=1d"

static const struct tcase cases[] = {
	{ "can_be_dropped_live_40", can_be_dropped_live },
	{ "ended_threads_count_in_the_next", ended_threads_count_in_the_next },
	{ "dropping_cuts_no_counts_1_33", dropping_cuts_no_counts_1, 0, QUIET, stops_prepare },
	{ "dropping_cuts_no_counts_2_33", dropping_cuts_no_counts_2, 0, QUIET, stops_prepare },
	{ "dropping_cuts_no_counts_3_33", dropping_cuts_no_counts_3, 0, QUIET, stops_prepare },
	{ "is_not_made_among_threads_33", is_not_made_among_threads },
	{ "can_be_dropped_and_made_again_40", can_be_dropped_and_made_again },
};

CONTROL_MAIN(cases)
