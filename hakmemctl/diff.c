/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl diff: what grew between two processes, or between a saved snapshot and a process. An
 * argument that is a TARGET is a process that runs now; any other argument is a file that
 * `hakmemctl stats --json` wrote.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/target.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/growth.h"
#include "hakmemctl/saved.h"

/* -- the two sides ----------------------------------------------------------------------------- */
struct side {
	const char *text;	     /* the argument */
	struct json_object *reports; /* an array */
};

static int add_process(struct json_object *o, void *arg)
{
	json_object_array_add(arg, o);
	return CTL_OK;
}

static int read_live(struct ctl *ctl, struct side *side)
{
	const struct ctl_report report = { HAK_REPORT_CLASSES, add_process, NULL };

	side->reports = json_object_new_array();
	return ctl_report_each(ctl, side->text, &report, side->reports);
}

static int read_file(struct side *side)
{
	struct json_object *document;
	char why[HAK_WHY_TEXT];

	if (ctl_saved_read(side->text, &document, why) < 0) {
		ctl_complain("hakmemctl diff: %.200s: %s\n", side->text, why);
		return CTL_FAILED;
	}
	side->reports = json_object_get(hak_json_member(document, "processes"));
	json_object_put(document);
	return CTL_OK;
}

static bool is_target(const char *text)
{
	struct hak_target target;
	char why[HAK_WHY_TEXT];

	return hak_target_parse(text, &target, why) == 0;
}

/* Returns an exit code. On CTL_OK there is at least one report. */
static int read_side(struct ctl *ctl, struct side *side, bool file)
{
	int r = file || !is_target(side->text) ? read_file(side) : read_live(ctl, side);

	if (r == CTL_OK && json_object_array_length(side->reports) == 0)
		return CTL_NOTHING;
	return r;
}

/* Returns the only report of that side or, of several, the one about the process `pid`. */
static struct json_object *report_of(const struct side *side, uint64_t pid)
{
	size_t n = json_object_array_length(side->reports);

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(side->reports, i);

		if (n == 1 || hak_json_get(o, "pid") == pid)
			return o;
	}
	return NULL;
}

/* Chooses one report of each side. Where one side has a single process, it decides which process of
 * the other side is meant. */
static int choose(struct ctl *ctl, const struct side side[2], struct json_object *ret[2])
{
	size_t n[2] = { json_object_array_length(side[0].reports),
			json_object_array_length(side[1].reports) };
	int one = n[0] == 1 ? 0 : 1;
	uint64_t pid;

	if (n[0] > 1 && n[1] > 1)
		return ctl_usage(ctl, "%zu and %zu processes; give the PID of one", n[0], n[1]);
	ret[one] = json_object_array_get_idx(side[one].reports, 0);
	pid = hak_json_get(ret[one], "pid");
	ret[1 - one] = report_of(&side[1 - one], pid);
	if (ret[1 - one])
		return CTL_OK;
	ctl_complain("hakmemctl diff: %.200s has %zu processes, and none has the PID %" PRIu64 "\n",
		     side[1 - one].text, n[1 - one], pid);
	return CTL_NOTHING;
}

/* -- text -------------------------------------------------------------------------------------- */
enum unit { NUMBER, BYTES, TIME };

static void show(uint64_t value, enum unit unit, char out[HAK_VALUE_TEXT])
{
	if (unit == BYTES)
		hak_bytes_format(value, out);
	else if (unit == TIME)
		hak_ns_format(value, out);
	else
		snprintf(out, HAK_VALUE_TEXT, "%" PRIu64, value);
}

static void add_shown(struct json_object *row, const char *key, uint64_t value, enum unit unit)
{
	char text[HAK_VALUE_TEXT];

	show(value, unit, text);
	hak_json_text(row, key, text);
}

