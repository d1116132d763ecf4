/* SPDX-License-Identifier: MIT */
/*
 * The daemon's own process: it must not run on hakmem, must be the only instance, needs enough
 * descriptors, and gives its own memory back under pressure.
 *
 * For main.c.
 */
#ifndef HAK_SELF_H
#define HAK_SELF_H

#include <stdbool.h>
#include <systemd/sd-event.h>

/* True when the malloc of this process is hakmem. The daemon must not run then, because a process
 * that it watches could stop it. */
bool hak_self_on_hakmem(void);

/*
 * Takes `folder` for this process for as long as it runs, and creates the folder if it is missing.
 * Returns 0; -EBUSY when another hakmemd has the folder; or another error, which is logged.
 */
int hak_self_take(const char *folder);

/* Raises the limit of descriptors, of which each process needs five, and makes libc keep
 * little memory. */
void hak_self_set_limits(void);

/* Watches $MEMORY_PRESSURE_WATCH and $MEMORY_PRESSURE_WRITE, as systemd sets them (PRESSURE.md of
 * systemd). Returns 0, also if they are not set, or -errno. */
int hak_self_watch_pressure(sd_event *event);

#endif
