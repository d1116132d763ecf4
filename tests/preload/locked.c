// SPDX-License-Identifier: MIT
/*
 * Processes that lock their memory (hazard 21): mlockall() where all may be locked, and where
 * 8 MiB may be.
 */
#include "limits.h"

#include <pthread.h>
#include <sys/mman.h>

/* -- mlockall --------------------------------------------------------------- */

static void may_lock(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	/* CAP_IPC_LOCK without CAP_SYS_RESOURCE is enough as well. */
	if (setrlimit(RLIMIT_MEMLOCK, &all) != 0 && geteuid() != 0)
		SKIP("RLIMIT_MEMLOCK: %s", strerror(errno));
}

/* Pages that a reservation made resident would show here: 96 MiB is a generous bound for what the
 * process really requested. */
static void locked_stays_small(int flags, int early)
{
	void *keep[64];
	size_t i;
	long rss;

	may_lock();
	if (!early)
		exercise_all_tiers(1);
	if (mlockall(flags) != 0)
		SKIP("mlockall: %s", strerror(errno));
	for (i = 0; i < 64; i++)
		CHECK((keep[i] = malloc(1000 + i * 2000)) != NULL);
	exercise_all_tiers(2);
	rss = rss_kib();
	CHECK(rss < 96 * 1024, "%ld KiB resident under mlockall(%d)", rss, flags);
	for (i = 0; i < 64; i++)
		free(keep[i]);
	malloc_trim(0);
	for (i = 0; i < 20; i++)
		exercise_all_tiers(i);
	malloc_trim(0);
	rss = rss_kib();
	CHECK(rss < 96 * 1024, "%ld KiB resident in the end", rss);
}

static void mlockall_current_21(void)
{
	locked_stays_small(MCL_CURRENT, 0);
}

static void mlockall_future_21(void)
{
	locked_stays_small(MCL_FUTURE, 1);
}

static void mlockall_both_21(void)
{
	locked_stays_small(MCL_CURRENT | MCL_FUTURE, 0);
}

static void mlockall_onfault_21(void)
{
	locked_stays_small(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT, 0);
}

/* On locked memory DONTNEED and FREE fail: known-zero must not be believed. */
static void calloc_under_mlockall_10_21(void)
{
	size_t i, round;

	may_lock();
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		SKIP("mlockall: %s", strerror(errno));
	for (round = 0; round < 6; round++) {
		for (i = 0; i < TIER_SIZES; i++) {
			size_t n = tier_sizes[i] + round * 4096;
			char *p = malloc(n);

			CHECK(p);
			memset(p, 0xa5, malloc_usable_size(p));
			free(p);
			if (round % 2)
				malloc_trim(0);
			p = calloc(1, n);
			CHECK(p);
			CHECK(nonzero_at(p, n) == n, "calloc(%zu) under mlockall", n);
			memset(p, 0xa5, n);
			free(p);
		}
	}
}

static void *allocates(void *arg)
{
	exercise_all_tiers((size_t)arg);
	return NULL;
}

static void threads_under_mlockall_21(void)
{
	pthread_attr_t attr;
	size_t i;
	long rss;

	may_lock();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		SKIP("mlockall: %s", strerror(errno));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < 20; i++) {
		pthread_t t;

		CHECK(pthread_create(&t, &attr, allocates, (void *)i) == 0);
		pthread_join(t, NULL);
	}
	rss = rss_kib();
	CHECK(rss < 192 * 1024, "%ld KiB resident", rss);
}

/* -- mlockall(MCL_FUTURE) of a user who may lock 8 MiB ----------------------- */

/*
 * As in systemd and Debian. The memory that can be had is compared with the limit on locked memory.
 */
static void lock_the_future(int flags)
{
	limit(RLIMIT_MEMLOCK, 8 * MIB);
	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		SKIP("cannot become another user: %s", strerror(errno));
	if (mlockall(flags) != 0)
		SKIP("mlockall: %s", strerror(errno));
}

static void locked_to_the_limit(size_t n, size_t least)
{
	size_t got = until_refused(n);

	CHECK(got >= least * 1024, "only %zu KiB of 8 MiB in blocks of %zu", got / 1024, n);
	CHECK(got <= 9 * MIB, "%zu KiB: is anything locked?", got / 1024);
	malloc_trim(0);
}

/*
 * Each size runs in a process of its own. Freed memory comes back for another size, less an extent
 * of 2 MiB that one block keeps.
 */
