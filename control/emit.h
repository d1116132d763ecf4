/* SPDX-License-Identifier: MIT */
/*
 * Tables for people: the rows of a JSON document, shown through a list of columns.
 *
 * For hakmemctl. A verb builds its answer once, as JSON with raw numbers (json.h).
 */
#ifndef HAK_EMIT_H
#define HAK_EMIT_H

#include <stdbool.h>
#include <stdio.h>

#include "control/json.h"
#include "control/value.h"

/* How a column shows the value of its key. null is shown as "-". */
enum hak_show {
	HAK_SHOW_TEXT,
	HAK_SHOW_NUMBER,
	HAK_SHOW_BYTES,
	HAK_SHOW_NS,
	HAK_SHOW_RATE,	 /* a number that may be a fraction */
	HAK_SHOW_RESULT, /* text, coloured by what it means: applied, pending, refused... */
};

struct hak_column {
	const char *head, *key;
	enum hak_show show;
	bool hidden; /* shown only when named by -o */
	bool id;     /* the number is a name, and has no sum */
	int width;   /* for hak_emit_line() */
};

struct hak_style {
	bool legend, color;
	const char *columns; /* "PID,COMM", in any case; NULL: all that are not hidden */
};

/*
 * Returns 0, -EINVAL (style->columns names an unknown column; `why` lists the known ones), -ENOMEM
 * or -EIO.
 */
int hak_emit_table(FILE *to, struct json_object *rows, const struct hak_column *columns, size_t n,
		   const struct hak_style *style, char why[HAK_WHY_TEXT]);

/*
 * Prints one row of a table whose rows come one after the other, by the widths of the columns, and
 * with `heading` the headings before it. Returns 0 or -EINVAL.
 */
int hak_emit_line(FILE *to, struct json_object *row, const struct hak_column *columns, size_t n,
		  const struct hak_style *style, bool heading, char why[HAK_WHY_TEXT]);

/* Returns the column of that name, in any case; NULL: there is none, and `why` lists them. */
const struct hak_column *hak_emit_column(const struct hak_column *columns, size_t n,
					 const char *name, char why[HAK_WHY_TEXT]);

/* Returns 0, or -EINVAL as hak_emit_table() would, before any work is done. */
int hak_emit_check_columns(const struct hak_column *columns, size_t n, const char *names,
			   char why[HAK_WHY_TEXT]);

#endif
