/* SPDX-License-Identifier: MIT */
/*
 * A thread and its heap: attached at the thread's first slow path, given up when the thread ends.
 */
#ifndef HAK_ATTACH_H
#define HAK_ATTACH_H

#include "heap/heap.h"

/*
 * The usable cache of the calling thread, made or adopted if need be; &hak_cache_shared if it
 * cannot have one.
 */
struct hak_cache *hak_heap_attach(void);

/* The same only in a copy of the process that no fork handler has run in yet. */
static inline void hak_attach_copy(void)
{
	if (hak_unlikely(hak_heap_is_copy()))
		hak_heap_attach();
}

#endif
