/* SPDX-License-Identifier: MIT */
/*
 * Extents: 2 MiB, 2 MiB-aligned pieces of address space in which slabs and runs live, never both in
 * one extent. An extent of slabs is a superslab. This module has the structure and the lists, and
 * maps and unmaps extents. units.h hands units (4 KiB) out, clean.h gives the pages of free units
 * back. None of them knows of blocks or threads.
 *
 * An extent is either mapped whole, or reserved, and then its units are made memory as they are
 * needed. The latter holds for the first extents of a process, of which a small program uses
 * little, and for extents for which the kernel has no 2 MiB left (RLIMIT_MEMLOCK under mlockall,
 * RLIMIT_DATA). A FREE extent that is kept for long becomes a reservation again, so that the kernel
 * does not charge for it (Committed_AS, RLIMIT_DATA). `whole` and `made` are cleared only then,
 * while the extent has no unit in use and is on no list.
 *
 * HAK_LOCK_EXTENT guards everything in struct hak_extent, except start[], whole and made. No system
 * call is made under the lock: units to be given back are marked used, the lock is dropped, madvise
 * is called, and the units are marked free and clean.
 *
 * Invariants, which hak_extents_check() asserts:
 *   dirty & used == 0 and young & ~dirty == 0; used_units = popcount(used); dirty_units =
 *   popcount(dirty); a dirty unit is memory; a free unit that is not dirty is reserved or reads as
 *   zeros, which the unit test looks at; an extent is on the list of all, and on the list of its
 *   kind and fill; units of a FREE extent are used only while a purger holds them; start[] is 0 at
 *   free units, and everywhere in an extent that is not of runs; the slices of an extent of runs
 *   name the extent, those of a FREE one are foreign.
 */
#ifndef HAK_EXTENT_H
#define HAK_EXTENT_H

#include <stdatomic.h>

#include "base/hak.h"
#include "base/lock.h"
#include "base/values.h"
#include "unitmap.h"

enum hak_extent_kind { HAK_EXTENT_FREE, HAK_EXTENT_SLABS, HAK_EXTENT_RUNS, HAK_EXTENT_KINDS };

struct hak_extent {
	char *base;
	struct hak_extent *prev, *next;		/* list of kind and fill */
	struct hak_extent *all_prev, *all_next; /* list of all extents */
	uint8_t kind;
	uint8_t thp;  /* enum hak_thp_advice */
	uint8_t life; /* of the lists that it is on or was on: see hak_extent_abandon() */
	uint16_t used_units, dirty_units;
	/*
	 * no longer gap is looked for, in units: an upper bound, but where gaps could not be made
	 * memory
	 */
	uint16_t longest;
	_Atomic bool whole; /* all of it is memory */
	uint64_t free_ms;   /* FREE: since when */
	uint64_t used[HAK_EXTENT_WORDS];
	uint64_t dirty[HAK_EXTENT_WORDS]; /* free, and may have pages that are not zero */
	uint64_t young[HAK_EXTENT_WORDS]; /* dirty since the last tick of the purge clock */
	uint64_t made[HAK_EXTENT_WORDS];  /* are memory; unused if `whole`; HAK_LOCK_META */
	/*
	 * RUNS: class + 1 at the first unit of each run, with HAK_RUN_CACHED added while the run
	 * lies in a thread cache; HAK_RUN_SAMPLED at the second unit of a sampled run (run.h);
	 * otherwise 0. The holder of the run writes these bytes, free reads them.
	 */
	uint8_t start[HAK_EXTENT_UNITS];
};
#define HAK_RUN_CACHED	0x80
#define HAK_RUN_SAMPLED HAK_RUN_CACHED /* no class: no block is taken to begin there */

/* ---- units that are memory ---- */

bool hak_extent_make_slow(struct hak_extent *e, const char *p, size_t bytes);

/*
 * Returns a word of the map of units that are memory. For units that the caller holds, or that were
 * given back, all bits are set: the threads that made them memory passed them on under
 * HAK_LOCK_EXTENT.
 */
static inline uint64_t hak_extent_made(const struct hak_extent *e, unsigned int word)
{
	if (atomic_load_explicit(&e->whole, memory_order_relaxed))
		return ~(uint64_t)0;
	/* relaxed: make_units() changes other bits meanwhile */
	return __atomic_load_n(&e->made[word], __ATOMIC_RELAXED);
}

/*
 * Makes units that were taken memory, unless they are. Returns false: no memory left. Takes
 * HAK_LOCK_META.
 */
static inline bool hak_extent_make(struct hak_extent *e, const char *p, size_t bytes)
{
	/* acquire: pairs with the release in make_units() */
	return hak_likely(atomic_load_explicit(&e->whole, memory_order_acquire)) ||
	       hak_extent_make_slow(e, p, bytes);
}
/* ---- for units.c and clean.c ---- */

/*
 * The rows of extents by fill, [units used / 32]. The last row holds full extents, which are never
 * searched.
 */
#define HAK_EXTENT_ROWS (HAK_EXTENT_UNITS / 32 + 1)

