// SPDX-License-Identifier: MIT
/*
 * The agent thread must not disturb the program, nor must the calls that the library interposes
 * because of it (hazard 20). A program that changes its user, unshares, sandboxes itself or waits
 * for signals finds no thread that it did not make; prctl and pthread_create keep their meaning.
 */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

/* -- the interposed calls keep their meaning -------------------------------- */

static void prctl_is_passed_on(void)
{
	char name[17] = "";
	int sig = 0;

	CHECK(prctl(PR_SET_NAME, "a-longish-name", 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && strcmp(name, "a-longish-name") == 0);
	CHECK(prctl(PR_SET_PDEATHSIG, SIGUSR1) == 0);
	CHECK(prctl(PR_GET_PDEATHSIG, &sig) == 0 && sig == SIGUSR1);
	CHECK(prctl(PR_SET_PDEATHSIG, 0) == 0);
	errno = 0;
	CHECK(prctl(-12345, 1, 2, 3, 4) == -1 && errno == EINVAL);
	CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	errno = 0;
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1 && errno == EINVAL);
	CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0);
	hard_work();
}

static void *returns_its_argument(void *arg)
{
	free(malloc(100));
	return arg;
}

static void pthread_create_is_passed_on(void)
{
	pthread_attr_t attr, got;
	size_t stack = 0;
	pthread_t t;
	void *result;
	int state, saved;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 777 * 4096) == 0);
	errno = 4242;
	CHECK(pthread_create(&t, &attr, returns_its_argument, &stack) == 0);
	saved = errno;
	CHECK(saved == 4242, "errno %d", saved);
	CHECK(pthread_getattr_np(t, &got) == 0 && pthread_attr_getstacksize(&got, &stack) == 0);
	CHECK(stack >= 777 * 4096 - 65536 && stack <= 777 * 4096 + 65536, "stack of %zu", stack);
	CHECK(pthread_join(t, &result) == 0 && result == &stack);
	CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
	CHECK(pthread_create(&t, &attr, returns_its_argument, NULL) == 0);
	CHECK(pthread_attr_getdetachstate(&attr, &state) == 0 && state == PTHREAD_CREATE_DETACHED);
	pthread_attr_destroy(&attr);
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstacksize(&attr, (size_t)1 << 50) == 0);
	CHECK(pthread_create(&t, &attr, returns_its_argument, NULL) == EAGAIN);
}

/* -- the agent -------------------------------------------------------------- */

static int tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;
	struct dirent *e;

	CHECK(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void wait_for_tasks(int want, const char *when)
{
	struct timespec t0;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	while (tasks() > want)
		CHECK(elapsed_ms(&t0) < 10000, "%d tasks %s", tasks(), when);
}

static void single_threaded_has_no_agent_20(void)
{
	hard_work();
	malloc_trim(0);
	CHECK(tasks() == 1, "%d tasks", tasks());
}

static void *works_for_ever(void *arg)
{
	for (;;)
		exercise_all_tiers((size_t)arg);
	return NULL;
}

/* setuid signals every thread and waits for all of them; it must not hang. */
static void setuid_with_threads_20(void)
{
	pthread_t t;
	size_t i;

	need_root();
	for (i = 0; i < 2; i++)
		CHECK(pthread_create(&t, NULL, works_for_ever, (void *)i) == 0);
	hard_work();
	for (i = 0; i < 20; i++)
		CHECK(setresuid(-1, i % 2 ? 0 : 65534, -1) == 0);
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(geteuid() == 65534);
	hard_work();
	_exit(0);
}

static int new_user_namespace(void)
{
	if (unshare(CLONE_NEWUSER) == 0)
		return 1;
	CHECK(errno != EINVAL, "unshare: a second thread is here");
	SKIP("unshare(CLONE_NEWUSER): %s", strerror(errno));
}

static void unshare_single_threaded_20(void)
{
	hard_work();
	CHECK(new_user_namespace());
	hard_work();
}

/* On glibc the process is single-threaded again after the join. */
static void unshare_after_the_threads_ended_20(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, returns_its_argument, NULL) == 0);
	pthread_join(t, NULL);
	wait_for_tasks(1, "after the only thread was joined");
	CHECK(new_user_namespace());
}

/* A fork child has no agent, whether or not its parent had one. */
static void unshare_in_a_fork_child_20(void)
{
	pthread_t t;
	pid_t pid;

	CHECK(pthread_create(&t, NULL, works_for_ever, NULL) == 0);
	hard_work();
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		hard_work();
		CHECK(tasks() == 1, "%d tasks in the child", tasks());
		CHECK(new_user_namespace());
		hard_work();
		_exit(0);
	}
	reap(pid, "the child");
	_exit(0);
}

