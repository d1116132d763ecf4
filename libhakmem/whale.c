/* SPDX-License-Identifier: MIT */
/* Whales and the ring of kept regions. See whale.h. */
#include "whale.h"

#include "class.h"
#include "granule.h"
#include "lock.h"
#include "meta.h"
#include "os.h"
#include "purge.h"
#include "segment.h"
#include "stats.h"
#include "tune.h"

/* values of region.evict */
enum { EVICT_DONTNEED, EVICT_FREE, EVICT_REMAP, EVICT_MUNMAP, EVICT_KEEP };
/* values of thp.mode */
enum { THP_OFF, THP_ADAPTIVE, THP_ALWAYS };

/* eight per doubling from 1 MiB to the end of the address space; 0: smaller rests */
#define BUCKETS		217u
#define SCAN		16u	/* regions of a bucket looked at for the best fit */
#define BATCH_MAX	256u
#define NEVER		0x40000000u	/* epochs ago: nothing is that old */

/* All under HAK_LOCK_RING. */
static struct {
	struct hak_region *bucket[BUCKETS];
	struct hak_region *oldest, *newest;
	uint32_t regions;
	uint64_t bytes;		/* address space */
	_Atomic uint64_t dirty;	/* bytes of DIRTY regions; also read without the lock */
	uint64_t bits[(BUCKETS + 63) / 64];	/* buckets that are not empty */
	struct hak_region *spare;	/* a descriptor for the next split */
	/*
	 * The region freed last: counted, but not yet in a bucket, not joined with neighbours and
	 * its granules not marked. A program that frees and allocates one size in turn never pays
	 * for that.
	 */
	struct hak_region *front;
} ring;

static uint64_t ring_dirty(void)
{
	return atomic_load_explicit(&ring.dirty, memory_order_relaxed);
}

static void ring_dirty_add(int64_t n)	/* HAK_LOCK_RING: one writer at a time */
{
	atomic_store_explicit(&ring.dirty, ring_dirty() + (uint64_t)n, memory_order_relaxed);
}

static uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return hak_os_now_ns();
#endif
}

static unsigned int bucket_of(size_t bytes)
{
	/* floor: the bucket of b holds sizes in [2^e * (1 + k/8), 2^e * (1 + (k+1)/8)) */
	unsigned int e = 63u - (unsigned int)__builtin_clzl(bytes);

	return e < 20 ? 0 : (e - 20) * 8 + (unsigned int)(bytes >> (e - 3) & 7) + 1;
}

/* ---- the ring's lists; HAK_LOCK_RING ---- */

static void gauge(void)
{
#if HAK_CONTROL
	atomic_store_explicit(&hak_proc[HAK_C_RING_REGIONS], ring.regions, memory_order_relaxed);
	atomic_store_explicit(&hak_proc[HAK_C_RING_BYTES], ring.bytes, memory_order_relaxed);
	atomic_store_explicit(&hak_proc[HAK_C_RING_DIRTY], ring_dirty(), memory_order_relaxed);
#endif
}

static enum hak_proc_counter mem_counter(const struct hak_region *r)
{
	switch (r->state) {
	case HAK_REGION_IN_USE:
		return HAK_C_MEM_WHALE;
	case HAK_REGION_DIRTY:
		return HAK_C_MEM_DIRTY;
	case HAK_REGION_LAZY:
		return HAK_C_MEM_LAZY;
	default:
		return HAK_C_MEM_CLEAN;
	}
}

/*
 * A region's state, with the memory counted under it. The region is the caller's alone, or the lock
 * is held.
 */
static void set_state(struct hak_region *r, enum hak_region_state state)
{
	hak_count(mem_counter(r), -(int64_t)r->bytes);
	r->state = (uint8_t)state;
	hak_count(mem_counter(r), (int64_t)r->bytes);
}

static void bucket_add(struct hak_region *r)
{
	unsigned int b = bucket_of(r->bytes);

	r->prev = NULL;
	r->next = ring.bucket[b];
	if (r->next)
		r->next->prev = r;
	ring.bucket[b] = r;
	ring.bits[b / 64] |= (uint64_t)1 << (b % 64);
}

