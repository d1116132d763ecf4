/* SPDX-License-Identifier: MIT */
/*
 * The pace of the daemon: each LookEvery= a look at all processes that are known, and for those
 * that are new, in slices of a bounded time with pauses between them.
 */
#ifndef HAK_LOOK_H
#define HAK_LOOK_H

#include "hakmemd/process.h"

/* The first look, for new ones one slice of it; the others follow in the event loop. */
int hak_look_start(struct hak_manager *m);
void hak_look_stop(struct hak_manager *m);
/* What a reload left to do is done in the next slices. */
void hak_look_hurry(struct hak_manager *m);

/* How often work for others was put off or refused, since it took too much time. */
uint64_t hak_look_put_off(const struct hak_manager *m);
void hak_look_status(struct hak_manager *m); /* STATUS= for systemctl, if it changed */

#endif
