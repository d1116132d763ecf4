/* SPDX-License-Identifier: MIT */
/* Pages of free units go back to the kernel. See clean.h. */
#include "clean.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "epoch.h"
#include "system/os.h"
#include "units.h"

#define BATCH 64

/*
 * Collects up to BATCH ranges of dirty units that are not young, until `least` bytes are dirty, and
 * marks them used so that no other thread takes them meanwhile. Ranges are cut to whole pages. On
 * machines with pages above 4 KiB a remainder stays dirty.
 */
static unsigned int collect(struct hak_units *r, uint64_t least)
{
	unsigned int n = 0, per_page = (unsigned int)(hak_page / HAK_UNIT);
	struct hak_extent *e = hak_extents.all;

	if (!per_page)
		per_page = 1;
	for (; e && n < BATCH && hak_extent_dirty() > least; e = e->all_next) {
		unsigned int i = 0;
		uint64_t pick[HAK_EXTENT_WORDS];

		if (!e->dirty_units)
			continue;
		for (unsigned int w = 0; w < HAK_EXTENT_WORDS; w++)
			pick[w] = e->dirty[w] & ~e->young[w];
		hak_extent_unlink(e);
		while (n < BATCH && (i = hak_unitmap_next_set(pick, i)) < HAK_EXTENT_UNITS) {
			unsigned int end = hak_unitmap_next_clear(pick, i);
			unsigned int from = (i + per_page - 1) & ~(per_page - 1),
				     to = end & ~(per_page - 1);

			i = end;
			if (from >= to)
				continue;
			r[n++] = (struct hak_units){ e, (uint16_t)from, (uint16_t)(to - from) };
			hak_unitmap_set(e->used, from, to - from);
			hak_unitmap_clear(e->dirty, from, to - from);
			e->used_units += (uint16_t)(to - from);
			e->dirty_units -= (uint16_t)(to - from);
			hak_extent_count_dirty(-(int64_t)(to - from));
		}
		hak_extent_link(e);
	}
	return n;
}

/* Returns the resident bytes given back. */
static uint64_t give_pages(struct hak_units *r, unsigned int n)
{
	uint64_t bytes = 0;
	bool clean[BATCH];

	for (unsigned int i = 0; i < n;) {
		char *p = r[i].e->base + r[i].at * HAK_UNIT;
		size_t len = r[i].units * HAK_UNIT;
		unsigned int first = i++;
		uint64_t resident;
		bool ok;

		/* neighbours share one call, also over the border of adjacent extents */
		while (i < n && r[i].e->base + r[i].at * HAK_UNIT == p + len)
			len += r[i++].units * HAK_UNIT;
		resident = hak_purge_count(p, len);
		hak_stop("purge.before_madvise.extent");
		ok = !hak_os_dontneed(p, len);
		if (ok)
			bytes += resident;
		if (!ok && i - first > 1) {
			/* one locked page refuses the whole batch; try one range at a time */
			for (unsigned int k = first; k < i; k++) {
				p = r[k].e->base + r[k].at * HAK_UNIT;
				resident = hak_purge_count(p, r[k].units * HAK_UNIT);
				clean[k] = !hak_os_dontneed(p, r[k].units * HAK_UNIT);
				bytes += clean[k] ? resident : 0;
			}
		} else {
			for (unsigned int k = first; k < i; k++)
				clean[k] = ok;
		}
	}
	hak_lock(HAK_LOCK_EXTENT);
	for (unsigned int i = 0; i < n; i++)
		hak_units_put_back(&r[i], clean[i]);
	hak_extents_leave();
	return bytes;
}

/* Returns whether the extent, of which `units` are given back, is advised against huge pages. */
static bool drops_thp(const struct hak_extent *e, unsigned int units)
{
	uint64_t mode = hak_tun(HAK_T_THP_MODE);

	if (mode == HAK_THP_NEVER)
		return e->thp != HAK_ADVICE_NEVER;
	/* otherwise the next fault in a gap brings the whole huge page back */
	return e->thp == HAK_ADVICE_HUGE && units < HAK_EXTENT_UNITS && mode != HAK_THP_ALWAYS;
}

static void drop_thp(const struct hak_units *r, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct hak_extent *e = r[i].e;
		bool drop;

		hak_lock(HAK_LOCK_EXTENT);
		drop = drops_thp(e, r[i].units);
		if (drop)
			hak_extent_set_thp(e, hak_tun(HAK_T_THP_MODE) == HAK_THP_NEVER
						      ? HAK_ADVICE_NEVER
						      : HAK_ADVICE_NONE);
		hak_extents_leave();
		if (drop)
			hak_os_hugepage(e->base, HAK_EXTENT, false);
	}
}

/*
 * Unmaps FREE extents that are so since before_ms or longer, the oldest first, until `keep` are
 * left or, unless it is 0, `least` bytes are dirty.
 */
static uint64_t unmap_free(unsigned int keep, uint64_t before_ms, uint64_t least)
{
	uint64_t bytes = 0;

	for (;;) {
		struct hak_extent *e, *oldest = NULL;

		hak_lock(HAK_LOCK_EXTENT);
		if (hak_extents.free > keep && (!least || hak_extent_dirty() > least))
			for (e = hak_extents.row[HAK_EXTENT_FREE][0]; e; e = e->next)
				if (!e->used_units &&
				    (!oldest || (int64_t)(e->free_ms - oldest->free_ms) < 0))
					oldest = e;
		if (!oldest || (int64_t)(oldest->free_ms - before_ms) > 0) {
			hak_extents_leave();
			return bytes;
		}
		hak_extent_detach(oldest);
		hak_extents_leave();
		if (oldest->dirty_units)
			bytes += hak_purge_count(oldest->base, HAK_EXTENT);
		if (!hak_extent_unmap(oldest)) {
			oldest->free_ms = hak_os_now_ms();
			hak_extent_reattach(oldest);
			return bytes;
		}
	}
}

