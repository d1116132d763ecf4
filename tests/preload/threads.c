// SPDX-License-Identifier: MIT
/*
 * Threads and their ends: destructor order and re-arming (hazard 16), threads that only free,
 * threads by the thousand (32), blocks that outlive their thread, small stacks (27), and threads
 * that go on allocating while the process exits (28).
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <ucontext.h>

static pthread_t spawn(void *(*fn)(void *), void *arg, size_t stack)
{
	pthread_attr_t attr;
	pthread_t t;
	int r;

	CHECK(pthread_attr_init(&attr) == 0);
	if (stack)
		CHECK(pthread_attr_setstacksize(&attr, stack) == 0);
	r = pthread_create(&t, &attr, fn, arg);
	CHECK(r == 0, "pthread_create: %s", strerror(r));
	pthread_attr_destroy(&attr);
	return t;
}

/* -- destructors of thread-specific data ------------------------------------ */

static pthread_key_t rearming;
static volatile unsigned int destructor_rounds;

struct armed {
	unsigned int round;
	void *blocks[TIER_SIZES];
};

static void rearm(void *arg)
{
	struct armed *old = arg, *a;
	size_t i;

	__sync_fetch_and_add(&destructor_rounds, 1);
	for (i = 0; i < TIER_SIZES; i++) {
		check_block(old->blocks[i], front(tier_sizes[i]), old->round);
		free(old->blocks[i]);
	}
	if (old->round < 5) {
		a = calloc(1, sizeof(*a));
		CHECK(a);
		a->round = old->round + 1;
		for (i = 0; i < TIER_SIZES; i++) {
			CHECK((a->blocks[i] = malloc(tier_sizes[i])) != NULL);
			fill(a->blocks[i], front(tier_sizes[i]), a->round);
		}
		pthread_setspecific(rearming, a);
	}
	free(old);
}

static void *rearming_thread(void *arg)
{
	struct armed *a = calloc(1, sizeof(*a));
	size_t i;

	CHECK(a);
	for (i = 0; i < TIER_SIZES; i++) {
		CHECK((a->blocks[i] = malloc(tier_sizes[i])) != NULL);
		fill(a->blocks[i], front(tier_sizes[i]), 0);
	}
	CHECK(pthread_setspecific(rearming, a) == 0);
	return arg;
}

/* glibc runs 4 rounds; blocks that a fifth would free are the thread's own leak: one struct and its
 * blocks for each thread, which bounds the figure below. */
static void destructors_rearm_16(void)
{
	size_t i, n = scale(100, 10000);
	long before, after;

	CHECK(pthread_key_create(&rearming, rearm) == 0);
	for (i = 0; i < 20; i++)
		pthread_join(spawn(rearming_thread, NULL, 0), NULL);
	before = proc_kib("/proc/self/status", "\nVmRSS:");
	destructor_rounds = 0;
	for (i = 0; i < n; i++)
		pthread_join(spawn(rearming_thread, NULL, 0), NULL);
	after = proc_kib("/proc/self/status", "\nVmRSS:");
	CHECK(destructor_rounds == 4 * n, "%u rounds for %zu threads", destructor_rounds, n);
	CHECK(after - before < (long)n * 1200, "%ld KiB more after %zu threads", after - before, n);
}

static void free_it(void *p)
{
	free(malloc(300));
	free(p);
}

static pthread_key_t many_keys[PTHREAD_KEYS_MAX];
static size_t many_keys_count;

static void *use_many_keys(void *arg)
{
	size_t i;

	for (i = 0; i < many_keys_count; i++)
		CHECK(pthread_setspecific(many_keys[i], malloc(64 + i)) == 0);
	exercise_all_tiers((size_t)arg);
	return NULL;
}

static void all_keys_taken_16(void)
{
	size_t i;

	while (pthread_key_create(&many_keys[many_keys_count], free_it) == 0)
		many_keys_count++;
	CHECK(many_keys_count > 500, "only %zu keys", many_keys_count);
	for (i = 0; i < 100; i++)
		pthread_join(spawn(use_many_keys, (void *)i, 0), NULL);
}

