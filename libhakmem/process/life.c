/* SPDX-License-Identifier: MIT */
/* Birth, death and adoption of heaps. See life.h. */
#include "life.h"

#include <string.h>

#include "base/lock.h"
#include "cache/bin.h"
#include "cache/flush.h"
#include "cache/purge.h"
#include "heap/dead.h"
#include "heap/sample.h"
#include "heap/takeover.h"
#include "share/share.h"
#include "system/os.h"
#include "tsd.h"

static bool ready, failed_for_good; /* HAK_LOCK_REGISTRY */

/* ---- slots; HAK_LOCK_REGISTRY ---- */

/* At first only one slot is enabled, so that a process with one thread pays for no more. */
static bool enable_to(unsigned int to)
{
	unsigned int from = hak_table.enabled;
	/* the page that holds the end of the last heap is enabled already */
	size_t first = hak_align_up((size_t)from * sizeof(struct hak_heap), hak_page);
	size_t last = hak_align_up((size_t)to * sizeof(struct hak_heap), hak_page);

	if (hak_os_enable_kept(hak_table.base + (size_t)from * HAK_HEAP_STRIDE,
			       (size_t)(to - from) * HAK_HEAP_STRIDE) ||
	    (first < last && hak_os_enable((char *)hak_heaps + first, last - first)) ||
	    hak_share_populate(from, to - from) < 0)
		return false;
	hak_table.enabled = to;
	return true;
}

/*
 * The lists become empty and the counters stay. `base` makes the length of each bin 0. The cache
 * counts as one whose thread is inside, so that no thread takes it over; the thread that gets it
 * leaves.
 */
static void init_cache(struct hak_heap *h)
{
	struct hak_cache *c = h->cache;

	memset(c, 0, sizeof(*c));
	c->heap = h;
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		int64_t zero =
			(int64_t)(hak_counters(c)->hot[k].allocs - hak_counters(c)->hot[k].frees);
		int64_t *length = hak_bin_base(h, k);

		if (*length != zero) /* untouched pages stay untouched */
			*length = zero;
		if (k < HAK_SLAB_CLASSES)
			c->bin[k].inverse = hak_class_inverse[k];
	}
	hak_cache_reset_limits(c);
	hak_sample_begin(c);
	c->inside = 1;
	c->magic = HAK_CACHE_MAGIC;
}

/* The last slot is kept for the shared heap. */
static struct hak_heap *new_slot(bool for_shared)
{
	unsigned int i = hak_heap_count(), to = i ? (i / HAK_HEAP_CHUNK + 1) * HAK_HEAP_CHUNK : 1;
	struct hak_heap *h;

	if (i >= hak_table.slots - !for_shared)
		return NULL;
	if (i >= hak_table.enabled && !enable_to(to))
		return NULL;
	h = &hak_heaps[i];
	h->index = i;
	h->cache = hak_heap_cache_at(i);
	if (!i)
		hak_heap_set_mark();
	atomic_store_explicit(&hak_table.used, i + 1, memory_order_release);
	return h;
}

static bool init_registry(void)
{
	if (ready || failed_for_good)
		return ready;
	if (!hak_heap_reserve()) {
		failed_for_good = true;
		return false;
	}
	ready = true;
	return true;
}

/* ---- heaps of threads ---- */

struct hak_heap *hak_heap_take(void)
{
	struct hak_heap *h = NULL;

	hak_lock(HAK_LOCK_REGISTRY);
	if (init_registry() && hak_tsd_made()) {
		h = hak_dead_take();
		if (h) {
			hak_count(HAK_C_HEAPS_DEAD, -1);
			hak_count(HAK_C_HEAPS_ADOPTED, 1);
		} else {
			h = new_slot(false);
		}
	}
	if (h) {
		init_cache(h);
		h->rounds = 0;
		/* requests from before this thread began do not concern it */
		__atomic_store_n(&h->flushed,
				 atomic_load_explicit(&hak_purge_asked, memory_order_relaxed),
				 __ATOMIC_RELAXED);
		hak_heap_set_state(h, HAK_HEAP_LIVE);
		hak_count(HAK_C_HEAPS_LIVE, 1);
		atomic_fetch_add_explicit(&hak_table.live, 1, memory_order_release);
		/* under the lock: else a copy made in between would declare the heap dead */
		hak_self = h->cache;
	} else {
		hak_count(HAK_C_HEAPS_UNPUBLISHED, 1);
	}
	hak_heap_check();
	hak_dead_check();
	hak_unlock(HAK_LOCK_REGISTRY);
	return h;
}

