/* SPDX-License-Identifier: MIT */
/*
 * Numbers with units: what is accepted, what is refused and why, and that printed values read back
 * the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/value.h"
#include "tests/check.h"

static const struct hak_spec bytes = { "some.bytes",   "", HAK_TYPE_UINT,
				       HAK_UNIT_BYTES, 0,  1ull << 44 };
static const struct hak_spec ms = { "some.ms", "", HAK_TYPE_UINT, HAK_UNIT_MS, 0, 86400000 };
static const struct hak_spec count = { "some.count", "", HAK_TYPE_UINT, HAK_UNIT_COUNT, 1, 256 };
static const struct hak_spec flag = { "some.flag", "", HAK_TYPE_BOOL, HAK_UNIT_NONE, 0, 1 };
static const struct hak_spec choice = {
	"some.choice", "dontneed|free|remap", HAK_TYPE_ENUM, HAK_UNIT_NONE, 0, 2
};

static const struct hak_spec any = { "any", "", HAK_TYPE_UINT, HAK_UNIT_BYTES, 0, UINT64_MAX };

static const struct {
	const struct hak_spec *spec;
	const char *text;
	uint64_t value;
} good[] = {
	{ &any, "no limit", UINT64_MAX },
	{ &any, "infinity", UINT64_MAX },
	{ &any, "8E", 1ull << 63 },
	{ &bytes, "0", 0 },
	{ &bytes, "1", 1 },
	{ &bytes, "4096", 4096 },
	{ &bytes, "64M", 64 << 20 },
	{ &bytes, "64m", 64 << 20 },
	{ &bytes, "64MiB", 64 << 20 },
	{ &bytes, "1.5G", 3ull << 29 },
	{ &bytes, "0.1K", 102 },
	{ &bytes, "1.999999999999999999999K", 2047 },
	{ &bytes, "8B", 8 },
	{ &bytes, "15.999999999999E", 18446744073708398694u },
	{ &bytes, "18446744073709551615", UINT64_MAX },
	{ &bytes, "00000000000000000000000000001K", 1024 },
	{ &bytes, "20T", 20ull << 40 },
	{ &ms, "500ms", 500 },
	{ &ms, "0.0019s", 1 },
	{ &ms, "0.0s", 0 },
	{ &ms, "10s", 10000 },
	{ &ms, "10m", 600000 },
	{ &ms, "1.5h", 5400000 },
	{ &ms, "1d", 86400000 },
	{ &ms, "250", 250 },
	{ &ms, "2min", 120000 },
	{ &ms, "2min 5s", 125000 },
	{ &ms, "2min5s", 125000 },
	{ &ms, "1h 1.5min 7ms", 3690007 },
	{ &count, "0", 0 },
	{ &count, "9999", 9999 },
	{ &flag, "on", 1 },
	{ &flag, "off", 0 },
	{ &flag, "Yes", 1 },
	{ &flag, "false", 0 },
	{ &flag, "1", 1 },
	{ &choice, "dontneed", 0 },
	{ &choice, "free", 1 },
	{ &choice, "remap", 2 },
};

static const struct {
	const struct hak_spec *spec;
	const char *text;
	int error;
	const char *says;
} wrong[] = {
	{ &bytes, "", -EINVAL, "not a number" },
	{ &bytes, "M", -EINVAL, "not a number" },
	{ &bytes, "-1", -EINVAL, "not a number" },
	{ &bytes, "+1", -EINVAL, "not a number" },
	{ &bytes, " 1", -EINVAL, "not a number" },
	{ &bytes, "1 ", -EINVAL, "unit" },
	{ &bytes, "1.K", -EINVAL, "not a number" },
	{ &bytes, ".5K", -EINVAL, "not a number" },
	{ &bytes, "1.5", -EINVAL, "whole" },
	{ &bytes, "1.5B", -EINVAL, "whole" },
	{ &bytes, "64MB", -EINVAL, "unit" },
	{ &bytes, "1Q", -EINVAL, "unit" },
	{ &bytes, "0x10", -EINVAL, "unit" },
	{ &bytes, "1e3", -EINVAL, "unit" },
	{ &bytes, "nan", -EINVAL, "not a number" },
	{ &bytes, "18446744073709551616", -ERANGE, "too large" },
	{ &bytes, "16E", -ERANGE, "too large" },
	{ &bytes, "99999999999999999999999999999999999999999999", -ERANGE, "too large" },
	{ &bytes, "Q", -EINVAL, "some.bytes takes a size" },
	{ &ms, "10us", -EINVAL, "unit" },
	{ &ms, "2min 5", -EINVAL, "unit" },
	{ &ms, "2 5s", -EINVAL, "unit" },
	{ &ms, "2min 5s ", -EINVAL, "unit" },
	{ &ms, "2min  5s", -EINVAL, "not a number" },
	{ &ms, "2min -5s", -EINVAL, "not a number" },
	{ &ms, "2min,5s", -EINVAL, "unit" },
	{ &ms, "18446744073709551615ms 1ms", -ERANGE, "too large" },
	{ &bytes, "1M 5K", -EINVAL, "unit" },
	{ &bytes, "no limit", -EINVAL, "not a number" },
	{ &any, "no limits", -EINVAL, "not a number" },
	{ &ms, "10x", -EINVAL, "some.ms takes a time" },
	{ &ms, "0.5ms", -EINVAL, "whole" },
	{ &ms, "0.0009s", -EINVAL, "whole" },
	{ &ms, "18446744073709551615d", -ERANGE, "too large" },
	{ &count, "1K", -EINVAL, "from 1 to 256" },
	{ &count, "1.0", -EINVAL, "whole" },
	{ &flag, "2", -EINVAL, "on or off" },
	{ &flag, "", -EINVAL, "on or off" },
	{ &choice, "keep", -EINVAL, "one of dontneed|free|remap" },
	{ &choice, "", -EINVAL, "one of" },
	{ &choice, "fre", -EINVAL, "one of" },
	{ &choice, "free|remap", -EINVAL, "one of" },
	{ &choice, "1", -EINVAL, "one of" },
};

static const struct {
	const struct hak_spec *spec;
	uint64_t value;
	const char *text;
} printed[] = {
	{ &any, 1ull << 59, "512P" },
	{ &any, UINT64_MAX, "no limit" },
	{ &bytes, 0, "0" },
	{ &bytes, 1023, "1023" },
	{ &bytes, 1024, "1K" },
	{ &bytes, 1536, "1536" },
	{ &bytes, 3ull << 29, "1536M" },
	{ &bytes, 1ull << 44, "16T" },
	{ &ms, 0, "0" },
	{ &ms, 1500, "1s 500ms" },
	{ &ms, 90000, "1min 30s" },
	{ &ms, 86400000, "1d" },
	{ &count, 128, "128" },
	{ &flag, 1, "on" },
	{ &flag, 7, "7" },
	{ &choice, 2, "remap" },
	{ &choice, 3, "3" },
};

static void parsing(void)
{
	char why[HAK_WHY_TEXT];
	uint64_t value;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int r = hak_value_parse(good[i].spec, good[i].text, &value, why);

		EXPECT(r == 0 && value == good[i].value, "%s=%s: %d, %llu", good[i].spec->name,
		       good[i].text, r, (unsigned long long)value);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int r;

		value = 4711;
		r = hak_value_parse(wrong[i].spec, wrong[i].text, &value, why);
		EXPECT(r == wrong[i].error && strstr(why, wrong[i].says) && value == 4711,
		       "%s=%s: %d, %s", wrong[i].spec->name, wrong[i].text, r, why);
	}
}

static void durations(void)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} times[] = {
		{ "30", 30000000000 },	   { "10m", 600000000000 },
		{ "1.5h", 5400000000000 }, { "500ms", 500000000 },
		{ "7us", 7000 },	   { "0", 0 },
		{ "1d", 86400000000000 },  { "2min 5s", 125000000000 },
		{ "1s500us", 1000500000 },
	};
	char why[HAK_WHY_TEXT];
	uint64_t ns;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		EXPECT(hak_duration_parse(times[i].text, &ns, why) == 0 && ns == times[i].ns, "%s",
		       times[i].text);
	EXPECT(hak_duration_parse("soon", &ns, why) == -EINVAL && strstr(why, "2min 5s"),
	       "soon: %s", why);
	EXPECT(hak_duration_parse("", &ns, why) == -EINVAL, "empty");
	EXPECT(hak_duration_parse("9999999999999d", &ns, why) == -ERANGE, "much too long");
}

/* A policy file takes what policy show prints. */
static void exact_times(void)
{
	char text[HAK_VALUE_TEXT], why[HAK_WHY_TEXT];

	for (uint64_t ns = 1; ns < UINT64_MAX / 7; ns = ns * 7 + 1) {
		uint64_t back = 0;

		hak_time_format(ns, text);
		EXPECT(hak_duration_parse(text, &back, why) == 0 && back == ns, "%llu: %s",
		       (unsigned long long)ns, text);
	}
	hak_time_format(125500000000, text);
	EXPECT(strcmp(text, "2min 5s 500ms") == 0, "%s", text);
}

