/* SPDX-License-Identifier: MIT */
/*
 * The purge clock by which free memory ages, and the count of what a purge gives back. Modules that
 * keep memory read the clock when memory becomes free, and count the memory that they give back.
 * purge.c advances the clock and reads the count.
 */
#ifndef HAK_EPOCH_H
#define HAK_EPOCH_H

#include <stdatomic.h>

#include "base/hak.h"

/*
 * The purge clock; an epoch lasts purge.delay_ms. Memory that was freed in one epoch and is still
 * free at the end of the next is given back. So its age is one to two delays, at the price of one
 * load for each free.
 */
#define HAK_DELAY_NEVER 86400000u /* purge.delay_ms at its maximum: no epoch ends */
extern HAK_HIDDEN _Atomic uint32_t hak_purge_clock;

static inline uint32_t hak_purge_epoch(void)
{
	return atomic_load_explicit(&hak_purge_clock, memory_order_relaxed);
}

/* Called by purge.c when an epoch ends. HAK_LOCK_PURGE held. */
static inline void hak_purge_next_epoch(void)
{
	atomic_store_explicit(&hak_purge_clock, hak_purge_epoch() + 1, memory_order_relaxed);
}

/*
 * Returns what giving back [p, p + bytes) will take from RSS. During a purge on request, whose
 * answer must be true, these are the resident pages; pages that were never touched do not count. In
 * purges by age all bytes count, because asking would cost a system call. Called directly before
 * the memory is given back.
 */
uint64_t hak_purge_count(void *p, uint64_t bytes);

/*
 * Called directly before memory is unmapped as it becomes free. The bytes are part of the answer of
 * a purge if the purging thread is the caller.
 */
void hak_purge_note(void *p, uint64_t bytes);

/*
 * begin: a purge on request begins; with `exact` only resident pages count. end: the purge ends;
 * returns the bytes noted since. HAK_LOCK_PURGE held.
 */
void hak_purge_count_begin(bool exact);
uint64_t hak_purge_count_end(void);

/* Counts a purge because of the limit of the control groups; 0 bytes: none. */
void hak_purge_count_limit(uint64_t bytes);

#endif
