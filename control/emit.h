/* SPDX-License-Identifier: MIT */
/*
 * What a program of ours says: JSON documents, and tables of the same rows for people.
 *
 * For: hakmemctl, hakmemd. A verb builds its answer once, as JSON with raw numbers; a table is the
 * same rows seen through a list of columns. Strings go in through hak_json_text(), which escapes
 * them, so that neither a terminal nor a JSON parser ever meets a stranger's bytes.
 */
#ifndef HAK_EMIT_H
#define HAK_EMIT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "control/value.h"

/* Of the shapes of all documents: +1 when a key goes or changes its meaning, not when one is added.
 */
#define HAK_JSON_SCHEMA 1

enum hak_json_mode { HAK_JSON_OFF, HAK_JSON_SHORT, HAK_JSON_PRETTY };

/* How a column shows the value of its key; null is "-". */
enum hak_show {
	HAK_SHOW_TEXT,
	HAK_SHOW_NUMBER,
	HAK_SHOW_BYTES,
	HAK_SHOW_NS,
	HAK_SHOW_RESULT,	/* text, coloured by what it means: applied, pending, refused... */
};

struct hak_column {
	const char *head, *key;
	enum hak_show show;
	bool hidden;		/* shown only when asked for by -o */
};

struct hak_style {
	bool legend, color;
	const char *columns;	/* "PID,COMM", any case; NULL: all that are not hidden */
};

/* {"schema":1,"verb":VERB} */
struct json_object *hak_json_document(const char *verb);
void hak_json_text(struct json_object *o, const char *key, const char *text);	/* NULL: null */
void hak_json_number(struct json_object *o, const char *key, uint64_t value);
void hak_json_signed(struct json_object *o, const char *key, int64_t value);
void hak_json_bool(struct json_object *o, const char *key, bool value);
void hak_json_null(struct json_object *o, const char *key);
void hak_json_ratio(struct json_object *o, const char *key, double value); /* up to 4 decimals */
uint64_t hak_json_get(struct json_object *o, const char *key);			/* 0 if absent */
const char *hak_json_get_text(struct json_object *o, const char *key);		/* NULL if absent */

/* 0, -EINVAL (style->columns names an unknown one; `why` lists what there is), -ENOMEM, -EIO. */
int hak_emit_table(FILE *to, struct json_object *rows, const struct hak_column *columns, size_t n,
		   const struct hak_style *style, char why[HAK_WHY_TEXT]);

/* 0 or -EIO. */
int hak_emit_json(FILE *to, struct json_object *document, enum hak_json_mode mode);

/* 0, or -EINVAL as hak_emit_table() would say, before any work is done. */
int hak_emit_check_columns(const struct hak_column *columns, size_t n, const char *names,
			   char why[HAK_WHY_TEXT]);

#endif
