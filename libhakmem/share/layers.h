/* SPDX-License-Identifier: MIT */
/*
 * The layers that values of tunables come from. The highest origin that is set wins: default <
 * program < environment < policy < admin. The process keeps the own layers; policy and admin are
 * copies of the tune page's slots, and may have a deadline. Evaluation clamps the value of the
 * winner to the range of its row, stores it where hak_tun() reads it, and answers in the segment.
 *
 * HAK_LOCK_TUNE held, but for the deadline.
 */
#ifndef HAK_LAYERS_H
#define HAK_LAYERS_H

#include "base/hak.h"
#include "control/abi/abi.h"

/* The layers that controllers write. */
enum { HAK_LAYER_POLICY, HAK_LAYER_ADMIN, HAK_LAYERS_OUTSIDE };

/* One of the own layers: HAK_ORIGIN_PROGRAM or HAK_ORIGIN_ENVIRONMENT. */
void hak_layers_set(enum hak_origin origin, enum hak_tunable t, uint64_t value);
/* What controllers ask for from now on. */
void hak_layers_copy(const struct hak_tune_slot slot[HAK_TUNABLES][HAK_LAYERS_OUTSIDE]);
/* The slots of a tune page, as last copied. */
void hak_layers_fill(struct hak_tune *page);

/* True if a value in force has changed. */
bool hak_layers_evaluate(void);
/* control.lock: controllers may change nothing. */
bool hak_layers_locked(void);
/* Nanoseconds until the earliest deadline, UINT64_MAX if there is none, 0 if it passed. No lock. */
uint64_t hak_layers_until_deadline(void);

#endif
