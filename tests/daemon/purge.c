// SPDX-License-Identifier: MIT
/*
 * hakmemd/purge.c with a clock and a process of the test's own. A process that gives back little is
 * left alone for twice as long each time, as long as that lasts. There is one request at a time.
 * What a process claims counts up to what it had.
 */
#include <stdlib.h>

#include "hakmemd/purge.c"
#include "tests/check.h"

#define SECOND 1000000000ull

static uint64_t now_ns = 1000 * SECOND;
static unsigned events;
static bool silent; /* the limit on this account's messages is reached */
static uint64_t requests, told_bytes, rss = 100 << 20;
static struct hak_purge_answer answer;
static int answered; /* the result of a look for the answer */

/* -- what purge.c needs of the others ---------------------------------------------------------- */
uint64_t hak_monotonic_ns(void)
{
	return now_ns;
}

int hak_purge_ask(const struct hak_segment *seg, enum hak_purge_level level, uint64_t *ret_id,
		  char why[HAK_WHY_TEXT])
{
	*ret_id = ++requests;
	return 0;
}

int hak_purge_wait(const struct hak_segment *seg, uint64_t id, uint64_t timeout_ns,
		   struct hak_purge_answer *ret)
{
	if (answered == 0)
		*ret = answer;
	return answered;
}

uint64_t hak_segment_rss(const struct hak_segment *seg, bool exact)
{
	return rss;
}

int hak_pageout_some(const struct hak_segment *seg, uint64_t max_bytes, uint64_t *ret)
{
	*ret = 0;
	return 0;
}

void hak_tell_purged(struct hak_process *p, uint64_t bytes, const char *why)
{
	told_bytes = bytes;
}

bool hak_may_tell(uid_t account)
{
	return !silent;
}

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...)
{
	events++;
}

/* Without [Limit] no process is measured. */
int hak_snapshot_take(const struct hak_segment *seg, struct hak_snapshot *ret)
{
	abort();
}

void hak_snapshot_free(struct hak_snapshot *snap)
{
	abort();
}

struct hak_memory hak_memory_of(const struct hak_segment *seg, const struct hak_snapshot *snap)
{
	abort();
}

uint64_t hak_total(const struct hak_segment *seg, const struct hak_snapshot *snap, uint16_t id)
{
	abort();
}

int hak_segment_read(const struct hak_segment *seg, uint64_t offset, void *buf, size_t bytes)
{
	abort();
}

void hak_escape(const char *text, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s", text);
}

void hak_bytes_format(uint64_t bytes, char out[HAK_VALUE_TEXT])
{
	snprintf(out, HAK_VALUE_TEXT, "%" PRIu64, bytes);
}

/* -- the test ---------------------------------------------------------------------------------- */
/*
 * Asks as soon as allowed, looking each second; the process gives back `bytes`. Returns the seconds
 * that this took.
 */
static unsigned purge(struct hak_process *p, uint64_t bytes)
{
	unsigned s = 0;

	while (hak_purge_process(p, HAK_PURGE_DIRTY, "test") == -EAGAIN && s < 100000) {
		now_ns += SECOND;
		s++;
	}
	EXPECT(hak_purge_process(p, HAK_PURGE_DIRTY, "test") == -EBUSY, "one at a time");
	answered = -ETIMEDOUT;
	hak_purge_look(p);
	EXPECT(p->purge_id, "it is waited for");
	answered = 0;
	answer = (struct hak_purge_answer){ .bytes = bytes };
	hak_purge_look(p);
	EXPECT(!p->purge_id, "it answered");
	return s;
}

static void backs_off(void)
{
	struct hak_manager m = { .processes = NULL };
	struct hak_process p = { .manager = &m,
				 .cached_bytes = 64 << 20,
				 .effect = { .cooldown_us = 3000000, .cached_max = UINT64_MAX } };
	unsigned want = 6, s;

	s = purge(&p, 0);
	EXPECT(s == 0, "the first one waits for %u s", s);
	for (unsigned i = 1; i <= BACKOFF_MAX; i++) {
		s = purge(&p, LITTLE_BYTES - 1);
		EXPECT(s == want, "after %u with little: %u s, not %u", i, s, want);
		want *= 2;
	}
	s = purge(&p, 32 << 20);
	EXPECT(s == want / 2, "not ever longer: %u s, not %u", s, want / 2);
	EXPECT(told_bytes == 32 << 20, "%" PRIu64 " bytes told", told_bytes);
	s = purge(&p, 0);
	EXPECT(s == 3, "after one with much: %u s", s);
	s = purge(&p, 1ull << 60);
	EXPECT(s == 6, "after one with little: %u s", s);
	EXPECT(told_bytes == rss, "it claims more than it had: %" PRIu64, told_bytes);

	/* A small process: little memory is much for it. */
	p.cached_bytes = 160 << 10;
	purge(&p, 100 << 10);
	s = purge(&p, 1 << 10);
	EXPECT(s == 3, "after most of what a small one had: %u s", s);
	s = purge(&p, 0);
	EXPECT(s == 6, "after a hundredth of it: %u s", s);

	/* Its answer cannot be read, which counts as an answer of nothing. */
	hak_purge_process(&p, HAK_PURGE_DIRTY, "test");
	EXPECT(p.purge_id == 0, "it is left alone");
	now_ns += 1000 * SECOND;
	EXPECT(hak_purge_process(&p, HAK_PURGE_DIRTY, "test") == 0, "then not");
	answered = -EBADMSG;
	told_bytes = 1;
	hak_purge_look(&p);
	EXPECT(!p.purge_id && told_bytes == 0, "that was nothing");

	events = 0;
	purge(&p, 32 << 20);
	silent = true;
	purge(&p, 32 << 20);
	EXPECT(events == 1, "%u entries of two purges when enough was said after one", events);
}

static const struct tcase cases[] = {
	{ "backs_off", backs_off },
};

CASES(cases)
