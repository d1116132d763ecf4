/* SPDX-License-Identifier: MIT */
/*
 * What a process does not do: a limit that it does not meet, a purge that it does not answer, and
 * an agent that it could not start. Each is written to the journal once when it begins, and stands
 * in process.h until it ends, for the metrics. purge.c calls these functions. They read counters of
 * the process and write nothing to it.
 */
#ifndef HAK_UNMET_H
#define HAK_UNMET_H

#include "hakmemd/process.h"

/* Reads at some looks whether the agent could be started. */
void hak_unmet_look(struct hak_process *p);

/* The purge that was requested is not answered, or it is. */
void hak_unmet_answer(struct hak_process *p, bool answered);

/* CachedMax= is exceeded, for this reason. NULL: it is met, or there is none. */
void hak_unmet_limit(struct hak_process *p, const char *why);

#endif
