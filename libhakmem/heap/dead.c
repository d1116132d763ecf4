/* SPDX-License-Identifier: MIT */
/* Dead heaps. See dead.h. */
#include "dead.h"

#include "base/lock.h"
#include "page/epoch.h"
#include "slablist.h"

static struct hak_heap *dead;
static _Atomic unsigned int holders; /* the number of these that still hold slabs */

static void forget_slabs(struct hak_heap *h)
{
	if (h->holds_slabs)
		atomic_fetch_sub_explicit(&holders, 1, memory_order_relaxed);
	h->holds_slabs = false;
}

void hak_dead_add(struct hak_heap *h)
{
	hak_heap_set_state(h, HAK_HEAP_DEAD);
	h->holds_slabs = true;
	h->died = hak_purge_epoch();
	h->next_dead = dead;
	dead = h;
	atomic_fetch_add_explicit(&holders, 1, memory_order_relaxed);
}

struct hak_heap *hak_dead_take(void)
{
	struct hak_heap *h = dead;

	if (!h)
		return NULL;
	dead = h->next_dead;
	hak_stop("adopt.off_list");
	forget_slabs(h);
	return h;
}

void hak_dead_forget(void)
{
	dead = NULL;
	atomic_store_explicit(&holders, 0, memory_order_relaxed);
}

void hak_dead_drain(uint32_t age)
{
	uint32_t now = hak_purge_epoch();

	hak_lock(HAK_LOCK_REGISTRY);
	for (struct hak_heap *h = dead; h; h = h->next_dead)
		if ((h->holds_slabs && now - h->died >= age) ||
		    atomic_load_explicit(&h->remote.head, memory_order_relaxed)) {
			forget_slabs(h);
			hak_slablist_retire(h->cache);
		}
	hak_unlock(HAK_LOCK_REGISTRY);
}

bool hak_dead_scavenge(void)
{
	struct hak_heap *h;

	if (hak_likely(!atomic_load_explicit(&holders, memory_order_relaxed)))
		return false;
	hak_lock(HAK_LOCK_REGISTRY);
	for (h = dead; h && !h->holds_slabs; h = h->next_dead)
		;
	if (h) {
		forget_slabs(h);
		hak_slablist_retire(h->cache);
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	return h;
}
