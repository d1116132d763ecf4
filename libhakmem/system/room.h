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
#include "base/values.h"

/*
 * Bytes that may be kept; UINT64_MAX if there is no limit. Relaxed, because it is a hint as old as
 * the last look.
 */
extern HAK_HIDDEN struct hak_room {
	_Atomic uint64_t address; /* mapped at all (RLIMIT_AS) */
	_Atomic uint64_t data;	  /* mapped and charged for (RLIMIT_DATA as well) */
	_Atomic uint64_t group;	  /* the limit of the control groups itself, not a share */
	_Atomic uint64_t floor;	  /* dirty bytes of units that no slow path looks at closer */
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
 * Bytes of free memory that may be resident beside `in_use` within the limit of the control groups:
 * purge.limit_share percent of what the limit leaves. UINT64_MAX if there is no limit.
 */
static inline uint64_t hak_room_resident(uint64_t in_use)
{
	uint64_t limit = atomic_load_explicit(&hak_room.group, memory_order_relaxed);

	if (hak_likely(limit == UINT64_MAX))
		return UINT64_MAX;
	return limit > in_use ? (limit - in_use) / 100 * hak_tun(HAK_T_PURGE_LIMIT_SHARE) : 0;
}

static inline bool hak_room_is_limited(void)
{
	return atomic_load_explicit(&hak_room.group, memory_order_relaxed) != UINT64_MAX;
}

#define HAK_ROOM_FIRST ((uint64_t)4 << 20)  /* the floor before it is set */
#define HAK_ROOM_FLOOR ((uint64_t)32 << 20) /* what it may become, however little is in use */
/* Sets `bytes`, or a sixteenth of the limit of the control groups if that is less. */
void hak_room_set_floor(uint64_t bytes);

/* Below so many bytes of room for free memory the caches of sleeping threads are emptied too. */
static inline uint64_t hak_room_tight(void)
{
	uint64_t part = atomic_load_explicit(&hak_room.group, memory_order_relaxed) / 16;

	return part < HAK_ROOM_FLOOR ? part : HAK_ROOM_FLOOR;
}

/* Reads the limit of the control groups; a process with less mapped is not worth the calls. */
void hak_room_look_group(void);
#define HAK_ROOM_GROUP_LEAST ((uint64_t)16 << 20)

/*
 * Reads the limits. `kept` is the number of bytes that are mapped and not in use. Returns true if
 * there is less room than before.
 */
bool hak_room_look(uint64_t kept);

#endif
