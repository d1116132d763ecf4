/* SPDX-License-Identifier: MIT */
/*
 * SIGINT, SIGTERM and SIGHUP end a measurement early. The verb prints what it measured until then.
 */
#include <signal.h>

#include "hakmemctl/ctl.h"

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	interrupted = signal;
}

void ctl_catch_interrupts(void)
{
	/* A signal ends waiting, and does not interrupt writing. */
	const struct sigaction catch = { .sa_handler = interrupt, .sa_flags = SA_RESTART };

	sigaction(SIGINT, &catch, NULL);
	sigaction(SIGTERM, &catch, NULL);
	sigaction(SIGHUP, &catch, NULL);
}

bool ctl_interrupted(void)
{
	return interrupted;
}
