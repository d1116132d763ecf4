/* SPDX-License-Identifier: MIT */
/*
 * How much freed memory may be kept where RLIMIT_AS or RLIMIT_DATA is set. Kept memory is missing
 * for the program's own mmap, for thread stacks and for libraries, and the allocator does not see
 * when one of these fails. So it keeps no more than a small share of what the limit leaves beside
 * the blocks in use. The limits are read again regularly, because setrlimit and prlimit may change
 * them from inside or outside. In a sandbox the limits read last apply.
 */
#ifndef HAK_ROOM_H
#define HAK_ROOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hak.h"

/*
 * Bytes that may be kept; UINT64_MAX if there is no limit. Relaxed, because it is a hint as old as
 * the last look.
 */
extern HAK_HIDDEN struct hak_room {
	_Atomic uint64_t address; /* mapped at all (RLIMIT_AS) */
	_Atomic uint64_t data;	  /* mapped and charged for (RLIMIT_DATA as well) */
} hak_room;

static inline uint64_t hak_room_address(void)
{
	return atomic_load_explicit(&hak_room.address, memory_order_relaxed);
}

static inline uint64_t hak_room_data(void)
{
	return atomic_load_explicit(&hak_room.data, memory_order_relaxed);
}

/*
 * Reads the limits. `kept` is the number of bytes that are mapped and not in use. Returns true if
 * there is less room than before.
 */
bool hak_room_look(uint64_t kept);

#endif
