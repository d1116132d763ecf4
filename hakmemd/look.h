/* SPDX-License-Identifier: MIT */
/*
 * The pace of the daemon: at each LookEvery=, a look at all known processes and for new ones, in
 * slices of a bounded time with pauses between them.
 */
#ifndef HAK_LOOK_H
#define HAK_LOOK_H

#include "hakmemd/process.h"

/* Does the first look, and for new processes one slice of it. Later looks run in the event loop. */
int hak_look_start(struct hak_manager *m);
void hak_look_stop(struct hak_manager *m);
/* Does the rest of a reload in the next slices. */
void hak_look_hurry(struct hak_manager *m);

/* The number of times that work was put off, or a call refused, because a user had used up its
 * time. */
uint64_t hak_look_put_off(const struct hak_manager *m);
void hak_look_status(struct hak_manager *m); /* sends STATUS= to systemd if it changed */

#endif
