/* SPDX-License-Identifier: MIT */
/*
 * Page runs: blocks above 16 KiB and below 1 MiB, in extents of their own. A run belongs to no
 * heap: whoever frees it puts it in its own cache. extent.start[] says where runs begin, of which
 * class, and whether they lie in a cache: that byte belongs to whoever holds the run.
 */
#ifndef HAK_RUN_H
#define HAK_RUN_H

#include "base/hak.h"
#include "extent.h"

/*
 * A run of the class, one of a slab's for a sampled block (sample.h), start[] set as in use,
 * page-aligned to `align` bytes (a power of two up to HAK_EXTENT / 2).
 */
void *hak_run_new(unsigned int cls, size_t align, bool *ret_zero);
/*
 * Whether p, found in a thread cache, is a free run of the class: a program that wrote to it after
 * it was freed may have left anything there.
 */
bool hak_run_is_cached(const void *p, unsigned int cls);
/* Back to its extent; start[] cleared. */
void hak_run_release(void *p);

/*
 * Whether a run in use is a sampled one (sample.h). The mark stands in start[] at the second unit,
 * which belongs to the run as well: runs of run classes have five units at least. It is no class,
 * so that no block is taken to begin there. A run of a slab's class is always a sampled one.
 */
#define HAK_RUN_SAMPLED HAK_RUN_CACHED
static inline bool hak_run_is_sampled(const uint8_t *start)
{
	return start[1];
}
void hak_run_set_sampled(void *p);

static inline uint8_t *hak_run_start(struct hak_extent *e, const void *p)
{
	return &e->start[(size_t)((const char *)p - e->base) / HAK_UNIT];
}

#endif
