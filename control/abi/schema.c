/* SPDX-License-Identifier: MIT */
/*
 * The tables as data, and the checks of the tables that a compiler can make: ids differ, also from
 * retired ones; names fit their place in a descriptor; ranges are in order. tests/control/schema.c
 * checks what needs the content of a string, such as the number of an ENUM's names.
 */
#include <string.h>

#include "control/abi/schema.h"

const struct hak_tunable_row hak_tunable_rows[] = {
#define TUNABLE(id_, sym_, name_, type_, unit_, dflt_, min_, max_, when_, values_, doc_) \
	{                                                                                \
		.id = (id_),                                                             \
		.type = HAK_TYPE_##type_,                                                \
		.unit = HAK_UNIT_##unit_,                                                \
		.when = HAK_WHEN_##when_,                                                \
		.dflt = (dflt_),                                                         \
		.min = (min_),                                                           \
		.max = (max_),                                                           \
		.name = (name_),                                                         \
		.values = (values_),                                                     \
		.doc = (doc_),                                                           \
	},
#include "control/abi/tunables.def"
#undef TUNABLE
};
const size_t hak_tunable_rows_n = sizeof(hak_tunable_rows) / sizeof(hak_tunable_rows[0]);

const struct hak_counter_row hak_counter_rows[] = {
#define COUNTER(id_, scope_, sym_, name_, kind_, unit_, doc_) \
	{                                                     \
		.id = (id_),                                  \
		.scope = HAK_SCOPE_##scope_,                  \
		.kind = HAK_KIND_##kind_,                     \
		.unit = HAK_UNIT_##unit_,                     \
		.name = (name_),                              \
		.doc = (doc_),                                \
	},
#include "control/abi/counters.def"
#undef COUNTER
};
const size_t hak_counter_rows_n = sizeof(hak_counter_rows) / sizeof(hak_counter_rows[0]);

/* -- what must hold of the rows ---------------------------------------------------------------- */
#define ROW(id_, name_, doc_)                                                                     \
	_Static_assert((id_) > 0 && (id_) <= UINT16_MAX, "id of " name_);                         \
	_Static_assert(sizeof(name_) > 1 && sizeof(name_) <= HAK_NAME_BYTES, "length of " name_); \
	_Static_assert(sizeof(doc_) > 1, "a sentence on " name_);

