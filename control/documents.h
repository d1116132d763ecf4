/* SPDX-License-Identifier: MIT */
/*
 * JSON documents that arrive. They are read from text, made printable, and checked against
 * documents.def, so that later code can rely on the keys.
 *
 * For hakmemctl and tests. Uses plain memory and has no state.
 */
#ifndef HAK_DOCUMENTS_H
#define HAK_DOCUMENTS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "control/report.h"

/* In the order of their rows in documents.def. */
enum hak_document {
	HAK_DOCUMENT_NONE,
	HAK_DOCUMENT_PROCESS,
	HAK_DOCUMENT_LIST,
	HAK_DOCUMENT_STATS,
	HAK_DOCUMENT_CLASSES,
	HAK_DOCUMENT_MEMORY,
	HAK_DOCUMENT_FREED,
	HAK_DOCUMENT_SHARES,
	HAK_DOCUMENT_RESIDENT,
	HAK_DOCUMENT_USE,
	HAK_DOCUMENT_TIER,
	HAK_DOCUMENT_CLASS,
	HAK_DOCUMENT_WHALE,
	HAK_DOCUMENT_COUNTERS,
	HAK_DOCUMENT_VALUE,
	HAK_DOCUMENT_LAYERS,
	HAK_DOCUMENT_TUNABLE,
	HAK_DOCUMENT_CHANGE,
	HAK_DOCUMENT_PURGE,
	HAK_DOCUMENT_SNAPSHOT,
	HAK_DOCUMENT_SAVED,
};

enum hak_document_kind {
	HAK_KIND_NUMBER,
	HAK_KIND_RATIO,
	HAK_KIND_TEXT,
	HAK_KIND_BOOL,
	HAK_KIND_OBJECT,
	HAK_KIND_ROWS,
	HAK_KIND_ALL_OF,
};

enum hak_document_need { HAK_NEED_MUST, HAK_NEED_NULL, HAK_NEED_MAY };

struct hak_document_key {
	enum hak_document document;
	const char *name;
	enum hak_document_kind kind;
	enum hak_document_need need;
	enum hak_document inner;
};

extern const struct hak_document_key hak_document_keys[];
extern const size_t hak_document_keys_n;

/* Limits on the length, the depth and the sizes of a text: many times what real documents have. */
#define HAK_DOCUMENT_BYTES  (8u << 20)
#define HAK_DOCUMENT_DEPTH  16
#define HAK_DOCUMENT_ROWS   4096u
#define HAK_DOCUMENT_VALUES 100000u

/*
 * Returns the document that `what` is about a process, and stores whether it is an array of these.
 */
enum hak_document hak_document_of(enum hak_report what, bool *ret_rows);

/*
 * Reads an object with the keys of `document`, or with `rows` an array of them. Returns 0, or
 * -EBADMSG with the fault in `why`: "no `rss`", "`memory.rss` is not a number".
 */
int hak_document_read(const char *text, enum hak_document document, bool rows,
		      struct json_object **ret, char why[HAK_WHY_TEXT]);

/*
 * Returns how many values a text has at most, without parsing it: json-c takes some 300 bytes for
 * each value, however short.
 */
size_t hak_document_values(const char *text);

/* Only checks a document. Drops keys whose row belongs to another document. */
int hak_document_check(struct json_object *o, enum hak_document document, bool rows,
		       char why[HAK_WHY_TEXT]);

#endif
