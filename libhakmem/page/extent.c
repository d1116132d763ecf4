/* SPDX-License-Identifier: MIT */
/* Extents: lists and mappings. See extent.h. */
#include "extent.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "allowance.h"
#include "meta.h"
#include "slice.h"
#include "system/os.h"
#include "system/room.h"

_Static_assert(sizeof(struct hak_extent) > HAK_META_EXTENT_BYTES - 64 &&
		       sizeof(struct hak_extent) <= HAK_META_EXTENT_BYTES,
	       "a descriptor of meta.h");

struct hak_extents hak_extents;
struct hak_extent_bytes hak_extent_bytes;

static void link_all(struct hak_extent *e)
{
	e->all_prev = NULL;
	e->all_next = hak_extents.all;
	if (hak_extents.all)
		hak_extents.all->all_prev = e;
	hak_extents.all = e;
	__atomic_store_n(&hak_extents.count, hak_extents.count + 1, __ATOMIC_RELAXED);
}

static void unlink_all(struct hak_extent *e)
{
	if (e->all_prev)
		e->all_prev->all_next = e->all_next;
	else
		hak_extents.all = e->all_next;
	if (e->all_next)
		e->all_next->all_prev = e->all_prev;
	__atomic_store_n(&hak_extents.count, hak_extents.count - 1, __ATOMIC_RELAXED);
}

static void add(_Atomic uint64_t *to, int64_t bytes)
{
	if (hak_single_threaded())
		atomic_store_explicit(
			to, atomic_load_explicit(to, memory_order_relaxed) + (uint64_t)bytes,
			memory_order_relaxed);
	else
		atomic_fetch_add_explicit(to, (uint64_t)bytes, memory_order_relaxed);
}

void hak_extent_count_used(int64_t units)
{
	add(&hak_extent_bytes.used, units * (int64_t)HAK_UNIT);
}

void hak_extent_count_dirty(int64_t units)
{
	add(&hak_extent_bytes.dirty, units * (int64_t)HAK_UNIT);
	hak_count(HAK_C_MEM_DIRTY, units * (int64_t)HAK_UNIT);
}

void hak_extent_count(const struct hak_extent *e, int n)
{
	static const enum hak_proc_counter counter[HAK_EXTENT_KINDS] = {
		[HAK_EXTENT_FREE] = HAK_C_SUPERSLABS_FREE,
		[HAK_EXTENT_SLABS] = HAK_C_SUPERSLABS,
		[HAK_EXTENT_RUNS] = HAK_C_EXTENTS,
	};

	hak_count(counter[e->kind], n);
	if (e->kind == HAK_EXTENT_SLABS && e->thp == HAK_ADVICE_HUGE)
		hak_count(HAK_C_SUPERSLABS_THP, n);
}

void hak_extent_set_thp(struct hak_extent *e, enum hak_thp_advice advice)
{
	if (e->kind == HAK_EXTENT_SLABS)
		hak_count(HAK_C_SUPERSLABS_THP,
			  (advice == HAK_ADVICE_HUGE) - (e->thp == HAK_ADVICE_HUGE));
	e->thp = (uint8_t)advice;
}

void hak_extent_set_kind(struct hak_extent *e, enum hak_extent_kind kind)
{
	hak_extent_count(e, -1);
	hak_extents.free += (kind == HAK_EXTENT_FREE) - (e->kind == HAK_EXTENT_FREE);
	e->kind = (uint8_t)kind;
	hak_extent_count(e, 1);
}

void hak_extent_detach(struct hak_extent *e)
{
	hak_extent_unlink(e);
	unlink_all(e);
	hak_extent_count(e, -1);
	if (e->kind == HAK_EXTENT_FREE)
		hak_extents.free--;
}

void hak_extent_attach(struct hak_extent *e, enum hak_extent_kind kind)
{
	e->kind = (uint8_t)kind;
	e->life = hak_extents.life;
	hak_extent_count(e, 1);
	link_all(e);
	hak_extent_link(e);
}