#define TUNABLE(id_, sym_, name_, type_, unit_, dflt_, min_, max_, when_, values_, doc_)       \
	ROW(id_, name_, doc_)                                                                  \
	_Static_assert((min_) <= (dflt_) && (dflt_) <= (max_), "range of " name_);             \
	_Static_assert(HAK_TYPE_##type_ != HAK_TYPE_BOOL || ((min_) == 0 && (max_) == 1),      \
		       "a switch is 0 or 1: " name_);                                          \
	_Static_assert((HAK_TYPE_##type_ == HAK_TYPE_ENUM) == (sizeof(values_) > 1),           \
		       "an ENUM has names, nothing else has: " name_);                         \
	_Static_assert(sizeof(values_) <= sizeof(((struct hak_tunable_desc *)0)->values),      \
		       "names fit the descriptor: " name_);                                    \
	_Static_assert(HAK_TYPE_##type_ == HAK_TYPE_UINT || HAK_UNIT_##unit_ == HAK_UNIT_NONE, \
		       "only a number has a unit: " name_);
#include "control/abi/tunables.def"
#undef TUNABLE

#define COUNTER(id_, scope_, sym_, name_, kind_, unit_, doc_) ROW(id_, name_, doc_)
#include "control/abi/counters.def"
#undef COUNTER
#undef ROW

_Static_assert(HAK_TUNABLES <= HAK_MAX_TUNABLES, "a slot for each tunable");
_Static_assert(sizeof(hak_counter_rows) / sizeof(hak_counter_rows[0]) <= HAK_MAX_COUNTERS,
	       "a reader takes all counters");

/* Never called. A second row with the same id, or with a retired one, is a duplicate case. */
#undef RETIRED_TUNABLE
#undef RETIRED_COUNTER
static inline void tunable_ids_differ(unsigned id)
{
	switch (id) {
#define TUNABLE(id, ...)    case (id):
#define RETIRED_TUNABLE(id) case (id):
#include "control/abi/tunables.def"
#undef TUNABLE
#undef RETIRED_TUNABLE
		break;
	}
}

static inline void counter_ids_differ(unsigned id)
{
	switch (id) {
#define COUNTER(id, ...)    case (id):
#define RETIRED_COUNTER(id) case (id):
#include "control/abi/counters.def"
#undef COUNTER
#undef RETIRED_COUNTER
		break;
	}
}

/* -- look-up ----------------------------------------------------------------------------------- */
const struct hak_tunable_row *hak_tunable_row_find(const char *name)
{
	(void)tunable_ids_differ;
	for (size_t i = 0; i < hak_tunable_rows_n; i++)
		if (strcmp(hak_tunable_rows[i].name, name) == 0)
			return &hak_tunable_rows[i];
	return NULL;
}

const struct hak_tunable_row *hak_tunable_row_by_id(uint16_t id)
{
	for (size_t i = 0; i < hak_tunable_rows_n; i++)
		if (hak_tunable_rows[i].id == id)
			return &hak_tunable_rows[i];
	return NULL;
}

const struct hak_counter_row *hak_counter_row_find(const char *name)
{
	(void)counter_ids_differ;
	for (size_t i = 0; i < hak_counter_rows_n; i++)
		if (strcmp(hak_counter_rows[i].name, name) == 0)
			return &hak_counter_rows[i];
	return NULL;
}

/* -- words ------------------------------------------------------------------------------------- */
static const char *word(const char *const *words, size_t n, unsigned i)
{
	return i < n ? words[i] : "?";
}

#define WORDS(fn, ...)                                                   \
	const char *fn(unsigned i)                                       \
	{                                                                \
		static const char *const words[] = { __VA_ARGS__ };      \
		return word(words, sizeof(words) / sizeof(words[0]), i); \
	}

WORDS(hak_scope_word, [HAK_SCOPE_HOT] = "class", [HAK_SCOPE_CLASS] = "class",
      [HAK_SCOPE_HEAP] = "heap", [HAK_SCOPE_PROC] = "process")
WORDS(hak_kind_word, [HAK_KIND_COUNTER] = "counter", [HAK_KIND_GAUGE] = "gauge",
      [HAK_KIND_GROSS] = "gauge")
WORDS(hak_unit_word, [HAK_UNIT_NONE] = "", [HAK_UNIT_COUNT] = "count", [HAK_UNIT_BYTES] = "bytes",
      [HAK_UNIT_NS] = "ns", [HAK_UNIT_CYCLES] = "cycles", [HAK_UNIT_MS] = "ms")
WORDS(hak_type_word, [HAK_TYPE_BOOL] = "switch", [HAK_TYPE_UINT] = "number",
      [HAK_TYPE_ENUM] = "choice")
WORDS(hak_effect_text, [HAK_WHEN_LIVE] = "at once", [HAK_WHEN_NEXT] = "for what is created later",
      [HAK_WHEN_START] = "at start only")
WORDS(hak_when_word, [HAK_WHEN_LIVE] = "live", [HAK_WHEN_NEXT] = "next", [HAK_WHEN_START] = "start")
WORDS(hak_origin_word, [HAK_ORIGIN_DEFAULT] = "default", [HAK_ORIGIN_PROGRAM] = "program",
      [HAK_ORIGIN_ENVIRONMENT] = "environment", [HAK_ORIGIN_POLICY] = "policy",
      [HAK_ORIGIN_ADMIN] = "admin")
WORDS(hak_purge_level_word,
      "none", [HAK_PURGE_CACHE] = "cache", [HAK_PURGE_DIRTY] = "dirty", [HAK_PURGE_ALL] = "all")

unsigned hak_purge_level_of(const char *w)
{
	for (unsigned level = HAK_PURGE_CACHE; level <= HAK_PURGE_ALL; level++)
		if (strcmp(hak_purge_level_word(level), w) == 0)
			return level;
	return 0;
}

size_t hak_values_count(const char *values)
{
	size_t n = *values ? 1 : 0;

	for (; *values; values++)
		n += *values == '|';
	return n;
}
