/* SPDX-License-Identifier: MIT */
/*
 * The tunables: the rows of control/abi/tunables.def, and the value of each that is in force. Slow
 * paths read values with hak_tun(). layers.c alone writes them, each within its row's range.
 */
#ifndef HAK_VALUES_H
#define HAK_VALUES_H

#include <stdatomic.h>

#include "control/abi/abi.h"
#include "hak.h"

/* Values of enumerations, in the order of the words in tunables.def. */
enum hak_evict {
	HAK_EVICT_DONTNEED,
	HAK_EVICT_FREE,
	HAK_EVICT_REMAP,
	HAK_EVICT_MUNMAP,
	HAK_EVICT_KEEP
};
enum hak_thp { HAK_THP_OFF, HAK_THP_ADAPTIVE, HAK_THP_ALWAYS, HAK_THP_NEVER };

/* The last advice that a mapping was given. */
enum hak_thp_advice { HAK_ADVICE_NONE, HAK_ADVICE_HUGE, HAK_ADVICE_NEVER };

extern HAK_HIDDEN _Atomic uint64_t hak_tun_values[HAK_TUNABLES]; /* in force, always within range */

static inline uint64_t hak_tun(enum hak_tunable t)
{
	return atomic_load_explicit(&hak_tun_values[t], memory_order_relaxed);
}

/* The rows as published, HAK_TUNABLES of them. */
extern HAK_HIDDEN const struct hak_tunable_desc hak_tunable_desc[HAK_TUNABLES];

/* Returns the tunable of that name, or HAK_TUNABLES. */
enum hak_tunable hak_tunable_find(const char *name, size_t bytes);

#endif
