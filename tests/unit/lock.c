// SPDX-License-Identifier: MIT
/*
 * libhakmem/base/lock.c: locks that know their holder. The cases cover one lock at a time, the
 * order of locks, a thread that asks twice, fork's handlers, and threads that sleep and are woken
 * in turn. The test never waits for time to pass, but until other threads are seen asleep.
 */
#include "libhakmem/base/lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libhakmem/system/os.h"
#include "unit.h"

static uint64_t word(enum hak_lock_id id)
{
	return atomic_load(&hak_locks[id].word);
}

static void none_held(void)
{
	for (int i = 0; i < HAK_LOCKS; i++)
		EXPECT(!hak_lock_held(i) && !word(i), "lock %d", i);
}

/* Takes all locks in order, in one thread. */
static void one_thread(void)
{
	none_held();
	for (int i = 0; i < HAK_LOCKS; i++) {
		hak_lock(i);
		EXPECT(hak_lock_held(i) && word(i), "lock %d", i);
		EXPECT(!(word(i) & HAK_LOCK_WAITED), "lock %d", i);
		for (int k = i + 1; k < HAK_LOCKS; k++)
			EXPECT(!hak_lock_held(k), "%d with %d", k, i);
	}
	for (int i = 0; i < HAK_LOCKS; i++) {
		EXPECT(!hak_trylock(i), "lock %d, twice", i);
		EXPECT(hak_lock_held(i), "lock %d", i);
		hak_unlock(i);
		EXPECT(!hak_lock_held(i), "lock %d", i);
		EXPECT(hak_trylock(i) && hak_lock_held(i), "lock %d", i);
		hak_unlock(i);
	}
	none_held();
}

/* ---- what ends the process ---- */

static void twice(void)
{
	hak_lock(HAK_LOCK_RCACHE);
	hak_lock(HAK_LOCK_RCACHE);
}

static void out_of_order(void)
{
	hak_lock(HAK_LOCK_RCACHE);
	hak_lock(HAK_LOCK_EXTENT);
}

static void in_order(void)
{
	hak_lock(HAK_LOCK_EXTENT);
	hak_lock(HAK_LOCK_RCACHE);
	hak_unlock(HAK_LOCK_EXTENT);
	hak_lock(HAK_LOCK_META);
}

static void call_under_ring(void)
{
	hak_lock(HAK_LOCK_RCACHE);
	hak_os_map(HAK_SLICE, HAK_SLICE);
}

static void call_under_pool(void)
{
	hak_lock(HAK_LOCK_POOL);
	hak_os_map(HAK_SLICE, HAK_SLICE);
}

static void call_under_purge_and_meta(void)
{
	hak_lock(HAK_LOCK_PURGE);
	hak_lock(HAK_LOCK_META);
	hak_os_map(HAK_SLICE, HAK_SLICE);
}

static void call_while_forking(void)
{
	hak_lock_fork_prepare();
	hak_os_map(HAK_SLICE, HAK_SLICE);
}

static const char *said_by(void (*fn)(void))
{
	if (!speaks()) {
		fn();
		_exit(0);
	}
	return said();
}

static void wrong_uses_die(void)
{
	const char *assertion = HAK_DEBUG ? "assertion failed" : "";

	EXPECT(strstr(said_by(twice), HAK_DEBUG ? assertion : "entered again"), "%s",
	       said_by(twice));
	EXPECT(!*said_by(in_order), "%s", said_by(in_order));
	EXPECT(!*said_by(call_under_purge_and_meta), "%s", said_by(call_under_purge_and_meta));
	EXPECT(!*said_by(call_while_forking), "%s", said_by(call_while_forking));
	/* only debug builds check the order */
	EXPECT(!!*said_by(out_of_order) == HAK_DEBUG && strstr(said_by(out_of_order), assertion),
	       "%s", said_by(out_of_order));
	EXPECT(!!*said_by(call_under_ring) == HAK_DEBUG &&
		       strstr(said_by(call_under_ring), assertion),
	       "%s", said_by(call_under_ring));
	EXPECT(!!*said_by(call_under_pool) == HAK_DEBUG, "%s", said_by(call_under_pool));
}

/* ---- fork ---- */

