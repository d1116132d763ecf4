/* SPDX-License-Identifier: MIT */
/*
 * Allocates the descriptors of extents and regions outside of the heap. Each kind has pieces of one
 * size, cut from memory that is never given back, and a free list. HAK_LOCK_META, the last lock in
 * the order, guards both.
 */
#ifndef HAK_META_H
#define HAK_META_H

#include "base/hak.h"

/* Bytes of each kind, in whole cache lines; asserted beside the structures. */
#define HAK_META_EXTENT_BYTES 832u
#define HAK_META_REGION_BYTES 128u

enum hak_meta_kind { HAK_META_EXTENT, HAK_META_REGION, HAK_META_KINDS };

void *hak_meta_get(enum hak_meta_kind kind); /* zeroed; NULL: no memory */
void hak_meta_put(enum hak_meta_kind kind, void *p);
/* For a copy of the process made while another thread held HAK_LOCK_META: begins anew. */
void hak_meta_abandon(void);

/*
 * Unused memory lies between what was cut and the end; free pieces are whole lines, of the kind's
 * size apart from each other. HAK_LOCK_META held, or all threads stopped.
 */
#if HAK_DEBUG
void hak_meta_check(void);
#else
static inline void hak_meta_check(void)
{
}
#endif

#endif
