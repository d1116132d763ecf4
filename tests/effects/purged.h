/* SPDX-License-Identifier: MIT */
/*
 * A subject that purges itself, and the comparison of its answer with the kernel's account.
 */
#ifndef HAK_TEST_PURGED_H
#define HAK_TEST_PURGED_H

#include "effects.h"

enum { SLACK_KIB = 64 };

static struct remote r;

/* What a thread of the subject does. */
struct call {
	job fn;
	long a, b;
};

/*
 * Calls hakmem_purge() in the subject; returns the bytes that it reports. Touches no memory after
 * it.
 */
static long purge_self(long level, long b)
{
	int (*fn)(int, uint64_t *) = HAKMEM(hakmem_purge, int (*)(int, uint64_t *));
	uint64_t bytes = 0;

	(void)b;
	return fn((int)level, &bytes) ? -1 : (long)bytes;
}

/* Makes the subject purge itself; checks the answer against the fall of Anonymous. */
static long check_purge(int level)
{
	long rss = smaps_kib(&r, "Anonymous"), dirty = smaps_kib(&r, "Private_Dirty"), said;

	said = ask(&r, purge_self, level, 0) / 1024;
	rss -= smaps_kib(&r, "Anonymous");
	dirty -= smaps_kib(&r, "Private_Dirty");
	CHECK(labs(rss - said) <= SLACK_KIB, "said %ld KiB, Anonymous fell by %ld", said, rss);
	CHECK(labs(dirty - said) <= SLACK_KIB, "said %ld KiB, Private_Dirty fell by %ld", said,
	      dirty);
	return said;
}

static void begin(const char *hakmem)
{
	start(&r, hakmem);
	/* The subject's own code is in memory from here on. */
	nudge(&r);
	ask(&r, purge_self, HAK_PURGE_ALL, 0);
}

#endif
