/* SPDX-License-Identifier: MIT */
/* The region cache, and the hot regions before it. See rcache.h. */
#include "rcache.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "epoch.h"
#include "extent.h"
#include "slice.h"
#include "lazy.h"
#include "meta.h"
#include "system/os.h"
#include "system/room.h"

/* eight per doubling, from 1 MiB to an eighth above the address space; 0 holds smaller rests */
#define BUCKETS	   ((HAK_ADDRESS_BITS - 20u) * 8 + 3)
#define SCAN	   16u /* regions of a bucket among which the best fit is taken */
#define BATCH_MAX  256u
#define NEVER	   0x40000000u	/* epochs ago: no region is that old */
#define HOT_PUTS   64u		/* whales that a thread must free within an epoch to keep one */
#define LAZY_LEAST (256u << 20) /* LAZY bytes that may stay even if less may be dirty */
#define LOOK_BYTES (16u << 20)	/* growth since the last look at the limits that causes another */

/* Guarded by HAK_LOCK_RCACHE. */
static struct {
	struct hak_region *bucket[BUCKETS];
	struct hak_region *oldest, *newest;
	uint32_t regions;
	uint64_t bytes;		/* address space; also read without the lock */
	_Atomic uint64_t dirty; /* bytes of DIRTY regions; also read without the lock */
	_Atomic uint64_t lazy;	/* of LAZY ones; also read without the lock */
	uint64_t looked;	/* bytes when RLIMIT_AS and RLIMIT_DATA were last read */
	uint64_t bits[(BUCKETS + 63) / 64]; /* buckets that are not empty */
	struct hak_region *spare;	    /* a descriptor for the next split */
	/* threads that may keep a region, and how much; counted as if in the region cache */
	uint32_t hot_n;
	_Atomic uint64_t hot_bytes; /* also read without the lock */
	struct hak_hot *all_hot;    /* each that ever held a region; linked by next */
	uint8_t life;		    /* number of this cache; a hot region in no cache has 0 */
} rcache = { .life = 1 };

static uint64_t rcache_dirty(void)
{
	return atomic_load_explicit(&rcache.dirty, memory_order_relaxed);
}

static uint64_t rcache_lazy(void)
{
	return atomic_load_explicit(&rcache.lazy, memory_order_relaxed);
}

static uint64_t hot_total(void)
{
	return atomic_load_explicit(&rcache.hot_bytes, memory_order_relaxed);
}

/* Counts bytes for which the kernel charges. HAK_LOCK_RCACHE: one writer at a time. */
static void count_charged(const struct hak_region *r, int64_t bytes)
{
	if (r->state == HAK_REGION_DIRTY)
		atomic_store_explicit(&rcache.dirty, rcache_dirty() + (uint64_t)bytes,
				      memory_order_relaxed);
	else if (r->state == HAK_REGION_LAZY)
		atomic_store_explicit(&rcache.lazy, rcache_lazy() + (uint64_t)bytes,
				      memory_order_relaxed);
}

static uint64_t within_room(uint64_t bytes)
{
	uint64_t room = hak_room_data();

	return bytes < room ? bytes : room;
}

uint64_t hak_rcache_in_use(void)
{
	uint64_t all = atomic_load_explicit(&hak_mapped[HAK_MAPPED_REGION_BYTES].now,
					    memory_order_relaxed);
	uint64_t kept = __atomic_load_n(&rcache.bytes, __ATOMIC_RELAXED) + hot_total();

	return all > kept ? all - kept : 0;
}

/*
 * The bytes that may be DIRTY, hot regions included: what the tunable says, and what limits on the
 * process and its control groups leave room for when `more` bytes are in use than now.
 */
static uint64_t most_dirty(uint64_t more)
{
	uint64_t most = hak_tun(HAK_T_PURGE_DELAY_MS) ? hak_tun(HAK_T_REGION_EVICT_BYTES) : 0;
	uint64_t room = hak_room_resident(hak_rcache_in_use() + hak_extent_used() + more);

	return within_room(most < room ? most : room);
}

