/* SPDX-License-Identifier: MIT */
/*
 * Runs: blocks above 16 KiB and below 1 MiB, in extents of their own. A run belongs to no heap; the
 * thread that frees a run puts it into its own cache. extent.start[] says where runs begin, of
 * which class they are, and whether they lie in a cache. That byte belongs to the holder of the
 * run.
 */
#ifndef HAK_RUN_H
#define HAK_RUN_H

#include "base/hak.h"
#include "extent.h"

/*
 * Returns a run of the class, which is a slab's class for a sampled block (sample.h), with start[]
 * set as in use. The run is aligned to `align` bytes (a power of two up to HAK_EXTENT / 2), at
 * least to a page.
 */
void *hak_run_new(unsigned int cls, size_t align, bool *ret_zero);
/*
 * Returns whether p, found in a thread cache, is a free run of the class. A program that wrote to p
 * after the free may have left any pointer there.
 */
bool hak_run_is_cached(const void *p, unsigned int cls);
/* Gives the run back to its extent and clears start[]. */
void hak_run_release(void *p);

/*
 * Makes a run in use one of the class, where it is. Returns false, with nothing changed: the units
 * that follow the run are not free, no memory is left, or the run is a sampled one. *ret_before:
 * the class that it was of.
 */
bool hak_run_resize(void *p, unsigned int cls, unsigned int *ret_before);

/*
 * Tells whether a run in use is a sampled one (sample.h). The mark stands in start[] at the second
 * unit, which belongs to the run as well, because runs of run classes have at least five units. The
 * mark is no class, so no block is taken to begin there. A run of a slab's class is always a
 * sampled one.
 */
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
