/* SPDX-License-Identifier: MIT */
/*
 * What the tests of processes under limits share.
 */
#ifndef HAK_TEST_LIMITS_H
#define HAK_TEST_LIMITS_H

#include "harness.h"

/* In prep() of a case, or in the middle of its life. */
static inline void limit(int what, rlim_t value)
{
	struct rlimit r = { value, value };

	if (setrlimit(what, &r) != 0)
		_exit(CASE_SKIP);
}

/* Allocates blocks of n until refused; returns the sum. */
static inline size_t until_refused(size_t n)
{
	void **last = NULL, **p;
	size_t sum = 0;

	errno = 0;
	while (sum < 8 * GIB && (p = malloc(n)) != NULL) {
		*p = last;
		last = p;
		sum += n;
	}
	CHECK(errno == ENOMEM, "errno %d after %zu bytes in %zus", errno, sum, n);
	errno = 4242;
	while (last) {
		p = *last;
		free(last);
		last = p;
	}
	CHECK(errno == 4242, "free changed errno to %d", errno);
	return sum;
}

static inline uint64_t counter(const char *name)
{
	int (*get)(const char *, uint64_t *) =
		(int (*)(const char *, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_counter");
	uint64_t n;

	if (get(name, &n) != 0)
		SKIP("no counter %s in this build", name);
	return n;
}

#endif
