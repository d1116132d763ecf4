/* SPDX-License-Identifier: MIT */
/*
 * Reads hakmemd.conf by a table of its settings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/conf.h"
#include "control/escape.h"
#include "hakmemd/conf.h"
#include "hakmemd/journal.h"

enum how { SWITCH, TIME, LEVEL };

static const struct row {
	const char *section, *name;
	size_t offset;
	enum how how;
	uint64_t dflt, min_us, max_us;
} rows[] = {
#define AT(field) offsetof(struct hak_conf, field)
	{ "Daemon", "LookEvery", AT(look_us), TIME, 1000000, 100000, 60000000 },
	{ "Daemon", "PageOut", AT(page_out), SWITCH, true },
	{ "Daemon", "PageOutEvery", AT(page_out_us), TIME, 10000000, 1000000, 3600000000 },
	{ "HostPressure", "Enable", AT(pressure), SWITCH, true },
	{ "HostPressure", "Threshold", AT(threshold_us), TIME, 150000, 1000, 10000000 },
	{ "HostPressure", "Window", AT(window_us), TIME, 2000000, 500000, 10000000 },
	{ "HostPressure", "Cooldown", AT(cooldown_us), TIME, 30000000, 0, 86400000000 },
	{ "HostPressure", "Action", AT(action), LEVEL, HAK_PURGE_DIRTY },
#undef AT
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void store(struct hak_conf *conf, const struct row *row, uint64_t value)
{
	void *to = (char *)conf + row->offset;

	if (row->how == SWITCH)
		*(bool *)to = value;
	else if (row->how == LEVEL)
		*(unsigned *)to = (unsigned)value;
	else
		*(uint64_t *)to = value;
}

static int parse(const struct row *row, const char *text, uint64_t *ret, char why[HAK_WHY_TEXT])
{
	static const struct hak_spec on_off = {
		.name = "it", .values = "", .type = HAK_TYPE_BOOL, .max = 1
	};
	char min[HAK_VALUE_TEXT], max[HAK_VALUE_TEXT];
	uint64_t ns;
	int r;

	switch (row->how) {
	case SWITCH:
		return hak_value_parse(&on_off, text, ret, why);
	case LEVEL:
		*ret = hak_purge_level_of(text);
		snprintf(why, HAK_WHY_TEXT, "\"%.40s\" is no level; %s takes cache, dirty or all",
			 text, row->name);
		return *ret ? 0 : -EINVAL;
	default:
		r = hak_duration_parse(text, &ns, why);
		if (r < 0)
			return r;
		*ret = ns / 1000;
		hak_ns_format(row->min_us * 1000, min);
		hak_ns_format(row->max_us * 1000, max);
		snprintf(why, HAK_WHY_TEXT,
			 "\"%.40s\" is out of range; %s takes a time from %s to "
			 "%s",
			 text, row->name, row->min_us ? min : "0", max);
		return *ret < row->min_us || *ret > row->max_us ? -ERANGE : 0;
	}
}

static int see(const struct hak_conf_line *line, void *arg, char why[HAK_WHY_TEXT])
{
	uint64_t value;
	int r;

	for (size_t i = 0; i < ROWS; i++) {
		if (strcmp(rows[i].section, line->section) != 0 ||
		    strcmp(rows[i].name, line->name) != 0)
			continue;
		value = rows[i].dflt;
		r = *line->value ? parse(&rows[i], line->value, &value, why) : 0;
		if (r == 0)
			store(arg, &rows[i], value);
		return r;
	}
	snprintf(why, HAK_WHY_TEXT, "there is no \"%.40s\" in [%.40s] (hakmemd.conf(5))",
		 line->name, line->section);
	return -EINVAL;
}

static void bad(const char *path, unsigned line, const char *section, const char *why, void *arg)
{
	struct hak_conf *conf = arg;
	char shown[4 * HAK_WHY_TEXT];

	conf->bad_lines++;
	hak_escape(why, shown, sizeof(shown));
	if (line)
		hak_log(LOG_WARNING, "%s:%u: %s", path, line, shown);
	else
		hak_log(LOG_WARNING, "%s: %s", path, shown);
}

int hak_conf_load(struct hak_conf *ret)
{
	const struct hak_conf_reader reader = { see, bad, ret };
	struct hak_conf_file *files;
	size_t n;
	int r;

	ret->bad_lines = 0;
	for (size_t i = 0; i < ROWS; i++)
		store(ret, &rows[i], rows[i].dflt);
	r = hak_conf_daemon_files(&files, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (!files[i].masked)
			hak_conf_read(files[i].path, &reader);
	hak_conf_files_free(files, n);
	if (ret->threshold_us > ret->window_us)
		ret->threshold_us = ret->window_us;
	return 0;
}
