/* SPDX-License-Identifier: MIT */
/*
 * The tune page that controllers write: how it is read, applied and answered. The layers that
 * values come from are in layers.h, the values in force in values.h.
 *
 * Slow paths call hak_tune_poll(): one load and one compare when nothing changed. Applying happens
 * under HAK_LOCK_TUNE by trylock (somebody else is applying: go on with the old values); every word
 * of the page is loaded once, clamped to the table's range, then stored. After values changed,
 * hak_purge_tuned() (purge.c) lets the caches obey, before the change is acknowledged. A purge
 * request of the tune page is carried out by hak_tune_poll() through hak_purge().
 *
 * The page belongs to whoever may write it: nothing in it is trusted, and a page that lost its
 * magic (a hole was punched) changes nothing.
 */
#ifndef HAK_TUNE_H
#define HAK_TUNE_H

#include <stdatomic.h>

#include "base/hak.h"
#include "control/abi/abi.h"

/*
 * Wake word of the tune page this process watches (a private word without a segment) and its
 * value last acted upon.
 */
extern HAK_HIDDEN _Atomic(_Atomic uint32_t *) hak_tune_wake;
extern HAK_HIDDEN _Atomic uint32_t hak_tune_seen;

void hak_tune_poll_slow(void);

/* acquire: pairs with listen_to() in tune.c; the page it may lie in was filled before */
static inline _Atomic uint32_t *hak_tune_word(void)
{
	return atomic_load_explicit(&hak_tune_wake, memory_order_acquire);
}

/* Call on slow paths with no lock held. */
static inline void hak_tune_poll(void)
{
#if HAK_CONTROL
	if (hak_unlikely(atomic_load_explicit(hak_tune_word(), memory_order_relaxed) !=
			 atomic_load_explicit(&hak_tune_seen, memory_order_relaxed)))
		hak_tune_poll_slow();
#endif
}

/*
 * Expires --for deadlines; called from tick.c (once per coarse clock tick at most), no
 * lock held.
 */
void hak_tune_tick(void);

/*
 * At the start of the process, which allocated with the defaults before: environment and segment.
 * No lock held.
 */
void hak_tune_start(bool no_segment);
/* False in a vfork child, where everything here is its parent's. Also in a copy of the process. */
bool hak_tune_is_own_process(void);

/* Program layer: hakmem_set() and mallopt(). 0, -ERANGE, -EPERM (start only). No lock held. */
int hak_tune_program(enum hak_tunable t, uint64_t value);

/*
 * fork.c. prepare: all locks held. parent: likewise. child: with all locks held by it, before
 * anything is counted.
 */
void hak_tune_fork_prepare(void);
void hak_tune_fork_parent(void);
/*
 * A segment of its own, values and deadlines inherited. Also for a copy of the process that ran
 * no handlers.
 */
void hak_tune_fork_child(void);

/* ---- for agent.c ---- */

/* As hak_tune_poll_slow(), but waits for the lock instead of leaving the change to its holder. */
void hak_tune_poll_wait(void);
/* Wakes the thread that waits on the wake word. Any lock may be held. */
void hak_tune_call(void);
/* agent.c says whether a thread waits. */
void hak_tune_set_agent(bool runs);

#endif
