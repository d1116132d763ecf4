/* SPDX-License-Identifier: MIT */
/* Having processes give memory back, and the limits that policies set. */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include "hakmemd/process.h"

/* What it has cached, and whether it allocates, if that was not measured in the last `age_us`. */
void hak_purge_measure(struct hak_process *p, uint64_t age_us);
/*
 * Asks for a purge unless one is out or it is to be left alone: 0; -EBUSY, -EAGAIN; or the error of
 * the request. `why` goes to the journal with the bytes when the answer is there, and lasts as long
 * as the program: "pressure", "limit", "idle", "request".
 */
int hak_purge_process(struct hak_process *p, enum hak_purge_level level, const char *why);
void hak_purge_look(struct hak_process *p); /* for the answer, and for limits */

#endif
