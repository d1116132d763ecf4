/* SPDX-License-Identifier: MIT */
/*
 * The daemon's care for itself: that it does not run on hakmem, is the only one, has descriptors
 * enough, and gives its own memory back under pressure.
 *
 * For main.c.
 */
#ifndef HAK_SELF_H
#define HAK_SELF_H

#include <stdbool.h>
#include <systemd/sd-event.h>

/* True when this process's malloc is hakmem: it must not run, since what it watches would stop it.
 */
bool hak_self_on_hakmem(void);

/*
 * Takes `folder` for this process, for as long as it lives; where it is missing it is made. 0;
 * -EBUSY when another hakmemd has it, or what the system said: logged.
 */
int hak_self_take(const char *folder);

/* Descriptors enough, some four for each process; memory not kept by libc. */
void hak_self_set_limits(void);

/* $MEMORY_PRESSURE_WATCH and $MEMORY_PRESSURE_WRITE, as systemd sets them (PRESSURE.md of
 * systemd): 0, also where they are not set; -errno. */
int hak_self_watch_pressure(sd_event *event);

#endif
