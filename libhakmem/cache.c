/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of a thread cache: refill, flush, the buffer for other heaps' blocks, decay.
 * Structures in heap.h. Everything here runs as the thread that owns the cache.
 */

#include "epoch.h"
#include "heap.h"
#include "holes.h"
#include "misuse.h"
#include "pool.h"
#include "probe.h"
#include "remote.h"
#include "run.h"
#include "stats.h"
#include "stop.h"

#define LIST_FIRST_BYTES ((size_t)4 << 10)   /* a list's limit to begin with */
#define LIST_MAX_BYTES	 ((size_t)256 << 10) /* and at most */
#define CARVE_MAX_BYTES	 ((size_t)16 << 10)
#define RUNS_MAX	 16u /* in a run class's list */
#define SCAN_PARTIAL	 8u  /* slabs looked at for the fullest */

static void busy(struct hak_cache *c)
{
	atomic_store_explicit(&c->heap->busy, 1, memory_order_relaxed);
	/* the mark before the first change, as another thread's fork cuts them */
	atomic_thread_fence(memory_order_release);
}

static void idle(struct hak_cache *c)
{
	atomic_store_explicit(&c->heap->busy, 0, memory_order_release);
}

static uint32_t first_limit(unsigned int cls)
{
	uint32_t n = (uint32_t)(LIST_FIRST_BYTES / hak_class_size(cls));

	return n < 4 ? 4 : n;
}

static uint32_t limit_of(const struct hak_heap_class *hc, unsigned int cls)
{
	return hc->limit ? hc->limit : first_limit(cls);
}

static uint32_t max_limit(unsigned int cls)
{
	uint32_t n = (uint32_t)(LIST_MAX_BYTES / hak_class_size(cls));

	return n > 8192 ? 8192 : n;
}

static uint64_t run_bytes(struct hak_cache *c)
{
	uint64_t bytes = 0;

	for (unsigned int k = HAK_SLAB_CLASSES; k < HAK_CLASSES; k++)
		bytes += (uint64_t)hak_bin_length(c, k) * hak_class_size(k);
	return bytes;
}

void hak_cache_reset_limits(struct hak_cache *c)
{
	c->heap->budget = (int64_t)hak_tun(HAK_T_CACHE_THREAD_BYTES) - (int64_t)run_bytes(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		/* untouched pages stay so */
		if (c->heap->cls[k].limit || c->heap->cls[k].carve)
			c->heap->cls[k].limit = c->heap->cls[k].carve = 0;
}

static void bound(struct hak_cache *c, unsigned int cls);

/* Room for a bin of n blocks. Half a list of slack keeps a swap from being undone at once. */
static void arm(struct hak_cache *c, unsigned int cls, uint32_t n, uint32_t limit)
{
	uint32_t room = n < limit ? limit - n : 0;

	if (room < limit / 2)
		room = limit / 2;
	if (!room)
		room = 1;
	c->bin[cls].room = room;
	if (hak_unlikely(c->heap->sample.bytes))
		bound(c, cls);
}

/* ---- slab lists of a heap ---- */

static void list_push(struct hak_slab_list *l, struct hak_slab *s)
{
	s->prev = NULL;
	s->next = l->head;
	if (l->head)
		l->head->prev = s;
	l->head = s;
}

static void list_remove(struct hak_slab_list *l, struct hak_slab *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else
		l->head = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = s->next = NULL;
}

static struct hak_slab *fullest(struct hak_slab_list *l)
{
	struct hak_slab *best = NULL;
	unsigned int seen = 0;

	for (struct hak_slab *s = l->head; s && seen < SCAN_PARTIAL; s = s->next, seen++)
		if (!best || s->used > best->used)
			best = s;
	return best;
}

/* After blocks came back to a slab of ours: it has room, or is idle and goes. */
static void settle(struct hak_cache *c, struct hak_slab *s)
{
	struct hak_heap_class *hc = &c->heap->cls[s->cls];

	hak_slab_check(s);
	hak_assert(hak_slab_owner(s) == c);
	hak_slab_came_back(s, hak_purge_epoch());
	if (s->state == HAK_SLAB_CURRENT)
		return;
	if (s->state == HAK_SLAB_FULL) {
		list_remove(&hc->full, s);
		hak_stop("settle.off_list");
		list_push(&hc->partial, s);
		s->state = HAK_SLAB_PARTIAL;
	}
	if (hak_slab_idle(s)) {
		list_remove(&hc->partial, s);
		hak_slab_release(s);
	}
}

/* Collects what strangers gave back. Returns blocks. */
static uint32_t drain(struct hak_cache *c)
{
	struct hak_slab *s = hak_mpsc_take(&c->heap->remote);
	uint32_t blocks = 0, n;

	while (s) {
		struct hak_slab *next = hak_remote_drain(s, &n);

		hak_heap_count1(c, REMOTE_DRAIN);
		blocks += n;
		if (n)
			settle(c, s);
		else if (s->state == HAK_SLAB_PARTIAL)
			/* refill had taken its blocks; idle perhaps, only QUEUED kept it */
			settle(c, s);
		s = next;
	}
	return blocks;
}

/* ---- refill ---- */

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
		hc->carve = size >= LIST_FIRST_BYTES ? 1 : (uint32_t)(LIST_FIRST_BYTES / size);
	n = hak_slab_carve(s, hc->carve, &chain);
	if (hc->carve * size < CARVE_MAX_BYTES)
		hc->carve *= 2;
	*ret_head = n ? chain.head : NULL;
	return n;
}

