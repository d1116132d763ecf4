// SPDX-License-Identifier: MIT
/*
 * libhakmem/page/extent.c, units.c and clean.c: units of extents are taken, given and purged at
 * random, beside a model that knows the state of each unit. Every page that a taker may touch is
 * touched, so memory itself shows "reads as zeros" and "not handed out twice". A purge is at work
 * half of the time; the units that it holds belong to no taker.
 *
 * This process's own blocks lie in extents too. They exist before the test begins, which allocates
 * nothing.
 */
#include "../../libhakmem/page/clean.c"

#include <sys/resource.h>

#include "libhakmem/page/slice.h"
#include "unit.h"

enum { EXTENTS = 64, PIECES = 512, STEPS = 40000 };
enum state { CLEAN, DIRTY, YOUNG, USED, HELD };

/* The model of an extent. */
static struct model {
	const char *base; /* NULL: absent */
	enum hak_extent_kind kind;
	uint8_t unit[HAK_EXTENT_UNITS]; /* enum state */
} models[EXTENTS];

/* Units that were taken and not given back. */
static struct piece {
	struct hak_extent *e;
	char *p;
	unsigned int units, touched;
	uint64_t mark;
} pieces[PIECES];
static unsigned int pieces_n;

static struct hak_units held[BATCH];
static unsigned int held_n;

static struct model *model_of(const char *p)
{
	for (unsigned int i = 0; i < EXTENTS; i++)
		if (models[i].base && p >= models[i].base && p < models[i].base + HAK_EXTENT)
			return &models[i];
	return NULL;
}

static struct model *model_new(const struct hak_extent *e)
{
	for (unsigned int i = 0; i < EXTENTS; i++)
		if (!models[i].base) {
			models[i].base = e->base;
			models[i].kind = e->kind;
			memset(models[i].unit, CLEAN, sizeof(models[i].unit));
			return &models[i];
		}
	CHECK(0, "more than %d extents", EXTENTS);
	return NULL;
}

static unsigned int model_count(const struct model *m, unsigned int state)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < HAK_EXTENT_UNITS; i++)
		n += m->unit[i] == state;
	return n;
}

/* Returns the number of units that cannot be taken. */
static unsigned int model_used(const struct model *m)
{
	return model_count(m, USED) + model_count(m, HELD);
}

static bool model_has_room(const struct model *m, unsigned int units, unsigned int align)
{
	for (unsigned int at = 0; at + units <= HAK_EXTENT_UNITS; at += align) {
		unsigned int n = 0;

		while (n < units && m->unit[at + n] < USED)
			n++;
		if (n == units)
			return true;
	}
	return false;
}

static unsigned int model_longest(const struct model *m)
{
	unsigned int longest = 0, n = 0;

	for (unsigned int i = 0; i < HAK_EXTENT_UNITS; i++) {
		n = m->unit[i] < USED ? n + 1 : 0;
		if (n > longest)
			longest = n;
	}
	return longest;
}

/* Returns the fullest row of the kind that has room; -1 if there is none. */
static int model_row(enum hak_extent_kind kind, unsigned int units, unsigned int align)
{
	int row = -1;

	for (unsigned int i = 0; i < EXTENTS; i++) {
		const struct model *m = &models[i];

		if (m->base && m->kind == kind && (int)model_used(m) / 32 > row &&
		    model_has_room(m, units, align))
			row = (int)model_used(m) / 32;
	}
	return row;
}

/* Returns the number of extents that are wholly free and not held. */
static unsigned int model_idle(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < EXTENTS; i++)
		n += models[i].base && models[i].kind == HAK_EXTENT_FREE && !model_used(&models[i]);
	return n;
}

/* ---- the module's own, against the model ---- */