/* A program that sandboxes itself finds no thread that it did not make. */
static void agent_ends_before_the_sandbox_20(void)
{
	hard_work();
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	wait_for_tasks(1, "after NO_NEW_PRIVS");
	hard_work();
	CHECK(tasks() == 1, "%d tasks", tasks());
}

static int created, entered;

static void *creates_threads(void *arg)
{
	pthread_t t;

	while (!__atomic_load_n(&entered, __ATOMIC_ACQUIRE)) {
		CHECK(pthread_create(&t, NULL, returns_its_argument, NULL) == 0);
		pthread_join(t, NULL);
		__atomic_fetch_add(&created, 1, __ATOMIC_RELEASE);
	}
	return arg;
}

/* The agent ends for the sandbox while other threads would start it: no thread may hang. */
static void sandbox_while_threads_are_created_20(void)
{
	pthread_t t[2];
	int round, i;
	pid_t pid;

	for (round = 0; round < 20; round++) {
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			for (i = 0; i < 2; i++)
				CHECK(pthread_create(&t[i], NULL, creates_threads, NULL) == 0);
			while (__atomic_load_n(&created, __ATOMIC_ACQUIRE) < 1 + round)
				free(malloc(100));
			CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
			__atomic_store_n(&entered, 1, __ATOMIC_RELEASE);
			for (i = 0; i < 2; i++)
				pthread_join(t[i], NULL);
			wait_for_tasks(1, "after the sandbox was entered");
			_exit(0);
		}
		reap(pid, "a child in its sandbox");
	}
}

/* A signal sent to the process goes to the program's threads alone. */
static void agent_takes_no_signals_20(void)
{
	sigset_t set;
	int i, sig;

	sigemptyset(&set);
	for (i = 1; i < 32; i++)
		if (i != SIGKILL && i != SIGSTOP && i != SIGABRT && i != SIGSEGV)
			sigaddset(&set, i);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	for (i = 0; i < 200; i++) {
		int want = i % 3 == 0 ? SIGTERM : i % 3 == 1 ? SIGUSR1 : SIGALRM;

		CHECK(kill(getpid(), want) == 0);
		CHECK(sigwait(&set, &sig) == 0 && sig == want);
		if (i % 50 == 0)
			exercise_all_tiers(i);
	}
}

/* main has ended, the last thread waits: SIGTERM still ends the process. */
static void *waits(void *arg)
{
	char c = 'r';

	CHECK(write(*(int *)arg, &c, 1) == 1);
	for (;;)
		pause();
	return NULL;
}

static void sigterm_without_main_20(void)
{
	static int fds[2];
	int status;
	pid_t pid;
	char c;

	CHECK(pipe(fds) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		pthread_t t;

		hard_work();
		CHECK(pthread_create(&t, NULL, waits, &fds[1]) == 0);
		pthread_exit(NULL);
	}
	CHECK(read(fds[0], &c, 1) == 1);
	CHECK(kill(pid, SIGTERM) == 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %#x", status);
}

static const struct tcase cases[] = {
	{ "prctl_is_passed_on", prctl_is_passed_on },
	{ "pthread_create_is_passed_on", pthread_create_is_passed_on },
	{ "pthread_create_is_passed_on_agent", pthread_create_is_passed_on, 0, "control.agent=on" },
	{ "single_threaded_has_no_agent_20", single_threaded_has_no_agent_20 },
	{ "setuid_with_threads_20", setuid_with_threads_20 },
	{ "setuid_with_threads_agent_20", setuid_with_threads_20, 0, "control.agent=on" },
	{ "unshare_single_threaded_20", unshare_single_threaded_20 },
	{ "unshare_after_the_threads_ended_20", unshare_after_the_threads_ended_20, 0,
	  "purge.delay_ms=100" },
	{ "unshare_in_a_fork_child_20", unshare_in_a_fork_child_20 },
	{ "agent_ends_before_the_sandbox_20", agent_ends_before_the_sandbox_20, 0,
	  "control.agent=on" },
	{ "sandbox_while_threads_are_created_20", sandbox_while_threads_are_created_20 },
	{ "agent_takes_no_signals_20", agent_takes_no_signals_20, 0, "control.agent=on" },
	{ "sigterm_without_main_20", sigterm_without_main_20 },
	{ "sigterm_without_main_agent_20", sigterm_without_main_20, 0, "control.agent=on" },
};

MAIN(cases)
