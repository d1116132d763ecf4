/* SPDX-License-Identifier: MIT */
/*
 * hakmemd.conf(5): the daemon's own settings, one row each. A copy belongs to the manager; it is
 * replaced as a whole by a reload, and nobody keeps pointers into it.
 */
#ifndef HAK_DAEMON_CONF_H
#define HAK_DAEMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As [Pressure] in a policy, for all processes together. */
struct hak_conf {
	uint64_t look_us;		/* LookEverySec=: between looks for new processes */
	bool page_out;			/* PageOut=: attach, and take lazily freed pages away */
	uint64_t page_out_us;		/* PageOutEverySec= */
	bool pressure;			/* HostPressure= */
	uint64_t pressure_threshold_us, pressure_window_us, pressure_cooldown_us;
	unsigned pressure_action;	/* enum hak_purge_level */
};

void hak_conf_defaults(struct hak_conf *ret);

/* From hakmemd.conf and hakmemd.conf.d/ as they are now; bad lines are logged and left out. 0 or
 * -errno; *ret is whole in either case. */
int hak_conf_load(struct hak_conf *ret);

#endif
