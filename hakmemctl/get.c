/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl get: tunables in force, and the layer each comes from.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/snapshot.h"
#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "VALUE", "text", HAK_SHOW_TEXT },
	{ "RAW", "value", HAK_SHOW_NUMBER, .hidden = true },
	{ "ORIGIN", "origin", HAK_SHOW_TEXT },
	{ "EXPIRES", "expires_ns", HAK_SHOW_NS },
	{ "DEFAULT", "default", HAK_SHOW_TEXT, .hidden = true },
	{ "NOTE", "note", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct get {
	struct json_object *rows;
	char **names;
	int names_n;
	bool changed;		/* only what differs from its default: `tunables --changed` */
};

static struct json_object *layers_json(const struct hak_tunable_desc *desc,
				       const struct hak_tunable_state *s)
{
	struct json_object *o = json_object_new_object();

	for (unsigned origin = 0; origin < HAK_ORIGINS; origin++) {
		const char *word = hak_origin_word(origin);

		if (origin == HAK_ORIGIN_DEFAULT)
			hak_json_number(o, word, desc->dflt);
		else if (!(s->ack.set & 1u << origin))
			hak_json_null(o, word);
		else if (origin >= HAK_ORIGIN_POLICY)
			hak_json_number(o, word, s->slot[origin].value);
		else
			hak_json_number(o, word, s->ack.layer[origin]);
	}
	return o;
}

static const char *note_of(const struct hak_tunable_state *s)
{
	if (s->pending)
		return "a change is pending";
	if (s->ack.refused)
		return "a change was refused";
	return s->ack.clamped ? "clamped to its range" : "";
}

static void add_row(struct get *get, const struct hak_segment *seg, uint32_t i,
		    const struct hak_tunable_state *s)
{
	const struct hak_tunable_desc *desc = &seg->tunable[i];
	struct hak_spec spec = hak_spec_of_desc(desc);
	struct json_object *o = ctl_process(seg);
	char text[HAK_VALUE_TEXT];

	hak_json_text(o, "name", desc->name);
	hak_json_number(o, "value", s->ack.value);
	hak_value_format(&spec, s->ack.value, text);
	hak_json_text(o, "text", text);
	hak_json_text(o, "origin", hak_origin_word(s->ack.origin));
	hak_json_bool(o, "clamped", s->ack.clamped);
	hak_json_bool(o, "refused", s->ack.refused);
	hak_json_bool(o, "pending", s->pending);
	if (s->expires_ns)
		hak_json_number(o, "expires_ns", s->expires_ns);
	else
		hak_json_null(o, "expires_ns");
	hak_value_format(&spec, desc->dflt, text);
	hak_json_text(o, "default", text);
	json_object_object_add(o, "layers", layers_json(desc, s));
	hak_json_text(o, "note", note_of(s));
	json_object_array_add(get->rows, o);
}

static int add_named(struct get *get, const struct hak_segment *seg,
		     const struct hak_tunable_state *states)
{
	int result = CTL_OK;

	for (int i = 0; i < get->names_n; i++) {
		int index = hak_segment_tunable(seg, get->names[i]);

		if (index >= 0) {
			add_row(get, seg, (uint32_t)index, &states[index]);
			continue;
		}
		fprintf(stderr, "hakmemctl: process %d has no tunable \"%s\"\n", (int)seg->pid,
			get->names[i]);
		result = CTL_FAILED;
	}
	return result;
}

static int add_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct get *get = arg;
	struct hak_tunable_state *states;
	int r = hak_tunables_read(seg, &states);

	if (r < 0) {
		fprintf(stderr, "hakmemctl: process %d: %s\n", (int)seg->pid, strerror(-r));
		return ctl_exit_code(r);
	}
	r = add_named(get, seg, states);
	for (uint32_t i = 0; get->names_n == 0 && i < seg->header.tunables; i++)
		if (!get->changed || states[i].ack.value != seg->tunable[i].dflt)
			add_row(get, seg, i, &states[i]);
	free(states);
	return r;
}

int ctl_get(struct ctl *ctl, const char *target, char **names, int names_n, bool changed)
{
	struct json_object *document = hak_json_document(ctl->verb->name);
	struct get get = { .rows = json_object_new_array(), .names = names, .names_n = names_n,
			   .changed = changed };
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0) {
		json_object_put(document);
		json_object_put(get.rows);
		return ctl_usage(ctl, "%s", why);
	}
	json_object_object_add(document, changed ? "changed" : "values", get.rows);
	r = ctl_each(ctl, target, 0, add_process, NULL, &get);
	printed = ctl_answer(ctl, document, get.rows, columns, COLUMNS);
	return r ? r : printed;
}

int verb_get(struct ctl *ctl, int argc, char **argv)
{
	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(ctl, "it takes a TARGET and names of tunables");
	return ctl_get(ctl, argv[optind], argv + optind + 1, argc - optind - 1, false);
}