static void bucket_remove(struct hak_region *r)
{
	unsigned int b = bucket_of(r->bytes);

	if (r->prev)
		r->prev->next = r->next;
	else
		ring.bucket[b] = r->next;
	if (r->next)
		r->next->prev = r->prev;
	if (!ring.bucket[b])
		ring.bits[b / 64] &= ~((uint64_t)1 << (b % 64));
}

static void age_add(struct hak_region *r, bool newest)
{
	if (newest) {
		r->newer = NULL;
		r->older = ring.newest;
		if (ring.newest)
			ring.newest->newer = r;
		else
			ring.oldest = r;
		ring.newest = r;
	} else {
		r->older = NULL;
		r->newer = ring.oldest;
		if (ring.oldest)
			ring.oldest->older = r;
		else
			ring.newest = r;
		ring.oldest = r;
	}
}

static void age_remove(struct hak_region *r)
{
	if (r->older)
		r->older->newer = r->newer;
	else
		ring.oldest = r->newer;
	if (r->newer)
		r->newer->older = r->older;
	else
		ring.newest = r->older;
}

static void count_in(const struct hak_region *r)
{
	ring.regions++;
	ring.bytes += r->bytes;
	if (r->state == HAK_REGION_DIRTY)
		ring_dirty_add((int64_t)r->bytes);
	gauge();
}

static void count_out(const struct hak_region *r)
{
	ring.regions--;
	ring.bytes -= r->bytes;
	if (r->state == HAK_REGION_DIRTY)
		ring_dirty_add(-(int64_t)r->bytes);
	gauge();
}

/* Marks a region's ends, by which neighbours find it. */
static void publish(struct hak_region *r)
{
	hak_granule_set(hak_granule_ours(r->base), HAK_KEPT, r);
	hak_granule_set(hak_granule_ours(r->base + r->bytes - HAK_GRANULE), HAK_KEPT, r);
	if (r->state == HAK_REGION_LAZY)
		hak_segment_lazy_add(r->base, r->bytes);
}

static void unpublish(struct hak_region *r)
{
	hak_granule_clear(hak_granule_ours(r->base));
	hak_granule_clear(hak_granule_ours(r->base + r->bytes - HAK_GRANULE));
	if (r->state == HAK_REGION_LAZY)
		hak_segment_lazy_remove(r->base, r->bytes);
}

static void ring_remove(struct hak_region *r)
{
	unpublish(r);
	bucket_remove(r);
	age_remove(r);
	count_out(r);
}

/* The region in the ring that ends or begins at p, if its pages are as r's. */
static struct hak_region *neighbour(const struct hak_region *r, const char *p)
{
	const struct hak_granule *g = hak_granule(p);
	struct hak_region *n;

	if (hak_granule_kind(g) != HAK_KEPT)
		return NULL;
	n = atomic_load_explicit(&g->word, memory_order_relaxed);
	return n->state == r->state && n->thp == r->thp ? n : NULL;
}

static void absorb(struct hak_region *r, struct hak_region *n)
{
	ring_remove(n);
	/* as old as its larger part: a small whale in constant use keeps no large one young */
	if (n->bytes > r->bytes)
		r->epoch = n->epoch;
	if (n->base < r->base)
		r->base = n->base;
	r->bytes += n->bytes;
	r->zero &= n->zero;
	r->filled = 0;
	hak_count(HAK_C_RING_MERGES, 1);
	if (!ring.spare)
		ring.spare = n;
	else
		hak_meta_put(HAK_META_REGION, n);
}

static void ring_add(struct hak_region *r, bool newest)
{
	struct hak_region *n;

	n = neighbour(r, r->base - 1);
	if (n)
		absorb(r, n);
	n = neighbour(r, r->base + r->bytes);
	if (n)
		absorb(r, n);
	publish(r);
	bucket_add(r);
	age_add(r, newest);
	count_in(r);
}

/* Before anything looks through the ring. */
static void settle_front(void)
{
	struct hak_region *r = ring.front;

	if (!r)
		return;
	ring.front = NULL;
	count_out(r);
	ring_add(r, true);
}

static bool fits(const struct hak_region *r, size_t bytes, size_t most, size_t align)
{
	return r->bytes >= bytes && r->bytes <= most && !((uintptr_t)r->base & (align - 1));
}