static void check_extent(const struct hak_extent *e)
{
	const struct model *m = model_of(e->base);

	CHECK(m && m->base == e->base, "extent %p", (void *)e->base);
	CHECK(m->kind == e->kind, "kind %u, not %u", e->kind, m->kind);
	for (unsigned int i = 0; i < HAK_EXTENT_UNITS; i++) {
		CHECK(hak_unitmap_bit(e->used, i) == (m->unit[i] >= USED), "unit %u: %u", i,
		      m->unit[i]);
		CHECK(hak_unitmap_bit(e->dirty, i) == (m->unit[i] == DIRTY || m->unit[i] == YOUNG),
		      "unit %u: %u", i, m->unit[i]);
		CHECK(hak_unitmap_bit(e->young, i) == (m->unit[i] == YOUNG), "unit %u: %u", i,
		      m->unit[i]);
	}
	CHECK(e->used_units == model_used(m), "%u, not %u", e->used_units, model_used(m));
	CHECK(e->dirty_units == model_count(m, DIRTY) + model_count(m, YOUNG), "%u",
	      e->dirty_units);
	CHECK(e->longest >= model_longest(m), "longest %u, not %u", e->longest, model_longest(m));
	CHECK(hak_extents.longest[e->kind][hak_extent_row(e)] >= e->longest ||
		      hak_extent_row(e) == HAK_EXTENT_ROWS - 1,
	      "row %u: %u, an extent: %u", hak_extent_row(e),
	      hak_extents.longest[e->kind][hak_extent_row(e)], e->longest);
	for (size_t at = 0; at < HAK_EXTENT; at += HAK_SLICE) {
		const struct hak_slice *g = hak_slice(e->base + at);

		/* slab.c sets those of this process's slabs */
		if (e->kind == HAK_EXTENT_SLABS && hak_slice_kind(g) == HAK_SLAB)
			continue;
		CHECK(hak_slice_kind(g) == (e->kind == HAK_EXTENT_RUNS ? HAK_RUNS : HAK_FOREIGN),
		      "kind %u of a slice", hak_slice_kind(g));
		CHECK(e->kind != HAK_EXTENT_RUNS || atomic_load(&g->word) == e, "another's slice");
	}
	hak_extent_check(e);
}

static void check_all(void)
{
	unsigned int n = 0, listed = 0, models_n = 0, nfree = 0;
	uint64_t dirty = 0, clean = 0;

	for (const struct hak_extent *e = hak_extents.all; e; e = e->all_next, n++) {
		check_extent(e);
		CHECK(!e->all_next || e->all_next->all_prev == e, "list of all");
		dirty += e->dirty_units * HAK_UNIT;
		clean += (HAK_EXTENT_UNITS - e->used_units - e->dirty_units) * HAK_UNIT;
		nfree += e->kind == HAK_EXTENT_FREE;
	}
	for (unsigned int k = 0; k < HAK_EXTENT_KINDS; k++)
		for (unsigned int row = 0; row < HAK_EXTENT_ROWS; row++)
			for (const struct hak_extent *e = hak_extents.row[k][row]; e;
			     e = e->next, listed++) {
				CHECK(e->kind == k && hak_extent_row(e) == row, "in another's row");
				CHECK(e->prev ? e->prev->next == e : hak_extents.row[k][row] == e,
				      "row");
			}
	for (unsigned int i = 0; i < EXTENTS; i++)
		models_n += models[i].base != NULL;
	CHECK(n == models_n && n == listed, "%u extents, %u in rows, %u", n, listed, models_n);
	CHECK(hak_extents.free == nfree, "%u free, %u counted", nfree, hak_extents.free);
#if HAK_CONTROL
	CHECK(hak_proc_read(HAK_C_MEM_DIRTY) == dirty, "%" PRIu64 " dirty", dirty);
	CHECK(hak_proc_read(HAK_C_MEM_CLEAN) == clean, "%" PRIu64 " clean", clean);
	CHECK(hak_proc_read(HAK_C_MEM_MAPPED) == n * HAK_EXTENT, "%u extents", n);
	CHECK(hak_proc_read(HAK_C_SUPERSLABS_FREE) == nfree, "%u free", nfree);
#else
	(void)dirty, (void)clean;
#endif
}