/* set takes what get prints: values around every power of two, for every tunable. */
static void round_trip(const struct hak_spec *spec, uint64_t value)
{
	char text[HAK_VALUE_TEXT], why[HAK_WHY_TEXT];
	uint64_t back = ~value;

	hak_value_format(spec, value, text);
	EXPECT(hak_value_parse(spec, text, &back, why) == 0 && back == value,
	       "%s: %llu printed as %s reads as %llu", spec->name, (unsigned long long)value, text,
	       (unsigned long long)back);
}

static void printing(void)
{
	char text[HAK_VALUE_TEXT];

	for (size_t i = 0; i < sizeof(printed) / sizeof(printed[0]); i++) {
		hak_value_format(printed[i].spec, printed[i].value, text);
		EXPECT(strcmp(text, printed[i].text) == 0, "%s: %llu is printed as %s",
		       printed[i].spec->name, (unsigned long long)printed[i].value, text);
	}
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		struct hak_spec spec = hak_spec_of_row(&hak_tunable_rows[i]);

		round_trip(&spec, spec.min);
		round_trip(&spec, spec.max);
		round_trip(&spec, hak_tunable_rows[i].dflt);
		for (uint64_t v = 1; v <= spec.max / 2 && spec.type == HAK_TYPE_UINT; v *= 2) {
			round_trip(&spec, v - 1);
			round_trip(&spec, v);
			round_trip(&spec, v + 1);
			round_trip(&spec, v * 3);
		}
	}
	EXPECT(hak_spec_clamp(&count, 0) == 1 && hak_spec_clamp(&count, 9999) == 256 &&
		       hak_spec_clamp(&count, 7) == 7,
	       "clamping");
}

