// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/rcache.c: whales taken, resized and freed at random, evicted and purged, under
 * limits that change, beside a model that knows of each slice whether it is there and in use.
 * What is taken is what a search of all kept regions would have found; nothing overlaps, nothing is
 * lost, no limit is exceeded, what reads as zeros does. Then, one by one: what is oldest goes
 * first, and what is of this epoch stays.
 *
 * This process itself has no block of 1 MiB.
 */
#include "../../libhakmem/page/rcache.c"

#include "libhakmem/process/attach.h"
#include "libhakmem/heap/heap.h"
#include "libhakmem/cache/whale.h"
#include "unit.h"

#define MIB ((size_t)1 << 20)
enum { WHALES = 40, STEPS = 12000, MODEL = 1 << 15 };

static struct hak_cache *cache;
static struct hak_hot *front;

/* ---- the model: every slice that is there ---- */

enum { GONE, KEPT, USED };
static struct {
	char *at; /* NULL: never used */
	unsigned int state, seen;
} model[MODEL];
static uint64_t model_bytes; /* there, in use or kept */

/* Where it stands, or is to stand. */
static unsigned int model_at(const char *p)
{
	unsigned int i = (unsigned int)((uintptr_t)p >> 16) * 40503 % MODEL;

	while (model[i].at && model[i].at != p)
		i = (i + 1) % MODEL;
	return i;
}

static unsigned int model_state(const char *p)
{
	return model[model_at(p)].state;
}

static void model_set(char *p, size_t bytes, unsigned int state)
{
	for (char *end = p + bytes; p < end; p += HAK_SLICE) {
		unsigned int i = model_at(p);

		model_bytes -= model[i].state == GONE ? 0 : HAK_SLICE;
		model_bytes += state == GONE ? 0 : HAK_SLICE;
		model[i].at = p;
		model[i].state = state;
	}
}

/* All of it is in that state. */
static void model_is(char *p, size_t bytes, unsigned int state)
{
	for (char *end = p + bytes; p < end; p += HAK_SLICE)
		CHECK(model_state(p) == state, "%p: %u, not %u", (void *)p, model_state(p), state);
}

/* ---- whales in use ---- */

static struct whale {
	struct hak_region *r;
	char *p;
	size_t bytes;
	uint64_t mark;
} whales[WHALES];
static unsigned int whales_n;
static unsigned int fronts; /* times that the thread was seen to have one */

static uint64_t *word_at(const struct whale *w, size_t at)
{
	return (uint64_t *)(w->p + at);
}

static void fill(struct whale *w, size_t from)
{
	for (size_t at = from; at < w->bytes; at += HAK_SLICE)
		*word_at(w, at) = w->mark + at;
	*word_at(w, w->bytes - 8) = w->mark;
}

static void check_contents(const struct whale *w, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += HAK_SLICE)
		CHECK(*word_at(w, at) == w->mark + at, "%p + %zu: another's", (void *)w->p, at);
}

/* ---- what the ring says of itself ---- */

/* No slice is in two regions. */
static void see(const struct hak_region *r)
{
	for (char *p = r->base; p < r->base + r->bytes; p += HAK_SLICE)
		CHECK(!model[model_at(p)].seen++, "%p is in two regions", (void *)p);
}

static void check_kept(const struct hak_region *r)
{
	model_is(r->base, r->bytes, KEPT);
	CHECK(r->zero == (r->state == HAK_REGION_CLEAN), "state %u, zero %d", r->state, r->zero);
	CHECK(r->closed == (r->state == HAK_REGION_CLEAN), "state %u, %sclosed", r->state,
	      r->closed ? "" : "not ");
}