/* The model forgets extents that the module no longer has. */
static void forget_unmapped(void)
{
	for (unsigned int i = 0; i < EXTENTS; i++) {
		const struct hak_extent *e = hak_extents.all;

		while (e && e->base != models[i].base)
			e = e->all_next;
		if (e || !models[i].base)
			continue;
		CHECK(models[i].kind == HAK_EXTENT_FREE && !model_used(&models[i]),
		      "unmapped in use");
		CHECK(!hak_slice_kind(hak_slice(models[i].base)), "slice of what is gone");
		models[i].base = NULL;
	}
}

/* ---- what is done to it ---- */

static uint64_t *word_at(const struct piece *x, unsigned int unit, bool last)
{
	return (uint64_t *)(x->p + unit * HAK_UNIT) + (last ? HAK_UNIT / 8 - 1 : 0);
}

static void take(enum hak_extent_kind kind, unsigned int units, unsigned int align)
{
	struct piece *x = &pieces[pieces_n];
	int row = model_row(kind, units, align);
	unsigned int idle = model_idle(), at;
	bool zero, fresh, model_zero = true;
	struct model *m;

	x->p = hak_units_take(kind, units, align, units * HAK_UNIT, &x->e, &zero, &fresh);
	CHECK(x->p, "no memory");
	x->units = units;
	x->mark = random_word() | 1;
	m = model_of(x->p);
	if (m && m->kind == HAK_EXTENT_FREE) {
		CHECK(row < 0 && !model_used(m), "an empty extent before a used one");
		m->kind = kind;
	} else if (!m) {
		CHECK(row < 0 && !idle, "mapped, with room in row %d and %u idle", row, idle);
		m = model_new(x->e);
	} else {
		CHECK((int)model_used(m) / 32 == row, "row %u, not %d", model_used(m) / 32, row);
		CHECK(!fresh, "an extent in use is called new");
	}
	CHECK(fresh == (row < 0), "new: %d, room in row %d", fresh, row);
	CHECK(m->base == x->e->base && m->kind == kind && x->e->kind == kind, "%u", m->kind);
	CHECK((size_t)(x->p - m->base) % (align * HAK_UNIT) == 0, "not aligned to %u", align);
	at = (unsigned int)((size_t)(x->p - m->base) / HAK_UNIT);
	CHECK(at + units <= HAK_EXTENT_UNITS, "over the end");
	for (unsigned int i = at; i < at + units; i++) {
		CHECK(m->unit[i] < USED, "unit %u is taken: %u", i, m->unit[i]);
		model_zero &= m->unit[i] == CLEAN;
		m->unit[i] = USED;
	}
	CHECK(zero == model_zero, "zero: %d", zero);
	/* units that are not zero all count as touched, as in slab.c and run.c */
	x->touched = zero ? random_below(units + 1) : units;
	for (unsigned int i = 0; i < units; i++) {
		CHECK(!zero || (!*word_at(x, i, false) && !*word_at(x, i, true)), "unit %u", i);
		if (i < x->touched)
			*word_at(x, i, false) = *word_at(x, i, true) = x->mark + i;
	}
	pieces_n++;
	check_extent(x->e);
}

static bool retains(void)
{
	return hak_tun(HAK_T_SUPERSLAB_ENABLE) && hak_tun(HAK_T_SUPERSLAB_RETAIN);
}

static void give(unsigned int which)
{
	struct piece x = pieces[which];
	struct model *m = model_of(x.p);
	unsigned int at = (unsigned int)((size_t)(x.p - m->base) / HAK_UNIT);

	pieces[which] = pieces[--pieces_n];
	for (unsigned int i = 0; i < x.touched; i++)
		CHECK(*word_at(&x, i, false) == x.mark + i && *word_at(&x, i, true) == x.mark + i,
		      "unit %u of %u: another's", i, x.units);
	for (unsigned int i = 0; i < x.units; i++)
		m->unit[at + i] = i < x.touched ? YOUNG : CLEAN;
	if (!model_used(m))
		m->kind = HAK_EXTENT_FREE;
	hak_units_give(x.e, x.p, x.units, x.touched);
	if (m->kind == HAK_EXTENT_FREE && !retains())
		forget_unmapped();
	else
		check_extent(x.e);
}

