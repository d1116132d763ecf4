/* SPDX-License-Identifier: MIT */
/* The lists of the region cache. See kept.h. */
#include "kept.h"

#include <string.h>

#include "base/stats.h"
#include "epoch.h"
#include "lazy.h"
#include "meta.h"
#include "system/os.h"

#define SCAN 16u /* regions of a bucket among which the best fit is taken */

struct hak_kept hak_kept = { .life = 1 };

/* Counts bytes for which the kernel charges. HAK_LOCK_RCACHE: one writer at a time. */
static void count_charged(const struct hak_region *r, int64_t bytes)
{
	if (r->state == HAK_REGION_DIRTY)
		atomic_store_explicit(&hak_kept.dirty, hak_kept_dirty() + (uint64_t)bytes,
				      memory_order_relaxed);
	else if (r->state == HAK_REGION_LAZY)
		atomic_store_explicit(&hak_kept.lazy, hak_kept_lazy() + (uint64_t)bytes,
				      memory_order_relaxed);
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
	r->next = hak_kept.bucket[b];
	if (r->next)
		r->next->prev = r;
	hak_kept.bucket[b] = r;
	hak_kept.bits[b / 64] |= (uint64_t)1 << (b % 64);
}

static void bucket_remove(struct hak_region *r)
{
	unsigned int b = bucket_of(r->bytes);

	if (r->prev)
		r->prev->next = r->next;
	else
		hak_kept.bucket[b] = r->next;
	if (r->next)
		r->next->prev = r->prev;
	if (!hak_kept.bucket[b])
		hak_kept.bits[b / 64] &= ~((uint64_t)1 << (b % 64));
}

static void age_add(struct hak_region *r, bool newest)
{
	if (newest) {
		r->newer = NULL;
		r->older = hak_kept.newest;
		if (hak_kept.newest)
			hak_kept.newest->newer = r;
		else
			hak_kept.oldest = r;
		hak_kept.newest = r;
	} else {
		r->older = NULL;
		r->newer = hak_kept.oldest;
		if (hak_kept.oldest)
			hak_kept.oldest->older = r;
		else
			hak_kept.newest = r;
		hak_kept.oldest = r;
	}
}

static void age_remove(struct hak_region *r)
{
	if (r->older)
		r->older->newer = r->newer;
	else
		hak_kept.oldest = r->newer;
	if (r->newer)
		r->newer->older = r->older;
	else
		hak_kept.newest = r->older;
}

static void count_in(const struct hak_region *r)
{
	hak_kept.regions++;
	__atomic_store_n(&hak_kept.bytes, hak_kept.bytes + r->bytes, __ATOMIC_RELAXED);
	count_charged(r, (int64_t)r->bytes);
}

static void count_out(const struct hak_region *r)
{
	hak_kept.regions--;
	__atomic_store_n(&hak_kept.bytes, hak_kept.bytes - r->bytes, __ATOMIC_RELAXED);
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

void hak_kept_remove(struct hak_region *r)
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
	return n->life == hak_kept.life && n->state == r->state && n->closed == r->closed &&
			       n->thp == r->thp
		       ? n
		       : NULL;
}

/* The memory of a region that is on no list belongs to another region now. */
static void drop_descriptor(struct hak_region *n)
{
	hak_mapped_regions(-1);
	if (!hak_kept.spare)
		__atomic_store_n(&hak_kept.spare, n, __ATOMIC_RELAXED);
	else
		hak_meta_put(HAK_META_REGION, n);
}

static void absorb(struct hak_region *r, struct hak_region *n)
{
	hak_kept_remove(n);
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
	drop_descriptor(n);
}

void hak_kept_add(struct hak_region *r, bool newest)
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
	r->life = hak_kept.life;
	publish(r);
	bucket_add(r);
	age_add(r, newest);
	count_in(r);
}

static struct hak_region *best_in(unsigned int b, size_t bytes, size_t most, size_t align)
{
	struct hak_region *best = NULL;
	unsigned int seen = 0;

