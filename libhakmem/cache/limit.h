/* SPDX-License-Identifier: MIT */
/*
 * Reads RLIMIT_AS and RLIMIT_DATA, which may change at any time, and gives up what they leave no
 * room for (room.h): slots of heaps, regions in the region cache, free extents. Reads the limit of
 * the control groups, once a second at most. No lock may be held.
 */
#ifndef HAK_LIMIT_H
#define HAK_LIMIT_H

#include <stdint.h>

void hak_limit_look(void);
/* Does the same, unless the last call of this function was less than 100 ms ago. */
void hak_limit_tick(uint64_t now_ms);

#endif
