/* SPDX-License-Identifier: MIT */
/*
 * Dead heaps: the list from which a new thread adopts one. Until then the slabs of a dead heap
 * serve other threads through the pool.
 *
 * A dead heap that holds nothing for some epochs leaves the list and becomes an empty slot. The
 * kernel gets the pages of its cache and its record back, and its state is UNUSED, which is 0, so
 * that it reads the same where pages stay. Its counters stay. A thread takes an empty slot where
 * there is no dead heap. The first slot is never emptied: its page has the mark that tells a copy
 * of the process (heap.c).
 *
 * HAK_LOCK_REGISTRY guards the list and the set of empty slots. The set is changed in an order in
 * which a copy of the process at any point finds a slot in one place or in none.
 *
 * Each heap whose state is DEAD is on the list, has no hot region and died in this epoch or before.
 * A slot in the set was used before, is not the first, and is UNUSED.
 */
#ifndef HAK_DEAD_H
#define HAK_DEAD_H

#include "heap.h"

/* HAK_LOCK_REGISTRY must be held. */
void hak_dead_add(struct hak_heap *h);
/* The heap that died last, or an empty slot. NULL if there is none. */
struct hak_heap *hak_dead_take(void);
/* For a fork child, which lists dead heaps anew. Returns the number of empty slots, which stay. */
unsigned int hak_dead_forget(void);

/*
 * Moves slabs to the pool: those of heaps that have been dead for `age` epochs, or to which other
 * threads gave blocks back. Takes HAK_LOCK_REGISTRY.
 */
void hak_dead_drain(uint32_t age);
/*
 * Empties the slots of heaps that hold nothing and have been dead for `age` epochs. Returns bytes.
 * *ret_more: later epochs find more to drain or to empty. Takes HAK_LOCK_REGISTRY;
 * HAK_LOCK_PURGE held.
 */
uint64_t hak_dead_empty(uint32_t age, bool *ret_more);
bool hak_dead_scavenge(void); /* does the same for one heap; false if none has slabs */

/* Checks the list and the set. HAK_LOCK_REGISTRY held, or all threads stopped. */
#if HAK_DEBUG
void hak_dead_check(void);
#else
static inline void hak_dead_check(void)
{
}
#endif

#endif