static uint64_t most_lazy(void)
{
	uint64_t most = hak_tun(HAK_T_REGION_EVICT_BYTES);

	return within_room(most > LAZY_LEAST ? most : LAZY_LEAST);
}

static unsigned int bucket_of(size_t bytes)
{
	/* floor: the bucket of b holds sizes in [2^e * (1 + k/8), 2^e * (1 + (k+1)/8)) */
	unsigned int e = 63u - (unsigned int)__builtin_clzl(bytes);

	return e < 20 ? 0 : (e - 20) * 8 + (unsigned int)(bytes >> (e - 3) & 7) + 1;
}

/* ---- the region cache's lists; HAK_LOCK_RCACHE ---- */

static void bucket_add(struct hak_region *r)
{
	unsigned int b = bucket_of(r->bytes);

	r->prev = NULL;
	r->next = rcache.bucket[b];
	if (r->next)
		r->next->prev = r;
	rcache.bucket[b] = r;
	rcache.bits[b / 64] |= (uint64_t)1 << (b % 64);
}

static void bucket_remove(struct hak_region *r)
{
	unsigned int b = bucket_of(r->bytes);

	if (r->prev)
		r->prev->next = r->next;
	else
		rcache.bucket[b] = r->next;
	if (r->next)
		r->next->prev = r->prev;
	if (!rcache.bucket[b])
		rcache.bits[b / 64] &= ~((uint64_t)1 << (b % 64));
}

static void age_add(struct hak_region *r, bool newest)
{
	if (newest) {
		r->newer = NULL;
		r->older = rcache.newest;
		if (rcache.newest)
			rcache.newest->newer = r;
		else
			rcache.oldest = r;
		rcache.newest = r;
	} else {
		r->older = NULL;
		r->newer = rcache.oldest;
		if (rcache.oldest)
			rcache.oldest->older = r;
		else
			rcache.newest = r;
		rcache.oldest = r;
	}
}

static void age_remove(struct hak_region *r)
{
	if (r->older)
		r->older->newer = r->newer;
	else
		rcache.oldest = r->newer;
	if (r->newer)
		r->newer->older = r->older;
	else
		rcache.newest = r->older;
}

static void count_in(const struct hak_region *r)
{
	rcache.regions++;
	__atomic_store_n(&rcache.bytes, rcache.bytes + r->bytes, __ATOMIC_RELAXED);
	count_charged(r, (int64_t)r->bytes);
}

static void count_out(const struct hak_region *r)
{
	rcache.regions--;
	__atomic_store_n(&rcache.bytes, rcache.bytes - r->bytes, __ATOMIC_RELAXED);
	count_charged(r, -(int64_t)r->bytes);
}

/* Marks both ends of a region, by which neighbours find it. */
static void publish(struct hak_region *r)
{
	hak_slice_set(hak_slice_ours(r->base), HAK_KEPT, r);
	hak_slice_set(hak_slice_ours(r->base + r->bytes - HAK_SLICE), HAK_KEPT, r);
	if (r->state == HAK_REGION_LAZY)
		hak_lazy_add(r->base, r->bytes);
}

static void unpublish(struct hak_region *r)
{
	hak_slice_clear(hak_slice_ours(r->base));
	hak_slice_clear(hak_slice_ours(r->base + r->bytes - HAK_SLICE));
	if (r->state == HAK_REGION_LAZY)
		hak_lazy_remove(r->base, r->bytes);
}

static void rcache_remove(struct hak_region *r)
{
	unpublish(r);
	bucket_remove(r);
	age_remove(r);
	count_out(r);
}

/*
 * Returns the region in the region cache that ends or begins at p, if its pages are in r's state.
 */
static struct hak_region *neighbour(const struct hak_region *r, const char *p)
{
	const struct hak_slice *g = hak_slice(p);
	struct hak_region *n;

	if (hak_slice_kind(g) != HAK_KEPT)
		return NULL;
	n = atomic_load_explicit(&g->word, memory_order_relaxed);
	return n->life == rcache.life && n->state == r->state && n->closed == r->closed &&
			       n->thp == r->thp
		       ? n
		       : NULL;
}

