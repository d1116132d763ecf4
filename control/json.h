/* SPDX-License-Identifier: MIT */
/*
 * JSON documents, which is how our programs answer programs.
 *
 * For: hakmemctl, hakmemd. Numbers are raw. Strings go in through hak_json_text(), which escapes
 * them; a document that arrives goes through hak_json_escape(). What is in a document can be
 * printed.
 */
#ifndef HAK_JSON_H
#define HAK_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Of the shapes of all documents: +1 when a key goes or changes its meaning, not when one is added.
 */
#define HAK_JSON_SCHEMA 1

enum hak_json_mode { HAK_JSON_OFF, HAK_JSON_SHORT, HAK_JSON_PRETTY };

/* {"schema":1,"verb":VERB} */
struct json_object *hak_json_document(const char *verb);
void hak_json_text(struct json_object *o, const char *key, const char *text); /* NULL: null */
void hak_json_number(struct json_object *o, const char *key, uint64_t value);
void hak_json_signed(struct json_object *o, const char *key, int64_t value);
void hak_json_bool(struct json_object *o, const char *key, bool value);
void hak_json_null(struct json_object *o, const char *key);
void hak_json_ratio(struct json_object *o, const char *key, double value); /* up to 4 decimals */
/* The ratio of the two; null where there is no whole. */
void hak_json_part(struct json_object *o, const char *key, uint64_t part, uint64_t whole);
uint64_t hak_json_get(struct json_object *o, const char *key);	       /* 0 if absent */
const char *hak_json_get_text(struct json_object *o, const char *key); /* NULL if absent */

/* The document with every string and every key in it escaped. Takes it over; it may be another. */
struct json_object *hak_json_escape(struct json_object *o);

/* 0 or -EIO. */
int hak_emit_json(FILE *to, struct json_object *document, enum hak_json_mode mode);

#endif
