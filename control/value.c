/* SPDX-License-Identifier: MIT */
/* Numbers with units, by control/abi/grammar.h. See value.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/abi/grammar.h"
#include "control/value.h"

static const struct hak_suffix ns_suffixes[] = {
	{ "d", 86400000000000 },
	{ "h", 3600000000000 },
	{ "min", 60000000000 },
	{ "s", 1000000000 },
	{ "ms", 1000000 },
	{ "us", 1000 },
	{ "ns", 1 },
	{ "", 1000000000 },
	{ "m", 60000000000 },
	{ "sec", 1000000000 },
	{ "", 0 },
};

/* Larger numbers mean that there is no limit: control groups and old kernels write such ones. */
#define NO_LIMIT_BYTES (1ull << 60)
#define NO_LIMIT_NS    3155760000000000000u /* 100 years */
static const char no_limit[] = "no limit";

struct hak_spec hak_spec_of_row(const struct hak_tunable_row *row)
{
	return (struct hak_spec){ .name = row->name,
				  .values = row->values,
				  .type = row->type,
				  .unit = row->unit,
				  .min = row->min,
				  .max = row->max };
}

struct hak_spec hak_spec_of_desc(const struct hak_tunable_desc *desc)
{
	return (struct hak_spec){ .name = desc->name,
				  .values = desc->values,
				  .type = desc->type,
				  .unit = desc->unit,
				  .min = desc->min,
				  .max = desc->max };
}

/* -- parsing ----------------------------------------------------------------------------------- */
static const char *fault_word(enum hak_fault fault)
{
	static const char *const words[] = {
		[HAK_NOT_A_NUMBER] = "is not a number",
		[HAK_TOO_LARGE] = "is too large",
		[HAK_UNKNOWN_UNIT] = "has an unknown unit",
		[HAK_NOT_WHOLE] = "is not a whole number",
	};

	return words[fault];
}

void hak_spec_accepts(const struct hak_spec *spec, char out[HAK_WHY_TEXT])
{
	const char *like = "a whole number";
	char min[HAK_VALUE_TEXT], max[HAK_VALUE_TEXT];

	if (spec->type == HAK_TYPE_BOOL) {
		snprintf(out, HAK_WHY_TEXT, "on or off");
		return;
	}
	if (spec->type == HAK_TYPE_ENUM) {
		snprintf(out, HAK_WHY_TEXT, "one of %s", spec->values);
		return;
	}
	if (spec->unit == HAK_UNIT_BYTES)
		like = "a size such as 4096, 64K or 1.5G";
	else if (spec->unit == HAK_UNIT_MS)
		like = "a time such as 500ms, 10s or 2min 5s (a bare number is ms)";
	hak_value_format(spec, spec->min, min);
	hak_value_format(spec, spec->max, max);
	snprintf(out, HAK_WHY_TEXT, "%s, from %s to %s", like, min, max);
}

/* Whether its numbers reach those that mean no limit. */
static bool has_no_limit(const struct hak_spec *spec)
{
	return spec->unit == HAK_UNIT_BYTES && spec->max >= NO_LIMIT_BYTES;
}

int hak_value_parse(const struct hak_spec *spec, const char *text, uint64_t *ret,
		    char why[HAK_WHY_TEXT])
{
	char accepts[HAK_WHY_TEXT];
	const char *wrong = "is not one";
	enum hak_fault fault = HAK_NO_FAULT;
	size_t bytes = strlen(text);

	switch (spec->type) {
	case HAK_TYPE_BOOL:
		if (hak_parse_switch(text, bytes, ret))
			return 0;
		break;
	case HAK_TYPE_ENUM:
		if (hak_parse_choice(spec->values, text, bytes, ret))
			return 0;
		break;
	case HAK_TYPE_UINT:
		if (has_no_limit(spec) &&
		    (strcmp(text, no_limit) == 0 || strcmp(text, "infinity") == 0)) {
			*ret = spec->max;
			return 0;
		}
		fault = hak_parse_number(hak_suffixes_of(spec->unit), text, bytes, ret);
		if (!fault)
			return 0;
		wrong = fault_word(fault);
		break;
	default:
		snprintf(why, HAK_WHY_TEXT, "%s is of a type this program does not know",
			 spec->name);
		return -EINVAL;
	}
	hak_spec_accepts(spec, accepts);
	snprintf(why, HAK_WHY_TEXT, "\"%.40s\" %s; %s takes %.200s", text, wrong, spec->name,
		 accepts);
	return fault == HAK_TOO_LARGE ? -ERANGE : -EINVAL;
}

