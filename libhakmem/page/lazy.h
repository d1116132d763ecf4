/* SPDX-License-Identifier: MIT */
/*
 * The published table of lazily freed ranges, by which a controller pages out while the process
 * sleeps, and whether such a controller is attached. The table lies in the segment, which passes it
 * to hak_lazy_use().
 *
 * HAK_LOCK_RCACHE guards the table.
 */
#ifndef HAK_LAZY_H
#define HAK_LAZY_H

#include "base/hak.h"
#include "control/abi/abi.h"

/*
 * The region cache publishes the ranges that it freed lazily. Both functions are called under
 * HAK_LOCK_RCACHE. Returns false: no room (counted), or no table. The table gets its pages when
 * tune.c finds that it may be needed, since no page is touched for the first time under that lock.
 */
bool hak_lazy_add(void *p, size_t bytes);
void hak_lazy_remove(void *p, size_t bytes); /* before the region is handed out */

/* Called by share.c: the table to write to, or NULL. */
void hak_lazy_use(struct hak_lazy_table *t);

/*
 * Checks the table: `count` ranges of whole slices, the largest first, none twice; the sequence
 * number is even while nothing changes. Returns the table, or NULL. HAK_LOCK_RCACHE held, or all
 * threads stopped.
 */
#if HAK_DEBUG
const struct hak_lazy_table *hak_lazy_check(void);
#endif

/*
 * Returns true if a controller that can page out is attached, as tune.c found when it last looked.
 * Then MADV_FREE is used although region.evict says dontneed.
 */
bool hak_lazy_pageout_attached(void);
void hak_lazy_set_pageout(bool attached);

#endif