static void absorb(struct hak_region *r, struct hak_region *n)
{
	rcache_remove(n);
	/*
	 * takes the age of its larger part: a small whale in constant use keeps no large one young
	 */
	if (n->bytes > r->bytes)
		r->epoch = n->epoch;
	if (n->base < r->base)
		r->base = n->base;
	r->bytes += n->bytes;
	r->zero &= n->zero;
	r->filled = 0;
	hak_count(HAK_C_RING_MERGES, 1);
	hak_mapped_regions(-1);
	if (!rcache.spare)
		__atomic_store_n(&rcache.spare, n, __ATOMIC_RELAXED);
	else
		hak_meta_put(HAK_META_REGION, n);
}

static void rcache_add(struct hak_region *r, bool newest)
{
	struct hak_region *n;

	n = neighbour(r, r->base - 1);
	if (n) {
		/* the mark of the former whale would lie in the middle of a region */
		hak_slice_clear(hak_slice_ours(r->base));
		absorb(r, n);
	}
	n = neighbour(r, r->base + r->bytes);
	if (n)
		absorb(r, n);
	r->life = rcache.life;
	publish(r);
	bucket_add(r);
	age_add(r, newest);
	count_in(r);
}

static struct hak_region *best_in(unsigned int b, size_t bytes, size_t most, size_t align)
{
	struct hak_region *best = NULL;
	unsigned int seen = 0;

	for (struct hak_region *r = rcache.bucket[b]; r && seen < SCAN; r = r->next, seen++) {
		if (!hak_region_fits(r, bytes, most, align))
			continue;
		if (r->bytes == bytes)
			return r;
		if (!best || r->bytes < best->bytes)
			best = r;
	}
	return best;
}