unsigned int hak_heap_give(struct hak_heap *h)
{
	unsigned int live;

	hak_lock(HAK_LOCK_REGISTRY);
	/*
	 * under the lock: else a copy made in between would declare the heap dead, and go on to do
	 * so a second time
	 */
	hak_self = &hak_cache_shared;
	hak_stop("exit.inside");
	hak_dead_add(h);
	live = atomic_fetch_sub_explicit(&hak_table.live, 1, memory_order_acq_rel) - 1;
	hak_count(HAK_C_HEAPS_LIVE, -1);
	hak_count(HAK_C_HEAPS_DEAD, 1);
	hak_heap_check();
	hak_dead_check();
	hak_unlock(HAK_LOCK_REGISTRY);
	hak_takeover_leave(h->cache);
	return live;
}

/* ---- the shared heap ---- */

struct hak_cache *hak_heap_shared_enter(void)
{
	hak_lock(HAK_LOCK_SHARED);
	if (hak_likely(hak_table.shared)) {
		hak_sample_tune(hak_table.shared->cache);
		return hak_table.shared->cache;
	}
	hak_lock(HAK_LOCK_REGISTRY);
	hak_table.shared = init_registry() ? new_slot(true) : NULL;
	hak_unlock(HAK_LOCK_REGISTRY);
	if (!hak_table.shared)
		return NULL;
	init_cache(hak_table.shared);
	hak_heap_set_state(hak_table.shared, HAK_HEAP_LIVE);
	return hak_table.shared->cache;
}

void hak_heap_shared_leave(struct hak_cache *c)
{
	/* blocks of other heaps are not held back: no other thread may ever come */
	if (c)
		hak_cache_flush_remote(c);
	hak_unlock(HAK_LOCK_SHARED);
}

/* ---- fork ---- */

bool hak_heap_is_cut(struct hak_cache *self)
{
	struct hak_heap *h = hak_heap_of(self);

	return __atomic_load_n(&h->taken_over, __ATOMIC_ACQUIRE) &&
	       atomic_load_explicit(&h->busy, memory_order_acquire);
}

void hak_heap_revive(struct hak_cache *c)
{
	init_cache(hak_heap_of(c));
	hak_heap_leave(c);
	hak_heap_of(c)->taken_over = false;
	atomic_store_explicit(&hak_heap_of(c)->busy, 0, memory_order_relaxed);
}

/* Counts in the child the lists that the thread which uses the heap next will find. */
static void count_spares(struct hak_heap *h)
{
#if HAK_CONTROL
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		if (h->cls[k].spare_n)
			hak_class_count_n(h->cache, REFILLED, k, h->cls[k].spare_n);
#else
	(void)h;
#endif
}

void hak_heap_fork_child(struct hak_cache *self)
{
	unsigned int n = hak_heap_count(), dead_now;

	if (n)
		hak_heap_set_mark();
	hak_tsd_fork_child();
	dead_now = hak_dead_forget();
	for (unsigned int i = 0; i < n; i++) {
		struct hak_heap *h = &hak_heaps[i];

		if (hak_heap_cache_at(i) == self) {
			hak_heap_set_state(h, HAK_HEAP_LIVE);
			continue;
		}
		if (h->state == HAK_HEAP_UNUSED)
			continue;
		init_cache(h);
		h->taken_over = false;
		hak_hot_leave(&h->hot_region);
		if (h == hak_table.shared) {
			/*
			 * in a copy without handlers; another shared heap is made when one is
			 * needed
			 */
			if (atomic_load_explicit(&h->busy, memory_order_acquire))
				hak_table.shared = NULL;
			else
				count_spares(h);
			continue;
		}
		count_spares(h);
		/*
		 * cut in the middle of a change: its lists cannot be trusted, so the heap is leaked
		 */
		if (h->state != HAK_HEAP_DEAD &&
		    atomic_load_explicit(&h->busy, memory_order_acquire)) {
			hak_heap_set_state(h, HAK_HEAP_UNUSED);
			continue;
		}
		hak_dead_add(h);
		dead_now++;
	}
	atomic_store_explicit(&hak_table.live, self != NULL, memory_order_relaxed);
#if HAK_CONTROL
	atomic_store_explicit(hak_proc_at(HAK_C_HEAPS_LIVE), self != NULL, memory_order_relaxed);
	atomic_store_explicit(hak_proc_at(HAK_C_HEAPS_DEAD), dead_now, memory_order_relaxed);
#else
	(void)dead_now;
#endif
	hak_heap_check();
	hak_dead_check();
}