int hak_duration_parse(const char *text, uint64_t *ret_ns, char why[HAK_WHY_TEXT])
{
	enum hak_fault fault = hak_parse_number(ns_suffixes, text, strlen(text), ret_ns);

	if (!fault)
		return 0;
	snprintf(why, HAK_WHY_TEXT,
		 "\"%.40s\" %s; a time is given as 30 (seconds), 500ms, 2min 5s, 1.5h or 1d", text,
		 fault_word(fault));
	return fault == HAK_TOO_LARGE ? -ERANGE : -EINVAL;
}

uint64_t hak_spec_clamp(const struct hak_spec *spec, uint64_t value)
{
	if (value < spec->min)
		return spec->min;
	return value > spec->max ? spec->max : value;
}

/* -- printing ---------------------------------------------------------------------------------- */
/* All parts of the value, exactly. */
static void format_exact(const struct hak_suffix *suffixes, uint64_t value,
			 char out[HAK_VALUE_TEXT])
{
	size_t used = 0;
	const char *unit;

	strcpy(out, "0");
	while (value && used < HAK_VALUE_TEXT) {
		uint64_t part = hak_next_part(suffixes, &value, &unit);

		used += (size_t)snprintf(out + used, HAK_VALUE_TEXT - used, "%s%" PRIu64 "%s",
					 used ? " " : "", part, unit);
	}
}

void hak_time_format(uint64_t ns, char out[HAK_VALUE_TEXT])
{
	format_exact(ns_suffixes, ns, out);
}

void hak_value_format(const struct hak_spec *spec, uint64_t value, char out[HAK_VALUE_TEXT])
{
	const char *name;
	size_t bytes;

	if (spec->type == HAK_TYPE_BOOL && value <= 1) {
		strcpy(out, value ? "on" : "off");
		return;
	}
	if (spec->type == HAK_TYPE_ENUM && (name = hak_nth_choice(spec->values, value, &bytes)) &&
	    bytes) {
		snprintf(out, HAK_VALUE_TEXT, "%.*s", (int)bytes, name);
		return;
	}
	if (spec->type == HAK_TYPE_UINT && has_no_limit(spec) && value >= NO_LIMIT_BYTES) {
		strcpy(out, no_limit);
		return;
	}
	format_exact(spec->type == HAK_TYPE_UINT ? hak_suffixes_of(spec->unit) : hak_no_suffixes,
		     value, out);
}

/* Uses the largest suffix not above value; three significant digits below 1000 of it. */
static void format_rounded(const struct hak_suffix *suffix, uint64_t value,
			   char out[HAK_VALUE_TEXT])
{
	double number;

	while (suffix->times > 1 && value < suffix->times)
		suffix++;
	number = (double)value / (double)suffix->times;
	snprintf(out, HAK_VALUE_TEXT, "%.*f%s", suffix->times == 1 || number >= 99.95 ? 0 : 1,
		 number, *suffix->word ? suffix->word : "B");
}

void hak_bytes_format(uint64_t bytes, char out[HAK_VALUE_TEXT])
{
	if (bytes >= NO_LIMIT_BYTES)
		strcpy(out, no_limit);
	else
		format_rounded(hak_byte_suffixes, bytes, out);
}

/* A time from a minute on is rounded to seconds, from an hour on to minutes, and so on: two parts
 * at most. */
static uint64_t rounded_to(uint64_t ns, uint64_t unit_ns)
{
	uint64_t rest = ns % unit_ns;

	return rest < unit_ns / 2 ? ns - rest : ns - rest + unit_ns;
}

void hak_ns_format(uint64_t ns, char out[HAK_VALUE_TEXT])
{
	const uint64_t s = 1000000000, min = 60 * s, h = 60 * min, d = 24 * h;

	if (ns >= NO_LIMIT_NS)
		strcpy(out, no_limit);
	else if (ns >= 100 * d)
		format_exact(ns_suffixes, ns - ns % d, out);
	else if (ns >= d)
		format_exact(ns_suffixes, rounded_to(ns, h), out);
	else if (ns >= h)
		format_exact(ns_suffixes, rounded_to(ns, min), out);
	else if (ns >= min - s / 20)
		format_exact(ns_suffixes, rounded_to(ns, s), out);
	else
		format_rounded(ns_suffixes, ns, out);
}
