/* SPDX-License-Identifier: MIT */
/* Takes and gives back units. See units.h. */
#include "units.h"

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "allowance.h"
#include "epoch.h"
#include "system/os.h"
#include "system/room.h"

uint64_t hak_units_most_allowed(void)
{
	uint64_t share = hak_extent_used() / 2;

	return share > HAK_ROOM_FLOOR ? share : HAK_ROOM_FLOOR;
}

void hak_units_exceeded(uint64_t bytes)
{
	hak_lock(HAK_LOCK_EXTENT);
	hak_allowance_gone(&hak_allowance_units, hak_extent_dirty(), bytes);
	hak_extents_leave();
}

static bool find_hole(struct hak_extent *e, unsigned int units, unsigned int align,
		      unsigned int *ret)
{
	unsigned int i = hak_unitmap_next_clear(e->used, 0), longest = 0;

	while (i < HAK_EXTENT_UNITS) {
		unsigned int end = hak_unitmap_next_set(e->used, i);
		unsigned int at = (i + align - 1) & ~(align - 1);

		if (at < end && end - at >= units) {
			*ret = at;
			return true;
		}
		if (end - i > longest)
			longest = end - i;
		i = hak_unitmap_next_clear(e->used, end);
	}
	e->longest = (uint16_t)longest;
	return false;
}

static void take_units(struct hak_extent *e, unsigned int at, unsigned int units, bool *ret_zero)
{
	uint64_t before = hak_extent_dirty();
	unsigned int dirty;

	hak_extent_unlink(e);
	hak_unitmap_set(e->used, at, units);
	dirty = hak_unitmap_clear(e->dirty, at, units);
	hak_unitmap_clear(e->young, at, units);
	e->used_units += (uint16_t)units;
	e->dirty_units -= (uint16_t)dirty;
	hak_extent_link(e);
	hak_extent_count_used(units);
	hak_extent_count_dirty(-(int64_t)dirty);
	hak_count(HAK_C_MEM_CLEAN, -(int64_t)((units - dirty) * HAK_UNIT));
	hak_allowance_taken(&hak_allowance_units, before, before - dirty * HAK_UNIT,
			    (units - dirty) * HAK_UNIT, hak_units_most_allowed());
	*ret_zero = !dirty;
	hak_extent_check(e);
}

/*
 * Called when units became free: no gap is longer than the longest before, or the one that they
 * are in now.
 */
static void widen_longest(struct hak_extent *e, unsigned int at)
{
	unsigned int gap = hak_unitmap_next_set(e->used, at) - hak_unitmap_first_clear(e->used, at);

	if (gap > e->longest)
		e->longest = (uint16_t)gap;
}

static struct hak_extent *find_extent(enum hak_extent_kind kind, unsigned int units,
				      unsigned int align, unsigned int *ret_at)
{
	for (int row = HAK_EXTENT_ROWS - 2; row >= 0; row--) {
		uint16_t longest = 0;

		if (hak_extents.longest[kind][row] < units)
			continue;
		for (struct hak_extent *e = hak_extents.row[kind][row]; e; e = e->next) {
			if (e->longest >= units && find_hole(e, units, align, ret_at))
				return e;
			if (e->longest > longest)
				longest = e->longest;
		}
		hak_extents.longest[kind][row] = longest;
	}
	return NULL;
}

/*
 * Returns a FREE extent of which no purge holds units. Such units count as used until they are
 * given back.
 */
static struct hak_extent *idle_free(bool reserved)
{
	struct hak_extent *e = hak_extents.row[HAK_EXTENT_FREE][0];

	while (e && (e->used_units || hak_extent_is_reserved(e) != reserved))
		e = e->next;
	return e;
}

/* Takes a free extent for the kind. The slices are marked before any pointer into it can exist. */
static struct hak_extent *revive(enum hak_extent_kind kind)
{
	struct hak_extent *e = idle_free(false);

	if (!e)
		return NULL;
	hak_extent_unlink(e);
	hak_extent_set_kind(e, kind);
	e->longest = HAK_EXTENT_UNITS;
	hak_extent_mark(e, kind);
	hak_extent_link(e);
	return e;
}