/* All keys are taken before the allocator could have one, so it has no destructor. */
static void keys_taken_before_us_16(void)
{
	unsigned int *keys = dlsym(RTLD_DEFAULT, "plug_early_keys");
	long before, after;
	size_t i;

	if (!keys)
		SKIP("plug_early.so was not preloaded");
	CHECK(*keys > 500, "only %u keys", *keys);
	for (i = 0; i < 50; i++)
		pthread_join(spawn(use_many_keys, (void *)i, 0), NULL);
	before = rss_kib();
	for (i = 0; i < 500; i++)
		pthread_join(spawn(use_many_keys, (void *)i, 0), NULL);
	after = rss_kib();
	CHECK(after - before < 96 * 1024, "%ld KiB more after 500 threads", after - before);
	exercise_all_tiers(1);
}

static void preload_early(const char *what)
{
	const char *have = getenv("LD_PRELOAD");
	static char list[9000], plug[4200];

	snprintf(plug, sizeof(plug), "%s", self_path);
	snprintf(strrchr(plug, '/') + 1, 64, "plug_early.so");
	if (access(plug, R_OK) != 0)
		return;
	snprintf(list, sizeof(list), "%s%s%s", have ? have : "", have ? ":" : "", plug);
	setenv("LD_PRELOAD", list, 1);
	setenv(what, "1", 1);
}

static void preload_early_keys(void)
{
	preload_early("PLUG_EARLY_KEYS");
}

static void preload_early_thread(void)
{
	preload_early("PLUG_EARLY_THREAD");
}

static void early_library(void)
{
	char **block = dlsym(RTLD_DEFAULT, "plug_early_block");

	if (!block)
		SKIP("plug_early.so was not preloaded");
	CHECK(*block && strncmp(*block, "allocated before", 16) == 0);
	CHECK(malloc_usable_size(*block) >= strlen(*block) + 1);
	exercise_all_tiers(3);
}

/* -- threads that only free ------------------------------------------------- */

static void *only_frees(void *arg)
{
	free(arg);
	return NULL;
}

static void free_only_threads_16(void)
{
	size_t i, n = scale(10000, 1000000);
	long before = 0, after;

	for (i = 0; i < n; i++) {
		size_t size = i % 100 == 0 ? 2 * MIB : i % 10 == 0 ? 20000 : 16 + i % 1000;
		void *p = malloc(size);

		CHECK(p);
		memset(p, 1, size < 4096 ? size : 4096);
		pthread_join(spawn(only_frees, p, 65536), NULL);
		if (i == n / 10)
			before = rss_kib();
	}
	after = rss_kib();
	CHECK(after - before < 8 * 1024, "%ld KiB more after %zu threads", after - before, n);
}

static void *allocates_a_little(void *arg)
{
	size_t i;

	for (i = 0; i < 50; i++)
		free(malloc(16 + i * 37));
	free(malloc(100000));
	return arg;
}

/* Heaps of ended threads are used again: memory does not grow. */
static void thread_churn_does_not_leak_16(void)
{
	size_t i, n = scale(6000, 300000);
	long before = 0, after;

	for (i = 0; i < n; i++) {
		pthread_join(spawn(allocates_a_little, NULL, 65536), NULL);
		if (i == n / 6)
			before = rss_kib();
	}
	after = rss_kib();
	CHECK(after - before < 4 * 1024, "%ld KiB more after %zu threads", after - before, n);
}

/* -- blocks that outlive their thread --------------------------------------- */

enum { LEFT = 300 };

static void *leaves_blocks(void *arg)
{
	void **p = arg;
	size_t i;

	for (i = 0; i < LEFT; i++) {
		size_t n = 1 + i * i * 3;

		CHECK((p[i] = malloc(n)) != NULL);
		fill(p[i], n, i);
	}
	return NULL;
}

static void *takes_over(void *arg)
{
	void **p = arg;
	size_t i;

	for (i = 0; i < LEFT; i++) {
		size_t n = 1 + i * i * 3;

		check_block(p[i], n, i);
		if (i % 2) {
			p[i] = realloc(p[i], n + n / 2 + 1);
			CHECK(p[i]);
			check_block(p[i], n, i);
		}
		free(p[i]);
	}
	return NULL;
}

