/* SPDX-License-Identifier: MIT */
/*
 * A thread and its heap. A heap is attached on the thread's first slow path and given up when the
 * thread ends.
 */
#ifndef HAK_ATTACH_H
#define HAK_ATTACH_H

#include "heap/heap.h"

/*
 * Returns the usable cache of the calling thread, made or adopted if necessary, or
 * &hak_cache_shared if the thread cannot have one.
 */
struct hak_cache *hak_heap_attach(void);

/* Attaches a heap only in a copy of the process in which no fork handler has run yet. */
static inline void hak_attach_copy(void)
{
	if (hak_unlikely(hak_heap_is_copy()))
		hak_heap_attach();
}

#endif