/* The units behind a piece join it exactly if all of them are free. */
static void extend(struct piece *x)
{
	struct model *m = model_of(x->p);
	unsigned int at = (unsigned int)((size_t)(x->p - m->base) / HAK_UNIT) + x->units;
	unsigned int more = 1 + random_below(8);
	bool room = at + more <= HAK_EXTENT_UNITS;

	for (unsigned int i = at; room && i < at + more; i++)
		room = m->unit[i] < USED;
	CHECK(hak_units_extend(x->e, x->p, x->units, more) == room, "unit %u, %u more", at, more);
	if (room) {
		memset(m->unit + at, USED, more);
		x->units += more;
		for (unsigned int i = x->touched; i < x->units; i++)
			*word_at(x, i, false) = *word_at(x, i, true) = x->mark + i;
		x->touched = x->units;
	}
	check_extent(x->e);
}

/* The first half of a purge by age: holds up to a batch of units that are dirty and not young. */
static void begin_purge(void)
{
	held_n = collect(held, 0);
	for (unsigned int i = 0; i < held_n; i++) {
		struct model *m = model_of(held[i].e->base);

		for (unsigned int k = held[i].at; k < held[i].at + held[i].units; k++) {
			CHECK(m->unit[k] == DIRTY, "unit %u: %u", k, m->unit[k]);
			m->unit[k] = HELD;
		}
	}
	if (held_n == BATCH)
		return;
	for (unsigned int i = 0; i < EXTENTS; i++)
		CHECK(!models[i].base || !model_count(&models[i], DIRTY), "left behind");
}

static void end_purge(void)
{
	give_pages(held, held_n);
	for (unsigned int i = 0; i < held_n; i++) {
		struct model *m = model_of(held[i].e->base);

		memset(m->unit + held[i].at, CLEAN, held[i].units);
		if (!model_used(m))
			m->kind = HAK_EXTENT_FREE;
	}
	held_n = 0;
}

static void grow_old(void)
{
	make_old();
	for (unsigned int i = 0; i < EXTENTS; i++)
		for (unsigned int k = 0; k < HAK_EXTENT_UNITS; k++)
			if (models[i].unit[k] == YOUNG)
				models[i].unit[k] = DIRTY;
}

static void purge_whole(bool all, bool unmap)
{
	hak_lock(HAK_LOCK_PURGE);
	hak_extent_purge(all, unmap, hak_os_now_ms(), 0);
	hak_unlock(HAK_LOCK_PURGE);
	for (unsigned int i = 0; i < EXTENTS; i++)
		for (unsigned int k = 0; k < HAK_EXTENT_UNITS; k++) {
			uint8_t *u = &models[i].unit[k];

			if (*u == DIRTY || (*u == YOUNG && all))
				*u = CLEAN;
			else if (*u == YOUNG)
				*u = DIRTY;
		}
	forget_unmapped();
	CHECK(!unmap || !model_idle(), "%u left mapped", model_idle());
	CHECK(model_idle() <= hak_tun(HAK_T_SUPERSLAB_RETAIN), "%u retained", model_idle());
}

static void retain(uint64_t n)
{
	atomic_store(&hak_tun_values[HAK_T_SUPERSLAB_RETAIN], n);
	hak_extent_tuned();
	forget_unmapped();
	CHECK(model_idle() <= n, "%u retained, not %" PRIu64, model_idle(), n);
}

