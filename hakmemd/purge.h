/* SPDX-License-Identifier: MIT */
/* Requests purges, and enforces the limits that policies set. */
#ifndef HAK_PURGE_H
#define HAK_PURGE_H

#include "hakmemd/process.h"

/* Measures the cached memory of a process and whether the process allocates, unless that was done
 * in the last `age_us`. */
void hak_purge_measure(struct hak_process *p, uint64_t age_us);
/*
 * Requests a purge, unless a request is open or the cooldown has not passed. Returns 0, -EBUSY,
 * -EAGAIN, or the error of the request. `why` is written to the journal with the bytes when the
 * answer arrives, and must be valid for as long as the program runs: "pressure", "limit", "idle",
 * "request".
 */
int hak_purge_process(struct hak_process *p, enum hak_purge_level level, const char *why);
void hak_purge_look(struct hak_process *p); /* reads the answer, and checks the limits */

#endif