static void add_signed(struct json_object *row, const char *key, double value, enum unit unit)
{
	char text[HAK_VALUE_TEXT], all[HAK_VALUE_TEXT + 1];
	double size = value < 0 ? -value : value;

	if (unit == NUMBER && size < 1e15)
		snprintf(text, sizeof(text),
			 size < 10 && size > (double)(int)size ? "%.1f" : "%.0f", size);
	else
		show(size < 1.8e19 ? (uint64_t)size : UINT64_MAX, unit, text);
	snprintf(all, sizeof(all), "%s%s", value < 0 ? "-" : value > 0 ? "+" : "", text);
	hak_json_text(row, key, all);
}

/* The unit of a row whose first column is `name`. */
static enum unit unit_of(const char *name, struct json_object *row)
{
	const struct hak_counter_row *counter;

	if (strcmp(name, "faults") == 0)
		return NUMBER;
	if (strcmp(name, "counter") != 0)
		return BYTES;
	counter = hak_counter_row_find(hak_json_get_text(row, name));
	if (!counter || (counter->unit != HAK_UNIT_BYTES && counter->unit != HAK_UNIT_NS))
		return NUMBER;
	return counter->unit == HAK_UNIT_BYTES ? BYTES : TIME;
}

static void add_if(struct json_object *to, struct json_object *from, const char *key)
{
	struct json_object *value = hak_json_member(from, key);

	if (value)
		add_signed(to, key, json_object_get_double(value), NUMBER);
}

/* Makes the row of a table: text only. `name` is the key of the first column. */
static struct json_object *shown_row(struct json_object *row, const char *name)
{
	struct json_object *o = json_object_new_object();
	struct json_object *rate = hak_json_member(row, "per_second");
	enum unit unit = unit_of(name, row);

	hak_json_text(o, name, hak_json_get_text(row, name));
	add_shown(o, "before", hak_json_get(row, "before"), unit);
	add_shown(o, "after", hak_json_get(row, "after"), unit);
	add_signed(o, "change", json_object_get_double(hak_json_member(row, "change")), unit);
	if (rate)
		add_signed(o, "per_second", json_object_get_double(rate), unit);
	add_if(o, row, "blocks_change");
	add_if(o, row, "allocs_per_second");
	if (hak_json_member(row, "size"))
		hak_json_text(o, "tier", hak_json_get_text(row, "tier"));
	return o;
}

static bool has_changed(struct json_object *row)
{
	return json_object_get_int64(hak_json_member(row, "change")) != 0 ||
	       json_object_get_int64(hak_json_member(row, "blocks_change")) != 0;
}

struct table {
	const char *title, *rows, *name;
	bool changed_only;
	const struct hak_column *columns;
	size_t n;
};

/* A column of text whose kind is NUMBER stands to the right. */
#define COMMON                                                                          \
	{ "BEFORE", "before", HAK_SHOW_NUMBER }, { "AFTER", "after", HAK_SHOW_NUMBER }, \
		{ "CHANGE", "change", HAK_SHOW_NUMBER },                                \
	{                                                                               \
		"PER-SECOND", "per_second", HAK_SHOW_NUMBER                             \
	}
#define USE                                                      \
	{ "BLOCKS", "blocks_change", HAK_SHOW_NUMBER },          \
	{                                                        \
		"ALLOCS/S", "allocs_per_second", HAK_SHOW_NUMBER \
	}
static const struct hak_column state_columns[] = { { "STATE", "state", HAK_SHOW_TEXT }, COMMON };
static const struct hak_column tier_columns[] = { { "TIER", "tier", HAK_SHOW_TEXT }, COMMON, USE };
static const struct hak_column class_columns[] = { { "SIZE", "size", HAK_SHOW_NUMBER },
						   { "TIER", "tier", HAK_SHOW_TEXT },
						   COMMON,
						   USE };
static const struct hak_column fault_columns[] = { { "FAULTS", "faults", HAK_SHOW_TEXT }, COMMON };
static const struct hak_column counter_columns[] = { { "COUNTER", "counter", HAK_SHOW_TEXT },
						     COMMON };
