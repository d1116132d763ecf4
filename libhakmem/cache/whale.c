/* SPDX-License-Identifier: MIT */
/* Blocks of 1 MiB and more. See whale.h. */
#include "whale.h"

#include <errno.h>
#include <string.h>

#include "base/probe.h"
#include "base/stats.h"
#include "base/stop.h"
#include "heap/sample.h"
#include "limit.h"
#include "purge.h"
#include "page/epoch.h"
#include "page/slice.h"
#include "system/os.h"

#define COPY_MOST ((size_t)32 << 20) /* a copy of more takes too long for one call */

static uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#else
	return hak_os_now_ns();
#endif
}

static size_t whale_bytes(size_t bytes)
{
	return bytes ? hak_align_up(bytes, HAK_SLICE) : HAK_SLICE;
}

static void count_get(struct hak_cache *c, uint64_t t0)
{
	if (hak_likely(!t0))
		return;
	hak_heap_count1(c, WHALE_GET_SAMPLES);
	hak_heap_count_n(c, WHALE_GET_CYCLES, cycles() - t0);
}

static inline void advise_thp(struct hak_region *r)
{
	if (hak_unlikely(hak_tun(HAK_T_THP_MODE) != HAK_THP_OFF))
		hak_region_advise(r);
}

static inline void *hand_out(struct hak_cache *c, struct hak_region *r, size_t bytes,
			     bool *ret_zero)
{
	hak_stop("rcache.got");
	*ret_zero = r->zero;
	r->zero = false;
	r->requested = bytes;
	r->in_use = true;
	hak_heap_count1(c, WHALE_ALLOCS);
	hak_heap_count_n(c, WHALE_ALLOC_BYTES, r->bytes);
	hak_heap_count_n(c, WHALE_REQ_ALLOC, bytes);
	return r->base;
}

/*
 * Takes a region out of the region cache and opens it. `other` is what the thread's hot region
 * held, which did not fit.
 */
static struct hak_region *from_rcache(struct hak_hot *f, struct hak_region *other, size_t want,
				      size_t align)
{
	struct hak_region *r = hak_rcache_get(f, other, want, align);

	if (hak_likely(!r || !hak_region_open(r)))
		return r;
	/* The kernel refuses so much memory, or one mapping more. A fresh region is tried next. */
	hak_rcache_unmap(r);
	return NULL;
}

static HAK_NOINLINE void *alloc_slow(struct hak_cache *c, struct hak_hot *f,
				     struct hak_region *other, size_t bytes, size_t align,
				     bool *ret_zero)
{
	uint64_t t0 = hak_unlikely(hak_tun(HAK_T_STATS_TIMING)) ? cycles() : 0;
	size_t want = whale_bytes(bytes);
	struct hak_region *r = from_rcache(f, other, want, align);
	bool hit = r;

	/* a region from the region cache is in use already */
	hak_purge_make_room(hit ? 0 : want);
	if (hak_likely(hit)) {
		count_get(c, t0);
		hak_region_set_state(r, HAK_REGION_DIRTY);
		advise_thp(r);
		hak_heap_count1(c, WHALE_HITS);
	} else {
		r = hak_region_map(want, align);
		if (!r)
			return NULL;
		hak_heap_count1(c, WHALE_MISSES);
	}
	hak_slice_set(hak_slice_ours(r->base), HAK_WHALE, r);
	hak_probe(hakmem, whale_get, (uintptr_t)r->base, r->bytes, hit);
	return hand_out(c, r, bytes, ret_zero);
}

void *hak_whale_alloc(struct hak_cache *c, struct hak_hot *f, size_t bytes, size_t align,
		      bool *ret_zero)
{
	uint64_t t0 = hak_unlikely(hak_tun(HAK_T_STATS_TIMING)) ? cycles() : 0;
	size_t want = whale_bytes(bytes);
	struct hak_region *r = hak_hot_take(f);

	if (align < HAK_SLICE)
		align = HAK_SLICE;
	if (hak_unlikely(!r || !hak_region_fits(r, want, want + want / 8, align)))
		return alloc_slow(c, f, r, bytes, align, ret_zero);
	count_get(c, t0);
	advise_thp(r);
	hak_heap_count1(c, WHALE_HITS);
	hak_probe(hakmem, whale_get, (uintptr_t)r->base, r->bytes, 1);
	return hand_out(c, r, bytes, ret_zero);
}

/*
 * Samples at free: whether the last page was touched tells a filled block from an arena of which
 * little is used.
 */
