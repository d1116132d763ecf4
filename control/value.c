/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units. Parsing is exact: 128-bit integers without floating point keep 17592186044416
 * and 0.1K exact. It is independent of the locale.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/value.h"

struct suffix {
	const char *word;
	uint64_t times;
};

/* From large to small, because a formatter takes the first suffix that divides its value. */
static const struct suffix byte_suffixes[] = {
	{ "E", 1ull << 60 },
	{ "P", 1ull << 50 },
	{ "T", 1ull << 40 },
	{ "G", 1ull << 30 },
	{ "M", 1ull << 20 },
	{ "K", 1ull << 10 },
	{ "B", 1 },
	{ "", 1 },
	{ "EiB", 1ull << 60 },
	{ "PiB", 1ull << 50 },
	{ "TiB", 1ull << 40 },
	{ "GiB", 1ull << 30 },
	{ "MiB", 1ull << 20 },
	{ "KiB", 1ull << 10 },
	{ NULL, 0 },
};
static const struct suffix ms_suffixes[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },  { "s", 1000 }, { "ms", 1 },
	{ "", 1 },	   { "min", 60000 }, { "sec", 1000 }, { NULL, 0 },
};
static const struct suffix ns_suffixes[] = {
	{ "d", 86400000000000 }, { "h", 3600000000000 }, { "m", 60000000000 }, { "s", 1000000000 },
	{ "ms", 1000000 },	 { "us", 1000 },	 { "ns", 1 },	       { "", 1000000000 },
	{ "min", 60000000000 },	 { "sec", 1000000000 },	 { NULL, 0 },
};
static const struct suffix no_suffixes[] = { { "", 1 }, { NULL, 0 } };

static const struct suffix *suffixes_of(unsigned unit)
{
	switch (unit) {
	case HAK_UNIT_BYTES:
		return byte_suffixes;
	case HAK_UNIT_MS:
		return ms_suffixes;
	default:
		return no_suffixes;
	}
}

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
enum fault { OK, NOT_A_NUMBER, TOO_LARGE, UNKNOWN_UNIT, NOT_WHOLE };

static const char *fault_word(enum fault fault)
{
	static const char *const words[] = { "", "is not a number", "is too large",
					     "has an unknown unit", "is not a whole number" };

	return words[fault];
}

/* Parses DIGITS[.DIGITS][SUFFIX]. Fractions are rounded down to a whole unit, but not to none, and
 * need a unit above the smallest. */
static enum fault parse_number(const char *text, const struct suffix *suffixes, uint64_t *ret)
{
	unsigned __int128 number = 0, scale = 1, total;
	const char *p = text;
	bool digits = false;