/* Returns the smallest region among those that are too large to be handed out whole. */
static struct hak_region *larger(unsigned int b, size_t bytes, size_t align)
{
	while (b < BUCKETS) {
		uint64_t w = rcache.bits[b / 64] >> (b % 64);
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

/* Hands out the first part of r. The rest stays in its place, with its age. */
static struct hak_region *split(struct hak_region *r, size_t bytes)
{
	struct hak_region *part = rcache.spare;

	if (!part)
		return NULL;
	__atomic_store_n(&rcache.spare, NULL, __ATOMIC_RELAXED);
	unpublish(r);
	bucket_remove(r);
	count_out(r);
	*part = (struct hak_region){ .base = r->base,
				     .bytes = bytes,
				     .state = r->state,
				     .life = r->life,
				     .zero = r->zero,
				     .thp = r->thp,
				     .closed = r->closed,
				     .epoch = r->epoch };
	r->base += bytes;
	r->bytes -= bytes;
	publish(r);
	bucket_add(r);
	count_in(r);
	hak_count(HAK_C_RING_SPLITS, 1);
	hak_mapped_regions(1);
	return part;
}

static struct hak_region *search(size_t bytes, size_t align)
{
	size_t most = bytes + bytes / 8;
	unsigned int b = bucket_of(bytes);
	struct hak_region *r = NULL;

	/* near the end of a doubling an eighth more lies two buckets on */
	for (unsigned int k = b; !r && k <= bucket_of(most); k++)
		r = best_in(k, bytes, most, align);
	if (r) {
		rcache_remove(r);
		return r;
	}
	r = larger(b, bytes, align);
	return r ? split(r, bytes) : NULL;
}

/* ---- invariants ---- */

#if HAK_DEBUG

/*
 * Checks the links of each list, and the bucket of each region. Returns the regions in all buckets.
 */
static uint32_t check_buckets(void)
{
	uint32_t n = 0;

	for (unsigned int b = 0; b < BUCKETS; b++) {
		const struct hak_region *before = NULL;

		hak_assert(!rcache.bucket[b] == !(rcache.bits[b / 64] >> (b % 64) & 1));
		for (const struct hak_region *r = rcache.bucket[b]; r; before = r, r = r->next) {
			hak_assert(r->prev == before);
			hak_assert(bucket_of(r->bytes) == b);
			n++;
		}
	}
	return n;
}

static void check_slices(const struct hak_region *r)
{
	const struct hak_slice *g = hak_slice(r->base);
	size_t last = r->bytes / HAK_SLICE - 1;

	for (size_t i = 0; i <= last; i++) {
		g = hak_slice(r->base + i * HAK_SLICE);
		if (i && i != last) {
			hak_assert(hak_slice_kind(g) == HAK_FOREIGN);
			continue;
		}
		hak_assert(hak_slice_kind(g) == HAK_KEPT);
		hak_assert(atomic_load_explicit(&g->word, memory_order_relaxed) == r);
	}
}

static void check_region(const struct hak_region *r)
{
	const struct hak_region *n = neighbour(r, r->base - 1);

	hak_assert(r->base && !((uintptr_t)r->base & (HAK_SLICE - 1)));
	hak_assert(r->bytes && !(r->bytes & (HAK_SLICE - 1)));
	hak_assert(r->state <= HAK_REGION_CLEAN);
	hak_assert(r->life == rcache.life);
	hak_assert(!r->in_use && !r->sampled);
	hak_assert(r->state != HAK_REGION_CLEAN || r->zero);
	hak_assert(r->state != HAK_REGION_LAZY || !r->zero);
	hak_assert(!r->closed || (r->state == HAK_REGION_CLEAN && !r->thp));
	hak_assert(r->filled <= 2);
	/* one more than the present epoch: an eviction failed */
	hak_assert((int32_t)(r->epoch - hak_purge_epoch()) <= 1);
	hak_assert(!n || n->base + n->bytes != r->base); /* otherwise they would be joined */
	check_slices(r);
}

static void check_hot(void)
{
	uint64_t bytes = 0;
	uint32_t n = 0;

	for (const struct hak_hot *f = rcache.all_hot; f; f = f->next) {
		size_t most = atomic_load_explicit(&f->most, memory_order_relaxed);

		hak_assert(f->life == rcache.life);
		bytes += most;
		n += most != 0;
	}
	hak_assert(n == rcache.hot_n);
	hak_assert(bytes == hot_total());
}

/*
 * Each range of the table must be a LAZY region. The table may lack a LAZY region, because it may
 * be full.
 */
static void check_lazy(void)
{
	const struct hak_lazy_table *t = hak_lazy_check();

	for (unsigned int i = 0; t && i < t->count; i++) {
		const struct hak_slice *g = hak_slice((const void *)t->range[i].addr);
		const struct hak_region *r;

		hak_assert(hak_slice_kind(g) == HAK_KEPT);
		r = atomic_load_explicit(&g->word, memory_order_relaxed);
		hak_assert((uint64_t)(uintptr_t)r->base == t->range[i].addr);
		hak_assert(r->bytes == t->range[i].bytes && r->state == HAK_REGION_LAZY);
	}
}

void hak_rcache_check(void)
{
	const struct hak_region *older = NULL;
	uint64_t bytes = 0, of_state[HAK_REGION_CLEAN + 1] = { 0 };
	uint32_t n = 0;

	hak_assert(rcache.life);
	hak_assert(check_buckets() == rcache.regions);
	for (const struct hak_region *r = rcache.oldest; r; older = r, r = r->newer) {
		n++;
		hak_assert(r->older == older);
		check_region(r);
		bytes += r->bytes;
		of_state[r->state] += r->bytes;
	}
	hak_assert(rcache.newest == older && n == rcache.regions);
	hak_assert(bytes == rcache.bytes);
	hak_assert(of_state[HAK_REGION_DIRTY] == rcache_dirty());
	hak_assert(of_state[HAK_REGION_LAZY] == rcache_lazy());
	check_hot();
	check_lazy();
}

#endif

/* Releases HAK_LOCK_RCACHE. With many regions not every change causes a walk. */
static inline void leave(void)
{
	static uint32_t leaves;

	if (hak_check_due(&leaves, 1 + rcache.regions / 32))
		hak_rcache_check();
	hak_unlock(HAK_LOCK_RCACHE);
}

/* ---- in and out; no lock held ---- */

/*
 * Makes a descriptor for the next split while no lock is held, because that may take a system call.
 */
static void stock_spare(void)
{
	struct hak_region *d;

	if (hak_likely(__atomic_load_n(&rcache.spare, __ATOMIC_RELAXED)))
		return;
	d = hak_meta_get(HAK_META_REGION);
	if (!d)
		return;
	hak_lock(HAK_LOCK_RCACHE);
	if (!rcache.spare) {
		__atomic_store_n(&rcache.spare, d, __ATOMIC_RELAXED);
		d = NULL;
	}
	leave();
	if (d)
		hak_meta_put(HAK_META_REGION, d);
}

/* ---- hot regions; HAK_LOCK_RCACHE ---- */

static void drop_hot(struct hak_hot *f)
{
	size_t most = atomic_load_explicit(&f->most, memory_order_relaxed);
	struct hak_region *r;

	if (most) {
		if (hak_likely(f->life == rcache.life)) {
			rcache.hot_n--;
			atomic_fetch_sub_explicit(&rcache.hot_bytes, most, memory_order_relaxed);
		}
		atomic_store(&f->most, 0);
	}
	hak_stop("hot.dropping");
	r = atomic_exchange(&f->region, NULL);
	if (r)
		rcache_add(r, true);
}

/* Takes the hot regions of threads that freed no whale since epoch `before`. */
static void drop_all_hot(uint32_t before)
{
	for (struct hak_hot *f = rcache.all_hot; f; f = f->next)
		if ((int32_t)(atomic_load_explicit(&f->epoch, memory_order_relaxed) - before) < 0)
			drop_hot(f);
}

static void list_hot(struct hak_hot *f)
{
	if (f->life == rcache.life)
		return;
	f->life = rcache.life;
	f->next = rcache.all_hot;
	rcache.all_hot = f;
}

/*
 * Decides whether a thread that puts a region of so many bytes into the region cache may keep a
 * region of that size from now on. All threads together may keep at most half of what may stay
 * dirty.
 */
static void earn_hot(struct hak_hot *f, size_t bytes, uint32_t epoch)
{
	uint64_t kept = hot_total() + bytes;

	if (atomic_load_explicit(&f->epoch, memory_order_relaxed) != epoch) {
		atomic_store_explicit(&f->epoch, epoch, memory_order_relaxed);
		f->puts = 0;
	}
	if (++f->puts < HOT_PUTS || !hak_tun(HAK_T_PURGE_DELAY_MS) || kept > most_dirty(0) / 2 ||
	    rcache.regions + rcache.hot_n >= hak_tun(HAK_T_WHALE_RING_SLOTS) ||
	    rcache.bytes + kept > hak_rcache_most_bytes())
		return;
	drop_hot(f); /* the thread may have kept a smaller one */
	list_hot(f);
	f->puts = 0;
	rcache.hot_n++;
	atomic_fetch_add_explicit(&rcache.hot_bytes, bytes, memory_order_relaxed);
	atomic_store(&f->most, bytes);
}

void hak_hot_leave(struct hak_hot *f)
{
	hak_lock(HAK_LOCK_RCACHE);
	drop_hot(f);
	leave();
}

void hak_hot_forget(struct hak_hot *f)
{
	struct hak_hot **link = &rcache.all_hot;

	if (!f->life)
		return;
	hak_lock(HAK_LOCK_RCACHE);
	if (f->life == rcache.life) {
		while (*link != f)
			link = &(*link)->next;
		*link = f->next;
	}
	f->life = 0;
	leave();
}

/* ---- out of the region cache ---- */

void hak_rcache_unmap(struct hak_region *r)
{
	if (hak_region_unmap(r))
		return;
	hak_lock(HAK_LOCK_RCACHE);
	rcache_add(r, false);
	leave();
}

static uint64_t unmap_list(struct hak_region *r)
{
	uint64_t bytes = 0;

	while (r) {
		struct hak_region *next = r->next;

		if (r->state != HAK_REGION_CLEAN)
			bytes += hak_purge_count(r->base, r->bytes);
		hak_count(HAK_C_RING_UNMAPS, 1);
		hak_rcache_unmap(r);
		r = next;
	}
	return bytes;
}

/* Sets of states. */
#define DIRTY (1u << HAK_REGION_DIRTY)
#define LAZY  (1u << HAK_REGION_LAZY)

/*
 * Takes up to `max` regions in one of the states out of the region cache, oldest first. Regions put
 * there in epoch `before` or later stay, unless more than `over` bytes are in those states.
 */
static unsigned int take(struct hak_region **out, unsigned int max, unsigned int states,
			 uint32_t before, uint64_t over)
{
	unsigned int n = 0;
	uint64_t left;

	hak_lock(HAK_LOCK_RCACHE);
	left = (states & DIRTY ? rcache_dirty() : 0) + (states & LAZY ? rcache_lazy() : 0);
	for (struct hak_region *r = rcache.oldest, *newer; r && n < max; r = newer) {
		newer = r->newer;
		if (!(states >> r->state & 1))
			continue;
		if ((int32_t)(r->epoch - before) >= 0 && left <= over)
			continue; /* a joined region may be older than its place */
		left -= r->bytes;
		rcache_remove(r);
		out[n++] = r;
	}
	leave();
	return n;
}

/* HAK_LOCK_RCACHE held. */
static bool over(uint64_t slots, uint64_t bytes)
{
	return rcache.regions + rcache.hot_n > slots || rcache.bytes + hot_total() > bytes;
}

/* Takes out, oldest first, the regions over the limits, linked by next. HAK_LOCK_RCACHE held. */
static struct hak_region *over_limits(uint64_t slots, uint64_t bytes)
{
	struct hak_region *list = NULL;

	while (rcache.oldest && over(slots, bytes)) {
		struct hak_region *r = rcache.oldest;

		rcache_remove(r);
		r->next = list;
		list = r;
	}
	return list;
}

/*
 * Does the same by the present limits, which may have been lowered since the caller last read them.
 * HAK_LOCK_RCACHE held.
 */
static struct hak_region *over_tuned(void)
{
	uint64_t slots = hak_tun(HAK_T_WHALE_RING_SLOTS), bytes = hak_rcache_most_bytes();

	if (hak_likely(!over(slots, bytes)))
		return NULL;
	return over_limits(slots, bytes);
}

static void put_back(struct hak_region **r, unsigned int n)
{
	struct hak_region *list, *open = NULL;

	hak_lock(HAK_LOCK_RCACHE);
	for (unsigned int i = 0; i < n; i++) {
		if (hak_unlikely(r[i]->state == HAK_REGION_CLEAN && !r[i]->closed)) {
			r[i]->next = open;
			open = r[i];
			continue;
		}
		rcache_add(r[i],
			   false); /* neighbours that were evicted together become one region */
	}
	list = over_tuned();
	leave();
	unmap_list(list);
	unmap_list(open);
}

/* Returns how many regions were tried. *bytes grows by the bytes given back. */
static unsigned int evict_batch(uint64_t mode, unsigned int states, uint32_t before, uint64_t over,
				uint64_t *bytes)
{
	struct hak_region *r[BATCH_MAX];
	unsigned int n;

	if (mode == HAK_EVICT_KEEP)
		return 0;
	n = take(r, (unsigned int)hak_tun(HAK_T_REGION_EVICT_BATCH), states, before, over);
	if (mode == HAK_EVICT_MUNMAP) {
		for (unsigned int i = 0; i < n; i++) {
			*bytes += hak_purge_count(r[i]->base, r[i]->bytes);
			hak_count(HAK_C_RING_UNMAPS, 1);
			hak_rcache_unmap(r[i]);
		}
		return n;
	}
	*bytes += hak_region_evict(r, n, mode);
	put_back(r, n);
	return n;
}

uint64_t hak_rcache_evict(uint32_t before, bool forced)
{
	uint64_t mode = hak_region_evict_mode(forced), bytes = 0;

	hak_lock(HAK_LOCK_RCACHE);
	drop_all_hot(before);
	leave();
	/*
	 * What was freed lazily before this request goes now: a controller that pages out had the
	 * time for it.
	 */
	if (forced && mode == HAK_EVICT_FREE)
		while (evict_batch(HAK_EVICT_DONTNEED, LAZY, before, UINT64_MAX, &bytes))
			;
	while (evict_batch(mode, mode == HAK_EVICT_FREE ? DIRTY : DIRTY | LAZY, before, UINT64_MAX,
			   &bytes))
		;
	return bytes;
}

static uint64_t shrink_to(uint64_t slots, uint64_t bytes)
{
	struct hak_region *list;

	hak_lock(HAK_LOCK_RCACHE);
	drop_all_hot(hak_purge_epoch() + 1);
	list = over_limits(slots, bytes);
	leave();
	hak_stop("rcache.resized");
	return unmap_list(list);
}

uint64_t hak_rcache_empty(void)
{
	return shrink_to(0, 0);
}

void hak_rcache_tuned(void)
{
	shrink_to(hak_tun(HAK_T_WHALE_RING_SLOTS), hak_rcache_most_bytes());
}

/* ---- for whales ---- */

struct hak_region *hak_rcache_get(struct hak_hot *f, struct hak_region *other, size_t bytes,
				  size_t align)
{
	struct hak_region *r;

	stock_spare();
	hak_lock(HAK_LOCK_RCACHE);
	if (other) {
		rcache_add(other, true);
		drop_hot(f);
	}
	r = search(bytes, align);
	leave();
	return r;
}

/* Evicts one batch of the oldest regions. Returns false if none went. HAK_LOCK_PURGE held. */
static bool evict_over(uint64_t dirty, uint64_t lazy)
{
	/*
	 * memory for which a limit on the process leaves no room goes even with region.evict=keep
	 */
	uint64_t mode = hak_region_evict_mode(hak_room_data() != UINT64_MAX), bytes = 0;
	uint32_t before = hak_purge_epoch() - NEVER;
	uint64_t was = 2 * rcache_dirty() + rcache_lazy(); /* dirty memory may become lazy first */

	if (rcache_dirty() > dirty)
		evict_batch(mode, DIRTY, before, dirty, &bytes);
	if (hak_unlikely(rcache_lazy() > lazy))
		evict_batch(HAK_EVICT_DONTNEED, LAZY, before, lazy, &bytes);
	return 2 * rcache_dirty() + rcache_lazy() < was;
}

static void evict_over_budget(uint64_t more, bool all)
{
	uint64_t dirty = most_dirty(more), lazy = most_lazy(), hot = hot_total();

	dirty -= hot < dirty ? hot : dirty;
	if (hak_likely(rcache_dirty() <= dirty && rcache_lazy() <= lazy))
		return;
	/* If another thread is purging, the next free sees what is over the limits now. */
	if (!hak_trylock(HAK_LOCK_PURGE))
		return;
	while (evict_over(dirty, lazy) && all)
		;
	hak_unlock(HAK_LOCK_PURGE);
}

bool hak_rcache_put(struct hak_hot *f, struct hak_region *r)
{
	struct hak_region *list;
	bool look;

	hak_lock(HAK_LOCK_RCACHE);
	earn_hot(f, r->bytes, r->epoch);
	rcache_add(r, true);
	list = over_tuned();
	look = rcache.bytes > rcache.looked + LOOK_BYTES;
	leave();
	if (hak_unlikely(list != NULL))
		unmap_list(list);
	evict_over_budget(0, false);
	return look;
}

uint64_t hak_rcache_dirty(void)
{
	return rcache_dirty() + hot_total();
}

uint64_t hak_rcache_kept(void)
{
	uint64_t kept;

	hak_lock(HAK_LOCK_RCACHE);
	kept = rcache.bytes + hot_total();
	rcache.looked = rcache.bytes;
	leave();
	return kept;
}

void hak_rcache_fit(uint64_t more)
{
	struct hak_region *list;

	hak_lock(HAK_LOCK_RCACHE);
	if (hot_total() > most_dirty(more) / 2)
		drop_all_hot(hak_purge_epoch() + 1);
	list = over_tuned();
	leave();
	unmap_list(list);
	evict_over_budget(more, true);
}

void hak_rcache_abandon(void)
{
	uint8_t life = rcache.life + 1;

	memset(&rcache, 0, sizeof(rcache));
	rcache.life = life ? life : 1;
}

bool hak_rcache_holds_dirty(void)
{
	return rcache_dirty() || hot_total();
}
