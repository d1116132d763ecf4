/* SPDX-License-Identifier: MIT */
/*
 * The metrics of the daemon, with the counts of ended processes, served on a socket as
 * control/scrape.h describes.
 *
 * This module is an observer of the manager. Each process adds to one series what it counts while
 * it belongs to this series. When another policy ranks first for the process, or the process
 * executes a program, it begins a new part, and the old counts stay in the series. A counter that
 * was served once never falls, also not after a restart (store.h).
 */
#ifndef HAK_EXPOSITION_H
#define HAK_EXPOSITION_H

#include "hakmemd/process.h"

struct hak_exposition;

/*
 * Serves the socket "metrics" in `folder`, which belongs to this daemon alone. Called after the
 * state of a former run was taken over and before the first look at processes. Returns 0, or
 * -errno, logged; the daemon then runs without the socket.
 */
int hak_exposition_start(struct hak_manager *m, const char *folder, struct hak_exposition **ret);
void hak_exposition_stop(struct hak_exposition *e); /* may be NULL */

#endif
