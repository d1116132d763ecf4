/* SPDX-License-Identifier: MIT */
/*
 * The tune page that controllers write: how it is read, applied and answered. layers.h has the
 * layers from which values come, values.h the values in force.
 *
 * Slow paths call hak_tune_poll(), which costs one load and one compare when nothing changed. A
 * change is applied under HAK_LOCK_TUNE by trylock; while another thread applies it, the caller
 * goes on with the old values. Every word of the page is loaded once, clamped to the table's range,
 * then stored. After values changed, hak_purge_tuned() (purge.c) lets the caches obey, before the
 * change is acknowledged. hak_tune_poll() carries out a purge request of the tune page through
 * hak_purge().
 *
 * Every process that may write the page can change it at any time: nothing in it is trusted, and a
 * page that lost its magic (a hole was punched) changes nothing.
 */
#ifndef HAK_TUNE_H
#define HAK_TUNE_H

#include <stdatomic.h>

#include "base/hak.h"
#include "control/abi/abi.h"

/*
 * The wake word of the tune page that this process watches, or a private word without a segment,
 * and its value last acted upon.
 */
extern HAK_HIDDEN _Atomic(_Atomic uint32_t *) hak_tune_wake;
extern HAK_HIDDEN _Atomic uint32_t hak_tune_seen;

void hak_tune_poll_slow(void);

/* acquire: pairs with listen_to() in tune.c; the page that may hold the word was filled before */
static inline _Atomic uint32_t *hak_tune_word(void)
{
	return atomic_load_explicit(&hak_tune_wake, memory_order_acquire);
}

/* Called on slow paths with no lock held. */
static inline void hak_tune_poll(void)
{
#if HAK_CONTROL
	if (hak_unlikely(atomic_load_explicit(hak_tune_word(), memory_order_relaxed) !=
			 atomic_load_explicit(&hak_tune_seen, memory_order_relaxed)))
		hak_tune_poll_slow();
#endif
}

/*
 * Expires deadlines of --for. Called from tick.c, at most once for each tick of the coarse clock,
 * with no lock held.
 */
void hak_tune_tick(void);

/*
 * Called at the start of the process, which has allocated with the defaults so far: reads the
 * environment and makes the segment. No lock held.
 */
void hak_tune_start(bool no_segment);
/*
 * Returns false in a vfork child, where all state is the parent's. Also callable in a copy of the
 * process.
 */
bool hak_tune_is_own_process(void);

/*
 * Sets the program's layer, for hakmem_set() and mallopt(), and wakes the agent. Returns 0,
 * -ERANGE, or -EPERM (start only). No lock held.
 */
int hak_tune_program(enum hak_tunable t, uint64_t value);

/*
 * For fork.c. prepare and parent: all locks held. child: the child holds all locks, before anything
 * is counted.
 */
void hak_tune_fork_prepare(void);
void hak_tune_fork_parent(void);
/*
 * Makes a segment of the child's own; values and deadlines are inherited. Also for a copy of the
 * process in which no handlers ran.
 */
void hak_tune_fork_child(void);

/*
 * Checks the state of the tune page, and the layers (layers.h): the process watches the wake word
 * of the page, or the private one without a segment, and the generation that it acknowledged is the
 * even one that it copied. HAK_LOCK_TUNE held, or all threads stopped.
 */
#if HAK_DEBUG
void hak_tune_check(void);
#else
static inline void hak_tune_check(void)
{
}
#endif

/* ---- for agent.c ---- */

/*
 * Does what hak_tune_poll_slow() does, but waits for the lock instead of leaving the change to its
 * holder.
 */
void hak_tune_poll_wait(void);
/* Wakes the thread that waits on the wake word. Any lock may be held. */
void hak_tune_call(void);
/* agent.c tells whether a thread waits. */
void hak_tune_set_agent(bool runs);

#endif