/*
 * Units have pages only where they are memory. Of a slab that was taken with some dirty units, the
 * rest may never have been made memory. Returns how many units may have pages.
 */
static unsigned int mark_dirty(struct hak_extent *e, unsigned int at, unsigned int n)
{
	unsigned int dirty = 0;

	for (unsigned int step; n; at += step, n -= step) {
		uint64_t m;

		step = hak_unitmap_step(at, n);
		m = hak_unitmap_mask(at, step) & hak_extent_made(e, at / 64);
		e->dirty[at / 64] |= m;
		e->young[at / 64] |= m;
		dirty += (unsigned int)__builtin_popcountl(m);
	}
	return dirty;
}

void hak_units_put_back(const struct hak_units *r, bool clean)
{
	struct hak_extent *e = r->e;
	unsigned int dirty = 0;

	if (hak_unlikely(e->life != hak_extents.life))
		return;
	hak_extent_unlink(e);
	hak_unitmap_clear(e->used, r->at, r->units);
	e->used_units -= r->units;
	widen_longest(e, r->at);
	if (!clean) /* and young: tried again when another epoch is over, not at once */
		dirty = mark_dirty(e, r->at, r->units);
	e->dirty_units += (uint16_t)dirty;
	hak_count(HAK_C_MEM_CLEAN, (int64_t)((r->units - dirty) * HAK_UNIT));
	hak_extent_count_dirty(dirty);
	if (!e->used_units && e->kind != HAK_EXTENT_FREE) {
		/* The extent emptied while the purge held units of it. */
		hak_extent_set_kind(e, HAK_EXTENT_FREE);
		e->free_ms = hak_os_now_ms();
		hak_extent_mark(e, HAK_EXTENT_FREE);
	}
	hak_extent_link(e);
	hak_extent_check(e);
}

/*
 * One more extent is FREE. A limit on the process takes effect before the extent is old.
 * HAK_LOCK_EXTENT held.
 */
static bool keep_free(void)
{
	unsigned int most = hak_extent_most_free();

	return most && (hak_extents.free <= most || hak_likely(hak_room_data() == UINT64_MAX));
}

/* Returns the advice that the extent is to have now. */
static enum hak_thp_advice wanted_advice(const struct hak_extent *e)
{
	uint64_t mode = hak_tun(HAK_T_THP_MODE);

	if (hak_unlikely(mode == HAK_THP_NEVER))
		return HAK_ADVICE_NEVER;
	if (hak_unlikely(mode == HAK_THP_ADAPTIVE) && e->kind == HAK_EXTENT_SLABS &&
	    e->used_units >= HAK_EXTENT_UNITS * 4 / 5)
		return HAK_ADVICE_HUGE;
	return (enum hak_thp_advice)e->thp;
}

static char *take_any(enum hak_extent_kind kind, unsigned int units, unsigned int align,
		      struct hak_extent **ret, bool *ret_zero, bool *ret_new)
{
	struct hak_extent *e;
	unsigned int at = 0;
	enum hak_thp_advice before, advice;

	*ret_new = false;
	hak_lock(HAK_LOCK_EXTENT);
	e = find_extent(kind, units, align, &at);
	if (!e) {
		*ret_new = true;
		e = revive(kind);
	}
	if (!e) {
		e = idle_free(true);
		if (e)
			hak_extent_detach(e);
		hak_extents_leave();
		if (e)
			hak_extent_reopen(e);
		else
			e = hak_extent_map();
		if (!e)
			return NULL;
		hak_lock(HAK_LOCK_EXTENT);
		e->longest = HAK_EXTENT_UNITS;
		hak_extent_mark(e, kind);
		hak_extent_attach(e, kind);
	}
	take_units(e, at, units, ret_zero);
	before = (enum hak_thp_advice)e->thp;
	advice = wanted_advice(e);
	hak_extent_set_thp(e, advice);
	hak_extents_leave();
	/* The units taken keep the extent mapped. Refused advice costs only the huge page. */
	if (hak_unlikely(advice != before) &&
	    hak_os_hugepage(e->base, HAK_EXTENT, advice == HAK_ADVICE_HUGE) &&
	    advice == HAK_ADVICE_HUGE) {
		hak_lock(HAK_LOCK_EXTENT);
		hak_extent_set_thp(e, HAK_ADVICE_NONE);
		hak_extents_leave();
	}
	*ret = e;
	return e->base + at * HAK_UNIT;
}

