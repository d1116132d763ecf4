/* SPDX-License-Identifier: MIT */
/*
 * Taking lazily freed memory away from a process that sleeps.
 *
 * For: hakmemctl purge, hakmemd. Attached means: an OFD lock on byte 1 of the tune memfd, held by
 * the segment's own open file description. While it is there the process evicts with MADV_FREE and
 * publishes what it freed lazily; the kernel drops it when the holder dies, and the process is back
 * to MADV_DONTNEED at its next slow path. The holder must not fork: the child would keep the lock.
 *
 * The ranges are the word of a stranger: only what lies in private anonymous mappings of that very
 * process is paged out, a bounded amount in a bounded time. A range that is reused meanwhile loses
 * nothing but speed: where there is no swap, pages in use stay.
 */
#ifndef HAK_PAGEOUT_H
#define HAK_PAGEOUT_H

#include "control/segment.h"

/* 0 if this program may page out here; -EPERM without CAP_SYS_NICE, -EBUSY where there is swap,
 * -ENODEV where that cannot be read, -ENOSYS; `why` says so. */
int hak_pageout_possible(char why[HAK_WHY_TEXT]);

/* 0; -EBUSY when another controller is attached, which is as good; -EACCES when the segment is not
 * open for writing. */
int hak_pageout_attach(const struct hak_segment *seg);
void hak_pageout_detach(const struct hak_segment *seg);

/* *ret: bytes by which its resident memory fell (smaps_rollup). 0 or -errno of the first thing that
 * failed. */
int hak_pageout_run(const struct hak_segment *seg, uint64_t *ret);

/* The same for who must not be kept long by one process: no more than `max_bytes`, which take about
 * 80 ms a GiB, and *ret as the kernel's own count has it, which is off by some hundred KiB. */
int hak_pageout_some(const struct hak_segment *seg, uint64_t max_bytes, uint64_t *ret);

#endif
