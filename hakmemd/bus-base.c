/* SPDX-License-Identifier: MIT */
/*
 * Connections and errors, which all D-Bus files of the daemon use. See bus.h.
 */
#include <stdarg.h>
#include <stdio.h>

#include "control/escape.h"
#include "hakmemd/bus.h"

int hak_bus_error(sd_bus_error *error, const char *name, const char *format, ...)
{
	char raw[HAK_WHY_TEXT], text[4 * HAK_WHY_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	hak_escape(raw, text, sizeof(text));
	return sd_bus_error_set(error, name, text);
}

int hak_bus_open(const char *address, sd_bus **ret)
{
	int r = sd_bus_new(ret);

	if (r >= 0)
		r = sd_bus_set_description(*ret, "hakmemd");
	if (r >= 0)
		r = sd_bus_set_address(*ret, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(*ret, true);
	return r;
}