static void check_limits(void)
{
	uint64_t hot_bytes = atomic_load(&rcache.hot_bytes);

	CHECK(rcache.regions + rcache.hot_n <= hak_tun(HAK_T_WHALE_RING_SLOTS), "%u + %u regions",
	      rcache.regions, rcache.hot_n);
	CHECK(rcache.bytes + hot_bytes <= hak_tun(HAK_T_WHALE_RING_BYTES), "%" PRIu64 " bytes",
	      rcache.bytes + hot_bytes);
	CHECK(hot_bytes == atomic_load(&front->most) && rcache.hot_n == !!hot_bytes, "%u fronts",
	      rcache.hot_n);
	fronts += rcache.hot_n;
	CHECK(hot_bytes <= hak_tun(HAK_T_REGION_EVICT_BYTES) / 2, "%" PRIu64, hot_bytes);
}

/* Kept slices that are in no region any more are unmapped: the model forgets them. */
static void forget_unmapped(void)
{
	const struct hak_region *f = atomic_load(&front->region);

	for (unsigned int i = 0; i < MODEL; i++)
		model[i].seen = 0;
	for (const struct hak_region *r = rcache.oldest; r; r = r->newer)
		see(r);
	if (f)
		see(f);
	for (unsigned int i = 0; i < MODEL; i++)
		if (model[i].state == KEPT && !model[i].seen) {
			CHECK(!hak_slice_kind(hak_slice(model[i].at)), "mark of what is gone");
			model_set(model[i].at, HAK_SLICE, GONE);
		}
}

static void check_all(void)
{
	uint64_t dirty = 0, bytes = 0, lazy = 0, use = 0;
	unsigned int n = 0;
	const struct hak_region *f = atomic_load(&front->region);

	hak_rcache_check();
	forget_unmapped();
	for (const struct hak_region *r = rcache.oldest; r; r = r->newer, n++) {
		check_kept(r);
		bytes += r->bytes;
		dirty += r->state == HAK_REGION_DIRTY ? r->bytes : 0;
		lazy += r->state == HAK_REGION_LAZY ? r->bytes : 0;
	}
	CHECK(n == rcache.regions, "%u regions, not %u", rcache.regions, n);
	CHECK(bytes == rcache.bytes && dirty == rcache_dirty() && lazy == ring_lazy(), "%" PRIu64,
	      bytes);
	if (f) {
		CHECK(f->bytes <= atomic_load(&front->most), "a front of %zu", f->bytes);
		bytes += f->bytes;
	}
	for (unsigned int i = 0; i < whales_n; i++) {
		const struct whale *w = &whales[i];
		const struct hak_slice *g = hak_slice(w->p);

		CHECK(hak_slice_kind(g) == HAK_WHALE && atomic_load(&g->word) == w->r, "mark");
		CHECK(w->r->in_use && w->r->base == w->p && w->r->bytes == w->bytes, "%p",
		      (void *)w->p);
		use += w->bytes;
	}
	CHECK(model_bytes == bytes + use, "%" PRIu64 " there, %" PRIu64 " kept, %" PRIu64 " in use",
	      model_bytes, bytes, use);
#if HAK_CONTROL
	CHECK(hak_proc_read(HAK_C_RING_BYTES) == model_bytes, "counted %" PRIu64,
	      hak_proc_read(HAK_C_RING_BYTES));
	CHECK(hak_proc_read(HAK_C_RING_REGIONS) == n + !!f + whales_n, "counted %" PRIu64,
	      hak_proc_read(HAK_C_RING_REGIONS));
	CHECK(hak_proc_read(HAK_C_RING_DIRTY) == dirty + (f ? f->bytes : 0) + use,
	      "counted %" PRIu64, hak_proc_read(HAK_C_RING_DIRTY));
	CHECK(hak_proc_read(HAK_C_MEM_LAZY) == lazy, "counted %" PRIu64, lazy);
#else
	(void)lazy;
#endif
	check_limits();
}

/* ---- taking ---- */

/* The smallest kept region that would do; NULL: none. As simply as can be. */
static const struct hak_region *smallest(size_t want, size_t align)
{
	const struct hak_region *best = NULL;

	for (const struct hak_region *r = rcache.oldest; r; r = r->newer)
		if (r->bytes >= want && (uintptr_t)r->base % align == 0 &&
		    (!best || r->bytes < best->bytes))
			best = r;
	return best;
}

