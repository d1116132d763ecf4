/* SPDX-License-Identifier: MIT */
/*
 * How many bytes of free memory may stay dirty: as many as the program is seen to want again.
 *
 * Free dirty memory beyond an allowance goes back to the kernel at once (purge.h, rcache.h). The
 * allowance remembers those bytes as gone for one to two epochs of the purge clock. A program that
 * takes memory without pages meanwhile would have been served by them, so the allowance grows by
 * the bytes taken. The kernel's mm/workingset.c judges refaults in this way. Bytes that were dirty
 * all through an epoch served no allocation, and half of them leave the allowance after the epoch.
 *
 * So a program that frees all it had and sleeps keeps HAK_ALLOWANCE_LEAST bytes, and one that needs
 * its memory again pays for taking it twice, and then keeps it.
 *
 * The lock of the memory guards an allowance: HAK_LOCK_EXTENT that of units, HAK_LOCK_RCACHE that
 * of regions. `bytes` is also read without the lock.
 */
#ifndef HAK_ALLOWANCE_H
#define HAK_ALLOWANCE_H

#include <stdatomic.h>

#include "base/hak.h"
#include "epoch.h"
#include "system/room.h"

#define HAK_ALLOWANCE_LEAST HAK_ROOM_FIRST

struct hak_allowance {
	_Atomic uint64_t bytes;
	uint64_t low; /* the fewest dirty bytes in this epoch */
	uint64_t gone,
		gone_before; /* in this epoch and the one before, and not wanted again since */
	uint32_t epoch;
};

#define HAK_ALLOWANCE_INIT                   \
	{                                    \
		.bytes = HAK_ALLOWANCE_LEAST \
	}

extern HAK_HIDDEN struct hak_allowance hak_allowance_units, hak_allowance_regions;

static inline uint64_t hak_allowance(const struct hak_allowance *a)
{
	return atomic_load_explicit(&a->bytes, memory_order_relaxed);
}

/* Ends the epoch of the allowance if the clock's has ended. `dirty`: bytes before the change. */
void hak_allowance_roll(struct hak_allowance *a, uint64_t dirty);
static inline void hak_allowance_given(struct hak_allowance *a, uint64_t dirty)
{
	if (hak_unlikely(a->epoch != hak_purge_epoch()))
		hak_allowance_roll(a, dirty);
}

/*
 * Called when memory is taken, of which `clean` bytes had no pages: `dirty` bytes are left of
 * `before`. The allowance grows to `most` at most.
 */
void hak_allowance_taken(struct hak_allowance *a, uint64_t before, uint64_t dirty, uint64_t clean,
			 uint64_t most);
/* Called when dirty memory beyond the allowance went back. */
void hak_allowance_gone(struct hak_allowance *a, uint64_t dirty, uint64_t bytes);

/* Counts both allowances as they begin. */
void hak_allowance_start(void);

#if HAK_DEBUG
void hak_allowance_check(const struct hak_allowance *a);
#else
static inline void hak_allowance_check(const struct hak_allowance *a)
{
	(void)a;
}
#endif

#endif