static void take_some(void)
{
	static const unsigned int aligns[] = { 1, 1, 1, 1, 2, 16, 64, 256 };
	unsigned int align = aligns[random_below(8)];
	unsigned int units = 1 + random_below(random_below(4) ? 40 : 300);

	if (align > 1)
		units = (units + align - 1) & ~(align - 1);
	if (random_below(3))
		take(HAK_EXTENT_RUNS, units, align);
	else
		take(HAK_EXTENT_SLABS, HAK_SLAB_UNITS, HAK_SLAB_UNITS);
}

static void step(unsigned int i)
{
	/* alternates between few pieces and many */
	unsigned int want = (i / 2500) % 2 ? 10 : PIECES / 3;
	unsigned int what = random_below(100);

	if (what < 10) {
		if (pieces_n)
			extend(&pieces[random_below(pieces_n)]);
	} else if (what < 90) {
		if (pieces_n && (pieces_n >= PIECES || random_below(2 * want) < pieces_n))
			give(random_below(pieces_n));
		else
			take_some();
	} else if (what < 96) {
		if (held_n)
			end_purge();
		else
			begin_purge();
	} else if (what < 98) {
		grow_old();
	} else if (!held_n && what == 98 && !random_below(4)) {
		purge_whole(random_below(2), random_below(2));
	} else if (!random_below(4)) {
		retain(random_below(2) ? 4 : random_below(3));
	}
}

/* Counts the bits of every range one by one. */
static void bits_are_found(void)
{
	uint64_t map[HAK_EXTENT_WORDS];
	uint8_t naive[HAK_EXTENT_UNITS];

	for (unsigned int round = 0; round < 2000; round++) {
		unsigned int at = random_below(HAK_EXTENT_UNITS), were = 0;
		unsigned int n = random_below(HAK_EXTENT_UNITS - at + 1), i;

		for (i = 0; i < HAK_EXTENT_WORDS; i++) {
			map[i] = round % 3 == 0 ? 0 : round % 3 == 1 ? ~(uint64_t)0 : random_word();
			if (!random_below(4))
				map[i] = 0;
		}
		for (i = 0; i < HAK_EXTENT_UNITS; i++)
			naive[i] = hak_unitmap_bit(map, i);
		if (random_below(2)) {
			hak_unitmap_set(map, at, n);
			memset(naive + at, 1, n);
		} else {
			for (i = at; i < at + n; i++)
				were += naive[i];
			CHECK(hak_unitmap_clear(map, at, n) == were, "[%u, +%u)", at, n);
			memset(naive + at, 0, n);
		}
		for (i = 0; i < HAK_EXTENT_UNITS; i++)
			CHECK(hak_unitmap_bit(map, i) == naive[i], "bit %u of [%u, +%u)", i, at, n);
		for (i = at; i < HAK_EXTENT_UNITS && naive[i]; i++)
			;
		CHECK(hak_unitmap_next_clear(map, at) == i, "%u: %u, not %u", at,
		      hak_unitmap_next_clear(map, at), i);
		for (i = at; i < HAK_EXTENT_UNITS && !naive[i]; i++)
			;
		CHECK(hak_unitmap_next_set(map, at) == i, "%u: %u, not %u", at,
		      hak_unitmap_next_set(map, at), i);
		if (naive[at])
			continue;
		for (i = at; i && !naive[i - 1]; i--)
			;
		CHECK(hak_unitmap_first_clear(map, at) == i, "%u: %u, not %u", at,
		      hak_unitmap_first_clear(map, at), i);
	}
}

/* Notes the extents that this process uses itself. */
static void look_at_own(void)
{
	for (const struct hak_extent *e = hak_extents.all; e; e = e->all_next) {
		struct model *m = model_new(e);

		for (unsigned int i = 0; i < HAK_EXTENT_UNITS; i++)
			m->unit[i] = hak_unitmap_bit(e->used, i)    ? USED
				     : hak_unitmap_bit(e->young, i) ? YOUNG
				     : hak_unitmap_bit(e->dirty, i) ? DIRTY
								    : CLEAN;
	}
}

