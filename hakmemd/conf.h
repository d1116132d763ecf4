/* SPDX-License-Identifier: MIT */
/*
 * hakmemd.conf(5): the daemon's own settings. A copy belongs to the manager; it is replaced as a
 * whole by a reload, and nobody keeps pointers into it.
 */
#ifndef HAK_DAEMON_CONF_H
#define HAK_DAEMON_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct hak_conf {
	uint64_t look_us;     /* [Daemon] LookEvery=: between looks for new processes */
	bool page_out;	      /* PageOut=: attach, and take lazily freed pages away */
	uint64_t page_out_us; /* PageOutEvery= */
	bool pressure;	      /* [HostPressure] Enable= */
	uint64_t threshold_us, window_us, cooldown_us;
	unsigned action; /* enum hak_purge_level */
};

/* From hakmemd.conf and hakmemd.conf.d/ as they are now; bad lines are logged and left out. 0 or
 * -errno; *ret is whole in either case. */
int hak_conf_load(struct hak_conf *ret);

#endif
