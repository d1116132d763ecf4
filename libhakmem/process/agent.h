/* SPDX-License-Identifier: MIT */
/*
 * The agent is the thread that hears controllers while the program sleeps. It waits on the wake
 * word of the tune page, applies changes, carries out purge requests and expires deadlines.
 *
 * The agent must not be noticed by the program:
 * - It exists only in a process that creates threads itself, or that asks for it by
 *   control.agent=on. A fork child has no agent before the child does so too.
 * - It does not exist in a sandbox, because a second thread breaks unshare, setns and filters.
 * - It blocks every signal but the two that setuid() and pthread_cancel() send.
 * - It never allocates, so it has no heap.
 * - It ends before the last thread with a heap does; that thread joins it. Otherwise main's
 *   pthread_exit() would leave a process that never ends, or exit handlers would run on the agent's
 *   small stack.
 * - It ends when the program is back to one thread, and nothing is left that can be given back.
 *
 * One thread at a time starts or stops the agent (the state word in agent.c). No lock of the
 * library may be held in calls of these functions.
 */
#ifndef HAK_AGENT_H
#define HAK_AGENT_H

#include <pthread.h>

#include "base/hak.h"

enum hak_agent_mode { HAK_AGENT_AUTO, HAK_AGENT_ON, HAK_AGENT_OFF }; /* as in tunables.def */

/* Starts the agent unless it runs, is unwanted (control.agent) or has nothing to hear. */
void hak_agent_start(void);
/* Ends the agent and waits until it is gone. Called before a sandbox is entered. */
void hak_agent_stop(void);
/*
 * A thread gave up its heap, and `live` threads still have one. With 0 the calling thread stops the
 * agent. With 1 the agent ends by itself, unless there are more threads than that one.
 */
void hak_agent_heap_gone(unsigned int live);
void hak_agent_fork_child(void);

/*
 * The interposed pthread_create: notes that there are threads, starts the agent, and creates the
 * program's thread.
 */
int hak_agent_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			    void *arg);
#endif
