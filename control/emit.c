/* SPDX-License-Identifier: MIT */
/*
 * Tables by libsmartcols, see emit.h.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/emit.h"

/* -- tables ------------------------------------------------------------------------------------ */
static const struct hak_column *column_named(const struct hak_column *columns, size_t n,
					     const char *name, size_t bytes)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(columns[i].head) == bytes &&
		    strncasecmp(columns[i].head, name, bytes) == 0)
			return &columns[i];
	return NULL;
}

static void no_column(const struct hak_column *columns, size_t n, const char *name, size_t bytes,
		      char why[HAK_WHY_TEXT])
{
	size_t used = (size_t)snprintf(why, HAK_WHY_TEXT, "there is no column \"%.*s\"; there are ",
				       bytes < 40 ? (int)bytes : 40, name);

	for (size_t i = 0; i < n && used < HAK_WHY_TEXT; i++)
		used += (size_t)snprintf(why + used, HAK_WHY_TEXT - used, "%s%s", i ? "," : "",
					 columns[i].head);
}

/* Selects up to `room` columns in the order of `names`. Returns their number, or -EINVAL. */
static int select_columns(const struct hak_column *columns, size_t n, const char *names,
			  const struct hak_column **selected, size_t room, char why[HAK_WHY_TEXT])
{
	size_t count = 0;

	for (size_t i = 0; !names && i < n; i++)
		if (!columns[i].hidden)
			selected[count++] = &columns[i];
	while (names && count < room) {
		size_t bytes = strcspn(names, ",");
		const struct hak_column *c = column_named(columns, n, names, bytes);

		if (!c) {
			no_column(columns, n, names, bytes, why);
			return -EINVAL;
		}
		selected[count++] = c;
		names = names[bytes] ? names + bytes + 1 : NULL;
	}
	return (int)count;
}

const struct hak_column *hak_emit_column(const struct hak_column *columns, size_t n,
					 const char *name, char why[HAK_WHY_TEXT])
{
	const struct hak_column *c = column_named(columns, n, name, strlen(name));

	if (!c)
		no_column(columns, n, name, strlen(name), why);
	return c;
}

#define COLUMNS_MAX 64

int hak_emit_check_columns(const struct hak_column *columns, size_t n, const char *names,
			   char why[HAK_WHY_TEXT])
{
	const struct hak_column *selected[COLUMNS_MAX];
	int count = select_columns(columns, n, names, selected, COLUMNS_MAX, why);

	return count < 0 ? count : 0;
}

static const char *color_of(const char *result)
{
	static const struct {
		const char *word, *color;
	} colors[] = {
		{ "applied", "green" },	 { "done", "green" },	  { "ok", "green" },
		{ "pending", "yellow" }, { "clamped", "yellow" }, { "overridden", "yellow" },
		{ "limited", "yellow" }, { "unknown", "yellow" }, { "refused", "red" },
		{ "failed", "red" },	 { "missing", "red" },
	};

	for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
		if (strcmp(colors[i].word, result) == 0)
			return colors[i].color;
	return NULL;
}

static void show(struct json_object *value, enum hak_show how, char out[HAK_VALUE_TEXT])
{
	if (how == HAK_SHOW_BYTES)
		hak_bytes_format(json_object_get_uint64(value), out);
	else if (how == HAK_SHOW_NS)
		hak_ns_format(json_object_get_uint64(value), out);
	else if (how == HAK_SHOW_RATE && json_object_get_double(value) > 0 &&
		 json_object_get_double(value) < 9.95)
		snprintf(out, HAK_VALUE_TEXT, "%.1f", json_object_get_double(value));
	else if (how == HAK_SHOW_RATE)
		snprintf(out, HAK_VALUE_TEXT, "%.0f", json_object_get_double(value));
	else
		snprintf(out, HAK_VALUE_TEXT, "%" PRIu64, json_object_get_uint64(value));
}

