/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of this folder: random numbers that are the same in each run. A test that
 * compares a module with a naive model of the module ends at the first difference (CHECK, not
 * EXPECT), because later differences would only follow from it.
 */
#ifndef HAK_TEST_UNIT_H
#define HAK_TEST_UNIT_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/check.h"

/* xorshift64* */
static inline uint64_t random_word(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717u;
}

static inline unsigned int random_below(unsigned int n)
{
	return (unsigned int)((random_word() >> 32) % n);
}

/*
 * Runs in a child, because the statement may die. said() reads the output, and returns "" if the
 * child lived. Returns false in the child.
 */
static struct {
	int fd;
	pid_t pid;
} speaker;

__attribute__((unused)) static bool speaks(void)
{
	int fd[2];

	CHECK(!pipe(fd), "pipe");
	speaker.pid = fork();
	CHECK(speaker.pid >= 0, "fork");
	if (!speaker.pid) {
		dup2(fd[1], 2);
		signal(SIGABRT, SIG_DFL);
		return false;
	}
	close(fd[1]);
	speaker.fd = fd[0];
	return true;
}

__attribute__((unused)) static const char *said(void)
{
	static char text[512];
	size_t n = 0;
	int status;
	ssize_t r;

	while ((r = read(speaker.fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)r;
	text[n] = '\0';
	close(speaker.fd);
	CHECK(waitpid(speaker.pid, &status, 0) == speaker.pid, "wait");
	EXPECT(WIFEXITED(status) ? !WEXITSTATUS(status) && !n : WTERMSIG(status) == SIGABRT && n,
	       "status %#x, \"%s\"", (unsigned int)status, text);
	return text;
}

/* In debug builds a check must find what a statement corrupts, by the assertion with this text. */
#define FINDS(text, check, ...)                                                            \
	do {                                                                               \
		const char *line;                                                          \
                                                                                           \
		if (!speaks()) {                                                           \
			__VA_ARGS__;                                                       \
			check;                                                             \
			_exit(0);                                                          \
		}                                                                          \
		line = said();                                                             \
		EXPECT(strstr(line, "assertion failed: " text), "%s: \"%s\"", text, line); \
	} while (0)

#endif
