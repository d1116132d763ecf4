/* SPDX-License-Identifier: MIT */
/* Dead heaps. See dead.h. */
#include "dead.h"

#include "base/lock.h"
#include "page/epoch.h"
#include "slablist.h"

static struct hak_heap *dead;
static _Atomic unsigned int kept; /* the number of these that still hold slabs */

static void forget_kept(struct hak_heap *h)
{
	if (h->kept)
		atomic_fetch_sub_explicit(&kept, 1, memory_order_relaxed);
	h->kept = false;
}

void hak_dead_add(struct hak_heap *h)
{
	hak_heap_set_state(h, HAK_HEAP_DEAD);
	h->kept = true;
	h->died = hak_purge_epoch();
	h->next_dead = dead;
	dead = h;
	atomic_fetch_add_explicit(&kept, 1, memory_order_relaxed);
}

struct hak_heap *hak_dead_take(void)
{
	struct hak_heap *h = dead;

	if (!h)
		return NULL;
	dead = h->next_dead;
	hak_stop("adopt.off_list");
	forget_kept(h);
	return h;
}

void hak_dead_forget(void)
{
	dead = NULL;
	atomic_store_explicit(&kept, 0, memory_order_relaxed);
}

void hak_dead_drain(uint32_t age)
{
	uint32_t now = hak_purge_epoch();

	hak_lock(HAK_LOCK_REGISTRY);
	for (struct hak_heap *h = dead; h; h = h->next_dead)
		if ((h->kept && now - h->died >= age) ||
		    atomic_load_explicit(&h->remote.head, memory_order_relaxed)) {
			forget_kept(h);
			hak_slablist_retire(h->cache);
		}
	hak_unlock(HAK_LOCK_REGISTRY);
}

bool hak_dead_scavenge(void)
{
	struct hak_heap *h;

	if (hak_likely(!atomic_load_explicit(&kept, memory_order_relaxed)))
		return false;
	hak_lock(HAK_LOCK_REGISTRY);
	for (h = dead; h && !h->kept; h = h->next_dead)
		;
	if (h) {
		forget_kept(h);
		hak_slablist_retire(h->cache);
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	return h;
}