static void as_the_model_says(void)
{
	look_at_own();
	check_all();
	for (unsigned int i = 0; i < STEPS; i++) {
		step(i);
		if (i % 256 == 0)
			check_all();
	}
	if (held_n)
		end_purge();
	while (pieces_n)
		give(pieces_n - 1);
	purge_whole(true, true);
	check_all();
}

/* Returns the units of a slab, of which only the first is memory, and reads as zeros. */
static char *take_reserved_slab(struct hak_extent **ret)
{
	bool zero, fresh;
	char *p;

	do {
		p = hak_units_take(HAK_EXTENT_SLABS, HAK_SLAB_UNITS, HAK_SLAB_UNITS, HAK_UNIT, ret,
				   &zero, &fresh);
		CHECK(p, "no memory");
	} while (!zero);
	CHECK(!hak_extent_is_whole(*ret), "the extent is mapped whole");
	return p;
}

/* A slab is taken with one dirty unit, of which no other was made memory: none gets dirty. */
static void dirty_units_are_memory(void)
{
	struct hak_extent *e;
	bool zero, fresh;
	unsigned int before;
	char *p;

	p = take_reserved_slab(&e);
	before = e->dirty_units;
	hak_units_give(e, p, HAK_SLAB_UNITS, 1);
	CHECK(e->dirty_units == before + 1, "%u, not %u", e->dirty_units, before + 1);
	CHECK(hak_units_take(HAK_EXTENT_SLABS, HAK_SLAB_UNITS, HAK_SLAB_UNITS, HAK_UNIT, &e, &zero,
			     &fresh) == p &&
		      !zero,
	      "another place");
	hak_units_give(e, p, HAK_SLAB_UNITS, HAK_SLAB_UNITS);
	CHECK(hak_page != HAK_UNIT || e->dirty_units == before + 1, "%u, not %u", e->dirty_units,
	      before + 1);
}

/*
 * Units that cannot be made memory are free again as they were: one that is dirty does not read as
 * zeros later.
 */
static void refused_units_stay_as_they_are(void)
{
	struct rlimit before, none;
	struct hak_extent *e, *other;
	bool zero, fresh;
	uint64_t used;
	unsigned int at;
	char *p;

	p = take_reserved_slab(&e);
	at = (unsigned int)((size_t)(p - e->base) / HAK_UNIT);
	CHECK(getrlimit(RLIMIT_DATA, &before) == 0, "no limit");
	none = (struct rlimit){ HAK_UNIT, before.rlim_max };
	CHECK(setrlimit(RLIMIT_DATA, &none) == 0, "no limit can be set");
	CHECK(!hak_units_extend(e, p, 1, 1), "units in use were taken");
	hak_units_give(e, p, HAK_SLAB_UNITS, 1);
	used = hak_extent_used();
	CHECK(!hak_units_take(HAK_EXTENT_SLABS, HAK_SLAB_UNITS, HAK_SLAB_UNITS, HAK_SLAB_BYTES,
			      &other, &zero, &fresh),
	      "memory in spite of the limit");
	CHECK(setrlimit(RLIMIT_DATA, &before) == 0, "the limit stays");
	CHECK(hak_unitmap_bit(e->dirty, at), "the dirty unit is said to be clean");
	CHECK(hak_extent_used() == used, "%" PRIu64 " bytes used, not %" PRIu64, hak_extent_used(),
	      used);
}

/*
 * The lists begin anew while a purge holds units of one extent and has taken another one off the
 * lists. The first stays out of the new lists, the second joins them.
 */
