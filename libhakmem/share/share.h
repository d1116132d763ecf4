/* SPDX-License-Identifier: MIT */
/*
 * The process's own side of the segment (layout: abi.h): creating the two memfds, keeping
 * their descriptors honest, publishing heaps, answers and lazily freed ranges. Failure costs
 * visibility, never an allocation.
 *
 * The counters of heaps: heap.c reserves [base, base + HAK_HEAP_REGION) for heaps and the same
 * again, HAK_HEAP_DELTA further, for their struct hak_heap_block. Until a segment exists the second
 * half is private memory. Creating the segment maps the memfd's heap part over it, counts so far
 * copied. From then on nothing in the segment may be touched that was not populated: a hole answers
 * SIGBUS when memory is short.
 *
 * Descriptors: memfd.h. The table of lazily freed ranges: lazy.c.
 *
 * HAK_LOCK_TUNE guards creation and dropping; HAK_LOCK_REGISTRY is held by life.c around populate;
 * HAK_LOCK_RCACHE guards the lazy table. No correctness of the allocator depends on shared memory.
 */
#ifndef HAK_SEGMENT_H
#define HAK_SEGMENT_H

#include "base/hak.h"
#include "control/abi/abi.h"

extern HAK_HIDDEN struct hak_ack *hak_ack; /* NULL without a segment; written under HAK_LOCK_TUNE */

/*
 * life.c, before the counters of slots [first, first + count) are touched for the first time: makes
 * them writable. 0: published, or there is no segment to publish in. 1: usable, but private memory
 * that no reader sees. Negative errno: not usable.
 */
int hak_share_populate(unsigned int first, unsigned int count);

/* ---- for tune.c alone, under HAK_LOCK_TUNE or in a constructor ---- */

/*
 * Makes the two memfds and maps them; what was counted so far is carried over. The tune page's
 * slots and generation begin as in `layers`; `locked` goes to the header. 0, or -errno and
 * everything as it was before. -EAGAIN: other threads have heaps, whose counts would be cut.
 */
int hak_share_create(const struct hak_tune *layers, bool locked);
/*
 * The shared pages become private ones with what was counted so far; the descriptors are closed in
 * a process that never had a second thread. The counters of a thread that runs are moved by that
 * thread, the next time it looks at the clock (hak_slots_settle): until then it counts where
 * nobody expects it. 0, or -EBUSY: pages are larger than a heap's counters and several threads run;
 * nothing changed.
 */
int hak_share_drop(void);
/* By agent.c: the process has had a second thread, or is a fork child. */
void hak_share_note_threads(bool there_are);
/*
 * In a fork child: the parent's segment is left, and one of the child's own made in its place if
 * there was one and `layers` is given. Counters start at zero, gauges as saved. 0: there is one.
 */
int hak_share_leave(const struct hak_tune *layers, bool locked);
/*
 * In a fork child that cannot leave it yet, without a lock: what it counts from now on its parent
 * does not see. False: it does.
 */
bool hak_share_unshare(void);
struct hak_tune *hak_share_tune(void); /* NULL without a segment */
void hak_share_lazy_prepare(void);
/* Whether somebody else's open description holds byte 1 of the tune memfd. */
bool hak_share_pageout_locked(void);

#endif
