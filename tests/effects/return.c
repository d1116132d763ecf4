// SPDX-License-Identifier: MIT
/*
 * What stays resident of memory that a program has freed: right after the last free, however old
 * the memory is (by amount); with purge.delay_ms=0; and while the program sleeps, where the agent
 * gives back what threads left behind. The account is the kernel's, of anonymous memory, above what
 * the subject had before.
 *
 * Where a case is about amounts the delay is an hour, so that nothing ages. Where it is about the
 * agent the subject is left alone after it has freed less than goes back by amount, and the case
 * waits for the memory to go.
 *
 * All subjects have more static thread-local storage than the agent's stack has beside it.
 */
#include "effects.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>

#define HOUR "purge.delay_ms=1h"

enum {
	/* the first allowance, and as much in slabs of which only blocks in the cache are left */
	FIRST_MIB = 16,
	MOST_MIB = 72,	    /* the same by the largest allowance */
	AT_ONCE_KIB = 1024, /* with purge.delay_ms=0 */
	REST_KIB = 4096,    /* caches and tables of threads that sleep or ended */
	BESIDE_MIB = 200,   /* in use, so that an eighth of it may stay free */
	AGENT_MIB = 20,	    /* less than goes back by amount beside that */
	THREADS = 4,
};

static __thread volatile char large_tls[208 << 10];

static struct remote r;
static long base_kib;

/* ---- the subject ---- */

static void shuffle(void **p, size_t n)
{
	uint64_t state = 1;

	for (size_t i = n; i > 1; i--) {
		size_t k = rnd(&state) % i;
		void *t = p[i - 1];

		p[i - 1] = p[k];
		p[k] = t;
	}
}

/* The pointers lie outside of the allocator. */
static void burst(size_t size, size_t bytes, int shuffled)
{
	size_t n = bytes / size, map = n * sizeof(void *);
	void **p = mmap(NULL, map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < n; i++) {
		p[i] = launder(malloc(opaque(size)));
		if (!p[i])
			_exit(1);
		memset(p[i], 1, size);
	}
	if (shuffled)
		shuffle(p, n);
	for (size_t i = 0; i < n; i++)
		free(p[i]);
	munmap(p, map);
}

static long burst_at_random(long size, long mib)
{
	burst((size_t)size, (size_t)mib * MIB, 1);
	return 0;
}

static long burst_in_order(long size, long mib)
{
	burst((size_t)size, (size_t)mib * MIB, 0);
	return 0;
}

static void *burst_of_thread(void *arg)
{
	large_tls[0] = 1;
	burst(1000, (size_t)(uintptr_t)arg * MIB, 1);
	return NULL;
}

static long thread_ends(long mib, long b)
{
	pthread_t t;

	(void)b;
	if (pthread_create(&t, NULL, burst_of_thread, (void *)mib))
		_exit(1);
	pthread_join(t, NULL);
	return 0;
}

static pthread_barrier_t freed_all;

static void *burst_and_sleep(void *arg)
{
	burst_of_thread(arg);
	pthread_barrier_wait(&freed_all);
	return sleeps_for_ever(arg);
}

static long threads_sleep(long mib, long b)
{
	pthread_t t;

	(void)b;
	pthread_barrier_init(&freed_all, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&t, NULL, burst_and_sleep, (void *)(mib / THREADS)))
			_exit(1);
	pthread_barrier_wait(&freed_all);
	return 0;
}

/* Returns what pthread_create returns when the process may have no more threads. */
static int thread_refused(void)
{
	const struct rlimit none = { 0, 0 };
	pthread_t t;

	if (setrlimit(RLIMIT_NPROC, &none))
		_exit(1);
	return pthread_create(&t, NULL, sleeps_for_ever, NULL);
}

/* ---- the outsider ---- */

static long above_base(void)
{
	return smaps_kib(&r, "Anonymous") - base_kib;
}

static void begin(const char *hakmem)
{
	start(&r, hakmem);
	nudge(&r);
	base_kib = smaps_kib(&r, "Anonymous");
}

static void begin_beside(const char *hakmem)
{
	start(&r, hakmem);
	ask(&r, take, 20000, BESIDE_MIB * (long)MIB / 20000);
	base_kib = smaps_kib(&r, "Anonymous");
}

/* ---- by amount ---- */

static void freed(job how, long size, long mib, long most_kib)
{
	long before;

	ask(&r, how, size, mib);
	before = above_base();
	CHECK(before <= most_kib, "%ld KiB stay of %ld MiB in blocks of %ld", before, mib, size);
}

