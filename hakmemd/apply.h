/* SPDX-License-Identifier: MIT */
/* Carries the values of policies into the policy layer of each process. */
#ifndef HAK_APPLY_H
#define HAK_APPLY_H

#include "hakmemd/process.h"

/* For a process that was just added: remembers its values, then does as hak_apply(). */
void hak_apply_first(struct hak_process *p);
/* Determines which policies apply to the process, and writes the slots of its policy layer that
 * differ. Slots that no policy sets any more are removed. */
void hak_apply(struct hak_process *p);
/* The same, but the slots are written in a later look. */
void hak_apply_later(struct hak_process *p);
/* Reads the changes that the process, or another controller, made since the last look. */
void hak_apply_look(struct hak_process *p);

#endif
