// SPDX-License-Identifier: MIT
/*
 * Threads that keep their last whale for themselves: purges and limits reach these regions while
 * the threads sleep or work, other threads and children get them, and none is lost.
 */
#include "purged.h"

#include <pthread.h>
#include <semaphore.h>

enum { WORKERS = 6, HOT = 300 };

/* A thread of the subject that runs jobs, and otherwise sleeps. */
static struct worker {
	pthread_t thread;
	sem_t go, done;
	struct call call;
} worker[WORKERS];
static int workers;
static _Atomic int stop_working;

static void *works(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		while (sem_wait(&w->go))
			;
		if (!w->call.fn)
			return NULL;
		w->call.fn(w->call.a, w->call.b);
		sem_post(&w->done);
	}
}

static long hire(long n, long b)
{
	(void)b;
	for (workers = 0; workers < n; workers++) {
		struct worker *w = &worker[workers];

		CHECK(sem_init(&w->go, 0, 0) == 0 && sem_init(&w->done, 0, 0) == 0);
		CHECK(pthread_create(&w->thread, NULL, works, w) == 0);
	}
	return 0;
}

static void begin_all(job fn, long a, long b)
{
	stop_working = 0;
	for (int i = 0; i < workers; i++) {
		worker[i].call = (struct call){ fn, a, b };
		sem_post(&worker[i].go);
	}
}

static long wait_all(long a, long b)
{
	(void)a;
	(void)b;
	stop_working = 1;
	for (int i = 0; i < workers; i++)
		while (sem_wait(&worker[i].done))
			;
	return 0;
}

/* Ends the workers. */
static long dismiss(long a, long b)
{
	(void)a;
	(void)b;
	begin_all(NULL, 0, 0);
	for (int i = 0; i < workers; i++)
		CHECK(pthread_join(worker[i].thread, NULL) == 0);
	workers = 0;
	return 0;
}

/* Whales of a bytes, b of them one after the other; b 0: until told to stop. */
static long hot(long a, long b)
{
	for (long i = 0; b ? i < b : !stop_working; i++) {
		char *p = launder(malloc(opaque((size_t)a)));

		CHECK(p);
		p[0] = 1;
		free(p);
	}
	return 0;
}

static long all_hot(long a, long b)
{
	begin_all(hot, a, b);
	return wait_all(0, 0);
}

static long all_begin_hot(long a, long b)
{
	(void)b;
	begin_all(hot, a, 0);
	return 0;
}

static long all_fill(long a, long b)
{
	begin_all(whales, a, b);
	return wait_all(0, 0);
}

static void nothing_kept(void)
{
	CHECK(count(&r, "ring.regions") == 0 && count(&r, "ring.bytes") == 0,
	      "%lu regions of %lu bytes", count(&r, "ring.regions"), count(&r, "ring.bytes"));
}

/* A thread sleeps, and another one purges, on request or by age. */
static void sleepers_keep_nothing(void)
{
	long said;

	begin("purge.delay_ms=1d");
	ask(&r, hire, 2, 0);
	ask(&r, purge_self, HAK_PURGE_ALL, 0);
	ask(&r, all_fill, 2 * MIB, HOT);
	CHECK(count(&r, "ring.dirty_bytes") >= 2 * MIB);
	said = check_purge(HAK_PURGE_DIRTY);
	CHECK(said >= 2 * 1024, "%ld KiB", said);
	CHECK(count(&r, "ring.dirty_bytes") == 0);
	ask(&r, all_fill, 2 * MIB, HOT);
	said = check_purge(HAK_PURGE_ALL);
	CHECK(said >= 2 * 1024, "%ld KiB", said);
	nothing_kept();
	set(&r, "purge.delay_ms", 50);
	ask(&r, all_hot, 2 * MIB, HOT);
	WAIT_FOR(nudge(&r) && count(&r, "ring.dirty_bytes") == 0);
	finish(&r);
}

static void limits_hold_for_all_threads(void)
{
	static const long size[] = { MIB, 2 * MIB, 2 * MIB, 3 * MIB };

	begin("purge.delay_ms=1d,whale.ring_slots=3,whale.ring_bytes=8m");
	ask(&r, hire, WORKERS, 0);
	for (int i = 0; i < 40; i++) {
		ask(&r, all_hot, size[i % 4], HOT);
		CHECK(count(&r, "ring.regions") <= 3, "%lu regions in 3 slots",
		      count(&r, "ring.regions"));
		CHECK(count(&r, "ring.bytes") <= 8 * MIB, "%lu bytes", count(&r, "ring.bytes"));
	}
	finish(&r);
}