static void little_stays(job how, long size, long mib)
{
	begin(HOUR ",control.agent=off");
	freed(how, size, mib, FIRST_MIB * 1024L);
	/* and no more than the largest allowance after others, which want it again */
	for (int i = 0; i < 3; i++)
		freed(how, size, mib, MOST_MIB * 1024L);
	finish(&r);
}

static void slab_blocks_at_random(void)
{
	little_stays(burst_at_random, 1000, 300);
}

static void slab_blocks_in_order(void)
{
	little_stays(burst_in_order, 1000, 300);
}

static void small_blocks_in_order(void)
{
	little_stays(burst_in_order, 64, 200);
}

/* The lists of the cache are not long when the last block is freed, or each holds a slab. */
static void small_blocks_at_random(void)
{
#if HAK_DEBUG
	SKIP("the checks of each flush walk all free blocks of a thousand slabs");
#else
	little_stays(burst_at_random, 64, 200);
#endif
}

static void runs_at_random(void)
{
	little_stays(burst_at_random, 20000, 300);
}

/* The first burst of a process may be a small one, and no tunable be set. */
static void small_burst(void)
{
	begin(NULL);
	freed(burst_in_order, 20000, 28, FIRST_MIB * 1024L);
	finish(&r);
}

/* region.evict_bytes is the largest allowance of regions; and one region. */
static void whales_in_order(void)
{
	begin(HOUR ",control.agent=off,region.evict_bytes=64M");
	freed(burst_in_order, 4000000, 200, FIRST_MIB * 1024L);
	for (int i = 0; i < 3; i++)
		freed(burst_in_order, 4000000, 200, MOST_MIB * 1024L);
	CHECK(above_base() > 48 * 1024, "%ld KiB of what was wanted four times", above_base());
	finish(&r);
}

/* A day, the maximum, is never: nothing goes back by amount either. */
static void never_by_amount(void)
{
	begin("purge.delay_ms=1d,control.agent=off");
	ask(&r, burst_in_order, 20000, 200);
	CHECK(above_base() >= 190 * 1024, "%ld KiB stay of 200 MiB", above_base());
	CHECK(count(&r, "purge.bytes") == 0);
	finish(&r);
}

/*
 * An eighth of what is in use may stay beside the first allowance, and half of it once it was
 * wanted again. What went back and came again is counted, and nothing goes back any more.
 */
static void what_is_wanted_again_stays(void)
{
	uint64_t gone;

	begin(HOUR ",control.agent=off");
	CHECK(count(&r, "purge.allowed_bytes") == 8 * MIB);
	ask(&r, take, 20000, 200 * (long)MIB / 20000);
	ask(&r, burst_in_order, 20000, 90);
	CHECK(above_base() <= 235 * 1024, "%ld KiB of 290 MiB", above_base());
	CHECK(count(&r, "purge.refault_bytes") == 0);
	gone = count(&r, "purge.bytes");
	CHECK(gone > 50 * MIB);
	ask(&r, burst_in_order, 20000, 90);
	CHECK(above_base() >= 280 * 1024, "%ld KiB of 290 MiB", above_base());
	CHECK(count(&r, "purge.refault_bytes") <= gone);
	CHECK(count(&r, "purge.refault_bytes") >= gone - gone / 8);
	CHECK(count(&r, "purge.allowed_bytes") > 80 * MIB);
	ask(&r, burst_in_order, 20000, 90);
	CHECK(count(&r, "purge.bytes") == gone, "more went back");
	ask(&r, burst_in_order, 20000, 300);
	CHECK(above_base() <= 310 * 1024, "%ld KiB beside 200 MiB", above_base() - 200 * 1024);
	finish(&r);
}

/* What units may keep does not come on top of many kept regions, when nothing is in use. */
static void little_stays_beside_kept_whales(void)
{
	begin(HOUR ",control.agent=off");
	for (int i = 0; i < 3; i++)
		ask(&r, burst_in_order, 20000, 28);
	CHECK(count(&r, "mem.dirty") > 24 * MIB);
	for (int i = 0; i < 3; i++)
		ask(&r, burst_in_order, 4000000, 60);
	CHECK(count(&r, "ring.dirty_bytes") > 40 * MIB);
	CHECK(count(&r, "mem.dirty") - count(&r, "ring.dirty_bytes") <= 5 * MIB, "%lu",
	      count(&r, "mem.dirty") - count(&r, "ring.dirty_bytes"));
	finish(&r);
}

