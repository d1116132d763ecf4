// SPDX-License-Identifier: MIT
/*
 * Copies of the process: fork while threads allocate, other libraries' fork handlers that allocate
 * (hazards 5, 6), and the copies for which no handler runs: raw clone, _Fork, vfork, posix_spawn
 * (7). A child uses and frees what it inherited; the parent then finds its own memory unchanged.
 */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/time.h>

extern char **environ;

enum { CHURNERS = 4, SHELF = 256, CHILD_SECS = 20 };

/* Blocks of all threads; the child frees those that other threads allocated. */
struct shelf {
	pthread_mutex_t lock;
	void *p[SHELF];
	size_t n[SHELF];
};

static struct shelf shelves[CHURNERS];
static volatile int stop;

static size_t churn_size(uint64_t r)
{
	static const size_t top[] = { 64, 1024, 16384, 65536, 400000, 3 * MIB };

	return 1 + (r >> 8) % top[r % 64 < 40	? 0
				  : r % 64 < 52 ? 1
				  : r % 64 < 58 ? 2
				  : r % 64 < 61 ? 3
				  : r % 64 < 63 ? 4
						: 5];
}

static void shelf_turn(struct shelf *s, uint64_t r)
{
	size_t i = r % SHELF, n = churn_size(r);
	void *fresh = malloc(n), *old;
	size_t old_n;

	CHECK(fresh);
	fill(fresh, n < 4096 ? n : 4096, i);
	/* In the middle of an exchange the child would see a block twice or not at all. */
	pthread_mutex_lock(&s->lock);
	old = s->p[i];
	old_n = s->n[i];
	s->p[i] = fresh;
	s->n[i] = n;
	pthread_mutex_unlock(&s->lock);
	if (!old)
		return;
	check_block(old, old_n < 4096 ? old_n : 4096, i);
	free(old);
}

static void *churner(void *arg)
{
	size_t me = (size_t)arg;
	uint64_t s = me * 1000003;

	while (!stop) {
		/* Every other turn uses a neighbour's shelf: remote frees. */
		shelf_turn(&shelves[me], rnd(&s));
		shelf_turn(&shelves[(me + 1) % CHURNERS], rnd(&s));
	}
	return NULL;
}

static pthread_t churn_threads[CHURNERS];

static void start_churn(size_t n)
{
	size_t i;

	for (i = 0; i < CHURNERS; i++)
		pthread_mutex_init(&shelves[i].lock, NULL);
	for (i = 0; i < n; i++)
		CHECK(pthread_create(&churn_threads[i], NULL, churner, (void *)i) == 0);
}

static void end_churn(size_t n)
{
	size_t i;

	stop = 1;
	for (i = 0; i < n; i++)
		pthread_join(churn_threads[i], NULL);
}

/* The fork must fall between exchanges, not between allocations. */
static void lock_shelves(void)
{
	size_t i;

	for (i = 0; i < CHURNERS; i++)
		pthread_mutex_lock(&shelves[i].lock);
}

static void unlock_shelves(void)
{
	size_t i;

	for (i = 0; i < CHURNERS; i++)
		pthread_mutex_unlock(&shelves[i].lock);
}

static void *child_thread(void *arg)
{
	exercise_all_tiers((size_t)arg);
	return NULL;
}

