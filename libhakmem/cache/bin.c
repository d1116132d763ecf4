/* SPDX-License-Identifier: MIT */
/* The number of blocks that a bin may have. See bin.h. */
#include "bin.h"

#include "base/lock.h"
#include "flush.h"
#include "heap/misuse.h"
#include "heap/sample.h"
#include "page/run.h"

#define LIST_FIRST_BYTES ((size_t)8 << 10)   /* the first limit of a class's lists */
#define LIST_SOON_BYTES	 ((size_t)64 << 10)  /* to which one refill may make it grow */
#define LIST_MAX_BYTES	 ((size_t)512 << 10) /* the largest one */
#define RUNS_MAX	 16u		     /* the largest one of a run class's list */

uint32_t hak_bin_first_limit(unsigned int cls)
{
	/* LIST_FIRST_BYTES / hak_class_size(cls), exactly: class.h */
	uint32_t n = (uint32_t)(LIST_FIRST_BYTES * hak_class_inverse[cls] >> 32);

	return n < 8 ? 8 : n;
}

uint32_t hak_bin_limit(const struct hak_heap_class *hc, unsigned int cls)
{
	return hc->limit ? hc->limit : hak_bin_first_limit(cls);
}

static uint32_t max_limit(unsigned int cls)
{
	uint32_t n = (uint32_t)(LIST_MAX_BYTES / hak_class_size(cls));

	return n > 16384 ? 16384 : n;
}

static uint64_t run_bytes(struct hak_cache *c)
{
	uint64_t bytes = 0;

	for (unsigned int k = HAK_SLAB_CLASSES; k < HAK_CLASSES; k++)
		bytes += (uint64_t)hak_bin_length(c, k) * hak_class_size(k);
	return bytes;
}

/* With purge.delay_ms=0 nothing is to stay that is free: caches are as small as they can be. */
static uint64_t budget(void)
{
	return hak_tun(HAK_T_PURGE_DELAY_MS) ? hak_tun(HAK_T_CACHE_THREAD_BYTES) : 0;
}

uint64_t hak_cache_grown_bytes(const struct hak_heap *h)
{
	uint64_t bytes = 0;

	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		bytes += (uint64_t)(hak_bin_limit(&h->cls[k], k) - hak_bin_first_limit(k)) *
			 hak_class_size(k);
	return bytes;
}

static void renew_budget(struct hak_cache *c)
{
	int64_t whole = (int64_t)budget();

	c->heap->budget = whole - (int64_t)(run_bytes(c) + hak_cache_grown_bytes(c->heap));
#if HAK_DEBUG
	c->heap->whole_budget = whole;
#endif
}

void hak_cache_reset_limits(struct hak_cache *c)
{
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		/* untouched pages stay untouched */
		if (c->heap->cls[k].limit || c->heap->cls[k].carve)
			c->heap->cls[k].limit = c->heap->cls[k].carve = 0;
	renew_budget(c);
}

/* ---- invariants ---- */

#if HAK_DEBUG

/*
 * Whether p, found in a list of the class, is as the cache left it. A block of another class that
 * has a key came there by a fault of the cache.
 */
static bool is_intact(const void *p, unsigned int cls)
{
	size_t tag = hak_slice_tag(p);

	if (cls >= HAK_SLAB_CLASSES)
		return hak_run_is_cached(p, cls);
	if (!tag || !hak_class_divides((unsigned int)tag - 1, (uint16_t)(uintptr_t)p) ||
	    !hak_key_is_free(p))
		return false;
	hak_assert(tag == cls + 1);
	return true;
}

/* A block that was freed twice makes its list a circle. */
static bool is_circle(const void *p, unsigned int cls)
{
	const void *slow = p;

	for (bool move = false; p && is_intact(p, cls); move = !move) {
		p = *(void *const *)p;
		if (move)
			slow = *(void *const *)slow;
		if (p == slow)
			return true;
	}
	return false;
}

static const void *last_of(const void *p, unsigned int cls)
{
	if (is_circle(p, cls))
		return NULL;
	while (p && is_intact(p, cls) && *(void *const *)p)
		p = *(void *const *)p;
	return p;
}