/*
 * Sets aside units that could not be made memory. Those that were memory before are dirty. The same
 * reason blocks the extent's other gaps, so they are not searched until a unit of the extent is
 * freed.
 */
static void shun(const struct hak_units *r)
{
	hak_lock(HAK_LOCK_EXTENT);
	hak_units_put_back(r, false);
	hak_extent_count_used(-(int64_t)r->units);
	if (r->e->kind != HAK_EXTENT_FREE)
		r->e->longest = 0;
	hak_extents_leave();
}

char *hak_units_take(enum hak_extent_kind kind, unsigned int units, unsigned int align,
		     size_t bytes, struct hak_extent **ret, bool *ret_zero, bool *ret_new)
{
	for (;;) {
		char *p = take_any(kind, units, align, ret, ret_zero, ret_new);
		struct hak_units r = { *ret, 0, (uint16_t)units };

		if (hak_unlikely(!p))
			return NULL;
		if (hak_likely(hak_extent_make(r.e, p, bytes)))
			return p;
		r.at = (uint16_t)((size_t)(p - r.e->base) / HAK_UNIT);
		shun(&r);
		if (*ret_new)
			return NULL;
	}
}

/* HAK_LOCK_EXTENT held. */
static bool are_free(const struct hak_extent *e, unsigned int at, unsigned int units)
{
	return e->life == hak_extents.life && at + units <= HAK_EXTENT_UNITS &&
	       hak_unitmap_next_set(e->used, at) >= at + units;
}

bool hak_units_extend(struct hak_extent *e, const char *p, unsigned int units, unsigned int more)
{
	unsigned int at = (unsigned int)((size_t)(p - e->base) / HAK_UNIT) + units;
	struct hak_units r = { e, (uint16_t)at, (uint16_t)more };
	bool found, zero;

	hak_lock(HAK_LOCK_EXTENT);
	found = are_free(e, at, more);
	if (found)
		take_units(e, at, more, &zero);
	hak_extents_leave();
	if (!found)
		return false;
	if (hak_likely(hak_extent_make(e, e->base + at * HAK_UNIT, more * HAK_UNIT)))
		return true;
	shun(&r);
	return false;
}

void hak_units_give(struct hak_extent *e, char *p, unsigned int units, unsigned int touched)
{
	unsigned int at = (unsigned int)((size_t)(p - e->base) / HAK_UNIT);
	bool unmap = false;

	hak_lock(HAK_LOCK_EXTENT);
	if (hak_unlikely(e->life != hak_extents.life)) {
		hak_extents_leave();
		return;
	}
	hak_assert(hak_unitmap_bit(e->used, at) &&
		   hak_unitmap_next_clear(e->used, at) >= at + units);
	hak_extent_unlink(e);
	hak_unitmap_clear(e->used, at, units);
	touched = mark_dirty(e, at, touched);
	e->used_units -= (uint16_t)units;
	e->dirty_units += (uint16_t)touched;
	widen_longest(e, at);
	hak_allowance_given(&hak_allowance_units, hak_extent_dirty());
	hak_extent_count_used(-(int64_t)units);
	hak_extent_count_dirty(touched);
	hak_count(HAK_C_MEM_CLEAN, (int64_t)((units - touched) * HAK_UNIT));
	if (!e->used_units) {
		hak_extent_set_kind(e, HAK_EXTENT_FREE);
		e->free_ms = hak_os_now_ms();
		hak_extent_mark(e, HAK_EXTENT_FREE);
		unmap = !keep_free();
	}
	hak_extent_link(e);
	if (unmap)
		hak_extent_detach(e);
	hak_extent_check(e);
	hak_extents_leave();
	if (unmap)
		hak_stop("extent.emptied");
	if (!unmap)
		return;
	if (e->dirty_units)
		hak_purge_note(e->base, HAK_EXTENT);
	if (!hak_extent_unmap(e))
		hak_extent_reattach(e);
}
