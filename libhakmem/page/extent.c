/* SPDX-License-Identifier: MIT */
/* 2 MiB extents and the units in them. See extent.h. */
#include "extent.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "epoch.h"
#include "granule.h"
#include "meta.h"
#include "system/room.h"

/*
 * Extents by fill: [units used / 32]; the last row holds the full ones, which are never searched.
 */
#define ROWS (HAK_EXTENT_UNITS / 32 + 1)

_Static_assert(sizeof(struct hak_extent) > HAK_META_EXTENT_BYTES - 64 &&
		       sizeof(struct hak_extent) <= HAK_META_EXTENT_BYTES,
	       "a descriptor of meta.h");

/* All guarded by HAK_LOCK_EXTENT. */
static struct hak_extent *rows[HAK_EXTENT_KINDS][ROWS];
/* no extent of the row has a longer hole: most rows need not be walked */
static uint16_t row_longest[HAK_EXTENT_KINDS][ROWS];
static struct hak_extent *all_extents;
static unsigned int extents; /* also read without the lock */
static unsigned int free_extents;
static uint8_t life; /* of all these lists; extents of an earlier one are in none */

/* ---- bits ---- */

static __attribute__((unused)) bool bit(const uint64_t *map, unsigned int i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static unsigned int next_clear(const uint64_t *map, unsigned int i)
{
	while (i < HAK_EXTENT_UNITS) {
		uint64_t w = ~map[i / 64] >> (i % 64);

		if (w)
			return i + (unsigned int)__builtin_ctzl(w);
		i = (i / 64 + 1) * 64;
	}
	return HAK_EXTENT_UNITS;
}

static unsigned int next_set(const uint64_t *map, unsigned int i)
{
	while (i < HAK_EXTENT_UNITS) {
		uint64_t w = map[i / 64] >> (i % 64);

		if (w)
			return i + (unsigned int)__builtin_ctzl(w);
		i = (i / 64 + 1) * 64;
	}
	return HAK_EXTENT_UNITS;
}

/* The first of the clear bits that end with bit i. */
static unsigned int first_clear(const uint64_t *map, unsigned int i)
{
	for (;;) {
		uint64_t w = map[i / 64] << (63 - i % 64);

		if (w)
			return i + 1 - (unsigned int)__builtin_clzl(w);
		if (i < 64)
			return 0;
		i = (i / 64) * 64 - 1;
	}
}

/*
 * The part of the bits [i, i + n) that lies in the word of i: as a mask (n at most step_at), and
 * how many.
 */
static inline uint64_t mask_at(unsigned int i, unsigned int n)
{
	uint64_t m = n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;

	return m << (i % 64);
}

static inline unsigned int step_at(unsigned int i, unsigned int n)
{
	unsigned int left = 64 - i % 64;

	return n < left ? n : left;
}

static void set_bits(uint64_t *map, unsigned int i, unsigned int n)
{
	for (unsigned int s; n; i += s, n -= s) {
		s = step_at(i, n);
		map[i / 64] |= mask_at(i, s);
	}
}

/* Clears and returns how many were set. */
static unsigned int clear_bits(uint64_t *map, unsigned int i, unsigned int n)
{
	unsigned int were = 0;

	for (unsigned int s; n; i += s, n -= s) {
		uint64_t m;

		s = step_at(i, n);
		m = mask_at(i, s);
		were += (unsigned int)__builtin_popcountl(map[i / 64] & m);
		map[i / 64] &= ~m;
	}
	return were;
}

/* ---- lists ---- */

static unsigned int row_of(const struct hak_extent *e)
{
	return e->used_units / 32;
}

static void unlink_row(struct hak_extent *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		rows[e->kind][row_of(e)] = e->next;
	if (e->next)
		e->next->prev = e->prev;
}

static void link_row(struct hak_extent *e)
{
	struct hak_extent **head = &rows[e->kind][row_of(e)];

	e->prev = NULL;
	e->next = *head;
	if (*head)
		(*head)->prev = e;
	*head = e;
	if (e->longest > row_longest[e->kind][row_of(e)])
		row_longest[e->kind][row_of(e)] = e->longest;
}

static void link_all(struct hak_extent *e)
{
	e->all_prev = NULL;
	e->all_next = all_extents;
	if (all_extents)
		all_extents->all_prev = e;
	all_extents = e;
	__atomic_store_n(&extents, extents + 1, __ATOMIC_RELAXED);
}

static void unlink_all(struct hak_extent *e)
{
	if (e->all_prev)
		e->all_prev->all_next = e->all_next;
	else
		all_extents = e->all_next;
	if (e->all_next)
		e->all_next->all_prev = e->all_prev;
	__atomic_store_n(&extents, extents - 1, __ATOMIC_RELAXED);
}

static void count_kind(const struct hak_extent *e, int n)
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

static void set_kind(struct hak_extent *e, enum hak_extent_kind kind)
{
	count_kind(e, -1);
	free_extents += (kind == HAK_EXTENT_FREE) - (e->kind == HAK_EXTENT_FREE);
	e->kind = (uint8_t)kind;
	count_kind(e, 1);
}

static bool is_whole(const struct hak_extent *e)
{
	return atomic_load_explicit(&e->whole, memory_order_relaxed);
}

static void set_whole(struct hak_extent *e, bool whole)
{
	atomic_store_explicit(&e->whole, whole, memory_order_relaxed);
}

/* Nothing of it is memory. Only for extents with no unit in use: nobody makes any then. */
static bool is_reserved(const struct hak_extent *e)
{
	return !is_whole(e) && next_set(e->made, 0) == HAK_EXTENT_UNITS;
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

/* Granules of an extent of runs name the extent; those of a superslab are set slab by slab. */
static void mark_granules(struct hak_extent *e, enum hak_extent_kind kind)
{
	struct hak_granule *g = hak_granule_ours(e->base);

	for (size_t i = 0; i < HAK_EXTENT / HAK_GRANULE; i++) {
		if (kind == HAK_EXTENT_RUNS)
			hak_granule_set(g + i, HAK_RUNS, e);
		else
			hak_granule_clear(g + i);
	}
}

/* An extent that becomes used beside the others that are: is it made memory piece by piece? */
static bool by_pieces(void)
{
	enum { FEW = 2 }; /* one of slabs and one of runs, most often */

	return __atomic_load_n(&extents, __ATOMIC_RELAXED) < FEW &&
	       hak_tun(HAK_T_THP_MODE) == HAK_THP_OFF;
}

/* Whole, or reserved. */
static char *map_base(struct hak_extent *e)
{
	bool pieces = by_pieces();
	char *p = pieces ? hak_os_reserve_aligned(HAK_EXTENT) : NULL;

	if (p)
		return p;
	p = hak_os_map(HAK_EXTENT, HAK_EXTENT);
	if (p)
		set_whole(e, true);
	else if (!pieces)
		p = hak_os_reserve_aligned(HAK_EXTENT);
	return p;
}

/* Units [i, end), whole pages, some of which may be memory already. HAK_LOCK_META. */
static bool make_units(struct hak_extent *e, unsigned int i, unsigned int end)
{
	while ((i = next_clear(e->made, i)) < end) {
		unsigned int stop = next_set(e->made, i);

		stop = stop < end ? stop : end;
		if (hak_os_remap_fresh(e->base + i * HAK_UNIT, (stop - i) * HAK_UNIT))
			return false;
		set_bits(e->made, i, stop - i);
	}
	/* release: pairs with hak_extent_make() */
	if (next_clear(e->made, 0) == HAK_EXTENT_UNITS)
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

static struct hak_extent *map_extent(void)
{
	struct hak_extent *e = hak_meta_get(HAK_META_EXTENT);

	if (!e)
		return NULL;
	e->base = map_base(e);
	if (!e->base || hak_granule_prepare(e->base, HAK_EXTENT, true)) {
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

/*
 * `e` is on no list any more. munmap may refuse (max_map_count): then its pages are given back and
 * it is kept.
 */
static bool unmap_extent(struct hak_extent *e)
{
	int64_t dirty = (int64_t)e->dirty_units * (int64_t)HAK_UNIT;

	mark_granules(e, HAK_EXTENT_FREE);
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

/* ---- taking and giving units ---- */

struct range {
	struct hak_extent *e;
	uint16_t at, units;
};

static bool find_hole(struct hak_extent *e, unsigned int units, unsigned int align,
		      unsigned int *ret)
{
	unsigned int i = next_clear(e->used, 0), longest = 0;

	while (i < HAK_EXTENT_UNITS) {
		unsigned int end = next_set(e->used, i);
		unsigned int at = (i + align - 1) & ~(align - 1);

		if (at < end && end - at >= units) {
			*ret = at;
			return true;
		}
		if (end - i > longest)
			longest = end - i;
		i = next_clear(e->used, end);
	}
	e->longest = (uint16_t)longest;
	return false;
}

static void take_units(struct hak_extent *e, unsigned int at, unsigned int units, bool *ret_zero)
{
	unsigned int dirty;

	unlink_row(e);
	set_bits(e->used, at, units);
	dirty = clear_bits(e->dirty, at, units);
	clear_bits(e->young, at, units);
	e->used_units += (uint16_t)units;
	e->dirty_units -= (uint16_t)dirty;
	link_row(e);
	hak_count(HAK_C_MEM_DIRTY, -(int64_t)(dirty * HAK_UNIT));
	hak_count(HAK_C_MEM_CLEAN, -(int64_t)((units - dirty) * HAK_UNIT));
	*ret_zero = !dirty;
	hak_extent_check(e);
}

/* Units became free: no hole is longer than the longest before or the one that they are in now. */
static void widen_longest(struct hak_extent *e, unsigned int at)
{
	unsigned int hole = next_set(e->used, at) - first_clear(e->used, at);

	if (hole > e->longest)
		e->longest = (uint16_t)hole;
}

static struct hak_extent *find_extent(enum hak_extent_kind kind, unsigned int units,
				      unsigned int align, unsigned int *ret_at)
{
	for (int row = ROWS - 2; row >= 0; row--) {
		uint16_t longest = 0;

		if (row_longest[kind][row] < units)
			continue;
		for (struct hak_extent *e = rows[kind][row]; e; e = e->next) {
			if (e->longest >= units && find_hole(e, units, align, ret_at))
				return e;
			if (e->longest > longest)
				longest = e->longest;
		}
		row_longest[kind][row] = longest;
	}
	return NULL;
}

/* A FREE extent of which no purger holds units: those count as used until they are given back. */
static struct hak_extent *idle_free(bool reserved)
{
	struct hak_extent *e = rows[HAK_EXTENT_FREE][0];

	while (e && (e->used_units || is_reserved(e) != reserved))
		e = e->next;
	return e;
}

/* A free extent, for the kind; the granules are marked before any pointer into it can exist. */
static struct hak_extent *revive(enum hak_extent_kind kind)
{
	struct hak_extent *e = idle_free(false);

	if (!e)
		return NULL;
	unlink_row(e);
	set_kind(e, kind);
	e->longest = HAK_EXTENT_UNITS;
	mark_granules(e, kind);
	link_row(e);
	return e;
}

static void put_back(const struct range *r, bool clean)
{
	struct hak_extent *e = r->e;

	unlink_row(e);
	clear_bits(e->used, r->at, r->units);
	e->used_units -= r->units;
	widen_longest(e, r->at);
	if (!clean) {
		/* young: tried again when another epoch is over, not at once */
		set_bits(e->dirty, r->at, r->units);
		set_bits(e->young, r->at, r->units);
		e->dirty_units += r->units;
	}
	hak_count(clean ? HAK_C_MEM_CLEAN : HAK_C_MEM_DIRTY, (int64_t)(r->units * HAK_UNIT));
	if (!e->used_units && e->kind != HAK_EXTENT_FREE) {
		/* It emptied while we held some of it. */
		set_kind(e, HAK_EXTENT_FREE);
		e->free_ms = hak_os_now_ms();
		mark_granules(e, HAK_EXTENT_FREE);
	}
	link_row(e);
	hak_extent_check(e);
}

/* How many FREE extents are kept however old they are. */
static unsigned int most_free(void)
{
	uint64_t room = hak_room_data() / HAK_EXTENT, most = hak_tun(HAK_T_SUPERSLAB_RETAIN);

	if (!hak_tun(HAK_T_SUPERSLAB_ENABLE))
		return 0;
	return (unsigned int)(most < room ? most : room);
}

/* One more extent is FREE. A limit on the process does not wait until it is old. Lock held. */
static bool keep_free(void)
{
	unsigned int most = most_free();

	return most && (free_extents <= most || hak_likely(hak_room_data() == UINT64_MAX));
}

/* Takes the extent off all lists, for a system call. */
static void detach(struct hak_extent *e)
{
	unlink_row(e);
	unlink_all(e);
	count_kind(e, -1);
	if (e->kind == HAK_EXTENT_FREE)
		free_extents--;
}

static void reattach(struct hak_extent *e)
{
	hak_lock(HAK_LOCK_EXTENT);
	e->kind = HAK_EXTENT_FREE;
	free_extents++;
	count_kind(e, 1);
	link_all(e);
	link_row(e);
	hak_unlock(HAK_LOCK_EXTENT);
}

/*
 * Of a reserved extent, on no list any more, the whole becomes memory, where map_base() would map
 * it whole. Refused, it is made piece by piece.
 */
static void reopen(struct hak_extent *e)
{
	if (by_pieces() || hak_os_remap_fresh(e->base, HAK_EXTENT))
		return;
	set_whole(e, true);
	advise_new(e);
}

static bool want_thp(struct hak_extent *e)
{
	return hak_unlikely(hak_tun(HAK_T_THP_MODE) == HAK_THP_ADAPTIVE) &&
	       e->kind == HAK_EXTENT_SLABS && !e->thp && e->used_units >= HAK_EXTENT_UNITS * 4 / 5;
}

static char *take_any(enum hak_extent_kind kind, unsigned int units, unsigned int align,
		      struct hak_extent **ret, bool *ret_zero, bool *ret_new)
{
	struct hak_extent *e;
	unsigned int at = 0;
	bool thp;

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
			detach(e);
		hak_unlock(HAK_LOCK_EXTENT);
		if (e)
			reopen(e);
		else
			e = map_extent();
		if (!e)
			return NULL;
		hak_lock(HAK_LOCK_EXTENT);
		e->life = life;
		e->kind = (uint8_t)kind;
		e->longest = HAK_EXTENT_UNITS;
		count_kind(e, 1);
		mark_granules(e, kind);
		link_all(e);
		link_row(e);
	}
	take_units(e, at, units, ret_zero);
	thp = want_thp(e);
	if (thp) {
		e->thp = true;
		hak_count(HAK_C_SUPERSLABS_THP, 1);
	}
	hak_unlock(HAK_LOCK_EXTENT);
	/*
	 * The units taken keep the extent mapped. A refused advice costs nothing but the huge page.
	 */
	if (thp && hak_os_hugepage(e->base, HAK_EXTENT, true)) {
		hak_lock(HAK_LOCK_EXTENT);
		e->thp = false;
		hak_count(HAK_C_SUPERSLABS_THP, -1);
		hak_unlock(HAK_LOCK_EXTENT);
	}
	*ret = e;
	return e->base + at * HAK_UNIT;
}

/*
 * Units that could not be made memory. What keeps them from that keeps the extent's other holes,
 * too: they are not looked at until something in it is freed.
 */
static void shun(const struct range *r)
{
	hak_lock(HAK_LOCK_EXTENT);
	if (hak_likely(r->e->life == life)) {
		put_back(r, true);
		if (r->e->kind != HAK_EXTENT_FREE)
			r->e->longest = 0;
	}
	hak_unlock(HAK_LOCK_EXTENT);
}

char *hak_extent_take(enum hak_extent_kind kind, unsigned int units, unsigned int align,
		      size_t bytes, struct hak_extent **ret, bool *ret_zero, bool *ret_new)
{
	for (;;) {
		char *p = take_any(kind, units, align, ret, ret_zero, ret_new);
		struct range r = { *ret, 0, (uint16_t)units };

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

void hak_extent_give(struct hak_extent *e, char *p, unsigned int units, unsigned int touched)
{
	unsigned int at = (unsigned int)((size_t)(p - e->base) / HAK_UNIT);
	bool unmap = false;

	hak_lock(HAK_LOCK_EXTENT);
	if (hak_unlikely(e->life != life)) {
		hak_unlock(HAK_LOCK_EXTENT);
		return;
	}
	hak_assert(bit(e->used, at) && next_clear(e->used, at) >= at + units);
	unlink_row(e);
	clear_bits(e->used, at, units);
	set_bits(e->dirty, at, touched);
	set_bits(e->young, at, touched);
	e->used_units -= (uint16_t)units;
	e->dirty_units += (uint16_t)touched;
	widen_longest(e, at);
	hak_count(HAK_C_MEM_DIRTY, (int64_t)(touched * HAK_UNIT));
	hak_count(HAK_C_MEM_CLEAN, (int64_t)((units - touched) * HAK_UNIT));
	if (!e->used_units) {
		set_kind(e, HAK_EXTENT_FREE);
		e->free_ms = hak_os_now_ms();
		mark_granules(e, HAK_EXTENT_FREE);
		unmap = !keep_free();
	}
	link_row(e);
	if (unmap)
		detach(e);
	hak_extent_check(e);
	hak_unlock(HAK_LOCK_EXTENT);
	if (unmap)
		hak_stop("extent.emptied");
	if (!unmap)
		return;
	if (e->dirty_units)
		hak_purge_note(e->base, HAK_EXTENT);
	if (!unmap_extent(e))
		reattach(e);
}

/* ---- giving pages back ---- */

#define BATCH 64

/*
 * Collects up to BATCH ranges of dirty units that are not young, marked used so that nobody takes
 * them meanwhile. Ranges are cut to whole pages; on machines with pages above 4 KiB a remainder
 * stays dirty.
 */
static unsigned int collect(struct range *r)
{
	unsigned int n = 0, per_page = (unsigned int)(hak_page / HAK_UNIT);
	struct hak_extent *e = all_extents;

	if (!per_page)
		per_page = 1;
	for (; e && n < BATCH; e = e->all_next) {
		unsigned int i = 0;
		uint64_t pick[HAK_EXTENT_WORDS];

		if (!e->dirty_units)
			continue;
		for (unsigned int w = 0; w < HAK_EXTENT_WORDS; w++)
			pick[w] = e->dirty[w] & ~e->young[w];
		unlink_row(e);
		while (n < BATCH && (i = next_set(pick, i)) < HAK_EXTENT_UNITS) {
			unsigned int end = next_clear(pick, i);
			unsigned int from = (i + per_page - 1) & ~(per_page - 1),
				     to = end & ~(per_page - 1);

			i = end;
			if (from >= to)
				continue;
			r[n++] = (struct range){ e, (uint16_t)from, (uint16_t)(to - from) };
			set_bits(e->used, from, to - from);
			clear_bits(e->dirty, from, to - from);
			e->used_units += (uint16_t)(to - from);
			e->dirty_units -= (uint16_t)(to - from);
			hak_count(HAK_C_MEM_DIRTY, -(int64_t)((to - from) * HAK_UNIT));
		}
		link_row(e);
	}
	return n;
}

/* Returns resident bytes given back. */
static uint64_t give_pages(struct range *r, unsigned int n)
{
	uint64_t bytes = 0;
	bool clean[BATCH];

	for (unsigned int i = 0; i < n;) {
		char *p = r[i].e->base + r[i].at * HAK_UNIT;
		size_t len = r[i].units * HAK_UNIT;
		unsigned int first = i++;
		uint64_t resident;
		bool ok;

		/* neighbours, also over the border of adjacent extents, share one call */
		while (i < n && r[i].e->base + r[i].at * HAK_UNIT == p + len)
			len += r[i++].units * HAK_UNIT;
		resident = hak_purge_count(p, len);
		hak_stop("purge.before_madvise.extent");
		ok = !hak_os_dontneed(p, len);
		if (ok)
			bytes += resident;
		if (!ok && i - first > 1) {
			/* one locked page refuses the whole batch: try one by one */
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
		put_back(&r[i], clean[i]);
	hak_unlock(HAK_LOCK_EXTENT);
	return bytes;
}

static void drop_thp(const struct range *r, unsigned int n)
{
	/* else the next fault in a hole brings the whole huge page back */
	for (unsigned int i = 0; i < n; i++) {
		struct hak_extent *e = r[i].e;
		bool drop;

		hak_lock(HAK_LOCK_EXTENT);
		drop = e->thp && r[i].units < HAK_EXTENT_UNITS &&
		       hak_tun(HAK_T_THP_MODE) != HAK_THP_ALWAYS;
		if (drop) {
			e->thp = false;
			if (e->kind == HAK_EXTENT_SLABS)
				hak_count(HAK_C_SUPERSLABS_THP, -1);
		}
		hak_unlock(HAK_LOCK_EXTENT);
		if (drop)
			hak_os_hugepage(e->base, HAK_EXTENT, false);
	}
}

static uint64_t unmap_free(unsigned int keep, uint64_t before_ms)
{
	uint64_t bytes = 0;

	for (;;) {
		struct hak_extent *e, *oldest = NULL;

		hak_lock(HAK_LOCK_EXTENT);
		if (free_extents > keep)
			for (e = rows[HAK_EXTENT_FREE][0]; e; e = e->next)
				if (!e->used_units &&
				    (!oldest || (int64_t)(e->free_ms - oldest->free_ms) < 0))
					oldest = e;
		if (!oldest || (int64_t)(oldest->free_ms - before_ms) > 0) {
			hak_unlock(HAK_LOCK_EXTENT);
			return bytes;
		}
		detach(oldest);
		hak_unlock(HAK_LOCK_EXTENT);
		if (oldest->dirty_units)
			bytes += hak_purge_count(oldest->base, HAK_EXTENT);
		if (!unmap_extent(oldest)) {
			oldest->free_ms = hak_os_now_ms();
			reattach(oldest);
			return bytes;
		}
	}
}

/*
 * FREE extents without pages, since `before_ms`, become reservations again; one that cannot is
 * given up, unless munmap refuses it too.
 */
static void close_free(uint64_t before_ms)
{
	for (;;) {
		struct hak_extent *e;

		hak_lock(HAK_LOCK_EXTENT);
		e = rows[HAK_EXTENT_FREE][0];
		while (e && (e->used_units || is_reserved(e) || e->dirty_units ||
			     (int64_t)(e->free_ms - before_ms) > 0))
			e = e->next;
		if (e)
			detach(e);
		hak_unlock(HAK_LOCK_EXTENT);
		if (!e)
			return;
		if (hak_os_reserve_over(e->base, HAK_EXTENT)) {
			if (!unmap_extent(e))
				reattach(e);
			return;
		}
		memset(e->made, 0, sizeof(e->made));
		set_whole(e, false);
		e->thp = false; /* advice goes with the old mapping */
		reattach(e);
	}
}

/* What is free now has been so for long: it goes with the next purge. */
static void make_old(void)
{
	hak_lock(HAK_LOCK_EXTENT);
	for (struct hak_extent *e = all_extents; e; e = e->all_next)
		memset(e->young, 0, sizeof(e->young));
	hak_unlock(HAK_LOCK_EXTENT);
}

uint64_t hak_extent_purge(bool all, bool unmap, uint64_t now_ms, uint64_t age_ms)
{
	struct range r[BATCH];
	uint64_t bytes;
	unsigned int n;

	hak_assert(hak_lock_held(HAK_LOCK_PURGE));
	bytes = unmap_free(unmap ? 0 : most_free(), unmap ? now_ms : now_ms - age_ms);
	if (all)
		make_old();
	/* Ends: what was tried is clean or young, and so is what is freed meanwhile. */
	for (;;) {
		hak_lock(HAK_LOCK_EXTENT);
		n = collect(r);
		hak_unlock(HAK_LOCK_EXTENT);
		if (!n)
			break;
		drop_thp(r, n);
		bytes += give_pages(r, n);
	}
	if (!all)
		make_old();
	/* what emptied while we held some of it */
	if (!most_free())
		bytes += unmap_free(0, hak_os_now_ms());
	close_free(now_ms - age_ms);
	return bytes;
}

void hak_extent_abandon(void)
{
	memset(rows, 0, sizeof(rows));
	memset(row_longest, 0, sizeof(row_longest));
	all_extents = NULL;
	extents = 0;
	free_extents = 0;
	life++;
}

void hak_extent_tuned(void)
{
	unmap_free(most_free(), hak_os_now_ms());
}
