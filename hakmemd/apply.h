/* SPDX-License-Identifier: MIT */
/* From policies to the policy layer of each process. */
#ifndef HAK_APPLY_H
#define HAK_APPLY_H

#include "hakmemd/process.h"

/* Of a process just added: remembers its values, then as hak_apply(). */
void hak_apply_first(struct hak_process *p);
/* Works out which policies apply and writes what differs from the process's policy layer; layers
 * that no policy wants any more are removed. */
void hak_apply(struct hak_process *p);
/* The same, but what is to be written is written in a look. */
void hak_apply_later(struct hak_process *p);
/* Takes up what the process, or another controller, changed since the last look. */
void hak_apply_look(struct hak_process *p);

#endif