static void blocks_outlive_their_thread(void)
{
	size_t round, k, rounds = scale(18, 60);
	long before = 0, after;

	for (round = 0; round < rounds; round++) {
		static void *p[6][LEFT];
		pthread_t t[6];

		for (k = 0; k < 6; k++)
			t[k] = spawn(leaves_blocks, p[k], 0);
		for (k = 0; k < 6; k++)
			pthread_join(t[k], NULL);
		for (k = 0; k < 3; k++)
			t[k] = spawn(takes_over, p[k], 0);
		for (k = 3; k < 6; k++)
			takes_over(p[k]);
		for (k = 0; k < 3; k++)
			pthread_join(t[k], NULL);
		if (round == 6)
			before = rss_kib();
	}
	after = rss_kib();
	CHECK(after - before < 128 * 1024, "%ld KiB more", after - before);
}

/* -- producer and consumer: only remote frees ------------------------------- */

enum { PIPE = 1024 };

static struct {
	void *volatile slot[PIPE];
	volatile size_t put, got;
	size_t total;
} pipeline;

static size_t pipe_size(size_t i)
{
	return i % 997 == 0 ? 200000 : i % 101 == 0 ? 9000 : 8 + i * 37 % 500;
}

static void *produces(void *arg)
{
	size_t i;

	for (i = 0; i < pipeline.total; i++) {
		size_t n = pipe_size(i);
		void *p = malloc(n);

		CHECK(p);
		fill(p, n < 256 ? n : 256, i);
		while (i - __atomic_load_n(&pipeline.got, __ATOMIC_ACQUIRE) >= PIPE)
			sched_yield();
		pipeline.slot[i % PIPE] = p;
		__atomic_store_n(&pipeline.put, i + 1, __ATOMIC_RELEASE);
	}
	return arg;
}

static void *consumes(void *arg)
{
	size_t i;

	for (i = 0; i < pipeline.total; i++) {
		size_t n = pipe_size(i);
		void *p;

		while (__atomic_load_n(&pipeline.put, __ATOMIC_ACQUIRE) <= i)
			sched_yield();
		p = pipeline.slot[i % PIPE];
		__atomic_store_n(&pipeline.got, i + 1, __ATOMIC_RELEASE);
		check_block(p, n < 256 ? n : 256, i);
		free(p);
	}
	return arg;
}

static void producer_and_consumer(void)
{
	pthread_t a, b;
	long after;

	pipeline.total = scale(1000000, 50000000);
	a = spawn(produces, NULL, 0);
	b = spawn(consumes, NULL, 0);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	after = rss_kib();
	CHECK(after < 64 * 1024, "%ld KiB", after);
}

/* -- many threads at once --------------------------------------------------- */

static pthread_barrier_t all_here;
static volatile int release_all;
static pthread_mutex_t release_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t release_cond = PTHREAD_COND_INITIALIZER;

static void *holds_a_heap(void *arg)
{
	size_t i, me = (size_t)arg;
	void *p[8];

	for (i = 0; i < 8; i++) {
		CHECK((p[i] = malloc(24 + i * 700)) != NULL);
		fill(p[i], 24 + i * 700, me + i);
	}
	pthread_barrier_wait(&all_here);
	pthread_mutex_lock(&release_lock);
	while (!release_all)
		pthread_cond_wait(&release_cond, &release_lock);
	pthread_mutex_unlock(&release_lock);
	for (i = 0; i < 8; i++) {
		check_block(p[i], 24 + i * 700, me + i);
		free(p[i]);
	}
	free(malloc(100));
	return NULL;
}

static void many_threads_at_once_32(void)
{
	static pthread_t t[10000];
	size_t i, n = scale(500, 10000);
	struct rlimit procs;

	getrlimit(RLIMIT_NPROC, &procs);
	if (procs.rlim_cur < n + 200)
		SKIP("RLIMIT_NPROC is %lu", (unsigned long)procs.rlim_cur);
	CHECK(pthread_barrier_init(&all_here, NULL, n + 1) == 0);
	for (i = 0; i < n; i++)
		t[i] = spawn(holds_a_heap, (void *)i, 65536);
	pthread_barrier_wait(&all_here);
	say("# %s: %zu threads hold %ld KiB\n", case_name, n, rss_kib());
	CHECK(rss_kib() < (long)n * 256 + 65536, "%ld KiB", rss_kib());
	pthread_mutex_lock(&release_lock);
	release_all = 1;
	pthread_cond_broadcast(&release_cond);
	pthread_mutex_unlock(&release_lock);
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	exercise_all_tiers(1);
	malloc_trim(0);
}

