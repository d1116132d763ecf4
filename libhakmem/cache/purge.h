/* SPDX-License-Identifier: MIT */
/*
 * Gives memory back: by age on slow paths, on request by level. One thread at a time purges
 * (HAK_LOCK_PURGE, trylock). The locks of what it purges are never held over a system call.
 */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include <stdatomic.h>

#include "base/hak.h"
#include "control/abi/abi.h"
#include "cache/sleepers.h"
#include "heap/heap.h"
#include "page/allowance.h"
#include "page/extent.h"
#include "system/room.h"

/*
 * Gives free memory back. CACHE: blocks of the caches of all threads that are outside the
 * allocator, of dead heaps and of remote lists go back to their slabs, and empty slabs to their
 * extents. DIRTY also gives back all free pages of any age and evicts kept regions. ALL also unmaps
 * kept regions and empty extents. Callable from any thread with no lock held. In a copy of the
 * process in which no fork handlers ran the thread is attached first (attach.h). Returns the
 * resident bytes that went back.
 */
void hak_purge(enum hak_purge_level level, struct hak_purged *ret);

/*
 * For use when memory is out: unmaps everything kept. Returns the bytes, touched or not; 0 if
 * nothing was kept. Makes no system call that a sandbox may forbid. No lock may be held.
 */
uint64_t hak_reclaim(void);

/*
 * What every thread has to do at its next slow path (tick.h): a serial number, raised by each
 * request, and the level. The thread flushes its cache, and gives back what that emptied if the
 * level says so.
 */
extern HAK_HIDDEN _Atomic uint32_t hak_purge_asked;
void hak_purge_obey(struct hak_cache *c, uint32_t request);
/* For the agent: empties the caches of the threads that sleep and have not obeyed yet. */
void hak_purge_obey_all(void);

/*
 * Ends the epoch if it is over and no other thread purges: memory that was free all through it goes
 * back. No lock may be held.
 */
void hak_purge_by_age(uint64_t now_ms, uint64_t delay_ms);

/*
 * Epochs in a row, whichever thread ended them, in which nothing went back and nothing was left for
 * later ones (calm), and in which moreover no thread called malloc or free (still). disturb()
 * begins to count anew.
 */
uint32_t hak_purge_calm(void);
uint32_t hak_purge_still(void);
void hak_purge_disturb(void);
uint64_t hak_purge_epoch_left(uint64_t now_ms); /* milliseconds; 0: it is over */

/*
 * Free memory of slabs and runs goes back by amount too, not by age alone: when more is dirty than
 * the allowance (page/allowance.h) and an eighth of what is in use, a slow path gives the oldest
 * back until a quarter less than that is dirty. Only the least allowance stays when the program has
 * freed nearly all it had and many regions are dirty. So after a burst of frees little stays, even
 * if the thread never calls again. Where the kernel refuses most of it (locked memory), no slow
 * path tries again before the epoch ends or an eighth more is dirty. No lock may be held.
 */
void hak_purge_by_amount(void);
/* Before so many bytes more become resident: what the limit of the control groups asks for. */
void hak_purge_make_room(uint64_t bytes);

/* When a whale was freed: whether it is worth to compute how much may stay. */
static inline bool hak_purge_is_much(void)
{
	return hak_extent_dirty() > HAK_ALLOWANCE_LEAST;
}

static inline bool hak_purge_is_full(void)
{
	return hak_extent_dirty() > atomic_load_explicit(&hak_room.floor, memory_order_relaxed);
}

/*
 * Called when values of tunables changed: resizes the region cache and empties what is no longer
 * allowed. No lock may be held but HAK_LOCK_TUNE.
 */
void hak_purge_tuned(void);

#endif
