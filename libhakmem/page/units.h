/* SPDX-License-Identifier: MIT */
/*
 * Takes units (4 KiB) of extents for slabs and runs, and gives them back. No system call is made
 * under HAK_LOCK_EXTENT: an extent to be unmapped leaves the lists first.
 */
#ifndef HAK_UNITS_H
#define HAK_UNITS_H

#include "extent.h"

/*
 * Takes `units` adjacent units, aligned to `align` units, from the fullest extent of the kind that
 * has room, or maps a new extent if none has. Returns NULL: no memory. The first `bytes` of the
 * units are memory, the rest needs hak_extent_make(). *ret_zero: all units read as zeros. *ret_new:
 * an extent was mapped or revived.
 */
char *hak_units_take(enum hak_extent_kind kind, unsigned int units, unsigned int align,
		     size_t bytes, struct hak_extent **ret, bool *ret_zero, bool *ret_new);

/*
 * Takes the `more` units that follow the `units` in use at `p`. Returns false, with nothing
 * changed: they are not free, or no memory is left.
 */
bool hak_units_extend(struct hak_extent *e, const char *p, unsigned int units, unsigned int more);

/*
 * Gives units back; the first `touched` of them may have pages. An emptied extent becomes FREE or
 * is unmapped.
 */
void hak_units_give(struct hak_extent *e, char *p, unsigned int units, unsigned int touched);

/* Returns what the allowance of units may become, without a limit of control groups. */
uint64_t hak_units_most_allowed(void);
/* Called when dirty units beyond the allowance went back. No lock held. */
void hak_units_exceeded(uint64_t bytes);

/* ---- for clean.c ---- */

struct hak_units {
	struct hak_extent *e;
	uint16_t at, units;
};

/*
 * Frees units that were marked used, in whole pages; those of an extent of earlier lists are lost.
 * HAK_LOCK_EXTENT held.
 */
void hak_units_put_back(const struct hak_units *r, bool clean);

#endif