/*
 * Whether a block was freed twice: its list is a circle, or goes on in the other list of the bin,
 * which has the block as well. flush meets it and says so.
 */
static bool freed_twice(const void *head, const void *other, unsigned int cls)
{
	const void *last = last_of(head, cls);

	return !last || last == last_of(other, cls);
}

static void check_list(const void *head, uint32_t length, const void *other, unsigned int cls)
{
	const void *p = head;
	uint32_t n = 0;

	for (; p && n < length; n++) {
		if (!is_intact(p, cls))
			return; /* malloc will meet it and say so */
		p = *(void *const *)p;
	}
	hak_assert(n == length || (head && freed_twice(head, other, cls)));
	hak_assert(!p || !is_intact(p, cls) || freed_twice(head, other, cls));
}

static void check_limits(const struct hak_heap_class *hc, unsigned int cls, int32_t room)
{
	uint32_t first = hak_bin_first_limit(cls);

	hak_assert(!hc->limit || (hc->limit >= first && hc->limit <= max_limit(cls)));
	hak_assert(!hc->limit || !(hc->limit % first));
	hak_assert(room <= (int32_t)(max_limit(cls) > first ? max_limit(cls) : first));
	hak_assert(!hc->spare == !hc->spare_n);
	hak_assert(hc->carve * hak_class_size(cls) < HAK_SLAB_BYTES);
}

void hak_bin_check(struct hak_cache *c, unsigned int cls)
{
	const struct hak_heap_class *hc = &c->heap->cls[cls];
	const struct hak_bin *b = &c->bin[cls];

	if (cls >= HAK_SLAB_CLASSES) {
		check_list(b->head, hak_bin_length(c, cls), NULL, cls);
		hak_assert(b->room <= (int32_t)RUNS_MAX);
		hak_assert(!b->inverse);
		return;
	}
	/* 0 while a thread has the cache, or asks for it: takeover.h */
	hak_assert(b->inverse == hak_class_inverse[cls] || !b->inverse);
	check_limits(hc, cls, b->room);
	check_list(b->head, hak_bin_length(c, cls), hc->spare, cls);
	check_list(hc->spare, hc->spare_n, b->head, cls);
}

/* While the thread forks its bins are saved elsewhere. It seems to hold each lock then. */
void hak_budget_check(struct hak_cache *c)
{
	int64_t spent = (int64_t)(run_bytes(c) + hak_cache_grown_bytes(c->heap));

	hak_assert(c->heap->budget + spent == c->heap->whole_budget ||
		   hak_lock_held(HAK_LOCK_META));
}

#endif

static void bound(struct hak_cache *c, unsigned int cls);

/* Half a list of slack keeps a swap from being undone at once. */
void hak_bin_arm(struct hak_cache *c, unsigned int cls, uint32_t n, uint32_t limit)
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

/*
 * Returns the link behind the n-th block from *link on; NULL if one of these blocks is not as it
 * was freed.
 */
static void **link_behind(void **link, uint32_t n)
{
	for (; n; n--) {
		if (hak_unlikely(!*link || !hak_key_is_free(*link)))
			return NULL;
		link = *link;
	}
	return link;
}

/* Moves all but the newest `keep` of n blocks to the front of the spare list. */
static void shorten(struct hak_cache *c, unsigned int cls, uint32_t n, uint32_t keep)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	void **link = link_behind(&c->bin[cls].head, keep), **last, *list = NULL;
	uint32_t listed = hc->spare_n;

	last = link ? link_behind(link, n - keep) : NULL;
	if (hak_unlikely(!last))
		return; /* malloc will meet the block and report it */
	if (hc->spare && listed >= hak_bin_limit(hc, cls)) {
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
		hak_flush_begin(c);
		hak_flush_list(c, cls, list, listed);
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
	hak_heap_busy(c);
	bound(c, cls);
	hak_heap_idle(c);
}

void hak_cache_bound_all(struct hak_cache *c)
{
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		hak_cache_bound(c, k);
}

