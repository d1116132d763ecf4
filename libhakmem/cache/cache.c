/* SPDX-License-Identifier: MIT */
/* A thread cache as a whole. See cache.h. */
#include "cache.h"

#include "bin.h"
#include "flush.h"
#include "heap/remote.h"
#include "heap/slablist.h"

#if HAK_DEBUG
void hak_cache_check(struct hak_cache *c)
{
	const struct hak_heap *h = hak_heap_of(c);
	const struct hak_sample *sample = &h->sample;

	hak_assert(c->magic == HAK_CACHE_MAGIC);
	hak_assert(c->heap == h && h->cache == c && h->index < hak_heap_count());
	hak_assert(hak_heap_cache_at(h->index) == c);
	hak_assert(h->state == HAK_HEAP_LIVE && !h->holds_slabs);
	/* the buffer is used within a flush alone */
	for (unsigned int i = 0; i < HAK_REMOTE_SLOTS; i++)
		hak_assert(!c->remote[i].slab);
	for (unsigned int k = 0; k < HAK_CLASSES; k++)
		hak_bin_check(c, k);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		hak_slablist_check(c, k);
		hak_assert(!sample->bytes ||
			   (sample->cls[k].rest && sample->cls[k].rest <= hak_class_size(k)));
	}
	hak_mpsc_check(&h->remote, c);
	hak_budget_check(c);
}
#endif

static void flush_class(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	void *spare = hc->spare, *list = c->bin[cls].head;
	uint32_t spared = hc->spare_n, listed = hak_bin_length(c, cls);

	hc->base -= listed;
	c->bin[cls].head = NULL;
	hc->spare = NULL;
	hc->spare_n = 0;
	hak_bin_arm(c, cls, 0, hak_bin_limit(hc, cls));
	hak_flush_begin(c);
	if (spare)
		hak_flush_list(c, cls, spare, spared);
	if (list)
		hak_flush_list(c, cls, list, listed);
}

void hak_cache_flush(struct hak_cache *c)
{
	hak_heap_busy(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		flush_class(c, k);
	for (unsigned int k = HAK_SLAB_CLASSES; k < HAK_CLASSES; k++)
		hak_bin_trim_runs(c, k, 0);
	hak_slablist_drain(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		hak_slablist_release_current(c, k);
	hak_cache_reset_limits(c);
	hak_heap_idle(c);
	hak_cache_check(c);
}

void hak_cache_decay(struct hak_cache *c, uint64_t now_ms)
{
	hak_heap_busy(c);
	c->heap->decay_ms = now_ms;
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		struct hak_heap_class *hc = &c->heap->cls[k];
		uint64_t allocs = hak_counters(c)->hot[k].allocs;

		if (allocs == hc->allocs_seen) {
			flush_class(c, k);
			hak_slablist_release_current(c, k);
			while (hak_bin_limit(hc, k) > hak_bin_first_limit(k))
				hak_bin_shrink(c, k);
			hc->carve = 0;
		} else if (!hc->misses) {
			hak_bin_shrink(c, k);
		}
		hc->allocs_seen = allocs;
		hc->misses = 0;
	}
	for (unsigned int k = HAK_SLAB_CLASSES; k < HAK_CLASSES; k++) {
		uint64_t allocs = hak_counters(c)->hot[k].allocs;

		if (allocs == c->heap->run[k - HAK_SLAB_CLASSES].allocs_seen)
			hak_bin_trim_runs(c, k, 0);
		c->heap->run[k - HAK_SLAB_CLASSES].allocs_seen = allocs;
	}
	hak_slablist_drain(c);
	hak_heap_idle(c);
	hak_cache_check(c);
}
