/* SPDX-License-Identifier: MIT */
/* Filling an empty bin. See refill.h. */
#include "refill.h"

#include "base/probe.h"
#include "bin.h"
#include "heap/dead.h"
#include "heap/holes.h"
#include "heap/pool.h"
#include "heap/remote.h"
#include "heap/slablist.h"

#define CARVE_FIRST_BYTES ((size_t)4 << 10)
#define CARVE_MAX_BYTES	  ((size_t)16 << 10)
#define SCAN_PARTIAL	  8u /* slabs among which the fullest is taken */

static struct hak_slab *fullest(struct hak_slab_list *l)
{
	struct hak_slab *best = NULL;
	unsigned int seen = 0;

	for (struct hak_slab *s = l->head; s && seen < SCAN_PARTIAL; s = s->next, seen++)
		if (!best || s->used > best->used)
			best = s;
	return best;
}

static uint32_t take_list(struct hak_slab *s, void **ret_head)
{
	uint32_t n = s->nfree;

	*ret_head = s->free;
	s->free = NULL;
	hak_stop("refill.taken");
	s->nfree = 0;
	s->used += (uint16_t)n;
	return n;
}

static uint32_t carve(struct hak_cache *c, unsigned int cls, struct hak_slab *s, void **ret_head)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	size_t size = hak_class_size(cls);
	struct hak_chain chain;
	uint32_t n;

	if (!hc->carve)
		hc->carve = size >= CARVE_FIRST_BYTES ? 1 : (uint32_t)(CARVE_FIRST_BYTES / size);
	n = hak_slab_carve(s, hc->carve, &chain);
	if (hc->carve * size < CARVE_MAX_BYTES)
		hc->carve *= 2;
	*ret_head = n ? chain.head : NULL;
	return n;
}

/*
 * Takes blocks from the current slab. Returns 0 when it has none; then the heap has no current
 * slab.
 */
static uint32_t from_current(struct hak_cache *c, unsigned int cls, void **ret_head)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	struct hak_slab *s = hc->current;
	uint32_t n;

	if (!s)
		return 0;
	if (s->nfree) {
		hak_heap_count1(c, REFILL_OWN);
		return take_list(s, ret_head);
	}
	if (hak_remote_take(s)) {
		hak_heap_count1(c, REFILL_REMOTE);
		return take_list(s, ret_head);
	}
	if (hak_unlikely(s->holes) && hak_holes_untrim(s)) {
		hak_heap_count1(c, REFILL_OWN);
		return take_list(s, ret_head);
	}
	n = carve(c, cls, s, ret_head);
	if (n) {
		hak_heap_count1(c, REFILL_CARVE);
		return n;
	}
	s->state = HAK_SLAB_FULL;
	hak_slablist_push(&hc->full, s);
	hc->current = NULL;
	return 0;
}

/* Takes a slab from the pool, which includes what dead heaps still hold. */
static struct hak_slab *from_pool(struct hak_cache *c, unsigned int cls)
{
	struct hak_slab *s;

	do {
		s = hak_pool_get(c, cls);
	} while (!s && hak_dead_scavenge());
	return s;
}

/* Makes another slab the current one. Returns false: no memory. */
static bool next_slab(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	struct hak_slab *s = fullest(&hc->partial);
	bool extent;

	if (s) {
		hak_slablist_remove(&hc->partial, s);
		hak_stop("refill.off_list");
		s->state = HAK_SLAB_CURRENT;
		hak_heap_count1(c, REFILL_PARTIAL);
	} else if ((s = from_pool(c, cls))) {
		hak_heap_count1(c, REFILL_POOL);
	} else if ((s = hak_slab_new(c, cls, &extent))) {
		hak_heap_count1(c, REFILL_NEW_SLAB);
		if (extent)
			hak_heap_count1(c, REFILL_NEW_SUPERSLAB);
	} else {
		hak_heap_count1(c, REFILL_FAILED);
		return false;
	}
	hc->current = s;
	return true;
}

static uint32_t refill_slab(struct hak_cache *c, unsigned int cls, void **ret_head)
{
	uint32_t n;

	if (atomic_load_explicit(&c->heap->remote.head, memory_order_relaxed) &&
	    hak_slablist_drain(c))
		hak_heap_count1(c, REFILL_REMOTE);
	do {
		n = from_current(c, cls, ret_head);
		if (n)
			return n;
	} while (next_slab(c, cls));
	return 0;
}

/* The bin each time, which is not longer than what was put there. */
static inline void check(struct hak_cache *c, unsigned int cls)
{
	static __thread uint32_t refills HAK_TLS;

	hak_bin_check(c, cls);
	hak_budget_check(c);
	if (hak_check_due(&refills, 16))
		hak_slablist_check(c, cls);
}

void *hak_cache_refill(struct hak_cache *c, unsigned int cls, size_t size)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	bool spare = hc->spare;
	void *head;
	uint32_t n;

	hak_heap_busy(c);
	hak_bin_count_size(c, cls, size);
	if (spare) {
		head = hc->spare;
		n = hc->spare_n;
		hc->spare = NULL;
		hc->spare_n = 0;
		hak_heap_count1(c, REFILL_SPARE);
	} else {
		n = refill_slab(c, cls, &head);
		if (!n) {
			hak_heap_idle(c);
			return NULL;
		}
		hc->misses++;
		hak_bin_refilled(c, cls);
		hak_class_count_n(c, REFILLED, cls, n);
	}
	hc->base += n;
	hak_stop("refill.half");
	/* the caller pops one block and counts it */
	c->bin[cls].head = head;
	hak_bin_arm(c, cls, n, hak_bin_limit(hc, cls));
	hak_heap_idle(c);
	check(c, cls);
	hak_probe(hakmem, refill, hak_class_size(cls), n, spare);
	return head;
}