static bool grow(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint32_t limit = hak_bin_limit(hc, cls);
	int64_t cost = (int64_t)limit * (int64_t)hak_class_size(cls);

	if (!hc->misses || limit * 2 > max_limit(cls) || cost > c->heap->budget)
		return false;
	c->heap->budget -= cost;
	hc->limit = limit * 2;
	return true;
}

void hak_bin_shrink(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];

	if (hak_bin_limit(hc, cls) <= hak_bin_first_limit(cls))
		return;
	hc->limit /= 2;
	c->heap->budget += (int64_t)hc->limit * (int64_t)hak_class_size(cls);
}

static void shrink_to_first(struct hak_cache *c, unsigned int cls)
{
	while (hak_bin_limit(&c->heap->cls[cls], cls) > hak_bin_first_limit(cls))
		hak_bin_shrink(c, cls);
}

/* Returns how many blocks hak_flush_direct() took since give_own() set the room to -1. */
static uint32_t given_direct(const struct hak_bin *b)
{
	return b->room < -1 && b->room >= -HAK_DIRECT_MOST - 1 ? (uint32_t)(-b->room - 1) : 0;
}

void hak_bin_refilled(struct hak_cache *c, unsigned int cls)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint64_t given = (uint64_t)hc->given + given_direct(&c->bin[cls]);

	hc->direct = false;
	hc->given = 0;
	if (!given)
		return;
	if (given * hak_class_size(cls) >= LIST_MAX_BYTES) {
		shrink_to_first(c, cls);
		return;
	}
	given += hak_bin_limit(hc, cls);
	while (grow(c, cls) && hc->limit < given &&
	       hc->limit * hak_class_size(cls) < LIST_SOON_BYTES)
		;
}

/*
 * The program frees all that it had of the class, in any order: each of the last blocks in lists
 * keeps a slab of 64 KiB. The lists become as short as they were at first.
 */
static HAK_COLD void begin_anew(struct hak_cache *c, unsigned int cls)
{
	c->heap->cls[cls].misses = 0; /* else the lists grow at once */
	shrink_to_first(c, cls);
	hak_bin_arm(c, cls, hak_bin_length(c, cls), hak_bin_first_limit(cls));
}

/* Gives the block to its slab, if that is the heap's own; the next ones of the class follow. */
static bool give_own(struct hak_cache *c, unsigned int cls, void *p)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint64_t allocs = hak_counters(c)->hot[cls].allocs;
	uint32_t before = given_direct(&c->bin[cls]);

	if (!hak_flush_own(c, cls, p))
		return false;
	c->bin[cls].room = -1;
	/* the program takes and frees in turn */
	if (allocs - hc->allocs_given > hc->given) {
		hc->allocs_given = allocs;
		hc->given = 0;
	}
	hc->given += before + !before;
	return true;
}

static void *take_bin(struct hak_cache *c, unsigned int cls, uint32_t n)
{
	void *list = c->bin[cls].head;

	c->bin[cls].head = NULL;
	c->heap->cls[cls].base -= n;
	return list;
}

static void flush(struct hak_cache *c, unsigned int cls, void *list, uint32_t n)
{
	if (!list)
		return;
	hak_heap_count1(c, FREE_FLUSH);
	hak_flush_begin(c);
	hak_flush_list(c, cls, list, n);
}

/*
 * The bin is long enough, and p goes to its slab. When as many blocks went there as the bin has,
 * and not as many were taken, the program frees more than the bin is for, and the blocks of the bin
 * follow: in any order, each of them would keep a slab of 64 KiB. The bin stays empty until it is
 * refilled.
 */
static bool give_beyond(struct hak_cache *c, unsigned int cls, void *p, uint32_t n)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];

	if (!give_own(c, cls, p))
		return false;
	if (!hc->direct && hc->given >= n) {
		hc->direct = true;
		flush(c, cls, take_bin(c, cls, n), n);
	}
	return true;
}

/* Blocks of other heaps wait in the bin and the spare list, each half of what both may have. */
static uint32_t half_limit(const struct hak_heap_class *hc, unsigned int cls)
{
	return hak_bin_limit(hc, cls) / 2;
}