/* -- stacks ----------------------------------------------------------------- */

static void *tiers_on_this_stack(void *arg)
{
	static const size_t sizes[] = { 1, 100, 2000, 40000, 300000, 3 * MIB };
	size_t i, round;

	for (round = 0; round < 30; round++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *p = malloc(sizes[i]), *q = calloc(1, sizes[i]);

			CHECK(p && q);
			p[0] = q[0] = 1;
			p = realloc(p, sizes[i] * 2);
			CHECK(p && p[0] == 1);
			free(q);
			free(p);
			free(memalign(65536, sizes[i]));
		}
		malloc_trim(0);
	}
	return arg;
}

static void smallest_stacks_27(void)
{
	size_t i;

	for (i = 0; i < 20; i++)
		pthread_join(spawn(tiers_on_this_stack, NULL, 16384), NULL);
}

static ucontext_t main_context, coroutine;

static void on_the_coroutine(void)
{
	tiers_on_this_stack(NULL);
}

static void coroutine_on_a_malloced_stack_27(void)
{
	size_t i;

	for (i = 0; i < 20; i++) {
		char *stack = malloc(16384);

		CHECK(stack && getcontext(&coroutine) == 0);
		coroutine.uc_stack.ss_sp = stack;
		coroutine.uc_stack.ss_size = 16384;
		coroutine.uc_link = &main_context;
		makecontext(&coroutine, on_the_coroutine, 0);
		CHECK(swapcontext(&main_context, &coroutine) == 0);
		free(stack);
	}
}

static void allocating_handler(int sig)
{
	(void)sig;
	tiers_on_this_stack(NULL);
}

/* raise() is synchronous here: the handler interrupts no malloc. */
static void handler_on_an_alternate_stack_27(void)
{
	stack_t alt = { .ss_size = 32768 };
	struct sigaction sa = { .sa_handler = allocating_handler, .sa_flags = SA_ONSTACK };
	size_t i;

	alt.ss_sp = malloc(alt.ss_size);
	CHECK(alt.ss_sp && sigaltstack(&alt, NULL) == 0);
	CHECK(sigaction(SIGUSR1, &sa, NULL) == 0);
	for (i = 0; i < 10; i++) {
		exercise_all_tiers(i);
		CHECK(raise(SIGUSR1) == 0);
	}
}

/* -- exit (28) -------------------------------------------------------------- */

static void *churns_for_ever(void *arg)
{
	static __thread void *p[100];
	uint64_t s = (size_t)arg;

	for (;;) {
		size_t i = rnd(&s) % 100;

		free(p[i]);
		p[i] = malloc(1 + rnd(&s) % (i < 95 ? 2000 : 1500000));
		CHECK(p[i]);
		memset(p[i], 1, 1);
	}
	return NULL;
}

static void at_exit_handler(void)
{
	exercise_all_tiers(28);
}

__attribute__((destructor)) static void last_destructor(void)
{
	static volatile int once;

	if (once++ == 0)
		free(malloc(5000));
}

static void exit_while_threads_churn_28(void)
{
	size_t round, i;

	for (round = 0; round < 30; round++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(20);
			atexit(at_exit_handler);
			for (i = 0; i < 3; i++)
				spawn(churns_for_ever, (void *)i, 0);
			atexit(at_exit_handler);
			exercise_all_tiers(round);
			if (round % 3 == 0)
				quick_exit(0);
			exit(0);
		}
		reap(pid, "a process that exits while its threads allocate");
	}
}

static void *exits_the_process(void *arg)
{
	free(malloc(100));
	exit((int)(size_t)arg);
}

static void exit_from_a_thread_28(void)
{
	size_t round;

	for (round = 0; round < 20; round++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(20);
			atexit(at_exit_handler);
			spawn(churns_for_ever, NULL, 0);
			spawn(exits_the_process, NULL, 0);
			churns_for_ever((void *)7);
		}
		reap(pid, "exit() in a thread");
	}
}

