/* SPDX-License-Identifier: MIT */
/*
 * Assertions and named cases, shared by all C and C++ tests.
 *
 * 	CHECK(cond)		     ends the case if the condition is false
 * 	CHECK(cond, format, ...)     does the same and prints more
 * 	EXPECT(cond), EXPECT(cond, format, ...)
 * 				     lets the case go on, and fail at its end
 * 	SKIP(format, ...)	     ends the case, which has neither passed nor failed
 *
 * A test is a table of cases. Each case runs in a process of its own, which starts as a copy of
 * main() before the first case, so a crash, a hang or a changed state never reaches another case.
 * CHECK and SKIP end the process that calls them, in any thread or child; a case checks the exit
 * status of its children itself.
 *
 * The output is TAP. The exit status is 0, 1 if a case failed, 77 if all were skipped. `PROGRAM
 * --list` prints the names of the cases, `PROGRAM NAME...` runs these cases only.
 *
 * Assertions print with write(2) through a descriptor of their own and do not allocate, because
 * cases close stdio, exhaust memory and enter sandboxes.
 */
#ifndef HAK_TEST_CHECK_H
#define HAK_TEST_CHECK_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CASE_SECS = 30, CASE_SKIP = 77 };

struct tcase {
	const char *name; /* ends in the hazard's number if it has one */
	void (*fn)(void);
	unsigned int secs; /* until the case counts as hung; 0 means CASE_SECS */
	/* For programs with tests/preload/harness.h. */
	const char *hakmem;
	void (*prep)(void);
};

static int log_fd = 1;
static const char *case_name = "main";
static int expectations_failed;

__attribute__((format(printf, 1, 2), unused)) static void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	if (write(log_fd, line, n) < 0)
		return; /* the exit status still tells the result */
}

/* The format begins with ": "; an assertion without a text has nothing more. */
__attribute__((format(printf, 4, 0), unused)) static void
vfailed_at(const char *file, int line, const char *cond, const char *fmt, va_list ap)
{
	char why[512];

	vsnprintf(why, sizeof(why), fmt, ap);
	say("# %s: %s:%d: failed: %s%s\n", case_name, file, line, cond, why[2] ? why : "");
	__atomic_add_fetch(&expectations_failed, 1, __ATOMIC_RELAXED);
}

__attribute__((format(printf, 4, 5), unused)) static void
failed_at(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfailed_at(file, line, cond, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 4, 5), unused, noreturn)) static void
fail_at(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfailed_at(file, line, cond, fmt, ap);
	va_end(ap);
	_exit(1);
}

#define EXPECT(cond, ...) \
	((cond) ? (void)0 : failed_at(__FILE__, __LINE__, #cond, ": " __VA_ARGS__))
#define CHECK(cond, ...) ((cond) ? (void)0 : fail_at(__FILE__, __LINE__, #cond, ": " __VA_ARGS__))
#define SKIP(fmt, ...)                                                  \
	do {                                                            \
		say("# %s: skip: " fmt "\n", case_name, ##__VA_ARGS__); \
		_exit(CASE_SKIP);                                       \
	} while (0)

/* Called before the first case, none of which is run. For the return value of main(). */
__attribute__((unused)) static int skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	return CASE_SKIP;
}

/* Runs in the case's own process. A sanitizer looks for leaks of the case at exit. */
__attribute__((unused, noreturn)) static void case_run(const struct tcase *t)
{
	case_name = t->name;
	t->fn();
	exit(expectations_failed != 0);
}

/* Returns the status of a case, or -1 if it hangs. */
static int case_wait(pid_t pid, unsigned int secs)
{
	const char *factor = getenv("HAK_WATCHDOG_FACTOR");
	struct pollfd ended = { (int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0 };
	int status = -1, r;

	if (factor && atoi(factor) > 0)
		secs *= (unsigned int)atoi(factor);
	do
		r = poll(&ended, 1, ended.fd < 0 ? 0 : (int)secs * 1000);
	while (r < 0 && errno == EINTR);
	if (ended.fd < 0) {
		/* Without a pidfd the test runs without a watchdog. */
		if (waitpid(pid, &status, 0) != pid)
			status = -1;
	} else {
		close(ended.fd);
		if (r == 0)
			kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid || r == 0)
			status = -1;
	}
	kill(-pid, SIGKILL);
	return status;
}

static int case_report(size_t number, const struct tcase *t, pid_t (*start)(const struct tcase *))
{
	unsigned int secs = t->secs ? t->secs : (unsigned int)CASE_SECS;
	const char *slow = getenv("HAK_SLOW");
	int status;

	if (slow && *slow && strcmp(slow, "0") != 0)
		secs *= 20;
	fflush(stdout);
	status = case_wait(start(t), secs);
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		say("ok %zu - %s\n", number, t->name);
		return 0;
	}
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == CASE_SKIP) {
		say("ok %zu - %s # SKIP\n", number, t->name);
		return CASE_SKIP;
	}
	if (status == -1)
		say("not ok %zu - %s: hung for %u s\n", number, t->name, secs);
	else if (WIFSIGNALED(status))
		say("not ok %zu - %s: killed by signal %d\n", number, t->name, WTERMSIG(status));
	else
		say("not ok %zu - %s: exit status %d\n", number, t->name, WEXITSTATUS(status));
	return 1;
}

static int case_named(const struct tcase *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], t->name) == 0)
			return 1;
	return argc <= 1;
}

/* Runs the cases that the arguments name, or all; start() makes the process of one. */
static int cases_run(int argc, char **argv, const struct tcase *t, size_t n,
		     pid_t (*start)(const struct tcase *))
{
	size_t chosen = 0, run = 0, failed = 0, skipped = 0;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < n; i++)
			say("%s\n", t[i].name);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		chosen += (size_t)case_named(&t[i], argc, argv);
	if (!chosen) {
		say("# no such case; there are:\n");
		for (size_t i = 0; i < n; i++)
			say("#   %s\n", t[i].name);
		return 1;
	}
	say("1..%zu\n", chosen);
	for (size_t i = 0; i < n; i++) {
		int r;

		if (!case_named(&t[i], argc, argv))
			continue;
		r = case_report(++run, &t[i], start);
		failed += r == 1;
		skipped += r == CASE_SKIP;
	}
	say("# %zu run, %zu failed, %zu skipped\n", run, failed, skipped);
	return failed ? 1 : skipped == run ? CASE_SKIP : 0;
}

__attribute__((unused)) static pid_t case_fork(const struct tcase *t)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	case_run(t);
}

/* For main(): work that a program does before RUN is done once, and each case has its result. */
#define RUN(argc, argv, cases) \
	cases_run(argc, argv, cases, sizeof(cases) / sizeof((cases)[0]), case_fork)
#define CASES(cases)                           \
	int main(int argc, char **argv)        \
	{                                      \
		return RUN(argc, argv, cases); \
	}

#endif
