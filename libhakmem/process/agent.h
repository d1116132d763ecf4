/* SPDX-License-Identifier: MIT */
/*
 * The agent: the thread that hears controllers while the program sleeps. It waits on the wake word
 * of the tune page, applies what changed, carries out purge requests and expires deadlines.
 *
 * It is a guest in the process and must not be noticed. It exists only in a process that
 * creates threads itself (or asked by control.agent=on), never in a fork child before that does
 * so too, and not in a sandbox: a second thread breaks unshare, setns and filters. It blocks
 * every signal but the two that setuid() and pthread_cancel() send. It never allocates, so it
 * has no heap. It is gone before the last thread with a heap is, which joins it: else main's
 * pthread_exit() would leave a process that never ends, or exit handlers would run on the
 * agent's small stack. And it goes away when the program is back to one thread for a second.
 *
 * One thread at a time starts or stops it (the state word in agent.c); nobody calls these with a
 * lock of the library held.
 */
#ifndef HAK_AGENT_H
#define HAK_AGENT_H

#include <pthread.h>

#include "base/hak.h"

enum hak_agent_mode { HAK_AGENT_AUTO, HAK_AGENT_ON, HAK_AGENT_OFF }; /* as in tunables.def */

/* Starts it unless it runs, is unwanted (control.agent) or has nothing to hear. */
void hak_agent_start(void);
/* Ends it and waits until it is gone. Before a sandbox is entered. */
void hak_agent_stop(void);
/*
 * A thread gave up its heap, and `live` threads still have one. 0: the agent is stopped, by the
 * calling thread. 1: it will end by itself unless there are more threads than that one.
 */
void hak_agent_heap_gone(unsigned int live);
void hak_agent_fork_child(void);

/*
 * The interposed pthread_create: notes that there are threads, starts the agent, creates the
 * program's thread.
 */
int hak_agent_create_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			    void *arg);
#endif