static void child_uses_everything(int with_threads)
{
	size_t i, j;

	alarm(CHILD_SECS);
	for (i = 0; i < CHURNERS; i++) {
		for (j = 0; j < SHELF; j++) {
			size_t n = shelves[i].n[j];

			if (!shelves[i].p[j])
				continue;
			check_block(shelves[i].p[j], n < 4096 ? n : 4096, j);
			if (j % 3 == 0) {
				void *p = realloc(shelves[i].p[j], n * 2);

				CHECK(p);
				check_block(p, n < 4096 ? n : 4096, j);
				free(p);
			} else {
				free(shelves[i].p[j]);
			}
		}
	}
	exercise_all_tiers(1);
	if (with_threads) {
		pthread_t t[2];

		for (i = 0; i < 2; i++)
			CHECK(pthread_create(&t[i], NULL, child_thread, (void *)i) == 0);
		for (i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
	}
	malloc_trim(0);
	exercise_all_tiers(2);
	_exit(0);
}

static pid_t fork_child(int with_threads)
{
	pid_t pid;

	lock_shelves();
	pid = fork();
	if (pid == 0)
		child_uses_everything(with_threads);
	unlock_shelves();
	CHECK(pid > 0, "fork: %s", strerror(errno));
	return pid;
}

static void fork_while_threads_churn_5_6(void)
{
	size_t i, n = scale(4, 5000);

	start_churn(CHURNERS);
	for (i = 0; i < n; i++) {
		reap(fork_child(i % 8 == 0), "child of a churning parent");
		exercise_all_tiers(i);
	}
	end_churn(CHURNERS);
}

static void *forker(void *arg)
{
	size_t i, n = scale(5, 1000);

	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(CHILD_SECS);
			exercise_all_tiers((size_t)arg);
			_exit(0);
		}
		reap(pid, "child of a forking thread");
		exercise_all_tiers(i);
	}
	return NULL;
}

static void threads_fork_at_once_6(void)
{
	pthread_t t[4];
	size_t i;

	start_churn(2);
	for (i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, forker, (void *)i) == 0);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	end_churn(2);
}

/* A chain: each child, with threads of its own, forks the next. */
static void fork_of_fork_6(void)
{
	size_t depth;

	for (depth = 0; depth < scale(6, 24); depth++) {
		pid_t pid;

		stop = 0;
		start_churn(2);
		pid = fork();
		CHECK(pid >= 0);
		if (pid) {
			reap(pid, "the next generation");
			end_churn(2);
			exercise_all_tiers(depth);
			if (depth)
				_exit(0);
			return;
		}
		memset(shelves, 0, sizeof(shelves)); /* leaks the inherited blocks */
	}
}

/* Handlers registered after the library's run inside its prepare and parent handlers. */
static void *kept_by_handler[3][64];

static void handler_churns(int which)
{
	size_t i;

	for (i = 0; i < 64; i++) {
		free(kept_by_handler[which][i]);
		kept_by_handler[which][i] = malloc(1 + i * i * 300);
		CHECK(kept_by_handler[which][i]);
		memset(kept_by_handler[which][i], 1, 1 + i * i * 300);
	}
}

static void in_prepare(void)
{
	handler_churns(0);
}

static void in_parent(void)
{
	handler_churns(1);
}

static void in_child_handler(void)
{
	handler_churns(2);
}

static void handlers_that_allocate_6(void)
{
	size_t i, n = scale(5, 3000);

	/* A library registered early ones: see plug_early.c. */
	CHECK(pthread_atfork(in_prepare, in_parent, in_child_handler) == 0);
	CHECK(pthread_atfork(in_prepare, in_parent, in_child_handler) == 0);
	start_churn(3);
	for (i = 0; i < n; i++)
		reap(fork_child(0), "child with handlers that allocate");
	end_churn(3);
}

/* The early library's handlers call malloc around this library's: before its prepare is done, and
 * in the child before its child handler has run. */
static void early_handlers_that_allocate_6(void)
{
	unsigned long *calls = dlsym(RTLD_DEFAULT, "plug_early_fork_calls");

	if (!calls)
		SKIP("plug_early.so was not preloaded");
	handlers_that_allocate_6();
	CHECK(*calls >= 3, "the early handlers ran %lu times", *calls);
}

static void preload_early(void)
{
	const char *have = getenv("LD_PRELOAD");
	static char list[9000];
	char *slash;

	/* Last in the list: initialised first, its handlers registered first. */
	snprintf(list, sizeof(list), "%s%s%s", have ? have : "", have ? ":" : "", self_path);
	slash = strrchr(list, '/');
	snprintf(slash + 1, sizeof(list) - (slash + 1 - list), "plug_early.so");
	if (access(strrchr(list, ':') ? strrchr(list, ':') + 1 : list, R_OK) == 0)
		setenv("LD_PRELOAD", list, 1);
	setenv("PLUG_EARLY_FORK", "1", 1);
}

static volatile sig_atomic_t handler_forks, in_copy;

