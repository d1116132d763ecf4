/* SPDX-License-Identifier: MIT */
/*
 * Extents: 2 MiB, 2 MiB-aligned pieces of address space in which slabs and page runs live. Never
 * both in one: an extent of slabs is a superslab. This module maps extents, hands out units (4 KiB)
 * of them, remembers which free units may have pages behind them, gives those pages back and unmaps
 * empty extents. It knows nothing of blocks or threads.
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

#include "base/class.h"
#include "base/hak.h"
#include "system/os.h"

#define HAK_EXTENT_UNITS (HAK_EXTENT / HAK_UNIT) /* 512 */
#define HAK_EXTENT_WORDS (HAK_EXTENT_UNITS / 64)
#define HAK_SLAB_UNITS	 (HAK_SLAB_BYTES / HAK_UNIT) /* 16 */

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

/*
 * Takes `units` adjacent units aligned to `align` units from an extent of the kind, the fullest
 * that has room, mapping a new one if none has. NULL: no memory. The first `bytes` of them are
 * memory, the rest needs hak_extent_make(). *ret_zero: all read as zeros. *ret_new: an extent was
 * mapped or revived.
 */
char *hak_extent_take(enum hak_extent_kind kind, unsigned int units, unsigned int align,
		      size_t bytes, struct hak_extent **ret, bool *ret_zero, bool *ret_new);
bool hak_extent_make_slow(struct hak_extent *e, const char *p, size_t bytes);

/* Makes memory of what was taken, unless it is. False: none left. Takes HAK_LOCK_META. */
static inline bool hak_extent_make(struct hak_extent *e, const char *p, size_t bytes)
{
	/* acquire: pairs with the release in make_units() */
	return hak_likely(atomic_load_explicit(&e->whole, memory_order_acquire)) ||
	       hak_extent_make_slow(e, p, bytes);
}
/*
 * Gives units back; the first `touched` units of them may have pages. An emptied extent becomes
 * FREE or is unmapped.
 */
void hak_extent_give(struct hak_extent *e, char *p, unsigned int units, unsigned int touched);

/*
 * Gives pages of free units back to the kernel. all = false: those dirty since before the last call
 * with all = false; extents FREE for longer than `age_ms` beyond superslab.retain are unmapped, the
 * others reserved (the kernel charges nobody for them). all = true: every dirty unit; with
 * `unmap` every FREE extent is unmapped too. Returns bytes given back. HAK_LOCK_PURGE held, no
 * other.
 */
uint64_t hak_extent_purge(bool all, bool unmap, uint64_t now_ms, uint64_t age_ms);

/* superslab.enable, superslab.retain or a limit on the process (room.h) changed. */
void hak_extent_tuned(void);

/*
 * In a copy of the process made without fork handlers while another thread held HAK_LOCK_EXTENT:
 * the lists may be half changed. Extents there are now are in no list from here on, their blocks
 * stay usable, and what is given back to them is lost.
 */
void hak_extent_abandon(void);

void hak_extent_check(const struct hak_extent *e);

#endif