/* Slots become 0 while threads come and go with their whales. */
static void no_slots_while_hot(void)
{
	begin("purge.delay_ms=1d");
	ask(&r, hire, 3, 0);
	for (int i = 0; i < 10; i++) {
		ask(&r, all_hot, 2 * MIB, HOT);
		ask(&r, all_begin_hot, 2 * MIB, 0);
		set(&r, "whale.ring_slots", 0);
		ask(&r, wait_all, 0, 0);
		nothing_kept();
		ask(&r, all_hot, 2 * MIB, HOT);
		nothing_kept();
		reset(&r, "whale.ring_slots");
	}
	finish(&r);
}

static char *_Atomic passed[4];

/*
 * Each thread frees what others allocated, two in a row, which is one too many to keep. There are
 * two sizes, so that the kept region does not always fit.
 */
static long pass_on(long a, long b)
{
	for (long i = 0; i < b; i++) {
		char *p = launder(malloc(opaque((size_t)(i % 5 ? a : a * 2))));
		char *q = launder(malloc(opaque((size_t)a)));

		CHECK(p && q);
		p[0] = q[0] = 1;
		free(atomic_exchange(&passed[i % 4], p));
		free(atomic_exchange(&passed[(i + 1) % 4], q));
		if (i % 3 == 0)
			hot(a, 100);
	}
	return 0;
}

/*
 * Returns the exit status of a child that gets the regions which other threads kept at that time;
 * those in use stay in use.
 */
static long fork_and_purge(long a, long b)
{
	int status, quiet = a != 0;
	pid_t pid = fork();

	(void)b;
	if (pid == 0) {
		hakmem_get_fn get = HAKMEM(hakmem_counter, hakmem_get_fn);
		uint64_t regions, bytes;

		hot(2 * MIB, HOT);
		CHECK(purge_self(HAK_PURGE_ALL, 0) >= 0);
		CHECK(get("ring.regions", &regions) == 0 && get("ring.bytes", &bytes) == 0);
		_exit(quiet && (regions || bytes) ? 1 : 0);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static long pass_all_on(long a, long b)
{
	long bad = 0;

	begin_all(pass_on, a, b);
	for (int i = 0; i < 5; i++)
		bad |= fork_and_purge(0, 0);
	wait_all(0, 0);
	for (int i = 0; i < 4; i++)
		free(atomic_exchange(&passed[i], NULL));
	return bad;
}

/*
 * Whales are freed by other threads, across forks, after their thread: every region comes back in
 * the end.
 */
static void no_region_is_lost(void)
{
	uint64_t mapped = 0;

	begin("purge.delay_ms=1d,control.agent=off");
	for (int i = 0; i < 3; i++) {
		ask(&r, hire, WORKERS, 0);
		CHECK(ask(&r, pass_all_on, 2 * MIB, 60) == 0);
		ask(&r, all_hot, 2 * MIB, HOT);
		CHECK(ask(&r, fork_and_purge, 1, 0) == 0);
		ask(&r, dismiss, 0, 0);
		ask(&r, purge_self, HAK_PURGE_ALL, 0);
		nothing_kept();
		if (!mapped)
			mapped = count(&r, "mem.mapped");
		CHECK(count(&r, "mem.mapped") == mapped, "%lu bytes mapped, were %lu",
		      count(&r, "mem.mapped"), mapped);
		CHECK(peer_whales(&r.p, 0) == 0);
	}
	CHECK(mapped <= 4 * MIB, "%lu bytes mapped", mapped);
	finish(&r);
}

/* Returns whether a whale can be had without a new mapping, in a child as well. */
static long served(long a, long b)
{
	hakmem_get_fn get = HAKMEM(hakmem_counter, hakmem_get_fn);
	uint64_t before, after;
	int status = 0;
	pid_t pid = b ? fork() : 0;

	if (pid)
		return waitpid(pid, &status, 0) == pid && status == 0;
	CHECK(get("whale.misses", &before) == 0 && hot(a, 1) == 0);
	CHECK(get("whale.misses", &after) == 0);
	if (b)
		_exit(after != before);
	return after == before;
}

/*
 * A region that a thread keeps goes to other threads when that thread ends, and in a child, where
 * the thread does not exist.
 */
static void kept_ones_are_inherited(void)
{
	begin("purge.delay_ms=1d,control.agent=off");
	ask(&r, hire, 1, 0);
	ask(&r, purge_self, HAK_PURGE_ALL, 0);
	ask(&r, all_hot, 2 * MIB, HOT);
	CHECK(count(&r, "ring.regions") == 1, "%lu regions", count(&r, "ring.regions"));
	CHECK(ask(&r, served, 2 * MIB, 1));
	ask(&r, dismiss, 0, 0);
	CHECK(ask(&r, served, 2 * MIB, 0));
	finish(&r);
}

static const struct tcase cases[] = {
	{ "sleepers_keep_nothing", sleepers_keep_nothing },
	{ "limits_hold_for_all_threads", limits_hold_for_all_threads },
	{ "no_slots_while_hot", no_slots_while_hot },
	{ "no_region_is_lost", no_region_is_lost },
	{ "kept_ones_are_inherited", kept_ones_are_inherited },
};

EFFECTS_MAIN(cases)
