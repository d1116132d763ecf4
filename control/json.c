/* SPDX-License-Identifier: MIT */
/*
 * JSON by json-c, see json.h. When memory runs out while an answer is built, the program ends: it
 * has changed nothing yet, and half an answer would mislead.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/json.h"

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	if (json_object_object_add(o, key, value) < 0)
		errx(1, "out of memory");
}

struct json_object *hak_json_document(const char *verb)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		errx(1, "out of memory");
	hak_json_number(o, "schema", HAK_JSON_SCHEMA);
	hak_json_text(o, "verb", verb);
	return o;
}

void hak_json_text(struct json_object *o, const char *key, const char *text)
{
	char *escaped;

	if (!text) {
		add(o, key, NULL);
		return;
	}
	escaped = malloc(4 * strlen(text) + 1);
	if (!escaped)
		errx(1, "out of memory");
	hak_escape(text, escaped, 4 * strlen(text) + 1);
	add(o, key, json_object_new_string(escaped));
	free(escaped);
}

void hak_json_number(struct json_object *o, const char *key, uint64_t value)
{
	add(o, key, json_object_new_uint64(value));
}

void hak_json_signed(struct json_object *o, const char *key, int64_t value)
{
	add(o, key, json_object_new_int64(value));
}

void hak_json_bool(struct json_object *o, const char *key, bool value)
{
	add(o, key, json_object_new_boolean(value));
}

void hak_json_null(struct json_object *o, const char *key)
{
	add(o, key, NULL);
}

void hak_json_ratio(struct json_object *o, const char *key, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.4f", value);
	add(o, key, json_object_new_double_s(value, text));
}

void hak_json_part(struct json_object *o, const char *key, uint64_t part, uint64_t whole)
{
	if (whole)
		hak_json_ratio(o, key, (double)part / (double)whole);
	else
		hak_json_null(o, key);
}

static struct json_object *escape_string(struct json_object *o)
{
	size_t n = (size_t)json_object_get_string_len(o), used;
	char *escaped = malloc(4 * n + 1);

	if (!escaped)
		errx(1, "out of memory");
	used = hak_escape_bytes(json_object_get_string(o), n, escaped, 4 * n + 1);
	json_object_set_string_len(o, escaped, (int)used);
	free(escaped);
	return o;
}

static struct json_object *escape_members(struct json_object *o)
{
	struct json_object *clean = json_object_new_object();

	json_object_object_foreach(o, key, value)
	{
		char *escaped = malloc(4 * strlen(key) + 1);

		if (!escaped)
			errx(1, "out of memory");
		hak_escape(key, escaped, 4 * strlen(key) + 1);
		add(clean, escaped, hak_json_escape(json_object_get(value)));
		free(escaped);
	}
	json_object_put(o);
	return clean;
}

struct json_object *hak_json_escape(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_string:
		return escape_string(o);
	case json_type_object:
		return escape_members(o);
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(o); i++) {
			struct json_object *element = json_object_array_get_idx(o, i);

			json_object_array_put_idx(o, i, hak_json_escape(json_object_get(element)));
		}
		return o;
	default:
		return o;
	}
}

struct json_object *hak_json_member(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? value : NULL;
}

uint64_t hak_json_get(struct json_object *o, const char *key)
{
	struct json_object *value = hak_json_member(o, key);

	return value ? json_object_get_uint64(value) : 0;
}

const char *hak_json_get_text(struct json_object *o, const char *key)
{
	struct json_object *value = hak_json_member(o, key);

	return value ? json_object_get_string(value) : NULL;
}

int hak_emit_json(FILE *to, struct json_object *document, enum hak_json_mode mode)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= mode == HAK_JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : 0;
	return fprintf(to, "%s\n", json_object_to_json_string_ext(document, flags)) < 0 ? -EIO : 0;
}