/* Blocks from the current slab; 0 when it has none, then it is the current one no more. */
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
	if (hak_unlikely(s->holes) && hak_slab_untrim(s)) {
		hak_heap_count1(c, REFILL_OWN);
		return take_list(s, ret_head);
	}
	n = carve(c, cls, s, ret_head);
	if (n) {
		hak_heap_count1(c, REFILL_CARVE);
		return n;
	}
	s->state = HAK_SLAB_FULL;
	list_push(&hc->full, s);
	hc->current = NULL;
	return 0;
}

/* The pool, and what heaps without a thread still hold. */
static struct hak_slab *from_pool(struct hak_cache *c, unsigned int cls)
{
	struct hak_slab *s;

	do {
		s = hak_pool_get(c, cls);
	} while (!s && hak_heap_scavenge());
	return s;
}

/* Another slab becomes the current one. False: no memory. */
static bool next_slab(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	struct hak_slab *s = fullest(&hc->partial);
	bool extent;

	if (s) {
		list_remove(&hc->partial, s);
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

	if (atomic_load_explicit(&c->heap->remote.head, memory_order_relaxed) && drain(c))
		hak_heap_count1(c, REFILL_REMOTE);
	do {
		n = from_current(c, cls, ret_head);
		if (n)
			return n;
	} while (next_slab(c, cls));
	return 0;
}

static void note_size(struct hak_cache *c, unsigned int cls, size_t size)
{
	hak_class_count_n(c, REQ_SAMPLES, cls, 1);
	hak_class_count_n(c, REQ_BYTES, cls, size);
}

void *hak_cache_refill(struct hak_cache *c, unsigned int cls, size_t size)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	bool spare = hc->spare;
	void *head;
	uint32_t n;

	busy(c);
	note_size(c, cls, size);
	if (spare) {
		head = hc->spare;
		n = hc->spare_n;
		hc->spare = NULL;
		hc->spare_n = 0;
		hak_heap_count1(c, REFILL_SPARE);
	} else {
		n = refill_slab(c, cls, &head);
		if (!n) {
			idle(c);
			return NULL;
		}
		hc->misses++;
		hak_class_count_n(c, REFILLED, cls, n);
	}
	hc->base += n;
	hak_stop("refill.half");
	/* the caller pops one and counts it */
	c->bin[cls].head = head;
	arm(c, cls, n, limit_of(hc, cls));
	idle(c);
	hak_probe(hakmem, refill, hak_class_size(cls), n, spare);
	return head;
}

/* ---- flush ---- */

static void give_local(struct hak_cache *c, struct hak_slab *s, struct hak_chain *ch)
{
	*(void **)ch->tail = s->free;
	s->free = ch->head;
	hak_stop("flush.local_half");
	s->nfree += (uint16_t)ch->n;
	s->used -= (uint16_t)ch->n;
	settle(c, s);
}

static void push_remote(struct hak_cache *c, unsigned int i)
{
	struct hak_slab *s = c->remote[i].slab;
	struct hak_chain ch = c->remote[i].chain;

	c->remote[i].slab = NULL;
	hak_stop("flush.before_push");
	hak_heap_count1(c, REMOTE_PUSH);
	if (hak_remote_push(s, &ch))
		hak_heap_count1(c, REMOTE_QUEUE);
}