static int fill_cell(struct libscols_line *line, size_t at, struct json_object *row,
		     const struct hak_column *c)
{
	struct json_object *value = NULL;
	char text[HAK_VALUE_TEXT];
	int r;

	json_object_object_get_ex(row, c->key, &value);
	if (!value)
		return scols_line_set_data(line, at, "-");
	if (json_object_is_type(value, json_type_boolean))
		return scols_line_set_data(line, at, json_object_get_boolean(value) ? "yes" : "no");
	if (json_object_is_type(value, json_type_string)) {
		r = scols_line_set_data(line, at, json_object_get_string(value));
		if (c->show == HAK_SHOW_RESULT && r == 0)
			r = scols_cell_set_color(scols_line_get_cell(line, at),
						 color_of(json_object_get_string(value)));
		return r;
	}
	show(value, c->show, text);
	return scols_line_set_data(line, at, text);
}

static bool is_text(const struct hak_column *c)
{
	return c->show == HAK_SHOW_TEXT || c->show == HAK_SHOW_RESULT;
}

static int fill_table(struct libscols_table *table, struct json_object *rows,
		      const struct hak_column **columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int flags = is_text(columns[i]) ? 0 : SCOLS_FL_RIGHT;

		if (!scols_table_new_column(table, columns[i]->head, 0, flags))
			return -ENOMEM;
	}
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		int r = line ? 0 : -ENOMEM;

		for (size_t j = 0; r == 0 && j < n; j++)
			r = fill_cell(line, j, json_object_array_get_idx(rows, i), columns[j]);
		if (r < 0)
			return r;
	}
	return 0;
}

int hak_emit_table(FILE *to, struct json_object *rows, const struct hak_column *columns, size_t n,
		   const struct hak_style *style, char why[HAK_WHY_TEXT])
{
	const struct hak_column *selected[COLUMNS_MAX];
	struct libscols_table *table;
	int count = select_columns(columns, n, style->columns, selected, COLUMNS_MAX, why), r;

	if (count < 0)
		return count;
	if (json_object_array_length(rows) == 0)
		return 0;
	scols_init_debug(0);
	table = scols_new_table();
	if (!table)
		return -ENOMEM;
	scols_table_set_stream(table, to);
	scols_table_enable_noheadings(table, !style->legend);
	scols_table_enable_colors(table, style->color);
	/* Text was escaped already, to characters that every terminal and pipe takes. */
	scols_table_enable_noencoding(table, 1);
	r = fill_table(table, rows, selected, (size_t)count);
	if (r == 0)
		r = scols_print_table(table);
	scols_unref_table(table);
	return r;
}

/* -- a table that grows ------------------------------------------------------------------------ */
static void print_cell(FILE *to, const struct hak_column *c, const char *text, bool first)
{
	fprintf(to, "%s%*s", first ? "" : " ", is_text(c) ? -c->width : c->width, text);
}

static void print_value(FILE *to, struct json_object *row, const struct hak_column *c, bool first)
{
	struct json_object *value = hak_json_member(row, c->key);
	char text[HAK_VALUE_TEXT];

	if (value && is_text(c)) {
		print_cell(to, c, json_object_get_string(value), first);
		return;
	}
	strcpy(text, "-");
	if (value)
		show(value, c->show, text);
	print_cell(to, c, text, first);
}

int hak_emit_line(FILE *to, struct json_object *row, const struct hak_column *columns, size_t n,
		  const struct hak_style *style, bool heading, char why[HAK_WHY_TEXT])
{
	const struct hak_column *selected[COLUMNS_MAX];
	int count = select_columns(columns, n, style->columns, selected, COLUMNS_MAX, why);

	if (count < 0)
		return count;
	for (int i = 0; heading && i < count; i++)
		print_cell(to, selected[i], selected[i]->head, i == 0);
	if (heading)
		fputc('\n', to);
	for (int i = 0; i < count; i++)
		print_value(to, row, selected[i], i == 0);
	fputc('\n', to);
	return 0;
}
