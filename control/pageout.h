/* SPDX-License-Identifier: MIT */
/*
 * Takes lazily freed memory away from a process that sleeps.
 *
 * For hakmemctl purge and hakmemd. A controller is attached while it holds an OFD lock on byte 1 of
 * the tune memfd through the segment's own open file description. During that time the process
 * evicts with MADV_FREE and publishes what it freed lazily. The kernel drops the lock when the
 * holder dies, and the process is back to MADV_DONTNEED at its next slow path. The holder must not
 * fork: the child would keep the lock.
 *
 * The ranges are untrusted. Only memory in private anonymous mappings of that very process is paged
 * out, a bounded amount in a bounded time. A range that is reused meanwhile loses nothing but
 * speed: where there is no swap, pages in use stay.
 */
#ifndef HAK_PAGEOUT_H
#define HAK_PAGEOUT_H

#include "control/segment.h"

/* Returns 0 if this program may page out here; -EPERM without CAP_SYS_NICE, -EBUSY where there is
 * swap, -ENODEV where that cannot be read, -ENOSYS; with a sentence in `why`. */
int hak_pageout_possible(char why[HAK_WHY_TEXT]);

/* Returns 0; -EBUSY when another controller is attached, which is as good; -EACCES when the segment
 * is not open for writing. */
int hak_pageout_attach(const struct hak_segment *seg);
void hak_pageout_detach(const struct hak_segment *seg);

/* Stores in *ret the bytes by which resident memory fell (smaps_rollup). Returns 0 or the -errno of
 * the first failure. */
int hak_pageout_run(const struct hak_segment *seg, uint64_t *ret);

/* Does the same for a caller that one process must not keep long: pages out no more than
 * `max_bytes`, which take about 80 ms a GiB. *ret is by the kernel's own count, which is off by
 * some hundred KiB. */
int hak_pageout_some(const struct hak_segment *seg, uint64_t max_bytes, uint64_t *ret);

#endif
