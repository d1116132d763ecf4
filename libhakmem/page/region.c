/* SPDX-License-Identifier: MIT */
/* Regions: mapped, counted, given back. See region.h. */
#include "region.h"

#include "base/hak.h"
#include "base/probe.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "epoch.h"
#include "slice.h"
#include "lazy.h"
#include "meta.h"
#include "system/os.h"

_Static_assert(sizeof(struct hak_region) > HAK_META_REGION_BYTES - 64 &&
		       sizeof(struct hak_region) <= HAK_META_REGION_BYTES,
	       "a descriptor of meta.h");

/* ---- counts ---- */

/*
 * All regions are counted as kept, also those in use. Readers know from the counters of the heaps
 * how much is in use, and subtract it (stats.c, control/snapshot.c). So a region that passes
 * between program and region cache with its pages costs no count.
 */
static void count_state(enum hak_region_state state, int64_t bytes)
{
	switch (state) {
	case HAK_REGION_DIRTY:
		hak_count(HAK_C_MEM_DIRTY, bytes);
		hak_count(HAK_C_RING_DIRTY, bytes);
		break;
	case HAK_REGION_LAZY:
		hak_count(HAK_C_MEM_LAZY, bytes);
		break;
	case HAK_REGION_CLEAN:
		hak_count(HAK_C_MEM_CLEAN, bytes);
	}
}

void hak_region_count_bytes(const struct hak_region *r, int64_t bytes)
{
	hak_mapped_region_bytes(bytes);
	count_state(r->state, bytes);
}

void hak_region_set_state(struct hak_region *r, enum hak_region_state state)
{
	if (hak_likely(r->state == state))
		return;
	hak_assert(!r->closed);
	count_state(r->state, -(int64_t)r->bytes);
	r->state = (uint8_t)state;
	count_state(r->state, (int64_t)r->bytes);
}

/* ---- mappings ---- */

void hak_region_advise(struct hak_region *r)
{
	uint64_t mode = hak_tun(HAK_T_THP_MODE);
	enum hak_thp_advice advice = mode == HAK_THP_NEVER ? HAK_ADVICE_NEVER : HAK_ADVICE_HUGE;

	if (mode == HAK_THP_ADAPTIVE && r->filled < 2)
		return;
	if (r->thp != advice && !hak_os_hugepage(r->base, r->bytes, advice == HAK_ADVICE_HUGE))
		r->thp = (uint8_t)advice;
}

struct hak_region *hak_region_map(size_t bytes, size_t align)
{
	struct hak_region *r = hak_meta_get(HAK_META_REGION);
	uint64_t mode = hak_tun(HAK_T_THP_MODE);

	if (!r)
		return NULL;
	if (hak_unlikely(mode == HAK_THP_ADAPTIVE || mode == HAK_THP_ALWAYS) &&
	    bytes >= HAK_EXTENT && align < HAK_EXTENT)
		align = HAK_EXTENT; /* aligned so that a huge page fits */
	r->base = hak_os_map(bytes, align);
	if (!r->base || hak_slice_prepare(r->base, bytes, false)) {
		if (r->base)
			hak_os_unmap(r->base, bytes);
		hak_meta_put(HAK_META_REGION, r);
		return NULL;
	}
	r->bytes = bytes;
	r->zero = true;
	r->state = HAK_REGION_DIRTY;
	if (hak_unlikely(mode != HAK_THP_OFF))
		hak_region_advise(r);
	hak_mapped_regions(1);
	hak_region_count_bytes(r, (int64_t)bytes);
	return r;
}

int hak_region_open(struct hak_region *r)
{
	int e;

	if (hak_likely(!r->closed))
		return 0;
	hak_assert(r->state == HAK_REGION_CLEAN && r->zero);
	e = hak_os_open(r->base, r->bytes);
	r->closed = e;
	return e;
}

/* The slice is cleared before another mapping can take the address. */
bool hak_region_unmap(struct hak_region *r)
{
	hak_slice_clear(hak_slice_ours(r->base));
	if (!hak_os_unmap(r->base, r->bytes)) {
		hak_stop("map.after_munmap.whale");
		hak_mapped_regions(-1);
		hak_region_count_bytes(r, -(int64_t)r->bytes);
		hak_meta_put(HAK_META_REGION, r);
		return true;
	}
	hak_count(HAK_C_UNMAP_KEPT, 1);
	if (r->closed)
		return false;
	if (!hak_os_dontneed(r->base, r->bytes)) {
		hak_region_set_state(r, HAK_REGION_CLEAN);
		r->zero = true;
	} else {
		hak_region_set_state(r, HAK_REGION_DIRTY);
		r->epoch = hak_purge_epoch() + 1; /* not to be tried again at once */
	}
	return false;
}

/* ---- pages ---- */