static void purge_outlives_the_lists(void)
{
	struct hak_extent *e, *other;
	bool zero, fresh;
	char *p, *q;

	p = hak_units_take(HAK_EXTENT_RUNS, 300, 1, 300 * HAK_UNIT, &e, &zero, &fresh);
	q = hak_units_take(HAK_EXTENT_RUNS, 300, 1, 300 * HAK_UNIT, &other, &zero, &fresh);
	CHECK(p && q && e != other, "no memory");
	hak_units_give(other, q, 300, 0);
	CHECK(other->kind == HAK_EXTENT_FREE, "not FREE");
	hak_units_give(e, p + HAK_UNIT, 299, 299);
	make_old();
	held_n = collect(held, 0);
	CHECK(held_n, "nothing is collected");
	hak_lock(HAK_LOCK_EXTENT);
	hak_extent_detach(other);
	hak_unlock(HAK_LOCK_EXTENT);
	hak_extent_abandon();
	give_pages(held, held_n);
	for (unsigned int k = 0; k < HAK_EXTENT_KINDS; k++)
		for (unsigned int row = 0; row < HAK_EXTENT_ROWS; row++)
			EXPECT(!hak_extents.row[k][row], "kind %u, row %u", k, row);
	hak_extent_reattach(other);
	q = hak_units_take(HAK_EXTENT_RUNS, 1, 1, HAK_UNIT, &e, &zero, &fresh);
	EXPECT(e == other, "another extent");
	hak_units_give(other, q, 1, 0);
	EXPECT(other->kind == HAK_EXTENT_FREE && !other->used_units, "%u units lost",
	       other->used_units);
}

#if HAK_DEBUG
/* An extent of runs with one run in use and one cached, one of slabs, and a FREE one. */
static struct hak_extent *runs, *slabs, *empty;
static unsigned int run_at; /* the unit where the cached run begins; five units on, the used one */

static void three_extents(void)
{
	enum { UNITS = 5, CLS = HAK_SLAB_CLASSES + 1 };
	struct hak_extent *e[2];
	bool zero, fresh;
	char *p[3];

	for (unsigned int i = 0; i < 2; i++) {
		p[i] = hak_units_take(HAK_EXTENT_SLABS, HAK_EXTENT_UNITS, HAK_SLAB_UNITS,
				      HAK_EXTENT, &e[i], &zero, &fresh);
		CHECK(p[i], "no memory");
	}
	p[2] = hak_units_take(HAK_EXTENT_RUNS, 2 * UNITS, 1, UNITS * HAK_UNIT, &runs, &zero,
			      &fresh);
	run_at = (unsigned int)((size_t)(p[2] - runs->base) / HAK_UNIT);
	hak_units_give(e[0], p[0], HAK_EXTENT_UNITS, 3);
	empty = e[0];
	slabs = e[1];
	hak_units_give(slabs, p[1], HAK_EXTENT_UNITS / 2, 3);
	runs->start[run_at] = (CLS + 1) | HAK_RUN_CACHED;
	runs->start[run_at + UNITS] = CLS + 1;
	runs->start[run_at + UNITS + 1] = HAK_RUN_SAMPLED;
	CHECK(hak_class_size(CLS) == UNITS * HAK_UNIT && runs != slabs && runs != empty &&
		      empty->kind == HAK_EXTENT_FREE && slabs->dirty_units,
	      "not as planned");
	hak_extents_check();
}

#define EXTENTS_FIND(text, ...) FINDS(text, hak_extents_check(), __VA_ARGS__)

static void corruption_of_lists_is_found(void)
{
	three_extents();
	EXTENTS_FIND("n == hak_extents.count", hak_extents.count++);
	EXTENTS_FIND("nfree == hak_extents.free", hak_extents.free++);
	EXTENTS_FIND("e->all_prev == before", hak_extents.all->all_next->all_prev = NULL);
	EXTENTS_FIND("listed == n", hak_extent_unlink(slabs));
	EXTENTS_FIND("e->prev == before", slabs->next = slabs);
	EXTENTS_FIND("e->prev == before", slabs->prev = empty);
	EXTENTS_FIND("e->kind == kind && hak_extent_row(e) == row", hak_extent_unlink(slabs);
		     slabs->used_units += 32; hak_extent_link(slabs); slabs->used_units -= 32);
	EXTENTS_FIND("hak_extent_row(e) == HAK_EXTENT_ROWS - 1 || ",
		     hak_extents.longest[HAK_EXTENT_SLABS][hak_extent_row(slabs)] = 0);
	EXTENTS_FIND("e->life == hak_extents.life", slabs->life++);
	hak_extents_check();
}