/* Whether a bucket has more regions than are looked at. */
static bool crowded(void)
{
	for (unsigned int b = 0; b < BUCKETS; b++) {
		unsigned int n = 0;

		for (const struct hak_region *r = rcache.bucket[b]; r; r = r->next)
			n++;
		if (n > SCAN)
			return true;
	}
	return false;
}

static void take_whale(size_t want, size_t align)
{
	struct whale *w = &whales[whales_n];
	const struct hak_region *best = smallest(want, align);
	bool sure = !atomic_load(&front->region) && !crowded(), zero;
	size_t best_bytes = best ? best->bytes : 0;
	bool whole = best_bytes <= want + want / 8;
	unsigned int state;

	/* what is mapped may be where something was */
	if (!best || !sure)
		forget_unmapped();
	w->p = hak_whale_alloc(cache, front, want - random_below(HAK_SLICE), align, &zero);
	CHECK(w->p, "no memory");
	w->r = atomic_load(&hak_slice(w->p)->word);
	w->bytes = w->r->bytes;
	w->mark = random_word() | 1;
	state = model_state(w->p);
	CHECK((uintptr_t)w->p % align == 0, "%p: not aligned to %zu", (void *)w->p, align);
	CHECK(w->bytes >= want && w->bytes <= want + want / 8, "%zu for %zu", w->bytes, want);
	CHECK(state == KEPT || (state == GONE && w->bytes == want), "state %u", state);
	CHECK(!sure || (state == KEPT) == !!best, "%zu: %s", want,
	      best ? "mapped, with one in the ring" : "from where?");
	CHECK(!sure || !best || w->bytes == (whole ? best_bytes : want), "%zu of %zu for %zu",
	      w->bytes, best_bytes, want);
	model_is(w->p, w->bytes, state);
	model_set(w->p, w->bytes, USED);
	for (size_t at = 0; at < w->bytes && zero; at += HAK_SLICE)
		CHECK(!*word_at(w, at), "not zero at %zu", at);
	CHECK(!zero || !*word_at(w, w->bytes - 8), "not zero at the end");
	CHECK(zero || state == KEPT, "fresh and not zero");
	fill(w, 0);
	whales_n++;
}

static void give_whale(unsigned int which)
{
	struct whale w = whales[which];

	check_contents(&w, w.bytes);
	CHECK(*word_at(&w, w.bytes - 8) == w.mark, "%p: the end is another's", (void *)w.p);
	whales[which] = whales[--whales_n];
	model_set(w.p, w.bytes, KEPT);
	hak_whale_free(cache, front, w.r);
	check_limits();
}

static void resize_whale(unsigned int which, size_t want)
{
	struct whale *w = &whales[which], was = *w;
	size_t same;

	forget_unmapped();
	w->p = hak_whale_resize(cache, w->r, want);
	if (!w->p) {
		*w = was;
		return;
	}
	w->bytes = w->r->bytes;
	same = w->bytes < was.bytes ? w->bytes : was.bytes;
	CHECK(w->bytes >= want && w->bytes - w->bytes / 8 <= want + HAK_SLICE, "%zu for %zu",
	      w->bytes, want);
	model_set(was.p, was.bytes, GONE);
	model_is(w->p, w->bytes, GONE);
	model_set(w->p, w->bytes, USED);
	check_contents(w, same);
	fill(w, 0);
}

/* ---- giving back ---- */

static void sizes_have_buckets(void)
{
	size_t most = (size_t)1 << HAK_ADDRESS_BITS;

	CHECK(bucket_of(most + most / 8) < BUCKETS, "bucket %u", bucket_of(most + most / 8));
	for (size_t bytes = HAK_SLICE; bytes < 64 * MIB; bytes += HAK_SLICE)
		CHECK(bucket_of(bytes) <= bucket_of(bytes + HAK_SLICE) &&
			      bucket_of(bytes + bytes / 8) <= bucket_of(bytes) + 2,
		      "%zu", bytes);
}

static void tune(enum hak_tunable t, uint64_t value)
{
	atomic_store(&hak_tun_values[t], value);
	hak_rcache_tuned();
}

