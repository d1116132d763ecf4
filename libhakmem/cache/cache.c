/* SPDX-License-Identifier: MIT */
/* A thread cache as a whole. See cache.h. */
#include "cache.h"

#include "bin.h"
#include "flush.h"
#include "heap/slablist.h"

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
}