static uint64_t tuned_mode(void)
{
	uint64_t mode = hak_tun(HAK_T_REGION_EVICT);

	if (mode == HAK_EVICT_DONTNEED && hak_lazy_pageout_attached())
		mode = HAK_EVICT_FREE;
	/* kernels before 5.18 can lose O_DIRECT reads into lazily freed pages (6c8e2a256915) */
	if (mode == HAK_EVICT_FREE && !hak_tun(HAK_T_REGION_FREE_FORCE) &&
	    hak_os_kernel() < (5u << 16 | 18))
		mode = HAK_EVICT_DONTNEED;
	return mode;
}

uint64_t hak_region_evict_mode(bool forced)
{
	uint64_t mode = tuned_mode();

	if (!forced)
		return mode;
	/* a caller that purges wants resident memory to shrink, unless a controller pages out */
	if (mode == HAK_EVICT_KEEP || (mode == HAK_EVICT_FREE && !hak_lazy_pageout_attached()))
		return HAK_EVICT_DONTNEED;
	return mode;
}

static bool adjacent(const struct hak_region *a, const struct hak_region *b)
{
	return a->base + a->bytes == b->base;
}

/*
 * Sorts by address so that neighbours share one call. The regions are few and nearly sorted, so
 * insertion is used.
 */
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

/*
 * Makes one call over [p, p + bytes), which is memory of the caller and in no region cache. Returns
 * true if the call did what the mode says.
 */
static bool give_back(uint64_t mode, char *p, size_t bytes)
{
	switch (mode) {
	case HAK_EVICT_FREE:
		return !hak_os_free(p, bytes);
	case HAK_EVICT_REMAP:
		return !hak_os_close(p, bytes);
	default:
		return !hak_os_dontneed(p, bytes);
	}
}

static void closed(struct hak_region *r)
{
	r->closed = true;
	r->thp = HAK_ADVICE_NONE; /* advice goes with the old mapping */
}

/*
 * Closes a row of neighbours without pages, by one call if possible. Otherwise each region is
 * closed alone, and a region where that fails stays open.
 */
static void close_row(struct hak_region **r, unsigned int n, size_t bytes)
{
	bool all = n > 1 && !hak_os_close(r[0]->base, bytes);

	for (unsigned int i = 0; i < n; i++)
		if (all || !hak_os_close(r[i]->base, r[i]->bytes))
			closed(r[i]);
}

static void evicted(struct hak_region *r, uint64_t mode)
{
	bool lazy = mode == HAK_EVICT_FREE;

	hak_count(HAK_C_RING_EVICTIONS, 1);
	hak_count(HAK_C_RING_EVICTED_BYTES, (int64_t)r->bytes);
	hak_region_set_state(r, lazy ? HAK_REGION_LAZY : HAK_REGION_CLEAN);
	r->zero = !lazy;
	if (mode == HAK_EVICT_REMAP)
		closed(r);
	hak_probe(hakmem, region_evict, (uintptr_t)r->base, r->bytes, mode);
}

/* Tries the ways from `mode` on, each stronger than the last: free, dontneed, mapping over. */
static bool evict_alone(struct hak_region *r, uint64_t mode)
{
	static const uint8_t means[] = { HAK_EVICT_FREE, HAK_EVICT_DONTNEED, HAK_EVICT_REMAP };
	bool begun = false;

	for (unsigned int i = 0; i < sizeof(means); i++) {
		begun |= means[i] == mode;
		if (!begun || !give_back(means[i], r->base, r->bytes))
			continue;
		evicted(r, means[i]);
		if (means[i] == HAK_EVICT_DONTNEED)
			close_row(&r, 1, r->bytes);
		return true;
	}
	return false;
}

/*
 * Evicts one region, or a row of neighbours. On an error (a locked page refuses the whole call)
 * each region is tried alone, and in stronger ways. A region where all fail stays unchanged.
 */
static uint64_t evict_row(struct hak_region **r, unsigned int n, uint64_t mode)
{
	size_t bytes = 0;
	uint64_t done = 0, resident;

	hak_stop("purge.before_madvise.whale");
	for (unsigned int i = 0; i < n; i++)
		bytes += r[i]->bytes;
	resident = hak_purge_count(r[0]->base, bytes);
	if (give_back(mode, r[0]->base, bytes)) {
		for (unsigned int i = 0; i < n; i++)
			evicted(r[i], mode);
		if (mode == HAK_EVICT_DONTNEED)
			close_row(r, n, bytes);
		return resident;
	}
	for (unsigned int i = 0; i < n; i++) {
		resident = hak_purge_count(r[i]->base, r[i]->bytes);
		if (evict_alone(r[i], mode))
			done += resident;
		else
			r[i]->epoch = hak_purge_epoch() + 1; /* not to be tried again at once */
	}
	return done;
}

uint64_t hak_region_evict(struct hak_region **r, unsigned int n, uint64_t mode)
{
	uint64_t bytes = 0;

	hak_stop("rcache.evicting");
	sort(r, n);
	for (unsigned int i = 0; i < n;) {
		unsigned int first = i++;

		while (i < n && adjacent(r[i - 1], r[i]))
			i++;
		bytes += evict_row(r + first, i - first, mode);
	}
	return bytes;
}