/* Every other child returns, and goes on where its parent was interrupted. */
static void forking_handler(int sig)
{
	int saved = errno;
	pid_t pid = fork();

	(void)sig;
	if (pid == 0) {
		alarm(CHILD_SECS);
		if (handler_forks % 2)
			_exit(0);
		signal(SIGALRM, SIG_DFL);
		in_copy = 1;
	}
	if (pid > 0) {
		int status = -1;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		handler_forks++;
		if (status != 0) {
			dprintf(2, "the copy ended with status %#x\n", (unsigned int)status);
			_exit(1);
		}
	}
	errno = saved;
}

/* One alarm at a time, somewhere in the following turns: forks take longer than turns. */
static void churn_under_signals(void)
{
	struct sigaction action = { .sa_handler = forking_handler };
	struct itimerval left;
	sigset_t alarms;
	uint64_t s = 1;

	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	start_churn(0);
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	while (handler_forks < 200 && !in_copy) {
		/* an alarm in between is the last one: a copy would set its own then */
		pthread_sigmask(SIG_BLOCK, &alarms, NULL);
		getitimer(ITIMER_REAL, &left);
		if (!left.it_value.tv_sec && !left.it_value.tv_usec && !in_copy) {
			left.it_value.tv_usec = (suseconds_t)(1 + rnd(&s) % 500);
			setitimer(ITIMER_REAL, &left, NULL);
		}
		pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
		for (unsigned int i = 0; i < 8; i++)
			shelf_turn(&shelves[CHURNERS - 1], rnd(&s));
	}
	if (in_copy) {
		for (unsigned int i = 0; i < 200; i++)
			shelf_turn(&shelves[CHURNERS - 1], rnd(&s));
		exercise_all_tiers(1);
		_exit(0);
	}
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
}

/* fork is safe in a signal handler (POSIX.1-2017), and with glibc where there is one thread. */
static void fork_in_signal_handler_6(void)
{
	churn_under_signals();
}

static void parent_is_untouched(void (*copy)(void (*)(void)), const char *what)
{
	enum { N = 400 };
	static void *p[N];
	size_t i, turn;

	for (i = 0; i < N; i++) {
		size_t n = 1 + i * i * 4;

		CHECK((p[i] = malloc(n)) != NULL);
		fill(p[i], n, i);
	}
	for (turn = 0; turn < 20; turn++) {
		copy(NULL);
		exercise_all_tiers(turn);
	}
	for (i = 0; i < N; i++) {
		check_block(p[i], 1 + i * i * 4, i);
		free(p[i]);
	}
	exercise_all_tiers(99);
	say("# %s: parent untouched by %s\n", case_name, what);
}

static void child_churn(void)
{
	size_t i;

	for (i = 0; i < 3; i++)
		exercise_all_tiers(i);
}

static void by_raw_clone(void (*unused)(void))
{
	pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	(void)unused;
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(CHILD_SECS);
		child_churn();
		_exit(0);
	}
	reap(pid, "raw clone");
}

static void raw_clone_7(void)
{
	parent_is_untouched(by_raw_clone, "raw clone");
}

static int (*counter)(const char *, uint64_t *);

static void *clone_in_a_thread(void *unused)
{
	uint64_t before = 0, after = 0;
	pid_t pid;

	if (counter)
		counter("class.allocs", &before);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(CHILD_SECS);
		child_churn();
		for (int i = 0; i < 20000; i++)
			free(malloc(opaque(40)));
		_exit(0);
	}
	reap(pid, "raw clone");
	if (counter)
		counter("class.allocs", &after);
	CHECK(after - before < 10000, "the copy counted %lu in its parent", after - before);
	return unused;
}

static void *allocate_once(void *unused)
{
	free(malloc(opaque(100)));
	return unused;
}

/*
 * The thread that makes the copy never allocated, so no cache of its own tells it that it is a
 * copy. It would adopt the heap of the thread before it, which its parent counts.
 */
