/* SPDX-License-Identifier: MIT */
/*
 * The daemon's metrics: what processes counted, those that ended included, served on a socket in
 * the way that control/scrape.h describes.
 *
 * An observer of the manager. Each process contributes to one series what it counted since it
 * belongs to it: a policy that takes over, or an exec, begins anew and takes nothing away. What was
 * once told never falls, not even over a restart (store.h).
 */
#ifndef HAK_EXPOSITION_H
#define HAK_EXPOSITION_H

#include "hakmemd/process.h"

struct hak_exposition;

/*
 * Serves the socket "metrics" in `folder`, which is this daemon's alone. After the state of a
 * former run was taken up and before the first look at processes. 0; -errno, logged: the daemon
 * does without.
 */
int hak_exposition_start(struct hak_manager *m, const char *folder, struct hak_exposition **ret);
void hak_exposition_stop(struct hak_exposition *e); /* NULL is fine */

#endif
