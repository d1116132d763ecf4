/* SPDX-License-Identifier: MIT */
/*
 * Makes the machine's systemd read its files again, as `systemctl daemon-reload` does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hakmemctl/service/unit.h"

#if HAK_SYSTEMD
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

/* Root reaches systemd without a bus, too. */
static int connect_systemd(sd_bus **ret)
{
	sd_bus *bus;
	int r = sd_bus_open_system(ret);

	if (r >= 0 || geteuid() != 0)
		return r;
	r = sd_bus_new(&bus);
	if (r < 0)
		return r;
	r = sd_bus_set_address(bus, "unix:path=/run/systemd/private");
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

int ctl_reload_systemd(char why[HAK_WHY_TEXT])
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus;
	int r;

	if (sd_booted() <= 0)
		return -ENOTCONN;
	r = connect_systemd(&bus);
	if (r < 0) {
		snprintf(why, HAK_WHY_TEXT, "no bus to systemd: %s", strerror(-r));
		return r;
	}
	sd_bus_set_allow_interactive_authorization(bus, true);
	r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
			       "org.freedesktop.systemd1.Manager", "Reload", &error, NULL, NULL);
	if (r < 0)
		snprintf(why, HAK_WHY_TEXT, "%.200s", error.message ? error.message : strerror(-r));
	sd_bus_error_free(&error);
	sd_bus_flush_close_unref(bus);
	return r < 0 ? r : 0;
}
#else
int ctl_reload_systemd(char why[HAK_WHY_TEXT])
{
	if (access("/run/systemd/system", F_OK) < 0)
		return -ENOTCONN;
	snprintf(why, HAK_WHY_TEXT, "this hakmemctl was built without libsystemd");
	return -ENOSYS;
}
#endif
