/* SPDX-License-Identifier: MIT */
/*
 * Documents that arrive, see documents.h.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "control/documents.h"

const struct hak_document_key hak_document_keys[] = {
#define KEY(document, name, kind, need, inner) \
	{ HAK_DOCUMENT_##document, name, HAK_KIND_##kind, HAK_NEED_##need, HAK_DOCUMENT_##inner },
#include "control/documents.def"
#undef KEY
};
const size_t hak_document_keys_n = sizeof(hak_document_keys) / sizeof(hak_document_keys[0]);

#define PLACE_BYTES 160

enum hak_document hak_document_of(enum hak_report what, bool *ret_rows)
{
	static const enum hak_document documents[] = {
		[HAK_REPORT_LIST] = HAK_DOCUMENT_LIST,
		[HAK_REPORT_STATS] = HAK_DOCUMENT_STATS,
		[HAK_REPORT_CLASSES] = HAK_DOCUMENT_CLASSES,
		[HAK_REPORT_VALUES] = HAK_DOCUMENT_VALUE,
		[HAK_REPORT_TUNABLES] = HAK_DOCUMENT_TUNABLE,
	};

	*ret_rows = what == HAK_REPORT_VALUES || what == HAK_REPORT_TUNABLES;
	return documents[what];
}

/* -- one value --------------------------------------------------------------------------------- */
static bool is_kind(struct json_object *value, enum hak_document_kind kind)
{
	switch (kind) {
	case HAK_KIND_NUMBER:
		return json_object_is_type(value, json_type_int) &&
		       json_object_get_int64(value) >= 0;
	case HAK_KIND_RATIO:
		return (json_object_is_type(value, json_type_double) ||
			json_object_is_type(value, json_type_int)) &&
		       isfinite(json_object_get_double(value)) &&
		       json_object_get_double(value) >= 0;
	case HAK_KIND_TEXT:
		return json_object_is_type(value, json_type_string);
	case HAK_KIND_BOOL:
		return json_object_is_type(value, json_type_boolean);
	case HAK_KIND_OBJECT:
		return json_object_is_type(value, json_type_object);
	case HAK_KIND_ROWS:
		return json_object_is_type(value, json_type_array);
	case HAK_KIND_ALL_OF:
		break;
	}
	return false;
}

static const char *kind_word(enum hak_document_kind kind)
{
	static const char *const words[] = {
		[HAK_KIND_NUMBER] = "a whole number from 0 on",
		[HAK_KIND_RATIO] = "a number from 0 on",
		[HAK_KIND_TEXT] = "a text",
		[HAK_KIND_BOOL] = "true or false",
		[HAK_KIND_OBJECT] = "an object",
		[HAK_KIND_ROWS] = "an array",
	};

	return words[kind];
}

/* -- a document -------------------------------------------------------------------------------- */
static int check_object(struct json_object *o, enum hak_document document, const char *at,
			char why[HAK_WHY_TEXT]);

/* Makes the place of a key in the object at `at`, which is "" for the whole document. */
static void place_of(const char *at, const char *name, char place[PLACE_BYTES])
{
	snprintf(place, PLACE_BYTES, "%.80s%s%.60s", at, *at ? "." : "", name);
}

static int check_rows(struct json_object *rows, enum hak_document document, const char *at,
		      char why[HAK_WHY_TEXT])
{
	size_t n = json_object_array_length(rows);
	char place[PLACE_BYTES];
	int r = 0;

	if (n > HAK_DOCUMENT_ROWS) {
		snprintf(why, HAK_WHY_TEXT, "`%s` has more than %u elements", at,
			 HAK_DOCUMENT_ROWS);
		return -EBADMSG;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		snprintf(place, sizeof(place), "%.80s[%zu]", at, i);
		if (json_object_is_type(row, json_type_object)) {
			r = check_object(row, document, place, why);
		} else {
			snprintf(why, HAK_WHY_TEXT, "`%s` is not an object", place);
			r = -EBADMSG;
		}
	}
	return r;
}

static int check_value(struct json_object *value, const struct hak_document_key *key,
		       const char *at, const char *name, char why[HAK_WHY_TEXT])
{
	char place[PLACE_BYTES];

	place_of(at, name, place);
	if (!value && key->need != HAK_NEED_MUST)
		return 0;
	if (!is_kind(value, key->kind)) {
		snprintf(why, HAK_WHY_TEXT, "`%s` is not %s", place, kind_word(key->kind));
		return -EBADMSG;
	}
	if (key->kind == HAK_KIND_OBJECT)
		return check_object(value, key->inner, place, why);
	if (key->kind == HAK_KIND_ROWS)
		return check_rows(value, key->inner, place, why);
	return 0;
}

static bool has_row(enum hak_document document, const char *name)
{
	for (size_t i = 0; i < hak_document_keys_n; i++)
		if (hak_document_keys[i].document == document &&
		    strcmp(hak_document_keys[i].name, name) == 0)
			return true;
	return false;
}

/* Checks every key that has no row of its own. */
static int check_others(struct json_object *o, const struct hak_document_key *key, const char *at,
			char why[HAK_WHY_TEXT])
{
	int r = 0;

	json_object_object_foreach(o, name, value) if (r == 0 && !has_row(key->document, name))
		r = check_value(value, key, at, name, why);
	return r;
}

