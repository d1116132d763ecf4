/* SPDX-License-Identifier: MIT */
/*
 * Dead heaps: the list from which a new thread adopts one. Until then the slabs of a dead heap
 * serve other threads through the pool. HAK_LOCK_REGISTRY guards the list.
 */
#ifndef HAK_DEAD_H
#define HAK_DEAD_H

#include "heap.h"

/* HAK_LOCK_REGISTRY must be held. */
void hak_dead_add(struct hak_heap *h);
struct hak_heap *hak_dead_take(void); /* NULL if there is none */
void hak_dead_forget(void);	      /* for a fork child, which lists them anew */

/*
 * Moves slabs to the pool: those of heaps that have been dead for `age` epochs, or to which other
 * threads gave blocks back. Takes HAK_LOCK_REGISTRY.
 */
void hak_dead_drain(uint32_t age);
bool hak_dead_scavenge(void); /* does the same for one heap; false if none has slabs */

#endif