static void corruption_of_extents_is_found(void)
{
	three_extents();
	EXTENTS_FIND("e->base && ", slabs->base += HAK_UNIT);
	EXTENTS_FIND("e->kind < HAK_EXTENT_KINDS", slabs->kind = HAK_EXTENT_KINDS);
	EXTENTS_FIND("e->used_units == count_bits(e->used)", slabs->used_units++);
	EXTENTS_FIND("e->dirty_units == count_bits(e->dirty)", slabs->dirty_units++);
	EXTENTS_FIND("!(e->dirty[w] & e->used[w])", slabs->used[0] |= 1; slabs->used_units++);
	EXTENTS_FIND("!(e->young[w] & ~e->dirty[w])", slabs->young[0] |= 8);
	EXTENTS_FIND("!(e->dirty[w] & ~hak_extent_made(e, w))", hak_extent_set_whole(slabs, false);
		     memset(slabs->made, 0, sizeof(slabs->made)));
	EXTENTS_FIND("e->longest <= HAK_EXTENT_UNITS", slabs->longest = HAK_EXTENT_UNITS + 1);
	EXTENTS_FIND("end - i <= e->longest || ", hak_extent_set_whole(slabs, true);
		     slabs->longest = 1);
	EXTENTS_FIND("kind == HAK_RUNS", hak_slice_clear(hak_slice_ours(runs->base + HAK_SLICE)));
	EXTENTS_FIND("atomic_load_explicit(&g[i].word",
		     hak_slice_set(hak_slice_ours(runs->base), HAK_RUNS, slabs));
	EXTENTS_FIND("kind == HAK_SLAB || kind == HAK_FOREIGN",
		     hak_slice_set(hak_slice_ours(slabs->base), HAK_WHALE, NULL));
	EXTENTS_FIND("kind == HAK_FOREIGN",
		     hak_slice_set(hak_slice_ours(empty->base), HAK_SLAB, NULL));
	hak_extents_check();
}

static void corruption_of_starts_is_found(void)
{
	uint8_t *start;

	three_extents();
	start = &runs->start[run_at];
	EXTENTS_FIND("e->kind == HAK_EXTENT_RUNS", slabs->start[3] = HAK_SLAB_CLASSES + 1);
	EXTENTS_FIND("cls < HAK_CLASSES", start[0] = HAK_CLASSES + 1);
	EXTENTS_FIND("cls < HAK_CLASSES", start[0] = 0; start[1] = HAK_RUN_SAMPLED);
	EXTENTS_FIND("cls >= HAK_SLAB_CLASSES || ", start[0] = 1 | HAK_RUN_CACHED);
	EXTENTS_FIND("hak_unitmap_next_clear(e->used, i) >= i + units", start[0] = HAK_CLASSES);
	EXTENTS_FIND("!start_at(e, k) || ", start[2] = HAK_RUN_SAMPLED);
	EXTENTS_FIND("!start_at(e, k) || ", start[1] = start[0]);
	hak_extents_check();
}
#endif

static const struct tcase cases[] = {
	{ "dirty_units_are_memory", dirty_units_are_memory },
	{ "bits_are_found", bits_are_found },
	{ "refused_units_stay_as_they_are", refused_units_stay_as_they_are },
	{ "as_the_model_says", as_the_model_says },
	{ "purge_outlives_the_lists", purge_outlives_the_lists },
#if HAK_DEBUG
	{ "corruption_of_lists_is_found", corruption_of_lists_is_found },
	{ "corruption_of_extents_is_found", corruption_of_extents_is_found },
	{ "corruption_of_starts_is_found", corruption_of_starts_is_found },
#endif
};

CASES(cases)
