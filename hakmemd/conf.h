/* SPDX-License-Identifier: MIT */
/*
 * The settings of the daemon, see hakmemd.conf(5). The manager owns a copy. A reload replaces the
 * whole copy, so no code keeps pointers into it.
 */
#ifndef HAK_DAEMON_CONF_H
#define HAK_DAEMON_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct hak_conf {
	uint64_t look_us;     /* [Daemon] LookEvery=: the time between two looks */
	bool page_out;	      /* PageOut=: attach, and page out lazily freed memory */
	uint64_t page_out_us; /* PageOutEvery= */
	bool pressure;	      /* [HostPressure] Enable= */
	uint64_t threshold_us, window_us, cooldown_us;
	unsigned action;    /* enum hak_purge_level */
	unsigned bad_lines; /* left out */
};

/* Reads hakmemd.conf and hakmemd.conf.d/. Invalid lines are logged and ignored. Returns 0 or
 * -errno. *ret is complete in either case. */
int hak_conf_load(struct hak_conf *ret);

#endif
