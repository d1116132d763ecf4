/* SPDX-License-Identifier: MIT */
/*
 * The process's own side of the segment (layout: abi.h): creates the two memfds, keeps their
 * descriptors valid, publishes heaps, answers and lazily freed ranges. A failure costs visibility,
 * never an allocation.
 *
 * The counters of heaps: heap.c reserves [base, base + HAK_HEAP_REGION) for heaps and the same
 * again, HAK_HEAP_DELTA further, for their struct hak_heap_block. Until a segment exists the second
 * half is private memory. Creating the segment copies the counts so far and maps the memfd's heap
 * part over this half. From then on only populated parts of the segment may be touched, because a
 * hole causes SIGBUS when memory is short.
 *
 * Descriptors: memfd.h. The table of lazily freed ranges: lazy.c.
 *
 * HAK_LOCK_TUNE guards creation and dropping; life.c holds HAK_LOCK_REGISTRY around populate;
 * HAK_LOCK_RCACHE guards the lazy table. The correctness of the allocator does not depend on shared
 * memory.
 */
#ifndef HAK_SEGMENT_H
#define HAK_SEGMENT_H

#include "base/hak.h"
#include "control/abi/abi.h"

extern HAK_HIDDEN struct hak_ack *hak_ack; /* NULL without a segment; written under HAK_LOCK_TUNE */

/*
 * For life.c, before the counters of slots [first, first + count) are touched for the first time:
 * makes them writable. Returns 0: published, or there is no segment to publish in. 1: usable, but
 * private memory that no reader sees. Negative errno: not usable.
 */
int hak_share_populate(unsigned int first, unsigned int count);

/* ---- for tune.c alone, under HAK_LOCK_TUNE or in a constructor ---- */

/*
 * Makes the two memfds and maps them; what was counted so far is carried over. The tune page's
 * slots and generation begin as in `layers`; `locked` goes to the header. Returns 0, or -errno with
 * all state as before. -EAGAIN: other threads have heaps, whose counts would be cut.
 */
int hak_share_create(const struct hak_tune *layers, bool locked);
/*
 * Turns the shared pages into private ones that keep the counts so far. The descriptors are closed
 * in a process that never had a second thread. A running thread moves its own counters the next
 * time it looks at the clock (hak_slots_settle); until then it counts in pages that no reader
 * expects. Returns 0, or -EBUSY: pages are larger than a heap's counters and several threads run;
 * nothing changed.
 */
int hak_share_drop(void);
/* For agent.c: the process has had a second thread, or is a fork child. */
void hak_share_note_threads(bool there_are);
/*
 * For a fork child: leaves the parent's segment, and makes one of the child's own in its place if
 * there was one and `layers` is given. Counters start at zero, gauges as saved. Returns 0 if there
 * is a segment.
 */
int hak_share_leave(const struct hak_tune *layers, bool locked);
/*
 * For a fork child that cannot leave the segment yet; takes no lock. The parent does not see what
 * the child counts from now on. Returns false if it does.
 */
bool hak_share_unshare(void);
struct hak_tune *hak_share_tune(void); /* NULL without a segment */
void hak_share_lazy_prepare(void);
/* Returns whether another open description holds a lock on byte 1 of the tune memfd. */
bool hak_share_pageout_locked(void);

#endif
