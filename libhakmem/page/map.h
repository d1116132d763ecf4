/* SPDX-License-Identifier: MIT */
/*
 * The address map as a whole, against the structures that its slices name. The checks of extents,
 * slabs and regions look whether their slices name them; this one looks whether what a slice names
 * has the slice:
 *
 *   SLAB   the descriptor's base is the slice, it is a slab, and its extent is of slabs
 *   RUNS   the slice lies in the extent, which is of runs
 *   WHALE  the region begins here, and no further slice of it is set
 *   KEPT   the region begins or ends here, is not in use, both ends name it, none between is set
 *
 * Slices are changed under several locks and under none. So the check runs where the process has
 * one thread and never had another (tick.c), or is called from a debugger while no thread is in the
 * middle of a change.
 */
#ifndef HAK_MAP_H
#define HAK_MAP_H

#include "base/hak.h"

#if HAK_DEBUG
void hak_map_check(void);
#else
static inline void hak_map_check(void)
{
}
#endif

#endif
