/* SPDX-License-Identifier: MIT */
/*
 * Birth, death and adoption of heaps. A heap that its thread leaves keeps its slabs and waits for
 * the next thread (dead.h). Threads that cannot have a heap use the shared heap, behind a lock.
 */
#ifndef HAK_LIFE_H
#define HAK_LIFE_H

#include "heap/heap.h"

/*
 * Makes a heap, adopted or new, that of the calling thread, which is inside. Returns NULL if there
 * is none.
 */
struct hak_heap *hak_heap_take(void);
/*
 * Takes back the heap of the calling thread, which is inside and has flushed its cache. From then
 * on the thread uses the shared heap. Returns the number of threads that still have a heap.
 */
unsigned int hak_heap_give(struct hak_heap *h);

/*
 * Returns the cache of the shared heap, locked. Between enter and leave the caller runs the cache.
 * Takes HAK_LOCK_SHARED.
 */
struct hak_cache *hak_heap_shared_enter(void);
void hak_heap_shared_leave(struct hak_cache *c);

/* For a fork child. Other threads do not exist there; their heaps become dead or are leaked. */
void hak_heap_fork_child(struct hak_cache *self);
/*
 * Whether the copy was made while another thread had taken this thread's heap over, and changed it:
 * its lists cannot be trusted. The thread is not inside then; it gets another heap.
 */
bool hak_heap_is_cut(struct hak_cache *self);
/* Makes the wiped cache of the only thread usable again: empty, with its slabs. */
void hak_heap_revive(struct hak_cache *c);

#endif
