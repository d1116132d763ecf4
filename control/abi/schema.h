/* SPDX-License-Identifier: MIT */
/*
 * The tables as data: tunables.def and counters.def as arrays that a program can walk, and the
 * words for their enumerations. Constant; no locks, no state.
 *
 * For hakmemctl, hakmemd, and the generator of the manual. The library includes abi.h and the
 * tables themselves.
 *
 * These rows are those with which *this* program was built. A running process describes its own
 * rows in its segment (segment.h), and may know rows that are not here. The sentences in `doc` are
 * only here.
 */
#ifndef HAK_SCHEMA_H
#define HAK_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include "control/abi/abi.h"

struct hak_tunable_row {
	uint16_t id;
	uint8_t type, unit, when; /* enum hak_type, hak_unit, hak_when */
	uint64_t dflt, min, max;
	const char *name, *values, *doc;
};

struct hak_counter_row {
	uint16_t id;
	uint8_t scope, kind, unit; /* enum hak_scope, hak_kind, hak_unit */
	const char *name, *doc;
};

/* HAK_ID_<SYM>, HAK_TID_<SYM>: ids of counters and tunables, which stay as rows come and go. */
enum hak_counter_id {
#define COUNTER(id, scope, sym, ...) HAK_ID_##sym = (id),
#include "control/abi/counters.def"
#undef COUNTER
};

enum hak_tunable_id {
#define TUNABLE(id, sym, ...) HAK_TID_##sym = (id),
#include "control/abi/tunables.def"
#undef TUNABLE
};

extern const struct hak_tunable_row hak_tunable_rows[];
extern const size_t hak_tunable_rows_n;
extern const struct hak_counter_row hak_counter_rows[];
extern const size_t hak_counter_rows_n;

/* Returns NULL when no row has that name, or that id. */
const struct hak_tunable_row *hak_tunable_row_find(const char *name);
const struct hak_tunable_row *hak_tunable_row_by_id(uint16_t id);
const struct hak_counter_row *hak_counter_row_find(const char *name);

/* The words of abi.h's enumerations; "?" for a number that this program does not know. */
const char *hak_scope_word(unsigned scope);
const char *hak_kind_word(unsigned kind);
const char *hak_unit_word(unsigned unit);
const char *hak_type_word(unsigned type);
const char *hak_when_word(unsigned when);
const char *hak_effect_text(unsigned when); /* the same for people */
const char *hak_origin_word(unsigned origin);
const char *hak_purge_level_word(unsigned level);

/* Returns the level of that name, 0 if there is none. */
unsigned hak_purge_level_of(const char *word);

/* Returns how many names an ENUM's "a|b|c" holds; 0 for "". */
size_t hak_values_count(const char *values);

#endif