static struct hak_region *best_in(unsigned int b, size_t bytes, size_t most, size_t align)
{
	struct hak_region *best = NULL;
	unsigned int seen = 0;

	for (struct hak_region *r = ring.bucket[b]; r && seen < SCAN; r = r->next, seen++) {
		if (!fits(r, bytes, most, align))
			continue;
		if (r->bytes == bytes)
			return r;
		if (!best || r->bytes < best->bytes)
			best = r;
	}
	return best;
}

/* The smallest of the regions too large to be handed out whole. */
static struct hak_region *larger(unsigned int b, size_t bytes, size_t align)
{
	while (b < BUCKETS) {
		uint64_t w = ring.bits[b / 64] >> (b % 64);
		struct hak_region *r;

		if (!w) {
			b = (b / 64 + 1) * 64;
			continue;
		}
		b += (unsigned int)__builtin_ctzl(w);
		r = best_in(b, bytes, SIZE_MAX, align);
		if (r)
			return r;
		b++;
	}
	return NULL;
}

/* Hands out the first part of r; the rest stays where it is, with its age. */
static struct hak_region *split(struct hak_region *r, size_t bytes)
{
	struct hak_region *part = ring.spare;

	if (!part)
		return NULL;
	ring.spare = NULL;
	unpublish(r);
	bucket_remove(r);
	count_out(r);
	*part = (struct hak_region){ .base = r->base,
				     .bytes = bytes,
				     .state = r->state,
				     .zero = r->zero,
				     .thp = r->thp,
				     .epoch = r->epoch };
	r->base += bytes;
	r->bytes -= bytes;
	publish(r);
	bucket_add(r);
	count_in(r);
	hak_count(HAK_C_RING_SPLITS, 1);
	return part;
}

static struct hak_region *ring_get(size_t bytes, size_t align)
{
	size_t most = bytes + bytes / 8;
	unsigned int b;
	struct hak_region *r;

	hak_lock(HAK_LOCK_RING);
	r = ring.front;
	if (hak_likely(r && fits(r, bytes, most, align))) {
		ring.front = NULL;
		count_out(r);
		hak_unlock(HAK_LOCK_RING);
		return r;
	}
	settle_front();
	b = bucket_of(bytes);
	r = best_in(b, bytes, most, align);
	if (!r && b + 1 < BUCKETS)
		r = best_in(b + 1, bytes, most, align);
	if (r) {
		ring_remove(r);
	} else {
		r = larger(b, bytes, align);
		if (r)
			r = split(r, bytes);
	}
	hak_unlock(HAK_LOCK_RING);
	return r;
}

/* A descriptor for the next split is made while no lock is held: it may take a system call. */
static void stock_spare(void)
{
	struct hak_region *d;

	if (hak_likely(__atomic_load_n(&ring.spare, __ATOMIC_RELAXED)))
		return;
	d = hak_meta_get(HAK_META_REGION);
	if (!d)
		return;
	hak_lock(HAK_LOCK_RING);
	if (!ring.spare) {
		ring.spare = d;
		d = NULL;
	}
	hak_unlock(HAK_LOCK_RING);
	if (d)
		hak_meta_put(HAK_META_REGION, d);
}

/* ---- regions outside the ring ---- */

static bool want_thp(const struct hak_region *r)
{
	uint64_t mode = hak_tun(HAK_T_THP_MODE);

	return mode == THP_ALWAYS || (mode == THP_ADAPTIVE && r->filled >= 2);
}

/* For a region in no ring: neighbours that are advised differently do not join. */
static void advise_thp(struct hak_region *r)
{
	if (hak_unlikely(want_thp(r)) && !r->thp && !hak_os_hugepage(r->base, r->bytes, true))
		r->thp = true;
}

static struct hak_region *map_region(size_t bytes, size_t align)
{
	struct hak_region *r = hak_meta_get(HAK_META_REGION);

	if (hak_unlikely(hak_tun(HAK_T_THP_MODE) != THP_OFF) && bytes >= HAK_EXTENT &&
	    align < HAK_EXTENT)
		align = HAK_EXTENT;	/* a huge page must fit */

