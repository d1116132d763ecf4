// SPDX-License-Identifier: MIT
/*
 * hakmemd/purge.c with a clock and a process of the test's own. A process that gives back little is
 * left alone for twice as long each time, as long as that lasts. There is one request at a time.
 * What a process claims counts up to what it had.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "hakmemd/entry.c"
#include "hakmemd/purge.c"
#include "hakmemd/unmet.c"
#include "tests/check.h"

#define SECOND 1000000000ull

static uint64_t now_ns = 1000 * SECOND;
static unsigned events;
static bool silent; /* the limit on this account's messages is reached */
static uint64_t requests, told_bytes, rss = 100 << 20;
static struct hak_purge_answer answer;
static int answered; /* the result of a look for the answer */
static int refused;  /* the result of a request */
static uint64_t cached, paged_out, agent_error;
static unsigned measured;
static const char *last_id; /* of the last entry in the journal */
static char last_text[512], last_fields[1024];

/* -- what purge.c needs of the others ---------------------------------------------------------- */
uint64_t hak_monotonic_ns(void)
{
	return now_ns;
}

int hak_purge_ask(const struct hak_segment *seg, enum hak_purge_level level, uint64_t *ret_id,
		  char why[HAK_WHY_TEXT])
{
	*ret_id = ++requests;
	return refused;
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
	*ret = paged_out;
	cached -= paged_out;
	return 0;
}