static int check_object(struct json_object *o, enum hak_document document, const char *at,
			char why[HAK_WHY_TEXT])
{
	char place[PLACE_BYTES];
	int r = 0;

	for (size_t i = 0; r == 0 && i < hak_document_keys_n; i++) {
		const struct hak_document_key *key = &hak_document_keys[i];
		struct json_object *value;

		if (key->document != document)
			continue;
		if (key->kind == HAK_KIND_ALL_OF) {
			r = check_object(o, key->inner, at, why);
		} else if (strcmp(key->name, "*") == 0) {
			r = check_others(o, key, at, why);
		} else if (json_object_object_get_ex(o, key->name, &value)) {
			r = check_value(value, key, at, key->name, why);
		} else if (key->need != HAK_NEED_MAY) {
			place_of(at, key->name, place);
			snprintf(why, HAK_WHY_TEXT, "no `%s`", place);
			r = -EBADMSG;
		}
	}
	return r;
}

/* ALL_OF counts; "*" has a row for every key. */
static const struct hak_document_key *row_of(enum hak_document document, const char *name)
{
	const struct hak_document_key *found = NULL;

	for (size_t i = 0; !found && i < hak_document_keys_n; i++) {
		const struct hak_document_key *key = &hak_document_keys[i];

		if (key->document != document)
			continue;
		if (key->kind == HAK_KIND_ALL_OF)
			found = row_of(key->inner, name);
		else if (strcmp(key->name, name) == 0 || strcmp(key->name, "*") == 0)
			found = key;
	}
	return found;
}

static bool is_elsewhere(const char *name)
{
	for (size_t i = 0; i < hak_document_keys_n; i++)
		if (strcmp(hak_document_keys[i].name, name) == 0)
			return true;
	return false;
}

/* A printer would take such a key for that of another document, and it was not checked. */
static void drop_misplaced(struct json_object *o, enum hak_document document)
{
	/* json-c allows the loop to delete its current key. */
	json_object_object_foreach(o, name, value)
	{
		const struct hak_document_key *key = row_of(document, name);

		if (!key && is_elsewhere(name))
			json_object_object_del(o, name);
		else if (key && value && key->kind == HAK_KIND_OBJECT)
			drop_misplaced(value, key->inner);
		for (size_t i = 0; key && value && key->kind == HAK_KIND_ROWS &&
				   i < json_object_array_length(value);
		     i++)
			drop_misplaced(json_object_array_get_idx(value, i), key->inner);
	}
}

int hak_document_check(struct json_object *o, enum hak_document document, bool rows,
		       char why[HAK_WHY_TEXT])
{
	int r;

	if (!json_object_is_type(o, rows ? json_type_array : json_type_object)) {
		snprintf(why, HAK_WHY_TEXT, "it is not %s",
			 kind_word(rows ? HAK_KIND_ROWS : HAK_KIND_OBJECT));
		return -EBADMSG;
	}
	r = rows ? check_rows(o, document, "", why) : check_object(o, document, "", why);
	for (size_t i = 0; r == 0 && rows && i < json_object_array_length(o); i++)
		drop_misplaced(json_object_array_get_idx(o, i), document);
	if (r == 0 && !rows)
		drop_misplaced(o, document);
	return r;
}

/* -- from text --------------------------------------------------------------------------------- */
size_t hak_document_values(const char *text)
{
	bool quoted = false;
	size_t n = 1;

	for (; *text; text++) {
		if (quoted && *text == '\\' && text[1])
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (!quoted)
			n += *text == ',' || *text == '[' || *text == '{';
	}
	return n;
}

/* Returns NULL with the fault in `why`. json-c refuses nesting that is too deep; a whole number
 * beyond 64 bits becomes the largest one. */
static struct json_object *parse(const char *text, char why[HAK_WHY_TEXT])
{
	struct json_tokener *t = json_tokener_new_ex(HAK_DOCUMENT_DEPTH);
	size_t n = strnlen(text, HAK_DOCUMENT_BYTES + 1);
	struct json_object *o = NULL;

	snprintf(why, HAK_WHY_TEXT, "out of memory");
	if (t && n > HAK_DOCUMENT_BYTES) {
		snprintf(why, HAK_WHY_TEXT, "it is longer than %u bytes", HAK_DOCUMENT_BYTES);
	} else if (t && hak_document_values(text) > HAK_DOCUMENT_VALUES) {
		snprintf(why, HAK_WHY_TEXT, "it has more than %u values", HAK_DOCUMENT_VALUES);
	} else if (t) {
		json_tokener_set_flags(t, JSON_TOKENER_STRICT);
		/* Includes the NUL, which ends a number or a word. */
		o = json_tokener_parse_ex(t, text, (int)n + 1);
		if (!o)
			snprintf(why, HAK_WHY_TEXT, "it is no JSON: %s",
				 json_tokener_error_desc(json_tokener_get_error(t)));
	}
	if (t)
		json_tokener_free(t);
	return o;
}

int hak_document_read(const char *text, enum hak_document document, bool rows,
		      struct json_object **ret, char why[HAK_WHY_TEXT])
{
	struct json_object *o = parse(text, why);
	int r;

	if (!o)
		return -EBADMSG;
	o = hak_json_escape(o);
	r = hak_document_check(o, document, rows, why);
	if (r < 0) {
		json_object_put(o);
		return r;
	}
	*ret = o;
	return 0;
}
