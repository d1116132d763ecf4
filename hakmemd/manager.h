/* SPDX-License-Identifier: MIT */
/*
 * The manager as a whole: its start and its end, and the files that configure it.
 */
#ifndef HAK_MANAGER_H
#define HAK_MANAGER_H

#include "hakmemd/process.h"

/* Returns 0 or -errno, logged. The manager takes a reference of the event loop. */
int hak_manager_new(sd_event *event, struct hak_manager **ret);
/* Changes nothing in any process. */
void hak_manager_free(struct hak_manager *m);

/* Reads configuration and policies from the files, and applies them to the processes. Nothing
 * changes on failure. */
int hak_manager_reload(struct hak_manager *m);

/* Reads the same files and logs what is wrong in them. Returns 0, or -errno if anything is. */
int hak_manager_check(void);

#endif