static uint64_t dirty_before(uint32_t epoch)
{
	uint64_t bytes = 0;

	for (const struct hak_region *r = rcache.oldest; r; r = r->newer)
		if (r->state == HAK_REGION_DIRTY && (int32_t)(r->epoch - epoch) < 0)
			bytes += r->bytes;
	return bytes;
}

static void evict(uint32_t before)
{
	uint64_t dirty, lazy = 0, bytes;
	uint64_t mode = hak_tun(HAK_T_REGION_EVICT);

	hak_lock(HAK_LOCK_RCACHE);
	drop_all_hot(before);
	hak_unlock(HAK_LOCK_RCACHE);
	dirty = dirty_before(before);
	for (const struct hak_region *r = rcache.oldest; r; r = r->newer)
		lazy += r->state == HAK_REGION_LAZY ? r->bytes : 0;
	hak_lock(HAK_LOCK_PURGE);
	bytes = hak_rcache_evict(before, false);
	hak_unlock(HAK_LOCK_PURGE);
	if (mode == HAK_EVICT_KEEP)
		CHECK(!bytes && dirty_before(before) == dirty, "keep evicts");
	else
		CHECK(bytes >= dirty && bytes <= dirty + lazy && !dirty_before(before),
		      "%" PRIu64 " of %" PRIu64, bytes, dirty);
}

static size_t some_size(void)
{
	/* a few sizes again and again, and any */
	if (random_below(2))
		return MIB + (size_t)random_below(5) * 5 * HAK_SLICE;
	return MIB + (size_t)random_below(80) * HAK_SLICE;
}

static void step(unsigned int i)
{
	/* tides, and long whiles in which one thread has a front */
	unsigned int want = (i / 1000) % 3 == 0 ? 1 : (i / 1000) % 3 == 1 ? WHALES / 4 : WHALES / 2;
	unsigned int what = random_below(1000);

	if (what < 940) {
		if (whales_n && (whales_n == WHALES || random_below(2 * want) < whales_n))
			give_whale(random_below(whales_n));
		else
			take_whale(some_size(), random_below(8) ? HAK_SLICE : 2 * MIB);
	} else if (what < 970) {
		if (whales_n)
			resize_whale(random_below(whales_n), some_size() * (1 + random_below(2)));
	} else if (what < 976) {
		atomic_fetch_add(&hak_purge_clock, 1);
	} else if (what < 982) {
		evict(hak_purge_epoch() + random_below(2));
	} else if (what < 985) {
		tune(HAK_T_WHALE_RING_SLOTS, random_below(4) ? 128 : random_below(12));
	} else if (what < 988) {
		tune(HAK_T_WHALE_RING_BYTES, random_below(4) ? 512 * MIB : random_below(40) * MIB);
	} else if (what < 991) {
		tune(HAK_T_REGION_EVICT_BYTES, random_below(4) ? 64 * MIB : 4 * MIB);
	} else if (what < 995) {
		tune(HAK_T_REGION_EVICT, random_below(HAK_EVICT_KEEP + 1));
	} else if (what < 998) {
		hak_hot_leave(front);
		CHECK(!atomic_load(&front->region) && !atomic_load(&front->most), "left behind");
	} else {
		hak_rcache_empty();
		CHECK(!rcache.regions && !rcache.bytes && !rcache_dirty(), "not empty");
	}
}

static void nothing_is_left(void)
{
	while (whales_n)
		give_whale(whales_n - 1);
	hak_rcache_empty();
	check_all();
	CHECK(!model_bytes, "%" PRIu64 " left", model_bytes);
}

/* ---- the order of age ---- */

enum { ROW = 16 };
static char *row[ROW];

/* Regions that cannot be joined: every other one of many is freed, in this order. */
static void free_apart(unsigned int n)
{
	static const uint8_t order[ROW / 2] = { 6, 12, 0, 4, 10, 2, 14, 8 };

	for (unsigned int i = 0; i < ROW; i++) {
		take_whale(2 * MIB, HAK_SLICE);
		row[i] = whales[whales_n - 1].p;
	}
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k < whales_n; k++)
			if (whales[k].p == row[order[i]]) {
				row[order[i]] = NULL;
				row[ROW - 1 - i] = whales[k].p;
				give_whale(k);
				break;
			}
}

