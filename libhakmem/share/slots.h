/* SPDX-License-Identifier: MIT */
/*
 * The counters of heaps, one slot of HAK_HEAP_STRIDE bytes for each heap: shared memory while there
 * is a segment, private memory otherwise. A slot is moved from one to the other while no other
 * thread counts in it: by its own thread, or under the locks of the threads that it serves.
 *
 * HAK_LOCK_TUNE or HAK_LOCK_REGISTRY held, as share.h says.
 */
#ifndef HAK_SLOTS_H
#define HAK_SLOTS_H

#include <stdatomic.h>

#include "heap/heap.h"
#include "system/os.h"

extern HAK_HIDDEN unsigned int hak_slots_writable; /* slots [0, N) may be touched */

/* The size of the half that holds counters. */
static inline size_t hak_slots_bytes(void)
{
	return (size_t)hak_heap_max() * HAK_HEAP_STRIDE;
}

static inline char *hak_slots_base(void)
{
	return hak_heap_base() + HAK_HEAP_DELTA;
}

/* Returns whether only the caller can be counting in a slot of its own. */
static inline bool hak_slots_alone(void)
{
	return hak_heap_live() == hak_has_cache();
}

/*
 * Where a page is no larger than half a slot, only the slots with tallies (abi.h) have memory in
 * their second half. Returns the bytes of slot `i` that have memory.
 */
static inline size_t hak_slots_part(unsigned int i)
{
	bool halves = hak_page <= HAK_HEAP_HALF && i >= HAK_TALLY_BLOCKS;

	return halves ? HAK_HEAP_HALF : HAK_HEAP_STRIDE;
}

/*
 * Makes untouched slots writable, as private memory or as the segment's. Returns what
 * hak_share_populate() returns.
 */
int hak_slots_enable(unsigned int first, unsigned int count);
int hak_slots_populate(unsigned int first, unsigned int count);
/* Maps the memfd over the counters. The writable ones are already in the file. */
int hak_slots_map(int fd, size_t offset);

/* Makes every slot private, with its counts. Returns 0 or -errno. */
int hak_slots_unshare(void);
void hak_slots_unshare_unused(void);
/* For a fork child: makes the slots private and zero. */
void hak_slots_cover(void);
/*
 * Called when the segment goes while other threads count. Moves the slots that no thread owns; the
 * threads move the others (hak_slots_settle).
 */
void hak_slots_drop(void);
/* Whether threads still have slots to move, or tallies could not be moved. */
extern HAK_HIDDEN _Atomic bool hak_slots_leaving;
void hak_slots_settle(struct hak_cache *c); /* called by the thread that runs c, no lock held */
void hak_slots_forget(void);		    /* no slots are left to move */

#endif
