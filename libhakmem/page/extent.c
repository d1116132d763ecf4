/* SPDX-License-Identifier: MIT */
/* Extents: lists and mappings. See extent.h. */
#include "extent.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "slice.h"
#include "meta.h"
#include "system/os.h"
#include "system/room.h"

/*
 * The rows of extents by fill, [units used / 32]. The last row holds full extents, which are never
 * searched.
 */
#define ROWS (HAK_EXTENT_UNITS / 32 + 1)

_Static_assert(sizeof(struct hak_extent) > HAK_META_EXTENT_BYTES - 64 &&
		       sizeof(struct hak_extent) <= HAK_META_EXTENT_BYTES,
	       "a descriptor of meta.h");

struct hak_extents hak_extents;

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

void hak_extent_count(const struct hak_extent *e, int n)
{
	static const enum hak_proc_counter counter[HAK_EXTENT_KINDS] = {
		[HAK_EXTENT_FREE] = HAK_C_SUPERSLABS_FREE,
		[HAK_EXTENT_SLABS] = HAK_C_SUPERSLABS,
		[HAK_EXTENT_RUNS] = HAK_C_EXTENTS,
	};

	hak_count(counter[e->kind], n);
	if (e->kind == HAK_EXTENT_SLABS && e->thp)
		hak_count(HAK_C_SUPERSLABS_THP, n);
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
	hak_extent_count(e, 1);
	link_all(e);
	hak_extent_link(e);
}

void hak_extent_reattach(struct hak_extent *e)
{
	hak_lock(HAK_LOCK_EXTENT);
	hak_extents.free++;
	hak_extent_attach(e, HAK_EXTENT_FREE);
	hak_unlock(HAK_LOCK_EXTENT);
}

#if HAK_DEBUG
static unsigned int count_bits(const uint64_t *map)
{
	unsigned int n = 0;

	for (unsigned int w = 0; w < HAK_EXTENT_WORDS; w++)
		n += (unsigned int)__builtin_popcountl(map[w]);
	return n;
}

void hak_extent_check(const struct hak_extent *e)
{
	hak_assert(e->used_units == count_bits(e->used));
	hak_assert(e->dirty_units == count_bits(e->dirty));
	for (unsigned int w = 0; w < HAK_EXTENT_WORDS; w++) {
		hak_assert(!(e->dirty[w] & e->used[w]));
		hak_assert(!(e->young[w] & ~e->dirty[w]));
	}
}
#else
void hak_extent_check(const struct hak_extent *e)
{
	(void)e;
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

/* Units [i, end), whole pages, some of which may be memory already. HAK_LOCK_META. */
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
	if (hak_tun(HAK_T_THP_MODE) == HAK_THP_ALWAYS &&
	    !hak_os_hugepage(e->base, HAK_EXTENT, true))
		e->thp = true;
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
	int64_t dirty = (int64_t)e->dirty_units * (int64_t)HAK_UNIT;

	hak_extent_mark(e, HAK_EXTENT_FREE);
	if (hak_os_unmap(e->base, HAK_EXTENT)) {
		hak_count(HAK_C_UNMAP_KEPT, 1);
		if (dirty && !hak_os_dontneed(e->base, HAK_EXTENT)) {
			memset(e->dirty, 0, sizeof(e->dirty));
			memset(e->young, 0, sizeof(e->young));
			e->dirty_units = 0;
			hak_count(HAK_C_MEM_DIRTY, -dirty);
			hak_count(HAK_C_MEM_CLEAN, dirty);
		}
		return false;
	}
	hak_stop("map.after_munmap.extent");
	hak_count(HAK_C_MEM_DIRTY, -dirty);
	hak_count(HAK_C_MEM_CLEAN, dirty - (int64_t)HAK_EXTENT);
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