static void push_all_remote(struct hak_cache *c)
{
	for (unsigned int i = 0; i < HAK_REMOTE_SLOTS; i++)
		if (c->remote[i].slab)
			push_remote(c, i);
}

/*
 * Gathers blocks of one slab, hashed by slab: the fewer pushes, the fewer atomics on lines of other
 * threads.
 */
static void give_remote(struct hak_cache *c, struct hak_slab *s, struct hak_chain *ch)
{
	unsigned int i = (unsigned int)((uintptr_t)s / sizeof(*s)) % HAK_REMOTE_SLOTS;
	struct hak_chain *to = &c->remote[i].chain;

	hak_heap_count_n(c, FREE_REMOTE, ch->n);
	hak_class_count_n(c, FLUSHED_REMOTE, s->cls, ch->n);
	if (c->remote[i].slab != s) {
		if (c->remote[i].slab)
			push_remote(c, i);
		c->remote[i].slab = s;
		*to = *ch;
	} else {
		*(void **)ch->tail = to->head;
		to->head = ch->head;
		to->n += ch->n;
	}
}

static void give(struct hak_cache *c, struct hak_slab *s, struct hak_chain *ch)
{
	bool mine = hak_slab_owner(s) == c;

	hak_stop("free.after_owner");
	if (mine)
		give_local(c, s, ch);
	else
		give_remote(c, s, ch);
}

static bool on_list(const void *p, const void *q, uint32_t n)
{
	for (; q && n; q = *(void *const *)q, n--)
		if (q == p)
			return true;
	return false;
}

/* A flush begins: of one list, or of both of a class. */
static void next_serial(struct hak_cache *c)
{
	c->heap->serial += 1 + (c->heap->serial == HAK_KEY_SERIALS);
}

/*
 * Whether p is free already: it lies on a hole, or this flush put it on a list before, that is, it
 * bears the flush's serial number, which by itself could be 65,535 flushes old, and is found on the
 * chain at hand or in its slab's own list.
 */
static bool seen_before(struct hak_cache *c, const uintptr_t *p, struct hak_slab *s,
			const struct hak_chain *ch)
{
	if (hak_unlikely(hak_slab_in_hole(s, p)))
		return true;
	if (hak_likely(p[1] != hak_key_of(p, c->heap->serial)))
		return false;
	return on_list(p, ch->head, ch->n) ||
	       (hak_slab_owner(s) == c && on_list(p, s->free, s->nfree));
}

/*
 * A list of n blocks goes back, neighbours of one slab together. A block that was freed twice makes
 * it a circle, one written after it was freed lacks its key: then the rest is lost.
 */
static void flush_list(struct hak_cache *c, unsigned int cls, void *p, uint32_t n)
{
	struct hak_slab *s = NULL;
	struct hak_chain ch = { NULL, NULL, 0 };

	hak_class_count_n(c, FLUSHED, cls, n);
	for (; n; n--) {
		void *next = *(void **)p;
		struct hak_slab *of;

		of = hak_key_is_free(p) ? hak_slab_of(p) : NULL;
		if (hak_unlikely(!of || seen_before(c, p, of, &ch) || !next != (n == 1))) {
			hak_misuse("double free(), or memory written after free():", p);
			break;
		}
		((uintptr_t *)p)[1] = hak_key_of(p, c->heap->serial);
		if (hak_unlikely(!hak_slab_is_block(of, p))) {
			hak_misuse("free() of a pointer inside a block:", p);
			p = next;
			continue;
		}
		if (of != s) {
			if (ch.n)
				give(c, s, &ch);
			s = of;
			ch = (struct hak_chain){ p, p, 0 };
		}
		*(void **)ch.tail = p;
		ch.tail = p;
		ch.n++;
		p = next;
	}
	if (ch.n)
		give(c, s, &ch);
	push_all_remote(c);
}

/* The link behind the n-th block from *link on; NULL: one of them is not as it was freed. */
static void **link_behind(void **link, uint32_t n)
{
	for (; n; n--) {
		if (hak_unlikely(!*link || !hak_key_is_free(*link)))
			return NULL;
		link = *link;
	}
	return link;
}

