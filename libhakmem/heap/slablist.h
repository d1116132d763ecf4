/* SPDX-License-Identifier: MIT */
/*
 * The slabs of a heap: the current one of each class, those with room, and those without. A slab is
 * on the list of its state. Written by the thread that runs the heap; of a heap without a thread
 * under HAK_LOCK_REGISTRY.
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

/* Blocks came back to a slab of the cache's own heap: it has room, or is idle and goes. */
void hak_slablist_settle(struct hak_cache *c, struct hak_slab *s);
/* Collects what other threads gave back to slabs of the heap. Returns blocks. */
uint32_t hak_slablist_drain(struct hak_cache *c);
/* Gives the current slab of the class back if it is idle. */
void hak_slablist_release_current(struct hak_cache *c, unsigned int cls);
/*
 * Gives back whole free pages of partly used slabs to which nothing came back for `age` epochs, of
 * at most `most` slabs. Bytes as hak_purge_count() counts them. HAK_LOCK_PURGE may be held.
 */
uint64_t hak_slablist_trim(struct hak_cache *c, uint32_t age, uint32_t most);
/*
 * All slabs of a heap without a thread go to the pool, but those QUEUED. Its cache was flushed when
 * the thread ended.
 */
void hak_slablist_retire(struct hak_cache *c);

#endif
