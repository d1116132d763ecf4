/* SPDX-License-Identifier: MIT */
/*
 * Looks at RLIMIT_AS and RLIMIT_DATA, which may change at any time, and gives up what they leave no
 * room for (room.h): slots of heaps, regions in the region cache, free extents. No lock held.
 */
#ifndef HAK_LIMIT_H
#define HAK_LIMIT_H

#include <stdint.h>

void hak_limit_look(void);
/* The same, unless the last such look was less than 100 ms ago. */
void hak_limit_tick(uint64_t now_ms);

#endif
