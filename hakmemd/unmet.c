/* SPDX-License-Identifier: MIT */
/*
 * Reports what a process does not do, see unmet.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hakmemd/entry.h"
#include "hakmemd/unmet.h"

/* The number of looks between two looks for the error of the agent. */
#define AGENT_LOOKS 8u
#define ERRNO_MAX   4095u

/* -- the agent --------------------------------------------------------------------------------- */
static void tell_agent(const struct hak_process *p, uint64_t error)
{
	const char *why = error <= ERRNO_MAX ? strerror((int)error) : "unknown error";
	char number[24], text[HAK_WHY_TEXT];
	const struct hak_entry e = { LOG_NOTICE,
				     HAK_MESSAGE_NO_AGENT,
				     NULL,
				     { { "ERRNO", number }, { "HAKMEM_WHY", why } } };

	snprintf(number, sizeof(number), "%" PRIu64, error);
	snprintf(text, sizeof(text), "the agent could not be started: %s", why);
	hak_entry_write(p, &e, text);
}

void hak_unmet_look(struct hak_process *p)
{
	uint64_t error;

	if ((p->manager->look + (unsigned)p->id.pid) % AGENT_LOOKS)
		return;
	if (hak_counter_read(p->seg, HAK_ID_AGENT_ERROR, &error) < 0)
		return;
	if (error && error != p->unmet.agent_error)
		tell_agent(p, error);
	p->unmet.agent_error = error;
}

/* -- purges ------------------------------------------------------------------------------------ */
static void tell_unanswered(const struct hak_process *p)
{
	bool agent = hak_agent_waits(p->seg);
	const struct hak_entry e = { LOG_INFO,
				     HAK_MESSAGE_UNANSWERED,
				     p->effect.first,
				     { { "HAKMEM_WHY", p->purge_why },
				       { "HAKMEM_AGENT", agent ? "yes" : "no" } } };
	char text[HAK_WHY_TEXT];

	snprintf(text, sizeof(text), "a purge (%s) is not answered: %s", p->purge_why,
		 agent ? "the agent is stopped or does not get to run"
		       : "the process sleeps and has no agent");
	hak_entry_write(p, &e, text);
}

void hak_unmet_answer(struct hak_process *p, bool answered)
{
	if (!answered && !p->unmet.answer)
		tell_unanswered(p);
	p->unmet.answer = !answered;
}

/* -- limits ------------------------------------------------------------------------------------ */
static void tell_limit(const struct hak_process *p, const char *why)
{
	char bytes[24], limit[24], text[HAK_WHY_TEXT], has[HAK_VALUE_TEXT], may[HAK_VALUE_TEXT];
	const struct hak_entry e = {
		LOG_NOTICE,
		HAK_MESSAGE_LIMIT,
		p->effect.of[HAK_SET_CACHED_MAX],
		{ { "HAKMEM_BYTES", bytes }, { "HAKMEM_LIMIT", limit }, { "HAKMEM_WHY", why } }
	};

	snprintf(bytes, sizeof(bytes), "%" PRIu64, p->cached_bytes);
	snprintf(limit, sizeof(limit), "%" PRIu64, p->effect.cached_max);
	hak_bytes_format(p->cached_bytes, has);
	hak_bytes_format(p->effect.cached_max, may);
	snprintf(text, sizeof(text), "%s of free memory, with CachedMax=%s: %s", has, may, why);
	hak_entry_write(p, &e, text);
}

void hak_unmet_limit(struct hak_process *p, const char *why)
{
	if (why && !p->unmet.limit)
		tell_limit(p, why);
	p->unmet.limit = why != NULL;
}
