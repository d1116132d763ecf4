/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units: from the text that users type ("64M", "1.5G", "10m", "500ms", on, dontneed)
 * to the u64 of a segment and back. Pure functions of their arguments.
 *
 * For hakmemctl and hakmemd. Sizes are IEC: K is 1024. A bare number counts in the unit of its
 * tunable: bytes, or ms.
 *
 * The functions do not check that a number lies in a tunable's range: the process decides that, by
 * its own table, and answers "clamped". hak_spec_clamp() predicts the answer.
 */
#ifndef HAK_VALUE_H
#define HAK_VALUE_H

#include <stdint.h>

#include "control/abi/abi.h"
#include "control/abi/schema.h"

/* Long enough for every text that the functions below write, and for any name of an ENUM. */
#define HAK_VALUE_TEXT 64
/* Long enough for every reason. */
#define HAK_WHY_TEXT 320

/* One tunable for the parser, from a row or from a descriptor. */
struct hak_spec {
	const char *name, *values;
	uint8_t type, unit;
	uint64_t min, max;
};

struct hak_spec hak_spec_of_row(const struct hak_tunable_row *row);
struct hak_spec hak_spec_of_desc(const struct hak_tunable_desc *desc);

/*
 * Parses `text` to a value. Returns 0; -EINVAL or -ERANGE (more than a u64 holds) with a sentence
 * in `why` that names the fault and what is accepted; *ret is then unchanged.
 */
int hak_value_parse(const struct hak_spec *spec, const char *text, uint64_t *ret,
		    char why[HAK_WHY_TEXT]);

/* Writes `value` as hak_value_parse() would take it back, exactly. */
void hak_value_format(const struct hak_spec *spec, uint64_t value, char out[HAK_VALUE_TEXT]);

/* Writes what hak_value_parse() accepts, and the range, as a noun phrase. */
void hak_spec_accepts(const struct hak_spec *spec, char out[HAK_WHY_TEXT]);

/* Returns `value` forced into the range of the spec. */
uint64_t hak_spec_clamp(const struct hak_spec *spec, uint64_t value);

/* Parses "2min 5s", "1.5h", "30" (seconds) to nanoseconds. Errors as for hak_value_parse(). */
int hak_duration_parse(const char *text, uint64_t *ret_ns, char why[HAK_WHY_TEXT]);

/* Writes a time as hak_duration_parse() would take it back, exactly: "2min 5s", "500ms". */
void hak_time_format(uint64_t ns, char out[HAK_VALUE_TEXT]);

/* Writes a number for people, rounded to about three digits: "1.5G", "17ms", and a time from a
 * minute on to its two largest units: "2min 5s", "3h 20min". From 1 EiB and from 100 years on it is
 * "no limit", as for a spec that goes as far. */
void hak_bytes_format(uint64_t bytes, char out[HAK_VALUE_TEXT]);
void hak_ns_format(uint64_t ns, char out[HAK_VALUE_TEXT]);

#endif
