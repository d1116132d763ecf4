/* SPDX-License-Identifier: MIT */
/* The slabs of a heap. See slablist.h. */
#include "slablist.h"

#include "holes.h"
#include "page/epoch.h"
#include "pool.h"
#include "remote.h"

void hak_slablist_settle(struct hak_cache *c, struct hak_slab *s)
{
	struct hak_heap_class *hc = &c->heap->cls[s->cls];

	hak_slab_check(s);
	hak_assert(hak_slab_owner(s) == c);
	hak_slab_came_back(s, hak_purge_epoch());
	if (s->state == HAK_SLAB_CURRENT)
		return;
	if (s->state == HAK_SLAB_FULL) {
		hak_slablist_remove(&hc->full, s);
		hak_stop("settle.off_list");
		hak_slablist_push(&hc->partial, s);
		s->state = HAK_SLAB_PARTIAL;
	}
	if (hak_slab_idle(s)) {
		hak_slablist_remove(&hc->partial, s);
		hak_slab_release(s);
	}
}

uint32_t hak_slablist_drain(struct hak_cache *c)
{
	struct hak_slab *s = hak_mpsc_take(&c->heap->remote);
	uint32_t blocks = 0, n;

	while (s) {
		struct hak_slab *next = hak_remote_drain(s, &n);

		hak_heap_count1(c, REMOTE_DRAIN);
		blocks += n;
		if (n)
			hak_slablist_settle(c, s);
		else if (s->state == HAK_SLAB_PARTIAL)
			/*
			 * the refill had taken its blocks; the slab may be idle and kept by QUEUED
			 * alone
			 */
			hak_slablist_settle(c, s);
		s = next;
	}
	return blocks;
}

void hak_slablist_release_current(struct hak_cache *c, unsigned int cls)
{
	struct hak_slab *s = c->heap->cls[cls].current;

	if (!s || !hak_slab_idle(s))
		return;
	c->heap->cls[cls].current = NULL;
	hak_slab_release(s);
}

uint64_t hak_slablist_trim(struct hak_cache *c, uint32_t age, uint32_t most)
{
	uint32_t now = hak_purge_epoch();
	uint64_t bytes = 0;

	hak_heap_busy(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		for (struct hak_slab *s = c->heap->cls[k].partial.head; s && most; s = s->next)
			if (hak_slab_stale(s, now, age)) {
				bytes += hak_holes_trim(s);
				most--;
			}
	hak_heap_idle(c);
	return bytes;
}

static void pool_list(struct hak_cache *c, struct hak_slab_list *l)
{
	struct hak_slab *s = l->head;

	l->head = NULL;
	while (s) {
		struct hak_slab *next = s->next;
		uint8_t state = s->state;

		s->prev = s->next = NULL;
		hak_stop("retire.off_list");
		if (hak_pool_put(s)) {
			hak_heap_count1(c, POOL_PUT);
		} else {
			/*
			 * QUEUED: the slab is in the heap's queue, or will be, and the thread that
			 * adopts the heap finds it
			 */
			s->state = state;
			hak_slablist_push(l, s);
		}
		s = next;
	}
}

void hak_slablist_retire(struct hak_cache *c)
{
	hak_heap_busy(c);
	hak_slablist_drain(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		struct hak_heap_class *hc = &c->heap->cls[k];

		if (hc->current) {
			hc->current->state = HAK_SLAB_PARTIAL;
			hak_slablist_push(&hc->partial, hc->current);
			hc->current = NULL;
		}
		pool_list(c, &hc->partial);
		pool_list(c, &hc->full);
	}
	hak_heap_idle(c);
}

bool hak_slablist_is_empty(const struct hak_heap *h)
{
	if (atomic_load_explicit(&h->remote.head, memory_order_relaxed))
		return false;
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		const struct hak_heap_class *hc = &h->cls[k];

		if (hc->current || hc->partial.head || hc->full.head || hc->spare)
			return false;
	}
	return true;
}

#if HAK_DEBUG

static void check_slab(const struct hak_cache *c, const struct hak_slab *s, unsigned int cls,
		       unsigned int state)
{
	hak_assert(s->cls == cls && s->state == state);
	hak_assert(hak_slab_owner(s) == c);
	hak_assert(state != HAK_SLAB_PARTIAL || !hak_slab_idle(s));
	hak_assert(state != HAK_SLAB_FULL || (!s->nfree && !s->holes));
	hak_slab_check(s);
}

static void check_list(const struct hak_cache *c, const struct hak_slab *s, unsigned int cls,
		       unsigned int state)
{
	for (const struct hak_slab *before = NULL; s; before = s, s = s->next) {
		hak_assert(s->prev == before);
		check_slab(c, s, cls, state);
	}
}

void hak_slablist_check(const struct hak_cache *c, unsigned int cls)
{
	const struct hak_heap_class *hc = &hak_heap_of(c)->cls[cls];

	if (hc->current) {
		hak_assert(!hc->current->prev && !hc->current->next);
		check_slab(c, hc->current, cls, HAK_SLAB_CURRENT);
	}
	check_list(c, hc->partial.head, cls, HAK_SLAB_PARTIAL);
	check_list(c, hc->full.head, cls, HAK_SLAB_FULL);
}

#endif
