/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl describe: prints the descriptions of tunables and counters, and of the words that stats
 * and list print (words.h). They are not in the segment, so only names that this program was built
 * with can be described.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/nearest.h"
#include "control/abi/schema.h"
#include "control/value.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/words.h"

/* Prints the sentence, wrapped between the margins. */
static void print_wrapped(FILE *to, const char *text)
{
	enum { LEFT = 4, RIGHT = 78 };
	int column = 0;

	while (*text) {
		int bytes = (int)strcspn(text, " ");

		if (column == 0)
			column = fprintf(to, "%*s%.*s", LEFT, "", bytes, text);
		else if (column + 1 + bytes <= RIGHT)
			column += fprintf(to, " %.*s", bytes, text);
		else
			column = fprintf(to, "\n%*s%.*s", LEFT, "", bytes, text) - 1;
		text += bytes + (text[bytes] == ' ');
	}
	fputc('\n', to);
}

static void tunable(struct json_object *rows, const struct hak_tunable_row *row, FILE *to)
{
	struct json_object *o = json_object_new_object();
	struct hak_spec spec = hak_spec_of_row(row);
	char accepts[HAK_WHY_TEXT], dflt[HAK_VALUE_TEXT];

	hak_spec_accepts(&spec, accepts);
	hak_value_format(&spec, row->dflt, dflt);
	hak_json_text(o, "name", row->name);
	hak_json_text(o, "kind", "tunable");
	hak_json_number(o, "id", row->id);
	hak_json_text(o, "type", hak_type_word(row->type));
	hak_json_text(o, "unit", hak_unit_word(row->unit));
	hak_json_text(o, "when", hak_when_word(row->when));
	hak_json_number(o, "default", row->dflt);
	hak_json_number(o, "min", row->min);
	hak_json_number(o, "max", row->max);
	hak_json_text(o, "values", row->values);
	hak_json_text(o, "accepts", accepts);
	hak_json_text(o, "doc", row->doc);
	json_object_array_add(rows, o);
	if (!to)
		return;
	fprintf(to, "%s: tunable, takes effect %s\n", row->name, hak_effect_text(row->when));
	print_wrapped(to, row->doc);
	fprintf(to, "    Takes %s. Default %s.\n", accepts, dflt);
}

static void counter(struct json_object *rows, const struct hak_counter_row *row, FILE *to)
{
	struct json_object *o = json_object_new_object();

	hak_json_text(o, "name", row->name);
	hak_json_text(o, "kind", hak_kind_word(row->kind));
	hak_json_number(o, "id", row->id);
	hak_json_text(o, "unit", hak_unit_word(row->unit));
	hak_json_text(o, "scope", hak_scope_word(row->scope));
	hak_json_text(o, "doc", row->doc);
	json_object_array_add(rows, o);
	if (!to)
		return;
	fprintf(to, "%s: %s, %s, kept per %s\n", row->name, hak_kind_word(row->kind),
		hak_unit_word(row->unit), hak_scope_word(row->scope));
	print_wrapped(to, row->doc);
}

/* The words wanted, and where they go. */
struct words {
	struct json_object *rows;
	const char *wanted;
	FILE *to;
};

static void add_word(const struct ctl_word *word, void *arg)
{
	const struct words *w = arg;
	struct json_object *o;

	if (strcasecmp(word->word, w->wanted) != 0)
		return;
	o = json_object_new_object();
	hak_json_text(o, "name", word->word);
	hak_json_text(o, "kind", "word");
	hak_json_text(o, "where", word->where);
	hak_json_text(o, "doc", word->doc);
	json_object_array_add(w->rows, o);
	if (!w->to)
		return;
	fprintf(w->to, "%s: %s\n", word->word, word->where);
	print_wrapped(w->to, word->doc);
}

/* A row of the table of system calls is the sum of the counters sys.CALL. */
static void describe_call(struct json_object *rows, const char *call, FILE *to)
{
	size_t bytes = strlen(call);

	for (size_t i = 0; i < hak_counter_rows_n; i++) {
		const char *name = hak_counter_rows[i].name;

		if (strncmp(name, "sys.", 4) == 0 && strncmp(name + 4, call, bytes) == 0 &&
		    name[4 + bytes] == '.')
			counter(rows, &hak_counter_rows[i], to);
	}
}

/* Describes the names that match a name or a shell pattern such as whale.*, and returns their
 * number. */
static size_t describe(struct json_object *rows, const char *pattern, FILE *to)
{
	size_t before = json_object_array_length(rows);

	for (size_t i = 0; i < hak_tunable_rows_n; i++)
		if (fnmatch(pattern, hak_tunable_rows[i].name, 0) == 0)
			tunable(rows, &hak_tunable_rows[i], to);
	for (size_t i = 0; i < hak_counter_rows_n; i++)
		if (fnmatch(pattern, hak_counter_rows[i].name, 0) == 0)
			counter(rows, &hak_counter_rows[i], to);
	if (json_object_array_length(rows) == before)
		describe_call(rows, pattern, to);
	ctl_words(add_word, &(struct words){ rows, pattern, to });
	return json_object_array_length(rows) - before;
}

static void see_word(const struct ctl_word *word, void *arg)
{
	hak_nearest_see(arg, word->word);
}

static void complain(const char *word)
{
	struct hak_nearest near = hak_nearest_begin(word);
	char text[HAK_WHY_TEXT];

	for (size_t i = 0; i < hak_tunable_rows_n; i++)
		hak_nearest_see(&near, hak_tunable_rows[i].name);
	for (size_t i = 0; i < hak_counter_rows_n; i++)
		hak_nearest_see(&near, hak_counter_rows[i].name);
	ctl_words(see_word, &near);
	hak_nearest_say(&near, "", text);
	ctl_complain("hakmemctl: there is no tunable, counter or word \"%s\"%s\n", word, text);
}

int verb_describe(struct ctl *ctl, int argc, char **argv)
{
	struct json_object *document, *rows;
	int result = CTL_OK;
	FILE *to = NULL;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(
			ctl,
			"expects names of tunables or counters, patterns such as 'whale.*', or "
			"words of stats and list");
	document = hak_json_document("describe");
	rows = json_object_new_array();
	json_object_object_add(document, "rows", rows);
	if (ctl->json == HAK_JSON_OFF)
		to = ctl_pager_begin(ctl);
	for (int i = optind; i < argc; i++) {
		if (describe(rows, argv[i], to))
			continue;
		complain(argv[i]);
		result = CTL_NOTHING;
	}
	if (to)
		ctl_pager_end(to);
	else
		hak_emit_json(stdout, document, ctl->json);
	json_object_put(document);
	return result;
}
