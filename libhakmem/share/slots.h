/* SPDX-License-Identifier: MIT */
/*
 * The counters of heaps, one slot of HAK_HEAP_STRIDE bytes for each heap: shared memory while there
 * is a segment, private memory else. A slot is moved from one to the other while no other thread
 * counts in it: by its own thread, or under the locks of those it serves.
 *
 * HAK_LOCK_TUNE or HAK_LOCK_REGISTRY held, as segment.h says.
 */
#ifndef HAK_SLOTS_H
#define HAK_SLOTS_H

#include <stdatomic.h>

#include "heap/heap.h"

extern HAK_HIDDEN unsigned int hak_slots_writable; /* slots [0, this) may be touched */

/* Of the counters half. */
static inline size_t hak_slots_bytes(void)
{
	return (size_t)hak_heap_max() * HAK_HEAP_STRIDE;
}

static inline char *hak_slots_base(void)
{
	return hak_heap_base() + HAK_HEAP_DELTA;
}

/* Whether no thread but the caller can be counting in a slot of its own. */
static inline bool hak_slots_alone(void)
{
	return hak_heap_live() == (hak_self->magic == HAK_CACHE_MAGIC);
}

/*
 * Makes slots writable that were not touched before, as private memory or as the segment's: results
 * as of hak_share_populate().
 */
int hak_slots_enable(unsigned int first, unsigned int count);
int hak_slots_populate(unsigned int first, unsigned int count);
/* Maps the memfd over the counters, of which the writable ones are already in the file. */
int hak_slots_map(int fd, size_t offset);

/* Every slot becomes private with what was counted. 0 or -errno. */
int hak_slots_unshare(void);
void hak_slots_unshare_unused(void);
/* In a fork child: private and zero. */
void hak_slots_cover(void);
/*
 * The segment goes while other threads count: what no thread owns is moved now, the rest by its
 * threads (hak_slots_settle).
 */
void hak_slots_drop(void);
/* Whether there are slots that their threads have still to move. */
extern HAK_HIDDEN _Atomic bool hak_slots_leaving;
void hak_slots_settle(struct hak_cache *c); /* by the thread that runs c, no lock held */
void hak_slots_forget(void);		    /* there are none any more */

#endif