/* All but the newest `keep` of n blocks go in front of the second list. */
static void shorten(struct hak_cache *c, unsigned int cls, uint32_t n, uint32_t keep)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	void **link = link_behind(&c->bin[cls].head, keep), **last, *list = NULL;
	uint32_t listed = hc->spare_n;

	last = link ? link_behind(link, n - keep) : NULL;
	if (hak_unlikely(!last))
		return; /* malloc will meet it and say so */
	if (hc->spare && listed >= limit_of(hc, cls)) {
		list = hc->spare;
		hc->spare = NULL;
		hc->spare_n = 0;
	}
	*last = hc->spare;
	hc->spare = *link;
	*link = NULL;
	hc->spare_n += n - keep;
	hc->base -= n - keep;
	if (list) {
		next_serial(c);
		flush_list(c, cls, list, listed);
	}
}

static void bound(struct hak_cache *c, unsigned int cls)
{
	uint64_t ahead = hak_sample_ahead(c, cls);
	uint32_t n = hak_bin_length(c, cls), keep = n;
	int32_t room = c->bin[cls].room;

	if (n + (uint64_t)(room > 0 ? room : 0) <= ahead)
		return;
	if (keep > (ahead + 1) / 2)
		keep = (uint32_t)((ahead + 1) / 2);
	if (keep < n)
		shorten(c, cls, n, keep);
	if (room > 0 && (uint64_t)room > ahead - keep)
		c->bin[cls].room = (int32_t)(ahead - keep);
}

void hak_cache_bound(struct hak_cache *c, unsigned int cls)
{
	busy(c);
	bound(c, cls);
	idle(c);
}

void hak_cache_bound_all(struct hak_cache *c)
{
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		hak_cache_bound(c, k);
}

static bool grow(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint32_t limit = limit_of(hc, cls);
	int64_t cost = 2 * (int64_t)limit * (int64_t)hak_class_size(cls);

	if (!hc->misses || limit * 2 > max_limit(cls) || cost > c->heap->budget)
		return false;
	c->heap->budget -= cost;
	hc->limit = limit * 2;
	return true;
}

static void shrink(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];

	if (limit_of(hc, cls) <= first_limit(cls))
		return;
	hc->limit /= 2;
	c->heap->budget += 2 * (int64_t)hc->limit * (int64_t)hak_class_size(cls);
}

static void trip_slab(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint32_t n = hak_bin_length(c, cls), listed = 0;
	void *list = NULL;

	if (n >= limit_of(hc, cls) && !(hc->spare && grow(c, cls))) {
		list = hc->spare;
		listed = hc->spare_n;
		hc->spare = c->bin[cls].head;
		hc->spare_n = n;
		hc->base -= n;
		c->bin[cls].head = NULL;
		hak_stop("flush.swapped");
		n = 0;
	}
	arm(c, cls, n, limit_of(hc, cls));
	if (list) {
		hak_heap_count1(c, FREE_FLUSH);
		next_serial(c);
		flush_list(c, cls, list, listed);
	}
}

static uint32_t flush_runs(struct hak_cache *c, unsigned int cls, void *p, uint32_t all)
{
	uint32_t n = 0;

	while (p) {
		void *next;

		if (hak_unlikely(!hak_run_is_cached(p, cls))) {
			hak_misuse("double free(), or memory written after free():", p);
			n = all; /* the rest is lost */
			break;
		}
		next = *(void **)p;
		hak_run_release(p);
		p = next;
		n++;
	}
	hak_class_count_n(c, FLUSHED, cls, n);
	return n;
}

/* Keeps the newest `keep` runs of the bin. */
static void trim_runs(struct hak_cache *c, unsigned int cls, uint32_t keep)
{
	void **link = &c->bin[cls].head, *rest;
	uint32_t all = hak_bin_length(c, cls), kept = 0;

	while (kept < keep && *link && hak_run_is_cached(*link, cls)) {
		link = *link;
		kept++;
	}
	rest = *link;
	*link = NULL;
	hak_stop("flush.runs_cut");
	c->heap->budget += (int64_t)(all - kept) * (int64_t)hak_class_size(cls);
	*hak_bin_base(c->heap, cls) -= flush_runs(c, cls, rest, all - kept);
}

static void trip_run(struct hak_cache *c, unsigned int cls)
{
	uint32_t n = hak_bin_length(c, cls);

	if (n >= RUNS_MAX || c->heap->budget < 0) {
		hak_heap_count1(c, FREE_FLUSH);
		trim_runs(c, cls, n / 2);
		n = hak_bin_length(c, cls);
	}
	c->bin[cls].room = (int32_t)(RUNS_MAX - n);
}

void hak_cache_pass_run(struct hak_cache *c, unsigned int cls, void *p)
{
	c->heap->budget += (int64_t)hak_class_size(cls);
	hak_counters(c)->hot[cls].frees++;
	hak_class_count_n(c, FLUSHED, cls, 1);
	--*hak_bin_base(c->heap, cls);
	hak_run_release(p);
}

