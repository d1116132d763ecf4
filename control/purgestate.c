/* SPDX-License-Identifier: MIT */
/* The last purge of a process, see purgestate.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/abi/schema.h"
#include "control/purgestate.h"
#include "control/snapshot.h"
#include "control/tunewrite.h"

void hak_purge_state(const struct hak_segment *seg, struct hak_purge_state *ret)
{
	struct hak_purge_answer answer = { 0 };
	struct hak_tune tune;
	uint64_t id = 0;

	*ret = (struct hak_purge_state){ .locked = seg->header.locked,
					 .agent = hak_agent_waits(seg) };
	if (hak_counter_read(seg, HAK_ID_AGENT_ERROR, &ret->agent_error) < 0)
		ret->agent_error = 0;
	if (hak_segment_read_tune(seg, &tune) == 0)
		id = tune.purge_request >> 8;
	ret->asked = id != 0;
	if (!id)
		return;
	ret->open = hak_purge_wait(seg, id, 0, &answer) == -ETIMEDOUT;
	ret->held = HAK_ANSWER_HELD(answer.level);
}

void hak_purge_state_say(const struct hak_purge_state *s, char why[HAK_WHY_TEXT])
{
	const char *text = "the last purge gave no more back, or more was freed since";

	if (s->locked)
		text = "control.lock is on: no purge can be requested";
	else if (!s->asked)
		text = "no purge was requested: hakmemd does not run, or has just started";
	else if (s->open && s->agent)
		text = "the agent has not answered the last purge";
	else if (s->open && !s->agent_error)
		text = "the last purge is not answered: the process sleeps and has no agent";
	if (s->open && !s->agent && s->agent_error)
		snprintf(why, HAK_WHY_TEXT,
			 "the last purge is not answered: the agent could not be started: %s",
			 strerror((int)(s->agent_error & 0xfff)));
	else if (s->asked && !s->open && s->held)
		snprintf(why, HAK_WHY_TEXT, "%u threads kept their caches at the last purge",
			 s->held);
	else
		snprintf(why, HAK_WHY_TEXT, "%s", text);
}
