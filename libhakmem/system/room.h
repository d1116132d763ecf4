/* SPDX-License-Identifier: MIT */
/*
 * How much freed memory may be kept where RLIMIT_AS or RLIMIT_DATA is set. What the allocator keeps
 * is refused to the program's own mmap, to thread stacks and to libraries, and the allocator does
 * not see that. So it keeps no more than a small share of what the limit leaves beside the blocks
 * in use. The limits are read again every so often, since setrlimit and prlimit may change them
 * from inside or outside; in a sandbox the ones read last apply.
 */
#ifndef HAK_ROOM_H
#define HAK_ROOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hak.h"

/* Bytes that may be kept; UINT64_MAX: no limit. Relaxed: a hint, as old as the last look. */
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

/* Reads the limits. `kept`: bytes that are mapped and in no use. True: there is less room. */
bool hak_room_look(uint64_t kept);

#endif
