/* SPDX-License-Identifier: MIT */
/*
 * control/purgestate.c with a process of the test's own: which request is open, and the reason that
 * is told for each state.
 */
#include "control/purgestate.c"
#include "tests/check.h"

static bool waits;
static uint64_t agent_error, request;
static int tune_error, wait_result;
static uint32_t answer_level;

/* -- what purgestate.c needs of the others ----------------------------------------------------- */
bool hak_agent_waits(const struct hak_segment *seg)
{
	return waits;
}

int hak_counter_read(const struct hak_segment *seg, uint16_t id, uint64_t *ret)
{
	EXPECT(id == HAK_ID_AGENT_ERROR, "counter %u", id);
	*ret = agent_error;
	return 0;
}

int hak_segment_read_tune(const struct hak_segment *seg, struct hak_tune *ret)
{
	*ret = (struct hak_tune){ .purge_request = request };
	return tune_error;
}

int hak_purge_wait(const struct hak_segment *seg, uint64_t id, uint64_t timeout_ns,
		   struct hak_purge_answer *ret)
{
	EXPECT(id == request >> 8, "request %llu", (unsigned long long)id);
	EXPECT(timeout_ns == 0, "it waits");
	if (wait_result == 0)
		ret->level = answer_level;
	return wait_result;
}

/* -- the tests --------------------------------------------------------------------------------- */
static struct hak_segment seg;

static void says(const char *want)
{
	struct hak_purge_state state;
	char why[HAK_WHY_TEXT];

	hak_purge_state(&seg, &state);
	hak_purge_state_say(&state, why);
	EXPECT(strcmp(why, want) == 0, "it says: %s", why);
}

static void reasons(void)
{
	says("no purge was requested: hakmemd does not run, or has just started");
	request = 5 << 8 | HAK_PURGE_DIRTY;
	says("the last purge gave no more back, or more was freed since");
	answer_level = 3 << 8 | HAK_PURGE_DIRTY;
	says("3 threads kept their caches at the last purge");
	wait_result = -ESTALE;
	says("the last purge gave no more back, or more was freed since");
	wait_result = -ETIMEDOUT;
	says("the last purge is not answered: the process sleeps and has no agent");
	agent_error = EAGAIN;
	says("the last purge is not answered: the agent could not be started: Resource "
	     "temporarily unavailable");
	waits = true;
	says("the agent has not answered the last purge");
	seg.header.locked = 1;
	says("control.lock is on: no purge can be requested");
	seg.header.locked = 0;
	tune_error = -EACCES;
	says("no purge was requested: hakmemd does not run, or has just started");
}

static const struct tcase cases[] = {
	{ "reasons", reasons },
};

CASES(cases)
