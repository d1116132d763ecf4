/* SPDX-License-Identifier: MIT */
/* Keeps over a restart what is in no file. */
#ifndef HAK_STATE_H
#define HAK_STATE_H

#include "hakmemd/process.h"

/* Reads the state of a former run from the descriptor store, if there is any, and keeps it up to
 * date from then on. */
int hak_state_start(struct hak_manager *m);
void hak_state_save(struct hak_manager *m);
void hak_state_stop(struct hak_manager *m);

#endif
