// SPDX-License-Identifier: MIT
/*
 * Signal handlers that allocate, where they interrupt malloc or follow a fault (hazard 18). POSIX
 * allows no such handler, but programs have them. The process may die with a line, but must end.
 */
#include "harness.h"

#include <sys/ptrace.h>
#include <sys/time.h>

/* -- by a timer ------------------------------------------------------------- */

static volatile sig_atomic_t signals_taken;

static void interrupting_handler(int sig)
{
	static const size_t sizes[] = { 24, 700, 20000, 100000, 2097152 };
	void *p[5];
	int i;

	(void)sig;
	for (i = 0; i < 5; i++)
		p[i] = malloc(sizes[i]);
	for (i = 0; i < 5; i++)
		free(p[i]);
	signals_taken++;
}

static void churn_while_interrupted(void *arg)
{
	struct itimerval every = { { 0, 300 }, { 0, 300 } };
	struct timespec t0;
	void *p[64] = { NULL };
	uint64_t s = 18;

	(void)arg;
	signal(SIGALRM, interrupting_handler);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	setitimer(ITIMER_REAL, &every, NULL);
	while (signals_taken < 3000 && elapsed_ms(&t0) < 3000) {
		size_t i = rnd(&s) % 64;

		free(p[i]);
		p[i] = malloc(1 + rnd(&s) % (i < 60 ? 3000 : 2000000));
	}
	_exit(0);
}

static void allocating_signal_handler_18(void)
{
	struct outcome o;

	run_captured(churn_while_interrupted, NULL, &o);
	say("# %s: status %#x, %zu bytes on stderr\n", case_name, o.status, o.len);
	if (WIFEXITED(o.status))
		return;
	CHECK(WIFSIGNALED(o.status), "status %#x", o.status);
	if (WTERMSIG(o.status) == SIGABRT)
		CHECK(o.len > 0 && o.err[o.len - 1] == '\n', "aborted in silence");
}

/* A crash handler that allocates after the fault, as is common. */
static void crash_handler(int sig)
{
	free(malloc(100));
	free(malloc(3 * MIB));
	_exit(sig == SIGSEGV ? 42 : 1);
}

static void crash_then_allocate(void *arg)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGSEGV, crash_handler);
	*(volatile int *)launder(arg) = 1;
}

static void crash_handler_allocates_18(void)
{
	struct outcome o;

	run_captured(crash_then_allocate, NULL, &o);
	CHECK(WIFEXITED(o.status) && WEXITSTATUS(o.status) == 42, "status %#x", o.status);
}

/* abort() inside malloc: the library's own abort path must not wait for a held lock. */
static void abort_handler(int sig)
{
	(void)sig;
	free(malloc(100));
	free(malloc(2 * MIB));
	_exit(43);
}

static void wrong_free_with_handler(void *arg)
{
	static char block[64];

	(void)arg;
	signal(SIGABRT, abort_handler);
	free(launder(block));
	malloc_trim(0);
	_exit(44);
}

static void abort_handler_allocates_18(void)
{
	struct outcome o;

	need_hakmem();
	run_captured(wrong_free_with_handler, NULL, &o);
	CHECK(WIFEXITED(o.status) && WEXITSTATUS(o.status) == 43, "status %#x: %s", o.status,
	      o.err);
}

/* -- at every instruction, by ptrace ---------------------------------------- */

static void one_step_op(size_t op)
{
	static const size_t sizes[] = { 40, 40, 3000, 100000, 2097152, 6000000 };
	static void *kept[16];
	size_t i;

	if (op == 1) { /* includes a refill and a flush */
		for (i = 0; i < 16; i++)
			kept[i] = malloc(20000);
		for (i = 0; i < 16; i++)
			free(kept[i]);
		return;
	}
	free(launder(malloc(sizes[op])));
}

static void stepped_child(size_t op)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGUSR1, interrupting_handler);
	one_step_op(op);
	CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
	raise(SIGSTOP);
	one_step_op(op);
	raise(SIGSTOP);
	_exit(0);
}

/*
 * Steps `steps` instructions into the operation and sends the signal there. Returns 0 when the
 * operation ended before.
 */
static int signal_after(size_t op, size_t steps)
{
	int status = 0;
	size_t i;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		stepped_child(op);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status))
		SKIP("ptrace is not allowed here");
	for (i = 0; i < steps; i++) {
		CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			break;
	}
	if (i == steps)
		CHECK(ptrace(PTRACE_DETACH, pid, 0, SIGUSR1) == 0);
	else
		kill(pid, SIGKILL);
	/* The child stops itself once more, outside ptrace, unless it aborted. */
	for (;;) {
		CHECK(waitpid(pid, &status, WUNTRACED) == pid);
		if (!WIFSTOPPED(status))
			break;
		kill(pid, SIGCONT);
	}
	if (i < steps)
		return 0;
	return 1; /* in any way: POSIX demands only that it ends */
}

/* The watchdog sees a hang: each signal is answered or fatal. */
static void signal_at_each_instruction_18(void)
{
	size_t op, steps, tried = 0;

	close(2);
	open("/dev/null", O_WRONLY);
	for (op = 0; op < 6; op++)
		for (steps = 1; signal_after(op, steps); steps += 1 + steps / (slow() ? 4000 : 10))
			tried++;
	say("# %s: %zu places\n", case_name, tried);
	CHECK(tried > 100);
}

static const struct tcase cases[] = {
	{ "allocating_signal_handler_18", allocating_signal_handler_18 },
	{ "signal_at_each_instruction_18", signal_at_each_instruction_18, 240 },
	{ "crash_handler_allocates_18", crash_handler_allocates_18 },
	{ "abort_handler_allocates_18", abort_handler_allocates_18 },
};

MAIN(cases)