static void *waits_then_allocates(void *arg)
{
	pthread_t mother = *(pthread_t *)arg;

	pthread_join(mother, NULL);
	exercise_all_tiers(20);
	return NULL;
}

/* main ends by pthread_exit: the process ends with its last thread. */
static void main_thread_exits_20(void)
{
	size_t round;

	for (round = 0; round < 8; round++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			static pthread_t self;

			alarm(10);
			self = pthread_self();
			exercise_all_tiers(1);
			spawn(waits_then_allocates, &self, 0);
			pthread_exit(NULL);
		}
		reap(pid, "pthread_exit in main");
	}
}

/* valgrind and mtrace call __libc_freeres at the very end. */
static void libc_freeres_28(void)
{
	void (*freeres)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "__libc_freeres");
	FILE *f = fopen("/dev/null", "r");

	if (!freeres)
		SKIP("no __libc_freeres");
	CHECK(f);
	fclose(f);
	dlerror();
	setenv("HAKT_SOMETHING", "x", 1);
	exercise_all_tiers(1);
	freeres();
	exercise_all_tiers(2);
	_exit(0);
}

/* -- cancellation ----------------------------------------------------------- */

static void cleanup(void *p)
{
	free(p);
	free(malloc(1000));
}

static void *cancelled(void *arg)
{
	void *p = malloc(500);

	pthread_cleanup_push(cleanup, p);
	for (;;) {
		free(malloc(200));
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return arg;
}

static void cancellation(void)
{
	size_t i;

	for (i = 0; i < 300; i++) {
		pthread_t t = spawn(cancelled, NULL, 65536);
		void *result;

		if (i % 2)
			sched_yield();
		CHECK(pthread_cancel(t) == 0 && pthread_join(t, &result) == 0);
		CHECK(result == PTHREAD_CANCELED);
	}
	exercise_all_tiers(1);
}

/* malloc is no cancellation point: a pending cancel must not act inside it. */
static void *pending_cancel(void *arg)
{
	pthread_cancel(pthread_self());
	exercise_all_tiers(1);
	malloc_trim(0);
	*(volatile int *)arg = 1;
	pthread_testcancel();
	return NULL;
}

static void malloc_is_no_cancellation_point(void)
{
	volatile int reached = 0;

	pthread_join(spawn(pending_cancel, (void *)&reached, 0), NULL);
	CHECK(reached);
}

static const struct tcase cases[] = {
	{ "destructors_rearm_16", destructors_rearm_16, 60 },
	{ "all_keys_taken_16", all_keys_taken_16, 60 },
	{ "keys_taken_before_us_16", keys_taken_before_us_16, 60, NULL, preload_early_keys },
	{ "early_library", early_library, 0, NULL, preload_early_thread },
	{ "free_only_threads_16", free_only_threads_16, 60 },
	{ "thread_churn_does_not_leak_16", thread_churn_does_not_leak_16, 60 },
	{ "blocks_outlive_their_thread", blocks_outlive_their_thread, 60 },
	{ "producer_and_consumer", producer_and_consumer, 60 },
	{ "many_threads_at_once_32", many_threads_at_once_32, 60 },
	{ "smallest_stacks_27", smallest_stacks_27 },
	{ "smallest_stacks_agent_27", smallest_stacks_27, 0, "control.agent=on" },
	{ "coroutine_on_a_malloced_stack_27", coroutine_on_a_malloced_stack_27 },
	{ "handler_on_an_alternate_stack_27", handler_on_an_alternate_stack_27 },
	{ "exit_while_threads_churn_28", exit_while_threads_churn_28, 60 },
	{ "exit_from_a_thread_28", exit_from_a_thread_28, 60 },
	{ "main_thread_exits_20", main_thread_exits_20, 60 },
	{ "main_thread_exits_agent_20", main_thread_exits_20, 60, "control.agent=on" },
	{ "libc_freeres_28", libc_freeres_28 },
	{ "cancellation", cancellation, 60 },
	{ "malloc_is_no_cancellation_point", malloc_is_no_cancellation_point },
};

MAIN(cases)
