/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl tunables: prints the table of tunables of this program or of a running process or, with
 * --changed, the values in running processes that differ from the default.
 */
#include <getopt.h>

#include "control/abi/schema.h"
#include "control/value.h"
#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "TYPE", "type", HAK_SHOW_TEXT },
	{ "DEFAULT", "default_text", HAK_SHOW_TEXT },
	{ "RANGE", "range", HAK_SHOW_TEXT },
	{ "EFFECT", "effect", HAK_SHOW_TEXT },
	{ "ID", "id", HAK_SHOW_NUMBER, .hidden = true },
	{ "UNIT", "unit", HAK_SHOW_TEXT, .hidden = true },
	{ "PID", "pid", HAK_SHOW_NUMBER, .hidden = true },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int add_process(struct json_object *rows, void *arg)
{
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		json_object_array_add(arg, json_object_get(json_object_array_get_idx(rows, i)));
	json_object_put(rows);
	return CTL_OK;
}

static void add_own(struct json_object *rows)
{
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];
		struct hak_spec spec = hak_spec_of_row(row);
		struct json_object *o = hak_report_tunable(json_object_new_object(), row->id, &spec,
							   row->dflt, row->when);

		hak_json_text(o, "doc", row->doc);
		json_object_array_add(rows, o);
	}
}

static int all_tunables(struct ctl *ctl, const char *target)
{
	const struct ctl_report report = { HAK_REPORT_TUNABLES, add_process, NULL };
	struct json_object *document, *rows;
	char why[HAK_WHY_TEXT];
	int r = CTL_OK, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("tunables");
	rows = json_object_new_array();
	json_object_object_add(document, "tunables", rows);
	if (target)
		r = ctl_report_each(ctl, target, &report, rows);
	else
		add_own(rows);
	printed = ctl_answer(ctl, document, rows, columns, COLUMNS);
	return r ? r : printed;
}

int verb_tunables(struct ctl *ctl, int argc, char **argv)
{
	bool changed = false;
	const char *target;
	int option;

	while ((option = ctl_option(ctl, argc, argv)) >= 0)
		changed = true;
	if (option == -2)
		return ctl->failure;
	if (argc - optind > 1)
		return ctl_usage(ctl, "expects one TARGET at most");
	target = optind < argc ? argv[optind] : NULL;
	if (changed)
		return ctl_get(ctl, target ? target : "all", NULL, 0, true);
	return all_tunables(ctl, target);
}
