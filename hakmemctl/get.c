/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl get: prints the tunables in force and the layer that each value comes from.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/nearest.h"
#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "VALUE", "text", HAK_SHOW_TEXT },
	{ "RAW", "value", HAK_SHOW_NUMBER, .hidden = true },
	{ "ORIGIN", "origin", HAK_SHOW_TEXT },
	{ "EXPIRES", "expires_ns", HAK_SHOW_NS },
	{ "UNTIL", "until", HAK_SHOW_TEXT },
	{ "DEFAULT", "default", HAK_SHOW_TEXT, .hidden = true },
	{ "NOTE", "note", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct get {
	struct json_object *rows;
	char **names;
	int names_n;
	bool changed; /* only values that differ from the default: `tunables --changed` */
};

static bool is_changed(struct json_object *row)
{
	struct json_object *layers = NULL;

	json_object_object_get_ex(row, "layers", &layers);
	return hak_json_get(row, "value") != hak_json_get(layers, "default");
}

static struct json_object *row_named(struct json_object *rows, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i), *value;

		if (json_object_object_get_ex(row, "name", &value) &&
		    strcmp(json_object_get_string(value), name) == 0)
			return row;
	}
	return NULL;
}

/* The names are those of the process, which may run another version. */
static void complain(struct json_object *any, struct json_object *rows, const char *name)
{
	struct hak_nearest near = hak_nearest_begin(name);
	char text[HAK_WHY_TEXT];

	for (size_t i = 0; i < json_object_array_length(rows); i++)
		hak_nearest_see(&near,
				hak_json_get_text(json_object_array_get_idx(rows, i), "name"));
	hak_nearest_say(&near, "", text);
	ctl_complain("hakmemctl: process %" PRIu64 " has no tunable \"%s\"%s\n",
		     hak_json_get(any, "pid"), name, text);
}

static int add_named(struct get *get, struct json_object *rows)
{
	struct json_object *any = json_object_array_get_idx(rows, 0);
	int result = CTL_OK;

	for (int i = 0; i < get->names_n; i++) {
		struct json_object *row = row_named(rows, get->names[i]);

		if (row) {
			json_object_array_add(get->rows, json_object_get(row));
			continue;
		}
		if (any)
			complain(any, rows, get->names[i]);
		else
			ctl_complain("hakmemctl: a process has no tunables\n");
		result = CTL_NOTHING;
	}
	return result;
}

static int add_process(struct json_object *rows, void *arg)
{
	struct get *get = arg;
	int r = add_named(get, rows);

	for (size_t i = 0; get->names_n == 0 && i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!get->changed || is_changed(row))
			json_object_array_add(get->rows, json_object_get(row));
	}
	json_object_put(rows);
	return r;
}

int ctl_get(struct ctl *ctl, const char *target, char **names, int names_n, bool changed)
{
	const struct ctl_report report = { HAK_REPORT_VALUES, add_process, NULL };
	struct json_object *document = hak_json_document(ctl->verb->name);
	struct get get = { .rows = json_object_new_array(),
			   .names = names,
			   .names_n = names_n,
			   .changed = changed };
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0) {
		json_object_put(document);
		json_object_put(get.rows);
		return ctl_usage(ctl, "%s", why);
	}
	json_object_object_add(document, changed ? "changed" : "values", get.rows);
	r = ctl_report_each(ctl, target, &report, &get);
	ctl_add_until(get.rows);
	printed = ctl_answer(ctl, document, get.rows, columns, COLUMNS);
	return r ? r : printed;
}

int verb_get(struct ctl *ctl, int argc, char **argv)
{
	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(ctl, "expects a TARGET and names of tunables");
	return ctl_get(ctl, argv[optind], argv + optind + 1, argc - optind - 1, false);
}
