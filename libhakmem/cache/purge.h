/* SPDX-License-Identifier: MIT */
/*
 * Giving memory back: by age on slow paths, by request, by level. One purger at a time
 * (HAK_LOCK_PURGE, trylock); the caches' own locks are never held over a system call.
 */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include <stdatomic.h>

#include "base/hak.h"
#include "control/abi/abi.h"
#include "heap/heap.h"

/*
 * Resident bytes of free memory given back to the kernel. CACHE: the calling thread's caches, dead
 * heaps and remote lists go back to their slabs, empty slabs to their extents. DIRTY: and all free
 * pages older than nothing are given back, kept regions evicted. ALL: and kept regions and empty
 * extents are unmapped. Callable from any thread, no lock held. In a copy of the process that ran
 * no fork handlers the thread is attached first (attach.h).
 */
uint64_t hak_purge(enum hak_purge_level level);

/*
 * No memory: unmaps all that is kept. Bytes, touched or not; 0: there was nothing. Makes only the
 * system calls that may always be made. No lock held.
 */
uint64_t hak_reclaim(void);

/*
 * What every thread is asked to do at its next slow path (tick.h): a serial number, raised by each
 * request, and the level. The thread flushes its cache, and gives back what that emptied if the
 * level says so.
 */
extern HAK_HIDDEN _Atomic uint32_t hak_purge_asked;
void hak_purge_obey(struct hak_cache *c, uint32_t request);

/*
 * Ends the epoch if it is over and no other thread purges: what was free all through it goes back.
 * True: there was some. No lock held.
 */
bool hak_purge_by_age(uint64_t now_ms, uint64_t delay_ms);
#define HAK_PURGE_TRIM_MOST 256u /* slabs looked at for holes when an epoch ends: a few ms */

/*
 * Values of tunables changed: resize the region cache, empty what is no longer allowed. No lock
 * held but HAK_LOCK_TUNE.
 */
void hak_purge_tuned(void);

#endif
