/* SPDX-License-Identifier: MIT */
/*
 * The purge clock by which free memory ages, and the count of what a purge gives back. Modules that
 * keep memory read the clock when memory becomes free, and count what they give back; purge.c moves
 * the clock and asks for the count.
 */
#ifndef HAK_EPOCH_H
#define HAK_EPOCH_H

#include <stdatomic.h>

#include "base/hak.h"

/*
 * The purge clock: an epoch lasts purge.delay_ms. What was freed in one epoch and is still free at
 * the end of the next is given back, so its age is one to two delays, at the price of one load per
 * free.
 */
extern HAK_HIDDEN _Atomic uint32_t hak_purge_clock;

static inline uint32_t hak_purge_epoch(void)
{
	return atomic_load_explicit(&hak_purge_clock, memory_order_relaxed);
}

/* By purge.c, when an epoch ends. HAK_LOCK_PURGE held. */
static inline void hak_purge_next_epoch(void)
{
	atomic_store_explicit(&hak_purge_clock, hak_purge_epoch() + 1, memory_order_relaxed);
}

/*
 * What giving back [p, p + bytes) will take from RSS: its resident pages during a purge on request,
 * where the answer must be true (pages never touched do not count), all of it in purges by age,
 * where asking would cost a system call. For the modules that give memory back, right before they
 * do.
 */
uint64_t hak_purge_count(void *p, uint64_t bytes);

/*
 * For modules that unmap memory as it becomes free: right before they do. In the answer of a purge
 * if its thread is the caller.
 */
void hak_purge_note(void *p, uint64_t bytes);

/*
 * A purge on request begins: the pages counted are the resident ones if `exact`. At its end: the
 * bytes noted since. HAK_LOCK_PURGE held.
 */
void hak_purge_count_begin(bool exact);
uint64_t hak_purge_count_end(void);

#endif
