/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl tunables: the table of tunables, this program's or that of a running process; with
 * --changed, what differs from its default in running processes.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "control/schema.h"
#include "control/value.h"
#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "TYPE", "type", HAK_SHOW_TEXT },
	{ "DEFAULT", "default_text", HAK_SHOW_TEXT },
	{ "RANGE", "range", HAK_SHOW_TEXT },
	{ "EFFECT", "when", HAK_SHOW_TEXT },
	{ "ID", "id", HAK_SHOW_NUMBER, .hidden = true },
	{ "UNIT", "unit", HAK_SHOW_TEXT, .hidden = true },
	{ "PID", "pid", HAK_SHOW_NUMBER, .hidden = true },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void range_of(const struct hak_spec *spec, char *out, size_t bytes)
{
	char min[HAK_VALUE_TEXT], max[HAK_VALUE_TEXT];

	if (spec->type == HAK_TYPE_BOOL) {
		snprintf(out, bytes, "off|on");
	} else if (spec->type == HAK_TYPE_ENUM) {
		snprintf(out, bytes, "%s", spec->values);
	} else {
		hak_value_format(spec, spec->min, min);
		hak_value_format(spec, spec->max, max);
		snprintf(out, bytes, "%s to %s", min, max);
	}
}

static struct json_object *row_of(struct json_object *o, uint16_t id, const struct hak_spec *spec,
				  uint64_t dflt, unsigned when)
{
	char text[HAK_WHY_TEXT], value[HAK_VALUE_TEXT];

	hak_json_number(o, "id", id);
	hak_json_text(o, "name", spec->name);
	hak_json_text(o, "type", hak_type_word(spec->type));
	hak_json_text(o, "unit", hak_unit_word(spec->unit));
	hak_json_text(o, "when", hak_when_word(when));
	hak_json_number(o, "default", dflt);
	hak_value_format(spec, dflt, value);
	hak_json_text(o, "default_text", value);
	hak_json_number(o, "min", spec->min);
	hak_json_number(o, "max", spec->max);
	hak_json_text(o, "values", spec->values);
	range_of(spec, text, sizeof(text));
	hak_json_text(o, "range", text);
	return o;
}

static int add_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct json_object *rows = arg;

	for (uint32_t i = 0; i < seg->header.tunables; i++) {
		const struct hak_tunable_desc *d = &seg->tunable[i];
		struct hak_spec spec = hak_spec_of_desc(d);

		json_object_array_add(rows,
				      row_of(ctl_process(seg), d->id, &spec, d->dflt, d->when));
	}
	return CTL_OK;
}

static void add_own(struct json_object *rows)
{
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];
		struct hak_spec spec = hak_spec_of_row(row);
		struct json_object *o =
			row_of(json_object_new_object(), row->id, &spec, row->dflt, row->when);

		hak_json_text(o, "doc", row->doc);
		json_object_array_add(rows, o);
	}
}

static int all_tunables(struct ctl *ctl, const char *target)
{
	struct json_object *document, *rows;
	char why[HAK_WHY_TEXT];
	int r = CTL_OK, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("tunables");
	rows = json_object_new_array();
	json_object_object_add(document, "tunables", rows);
	if (target)
		r = ctl_each(ctl, target, 0, add_process, NULL, rows);
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
		return ctl_usage(ctl, "it takes one TARGET at most");
	target = optind < argc ? argv[optind] : NULL;
	if (changed)
		return ctl_get(ctl, target ? target : "all", NULL, 0, true);
	return all_tunables(ctl, target);
}