/* What can be resident of the memory that the process has in its address space. */
uint64_t hak_resident_cached(const struct hak_segment *seg, const struct hak_memory *m)
{
	EXPECT(m->lazy == 1ull << 40, "%" PRIu64 " bytes are lazily freed", m->lazy);
	return cached;
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
	va_list args;

	events++;
	last_id = message_id;
	va_start(args, format);
	vsnprintf(last_text, sizeof(last_text), format, args);
	va_end(args);
	last_fields[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (fields[i].value)
			snprintf(last_fields + strlen(last_fields),
				 sizeof(last_fields) - strlen(last_fields), "%s=%s\n",
				 fields[i].name, fields[i].value);
}

int hak_snapshot_take(const struct hak_segment *seg, struct hak_snapshot *ret)
{
	measured++;
	return 0;
}

void hak_snapshot_free(struct hak_snapshot *snap)
{
}

struct hak_memory hak_memory_of(const struct hak_segment *seg, const struct hak_snapshot *snap)
{
	return (struct hak_memory){ .lazy = 1ull << 40 };
}

uint64_t hak_total(const struct hak_segment *seg, const struct hak_snapshot *snap, uint16_t id)
{
	return 0;
}

/* No digest: each look takes a snapshot. */
int hak_segment_read(const struct hak_segment *seg, uint64_t offset, void *buf, size_t bytes)
{
	return -EIO;
}

int hak_counter_read(const struct hak_segment *seg, uint16_t id, uint64_t *ret)
{
	*ret = agent_error;
	return 0;
}

bool hak_agent_waits(const struct hak_segment *seg)
{
	return false;
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

/* -- what is not done -------------------------------------------------------------------------- */
/* Looks each second until the process is asked, and once more after its answer. */
static void limit_purge(struct hak_process *p, uint64_t bytes, unsigned held, uint64_t left)
{
	uint64_t before = requests;

	while (requests == before) {
		now_ns += SECOND;
		hak_purge_look(p);
	}
	answered = 0;
	answer = (struct hak_purge_answer){ .bytes = bytes, .level = held << 8 | HAK_PURGE_DIRTY };
	cached = left;
	hak_purge_look(p);
	EXPECT(!p->purge_id, "it answered");
	now_ns += SECOND;
	hak_purge_look(p);
}

/* Whether the last entry has this ID, this end of its text, and this field. */
static void last_is(const char *id, const char *text, const char *field)
{
	size_t n = strlen(last_text), m = strlen(text);

	EXPECT(last_id && strcmp(last_id, id) == 0, "another entry: %s", last_text);
	EXPECT(n >= m && strcmp(last_text + n - m, text) == 0, "it says: %s", last_text);
	EXPECT(strstr(last_fields, field), "no %s in %s", field, last_fields);
}

static char web_name[] = "web";
static struct hak_policy web = { .name = web_name };

static void limits(void)
{
	struct hak_manager m = { .look = 1 };
	struct hak_segment seg = { .pid = 1 };
	struct hak_process p = { .manager = &m,
				 .seg = &seg,
				 .effect = { .first = &web,
					     .of = { [HAK_SET_CACHED_MAX] = &web },
					     .cooldown_us = 10000000,
					     .cached_max = 8 << 20 } };

	silent = false;
	rss = 100 << 20;
	events = 0;
	cached = 43 << 20;
	limit_purge(&p, 40 << 20, 0, 3 << 20);
	EXPECT(events == 1 && !p.unmet.limit, "%u entries for a limit that is met", events);

	cached = 43 << 20;
	limit_purge(&p, 2 << 20, 3, 41 << 20);
	EXPECT(p.unmet.limit, "it is not met: 3 threads");
	last_is(HAK_MESSAGE_LIMIT, "3 threads keep their caches until their next call",
		"HAKMEM_BYTES=42991616\n");
	last_is(HAK_MESSAGE_LIMIT, "", "HAKMEM_LIMIT=8388608\n");
	last_is(HAK_MESSAGE_LIMIT, "", "HAKMEM_RULE=web\n");
	events = 0;
	limit_purge(&p, 0, 0, 41 << 20);
	EXPECT(events == 0 && p.unmet.limit, "%u entries more of it", events);
	limit_purge(&p, 38 << 20, 0, 3 << 20);
	EXPECT(!p.unmet.limit, "it is met");

	cached = 43 << 20;
	limit_purge(&p, 1 << 20, 0, 42 << 20);
	last_is(HAK_MESSAGE_LIMIT, "no more can be given back", "HAKMEM_WHY=no more");
	limit_purge(&p, 40 << 20, 0, 2 << 20);
	cached = 43 << 20;
	limit_purge(&p, 40 << 20, 0, 43 << 20);
	last_is(HAK_MESSAGE_LIMIT, "the process keeps as much again", "HAKMEM_RULE=web\n");

	/* The limit goes while it is not met. */
	EXPECT(p.unmet.limit, "not met");
	purge(&p, 0);
	p.effect.cached_max = UINT64_MAX;
	hak_purge_look(&p);
	EXPECT(!p.unmet.limit, "a limit that is gone stands unmet");
}

static void cannot_be_asked(void)
{
	struct hak_manager m = { .look = 1 };
	struct hak_segment seg = { .pid = 1 };
	struct hak_process p = { .manager = &m, .seg = &seg, .effect = { .cached_max = 8 << 20 } };

	cached = 43 << 20;
	refused = -EACCES;
	hak_purge_look(&p);
	refused = 0;
	EXPECT(p.unmet.limit, "a process that cannot be asked meets its limit");
	last_is(HAK_MESSAGE_LIMIT, "cannot be asked: Permission denied", "HAKMEM_BYTES=45088768\n");
}

static void no_answer(void)
{
	struct hak_manager m = { .look = 1 };
	struct hak_segment seg = { .pid = 1 };
	struct hak_process p = { .manager = &m,
				 .seg = &seg,
				 .effect = { .first = &web, .cached_max = 8 << 20 } };

	cached = 43 << 20;
	hak_purge_look(&p);
	answered = -ETIMEDOUT;
	now_ns += LATE_NS;
	events = 0;
	hak_purge_look(&p);
	EXPECT(events == 0 && !p.unmet.answer && !p.unmet.limit, "called late too soon");
	now_ns += SECOND;
	hak_purge_look(&p);
	EXPECT(events == 2 && p.unmet.answer && p.unmet.limit, "%u entries of no answer", events);
	last_is(HAK_MESSAGE_LIMIT, "the process does not answer", "HAKMEM_LIMIT=8388608\n");
	for (unsigned i = 0; i < 3 * LATE_LOOKS; i++, m.look++)
		hak_purge_look(&p);
	EXPECT(events == 2, "%u entries of one purge", events);
	answered = 0;
	answer = (struct hak_purge_answer){ .bytes = 40 << 20 };
	cached = 3 << 20;
	for (unsigned i = 0; i <= LATE_LOOKS; i++, m.look++)
		hak_purge_look(&p);
	EXPECT(!p.unmet.answer && !p.unmet.limit, "it answered late");

	/* A purge for which no limit is missed. */
	EXPECT(p.purge_id == 0, "answered");
	now_ns += 100 * SECOND;
	hak_purge_process(&p, HAK_PURGE_DIRTY, "pressure");
	answered = -ETIMEDOUT;
	now_ns += LATE_NS + SECOND;
	hak_purge_look(&p);
	EXPECT(p.unmet.answer && !p.unmet.limit, "no answer");
	last_is(HAK_MESSAGE_UNANSWERED,
		"a purge (pressure) is not answered: the process sleeps and "
		"has no agent",
		"HAKMEM_AGENT=no\n");
}

/* What is paged out of a process that does not answer no longer counts for the limit. */
static void paged_out_without_an_answer(void)
{
	struct hak_manager m = { .look = 1, .can_page_out = true };
	struct hak_segment seg = { .pid = 1 };
	struct hak_process p = { .manager = &m,
				 .seg = &seg,
				 .effect = { .first = &web, .cached_max = 8 << 20 } };

	cached = 43 << 20;
	hak_purge_look(&p);
	answered = -ETIMEDOUT;
	now_ns += LATE_NS + SECOND;
	paged_out = 30 << 20;
	hak_purge_look(&p);
	EXPECT(p.unmet.answer && p.unmet.limit, "13 MiB are left");
	last_is(HAK_MESSAGE_LIMIT, "the process does not answer", "HAKMEM_BYTES=13631488\n");

	p = (struct hak_process){ .manager = &m, .seg = &seg, .effect = { .cached_max = 8 << 20 } };
	cached = 43 << 20;
	hak_purge_look(&p);
	now_ns += LATE_NS + SECOND;
	paged_out = 40 << 20;
	hak_purge_look(&p);
	EXPECT(p.unmet.answer && !p.unmet.limit, "3 MiB are left");
	paged_out = 0;
}

static void agent(void)
{
	struct hak_manager m = { .look = 0 };
	struct hak_segment seg = { .pid = 1 };
	struct hak_process p = { .manager = &m,
				 .seg = &seg,
				 .effect = { .cached_max = UINT64_MAX } };

	events = 0;
	agent_error = EAGAIN;
	for (; m.look < 3 * AGENT_LOOKS; m.look++)
		hak_purge_look(&p);
	EXPECT(events == 1 && p.unmet.agent_error == EAGAIN, "%u entries of one error", events);
	last_is(HAK_MESSAGE_NO_AGENT, "could not be started: Resource temporarily unavailable",
		"ERRNO=11\n");
	agent_error = 0;
	for (; m.look < 5 * AGENT_LOOKS; m.look++)
		hak_purge_look(&p);
	EXPECT(events == 1 && p.unmet.agent_error == 0, "it runs");
	agent_error = UINT64_MAX;
	for (; m.look < 7 * AGENT_LOOKS; m.look++)
		hak_purge_look(&p);
	last_is(HAK_MESSAGE_NO_AGENT, ": unknown error", "ERRNO=18446744073709551615\n");
	silent = true;
	agent_error = ENOMEM;
	events = 0;
	for (; m.look < 9 * AGENT_LOOKS; m.look++)
		hak_purge_look(&p);
	EXPECT(events == 0, "%u entries when enough was said", events);
	silent = false;
	agent_error = 0;
}

static const struct tcase cases[] = {
	{ "backs_off", backs_off },
	{ "limits", limits },
	{ "cannot_be_asked", cannot_be_asked },
	{ "no_answer", no_answer },
	{ "paged_out_without_an_answer", paged_out_without_an_answer },
	{ "agent", agent },
};

CASES(cases)
