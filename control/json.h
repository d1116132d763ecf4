/* SPDX-License-Identifier: MIT */
/*
 * JSON documents, by which the programs answer other programs.
 *
 * For hakmemctl and hakmemd. Numbers are raw. Strings go in through hak_json_text(), which escapes
 * them; a document that arrives goes through hak_json_escape(). So the content of every document
 * can be printed.
 */
#ifndef HAK_JSON_H
#define HAK_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The version of the shapes of all documents: +1 when a key goes or changes its meaning, not when
 * one is added. */
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
/* Adds the ratio of the two; null if `whole` is 0. */
void hak_json_part(struct json_object *o, const char *key, uint64_t part, uint64_t whole);
struct json_object *hak_json_member(struct json_object *o, const char *key); /* NULL if absent */
uint64_t hak_json_get(struct json_object *o, const char *key);		     /* 0 if absent */
const char *hak_json_get_text(struct json_object *o, const char *key);	     /* NULL if absent */

/*
 * Escapes every string and every key of the document. Takes the document over; the result may be
 * another one.
 */
struct json_object *hak_json_escape(struct json_object *o);

/* Returns 0 or -EIO. */
int hak_emit_json(FILE *to, struct json_object *document, enum hak_json_mode mode);

#endif