static void rounded(void)
{
	static const struct {
		uint64_t value;
		const char *bytes, *ns;
	} sizes[] = {
		{ 0, "0B", "0ns" },
		{ 999, "999B", "999ns" },
		{ 1024, "1.0K", "1.0us" },
		{ 1536, "1.5K", "1.5us" },
		{ 102400, "100K", "102us" },
		{ 3ull << 29, "1.5G", "1.6s" },
		{ 59940000000, "55.8G", "59.9s" },
		{ 59960000000, "55.8G", "1min" },
		{ 125400000000, "117G", "2min 5s" },
		{ 3600000000000, "3.3T", "1h" },
		{ 12034000000000, "10.9T", "3h 21min" },
		{ 95000000000000, "86.4T", "1d 2h" },
		{ (1ull << 60) - 1, "1024P", "13343d" },
		{ 1ull << 60, "no limit", "13343d" },
		{ UINT64_MAX, "no limit", "no limit" },
	};
	char text[HAK_VALUE_TEXT];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		hak_bytes_format(sizes[i].value, text);
		EXPECT(strcmp(text, sizes[i].bytes) == 0, "%llu bytes: %s",
		       (unsigned long long)sizes[i].value, text);
		hak_ns_format(sizes[i].value, text);
		EXPECT(strcmp(text, sizes[i].ns) == 0, "%llu ns: %s",
		       (unsigned long long)sizes[i].value, text);
	}
}

static void escaping(void)
{
	static const struct {
		const char *text, *escaped;
	} strings[] = {
		{ "plain (text)", "plain (text)" },
		{ "\033[31mred", "\\x1b[31mred" },
		{ "a\nb\tc", "a\\x0ab\\x09c" },
		{ "w\\x2dx.service", "w\\x2dx.service" },
		{ "gr\303\274n", "gr\303\274n" },
		{ "\360\237\220\231", "\360\237\220\231" },
		{ "\377\376", "\\xff\\xfe" },
		{ "\300\257", "\\xc0\\xaf" },
		{ "\355\240\200", "\\xed\\xa0\\x80" },
		{ "\302\233"
		  "2J",
		  "\\xc2\\x9b2J" },
		{ "\342\200\256rtl", "\\xe2\\x80\\xaertl" },
		{ "cut\303", "cut\\xc3" },
		{ "\177", "\\x7f" },
		{ "", "" },
	};
	char out[64], tight[6];

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		hak_escape(strings[i].text, out, sizeof(out));
		EXPECT(strcmp(out, strings[i].escaped) == 0, "%s is escaped as %s",
		       strings[i].escaped, out);
	}
	hak_escape("ab\n\n", tight, sizeof(tight));
	EXPECT(strcmp(tight, "ab") == 0, "cut inside an escape: %s", tight);
}

static const struct tcase cases[] = {
	{ "parsing", parsing },		{ "durations", durations }, { "printing", printing },
	{ "exact_times", exact_times }, { "rounded", rounded },	    { "escaping", escaping },
};

CASES(cases)
