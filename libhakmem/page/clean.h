/* SPDX-License-Identifier: MIT */
/*
 * Gives pages of free units, and extents without a unit in use, back to the kernel. Units to be
 * given back are marked used, the lock is dropped, madvise is called, and the units are marked free
 * and clean.
 */
#ifndef HAK_CLEAN_H
#define HAK_CLEAN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Gives pages of free units back to the kernel. With all = false these are units that have been
 * dirty since before the last call with all = false; FREE extents older than `age_ms` are unmapped
 * beyond superslab.retain, the others are reserved (the kernel does not charge for a reservation).
 * With all = true every dirty unit goes; with `unmap` every FREE extent is unmapped too. Returns
 * the bytes given back. HAK_LOCK_PURGE held, no other.
 */
uint64_t hak_extent_purge(bool all, bool unmap, uint64_t now_ms, uint64_t age_ms);

/*
 * Gives memory back until at most `least` bytes of free units are dirty: first FREE extents beyond
 * superslab.retain, then units of earlier epochs, then the others. Returns the bytes given back.
 * HAK_LOCK_PURGE held, no other.
 */
uint64_t hak_extent_shrink(uint64_t least, uint64_t now_ms);

/* Called when superslab.enable, superslab.retain or a limit on the process (room.h) changed. */
void hak_extent_tuned(void);

#endif