	if (!r)
		return NULL;
	r->base = hak_os_map(bytes, align);
	if (!r->base || hak_granule_prepare(r->base, bytes, false)) {
		if (r->base)
			hak_os_unmap(r->base, bytes);
		hak_meta_put(HAK_META_REGION, r);
		return NULL;
	}
	r->bytes = bytes;
	r->zero = true;
	r->state = HAK_REGION_IN_USE;
	advise_thp(r);
	hak_count(HAK_C_MEM_MAPPED, (int64_t)bytes);
	hak_count(HAK_C_MEM_WHALE, (int64_t)bytes);
	return r;
}

/*
 * Gives the mapping up. If munmap refuses (max_map_count) the pages go and the region waits in the
 * ring whatever its limits: free never fails. The granule is cleared before the address can be
 * somebody else's.
 */
static void unmap_region(struct hak_region *r)
{
	hak_granule_clear(hak_granule_ours(r->base));
	if (!hak_os_unmap(r->base, r->bytes)) {
		hak_count(mem_counter(r), -(int64_t)r->bytes);
		hak_count(HAK_C_MEM_MAPPED, -(int64_t)r->bytes);
		hak_meta_put(HAK_META_REGION, r);
		return;
	}
	hak_count(HAK_C_UNMAP_KEPT, 1);
	if (!hak_os_dontneed(r->base, r->bytes)) {
		set_state(r, HAK_REGION_CLEAN);
		r->zero = true;
	} else {
		set_state(r, HAK_REGION_DIRTY);
	}
	hak_lock(HAK_LOCK_RING);
	ring_add(r, false);
	hak_unlock(HAK_LOCK_RING);
}

static uint64_t unmap_list(struct hak_region *r, bool count)
{
	uint64_t bytes = 0;

	while (r) {
		struct hak_region *next = r->next;

		if (r->state != HAK_REGION_CLEAN)
			bytes += hak_purge_count(r->base, r->bytes);
		if (count)
			hak_count(HAK_C_RING_UNMAPS, 1);
		unmap_region(r);
		r = next;
	}
	return bytes;
}

/* ---- eviction ---- */

static bool adjacent(const struct hak_region *a, const struct hak_region *b)
{
	return a->base + a->bytes == b->base;
}

/* Sorts by address so that neighbours share one call; few and nearly sorted: insertion. */
static void sort(struct hak_region **r, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		struct hak_region *x = r[i];
		unsigned int k = i;

		for (; k && r[k - 1]->base > x->base; k--)
			r[k] = r[k - 1];
		r[k] = x;
	}
}

static uint64_t evict_mode(void)
{
	uint64_t mode = hak_tun(HAK_T_REGION_EVICT);

	if (mode == EVICT_DONTNEED && hak_tune_pageout_attached())
		mode = EVICT_FREE;
	/* kernels before 5.18 can lose O_DIRECT reads into lazily freed pages (6c8e2a256915) */
	if (mode == EVICT_FREE && !hak_tun(HAK_T_REGION_FREE_FORCE) &&
	    hak_os_kernel() < (5u << 16 | 18))
		mode = EVICT_DONTNEED;
	return mode;
}

/* One call over [p, p + bytes), all ours and in no ring. True if it did what the mode says. */
static bool give_back(uint64_t mode, char *p, size_t bytes)
{
	switch (mode) {
	case EVICT_FREE:
		return !hak_os_free(p, bytes);
	case EVICT_REMAP:
		return !hak_os_remap_fresh(p, bytes);
	default:
		return !hak_os_dontneed(p, bytes);
	}
}

static void evicted(struct hak_region *r, bool lazy)
{
	hak_count(HAK_C_RING_EVICTIONS, 1);
	hak_count(HAK_C_RING_EVICTED_BYTES, (int64_t)r->bytes);
	set_state(r, lazy ? HAK_REGION_LAZY : HAK_REGION_CLEAN);
	r->zero = !lazy;
}

/*
 * One region, or a row of neighbours. On an error (a locked page refuses the whole call) each
 * region is tried alone, and by the next stronger means: free, dontneed, mapping over. What still
 * fails stays dirty.
 */
