/* SPDX-License-Identifier: MIT */
/* Finding processes on hakmem, and seeing that they are still what they were. */
#ifndef HAK_DISCOVER_H
#define HAK_DISCOVER_H

#include "hakmemd/process.h"

/* 0 or -errno, logged. The first look is begun, and one slice of it done: who waits for the daemon
 * to be ready finds all processes known. */
int hak_discovery_start(struct hak_manager *m);
void hak_discovery_stop(struct hak_manager *m);

/* A look for new processes begins. */
void hak_discovery_begin(struct hak_manager *m);
/* Goes on with it; true if there is more to do. */
bool hak_discovery_slice(struct hak_manager *m);
/* True when it came to all places, though processes of users that take more than their share may
 * still wait for theirs. */
bool hak_discovery_over(struct hak_manager *m);

uint64_t hak_discovery_put_off(const struct hak_manager *m);
/* False when it has executed another program, or ended. */
bool hak_discovery_still(struct hak_process *p);
/* Now and then: its user, command or group may be others by now, and so its policies. */
void hak_discovery_refresh(struct hak_process *p);

#endif
