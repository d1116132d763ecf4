/* SPDX-License-Identifier: MIT */
/*
 * Birth, death and adoption of heaps. A heap that its thread leaves keeps its slabs and waits for
 * the next thread (dead.h). Threads that cannot have a heap share one, behind a lock.
 */
#ifndef HAK_LIFE_H
#define HAK_LIFE_H

#include "heap/heap.h"

/* A heap for the calling thread, adopted or new; NULL: there is none. */
struct hak_heap *hak_heap_take(void);
/* Its thread has left it, the cache flushed. */
void hak_heap_give(struct hak_heap *h);

/*
 * The locked cache of threads without one. Between enter and leave the caller runs it; takes
 * HAK_LOCK_SHARED.
 */
struct hak_cache *hak_heap_shared_enter(void);
void hak_heap_shared_leave(struct hak_cache *c);

/* In a fork child: other threads are gone, their heaps become dead or are leaked. */
void hak_heap_fork_child(struct hak_cache *self);
/* A wiped cache of the only thread: empty, usable, with its slabs. */
void hak_heap_revive(struct hak_cache *c);

#endif