static uint64_t evict_row(struct hak_region **r, unsigned int n, uint64_t mode)
{
	size_t bytes = 0;
	uint64_t done = 0, resident;

	for (unsigned int i = 0; i < n; i++)
		bytes += r[i]->bytes;
	resident = hak_purge_count(r[0]->base, bytes);
	if (give_back(mode, r[0]->base, bytes)) {
		for (unsigned int i = 0; i < n; i++)
			evicted(r[i], mode == EVICT_FREE);
		return resident;
	}
	for (unsigned int i = 0; i < n; i++) {
		resident = hak_purge_count(r[i]->base, r[i]->bytes);
		if (n > 1 && give_back(mode, r[i]->base, r[i]->bytes))
			evicted(r[i], mode == EVICT_FREE);
		else if (mode == EVICT_FREE && give_back(EVICT_DONTNEED, r[i]->base, r[i]->bytes))
			evicted(r[i], false);
		else if (mode != EVICT_REMAP && give_back(EVICT_REMAP, r[i]->base, r[i]->bytes))
			evicted(r[i], false);
		else
			continue;
		done += resident;
	}
	return done;
}

static uint64_t evict_regions(struct hak_region **r, unsigned int n, uint64_t mode)
{
	uint64_t bytes = 0;

	sort(r, n);
	for (unsigned int i = 0; i < n;) {
		unsigned int first = i++;

		while (i < n && adjacent(r[i - 1], r[i]))
			i++;
		bytes += evict_row(r + first, i - first, mode);
	}
	return bytes;
}

/*
 * Up to `max` dirty regions, oldest first, leave the ring. Those put there in epoch `before` or
 * later stay, unless there is more than `over`. `lazy`: those freed lazily as well.
 */
static unsigned int take_dirty(struct hak_region **out, unsigned int max, uint32_t before,
			       uint64_t over, bool lazy)
{
	unsigned int n = 0;
	uint64_t dirty;

	hak_lock(HAK_LOCK_RING);
	settle_front();
	dirty = ring_dirty();
	for (struct hak_region *r = ring.oldest, *newer; r && n < max; r = newer) {
		newer = r->newer;
		if (r->state == HAK_REGION_CLEAN || (r->state == HAK_REGION_LAZY && !lazy))
			continue;
		if ((int32_t)(r->epoch - before) >= 0 && dirty <= over)
			continue;	/* joined regions may be older than their place says */
		if (r->state == HAK_REGION_DIRTY)
			dirty -= r->bytes;
		ring_remove(r);
		out[n++] = r;
	}
	hak_unlock(HAK_LOCK_RING);
	return n;
}

/* Takes out, oldest first, what is over the limits; linked by next. Lock held. */
static struct hak_region *over_limits(uint64_t slots, uint64_t bytes)
{
	struct hak_region *list = NULL;

	settle_front();
	while (ring.oldest && (ring.regions > slots || ring.bytes > bytes)) {
		struct hak_region *r = ring.oldest;

		ring_remove(r);
		r->next = list;
		list = r;
	}
	return list;
}

/*
 * The same by the limits as they are now: they may have been lowered since the caller last looked.
 * Lock held.
 */
static struct hak_region *over_tuned(void)
{
	uint64_t slots = hak_tun(HAK_T_WHALE_RING_SLOTS), bytes = hak_tun(HAK_T_WHALE_RING_BYTES);

	if (hak_likely(ring.regions <= slots && ring.bytes <= bytes))
		return NULL;
	return over_limits(slots, bytes);
}

static void put_back(struct hak_region **r, unsigned int n)
{
	struct hak_region *over;

	hak_lock(HAK_LOCK_RING);
	for (unsigned int i = 0; i < n; i++)
		ring_add(r[i], false);	/* neighbours evicted in one go become one region */
	over = over_tuned();
	hak_unlock(HAK_LOCK_RING);
	unmap_list(over, true);
}

static uint64_t evict_batch(uint32_t before, uint64_t over, bool forced)
{
	struct hak_region *r[BATCH_MAX];
	uint64_t mode = evict_mode(), bytes = 0;
	unsigned int n;

	if (mode == EVICT_KEEP && !forced)
		return 0;
	/* who asks for memory wants to see it gone, unless he pages it out himself */
	if (mode == EVICT_KEEP || (mode == EVICT_FREE && forced && !hak_tune_pageout_attached()))
		mode = EVICT_DONTNEED;
	n = take_dirty(r, (unsigned int)hak_tun(HAK_T_REGION_EVICT_BATCH), before, over,
		       forced && mode != EVICT_FREE);
	if (mode == EVICT_MUNMAP) {
		for (unsigned int i = 0; i < n; i++) {
			bytes += hak_purge_count(r[i]->base, r[i]->bytes);
			hak_count(HAK_C_RING_UNMAPS, 1);
			unmap_region(r[i]);
		}
		return bytes;
	}
	bytes = evict_regions(r, n, mode);
	put_back(r, n);
	return bytes;
}

