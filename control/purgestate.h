/* SPDX-License-Identifier: MIT */
/*
 * What is known of the purges of a process without asking for one: its last request and answer, and
 * why its free memory may stay. For hakmemctl, and for the rows of list, which hakmemd makes as
 * well. All of it is read from the segment, and may be anything that the process says.
 */
#ifndef HAK_PURGESTATE_H
#define HAK_PURGESTATE_H

#include "control/segment.h"

struct hak_purge_state {
	bool asked;	      /* a purge was requested at some time */
	bool open;	      /* and the last request has no answer */
	bool locked;	      /* control.lock: it cannot be requested */
	bool agent;	      /* a thread waits for requests */
	uint32_t held;	      /* threads that kept their caches at the last purge */
	uint64_t agent_error; /* errno for which there is no agent; 0: none */
};
void hak_purge_state(const struct hak_segment *seg, struct hak_purge_state *ret);
/* Says why free memory stays above a limit. */
void hak_purge_state_say(const struct hak_purge_state *state, char why[HAK_WHY_TEXT]);

#endif