	for (struct hak_region *r = hak_kept.bucket[b]; r && seen < SCAN; r = r->next, seen++) {
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
	while (b < HAK_KEPT_BUCKETS) {
		uint64_t w = hak_kept.bits[b / 64] >> (b % 64);
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

/* Takes the first part off r, which stays in its place with its age. */
static void cut_front(struct hak_region *r, size_t bytes)
{
	unpublish(r);
	bucket_remove(r);
	count_out(r);
	r->base += bytes;
	r->bytes -= bytes;
	publish(r);
	bucket_add(r);
	count_in(r);
}

/* Hands out the first part of r. */
static struct hak_region *split(struct hak_region *r, size_t bytes)
{
	struct hak_region *part = hak_kept.spare;

	if (!part)
		return NULL;
	__atomic_store_n(&hak_kept.spare, NULL, __ATOMIC_RELAXED);
	*part = (struct hak_region){ .base = r->base,
				     .bytes = bytes,
				     .state = r->state,
				     .life = r->life,
				     .zero = r->zero,
				     .thp = r->thp,
				     .closed = r->closed,
				     .epoch = r->epoch };
	cut_front(r, bytes);
	hak_count(HAK_C_RING_SPLITS, 1);
	hak_mapped_regions(1);
	return part;
}

/* Removes the first `bytes` of a region, which may be all. */
static struct hak_region *take_front(struct hak_region *r, size_t bytes)
{
	if (r->bytes > bytes)
		return split(r, bytes);
	hak_kept_remove(r);
	return r;
}

struct hak_region *hak_kept_find(size_t bytes, size_t align)
{
	size_t most = bytes + bytes / 8;
	unsigned int b = bucket_of(bytes);
	struct hak_region *r = NULL;

	/* near the end of a doubling an eighth more lies two buckets on */
	for (unsigned int k = b; !r && k <= bucket_of(most); k++)
		r = best_in(k, bytes, most, align);
	if (r) {
		hak_kept_remove(r);
		return r;
	}
	r = larger(b, bytes, align);
	return r ? split(r, bytes) : NULL;
}

static struct hak_region *largest_dirty(void)
{
	for (unsigned int b = HAK_KEPT_BUCKETS; b-- > 0;)
		for (struct hak_region *r = hak_kept.bucket[b]; r; r = r->next)
			if (r->state == HAK_REGION_DIRTY)
				return r;
	return NULL;
}

struct hak_region *hak_kept_take_roomy(size_t bytes, size_t least)
{
	struct hak_region *r = hak_kept_dirty() < least ? NULL : largest_dirty();

	return r && r->bytes >= least ? take_front(r, bytes) : NULL;
}

bool hak_kept_extend(struct hak_region *r, size_t more)
{
	const struct hak_slice *g = hak_slice(r->base + r->bytes);
	struct hak_region *n;

	if (hak_slice_kind(g) != HAK_KEPT)
		return false;
	n = atomic_load_explicit(&g->word, memory_order_relaxed);
	if (n->life != hak_kept.life || n->state != HAK_REGION_DIRTY || n->thp != r->thp ||
	    n->base != r->base + r->bytes || n->bytes < more)
		return false;
	if (n->bytes > more) {
		cut_front(n, more);
	} else {
		hak_kept_remove(n);
		drop_descriptor(n);
	}
	r->bytes += more;
	r->filled = 0;
	return true;
}

void hak_kept_abandon(void)
{
	uint8_t life = hak_kept.life + 1;

	memset(&hak_kept, 0, sizeof(hak_kept));
	hak_kept.life = life ? life : 1;
}

/* ---- invariants ---- */

#if HAK_DEBUG

/*
 * Checks the links of each list, and the bucket of each region. Returns the regions in all buckets.
 */
static uint32_t check_buckets(void)
{
	uint32_t n = 0;

	for (unsigned int b = 0; b < HAK_KEPT_BUCKETS; b++) {
		const struct hak_region *before = NULL;

		hak_assert(!hak_kept.bucket[b] == !(hak_kept.bits[b / 64] >> (b % 64) & 1));
		for (const struct hak_region *r = hak_kept.bucket[b]; r; before = r, r = r->next) {
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
	hak_assert(r->life == hak_kept.life);
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

void hak_kept_check(void)
{
	const struct hak_region *older = NULL;
	uint64_t bytes = 0, of_state[HAK_REGION_CLEAN + 1] = { 0 };
	uint32_t n = 0;

	hak_assert(hak_kept.life);
	hak_assert(check_buckets() == hak_kept.regions);
	for (const struct hak_region *r = hak_kept.oldest; r; older = r, r = r->newer) {
		n++;
		hak_assert(r->older == older);
		check_region(r);
		bytes += r->bytes;
		of_state[r->state] += r->bytes;
	}
	hak_assert(hak_kept.newest == older && n == hak_kept.regions);
	hak_assert(bytes == hak_kept.bytes);
	hak_assert(of_state[HAK_REGION_DIRTY] == hak_kept_dirty());
	hak_assert(of_state[HAK_REGION_LAZY] == hak_kept_lazy());
	check_lazy();
}

#endif