/* Of `n` freed, the i-th. */
static const struct hak_region *freed(unsigned int i)
{
	const struct hak_slice *g = hak_slice(row[ROW - 1 - i]);

	return hak_slice_kind(g) == HAK_KEPT ? atomic_load(&g->word) : NULL;
}

static void fresh_ring(void)
{
	nothing_is_left();
	/* nor does the thread earn a front: what it freed before does not count */
	hak_hot_leave(front);
	atomic_fetch_add(&hak_purge_clock, 1);
	tune(HAK_T_WHALE_RING_SLOTS, 128);
	tune(HAK_T_WHALE_RING_BYTES, 512 * MIB);
	tune(HAK_T_REGION_EVICT_BYTES, 512 * MIB);
	tune(HAK_T_REGION_EVICT, HAK_EVICT_DONTNEED);
}

static void oldest_go_first(void)
{
	for (unsigned int most = 0; most <= 5; most++) {
		fresh_ring();
		free_apart(5);
		tune(HAK_T_WHALE_RING_SLOTS, most);
		for (unsigned int i = 0; i < 5; i++)
			CHECK(!!freed(i) == (i >= 5 - most), "%u of 5, %u slots", i, most);
		fresh_ring();
		free_apart(5);
		tune(HAK_T_WHALE_RING_BYTES, most * 2 * MIB + MIB);
		for (unsigned int i = 0; i < 5; i++)
			CHECK(!!freed(i) == (i >= 5 - most), "%u of 5, %u MiB", i, 2 * most);
		/* over the budget the next free evicts, even itself */
		fresh_ring();
		tune(HAK_T_REGION_EVICT_BYTES, most * 2 * MIB + MIB);
		free_apart(5);
		for (unsigned int i = 0; i < 5; i++)
			CHECK(freed(i) && (freed(i)->state == HAK_REGION_DIRTY) == (i >= 5 - most),
			      "%u of 5, %u MiB dirty", i, 2 * most);
		check_all();
	}
}

/* An epoch's are evicted when they are older than asked, joined ones as old as the larger part. */
static void young_stay(void)
{
	fresh_ring();
	free_apart(2);
	atomic_fetch_add(&hak_purge_clock, 1);
	evict(hak_purge_epoch() - 1);
	CHECK(freed(0)->state == HAK_REGION_DIRTY, "evicted too early");
	evict(hak_purge_epoch());
	CHECK(freed(0)->state == HAK_REGION_CLEAN && freed(1)->state == HAK_REGION_CLEAN, "stays");

	/* two whales that adjoin: one is split */
	fresh_ring();
	take_whale(5 * MIB, HAK_SLICE);
	give_whale(0);
	take_whale(4 * MIB, HAK_SLICE);
	take_whale(MIB, HAK_SLICE);
	CHECK(whales[0].p + 4 * MIB == whales[1].p && !rcache.regions, "not split");
	give_whale(0);
	atomic_fetch_add(&hak_purge_clock, 1);
	give_whale(0);
	CHECK(rcache.regions == 1 && rcache.oldest->bytes == 5 * MIB, "not joined");
	CHECK(rcache.oldest->epoch == hak_purge_epoch() - 1, "kept young by its smaller part");
	nothing_is_left();
}

static void begin(void)
{
	cache = hak_heap_attach();
	front = &cache->heap->hot_region;
	atomic_store(&hak_tun_values[HAK_T_REGION_FREE_FORCE], 1);
	tune(HAK_T_REGION_EVICT_BYTES, 64 * MIB);
	tune(HAK_T_WHALE_RING_BYTES, 512 * MIB);
}

