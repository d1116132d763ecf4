// SPDX-License-Identifier: MIT
/*
 * The agent: when it exists, that it hears what a sleeping program does not, and that the program
 * does not notice it (hazard 20; tests/preload has more of that).
 */
#include "peer.h"

#include <dirent.h>
#include <pthread.h>

static struct peer p, q;

static void *returns(void *arg)
{
	free(launder(malloc(opaque(100))));
	return arg;
}

static int is_agent(pid_t pid, const char *tid)
{
	char path[96], comm[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, comm, sizeof(comm));
	close(fd);
	return n > 12 && strncmp(comm, "hakmem-agent", 12) == 0;
}

/* Returns the thread id of the agent in a process, 0 if there is none. Allocates nothing. */
static int agent_of(pid_t pid)
{
	char path[64], entries[4096] __attribute__((aligned(8)));
	int fd, found = 0;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && !found && (n = getdents64(fd, entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; at < n && !found;) {
			const struct dirent64 *entry = (const struct dirent64 *)(entries + at);

			if (is_agent(pid, entry->d_name))
				found = atoi(entry->d_name);
			at += entry->d_reclen;
		}
	}
	close(fd);
	return found;
}

/* ---- what it is for ---- */

static void sleeping_subject(int from, int to)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	tell(to);
	hear(from); /* no allocation from here on */
	tell(to);
	hear(from);
}

static void hears_while_the_program_sleeps(void)
{
	struct hak_purge_answer a;
	int to, from;
	uint64_t g, id;
	pid_t pid = subject(sleeping_subject, &to, &from);

	hear(from);
	peer_open(&p, pid);
	WAIT_FOR(peer_agent(&p) == 1 && peer_counter(&p, "heap.live") == 2);
	for (int i = 0; i < 50; i++) {
		g = peer_set(&p, "whale.ring_slots", i);
		WAIT_FOR(peer_has_applied(&p, g));
		CHECK(peer_value(&p, "whale.ring_slots") == (uint64_t)i);
	}
	for (int i = 0; i < 20; i++) {
		id = peer_purge(&p, 1 + i % 3);
		WAIT_FOR((a = peer_answer(&p, id)).id == id);
		CHECK(a.level == 1u + i % 3 && a.status == 0 && a.ns > 0);
	}
	CHECK(peer_counter(&p, "purge.requests") == 20);
	CHECK(peer_counter(&p, "control.applied") == 50);
	CHECK(peer_counter(&p, "control.agent") == 1);
	/* The heaps of main and its thread; the agent has none. */
	CHECK(peer_counter(&p, "heap.live") == 2, "%lu heaps", peer_counter(&p, "heap.live"));
	tell(to);
	hear(from);
	tell(to);
	reap(pid, "the sleeper");
}