static void *asks_in_vain(void *arg)
{
	for (int i = 0; i < HAK_LOCKS; i++)
		EXPECT(!hak_lock_held(i) && !hak_trylock(i), "lock %d", i);
	return arg;
}

/* Between prepare and the end every lock is granted to the forking thread, and to no other. */
static void forking_thread_may_enter(void)
{
	pthread_t t;

	hak_lock_fork_prepare();
	for (int i = HAK_LOCKS - 1; i >= 0; i--) {
		hak_lock(i);
		EXPECT(hak_lock_held(i) && hak_trylock(i), "lock %d", i);
		hak_unlock(i);
		EXPECT(word(i), "lock %d let go", i);
	}
	/* creating the thread may need locks of the library: granted */
	CHECK(!pthread_create(&t, NULL, asks_in_vain, NULL), "thread");
	CHECK(!pthread_join(t, NULL), "thread");
	hak_lock_fork_parent();
	none_held();
	hak_lock_fork_prepare();
	hak_lock_fork_child();
	none_held();
	hak_lock(HAK_LOCK_META);
	hak_unlock(HAK_LOCK_META);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000 };
static unsigned long count; /* not atomic: the lock guards it */
static _Atomic int inside;

static void *counts(void *arg)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (i % 8)
			hak_lock(HAK_LOCK_RCACHE);
		else
			while (!hak_trylock(HAK_LOCK_RCACHE))
				sched_yield();
		if (atomic_fetch_add(&inside, 1))
			EXPECT(0, "two inside");
		count++;
		if (i % 64 == 0)
			sched_yield();
		atomic_fetch_sub(&inside, 1);
		hak_unlock(HAK_LOCK_RCACHE);
	}
	return arg;
}

static void contended(void)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, counts, NULL), "thread");
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL), "thread");
	EXPECT(count == (unsigned long)THREADS * ROUNDS, "%lu", count);
	none_held();
}

static _Atomic pid_t sleeper[THREADS];
static _Atomic unsigned int woken;

static void *sleeps(void *arg)
{
	atomic_store((_Atomic pid_t *)arg, (pid_t)syscall(SYS_gettid));
	hak_lock(HAK_LOCK_EXTENT);
	EXPECT(hak_lock_held(HAK_LOCK_EXTENT), "woken without it");
	atomic_fetch_add(&woken, 1);
	hak_unlock(HAK_LOCK_EXTENT);
	return arg;
}

static bool is_asleep(pid_t tid)
{
	char path[64], line[256];
	const char *end;
	ssize_t n;
	int fd;

	if (!tid)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0, "%s", path);
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	CHECK(n > 0, "%s", path);
	line[n] = '\0';
	end = strrchr(line, ')');
	return end && end[2] == 'S';
}

/*
 * All threads wait in the kernel for one lock. It is released once: each thread that gets it wakes
 * the next.
 */
static void handed_on(void)
{
	pthread_t t[THREADS];

	/* These threads leave their stacks for the ones below, which then allocate nothing. */
	contended();
	hak_lock(HAK_LOCK_EXTENT);
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, sleeps, &sleeper[i]), "thread");
	for (int i = 0; i < THREADS; i++)
		while (!is_asleep(atomic_load(&sleeper[i])))
			sched_yield();
	EXPECT(word(HAK_LOCK_EXTENT) & HAK_LOCK_WAITED, "nobody waits");
	EXPECT(hak_lock_held(HAK_LOCK_EXTENT) && !atomic_load(&woken), "taken away");
	hak_unlock(HAK_LOCK_EXTENT);
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL), "thread");
	EXPECT(atomic_load(&woken) == THREADS, "%u", atomic_load(&woken));
	none_held();
}

static const struct tcase cases[] = {
	{ "one_thread", one_thread },
	{ "wrong_uses_die", wrong_uses_die },
	{ "forking_thread_may_enter", forking_thread_may_enter },
	{ "contended", contended },
	{ "handed_on", handed_on },
};

int main(int argc, char **argv)
{
	/* the agent takes locks at any time, so it is off */
	if (argc > 0 && !getenv("HAKMEM")) {
		setenv("HAKMEM", "control.agent=off", 1);
		execv("/proc/self/exe", argv);
	}
	return RUN(argc, argv, cases);
}