uint64_t hak_ring_evict(uint32_t before, bool forced)
{
	uint64_t bytes = 0, n;

	do {
		n = evict_batch(before, UINT64_MAX, forced);
		bytes += n;
	} while (n);
	return bytes;
}

static uint64_t shrink_to(uint64_t slots, uint64_t bytes)
{
	struct hak_region *list;

	hak_lock(HAK_LOCK_RING);
	list = over_limits(slots, bytes);
	hak_unlock(HAK_LOCK_RING);
	return unmap_list(list, true);
}

uint64_t hak_ring_empty(void)
{
	return shrink_to(0, 0);
}

void hak_ring_tuned(void)
{
	shrink_to(hak_tun(HAK_T_WHALE_RING_SLOTS), hak_tun(HAK_T_WHALE_RING_BYTES));
}

/* ---- whales ---- */

static size_t whale_bytes(size_t bytes)
{
	return bytes ? hak_align_up(bytes, HAK_GRANULE) : HAK_GRANULE;
}

static void count_get(struct hak_cache *c, uint64_t t0)
{
	if (hak_likely(!t0))
		return;
	hak_heap_count1(c, WHALE_GET_SAMPLES);
	hak_heap_count_n(c, WHALE_GET_CYCLES, cycles() - t0);
}

void *hak_whale_alloc(struct hak_cache *c, size_t bytes, size_t align, bool *ret_zero)
{
	uint64_t t0 = hak_unlikely(hak_tun(HAK_T_STATS_TIMING)) ? cycles() : 0;
	size_t want = whale_bytes(bytes);
	struct hak_region *r;

	if (align < HAK_GRANULE)
		align = HAK_GRANULE;
	stock_spare();
	r = ring_get(want, align);
	if (hak_likely(r)) {
		count_get(c, t0);
		set_state(r, HAK_REGION_IN_USE);
		advise_thp(r);
		hak_heap_count1(c, WHALE_HITS);
	} else {
		r = map_region(want, align);
		if (!r) {
			/* what is kept may be what is missing */
			if (!hak_reclaim())
				return NULL;
			r = map_region(want, align);
			if (!r)
				return NULL;
		}
		hak_heap_count1(c, WHALE_MISSES);
	}
	*ret_zero = r->zero;
	r->zero = false;
	r->requested = bytes;
	hak_granule_set(hak_granule_ours(r->base), HAK_WHALE, r);
	hak_heap_count1(c, WHALE_ALLOCS);
	hak_heap_count_n(c, WHALE_ALLOC_BYTES, r->bytes);
	hak_heap_count_n(c, WHALE_REQ_ALLOC, bytes);
	return r->base;
}

/*
 * Sampled at free: whether the last page was touched tells a filled block from an arena of which
 * little is used.
 */
static void note_filled(struct hak_region *r)
{
	if (hak_likely(hak_tun(HAK_T_THP_MODE) != THP_ADAPTIVE) || r->filled >= 2)
		return;
	if (!hak_os_sandboxed() && hak_os_resident_bytes(r->base + r->bytes - hak_page, hak_page))
		r->filled++;
}

static void evict_over_budget(void)
{
	uint64_t budget = hak_tun(HAK_T_PURGE_DELAY_MS) ? hak_tun(HAK_T_REGION_EVICT_BYTES) : 0;

	if (hak_likely(ring_dirty() <= budget))
		return;
	/* Not when somebody purges already: what is over now will be seen at the next free. */
	if (!hak_trylock(HAK_LOCK_PURGE))
		return;
	evict_batch(hak_purge_epoch() - NEVER, budget, false);
	hak_unlock(HAK_LOCK_PURGE);
}