static void make_room(struct hak_cache *c, unsigned int cls, uint32_t n)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint32_t listed = 0;
	void *list = NULL;

	hc->direct = false;
	if (n >= half_limit(hc, cls) && !(hc->spare && grow(c, cls))) {
		list = hc->spare;
		listed = hc->spare_n;
		hc->spare = take_bin(c, cls, n);
		hc->spare_n = n;
		hak_stop("flush.swapped");
		n = 0;
	}
	hak_bin_arm(c, cls, n, half_limit(hc, cls));
	flush(c, cls, list, listed);
	if (hak_unlikely(list && c->heap->sparse == HAK_SPARSE_MANY))
		begin_anew(c, cls);
}

static bool trip_slab(struct hak_cache *c, unsigned int cls, void *p)
{
	struct hak_heap_class *hc = &c->heap->cls[cls];
	uint32_t n = hak_bin_length(c, cls), half = half_limit(hc, cls);
	bool given = false;

	hc->limit = hak_bin_limit(hc, cls);
	if (!hc->direct && n < half)
		hak_bin_arm(c, cls, n, half);
	else if (hc->direct || n >= hc->limit)
		given = give_beyond(c, cls, p, n);
	else if (hak_slab_owner(hak_slab_of(p)) == c)
		hak_bin_arm(c, cls, n, hc->limit);
	if (!given && c->bin[cls].room < 0)
		make_room(c, cls, n);
	hak_bin_check(c, cls);
	return given;
}

/* Keeps the newest `keep` runs of the bin. */
void hak_bin_trim_runs(struct hak_cache *c, unsigned int cls, uint32_t keep)
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
	*hak_bin_base(c->heap, cls) -= hak_flush_runs(c, cls, rest, all - kept);
}

static void trip_run(struct hak_cache *c, unsigned int cls)
{
	uint32_t n = hak_bin_length(c, cls);

	if (n >= RUNS_MAX || c->heap->budget < 0) {
		hak_heap_count1(c, FREE_FLUSH);
		hak_bin_trim_runs(c, cls, n / 2);
		n = hak_bin_length(c, cls);
	}
	c->bin[cls].room = (int32_t)(RUNS_MAX - n);
}

void hak_cache_pass_run(struct hak_cache *c, unsigned int cls, void *p)
{
	c->heap->budget += (int64_t)hak_class_size(cls);
	hak_bin_count_given(c, cls);
	hak_run_release(p);
	hak_bin_check(c, cls);
	hak_budget_check(c);
}

bool hak_cache_resize_run(struct hak_cache *c, void *p, size_t size)
{
	unsigned int cls = hak_class_of_run(size), before;

	if (!hak_run_resize(p, cls, &before))
		return false;
	hak_bin_count_given(c, before);
	hak_bin_count_taken(c, cls);
	hak_bin_count_size(c, cls, size);
	hak_heap_count1(c, REFILL_RUN);
	hak_heap_count1(c, REALLOC_IN_PLACE);
	return true;
}

bool hak_cache_trip(struct hak_cache *c, unsigned int cls, void *p)
{
	bool given = false;

	hak_heap_count1(c, FREE_TRIP);
	hak_heap_busy(c);
	if (cls < HAK_SLAB_CLASSES)
		given = trip_slab(c, cls, p);
	else
		trip_run(c, cls);
	hak_heap_idle(c);
	return given;
}

void hak_cache_broken(struct hak_cache *c, unsigned int cls)
{
	void *p = c->bin[cls].head;

	hak_misuse("double free(), or memory written after free():", p);
	/* the links cannot be trusted, so the blocks in the cache are lost */
	if (cls >= HAK_SLAB_CLASSES)
		c->heap->budget += (int64_t)(hak_bin_length(c, cls) * hak_class_size(cls));
	*hak_bin_base(c->heap, cls) -= hak_bin_length(c, cls);
	c->bin[cls].head = NULL;
	if (cls >= HAK_SLAB_CLASSES)
		return;
	c->heap->cls[cls].spare = NULL;
	c->heap->cls[cls].spare_n = 0;
}