static void by_raw_clone_without_a_heap(void (*unused)(void))
{
	pthread_t t;

	(void)unused;
	counter = (int (*)(const char *, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_counter");
	CHECK(pthread_create(&t, NULL, allocate_once, NULL) == 0);
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(pthread_create(&t, NULL, clone_in_a_thread, NULL) == 0);
	CHECK(pthread_join(t, NULL) == 0);
}

static void raw_clone_without_a_heap_7(void)
{
	parent_is_untouched(by_raw_clone_without_a_heap, "raw clone by a thread without a heap");
}

static void by_underscore_fork(void (*unused)(void))
{
	pid_t (*fork_fn)(void) = (pid_t(*)(void))dlsym(RTLD_DEFAULT, "_Fork");
	pid_t pid;

	(void)unused;
	if (!fork_fn)
		SKIP("glibc before 2.34 has no _Fork");
	pid = fork_fn();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(CHILD_SECS);
		child_churn();
		_exit(0);
	}
	reap(pid, "_Fork");
}

static void underscore_fork_7(void)
{
	parent_is_untouched(by_underscore_fork, "_Fork");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
/* The child shares the parent's memory; both must go on with one heap. */
static void by_vfork(void (*unused)(void))
{
	static void *volatile from_child;
	pid_t pid = vfork();

	(void)unused;
	CHECK(pid >= 0);
	if (pid == 0) {
		from_child = malloc(1000);
		free(malloc(40));
		free(malloc(3 * MIB));
		_exit(from_child ? 0 : 1);
	}
	reap(pid, "vfork");
	CHECK(malloc_usable_size(from_child) >= 1000);
	memset(from_child, 1, 1000);
	free(from_child);
}
#pragma GCC diagnostic pop

static void vfork_7(void)
{
	parent_is_untouched(by_vfork, "vfork");
}

static void by_posix_spawn(void (*unused)(void))
{
	static char sh[] = "sh", option[] = "-c", script[] = "exit 0";
	static char *const argv[] = { sh, option, script, NULL };
	pid_t pid;

	(void)unused;
	CHECK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
	reap(pid, "posix_spawn");
}

static void posix_spawn_7(void)
{
	parent_is_untouched(by_posix_spawn, "posix_spawn");
}

static int clone_vm_child(void *arg)
{
	(void)arg;
	free(malloc(100));
	return 0;
}

static void by_clone_vm_vfork(void (*unused)(void))
{
	static char stack[262144] __attribute__((aligned(16)));
	pid_t pid = clone(clone_vm_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
			  NULL);

	(void)unused;
	CHECK(pid > 0);
	reap(pid, "clone(CLONE_VM|CLONE_VFORK)");
}

static void clone_vm_vfork_7(void)
{
	parent_is_untouched(by_clone_vm_vfork, "clone(CLONE_VM|CLONE_VFORK)");
}

/*
 * Raw clones while other threads allocate: the copy finds locks held and lists half changed by
 * threads that it does not have, and must allocate.
 */
static void raw_clones_while_threads_churn_7(void)
{
	start_churn(3);
	for (size_t i = 0; i < scale(15, 1500); i++)
		by_raw_clone(NULL);
	end_churn(3);
}

static pthread_key_t late_key;

/* Called repeatedly; in the fourth round the thread's heap is gone. */
static void clone_late(void *round)
{
	uintptr_t n = (uintptr_t)round;

	if (n < 4)
		CHECK(pthread_setspecific(late_key, (void *)(n + 1)) == 0);
	else
		by_raw_clone(NULL);
}

static void *ends_late(void *unused)
{
	free(malloc(opaque(100)));
	CHECK(pthread_setspecific(late_key, (void *)1) == 0);
	return unused;
}

static void raw_clone_after_the_heap_is_gone_7(void)
{
	pthread_t t;

	CHECK(pthread_key_create(&late_key, clone_late) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK(pthread_create(&t, NULL, ends_late, NULL) == 0);
		CHECK(pthread_join(t, NULL) == 0);
	}
}

static void spawn_while_threads_churn_7(void)
{
	size_t i;

	start_churn(3);
	for (i = 0; i < scale(20, 600); i++) {
		by_posix_spawn(NULL);
		by_vfork(NULL);
		exercise_all_tiers(i);
	}
	end_churn(3);
}

static void daemonize(void)
{
	int fds[2];
	char ok = 0;
	pid_t pid;

	CHECK(pipe(fds) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		if (daemon(0, 1) != 0)
			_exit(1);
		alarm(CHILD_SECS);
		exercise_all_tiers(5);
		_exit(write(fds[1], "y", 1) != 1);
	}
	close(fds[1]);
	reap(pid, "the process that daemon() leaves behind");
	CHECK(read(fds[0], &ok, 1) == 1 && ok == 'y');
}

/* popen and system are libc's own users of vfork and spawn. */
static void popen_and_system(void)
{
	size_t i;
	char line[64];

	start_churn(2);
	for (i = 0; i < 15; i++) {
		FILE *f = popen("echo hello", "r");

		CHECK(f && fgets(line, sizeof(line), f) && strcmp(line, "hello\n") == 0);
		CHECK(pclose(f) == 0);
		CHECK(system("exit 3") >> 8 == 3);
	}
	end_churn(2);
}

/* A dead thread leaves blocks, then comes a fork, then the child frees them. */
static void *leave_blocks(void *arg)
{
	void **p = arg;
	size_t i;

	for (i = 0; i < 200; i++) {
		p[i] = malloc(100 + i * 50);
		fill(p[i], 100 + i * 50, i);
	}
	return NULL;
}

static void child_frees_blocks_of_ended_threads_5(void)
{
	size_t round, i;

	for (round = 0; round < 20; round++) {
		void *p[200];
		pthread_t t;
		pid_t pid;

		CHECK(pthread_create(&t, NULL, leave_blocks, p) == 0);
		pthread_join(t, NULL);
		pid = fork();
		CHECK(pid >= 0);
		for (i = 0; i < 200; i++) {
			check_block(p[i], 100 + i * 50, i);
			free(p[i]);
		}
		exercise_all_tiers(round);
		if (pid == 0)
			_exit(0);
		reap(pid, "child that frees blocks of ended threads");
	}
}

/* A thread other than main forks; it is then the child's only thread. */
static void *fork_from_here(void *arg)
{
	*(pid_t *)arg = fork_child(1);
	return NULL;
}

static void fork_from_a_thread_6(void)
{
	size_t i;

	start_churn(2);
	for (i = 0; i < scale(8, 400); i++) {
		pthread_t t;
		pid_t pid;

		CHECK(pthread_create(&t, NULL, fork_from_here, &pid) == 0);
		pthread_join(t, NULL);
		reap(pid, "child of a thread that has ended");
	}
	end_churn(2);
}

static const struct tcase cases[] = {
	{ "fork_while_threads_churn_5_6", fork_while_threads_churn_5_6, 90 },
	{ "fork_while_threads_churn_control_off_5_6", fork_while_threads_churn_5_6, 90,
	  "control=off" },
	{ "fork_while_threads_churn_agent_5_6", fork_while_threads_churn_5_6, 90,
	  "control.agent=on" },
	{ "threads_fork_at_once_6", threads_fork_at_once_6, 90 },
	{ "fork_of_fork_6", fork_of_fork_6, 60 },
	{ "fork_from_a_thread_6", fork_from_a_thread_6, 60 },
	{ "handlers_that_allocate_6", handlers_that_allocate_6, 60 },
	{ "early_handlers_that_allocate_6", early_handlers_that_allocate_6, 60, NULL,
	  preload_early },
	{ "fork_in_signal_handler_6", fork_in_signal_handler_6, 60 },
	{ "child_frees_blocks_of_ended_threads_5", child_frees_blocks_of_ended_threads_5 },
	{ "raw_clone_7", raw_clone_7, 60 },
	{ "raw_clone_without_a_heap_7", raw_clone_without_a_heap_7, 60 },
	{ "raw_clones_while_threads_churn_7", raw_clones_while_threads_churn_7, 60 },
	{ "raw_clone_after_the_heap_is_gone_7", raw_clone_after_the_heap_is_gone_7, 60 },
	{ "underscore_fork_7", underscore_fork_7, 60 },
	{ "vfork_7", vfork_7, 60 },
	{ "posix_spawn_7", posix_spawn_7, 60 },
	{ "clone_vm_vfork_7", clone_vm_vfork_7, 60 },
	{ "spawn_while_threads_churn_7", spawn_while_threads_churn_7, 60 },
	{ "daemonize", daemonize },
	{ "popen_and_system", popen_and_system },
};

MAIN(cases)
