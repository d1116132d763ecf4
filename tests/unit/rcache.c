// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/rcache.c, kept.c: whales are taken, resized and freed at random, evicted and
 * purged, under limits that change, beside a model that knows of each slice whether it is mapped
 * and in use. Each region taken, and each into which a whale grows, is the one that a search of all
 * kept regions would find. No regions
 * overlap, none is lost, no limit is exceeded, and regions marked zero read as zeros. Other cases
 * check that the oldest regions go first, and that regions of this epoch stay.
 *
 * This process itself has no block of 1 MiB.
 */
#include "../../libhakmem/page/kept.c"
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
static uint64_t model_bytes; /* mapped, in use or kept */

/* Returns the index of the entry, or the one that it is to get. */
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

/* Sets the state of the whole range. */
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
static unsigned int fronts; /* how often the thread was seen to have a hot region */

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

/* ---- what the region cache says of itself ---- */

/* Checks that no slice is in two regions. */
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

	CHECK(hak_kept.regions + rcache.hot_n <= hak_tun(HAK_T_WHALE_RING_SLOTS), "%u + %u regions",
	      hak_kept.regions, rcache.hot_n);
	CHECK(hak_kept.bytes + hot_bytes <= hak_tun(HAK_T_WHALE_RING_BYTES), "%" PRIu64 " bytes",
	      hak_kept.bytes + hot_bytes);
	CHECK(hot_bytes == atomic_load(&front->most) && rcache.hot_n == !!hot_bytes, "%u fronts",
	      rcache.hot_n);
	fronts += rcache.hot_n;
	CHECK(hot_bytes <= hak_tun(HAK_T_REGION_EVICT_BYTES) / 2, "%" PRIu64, hot_bytes);
}

