/* SPDX-License-Identifier: MIT */
/* Finds processes on hakmem, and checks that they still run the same program. */
#ifndef HAK_DISCOVER_H
#define HAK_DISCOVER_H

#include "hakmemd/process.h"

/* Returns 0 or -errno, logged. Begins the first look and does one slice of it, so that a service
 * that starts after the daemon finds all processes known. */
int hak_discovery_start(struct hak_manager *m);
void hak_discovery_stop(struct hak_manager *m);

/* Begins a look for new processes. */
void hak_discovery_begin(struct hak_manager *m);
/* Continues the look. True if there is more to do. */
bool hak_discovery_slice(struct hak_manager *m);
/* True when the look has reached all places. Processes of users that take more than their share may
 * still wait. */
bool hak_discovery_over(struct hak_manager *m);

uint64_t hak_discovery_put_off(const struct hak_manager *m);
/* False when the process has executed another program, or has ended. */
bool hak_discovery_still(struct hak_process *p);
/* Called now and then. The user, command or group of the process may have changed, and so its
 * policies. */
void hak_discovery_refresh(struct hak_process *p);

#endif
