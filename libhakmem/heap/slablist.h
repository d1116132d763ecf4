/* SPDX-License-Identifier: MIT */
/*
 * The slabs of a heap: the current one of each class, those with room, and those without. A slab is
 * on the list of its state. The thread that runs the heap writes the lists; those of a dead heap
 * are written under HAK_LOCK_REGISTRY.
 */
#ifndef HAK_SLABLIST_H
#define HAK_SLABLIST_H

#include "heap.h"

static inline void hak_slablist_push(struct hak_slab_list *l, struct hak_slab *s)
{
	s->prev = NULL;
	s->next = l->head;
	if (l->head)
		l->head->prev = s;
	l->head = s;
}

static inline void hak_slablist_remove(struct hak_slab_list *l, struct hak_slab *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		l->head = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = s->next = NULL;
}

/*
 * Called when blocks came back to a slab of the cache's own heap: the slab now has room, or is idle
 * and is released.
 */
void hak_slablist_settle(struct hak_cache *c, struct hak_slab *s);
/* Collects the remote blocks of the heap's slabs. Returns their number. */
uint32_t hak_slablist_drain(struct hak_cache *c);
/* Releases the current slab of the class if it is idle. */
void hak_slablist_release_current(struct hak_cache *c, unsigned int cls);
/*
 * Gives back whole free pages of partly used slabs to which no block came back for `age` epochs, of
 * at most `most` slabs. Returns bytes as hak_purge_count() counts them. HAK_LOCK_PURGE may be held.
 */
uint64_t hak_slablist_trim(struct hak_cache *c, uint32_t age, uint32_t most);
#define HAK_TRIM_MOST 256u /* slabs searched for holes by the way: takes a few ms */
/*
 * Moves all slabs of a dead heap to the pool, except QUEUED ones. The heap's cache was flushed when
 * the thread ended.
 */
void hak_slablist_retire(struct hak_cache *c);
/*
 * Of a dead heap: whether no slab names it as the owner and no spare list is left. Then no thread
 * pushes to its queue, because a slab that is QUEUED stays on the lists of its owner.
 */
bool hak_slablist_is_empty(const struct hak_heap *h);

/*
 * The lists of a class: the current slab CURRENT and on no list, the others on the list of their
 * state, all of them of the class and owned by the cache. A PARTIAL slab is not idle, a FULL one
 * has no block on its list and no hole. By the thread that runs the heap, or with all threads
 * stopped.
 */
#if HAK_DEBUG
void hak_slablist_check(const struct hak_cache *c, unsigned int cls);
#else
static inline void hak_slablist_check(const struct hak_cache *c, unsigned int cls)
{
	(void)c, (void)cls;
}
#endif

#endif