static void deadlines_pass_in_their_sleep(void)
{
	struct timespec now;
	int to, from;
	uint64_t g;
	pid_t pid = subject(sleeping_subject, &to, &from);

	hear(from);
	peer_open(&p, pid);
	clock_gettime(CLOCK_BOOTTIME, &now);
	g = peer_write(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN, 1, 9,
		       (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec + 200000000);
	WAIT_FOR(peer_has_applied(&p, g));
	WAIT_FOR(peer_value(&p, "whale.ring_slots") == 128);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void without_it_requests_are_pending(void)
{
	int to, from;
	uint64_t g, id;
	pid_t pid = subject(sleeping_subject, &to, &from);

	hear(from);
	peer_open(&p, pid);
	CHECK(peer_agent(&p) == 0 && !agent_of(pid) && tasks_of(pid) == 2);
	g = peer_set(&p, "whale.ring_slots", 4);
	id = peer_purge(&p, HAK_PURGE_ALL);
	/* Neither can have happened: no thread of that process runs. */
	CHECK(!peer_has_applied(&p, g) && peer_answer(&p, id).id != id);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- when there is one ---- */

static void single_threaded_programs_have_none(void)
{
	exercise_all_tiers(1);
	peer_open(&p, getpid());
	CHECK(tasks_of(getpid()) == 1 && peer_agent(&p) == 0);
}

static void comes_with_the_first_thread(void)
{
	pthread_t t;

	peer_open(&p, getpid());
	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	WAIT_FOR(peer_agent(&p) == 1);
	WAIT_FOR(tasks_of(getpid()) == 3 && agent_of(getpid()));
	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	CHECK(tasks_of(getpid()) == 4, "%d tasks", tasks_of(getpid()));
}

static void is_there_at_load_if_told_so(void)
{
	peer_open(&p, getpid());
	WAIT_FOR(peer_agent(&p) == 1);
	CHECK(tasks_of(getpid()) == 2);
}

static void ends_when_told_so(void)
{
	pthread_t t;
	uint64_t g;

	peer_open(&p, getpid());
	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	WAIT_FOR(peer_agent(&p) == 1);
	g = peer_set(&p, "control.agent", 2);
	WAIT_FOR(peer_has_applied(&p, g) && !agent_of(getpid()));
	CHECK(peer_agent(&p) == 0 && peer_counter(&p, "control.agent") == 0);
	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	CHECK(tasks_of(getpid()) == 3);
	g = peer_reset(&p, "control.agent");
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	WAIT_FOR(peer_agent(&p) == 1);
	CHECK(tasks_of(getpid()) == 5);
}

static void leaves_a_program_that_is_back_to_one_thread(void)
{
	pthread_t t;

	peer_open(&p, getpid());
	peer_set(&p, "purge.delay_ms", 100); /* the agent leaves after some delays without news */
	for (int i = 0; i < 3; i++) {
		CHECK(pthread_create(&t, NULL, returns, NULL) == 0);
		pthread_join(t, NULL);
		WAIT_FOR(tasks_of(getpid()) == 1);
		CHECK(peer_agent(&p) == 0);
	}
}

static void *never_allocates(void *arg)
{
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return NULL;
}

/* Threads without a heap count as threads, too: the agent would leave within two seconds. */
static void stays_with_threads_that_never_allocate(void)
{
	pthread_barrier_t b;
	struct timespec t0;
	pthread_t t;
	uint64_t g;

	peer_open(&p, getpid());
	peer_set(&p, "purge.delay_ms", 100);
	pthread_barrier_init(&b, NULL, 2);
	CHECK(pthread_create(&t, NULL, never_allocates, &b) == 0);
	pthread_barrier_wait(&b);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	WAIT_FOR(elapsed_ms(&t0) > 2500);
	g = peer_set(&p, "whale.ring_slots", 4);
	WAIT_FOR(peer_has_applied(&p, g));
	pthread_barrier_wait(&b);
	pthread_join(t, NULL);
}

static void fork_children_have_none(void)
{
	pthread_t t;
	pid_t pid;

	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	peer_open(&p, getpid());
	WAIT_FOR(peer_agent(&p) == 1);
	pid = fork();
	if (pid == 0) {
		exercise_all_tiers(3);
		peer_open(&q, getpid());
		CHECK(tasks_of(getpid()) == 1 && peer_agent(&q) == 0);
		CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
		WAIT_FOR(peer_agent(&q) == 1);
		CHECK(tasks_of(getpid()) == 3);
		_exit(0);
	}
	reap(pid, "the child");
}

/* ---- that the program does not notice it ---- */

static void blocks_all_signals_but_two(void)
{
	char path[96], *at;
	static char status[8192];
	uint64_t blocked;
	pthread_t t;
	int fd, n;

	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	peer_open(&p, getpid());
	WAIT_FOR(peer_agent(&p) == 1);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", agent_of(getpid()));
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && (n = (int)read(fd, status, sizeof(status) - 1)) > 0);
	at = strstr(status, "SigBlk:");
	CHECK(at && sscanf(at, "SigBlk: %lx", &blocked) == 1);
	CHECK(!(blocked & (1ull << 31)) && !(blocked & (1ull << 32)), "32 or 33 blocked: %lx",
	      blocked);
	blocked |= 1ull << 31 | 1ull << 32 | 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);
	CHECK(blocked == ~0ull, "not all signals blocked: %lx", ~blocked);
}

static void creators_signals_stay_as_they_were(void)
{
	sigset_t set, before, after;
	pthread_t t;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGWINCH);
	CHECK(pthread_sigmask(SIG_SETMASK, &set, &before) == 0);
	CHECK(pthread_create(&t, NULL, returns, NULL) == 0);
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
	CHECK(memcmp(&set, &after, 8) == 0);
	pthread_join(t, NULL);
}

