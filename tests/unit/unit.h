/* SPDX-License-Identifier: MIT */
/*
 * What the tests of this folder share: numbers that are random and the same each time. A test that
 * compares a module with a naive model of it ends at the first difference (CHECK, not EXPECT): what
 * follows would be noise.
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

/* In a child, for it may die; what it said, or "" if it lived. */
__attribute__((unused)) static const char *said(void (*fn)(void))
{
	static char text[512];
	int fd[2], status;
	size_t n = 0;
	ssize_t r;
	pid_t pid;

	CHECK(!pipe(fd), "pipe");
	pid = fork();
	if (!pid) {
		dup2(fd[1], 2);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	close(fd[1]);
	while ((r = read(fd[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)r;
	text[n] = '\0';
	close(fd[0]);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	EXPECT(WIFEXITED(status) ? !WEXITSTATUS(status) && !n : WTERMSIG(status) == SIGABRT && n,
	       "status %#x, \"%s\"", (unsigned int)status, text);
	return text;
}

/* The function corrupts a structure and calls its check: the assertion with this text fails. */
#if HAK_DEBUG
#define DIES(text, fn) EXPECT(strstr(said(fn), "assertion failed: " text), "%s", said(fn))
#endif

#endif
