/* SPDX-License-Identifier: MIT */
/*
 * The notes of hakmemctl advise, see advise.h: what stands in the way and what no tunable of the
 * process changes, with the cure. A note is a function of figures, as a rule is, and gives nothing
 * to try. advice_looked_at() says why there is no advice.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/abi/schema.h"
#include "hakmemctl/advise/advise.h"

/* Below both limits, memory that is not malloc's is what each program has. */
#define OTHER_LEAST	  0.3
#define OTHER_LEAST_BYTES ((uint64_t)16 << 20)
#define AGENT_OFF	  2 /* of control.agent */
#define ERRNO_MAX	  4095u

static uint64_t above(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* A process with one thread has no agent unless it asks for one. */
static bool no_agent(const struct advice_figures *f, char why[HAK_WHY_TEXT])
{
	if (f->agent || f->heaps < 2)
		return false;
	if (f->agent_error)
		snprintf(why, HAK_WHY_TEXT,
			 "the agent could not be started: %s. A higher TasksMax= or LimitNPROC= "
			 "lets the next new thread start it",
			 f->agent_error <= ERRNO_MAX ? strerror((int)f->agent_error)
						     : "unknown error");
	else if (f->setting[HAK_TID_CONTROL_AGENT].value == AGENT_OFF)
		snprintf(why, HAK_WHY_TEXT,
			 "control.agent is off: the process answers only when it allocates or "
			 "frees. hakmemctl set control.agent=auto starts the agent with the next "
			 "new thread");
	else
		snprintf(why, HAK_WHY_TEXT,
			 "%" PRIu64 " threads and no agent: it starts with the next new thread, "
			 "and not where a filter forbids system calls",
			 f->heaps);
	return true;
}

static bool not_malloc(const struct advice_figures *f, char why[HAK_WHY_TEXT])
{
	uint64_t other = above(f->rss, f->owned);
	char text[HAK_VALUE_TEXT], rss[HAK_VALUE_TEXT];

	if (other < OTHER_LEAST_BYTES || (double)other < OTHER_LEAST * (double)f->rss)
		return false;
	hak_bytes_format(other, text);
	hak_bytes_format(f->rss, rss);
	snprintf(why, HAK_WHY_TEXT,
		 "%s of %s resident are not malloc's, but code, stacks and mappings of the program "
		 "itself. No tunable changes them",
		 text, rss);
	return true;
}

static bool limit_unmet(const struct advice_figures *f, char why[HAK_WHY_TEXT])
{
	char least[HAK_VALUE_TEXT], limit[HAK_VALUE_TEXT], caches[HAK_VALUE_TEXT];
	const char *reason = "the process frees more before the next purge";

	if (!f->limit || f->free_least <= f->limit)
		return false;
	hak_bytes_format(f->free_least, least);
	hak_bytes_format(f->limit, limit);
	hak_bytes_format(f->cached_least, caches);
	if (!f->agent)
		reason = "without an agent it answers only when it allocates or frees";
	else if (f->cached_least > f->limit)
		reason = "a thread may keep its cache until its next call";
	snprintf(why, HAK_WHY_TEXT,
		 "CachedMax=%s is not met: always %s free, %s of it in caches of threads; %s",
		 limit, least, caches, reason);
	return true;
}

const struct advice_note advice_notes[] = {
	{ "no-agent", no_agent },
	{ "not-malloc", not_malloc },
	{ "limit-unmet", limit_unmet },
};
const size_t advice_notes_n = sizeof(advice_notes) / sizeof(advice_notes[0]);

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

void advice_looked_at(const struct advice_figures *f, char why[HAK_WHY_TEXT])
{
	char least[HAK_VALUE_TEXT], rss[HAK_VALUE_TEXT];

	hak_bytes_format(f->free_least, least);
	hak_bytes_format(f->rss, rss);
	if (!f->allocs && !f->slow)
		snprintf(why, HAK_WHY_TEXT,
			 "the process allocated nothing in this time, so there was nothing to "
			 "measure; %s of %s resident were always free",
			 least, rss);
	else
		snprintf(why, HAK_WHY_TEXT,
			 "%s of %s resident were always free; %" PRIu64 " allocations, and %" PRIu64
			 " calls of malloc and free that a thread's cache could not serve; of "
			 "%" PRIu64
			 " blocks of 1 MiB and more %.1f %% needed a new mapping; %" PRIu64
			 " page faults",
			 least, rss, f->allocs, f->slow, f->whale_allocs,
			 percent(f->whale_misses, f->whale_allocs), f->faults);
}

void advice_next(const struct advice_figures *f, int pid, char what[HAK_WHY_TEXT])
{
	if (!f->allocs && !f->slow)
		snprintf(what, HAK_WHY_TEXT,
			 "hakmemctl stats %d --watch shows when the process is at work; ask for "
			 "advice then",
			 pid);
	else
		snprintf(
			what, HAK_WHY_TEXT,
			"no tunable would change much; hakmemctl profile %d shows which code holds "
			"memory",
			pid);
}
