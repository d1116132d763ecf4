/* SPDX-License-Identifier: MIT */
/*
 * Heaps without a thread: the list from which a new thread adopts one. Until then the slabs of such
 * a heap serve others through the pool. HAK_LOCK_REGISTRY guards the list.
 */
#ifndef HAK_DEAD_H
#define HAK_DEAD_H

#include "heap.h"

/* HAK_LOCK_REGISTRY held. */
void hak_dead_add(struct hak_heap *h);
struct hak_heap *hak_dead_take(void); /* NULL: there is none */
void hak_dead_forget(void);	      /* in a fork child, which lists them anew */

/*
 * The slabs of heaps to the pool that have been without a thread for `age` epochs, or to which
 * other threads gave something back; HAK_LOCK_REGISTRY inside.
 */
void hak_dead_drain(uint32_t age);
bool hak_dead_scavenge(void); /* the same for one heap; false: none has any */

#endif