static long give_back(long a, long b)
{
	(void)a;
	(void)b;
	return HAKMEM(hakmem_purge, int (*)(int, uint64_t *))(HAK_PURGE_DIRTY, NULL);
}

static long set_slots(long slots, long b)
{
	(void)b;
	return HAKMEM(hakmem_set, hakmem_set_fn)("whale.ring_slots", (uint64_t)slots);
}

/* An eighth of what was in use when a tunable was set may not stay of a later burst. */
static void bound_falls_with_use(void)
{
	const long part = 2 * (long)MIB / 20000; /* less than the first allowance */

	begin(HOUR ",control.agent=off");
	kept_n = ask(&r, take, 20000, 120 * part);
	CHECK(ask(&r, set_slots, 100, 0) == 0);
	for (; kept_n > 0; kept_n -= part) {
		ask(&r, drop, kept_n - part, 1);
		CHECK(ask(&r, give_back, 0, 0) == 0);
	}
	freed(burst_in_order, 20000, 32, FIRST_MIB * 1024L);
	finish(&r);
}

static void nothing_stays(long size)
{
	begin("purge.delay_ms=0,control.agent=off");
	freed(burst_in_order, size, 50, AT_ONCE_KIB);
	freed(burst_at_random, size, 50, AT_ONCE_KIB);
	finish(&r);
}

static void at_once_slab_blocks(void)
{
	nothing_stays(3000);
}

static void at_once_runs(void)
{
	nothing_stays(40000);
}

static void at_once_large_runs(void)
{
	nothing_stays(900000);
}

static void at_once_whales(void)
{
	nothing_stays(3000000);
}

/* ---- the agent ---- */

/* Counts the threads of the process, and stores one that is not its first. */
static int threads(pid_t *other)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", r.pid);
	d = opendir(path);
	CHECK(d);
	for (struct dirent *e; (e = readdir(d));) {
		n += e->d_name[0] != '.';
		if (atoi(e->d_name) && atoi(e->d_name) != r.pid)
			*other = atoi(e->d_name);
	}
	closedir(d);
	return n;
}

static int tasks(void)
{
	pid_t other;

	return threads(&other);
}

static pid_t agent(void)
{
	pid_t tid = 0;

	threads(&tid);
	return tid;
}

/* The agent leaves when nothing is left for it, not before. */
static void agent_ends_after_the_memory_is_gone(void)
{
	begin_beside("purge.delay_ms=200");
	ask(&r, thread_ends, AGENT_MIB, 0);
	CHECK(count(&r, "control.agent_error") == 0);
	WAIT_FOR(tasks() == 1);
	CHECK(above_base() <= REST_KIB, "%ld KiB stay when the agent has left", above_base());
	CHECK(count(&r, "purge.bytes") > AGENT_MIB * MIB / 2);
	finish(&r);
}

/* What threads hold in their caches and slabs goes while they sleep. */
static void agent_empties_caches_of_sleepers(void)
{
	begin_beside("purge.delay_ms=200");
	ask(&r, threads_sleep, AGENT_MIB, 0);
	WAIT_FOR(above_base() <= REST_KIB && count(&r, "purge.takeovers") >= THREADS);
	CHECK(tasks() == 1 + THREADS + 1);
	finish(&r);
}

/* Reads how long the agent waits, in seconds: the time-out of its futex call. -1: not in it. */
static long agent_waits_s(pid_t tid)
{
	unsigned long nr, arg[4];
	struct timespec ts;
	char path[64];
	int n = 0, fd;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", r.pid, tid);
	f = fopen(path, "re");
	if (!f)
		SKIP("no /proc/PID/task/TID/syscall: %s", strerror(errno));
	n = fscanf(f, "%lu %lx %lx %lx %lx", &nr, &arg[0], &arg[1], &arg[2], &arg[3]);
	fclose(f);
	if (n != 5 || nr != SYS_futex || !arg[3])
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/mem", r.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP("no /proc/PID/mem: %s", strerror(errno));
	n = pread(fd, &ts, sizeof(ts), (off_t)arg[3]) == sizeof(ts);
	close(fd);
	return n ? ts.tv_sec : -1;
}

enum { DOZE_S = 40 };

/* An agent that dozes waits for a minute. */
static void given_back_without_that_wait(void)
{
	struct timespec t0, t1;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	WAIT_FOR(above_base() <= REST_KIB);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK(t1.tv_sec - t0.tv_sec < DOZE_S, "after %ld s", (long)(t1.tv_sec - t0.tv_sec));
}