void hak_extent_reattach(struct hak_extent *e)
{
	hak_lock(HAK_LOCK_EXTENT);
	hak_extents.free++;
	hak_extent_attach(e, HAK_EXTENT_FREE);
	hak_extents_leave();
}

/* ---- invariants ---- */

#if HAK_DEBUG

static unsigned int count_bits(const uint64_t *map)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < HAK_EXTENT_WORDS; w++)
		n += (unsigned int)__builtin_popcountl(map[w]);
	return n;
}

static void check_maps(const struct hak_extent *e)
{
	hak_assert(e->used_units == count_bits(e->used));
	hak_assert(e->dirty_units == count_bits(e->dirty));
	for (unsigned int w = 0; w < HAK_EXTENT_WORDS; w++) {
		hak_assert(!(e->dirty[w] & e->used[w]));
		hak_assert(!(e->young[w] & ~e->dirty[w]));
		hak_assert(!(e->dirty[w] & ~hak_extent_made(e, w)));
	}
}

static void check_longest(const struct hak_extent *e)
{
	unsigned int i = hak_unitmap_next_clear(e->used, 0), end;

	hak_assert(e->longest <= HAK_EXTENT_UNITS);
	/* the last row is never searched */
	hak_assert(hak_extent_row(e) == HAK_EXTENT_ROWS - 1 ||
		   hak_extents.longest[e->kind][hak_extent_row(e)] >= e->longest);
	for (; i < HAK_EXTENT_UNITS; i = hak_unitmap_next_clear(e->used, end)) {
		end = hak_unitmap_next_set(e->used, i);
		hak_assert(end - i <= e->longest || !hak_extent_is_whole(e));
	}
}

static void check_marks(const struct hak_extent *e)
{
	const struct hak_slice *g = hak_slice(e->base);

	for (size_t i = 0; i < HAK_EXTENT / HAK_SLICE; i++) {
		enum hak_kind_of_slice kind = hak_slice_kind(g + i);

		switch (e->kind) {
		case HAK_EXTENT_RUNS:
			hak_assert(kind == HAK_RUNS);
			hak_assert(atomic_load_explicit(&g[i].word, memory_order_relaxed) == e);
			break;
		case HAK_EXTENT_SLABS: /* slab.c sets and clears them without the lock */
			hak_assert(kind == HAK_SLAB || kind == HAK_FOREIGN);
			break;
		default:
			hak_assert(kind == HAK_FOREIGN);
		}
	}
}

static uint8_t start_at(const struct hak_extent *e, unsigned int i)
{
	/* acquire: the mark of a sampled run is later than the run's class */
	return __atomic_load_n(&e->start[i], __ATOMIC_ACQUIRE);
}

/*
 * Checks a run that begins at unit i. Returns its units. Meanwhile the thread that holds the run
 * may put it into its cache, take it out and clear its start, but not give its units back.
 */
static unsigned int check_run(const struct hak_extent *e, unsigned int i, uint8_t start)
{
	unsigned int cls = (start & (HAK_RUN_CACHED - 1u)) - 1u, units;

	hak_assert(cls < HAK_CLASSES);
	/* runs of slab classes are sampled blocks, which no cache holds */
	hak_assert(cls >= HAK_SLAB_CLASSES || !(start & HAK_RUN_CACHED));
	units = (unsigned int)(hak_align_up(hak_class_size(cls), HAK_UNIT) / HAK_UNIT);
	hak_assert(hak_unitmap_next_clear(e->used, i) >= i + units);
	for (unsigned int k = i + 1; k < i + units; k++)
		hak_assert(!start_at(e, k) || (k == i + 1 && cls >= HAK_SLAB_CLASSES &&
					       start_at(e, k) == HAK_RUN_SAMPLED));
	return units;
}

