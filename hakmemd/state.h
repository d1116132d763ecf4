/* SPDX-License-Identifier: MIT */
/* What is known and stands in no file, over a restart. */
#ifndef HAK_STATE_H
#define HAK_STATE_H

#include "hakmemd/process.h"

/* What a former run left in the descriptor store, if anything; keeps it up to date from then. */
int hak_state_start(struct hak_manager *m);
void hak_state_save(struct hak_manager *m);
void hak_state_stop(struct hak_manager *m);

#endif
