/* SPDX-License-Identifier: MIT */
/*
 * Pages of free units, and extents without a unit in use, go back to the kernel. Units to be given
 * back are marked used, the lock dropped, madvise called, the units marked free and clean.
 */
#ifndef HAK_CLEAN_H
#define HAK_CLEAN_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