/* HAK_LOCK_EXTENT */
extern HAK_HIDDEN struct hak_extents {
	struct hak_extent *row[HAK_EXTENT_KINDS][HAK_EXTENT_ROWS];
	/* not less than that of any extent of the row: most rows need not be walked */
	uint16_t longest[HAK_EXTENT_KINDS][HAK_EXTENT_ROWS];
	struct hak_extent *all;
	unsigned int count; /* of the list of all; also read without the lock */
	unsigned int free;  /* of the kind FREE */
	uint8_t life;	    /* of all these lists; those of an earlier one are void */
} hak_extents;

static inline unsigned int hak_extent_row(const struct hak_extent *e)
{
	return e->used_units / 32;
}

static inline void hak_extent_unlink(struct hak_extent *e)
{
	if (e->prev)
		e->prev->next = e->next;
	else
		hak_extents.row[e->kind][hak_extent_row(e)] = e->next;
	if (e->next)
		e->next->prev = e->prev;
}

static inline void hak_extent_link(struct hak_extent *e)
{
	struct hak_extent **head = &hak_extents.row[e->kind][hak_extent_row(e)];

	e->prev = NULL;
	e->next = *head;
	if (*head)
		(*head)->prev = e;
	*head = e;
	if (e->longest > hak_extents.longest[e->kind][hak_extent_row(e)])
		hak_extents.longest[e->kind][hak_extent_row(e)] = e->longest;
}

static inline bool hak_extent_is_whole(const struct hak_extent *e)
{
	return atomic_load_explicit(&e->whole, memory_order_relaxed);
}

static inline void hak_extent_set_whole(struct hak_extent *e, bool whole)
{
	atomic_store_explicit(&e->whole, whole, memory_order_relaxed);
}

/*
 * Returns whether no part of the extent is memory. Only for extents with no unit in use, of which
 * no thread makes units.
 */
static inline bool hak_extent_is_reserved(const struct hak_extent *e)
{
	return !hak_extent_is_whole(e) && hak_unitmap_next_set(e->made, 0) == HAK_EXTENT_UNITS;
}

/*
 * Bytes of units in use, and of free units that may have pages (counted in MEM_DIRTY too). Read
 * without a lock; written where units change hands.
 */
extern HAK_HIDDEN struct hak_extent_bytes {
	_Atomic uint64_t used, dirty;
} hak_extent_bytes;

static inline uint64_t hak_extent_dirty(void)
{
	return atomic_load_explicit(&hak_extent_bytes.dirty, memory_order_relaxed);
}

static inline uint64_t hak_extent_used(void)
{
	return atomic_load_explicit(&hak_extent_bytes.used, memory_order_relaxed);
}

void hak_extent_count_used(int64_t units);
void hak_extent_count_dirty(int64_t units);

/* Sets the kind of the extent, and the counters. HAK_LOCK_EXTENT held. */
void hak_extent_set_kind(struct hak_extent *e, enum hak_extent_kind kind);
/* Stores the advice, and counts superslabs for huge pages. HAK_LOCK_EXTENT held. */
void hak_extent_set_thp(struct hak_extent *e, enum hak_thp_advice advice);
void hak_extent_count(const struct hak_extent *e, int n);
/*
 * Makes the slices of an extent of runs name the extent. Those of a superslab are set slab by slab.
 */
void hak_extent_mark(struct hak_extent *e, enum hak_extent_kind kind);
/* Takes the extent off all lists, for a system call. HAK_LOCK_EXTENT held. */
void hak_extent_detach(struct hak_extent *e);
/* Puts the extent on all lists of the kind. HAK_LOCK_EXTENT held. */
void hak_extent_attach(struct hak_extent *e, enum hak_extent_kind kind);
/* Makes the extent FREE and puts it on all lists again. No lock held. */
void hak_extent_reattach(struct hak_extent *e);

/* Returns a new extent, on no list; NULL: no memory. No lock held. */
struct hak_extent *hak_extent_map(void);
/*
 * `e` is on no list any more. munmap may refuse (max_map_count); then the pages of the extent are
 * given back and the extent is kept. No lock held.
 */
bool hak_extent_unmap(struct hak_extent *e);
/*
 * Makes the whole of a reserved extent memory, where a new extent would be mapped whole. The extent
 * is on no list any more. If the kernel refuses, the extent is made piece by piece. No lock held.
 */
void hak_extent_reopen(struct hak_extent *e);

/* Returns how many FREE extents are kept at any age. */
unsigned int hak_extent_most_free(void);

/*
 * For a copy of the process made without fork handlers while another thread held HAK_LOCK_EXTENT:
 * the lists may be half changed. Existing extents are in no list from here on. Their blocks stay
 * usable, but what is given back to them is lost.
 */
void hak_extent_abandon(void);

/* HAK_LOCK_EXTENT held, or all threads stopped. */
#if HAK_DEBUG
void hak_extent_check(const struct hak_extent *e);
void hak_extents_check(void); /* the lists, and each extent */
#else
static inline void hak_extent_check(const struct hak_extent *e)
{
	(void)e;
}

static inline void hak_extents_check(void)
{
}
#endif

/* Releases HAK_LOCK_EXTENT. With many extents not every change causes a walk. */
static inline void hak_extents_leave(void)
{
	static uint32_t leaves;

	if (hak_check_due(&leaves, 1 + hak_extents.count))
		hak_extents_check();
	hak_unlock(HAK_LOCK_EXTENT);
}

#endif