static pthread_t last;
static int exit_ran_on_the_last;

static void at_exit(void)
{
	char on_stack[200000];

	/* The agent's stack would not hold this. */
	memset(on_stack, 1, sizeof(on_stack));
	__asm__ volatile("" : : "r"(on_stack) : "memory");
	exit_ran_on_the_last = pthread_equal(pthread_self(), last);
	_exit(exit_ran_on_the_last ? 0 : 3);
}

static void *ends_last(void *main_thread)
{
	last = pthread_self();
	pthread_join(*(pthread_t *)main_thread, NULL);
	free(launder(malloc(opaque(1000))));
	return NULL;
}

static void exit_runs_on_the_last_thread(void)
{
	static pthread_t self;
	pthread_t t;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		self = pthread_self();
		atexit(at_exit);
		CHECK(pthread_create(&t, NULL, ends_last, &self) == 0);
		pthread_exit(NULL);
	}
	reap(pid, "a process without its main thread");
}

/* A limit leaves room for one thread, which is the program's. */
static void the_programs_threads_come_first(void)
{
	struct rlimit l;
	pthread_t t;
	pid_t pid;

	need_root();
	pid = fork();
	if (pid == 0) {
		CHECK(setgid(64321) == 0 && setuid(64321) == 0);
		l.rlim_cur = l.rlim_max = 2;
		CHECK(setrlimit(RLIMIT_NPROC, &l) == 0);
		CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
		CHECK(tasks_of(getpid()) == 2);
		_exit(0);
	}
	reap(pid, "a process of two threads");
}

static void *starts_and_ends(void *arg)
{
	pthread_t t;

	for (int i = 0; i < 300; i++) {
		CHECK(pthread_create(&t, NULL, returns, NULL) == 0);
		pthread_join(t, NULL);
	}
	return arg;
}

/* Starts, stops, forks and requests, all at once. */
static void storm(void)
{
	pthread_t t[3];
	uint64_t g = 0;
	pid_t pid;

	peer_open(&p, getpid());
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, starts_and_ends, NULL) == 0);
	for (int i = 0; i < 40; i++) {
		g = peer_set(&p, "control.agent", i & 1 ? 0 : 2);
		peer_purge(&p, HAK_PURGE_DIRTY);
		pid = fork();
		if (pid == 0) {
			exercise_all_tiers(i);
			CHECK(pthread_create(&t[0], NULL, returns, NULL) == 0);
			pthread_join(t[0], NULL);
			_exit(0);
		}
		reap(pid, "a child");
		exercise_all_tiers(i);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
}

static const struct tcase cases[] = {
	{ "hears_while_the_program_sleeps", hears_while_the_program_sleeps },
	{ "deadlines_pass_in_their_sleep", deadlines_pass_in_their_sleep },
	{ "without_it_requests_are_pending", without_it_requests_are_pending, 0,
	  "control.agent=off" },
	{ "single_threaded_programs_have_none", single_threaded_programs_have_none },
	{ "comes_with_the_first_thread", comes_with_the_first_thread },
	{ "is_there_at_load_if_told_so", is_there_at_load_if_told_so, 0, "control.agent=on" },
	{ "ends_when_told_so", ends_when_told_so },
	{ "leaves_a_program_that_is_back_to_one_thread",
	  leaves_a_program_that_is_back_to_one_thread },
	{ "stays_with_threads_that_never_allocate", stays_with_threads_that_never_allocate },
	{ "fork_children_have_none", fork_children_have_none },
	{ "blocks_all_signals_but_two", blocks_all_signals_but_two },
	{ "creators_signals_stay_as_they_were", creators_signals_stay_as_they_were },
	{ "exit_runs_on_the_last_thread", exit_runs_on_the_last_thread },
	{ "the_programs_threads_come_first", the_programs_threads_come_first },
	{ "storm", storm, 90 },
};

CONTROL_MAIN(cases)
