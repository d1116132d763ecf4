/* SPDX-License-Identifier: MIT */
/*
 * Requests purges, and enforces the limits that policies set.
 *
 * A request is written, and later looks read its answer. Nothing waits. A process has one request
 * at a time. After an answer, the process is not asked during the cooldown of its policy. The
 * cooldown doubles with each successive purge that returned little, because a purge that frees
 * nothing costs the process time without a benefit.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/pageout.h"
#include "control/resident.h"
#include "hakmemd/entry.h"
#include "hakmemd/purge.h"
#include "hakmemd/unmet.h"

#define NS_PER_US 1000u
/* A purge returned little if it returned less than this, and less than a part of the cached
 * memory. */
#define LITTLE_BYTES (1u << 20)
#define LITTLE_PART  16u
#define BACKOFF_MAX  8u
/* An agent answers within milliseconds. A process that has not answered by then sleeps. */
#define LATE_NS	     3000000000u
#define LIMIT_AGE_US 5000000u
#define DIGEST_HEAPS 16u
/* An idle process that holds less than this is not asked. */
#define IDLE_BYTES (64u << 10)
/* The number of looks between two looks for a late answer. */
#define LATE_LOOKS 8u

/* -- measuring --------------------------------------------------------------------------------- */
static uint64_t mix(uint64_t digest, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		digest = (digest ^ words[i]) * 0x9e3779b97f4a7c15u;
	return digest;
}

/* A digest of all counters. Returns -E2BIG for a process with so many heaps that a snapshot costs
 * no more. */
static int digest_of(const struct hak_segment *seg, uint64_t *ret)
{
	static uint64_t buf[HAK_READER_HEAP_BYTES / 8];
	const struct hak_stats_header *h = &seg->header;
	uint64_t digest = 0;
	uint32_t heaps;
	int r = hak_segment_read(seg, h->ack_off + offsetof(struct hak_ack, heaps_populated),
				 &heaps, sizeof(heaps));

	if (r < 0)
		return r;
	if (heaps > DIGEST_HEAPS || heaps > h->heaps_max || h->proc_bytes > sizeof(buf))
		return -E2BIG;
	r = hak_segment_read(seg, h->proc_off, buf, h->proc_bytes);
	digest = mix(digest, buf, h->proc_bytes / 8);
	for (uint32_t i = 0; r == 0 && i < heaps; i++) {
		r = hak_segment_read(seg, h->heaps_off + (uint64_t)i * h->heap_stride, buf,
				     h->heap_stride);
		digest = mix(digest, buf, h->heap_stride / 8);
	}
	*ret = digest;
	return r;
}

void hak_purge_measure(struct hak_process *p, uint64_t age_us)
{
	uint64_t now = hak_monotonic_ns(), activity;
	struct hak_snapshot snap;
	struct hak_memory memory;
	uint64_t digest;

	if (p->measured_ns && now - p->measured_ns < age_us * NS_PER_US)
		return;
	/* Most processes sleep. If no counter changed, the previous results are still valid. */
	if (digest_of(p->seg, &digest) == 0) {
		if (p->measured_ns > 1 && digest == p->digest) {
			p->measured_ns = now;
			return;
		}
		p->digest = digest;
	}
	if (hak_snapshot_take(p->seg, &snap) < 0)
		return;
	memory = hak_memory_of(p->seg, &snap);
	activity = hak_total(p->seg, &snap, HAK_ID_ALLOCS) +
		   hak_total(p->seg, &snap, HAK_ID_FREES) +
		   hak_total(p->seg, &snap, HAK_ID_WHALE_ALLOCS) +
		   hak_total(p->seg, &snap, HAK_ID_WHALE_FREES);
	hak_snapshot_free(&snap);
	p->cached_bytes = hak_resident_cached(p->seg, &memory);
	if (!p->measured_ns || activity != p->activity) {
		p->activity = activity;
		p->active_ns = now;
		p->idle_purged = false;
	}
	p->measured_ns = now;
}

/* -- asking ------------------------------------------------------------------------------------ */
int hak_purge_process(struct hak_process *p, enum hak_purge_level level, const char *why)
{
	char reason[HAK_WHY_TEXT];
	uint64_t id, now = hak_monotonic_ns();
	int r;

	if (p->purge_id)
		return -EBUSY;
	if (now < p->purge_not_before_ns)
		return -EAGAIN;
	r = hak_purge_ask(p->seg, level, &id, reason);
	if (r < 0)
		return r;
	p->purge_id = id;
	p->purge_why = why;
	p->purge_rss = hak_segment_rss(p->seg, false);
	p->purge_asked_ns = now;
	p->purge_late = false;
	return 0;
}

static void journal(struct hak_process *p, uint64_t bytes, uint64_t ns, bool paged_out)
{
	char number[24], time[24], size[HAK_VALUE_TEXT], text[HAK_WHY_TEXT];
	const struct hak_entry e = { LOG_INFO,
				     HAK_MESSAGE_PURGE,
				     p->effect.first,
				     { { "HAKMEM_BYTES", number },
				       { "HAKMEM_NS", ns ? time : NULL },
				       { "HAKMEM_WHY", p->purge_why } } };

	snprintf(number, sizeof(number), "%" PRIu64, bytes);
	snprintf(time, sizeof(time), "%" PRIu64, ns);
	hak_bytes_format(bytes, size);
	snprintf(text, sizeof(text), "%s %s (%s)", size, paged_out ? "paged out" : "given back",
		 p->purge_why);
	hak_entry_write(p, &e, text);
}

