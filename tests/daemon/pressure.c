// SPDX-License-Identifier: MIT
/*
 * hakmemd/pressure.c with a clock, processes and a kernel of the test's own: which processes a
 * trigger asks, that it pauses afterwards, for twice as long each time that little was given back,
 * and not for ever.
 */

#include "hakmemd/pressure.c"
#include "tests/check.h"

#define SECOND 1000000000ull

static uint64_t now_ns = 1000 * SECOND;
static struct hak_process *asked[64];
static unsigned asked_n;
static enum hak_purge_level asked_level;
static unsigned events;
static bool silent; /* the limit on this account's messages is reached */

/* -- what pressure.c needs of the others ------------------------------------------------------- */
uint64_t hak_monotonic_ns(void)
{
	return now_ns;
}

void hak_purge_measure(struct hak_process *p, uint64_t age_us)
{
	p->measured_ns = now_ns;
}

int hak_purge_process(struct hak_process *p, enum hak_purge_level level, const char *why)
{
	if (p->purge_id)
		return -EBUSY;
	asked_level = level;
	asked[asked_n++] = p;
	return 0;
}

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...)
{
	events++;
}

bool hak_may_tell(uid_t account)
{
	return !silent;
}

void hak_log(int level, const char *format, ...)
{
}

void hak_escape(const char *text, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s", text);
}

char *hak_cgroup_mount(void)
{
	return NULL;
}

/* Time enough for all. */
#define PLENTY                                                                                \
	{                                                                                     \
		.pass_ns = INT64_MAX / 4, .user_ns = INT64_MAX / 4, .piece_ns = INT64_MAX / 4 \
	}

/* -- the test ---------------------------------------------------------------------------------- */
static struct hak_process *add(struct hak_manager *m, const char *cgroup, uint64_t cached,
			       uint64_t idle_ns)
{
	struct hak_process *p = calloc(1, sizeof(*p));

	if (!p)
		exit(1);
	p->manager = m;
	p->cached_bytes = cached;
	p->active_ns = now_ns - idle_ns;
	snprintf(p->id.cgroup, sizeof(p->id.cgroup), "%s", cgroup);
	p->next = m->processes;
	m->processes = p;
	m->processes_n++;
	return p;
}

static unsigned fire(struct trigger *t)
{
	asked_n = 0;
	act(t);
	return asked_n;
}

static void test_order(void)
{
	struct hak_pressure pressure = { .shares = PLENTY };
	struct hak_manager m = { .pressure = &pressure };
	struct trigger host = {
		.manager = &m, .cgroup = (char[]){ "" }, .fd = -1, .action = HAK_PURGE_ALL
	};
	struct trigger unit = { .manager = &m,
				.cgroup = (char[]){ "/a.slice/b.service" },
				.fd = -1,
				.action = HAK_PURGE_DIRTY };
	struct hak_process *busy = add(&m, "/a.slice/b.service", 90 << 20, 0);
	struct hak_process *idle = add(&m, "/a.slice/b.service/sub", 2 << 20, 10 * SECOND);
	struct hak_process *more = add(&m, "/a.slice/b.service2", 8 << 20, 10 * SECOND);
	struct hak_process *small = add(&m, "/a.slice/b.service", 64 << 10, 10 * SECOND);

	EXPECT(fire(&host) == 3 && asked[0] == more && asked[1] == idle && asked[2] == busy,
	       "idle ones first, then those with most: %u", asked_n);
	EXPECT(asked_level == HAK_PURGE_ALL, "level %d", (int)asked_level);
	now_ns += SECOND;
	EXPECT(fire(&unit) == 2 && asked[0] == idle && asked[1] == busy,
	       "those of the unit alone: %u", asked_n);
	idle->purge_id = 1;
	now_ns += SECOND;
	EXPECT(fire(&unit) == 1 && asked[0] == busy, "one has a request already: %u", asked_n);
	EXPECT(small->cached_bytes < WORTH_BYTES, "the small one is never asked");
	for (unsigned i = 0; i < 50; i++)
		add(&m, "/", 4 << 20, 10 * SECOND);
	now_ns += SECOND;
	EXPECT(fire(&host) == ASK_MAX, "%u of 50 are asked", asked_n);
}

/* Returns how long the trigger pauses: it fires each second until it acts again. */
static unsigned pause_of(struct trigger *t)
{
	for (unsigned s = 1; s < 100000; s++) {
		now_ns += SECOND;
		if (fire(t))
			return s;
	}
	return 0;
}

static void test_backoff(void)
{
	struct hak_pressure pressure = { .shares = PLENTY };
	struct hak_manager m = { .pressure = &pressure };
	struct trigger t = {
		.manager = &m, .cgroup = (char[]){ "" }, .fd = -1, .cooldown_us = 10000000
	};
	unsigned want = 10, s;

	add(&m, "/", 4 << 20, 10 * SECOND);
	EXPECT(fire(&t) == 1, "it acts at once");
	EXPECT(fire(&t) == 0, "and is deaf then");
	for (unsigned i = 0; i <= BACKOFF_MAX; i++) {
		s = pause_of(&t);
		EXPECT(s == want, "after %u rounds with little: %u s, not %u", i, s, want);
		want *= 2;
	}
	EXPECT(pause_of(&t) == want / 2, "not ever longer");
	m.returned_bytes += 64 << 20;
	EXPECT(pause_of(&t) == want / 2, "it was deaf already");
	s = pause_of(&t);
	EXPECT(s == 10, "after a round with much: %u s", s);
	s = pause_of(&t);
	EXPECT(s == 20, "after one with little: %u s", s);

	/* A trigger without a process to ask does not pause longer. */
	m.processes->purge_id = 1;
	for (unsigned i = 0; i < 3; i++) {
		now_ns += 1000 * SECOND;
		EXPECT(fire(&t) == 0, "nobody can be asked");
	}
	m.processes->purge_id = 0;
	now_ns += 10 * SECOND;
	EXPECT(fire(&t) == 1, "now somebody can");
}

/* A user's control groups may not fill the journal; the machine's own is always reported. */
static void test_journal(void)
{
	struct hak_pressure pressure = { .shares = PLENTY };
	struct hak_manager m = { .pressure = &pressure };
	struct trigger t = { .manager = &m, .cgroup = (char[]){ "/a" }, .fd = -1, .account = 1000 };

	add(&m, "/a", 4 << 20, 10 * SECOND);
	events = 0;
	fire(&t);
	EXPECT(events == 1, "%u entries", events);
	silent = true;
	now_ns += 1000 * SECOND;
	EXPECT(fire(&t) == 1 && events == 1, "%u entries when enough was said", events);
	silent = false;
}

static const struct tcase cases[] = {
	{ "order", test_order },
	{ "backoff", test_backoff },
	{ "journal", test_journal },
};

CASES(cases)