static void as_the_model_says(void)
{
	begin();
	for (unsigned int i = 0; i < STEPS; i++) {
		step(i);
		if (i % 32 == 0)
			check_all();
	}
	CHECK(fronts > 100, "a front only %u times", fronts);
	nothing_is_left();
}

static void order_of_eviction(void)
{
	begin();
	oldest_go_first();
	young_stay();
}

#if HAK_DEBUG
/* ---- what hak_rcache_check() finds ---- */

/* Two regions in the cache, one of them LAZY, and in the table. */
static struct hak_lazy_table table;
static struct hak_region *lazy, *dirty;

static void two_regions(void)
{
	begin();
	hak_lazy_use(&table);
	fresh_ring();
	tune(HAK_T_REGION_EVICT, HAK_EVICT_FREE);
	free_apart(2);
	rcache.oldest->epoch--;
	evict(hak_purge_epoch());
	lazy = rcache.oldest;
	dirty = rcache.newest;
	CHECK(rcache.regions == 2 && dirty->state == HAK_REGION_DIRTY, "%u regions",
	      rcache.regions);
	CHECK(lazy->state == HAK_REGION_LAZY && table.count == 1, "%u ranges", table.count);
	hak_rcache_check();
}

#define CORRUPTION(name, change)    \
	static void name(void)      \
	{                           \
		change;             \
		hak_rcache_check(); \
	}

CORRUPTION(bit_cleared, rcache.bits[bucket_of(2 * MIB) / 64] = 0)
CORRUPTION(bucket_link, rcache.bucket[bucket_of(2 * MIB)]->next->prev = NULL)
CORRUPTION(bucket_wrong, dirty->bytes = MIB)
CORRUPTION(bucket_lost, rcache.bucket[bucket_of(2 * MIB)]->next = NULL)
CORRUPTION(bucket_circle, dirty->next = lazy; dirty->prev = lazy; lazy->next = dirty;
	   lazy->prev = rcache.bucket[bucket_of(2 * MIB)] == lazy ? NULL : dirty)
CORRUPTION(age_link, rcache.newest->older = NULL)
CORRUPTION(age_end, rcache.newest = rcache.oldest)
CORRUPTION(regions_miscounted, rcache.regions++)
CORRUPTION(bytes_miscounted, rcache.bytes += HAK_SLICE)
CORRUPTION(dirty_miscounted, rcache.dirty += HAK_SLICE)
CORRUPTION(lazy_miscounted, rcache.lazy += HAK_SLICE)
CORRUPTION(base_inside, dirty->base += 8)
CORRUPTION(bytes_uneven, dirty->bytes += 8)
CORRUPTION(state_unknown, dirty->state = 3)
CORRUPTION(life_of_another, dirty->life++)
CORRUPTION(used_while_kept, dirty->in_use = true)
CORRUPTION(sampled_while_kept, dirty->sampled = true)
CORRUPTION(clean_and_not_zero, dirty->state = HAK_REGION_CLEAN)
CORRUPTION(lazy_and_zero, lazy->zero = true)
CORRUPTION(closed_and_dirty, dirty->closed = true)
CORRUPTION(filled_too_often, dirty->filled = 3)
CORRUPTION(from_the_future, dirty->epoch = hak_purge_epoch() + 2)
CORRUPTION(first_unmarked, hak_slice_clear(hak_slice_ours(dirty->base)))
CORRUPTION(last_of_another,
	   hak_slice_set(hak_slice_ours(dirty->base + 2 * MIB - 1), HAK_KEPT, lazy))
CORRUPTION(mark_inside, hak_slice_set(hak_slice_ours(dirty->base + MIB), HAK_WHALE, dirty))
CORRUPTION(no_life, rcache.life = 0)
CORRUPTION(hot_miscounted, rcache.hot_n++)
CORRUPTION(hot_bytes_miscounted, rcache.hot_bytes += HAK_SLICE)
CORRUPTION(hot_of_another_life, list_hot(front); front->life++)
CORRUPTION(table_half_written, table.seq++)
CORRUPTION(table_too_long, table.count = HAK_LAZY_RANGES + 1)
CORRUPTION(range_uneven, table.range[0].bytes += 8)
CORRUPTION(range_gone, table.range[0].addr = (uintptr_t)row[1])
CORRUPTION(range_dirty, table.range[0].addr = (uintptr_t)dirty->base)
CORRUPTION(range_too_long, table.range[0].bytes += HAK_SLICE)
CORRUPTION(ranges_out_of_order, table.range[1] = table.range[0]; table.range[1].bytes *= 2;
	   table.count = 2)
