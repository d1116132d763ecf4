/* SPDX-License-Identifier: MIT */
/*
 * The layers from which values of tunables come. The highest origin that is set is in force:
 * default < program < environment < policy < admin. The process keeps its own layers. policy and
 * admin are copies of the tune page's slots, and may have a deadline. Evaluation clamps the value
 * of the highest layer to the range of its row, stores it where hak_tun() reads it, and answers in
 * the segment.
 *
 * HAK_LOCK_TUNE held, except for reading the deadline.
 */
#ifndef HAK_LAYERS_H
#define HAK_LAYERS_H

#include "base/hak.h"
#include "control/abi/abi.h"

/* The layers that controllers write. */
enum { HAK_LAYER_POLICY, HAK_LAYER_ADMIN, HAK_LAYERS_OUTSIDE };

/* Sets one of the own layers: HAK_ORIGIN_PROGRAM or HAK_ORIGIN_ENVIRONMENT. */
void hak_layers_set(enum hak_origin origin, enum hak_tunable t, uint64_t value);
/* Copies what controllers ask for. */
void hak_layers_copy(const struct hak_tune_slot slot[HAK_TUNABLES][HAK_LAYERS_OUTSIDE]);
/* Fills the slots of a tune page with the last copy. */
void hak_layers_fill(struct hak_tune *page);

/* Returns true if a value in force has changed. */
bool hak_layers_evaluate(void);
/* Returns the value of control.lock: controllers may change nothing. */
bool hak_layers_locked(void);
/*
 * Returns the nanoseconds until the earliest deadline, UINT64_MAX if there is none, 0 if it has
 * passed. Takes no lock.
 */
uint64_t hak_layers_until_deadline(void);

/*
 * Checks that each value in force follows from the layers as they were when they were last
 * evaluated, is within its range and was answered, and that the deadline is the earliest of these
 * layers. HAK_LOCK_TUNE held, or all threads stopped.
 */
#if HAK_DEBUG
void hak_layers_check(void);
#else
static inline void hak_layers_check(void)
{
}
#endif

#endif