/* Kept slices that are in no region any more are unmapped, and the model forgets them. */
static void forget_unmapped(void)
{
	const struct hak_region *f = atomic_load(&front->region);

	for (unsigned int i = 0; i < MODEL; i++)
		model[i].seen = 0;
	for (const struct hak_region *r = hak_kept.oldest; r; r = r->newer)
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
	for (const struct hak_region *r = hak_kept.oldest; r; r = r->newer, n++) {
		check_kept(r);
		bytes += r->bytes;
		dirty += r->state == HAK_REGION_DIRTY ? r->bytes : 0;
		lazy += r->state == HAK_REGION_LAZY ? r->bytes : 0;
	}
	CHECK(n == hak_kept.regions, "%u regions, not %u", hak_kept.regions, n);
	CHECK(bytes == hak_kept.bytes && dirty == hak_kept_dirty() && lazy == hak_kept_lazy(),
	      "%" PRIu64, bytes);
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

/* Finds, by a plain loop, the smallest kept region that fits; NULL if there is none. */
static const struct hak_region *smallest(size_t want, size_t align)
{
	const struct hak_region *best = NULL;

	for (const struct hak_region *r = hak_kept.oldest; r; r = r->newer)
		if (r->bytes >= want && (uintptr_t)r->base % align == 0 &&
		    (!best || r->bytes < best->bytes))
			best = r;
	return best;
}

/* Returns whether a bucket has more regions than are searched. */
static bool crowded(void)
{
	for (unsigned int b = 0; b < HAK_KEPT_BUCKETS; b++) {
		unsigned int n = 0;

		for (const struct hak_region *r = hak_kept.bucket[b]; r; r = r->next)
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

	/* a new mapping may lie where another one was */
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

/* How a whale is to grow. */
enum way { BY_KERNEL, INTO_NEXT, BY_COPY };
static unsigned int ways[BY_COPY + 1];

static enum way way_to_grow(const struct whale *w, size_t want)
{
	size_t least = want > 2 * w->bytes ? want : 2 * w->bytes;
	const struct hak_region *largest = NULL;

	if (w->bytes > 32 * MIB)
		return BY_KERNEL;
	for (const struct hak_region *r = hak_kept.oldest; r; r = r->newer) {
		if (r->state != HAK_REGION_DIRTY)
			continue;
		if (r->base == w->p + w->bytes && r->bytes >= want - w->bytes)
			return INTO_NEXT;
		if (!largest || r->bytes > largest->bytes)
			largest = r;
	}
	return largest && largest->bytes >= least ? BY_COPY : BY_KERNEL;
}

/* Checks the new place. Returns the state in which the old place has to be. */
static unsigned int check_grown(const struct whale *was, const struct whale *w, enum way way)
{
	size_t more = w->bytes - was->bytes;

	CHECK((w->p == was->p) == (way == INTO_NEXT) || way == BY_KERNEL, "way %u", way);
	if (w->p == was->p) {
		model_is(w->p + was->bytes, more, way == INTO_NEXT ? KEPT : GONE);
		return GONE;
	}
	model_is(w->p, w->bytes, way == BY_COPY ? KEPT : GONE);
	return way == BY_COPY ? KEPT : GONE;
}

static void resize_whale(unsigned int which, size_t want)
{
	struct whale *w = &whales[which], was = *w;
	unsigned int left = GONE;
	enum way way = BY_KERNEL;
	size_t same;

	want = hak_align_up(want, HAK_SLICE);
	forget_unmapped();
	if (want > was.bytes)
		way = way_to_grow(w, want);
	w->p = hak_whale_resize(cache, w->r, want);
	if (!w->p) {
		CHECK(way == BY_KERNEL, "way %u", way);
		*w = was;
		return;
	}
	w->bytes = w->r->bytes;
	same = w->bytes < was.bytes ? w->bytes : was.bytes;
	CHECK(w->bytes >= want && w->bytes - w->bytes / 8 <= want + HAK_SLICE, "%zu for %zu",
	      w->bytes, want);
	if (want > was.bytes) {
		left = check_grown(&was, w, way);
		ways[way]++;
	}
	model_set(was.p, was.bytes, left);
	model_set(w->p, w->bytes, USED);
	check_contents(w, same);
	fill(w, 0);
}

/* ---- giving back ---- */

static void sizes_have_buckets(void)
{
	size_t most = (size_t)1 << HAK_ADDRESS_BITS;

	CHECK(bucket_of(most + most / 8) < HAK_KEPT_BUCKETS, "bucket %u",
	      bucket_of(most + most / 8));
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

	for (const struct hak_region *r = hak_kept.oldest; r; r = r->newer)
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
	for (const struct hak_region *r = hak_kept.oldest; r; r = r->newer)
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
	/* half of the sizes come from a few, the others are arbitrary */
	if (random_below(2))
		return MIB + (size_t)random_below(5) * 5 * HAK_SLICE;
	return MIB + (size_t)random_below(80) * HAK_SLICE;
}

static void step(unsigned int i)
{
	/* few and many whales in turn, and long spans in which one thread has a hot region */
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
		CHECK(!hak_kept.regions && !hak_kept.bytes && !hak_kept_dirty(), "not empty");
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

/* Makes regions that cannot be joined: frees every other one of many, in this order. */
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

/* Returns the i-th of `n` freed regions. */
static const struct hak_region *freed(unsigned int i)
{
	const struct hak_slice *g = hak_slice(row[ROW - 1 - i]);

	return hak_slice_kind(g) == HAK_KEPT ? atomic_load(&g->word) : NULL;
}

static void fresh_ring(void)
{
	nothing_is_left();
	/* the thread does not earn a hot region either: earlier frees do not count */
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
		/* over the budget the next free evicts, even its own region */
		fresh_ring();
		tune(HAK_T_REGION_EVICT_BYTES, most * 2 * MIB + MIB);
		free_apart(5);
		for (unsigned int i = 0; i < 5; i++)
			CHECK(freed(i) && (freed(i)->state == HAK_REGION_DIRTY) == (i >= 5 - most),
			      "%u of 5, %u MiB dirty", i, 2 * most);
		check_all();
	}
}

/*
 * Regions of an epoch are evicted when they are older than requested; joined ones are as old as the
 * larger part.
 */
static void young_stay(void)
{
	fresh_ring();
	free_apart(2);
	atomic_fetch_add(&hak_purge_clock, 1);
	evict(hak_purge_epoch() - 1);
	CHECK(freed(0)->state == HAK_REGION_DIRTY, "evicted too early");
	evict(hak_purge_epoch());
	CHECK(freed(0)->state == HAK_REGION_CLEAN && freed(1)->state == HAK_REGION_CLEAN, "stays");

	/* two adjoining whales: one is split */
	fresh_ring();
	take_whale(5 * MIB, HAK_SLICE);
	give_whale(0);
	take_whale(4 * MIB, HAK_SLICE);
	take_whale(MIB, HAK_SLICE);
	CHECK(whales[0].p + 4 * MIB == whales[1].p && !hak_kept.regions, "not split");
	give_whale(0);
	atomic_fetch_add(&hak_purge_clock, 1);
	give_whale(0);
	CHECK(hak_kept.regions == 1 && hak_kept.oldest->bytes == 5 * MIB, "not joined");
	CHECK(hak_kept.oldest->epoch == hak_purge_epoch() - 1, "kept young by its smaller part");
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
	for (unsigned int i = 0; i <= BY_COPY; i++)
		CHECK(ways[i] > 10, "grown in way %u only %u times", i, ways[i]);
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
	hak_kept.oldest->epoch--;
	evict(hak_purge_epoch());
	lazy = hak_kept.oldest;
	dirty = hak_kept.newest;
	CHECK(hak_kept.regions == 2 && dirty->state == HAK_REGION_DIRTY, "%u regions",
	      hak_kept.regions);
	CHECK(lazy->state == HAK_REGION_LAZY && table.count == 1, "%u ranges", table.count);
	hak_rcache_check();
}

/* Two regions in one state that adjoin and are two. */
static void not_joined(void)
{
	struct hak_region *part;

	hak_rcache_empty();
	take_whale(4 * MIB, HAK_SLICE);
	give_whale(whales_n - 1);
	part = split(hak_kept.oldest, 2 * MIB);
	publish(part);
	bucket_add(part);
	age_add(part, true);
	count_in(part);
}

static void corruption_is_found(void)
{
	two_regions();
	FINDS("!hak_kept.bucket[b] == !(hak_kept.bits", hak_rcache_check(),
	      hak_kept.bits[bucket_of(2 * MIB) / 64] = 0);
	FINDS("r->prev == before", hak_rcache_check(),
	      hak_kept.bucket[bucket_of(2 * MIB)]->next->prev = NULL);
	FINDS("bucket_of(r->bytes) == b", hak_rcache_check(), dirty->bytes = MIB);
	FINDS("check_buckets() == hak_kept.regions", hak_rcache_check(),
	      hak_kept.bucket[bucket_of(2 * MIB)]->next = NULL);
	FINDS("r->prev == before", hak_rcache_check(), dirty->next = lazy; dirty->prev = lazy;
	      lazy->next = dirty;
	      lazy->prev = hak_kept.bucket[bucket_of(2 * MIB)] == lazy ? NULL : dirty);
	FINDS("r->older == older", hak_rcache_check(), hak_kept.newest->older = NULL);
	FINDS("hak_kept.newest == older", hak_rcache_check(), hak_kept.newest = hak_kept.oldest);
	FINDS("check_buckets() == hak_kept.regions", hak_rcache_check(), hak_kept.regions++);
	FINDS("bytes == hak_kept.bytes", hak_rcache_check(), hak_kept.bytes += HAK_SLICE);
	FINDS("of_state[HAK_REGION_DIRTY] == hak_kept_dirty()", hak_rcache_check(),
	      hak_kept.dirty += HAK_SLICE);
	FINDS("of_state[HAK_REGION_LAZY] == hak_kept_lazy()", hak_rcache_check(),
	      hak_kept.lazy += HAK_SLICE);
	FINDS("r->base && ", hak_rcache_check(), dirty->base += 8);
	FINDS("r->bytes && ", hak_rcache_check(), dirty->bytes += 8);
	FINDS("r->state <= HAK_REGION_CLEAN", hak_rcache_check(), dirty->state = 3);
	FINDS("r->life == hak_kept.life", hak_rcache_check(), dirty->life++);
	FINDS("!r->in_use && !r->sampled", hak_rcache_check(), dirty->in_use = true);
	FINDS("!r->in_use && !r->sampled", hak_rcache_check(), dirty->sampled = true);
	FINDS("r->state != HAK_REGION_CLEAN || r->zero", hak_rcache_check(),
	      dirty->state = HAK_REGION_CLEAN);
	FINDS("r->state != HAK_REGION_LAZY || !r->zero", hak_rcache_check(), lazy->zero = true);
	FINDS("!r->closed || ", hak_rcache_check(), dirty->closed = true);
	FINDS("r->filled <= 2", hak_rcache_check(), dirty->filled = 3);
	FINDS("(int32_t)(r->epoch - hak_purge_epoch()) <= 1", hak_rcache_check(),
	      dirty->epoch = hak_purge_epoch() + 2);
	FINDS("!n || n->base + n->bytes != r->base", hak_rcache_check(), not_joined());
	FINDS("hak_slice_kind(g) == HAK_KEPT", hak_rcache_check(),
	      hak_slice_clear(hak_slice_ours(dirty->base)));
	FINDS("atomic_load_explicit(&g->word", hak_rcache_check(),
	      hak_slice_set(hak_slice_ours(dirty->base + 2 * MIB - 1), HAK_KEPT, lazy));
	FINDS("hak_slice_kind(g) == HAK_FOREIGN", hak_rcache_check(),
	      hak_slice_set(hak_slice_ours(dirty->base + MIB), HAK_WHALE, dirty));
	FINDS("hak_kept.life", hak_rcache_check(), hak_kept.life = 0);
	FINDS("n == rcache.hot_n", hak_rcache_check(), rcache.hot_n++);
	FINDS("bytes == hot_total()", hak_rcache_check(), rcache.hot_bytes += HAK_SLICE);
	FINDS("f->life == hak_kept.life", hak_rcache_check(), list_hot(front); front->life++);
	FINDS("!(t->seq & 1)", hak_rcache_check(), table.seq++);
	FINDS("t->count <= HAK_LAZY_RANGES", hak_rcache_check(), table.count = HAK_LAZY_RANGES + 1);
	FINDS("addr && bytes", hak_rcache_check(), table.range[0].bytes += 8);
	FINDS("hak_slice_kind(g) == HAK_KEPT", hak_rcache_check(),
	      table.range[0].addr = (uintptr_t)row[1]);
	FINDS("r->bytes == t->range[i].bytes && r->state", hak_rcache_check(),
	      table.range[0].addr = (uintptr_t)dirty->base);
	FINDS("r->bytes == t->range[i].bytes", hak_rcache_check(),
	      table.range[0].bytes += HAK_SLICE);
	FINDS("!i || t->range[i - 1].bytes >= bytes", hak_rcache_check(),
	      table.range[1] = table.range[0];
	      table.range[1].bytes *= 2; table.count = 2);
	FINDS("addr + bytes <= t->range[k].addr", hak_rcache_check(),
	      table.range[1] = table.range[0];
	      table.count = 2);
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