static void finish(struct hak_process *p, uint64_t bytes, uint64_t ns, bool paged_out)
{
	uint64_t pause_us = p->effect.cooldown_us ? p->effect.cooldown_us : 1000000;
	bool little;

	/* The process may answer any number. No more than its resident memory can have been given
	 * back. */
	if (bytes > p->purge_rss)
		bytes = p->purge_rss;
	little = bytes < LITTLE_BYTES && bytes < p->cached_bytes / LITTLE_PART + 1;

	if (little && p->purge_backoff < BACKOFF_MAX)
		p->purge_backoff++;
	if (!little)
		p->purge_backoff = 0;
	p->purge_not_before_ns = hak_monotonic_ns() + (pause_us << p->purge_backoff) * NS_PER_US;
	p->purge_id = 0;
	p->measured_ns = 1; /* long ago */
	p->limit_returned = bytes;
	p->limit_answered = p->limit_excess;
	hak_unmet_answer(p, true);
	if (bytes)
		journal(p, bytes, ns, paged_out);
	hak_tell_purged(p, bytes, p->purge_why);
}

/* The process sleeps. Its lazily freed memory can be paged out nevertheless, and does not count for
 * the limit then. The request stays written. */
static void late(struct hak_process *p)
{
	uint64_t bytes = 0;

	p->purge_late = true;
	hak_unmet_answer(p, false);
	if (p->manager->can_page_out)
		hak_pageout_some(p->seg, HAK_PAGE_OUT_BYTES, &bytes);
	if (bytes) {
		journal(p, bytes, 0, true);
		hak_tell_purged(p, bytes, p->purge_why);
		p->measured_ns = 1;
		hak_purge_measure(p, 0);
	}
	if (p->cached_bytes > p->effect.cached_max)
		hak_unmet_limit(p, "the process does not answer");
}

static void look_for_answer(struct hak_process *p)
{
	struct hak_purge_answer answer = { 0 };
	uint64_t paged_out = 0;
	int r;

	if (p->purge_late && (p->manager->look + (unsigned)p->id.pid) % LATE_LOOKS)
		return;
	r = hak_purge_wait(p->seg, p->purge_id, 0, &answer);
	p->limit_held = r == 0 ? HAK_ANSWER_HELD(answer.level) : 0;
	if (r == 0 && answer.status == 0) {
		/* While the daemon is attached, the process gave this memory back lazily. It is
		 * paged out now. */
		if (p->attached)
			hak_pageout_some(p->seg, HAK_PAGE_OUT_BYTES, &paged_out);
		finish(p, answer.bytes > paged_out ? answer.bytes : paged_out, answer.ns, false);
	} else if (r == -ETIMEDOUT) {
		if (!p->purge_late && hak_monotonic_ns() - p->purge_asked_ns > LATE_NS)
			late(p);
	} else {
		/* Answered together with a later request of another controller, or unreadable. */
		finish(p, 0, 0, false);
	}
}

/* -- limits ------------------------------------------------------------------------------------ */
/* Judges the purge that was requested for the limit, after the first measurement that follows its
 * answer. */
static void judge_limit(struct hak_process *p)
{
	char why[HAK_WHY_TEXT];

	if (p->limit_held)
		snprintf(why, sizeof(why), "%u threads keep their caches until their next call",
			 p->limit_held);
	else if (p->limit_returned < p->limit_excess)
		snprintf(why, sizeof(why), "no more can be given back");
	else
		snprintf(why, sizeof(why), "the process keeps as much again");
	hak_unmet_limit(p, why);
}

static void enforce_limit(struct hak_process *p)
{
	char why[HAK_WHY_TEXT];
	int r;

	if (p->limit_answered)
		judge_limit(p);
	p->limit_answered = false;
	r = hak_purge_process(p, HAK_PURGE_DIRTY, "limit");
	if (r == 0)
		p->limit_excess = p->cached_bytes - p->effect.cached_max;
	if (r == 0 || r == -EAGAIN || r == -EBUSY)
		return;
	snprintf(why, sizeof(why), "the process cannot be asked: %s", strerror(-r));
	hak_unmet_limit(p, why);
}

static void look_at_limits(struct hak_process *p)
{
	const struct hak_effect *e = &p->effect;
	uint64_t idle_ns;

	if (e->cached_max == UINT64_MAX && e->idle_purge_us == 0) {
		hak_unmet_limit(p, NULL);
		return;
	}
	hak_purge_measure(p, LIMIT_AGE_US);
	idle_ns = p->measured_ns - p->active_ns;
	if (p->cached_bytes > e->cached_max) {
		enforce_limit(p);
		return;
	}
	hak_unmet_limit(p, NULL);
	p->limit_answered = false;
	p->limit_excess = 0;
	if (e->idle_purge_us && !p->idle_purged && p->cached_bytes >= IDLE_BYTES &&
	    p->measured_ns > p->active_ns && idle_ns >= e->idle_purge_us * NS_PER_US) {
		if (hak_purge_process(p, HAK_PURGE_DIRTY, "idle") == 0)
			p->idle_purged = true;
	}
}

void hak_purge_look(struct hak_process *p)
{
	hak_unmet_look(p);
	if (p->purge_id)
		look_for_answer(p);
	else
		look_at_limits(p);
}