void hak_whale_free(struct hak_cache *c, struct hak_region *r)
{
	uint64_t t0 = hak_unlikely(hak_tun(HAK_T_STATS_TIMING)) ? cycles() : 0;
	struct hak_region *over;

	hak_heap_count1(c, WHALE_FREES);
	hak_heap_count_n(c, WHALE_FREE_BYTES, r->bytes);
	hak_heap_count_n(c, WHALE_REQ_FREE, r->requested);
	if (hak_unlikely(!hak_tun(HAK_T_WHALE_RING_SLOTS) ||
			 r->bytes > hak_tun(HAK_T_WHALE_RING_BYTES))) {
		hak_heap_count1(c, WHALE_UNKEPT);
		unmap_region(r);
		return;
	}
	note_filled(r);
	hak_granule_clear(hak_granule_ours(r->base));
	set_state(r, HAK_REGION_DIRTY);
	r->epoch = hak_purge_epoch();
	hak_lock(HAK_LOCK_RING);
	settle_front();
	ring.front = r;
	count_in(r);
	over = over_tuned();
	hak_unlock(HAK_LOCK_RING);
	hak_heap_count1(c, WHALE_PUTS);
	if (hak_unlikely(t0)) {
		hak_heap_count1(c, WHALE_PUT_SAMPLES);
		hak_heap_count_n(c, WHALE_PUT_CYCLES, cycles() - t0);
	}
	if (hak_unlikely(over != NULL))
		unmap_list(over, true);
	evict_over_budget();
}

/* ---- realloc ---- */

static void resized(struct hak_cache *c, struct hak_region *r, size_t bytes, size_t requested)
{
	int64_t more = (int64_t)bytes - (int64_t)r->bytes;

	if (more > 0)
		hak_heap_count_n(c, WHALE_ALLOC_BYTES, more);
	else
		hak_heap_count_n(c, WHALE_FREE_BYTES, -more);
	hak_heap_count_n(c, WHALE_REQ_ALLOC, requested);
	hak_heap_count_n(c, WHALE_REQ_FREE, r->requested);
	hak_count(HAK_C_MEM_MAPPED, more);
	hak_count(HAK_C_MEM_WHALE, more);
	r->bytes = bytes;
	r->requested = requested;
}

/*
 * The tail goes back to the kernel. If munmap refuses (max_map_count) its pages go and it stays
 * usable.
 */
static void cut(struct hak_cache *c, struct hak_region *r, size_t want, size_t requested)
{
	size_t tail = r->bytes - want;

	if (hak_os_unmap(r->base + want, tail)) {
		hak_count(HAK_C_UNMAP_KEPT, 1);
		hak_os_dontneed(r->base + want, tail);
		want = r->bytes;
	}
	resized(c, r, want, requested);
}

/* Into fresh aligned address space of ours, which the move replaces. */
static bool move(struct hak_region *r, size_t want)
{
	char *to = hak_os_map(want, HAK_GRANULE), *from = r->base;

	if (!to)
		return false;
	if (!hak_granule_prepare(to, want, false)) {
		/*
		 * cleared first: another thread may get the old address the moment the move is done
		 */
		hak_granule_clear(hak_granule_ours(from));
		if (!hak_os_move(from, r->bytes, to, want)) {
			r->base = to;
			hak_granule_set(hak_granule_ours(to), HAK_WHALE, r);
			return true;
		}
		hak_granule_set(hak_granule_ours(from), HAK_WHALE, r);
	}
	hak_os_unmap(to, want);
	return false;
}

void *hak_whale_resize(struct hak_cache *c, struct hak_region *r, size_t bytes)
{
	size_t want = whale_bytes(bytes);

	if (want <= r->bytes) {
		/* an eighth of slack is kept, as the ring does */
		if (want < r->bytes - r->bytes / 8)
			cut(c, r, want, bytes);
		else
			resized(c, r, r->bytes, bytes);
		hak_heap_count1(c, REALLOC_IN_PLACE);
		return r->base;
	}
	if (!hak_granule_prepare(r->base, want, false) && !hak_os_grow(r->base, r->bytes, want)) {
		hak_heap_count1(c, REALLOC_IN_PLACE);
	} else {
		if (!move(r, want))
			return NULL;
		hak_heap_count1(c, REALLOC_REMAP);
	}
	resized(c, r, want, bytes);
	return r->base;
}