static void all_sizes_under_mcl_future_21(int flags)
{
	static const struct {
		size_t bytes, least_kib;
	} size[] = {
		{ 1000, 7500 }, { 16, 7500 }, { 20000, 7300 }, { 300000, 6500 }, { 1300000, 6000 },
	};
	size_t i;

	need_hakmem();
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			lock_the_future(flags);
			locked_to_the_limit(size[i].bytes, size[i].least_kib);
			locked_to_the_limit(1000, 3500);
			locked_to_the_limit(size[i].bytes, 3500);
			_exit(0);
		}
		reap(pid, "a child that locks its memory");
	}
}

static void mcl_future_8m_21(void)
{
	all_sizes_under_mcl_future_21(MCL_FUTURE);
}

static void mcl_future_onfault_8m_21(void)
{
	all_sizes_under_mcl_future_21(MCL_FUTURE | MCL_ONFAULT);
}

/* With other sizes in use all around, freed memory is found again, and not only new memory. */
static void freed_under_mcl_future_8m_21(void)
{
	enum { N = 10000 };
	static void *p[N];
	size_t i, n = 0, again = 0;

	lock_the_future(MCL_FUTURE);
	while (n < N && (p[n] = malloc(1 + n % 3 * 1000)) != NULL)
		n++;
	CHECK(n > 5000 && n < N, "%zu blocks", n);
	for (i = 0; i < n; i += 2)
		free(p[i]);
	for (i = 0; i < n; i += 2)
		again += (p[i] = malloc(1 + i % 3 * 1000)) != NULL;
	CHECK(again >= n / 2 * 9 / 10, "%zu of %zu blocks again", again, n / 2);
}

static pthread_barrier_t has_it, all_there;

static void *allocates_a_little(void *arg)
{
	void *p = malloc(100), *q = malloc(5000);

	(void)arg;
	CHECK(p && q);
	pthread_barrier_wait(&has_it);
	pthread_barrier_wait(&all_there);
	free(p);
	free(q);
	return NULL;
}

/*
 * There are more threads than the slots made at first, and each has a heap of its own. They begin
 * one after the other: four that each map an extent at once would use up the limit.
 */
static void threads_under_mcl_future_8m_21(void)
{
	enum { THREADS = 40 };
	pthread_attr_t attr;
	pthread_t t[THREADS];
	size_t i;

	need_hakmem();
	lock_the_future(MCL_FUTURE);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	pthread_barrier_init(&all_there, NULL, THREADS);
	pthread_barrier_init(&has_it, NULL, 2);
	for (i = 0; i < THREADS; i++) {
		CHECK(pthread_create(&t[i], &attr, allocates_a_little, NULL) == 0);
		pthread_barrier_wait(&has_it);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK(counter("heap.unpublished") == 0, "%lu without a heap", counter("heap.unpublished"));
}

/*
 * Memory that the kernel refuses to take is not offered to it at each slow path. Every other block
 * stays, so that each free one costs a call.
 */
static void locked_memory_is_offered_once_21(void)
{
	enum { BLOCKS = 1600, PAIRS = 1000 };
	static void *p[BLOCKS];
	uint64_t before, calls;
	size_t i;

	may_lock();
	need_hakmem();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		SKIP("mlockall: %s", strerror(errno));
	for (i = 0; i < BLOCKS; i++)
		CHECK((p[i] = malloc(20000)) != NULL);
	before = counter("sys.dontneed.calls");
	for (i = 0; i < BLOCKS; i += 2)
		free(p[i]);
	for (i = 0; i < PAIRS; i++)
		free(launder(malloc(opaque(30000 + i * 100))));
	calls = counter("sys.dontneed.calls") - before;
	CHECK(calls > 0 && calls < 20 * BLOCKS, "%lu calls", calls);
	for (i = 1; i < BLOCKS; i += 2)
		free(p[i]);
}

static const struct tcase cases[] = {
	{ "mlockall_current_21", mlockall_current_21 },
	{ "mlockall_future_21", mlockall_future_21 },
	{ "mlockall_both_21", mlockall_both_21 },
	{ "mlockall_onfault_21", mlockall_onfault_21 },
	{ "calloc_under_mlockall_10_21", calloc_under_mlockall_10_21 },
	{ "calloc_under_mlockall_free_10_21", calloc_under_mlockall_10_21, 0, "region.evict=free" },
	{ "threads_under_mlockall_21", threads_under_mlockall_21 },
	{ "mcl_future_8m_21", mcl_future_8m_21 },
	{ "mcl_future_onfault_8m_21", mcl_future_onfault_8m_21 },
	{ "freed_under_mcl_future_8m_21", freed_under_mcl_future_8m_21 },
	{ "locked_memory_is_offered_once_21", locked_memory_is_offered_once_21, 0,
	  "purge.delay_ms=1h" },
	{ "threads_under_mcl_future_8m_21", threads_under_mcl_future_8m_21 },
};

MAIN(cases)