	for (; *p >= '0' && *p <= '9'; p++, digits = true) {
		number = number * 10 + (unsigned)(*p - '0');
		if (number > UINT64_MAX)
			return TOO_LARGE;
	}
	if (digits && *p == '.') {
		digits = false;
		for (p++; *p >= '0' && *p <= '9'; p++, digits = true) {
			if (scale >= 1000000000000) /* finer than a byte of a TiB */
				continue;
			number = number * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return NOT_A_NUMBER;
	for (; suffixes->word; suffixes++)
		if (strcasecmp(suffixes->word, p) == 0)
			break;
	if (!suffixes->word)
		return UNKNOWN_UNIT;
	if (scale > 1 && suffixes->times == 1)
		return NOT_WHOLE;
	/* Whole part and fraction are multiplied apart: the product of both with the suffix would
	 * exceed 128 bits. */
	total = number / scale * suffixes->times + number % scale * suffixes->times / scale;
	if (total > UINT64_MAX)
		return TOO_LARGE;
	if (number && !total) /* 0 has a meaning of its own, which the text does not ask for */
		return NOT_WHOLE;
	*ret = (uint64_t)total;
	return OK;
}

static bool parse_switch(const char *text, uint64_t *ret)
{
	static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "0", "1" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(words[i], text) == 0) {
			*ret = i & 1;
			return true;
		}
	return false;
}

static bool parse_choice(const char *values, const char *text, uint64_t *ret)
{
	size_t bytes = strlen(text);
	uint64_t i = 0;

	if (bytes == 0)
		return false;
	for (;; i++) {
		size_t name = strcspn(values, "|");

		if (name == bytes && memcmp(values, text, bytes) == 0) {
			*ret = i;
			return true;
		}
		if (!values[name])
			return false;
		values += name + 1;
	}
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
		like = "a time such as 500ms, 10s or 5m (a bare number is ms)";
	hak_value_format(spec, spec->min, min);
	hak_value_format(spec, spec->max, max);
	snprintf(out, HAK_WHY_TEXT, "%s, from %s to %s", like, min, max);
}

int hak_value_parse(const struct hak_spec *spec, const char *text, uint64_t *ret,
		    char why[HAK_WHY_TEXT])
{
	char accepts[HAK_WHY_TEXT];
	const char *wrong = "is not one";
	enum fault fault = OK;

	switch (spec->type) {
	case HAK_TYPE_BOOL:
		if (parse_switch(text, ret))
			return 0;
		break;
	case HAK_TYPE_ENUM:
		if (parse_choice(spec->values, text, ret))
			return 0;
		break;
	case HAK_TYPE_UINT:
		fault = parse_number(text, suffixes_of(spec->unit), ret);
		if (fault == OK)
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
	return fault == TOO_LARGE ? -ERANGE : -EINVAL;
}

int hak_duration_parse(const char *text, uint64_t *ret_ns, char why[HAK_WHY_TEXT])
{
	enum fault fault = parse_number(text, ns_suffixes, ret_ns);

	if (fault == OK)
		return 0;
	snprintf(why, HAK_WHY_TEXT,
		 "\"%.40s\" %s; a time is given as 30 (seconds), 500ms, 10m, 1.5h or 1d", text,
		 fault_word(fault));
	return fault == TOO_LARGE ? -ERANGE : -EINVAL;
}

uint64_t hak_spec_clamp(const struct hak_spec *spec, uint64_t value)
{
	if (value < spec->min)
		return spec->min;
	return value > spec->max ? spec->max : value;
}

/* -- printing ---------------------------------------------------------------------------------- */
void hak_value_format(const struct hak_spec *spec, uint64_t value, char out[HAK_VALUE_TEXT])
{
	const struct suffix *suffix = suffixes_of(spec->unit);
	const char *name = spec->values;

	if (spec->type == HAK_TYPE_BOOL && value <= 1) {
		strcpy(out, value ? "on" : "off");
		return;
	}
	if (spec->type == HAK_TYPE_ENUM && value < hak_values_count(spec->values)) {
		while (value--)
			name += strcspn(name, "|") + 1;
		snprintf(out, HAK_VALUE_TEXT, "%.*s", (int)strcspn(name, "|"), name);
		return;
	}
	if (spec->type != HAK_TYPE_UINT || value == 0)
		suffix = no_suffixes;
	while (value % suffix->times)
		suffix++;
	snprintf(out, HAK_VALUE_TEXT, "%" PRIu64 "%s", value / suffix->times,
		 suffix->times == 1 && spec->unit == HAK_UNIT_BYTES ? "" : suffix->word);
}

/* Uses the largest suffix not above value; three significant digits below 1000 of it. */
static void format_rounded(const struct suffix *suffix, uint64_t value, char out[HAK_VALUE_TEXT])
{
	double number;

	while (suffix->times > 1 && value < suffix->times)
		suffix++;
	number = (double)value / (double)suffix->times;
	if (suffix->times == 1 || number >= 99.95)
		snprintf(out, HAK_VALUE_TEXT, "%.0f%s", number, suffix->word);
	else
		snprintf(out, HAK_VALUE_TEXT, "%.1f%s", number, suffix->word);
}

void hak_bytes_format(uint64_t bytes, char out[HAK_VALUE_TEXT])
{
	format_rounded(byte_suffixes, bytes, out);
}

void hak_ns_format(uint64_t ns, char out[HAK_VALUE_TEXT])
{
	format_rounded(ns_suffixes, ns, out);
}