void hak_cache_trip(struct hak_cache *c, unsigned int cls)
{
	hak_heap_count1(c, FREE_TRIP);
	busy(c);
	if (cls < HAK_SLAB_CLASSES)
		trip_slab(c, cls);
	else
		trip_run(c, cls);
	idle(c);
}

void hak_cache_flush_remote(struct hak_cache *c)
{
	busy(c);
	push_all_remote(c);
	idle(c);
}

/* ---- whole caches ---- */

static void flush_class(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	void *spare = hc->spare, *list = c->bin[cls].head;
	uint32_t spared = hc->spare_n, listed = hak_bin_length(c, cls);

	hc->base -= listed;
	c->bin[cls].head = NULL;
	hc->spare = NULL;
	hc->spare_n = 0;
	arm(c, cls, 0, limit_of(hc, cls));
	next_serial(c);
	if (spare)
		flush_list(c, cls, spare, spared);
	if (list)
		flush_list(c, cls, list, listed);
}

static void release_idle_current(struct hak_cache *c, unsigned int cls)
{
	struct hak_slab *s = c->heap->cls[cls].current;

	if (!s || !hak_slab_idle(s))
		return;
	c->heap->cls[cls].current = NULL;
	hak_slab_release(s);
}

void hak_cache_flush(struct hak_cache *c)
{
	busy(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		flush_class(c, k);
	for (unsigned int k = HAK_SLAB_CLASSES; k < HAK_CLASSES; k++)
		trim_runs(c, k, 0);
	drain(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		release_idle_current(c, k);
	hak_cache_reset_limits(c);
	idle(c);
}

uint64_t hak_cache_trim(struct hak_cache *c, uint32_t age, uint32_t most)
{
	uint32_t now = hak_purge_epoch();
	uint64_t bytes = 0;

	busy(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		for (struct hak_slab *s = c->heap->cls[k].partial.head; s && most; s = s->next)
			if (hak_slab_stale(s, now, age)) {
				bytes += hak_slab_trim(s);
				most--;
			}
	idle(c);
	return bytes;
}

void hak_cache_decay(struct hak_cache *c, uint64_t now_ms)
{
	busy(c);
	c->heap->decay_ms = now_ms;
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		struct hak_heap_class *hc = &c->heap->cls[k];
		uint64_t allocs = hak_counters(c)->hot[k].allocs;

		if (allocs == hc->allocs_seen) {
			flush_class(c, k);
			release_idle_current(c, k);
			while (limit_of(hc, k) > first_limit(k))
				shrink(c, k);
			hc->carve = 0;
		} else if (!hc->misses) {
			shrink(c, k);
		}
		hc->allocs_seen = allocs;
		hc->misses = 0;
	}
	for (unsigned int k = HAK_SLAB_CLASSES; k < HAK_CLASSES; k++) {
		uint64_t allocs = hak_counters(c)->hot[k].allocs;

		if (allocs == c->heap->run[k - HAK_SLAB_CLASSES].allocs_seen)
			trim_runs(c, k, 0);
		c->heap->run[k - HAK_SLAB_CLASSES].allocs_seen = allocs;
	}
	drain(c);
	idle(c);
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
			 * QUEUED: it is on our list, or will be, and whoever adopts the heap finds
			 * it
			 */
			s->state = state;
			list_push(l, s);
		}
		s = next;
	}
}

void hak_cache_retire(struct hak_cache *c)
{
	busy(c);
	drain(c);
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		struct hak_heap_class *hc = &c->heap->cls[k];

		if (hc->current) {
			hc->current->state = HAK_SLAB_PARTIAL;
			list_push(&hc->partial, hc->current);
			hc->current = NULL;
		}
		pool_list(c, &hc->partial);
		pool_list(c, &hc->full);
	}
	idle(c);
}

void hak_cache_broken(struct hak_cache *c, unsigned int cls)
{
	void *p = c->bin[cls].head;

	hak_misuse("double free(), or memory written after free():", p);
	/* the links cannot be trusted: what is in the cache is lost */
	*hak_bin_base(c->heap, cls) -= hak_bin_length(c, cls);
	c->bin[cls].head = NULL;
	if (cls >= HAK_SLAB_CLASSES)
		return;
	c->heap->cls[cls].spare = NULL;
	c->heap->cls[cls].spare_n = 0;
}