CORRUPTION(range_twice, table.range[1] = table.range[0]; table.count = 2)

/* Two regions in one state that adjoin and are two. */
static void not_joined(void)
{
	struct hak_region *part;

	hak_rcache_empty();
	take_whale(4 * MIB, HAK_SLICE);
	give_whale(whales_n - 1);
	part = split(rcache.oldest, 2 * MIB);
	publish(part);
	bucket_add(part);
	age_add(part, true);
	count_in(part);
	hak_rcache_check();
}

static void corruption_is_found(void)
{
	two_regions();
	DIES("!rcache.bucket[b] == !(rcache.bits", bit_cleared);
	DIES("r->prev == before", bucket_link);
	DIES("bucket_of(r->bytes) == b", bucket_wrong);
	DIES("check_buckets() == rcache.regions", bucket_lost);
	DIES("r->prev == before", bucket_circle);
	DIES("r->older == older", age_link);
	DIES("rcache.newest == older", age_end);
	DIES("check_buckets() == rcache.regions", regions_miscounted);
	DIES("bytes == rcache.bytes", bytes_miscounted);
	DIES("of_state[HAK_REGION_DIRTY] == rcache_dirty()", dirty_miscounted);
	DIES("of_state[HAK_REGION_LAZY] == ring_lazy()", lazy_miscounted);
	DIES("r->base && ", base_inside);
	DIES("r->bytes && ", bytes_uneven);
	DIES("r->state <= HAK_REGION_CLEAN", state_unknown);
	DIES("r->life == rcache.life", life_of_another);
	DIES("!r->in_use && !r->sampled", used_while_kept);
	DIES("!r->in_use && !r->sampled", sampled_while_kept);
	DIES("r->state != HAK_REGION_CLEAN || r->zero", clean_and_not_zero);
	DIES("r->state != HAK_REGION_LAZY || !r->zero", lazy_and_zero);
	DIES("!r->closed || ", closed_and_dirty);
	DIES("r->filled <= 2", filled_too_often);
	DIES("(int32_t)(r->epoch - hak_purge_epoch()) <= 1", from_the_future);
	DIES("!n || n->base + n->bytes != r->base", not_joined);
	DIES("hak_slice_kind(g) == HAK_KEPT", first_unmarked);
	DIES("atomic_load_explicit(&g->word", last_of_another);
	DIES("hak_slice_kind(g) == HAK_FOREIGN", mark_inside);
	DIES("rcache.life", no_life);
	DIES("n == rcache.hot_n", hot_miscounted);
	DIES("bytes == hot_total()", hot_bytes_miscounted);
	DIES("f->life == rcache.life", hot_of_another_life);
	DIES("!(t->seq & 1)", table_half_written);
	DIES("t->count <= HAK_LAZY_RANGES", table_too_long);
	DIES("addr && bytes", range_uneven);
	DIES("hak_slice_kind(g) == HAK_KEPT", range_gone);
	DIES("r->bytes == t->range[i].bytes && r->state", range_dirty);
	DIES("r->bytes == t->range[i].bytes", range_too_long);
	DIES("!i || t->range[i - 1].bytes >= bytes", ranges_out_of_order);
	DIES("addr + bytes <= t->range[k].addr", range_twice);
	hak_rcache_check();
}
#endif

static const struct tcase cases[] = {
	{ "sizes_have_buckets", sizes_have_buckets },
	{ "as_the_model_says", as_the_model_says },
	{ "order_of_eviction", order_of_eviction },
#if HAK_DEBUG
	{ "corruption_is_found", corruption_is_found },
#endif
};

CASES(cases)