static HAK_NOINLINE void note_filled(struct hak_region *r)
{
	char *last = r->base + r->bytes - hak_page;

	if (r->filled < 2 && !hak_os_sandboxed() && hak_os_resident_bytes(last, hak_page))
		r->filled++;
}

void hak_whale_free(struct hak_cache *c, struct hak_hot *f, struct hak_region *r)
{
	uint64_t t0 = hak_unlikely(hak_tun(HAK_T_STATS_TIMING)) ? cycles() : 0;

	hak_heap_count1(c, WHALE_FREES);
	hak_heap_count_n(c, WHALE_FREE_BYTES, r->bytes);
	hak_heap_count_n(c, WHALE_REQ_FREE, r->requested);
	r->in_use = false;
	if (hak_unlikely(hak_tun(HAK_T_THP_MODE) == HAK_THP_ADAPTIVE))
		note_filled(r);
	r->epoch = hak_purge_epoch();
	hak_probe(hakmem, whale_put, (uintptr_t)r->base, r->bytes, 0);
	if (hak_likely(r->bytes <= atomic_load_explicit(&f->most, memory_order_relaxed))) {
		atomic_store_explicit(&f->epoch, r->epoch, memory_order_relaxed);
		r = hak_hot_put(f, r);
	} else if (hak_unlikely(!hak_tun(HAK_T_WHALE_RING_SLOTS) ||
				r->bytes > hak_rcache_most_bytes())) {
		hak_heap_count1(c, WHALE_UNKEPT);
		hak_rcache_unmap(r);
		return;
	}
	if (hak_unlikely(r != NULL)) {
		if (hak_unlikely(hak_rcache_put(f, r)))
			hak_limit_look();
		if (hak_unlikely(hak_purge_is_much()))
			hak_purge_by_amount();
	}
	hak_heap_count1(c, WHALE_PUTS);
	if (hak_unlikely(t0)) {
		hak_heap_count1(c, WHALE_PUT_SAMPLES);
		hak_heap_count_n(c, WHALE_PUT_CYCLES, cycles() - t0);
	}
}

/* ---- realloc ---- */

/* Counts for the heap that the whale had `before` bytes. */
static void count_resized(struct hak_cache *c, struct hak_region *r, size_t before,
			  size_t requested)
{
	int64_t more = (int64_t)r->bytes - (int64_t)before;

	if (more > 0)
		hak_heap_count_n(c, WHALE_ALLOC_BYTES, more);
	else
		hak_heap_count_n(c, WHALE_FREE_BYTES, -more);
	hak_heap_count_n(c, WHALE_REQ_ALLOC, requested);
	hak_heap_count_n(c, WHALE_REQ_FREE, r->requested);
	r->requested = requested;
}

/* The kernel made the mapping larger or smaller. */
static void resized(struct hak_cache *c, struct hak_region *r, size_t bytes, size_t requested)
{
	size_t before = r->bytes;

	hak_region_count_bytes(r, (int64_t)bytes - (int64_t)before);
	r->bytes = bytes;
	count_resized(c, r, before, requested);
}

/*
 * Gives the tail back to the kernel. If munmap refuses (max_map_count), the pages of the tail go
 * and its address space stays usable.
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

/* Moves the region into fresh aligned address space, which the move replaces. */
static bool move(struct hak_cache *c, struct hak_region *r, size_t want)
{
	char *to = hak_os_map(want, HAK_SLICE), *from = r->base;

	if (!to)
		return false;
	if (!hak_slice_prepare(to, want, false)) {
		/*
		 * cleared first, because another thread may get the old address the moment the move
		 * is done
		 */
		hak_slice_clear(hak_slice_ours(from));
		if (hak_unlikely(r->sampled))
			hak_sample_whale_gone(c, r);
		if (!hak_os_move(from, r->bytes, to, want)) {
			hak_stop("map.after_mremap");
			r->base = to;
			hak_slice_set(hak_slice_ours(to), HAK_WHALE, r);
			return true;
		}
		hak_slice_set(hak_slice_ours(from), HAK_WHALE, r);
		/* a profiler was told that the block is gone, so it counts as allocated anew */
		hak_sample_whale(c, r);
		/*
		 * Before 6.17 mremap unmapped the target first and looked for reasons to fail
		 * afterwards. Another mapping may be there now.
		 */
		if (hak_os_kernel() < (6u << 16 | 17))
			return false;
	}
	hak_os_unmap(to, want);
	return false;
}

