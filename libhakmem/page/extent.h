/* SPDX-License-Identifier: MIT */
/*
 * Extents: 2 MiB, 2 MiB-aligned pieces of address space in which slabs and page runs live. Never
 * both in one: an extent of slabs is a superslab. Here: the structure, the lists, and how an extent
 * is mapped and unmapped. units.h hands units (4 KiB) out, clean.h gives the pages of free ones
 * back. None of them knows of blocks or threads.
 *
 * An extent is mapped whole, or only reserved, and its units are made memory as they are needed:
 * the first extents of a process, of which a small program uses little, and those for which the
 * kernel has no 2 MiB left (RLIMIT_MEMLOCK under mlockall, RLIMIT_DATA). A FREE extent that is kept
 * for long becomes a reservation again, so that nobody is charged for it (Committed_AS,
 * RLIMIT_DATA): `whole` and `made` are cleared only then, while it has no unit in use and is on no
 * list.
 *
 * Everything in struct hak_extent is guarded by HAK_LOCK_EXTENT, but for start[], whole and made.
 * No system call is made under the lock: units to be given back are marked used, the lock dropped,
 * madvise called, the units marked free and clean.
 *
 * Invariants (checked by hak_extent_check in debug builds):
 *   dirty & used == 0 and young & ~dirty == 0; used_units = popcount(used); dirty_units =
 *   popcount(dirty); a dirty unit is memory; a free unit that is not dirty is reserved or reads as
 *   zeros; an extent is on the list of its kind and fill, or FREE and on the free list.
 */
#ifndef HAK_EXTENT_H
#define HAK_EXTENT_H

#include <stdatomic.h>

#include "base/hak.h"
#include "unitmap.h"

enum hak_extent_kind { HAK_EXTENT_FREE, HAK_EXTENT_SLABS, HAK_EXTENT_RUNS, HAK_EXTENT_KINDS };

struct hak_extent {
	char *base;
	struct hak_extent *prev, *next;		/* list of kind and fill */
	struct hak_extent *all_prev, *all_next; /* every extent */
	uint8_t kind;
	bool thp;     /* advised for huge pages */
	uint8_t life; /* see hak_extent_abandon() */
	uint16_t used_units, dirty_units;
	uint16_t longest;   /* upper bound of the longest hole, in units */
	_Atomic bool whole; /* all of it is memory */
	uint64_t free_ms;   /* when it became FREE */
	uint64_t used[HAK_EXTENT_WORDS];
	uint64_t dirty[HAK_EXTENT_WORDS]; /* free, may have pages that are not zero */
	uint64_t young[HAK_EXTENT_WORDS]; /* dirty since the last tick of the purge clock */
	uint64_t made[HAK_EXTENT_WORDS];  /* are memory; not kept if `whole`; HAK_LOCK_META */
	/*
	 * RUNS: class + 1 at the first unit of each run, HAK_RUN_CACHED added while it lies in a
	 * thread cache; HAK_RUN_SAMPLED at the second unit of one that is sampled (run.h); else 0.
	 * Written by whoever holds the run (a byte each), read by free.
	 */
	uint8_t start[HAK_EXTENT_UNITS];
};
#define HAK_RUN_CACHED 0x80

/* ---- units that are memory ---- */

bool hak_extent_make_slow(struct hak_extent *e, const char *p, size_t bytes);

/* Makes memory of what was taken, unless it is. False: none left. Takes HAK_LOCK_META. */
static inline bool hak_extent_make(struct hak_extent *e, const char *p, size_t bytes)
{
	/* acquire: pairs with the release in make_units() */
	return hak_likely(atomic_load_explicit(&e->whole, memory_order_acquire)) ||
	       hak_extent_make_slow(e, p, bytes);
}
/* ---- for units.c and clean.c ---- */

/*
 * Extents by fill: [units used / 32]; the last row holds the full ones, which are never searched.
 */
#define HAK_EXTENT_ROWS (HAK_EXTENT_UNITS / 32 + 1)

/* HAK_LOCK_EXTENT */
extern HAK_HIDDEN struct hak_extents {
	struct hak_extent *row[HAK_EXTENT_KINDS][HAK_EXTENT_ROWS];
	/* no extent of the row has a longer hole: most rows need not be walked */
	uint16_t longest[HAK_EXTENT_KINDS][HAK_EXTENT_ROWS];
	struct hak_extent *all;
	unsigned int count; /* also read without the lock */
	unsigned int free;
	uint8_t life; /* of all these lists; extents of an earlier one are in none */
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

/* Nothing of it is memory. Only for extents with no unit in use: nobody makes any then. */
static inline bool hak_extent_is_reserved(const struct hak_extent *e)
{
	return !hak_extent_is_whole(e) && hak_unitmap_next_set(e->made, 0) == HAK_EXTENT_UNITS;
}

/* HAK_LOCK_EXTENT held: the extent is of the kind from now on, the counters as well. */
void hak_extent_set_kind(struct hak_extent *e, enum hak_extent_kind kind);
void hak_extent_count(const struct hak_extent *e, int n);
/* Slices of an extent of runs name the extent; those of a superslab are set slab by slab. */
void hak_extent_mark(struct hak_extent *e, enum hak_extent_kind kind);
/* Takes the extent off all lists, for a system call. HAK_LOCK_EXTENT held. */
void hak_extent_detach(struct hak_extent *e);
/* On all lists, of the kind. HAK_LOCK_EXTENT held. */
void hak_extent_attach(struct hak_extent *e, enum hak_extent_kind kind);
/* FREE and on all lists again. No lock held. */
void hak_extent_reattach(struct hak_extent *e);

/* A new extent, on no list; NULL: no memory. No lock held. */
struct hak_extent *hak_extent_map(void);
/*
 * `e` is on no list any more. munmap may refuse (max_map_count): then its pages are given back and
 * it is kept. No lock held.
 */
bool hak_extent_unmap(struct hak_extent *e);
/*
 * Of a reserved extent, on no list any more, the whole becomes memory, where a new one would be
 * mapped whole. Refused, it is made piece by piece. No lock held.
 */
void hak_extent_reopen(struct hak_extent *e);

/* How many FREE extents are kept however old they are. */
unsigned int hak_extent_most_free(void);

/*
 * In a copy of the process made without fork handlers while another thread held HAK_LOCK_EXTENT:
 * the lists may be half changed. Extents there are now are in no list from here on, their blocks
 * stay usable, and what is given back to them is lost.
 */
void hak_extent_abandon(void);

void hak_extent_check(const struct hak_extent *e);

#endif