#define COUNT(columns) columns, sizeof(columns) / sizeof((columns)[0])
static const struct table tables[] = {
	{ "MEMORY", "states", "state", false, COUNT(state_columns) },
	{ "RESIDENT", "resident", "state", false, COUNT(state_columns) },
	{ "TIERS, bytes in use", "tiers", "tier", false, COUNT(tier_columns) },
	{ "CLASSES that changed, bytes in use", "classes", "size", true, COUNT(class_columns) },
	{ "PAGE FAULTS", "faults", "faults", false, COUNT(fault_columns) },
	{ "COUNTERS that changed", "counters", "counter", true, COUNT(counter_columns) },
};

static void print_table(struct ctl *ctl, FILE *to, struct json_object *growth,
			const struct table *t)
{
	const struct hak_style style = { ctl->legend, ctl->color, NULL };
	struct json_object *rows = hak_json_member(growth, t->rows);
	struct json_object *shown = json_object_new_array();
	char why[HAK_WHY_TEXT];

	fprintf(to, "\n%s\n", t->title);
	for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!t->changed_only || has_changed(row))
			json_object_array_add(shown, shown_row(row, t->name));
	}
	if (!rows)
		fprintf(to, "  not known: a snapshot without --classes\n");
	else if (json_object_array_length(shown) == 0)
		fprintf(to, "  none\n");
	else
		hak_emit_table(to, shown, t->columns, t->n, &style, why);
	json_object_put(shown);
}

static void print_process(FILE *to, struct json_object *p)
{
	fprintf(to, "%s (%" PRIu64 "), hakmem %s", hak_json_get_text(p, "comm"),
		hak_json_get(p, "pid"), hak_json_get_text(p, "version"));
}

static void print(struct ctl *ctl, FILE *to, struct json_object *growth)
{
	struct json_object *span = hak_json_member(growth, "span_ns");
	char text[HAK_VALUE_TEXT];

	print_process(to, hak_json_member(growth, "before"));
	if (span) {
		hak_ns_format(json_object_get_uint64(span), text);
		fprintf(to, ", in %s\n", text);
	} else {
		fprintf(to, "\nand ");
		print_process(to, hak_json_member(growth, "after"));
		fprintf(to, "\nThere are no rates: the second is not a later snapshot of the "
			    "process of the first.\n");
	}
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		print_table(ctl, to, growth, &tables[i]);
}

/* -- the verb ---------------------------------------------------------------------------------- */
static void answer(struct ctl *ctl, struct json_object *report[2])
{
	struct json_object *document = hak_json_document("diff");
	struct json_object *growth = ctl_growth(report[0], report[1]);
	FILE *to;

	if (ctl->json != HAK_JSON_OFF) {
		json_object_object_add(document, "diff", json_object_get(growth));
		hak_emit_json(stdout, document, ctl->json);
	} else {
		to = ctl_pager_begin(ctl);
		print(ctl, to, growth);
		ctl_pager_end(to);
	}
	json_object_put(growth);
	json_object_put(document);
}

int verb_diff(struct ctl *ctl, int argc, char **argv)
{
	struct side side[2] = { { 0 } };
	struct json_object *report[2];
	const char *since = NULL;
	int option, r;

	while ((option = ctl_option(ctl, argc, argv)) >= 0)
		since = ctl->argument;
	if (option == -2)
		return ctl->failure;
	if (argc - optind != (since ? 1 : 2))
		return ctl_usage(ctl, since ? "expects one process with --since"
					    : "expects two processes or files");
	side[0].text = since ? since : argv[optind];
	side[1].text = argv[argc - 1];
	r = read_side(ctl, &side[0], since != NULL);
	if (r == CTL_OK)
		r = read_side(ctl, &side[1], false);
	if (r == CTL_OK)
		r = choose(ctl, side, report);
	if (r == CTL_OK)
		answer(ctl, report);
	json_object_put(side[0].reports);
	json_object_put(side[1].reports);
	return r;
}