/* The memory of the whale and that of a region which no list has change places. */
static void swap_memory(struct hak_region *r, struct hak_region *n)
{
	struct hak_region old = *r;

	hak_slice_clear(hak_slice_ours(old.base));
	r->base = n->base;
	r->bytes = n->bytes;
	r->thp = n->thp;
	r->filled = 0;
	hak_slice_set(hak_slice_ours(r->base), HAK_WHALE, r);
	n->base = old.base;
	n->bytes = old.bytes;
	n->thp = old.thp;
	n->epoch = hak_purge_epoch();
}

/*
 * As an allocation from the region cache, a copy and a free would be counted, and in their order:
 * `hakmemctl check` may read in between.
 */
static void count_copied(struct hak_cache *c, struct hak_region *r, size_t used, size_t requested)
{
	if (hak_likely(c == hak_self)) {
		hak_heap_count1(c, SLOW_MALLOC);
		hak_heap_count1(c, SLOW_FREE);
	} else {
		hak_heap_count1(c, FREE_SHARED);
	}
	hak_heap_count1(c, WHALE_HITS);
	hak_heap_count1(c, WHALE_ALLOCS);
	hak_heap_count_n(c, WHALE_ALLOC_BYTES, r->bytes);
	hak_heap_count_n(c, WHALE_REQ_ALLOC, requested);
	hak_heap_count1(c, REALLOC_COPY);
	hak_heap_count_n(c, REALLOC_COPY_BYTES, used);
	hak_heap_count1(c, WHALE_FREES);
	hak_heap_count_n(c, WHALE_FREE_BYTES, used);
	hak_heap_count_n(c, WHALE_REQ_FREE, r->requested);
	hak_heap_count1(c, WHALE_PUTS);
	r->requested = requested;
}

/*
 * Copies the whale to the front of the largest kept region with pages if the whale can double
 * there. A block that grows will grow again, and finds the rest of the region behind it. The place
 * where the whale was is kept.
 */
static bool copy_to_kept(struct hak_cache *c, struct hak_region *r, size_t want, size_t requested)
{
	size_t used = r->bytes;
	struct hak_region *n = hak_rcache_get_roomy(want, want > 2 * used ? want : 2 * used);

	if (!n)
		return false;
	if (hak_unlikely(r->sampled))
		hak_sample_whale_gone(c, r);
	memcpy(n->base, r->base, used);
	hak_stop("whale.copied");
	swap_memory(r, n);
	hak_stop("whale.swapped");
	if (hak_unlikely(hak_rcache_put(&c->heap->hot_region, n)))
		hak_limit_look();
	count_copied(c, r, used, requested);
	return true;
}

/*
 * Grows the whale into kept memory, without a system call. It may lie in two mappings then, which
 * mremap refuses, and has to be copied to grow further; so a whale that is too large for a copy
 * grows by mremap alone.
 */
static bool grow_into_kept(struct hak_cache *c, struct hak_region *r, size_t want, size_t requested)
{
	size_t before = r->bytes;

	if (before > COPY_MOST)
		return false;
	if (!hak_rcache_extend(r, want - before)) {
		if (!copy_to_kept(c, r, want, requested))
			return false;
	} else {
		hak_stop("whale.extended");
		hak_heap_count1(c, REALLOC_IN_PLACE);
		count_resized(c, r, before, requested);
	}
	/* as any region that is used again */
	advise_thp(r);
	return true;
}

void *hak_whale_resize(struct hak_cache *c, struct hak_region *r, size_t bytes)
{
	size_t want = whale_bytes(bytes);
	int e;

	if (want <= r->bytes) {
		/* an eighth of slack is kept, as in the region cache */
		if (want < r->bytes - r->bytes / 8)
			cut(c, r, want, bytes);
		else
			resized(c, r, r->bytes, bytes);
		hak_heap_count1(c, REALLOC_IN_PLACE);
		return r->base;
	}
	if (grow_into_kept(c, r, want, bytes))
		return r->base;
	e = hak_os_grow(r->base, r->bytes, want);
	if (!e) {
		if (hak_slice_prepare(r->base, want, false)) {
			hak_os_unmap(r->base + r->bytes, want - r->bytes);
			return NULL;
		}
		hak_heap_count1(c, REALLOC_IN_PLACE);
	} else {
		/*
		 * -ENOMEM means no room behind the region; any other error would forbid the move as
		 * well
		 */
		if (e != -ENOMEM || !move(c, r, want))
			return NULL;
		hak_heap_count1(c, REALLOC_REMAP);
	}
	resized(c, r, want, bytes);
	return r->base;
}
