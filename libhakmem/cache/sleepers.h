/* SPDX-License-Identifier: MIT */
/*
 * The caches of threads that do not call malloc or free: emptied by another thread, on request or
 * by age, by a takeover (heap/takeover.h). HAK_LOCK_PURGE held by the caller of all functions but
 * the last two.
 */
#ifndef HAK_SLEEPERS_H
#define HAK_SLEEPERS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/abi/abi.h"

struct hak_purged {
	uint64_t bytes; /* given back, as hak_purge_count() counts them */
	/* threads that keep their caches: they are inside, or there is no takeover */
	uint32_t held;
};

/*
 * Empties the cache of each other thread that has not obeyed `request` (purge.h) yet, and, if the
 * level says so, gives back the free pages of its partly used slabs.
 */
void hak_sleepers_empty(uint32_t request, enum hak_purge_level level, struct hak_purged *ret);

/*
 * At the end of an epoch: the same for threads that neither allocated nor freed for two whole
 * epochs, at most `most` of them. Returns bytes. Memory that other threads give back to a sleeping
 * thread's slabs is collected at the end of a later epoch. *ret_rest: what is left for later
 * epochs.
 */
enum hak_age {
	HAK_AGE_SOME,	 /* memory went back, or will when more epochs are over */
	HAK_AGE_ACTIVE,	 /* nothing but what threads that do not sleep hold */
	HAK_AGE_NOTHING, /* nothing is free, and all threads sleep and hold nothing */
};
uint64_t hak_sleepers_age(uint32_t most, enum hak_age *ret_rest);

/*
 * Empties the caches of other threads, of the thread that called malloc or free longest ago first,
 * until all caches together hold no more than `most` bytes. Returns bytes.
 */
uint64_t hak_sleepers_cap(uint64_t most);

/* The bytes of the blocks in all caches, that of the calling thread included. */
uint64_t hak_sleepers_cached(void);

/* Empties the cache of each other thread that has not obeyed `request` (purge.h) yet. */
void hak_sleepers_obey(uint32_t request);

/*
 * The same for the heap that threads without one of their own share: on request, and at the end of
 * an epoch. Return bytes. *ret_rest is set to HAK_AGE_SOME, or left as it is.
 */
uint64_t hak_sleepers_empty_shared(enum hak_purge_level level);
uint64_t hak_sleepers_age_shared(enum hak_age *ret_rest);

/*
 * Around the calls for the shared heap, whose lock is taken before HAK_LOCK_PURGE. Returns false if
 * there is none, or a thread uses it at this moment.
 */
bool hak_sleepers_lock_shared(void);
void hak_sleepers_unlock_shared(void);

#endif