static void check_starts(const struct hak_extent *e)
{
	for (unsigned int i = 0; i < HAK_EXTENT_UNITS;) {
		uint8_t start = start_at(e, i);

		if (!start) {
			i++;
			continue;
		}
		/* a run that did not exist when its first unit was looked at */
		if (start == HAK_RUN_SAMPLED && i && start_at(e, i - 1)) {
			i++;
			continue;
		}
		hak_assert(e->kind == HAK_EXTENT_RUNS);
		i += check_run(e, i, start);
	}
}

void hak_extent_check(const struct hak_extent *e)
{
	hak_assert(e->base && !((uintptr_t)e->base & (HAK_EXTENT - 1)));
	hak_assert(e->kind < HAK_EXTENT_KINDS);
	hak_assert(e->life == hak_extents.life);
	check_maps(e);
	check_longest(e);
	check_marks(e);
	check_starts(e);
}

static unsigned int check_row(unsigned int kind, unsigned int row)
{
	const struct hak_extent *before = NULL;
	unsigned int n = 0;

	for (const struct hak_extent *e = hak_extents.row[kind][row]; e; before = e, e = e->next) {
		n++;
		hak_assert(e->prev == before);
		hak_assert(e->kind == kind && hak_extent_row(e) == row);
	}
	return n;
}

void hak_extents_check(void)
{
	const struct hak_extent *before = NULL;
	unsigned int n = 0, nfree = 0, listed = 0;

	for (const struct hak_extent *e = hak_extents.all; e; before = e, e = e->all_next) {
		n++;
		hak_assert(e->all_prev == before);
		hak_extent_check(e);
		nfree += e->kind == HAK_EXTENT_FREE;
	}
	hak_assert(n == hak_extents.count);
	hak_assert(nfree == hak_extents.free);
	for (unsigned int kind = 0; kind < HAK_EXTENT_KINDS; kind++)
		for (unsigned int row = 0; row < HAK_EXTENT_ROWS; row++)
			listed += check_row(kind, row);
	hak_assert(listed == n);
	hak_allowance_check(&hak_allowance_units);
}

#endif

/* ---- mapping and unmapping; no lock held ---- */

void hak_extent_mark(struct hak_extent *e, enum hak_extent_kind kind)
{
	struct hak_slice *g = hak_slice_ours(e->base);

	for (size_t i = 0; i < HAK_EXTENT / HAK_SLICE; i++) {
		if (kind == HAK_EXTENT_RUNS)
			hak_slice_set(g + i, HAK_RUNS, e);
		else
			hak_slice_clear(g + i);
	}
}

/*
 * Returns whether an extent that becomes used, beside those in use already, is made memory piece by
 * piece.
 */
static bool by_pieces(void)
{
	enum { FEW = 2 }; /* usually one of slabs and one of runs */

	return __atomic_load_n(&hak_extents.count, __ATOMIC_RELAXED) < FEW &&
	       hak_tun(HAK_T_THP_MODE) == HAK_THP_OFF;
}

/* Maps the extent whole, or reserves it. */
static char *map_base(struct hak_extent *e)
{
	bool pieces = by_pieces();
	char *p = pieces ? hak_os_reserve_aligned(HAK_EXTENT) : NULL;

	if (p)
		return p;
	p = hak_os_map(HAK_EXTENT, HAK_EXTENT);
	if (p)
		hak_extent_set_whole(e, true);
	else if (!pieces)
		p = hak_os_reserve_aligned(HAK_EXTENT);
	return p;
}

/* Atomic for hak_extent_made(). */
static void set_made(struct hak_extent *e, unsigned int i, unsigned int n)
{
	for (unsigned int step; n; i += step, n -= step) {
		step = hak_unitmap_step(i, n);
		__atomic_store_n(&e->made[i / 64], e->made[i / 64] | hak_unitmap_mask(i, step),
				 __ATOMIC_RELAXED);
	}
}

/*
 * Makes units [i, end) memory. They are whole pages, some of which may be memory already.
 * HAK_LOCK_META held.
 */