/*
 * Turns FREE extents without pages since `before_ms` into reservations again. An extent that cannot
 * become one is unmapped, unless munmap refuses as well.
 */
static void close_free(uint64_t before_ms)
{
	for (;;) {
		struct hak_extent *e;

		hak_lock(HAK_LOCK_EXTENT);
		e = hak_extents.row[HAK_EXTENT_FREE][0];
		while (e && (e->used_units || hak_extent_is_reserved(e) || e->dirty_units ||
			     (int64_t)(e->free_ms - before_ms) > 0))
			e = e->next;
		if (e)
			hak_extent_detach(e);
		hak_extents_leave();
		if (!e)
			return;
		if (hak_os_reserve_over(e->base, HAK_EXTENT)) {
			if (!hak_extent_unmap(e))
				hak_extent_reattach(e);
			return;
		}
		memset(e->made, 0, sizeof(e->made));
		hak_extent_set_whole(e, false);
		e->thp = HAK_ADVICE_NONE; /* advice goes with the old mapping */
		hak_extent_reattach(e);
	}
}

/* Makes all free memory old, so that it goes with the next purge. */
static void make_old(void)
{
	hak_lock(HAK_LOCK_EXTENT);
	for (struct hak_extent *e = hak_extents.all; e; e = e->all_next)
		memset(e->young, 0, sizeof(e->young));
	hak_extents_leave();
}

/* Ends: ranges that were tried are clean or young, and so is memory freed meanwhile. */
static uint64_t give_old(uint64_t least)
{
	struct hak_units r[BATCH];
	uint64_t bytes = 0;
	unsigned int n;

	for (;;) {
		hak_lock(HAK_LOCK_EXTENT);
		n = collect(r, least);
		hak_extents_leave();
		if (!n)
			return bytes;
		drop_thp(r, n);
		bytes += give_pages(r, n);
	}
}

uint64_t hak_extent_purge(bool all, bool unmap, uint64_t now_ms, uint64_t age_ms)
{
	uint64_t bytes;

	hak_assert(hak_lock_held(HAK_LOCK_PURGE));
	bytes = unmap_free(unmap ? 0 : hak_extent_most_free(), unmap ? now_ms : now_ms - age_ms, 0);
	if (all)
		make_old();
	bytes += give_old(0);
	if (!all)
		make_old();
	/* extents that emptied while this purge held units of them */
	if (!hak_extent_most_free())
		bytes += unmap_free(0, hak_os_now_ms(), 0);
	close_free(now_ms - age_ms);
	return bytes;
}

uint64_t hak_extent_shrink(uint64_t least, uint64_t now_ms)
{
	uint64_t bytes;

	hak_assert(hak_lock_held(HAK_LOCK_PURGE));
	bytes = unmap_free(hak_extent_most_free(), now_ms, least);
	bytes += give_old(least);
	if (hak_extent_dirty() > least) {
		make_old();
		bytes += give_old(least);
	}
	return bytes;
}

/*
 * Marks a free unit used, which keeps its extent mapped: of the next extent that is not advised
 * against huge pages. A full extent has none, and obeys when units of it are free. A FREE one obeys
 * when it is used. HAK_LOCK_EXTENT held.
 */
static bool hold_advised(struct hak_units *ret, bool *ret_clean)
{
	for (struct hak_extent *e = hak_extents.all; e; e = e->all_next) {
		unsigned int i = hak_unitmap_next_clear(e->used, 0);

		if (e->kind == HAK_EXTENT_FREE || e->thp == HAK_ADVICE_NEVER ||
		    i >= HAK_EXTENT_UNITS)
			continue;
		*ret = (struct hak_units){ e, (uint16_t)i, 1 };
		*ret_clean = hak_unitmap_next_set(e->dirty, i) != i;
		hak_extent_unlink(e);
		hak_unitmap_set(e->used, i, 1);
		e->used_units++;
		if (*ret_clean) {
			hak_count(HAK_C_MEM_CLEAN, -(int64_t)HAK_UNIT);
		} else {
			hak_unitmap_clear(e->dirty, i, 1);
			hak_unitmap_clear(e->young, i, 1);
			e->dirty_units--;
			hak_extent_count_dirty(-1);
		}
		hak_extent_set_thp(e, HAK_ADVICE_NEVER);
		hak_extent_link(e);
		return true;
	}
	return false;
}

static void forbid_thp(void)
{
	struct hak_units r;
	bool held, clean;

	do {
		hak_lock(HAK_LOCK_EXTENT);
		held = hold_advised(&r, &clean);
		hak_extents_leave();
		if (!held)
			return;
		hak_os_hugepage(r.e->base, HAK_EXTENT, false);
		hak_lock(HAK_LOCK_EXTENT);
		hak_units_put_back(&r, clean);
		hak_extents_leave();
	} while (held);
}

void hak_extent_tuned(void)
{
	if (hak_tun(HAK_T_THP_MODE) == HAK_THP_NEVER)
		forbid_thp();
	unmap_free(hak_extent_most_free(), hak_os_now_ms(), 0);
}
