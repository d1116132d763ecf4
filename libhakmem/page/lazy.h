/* SPDX-License-Identifier: MIT */
/*
 * What lets a controller page out while the process sleeps: the published table of lazily freed
 * ranges, and whether a controller that does so is attached. The table lies in the segment, which
 * hands it in by hak_lazy_use().
 *
 * HAK_LOCK_RCACHE guards the table.
 */
#ifndef HAK_LAZY_H
#define HAK_LAZY_H

#include "base/hak.h"
#include "control/abi/abi.h"

/*
 * The region cache publishes what it freed lazily; both under HAK_LOCK_RCACHE. False: no room
 * (counted), or no table. The table gets its pages when tune.c finds that it may be needed, since
 * no page is touched for the first time under that lock.
 */
bool hak_lazy_add(void *p, size_t bytes);
void hak_lazy_remove(void *p, size_t bytes); /* before the region is handed out */

/* By segment.c: the table to write to, or NULL. */
void hak_lazy_use(struct hak_lazy_table *t);

/*
 * True when MADV_FREE should be used although region.evict says dontneed: a controller that can
 * page out is attached. As tune.c found when it last looked.
 */
bool hak_lazy_pageout_attached(void);
void hak_lazy_set_pageout(bool attached);

#endif