static bool make_units(struct hak_extent *e, unsigned int i, unsigned int end)
{
	while ((i = hak_unitmap_next_clear(e->made, i)) < end) {
		unsigned int stop = hak_unitmap_next_set(e->made, i);

		stop = stop < end ? stop : end;
		if (hak_os_remap_fresh(e->base + i * HAK_UNIT, (stop - i) * HAK_UNIT))
			return false;
		set_made(e, i, stop - i);
	}
	/* release: pairs with hak_extent_make() */
	if (hak_unitmap_next_clear(e->made, 0) == HAK_EXTENT_UNITS)
		atomic_store_explicit(&e->whole, true, memory_order_release);
	return true;
}

bool hak_extent_make_slow(struct hak_extent *e, const char *p, size_t bytes)
{
	size_t from = hak_align_down((size_t)(p - e->base), hak_page);
	size_t to = hak_align_up((size_t)(p - e->base) + bytes, hak_page);
	bool made;

	hak_lock(HAK_LOCK_META);
	made = make_units(e, (unsigned int)(from / HAK_UNIT), (unsigned int)(to / HAK_UNIT));
	hak_unlock(HAK_LOCK_META);
	return made;
}

static void advise_new(struct hak_extent *e)
{
	uint64_t mode = hak_tun(HAK_T_THP_MODE);

	if (mode == HAK_THP_ALWAYS && !hak_os_hugepage(e->base, HAK_EXTENT, true))
		e->thp = HAK_ADVICE_HUGE;
	if (mode == HAK_THP_NEVER) {
		hak_os_hugepage(e->base, HAK_EXTENT, false);
		e->thp = HAK_ADVICE_NEVER;
	}
}

struct hak_extent *hak_extent_map(void)
{
	struct hak_extent *e = hak_meta_get(HAK_META_EXTENT);

	if (!e)
		return NULL;
	e->base = map_base(e);
	if (!e->base || hak_slice_prepare(e->base, HAK_EXTENT, true)) {
		if (e->base)
			hak_os_unmap(e->base, HAK_EXTENT);
		hak_meta_put(HAK_META_EXTENT, e);
		return NULL;
	}
	advise_new(e);
	hak_mapped_extent(HAK_EXTENT);
	hak_count(HAK_C_MEM_CLEAN, HAK_EXTENT);
	return e;
}

bool hak_extent_unmap(struct hak_extent *e)
{
	int64_t dirty = (int64_t)e->dirty_units;

	hak_extent_mark(e, HAK_EXTENT_FREE);
	if (hak_os_unmap(e->base, HAK_EXTENT)) {
		hak_count(HAK_C_UNMAP_KEPT, 1);
		if (dirty && !hak_os_dontneed(e->base, HAK_EXTENT)) {
			memset(e->dirty, 0, sizeof(e->dirty));
			memset(e->young, 0, sizeof(e->young));
			e->dirty_units = 0;
			hak_extent_count_dirty(-dirty);
			hak_count(HAK_C_MEM_CLEAN, dirty * (int64_t)HAK_UNIT);
		}
		return false;
	}
	hak_stop("map.after_munmap.extent");
	hak_extent_count_dirty(-dirty);
	hak_count(HAK_C_MEM_CLEAN, dirty * (int64_t)HAK_UNIT - (int64_t)HAK_EXTENT);
	hak_mapped_extent(-(int64_t)HAK_EXTENT);
	hak_meta_put(HAK_META_EXTENT, e);
	return true;
}

void hak_extent_reopen(struct hak_extent *e)
{
	if (by_pieces() || hak_os_remap_fresh(e->base, HAK_EXTENT))
		return;
	hak_extent_set_whole(e, true);
	advise_new(e);
}

unsigned int hak_extent_most_free(void)
{
	uint64_t room = hak_room_data() / HAK_EXTENT, most = hak_tun(HAK_T_SUPERSLAB_RETAIN);

	if (!hak_tun(HAK_T_SUPERSLAB_ENABLE))
		return 0;
	return (unsigned int)(most < room ? most : room);
}

void hak_extent_abandon(void)
{
	uint8_t life = hak_extents.life;

	memset(&hak_extents, 0, sizeof(hak_extents));
	hak_extents.life = life + 1;
}