static void dozing_agent_is_woken(void)
{
	pid_t tid;

	begin_beside("purge.delay_ms=100,control.agent=on");
	WAIT_FOR((tid = agent()) != 0 && agent_waits_s(tid) >= DOZE_S);
	for (int i = 0; i < 2; i++) {
		ask(&r, burst_in_order, 3000, AGENT_MIB);
		given_back_without_that_wait();
		WAIT_FOR(agent_waits_s(tid) >= DOZE_S);
	}
	CHECK(tid == agent());
	finish(&r);
}

static long set_delay(long ms, long b)
{
	(void)b;
	return HAKMEM(hakmem_set, hakmem_set_fn)("purge.delay_ms", (uint64_t)ms);
}

/* What the program changes itself reaches an agent that waits for as long as the old values say. */
static void dozing_agent_hears_the_program(void)
{
	pid_t tid;

	begin("control.agent=on");
	CHECK(ask(&r, set_delay, 86400000, 0) == 0);
	ask(&r, burst_in_order, 3000, AGENT_MIB);
	WAIT_FOR((tid = agent()) != 0 && agent_waits_s(tid) >= DOZE_S);
	CHECK(above_base() > REST_KIB, "%ld KiB", above_base());
	CHECK(ask(&r, set_delay, 100, 0) == 0);
	given_back_without_that_wait();
	finish(&r);
}

static void runs_with_large_tls(void)
{
	begin("control.agent=on");
	WAIT_FOR(peer_agent(&r.p) == 1);
	CHECK(count(&r, "control.agent_error") == 0);
	finish(&r);
}

/* RLIMIT_NPROC does not hold for root. */
static void be_another_user(void)
{
	if (geteuid() == 0 && (setgid(65533) || setuid(65533)))
		_exit(CASE_SKIP);
	if (access(self_path, X_OK))
		_exit(CASE_SKIP);
}

static void be_limited(void)
{
	const struct rlimit none = { 0, 0 };

	be_another_user();
	if (setrlimit(RLIMIT_NPROC, &none))
		_exit(CASE_SKIP);
}

static uint64_t agent_error(void)
{
	uint64_t error;

	CHECK(HAKMEM(hakmem_counter, hakmem_get_fn)("control.agent_error", &error) == 0);
	return error;
}

static void error_says_why_there_is_none(void)
{
	CHECK(agent_error() == EAGAIN, "control.agent_error is %lu", agent_error());
}

/* The program's threads take precedence. */
static void error_says_why_it_left(void)
{
	CHECK(agent_error() == 0, "control.agent_error is %lu", agent_error());
	CHECK(thread_refused() == EAGAIN);
	CHECK(agent_error() == EAGAIN, "control.agent_error is %lu", agent_error());
}

static const struct tcase cases[] = {
	{ "slab_blocks_at_random", slab_blocks_at_random, 60 },
	{ "slab_blocks_in_order", slab_blocks_in_order, 60 },
	{ "small_blocks_in_order", small_blocks_in_order, 60 },
	{ "small_blocks_at_random", small_blocks_at_random, 60 },
	{ "small_burst", small_burst },
	{ "little_stays_beside_kept_whales", little_stays_beside_kept_whales },
	{ "runs_at_random", runs_at_random, 60 },
	{ "whales_in_order", whales_in_order, 60 },
	{ "never_by_amount", never_by_amount, 60 },
	{ "what_is_wanted_again_stays", what_is_wanted_again_stays, 60 },
	{ "bound_falls_with_use", bound_falls_with_use, 60 },
	{ "at_once_slab_blocks", at_once_slab_blocks, 60 },
	{ "at_once_runs", at_once_runs, 60 },
	{ "at_once_large_runs", at_once_large_runs, 60 },
	{ "at_once_whales", at_once_whales, 60 },
	{ "agent_ends_after_the_memory_is_gone", agent_ends_after_the_memory_is_gone },
	{ "agent_empties_caches_of_sleepers", agent_empties_caches_of_sleepers },
	{ "dozing_agent_is_woken", dozing_agent_is_woken },
	{ "dozing_agent_hears_the_program", dozing_agent_hears_the_program },
	{ "runs_with_large_tls", runs_with_large_tls },
	{ "error_says_why_there_is_none", error_says_why_there_is_none, 0, "control.agent=on",
	  be_limited },
	{ "error_says_why_it_left", error_says_why_it_left, 0, "control.agent=on",
	  be_another_user },
};

EFFECTS_MAIN(cases)
