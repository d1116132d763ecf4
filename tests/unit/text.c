// SPDX-License-Identifier: MIT
/*
 * libhakmem/base/text.c: values as text. The grammar is that of control/value.c, which has a test
 * of its own (tests/control/value.c). Here both parse the same texts for each tunable, the library
 * within its range, and each reads back what the other writes.
 */
#include <errno.h>
#include <string.h>

#include "control/abi/schema.h"
#include "control/value.h"
#include "libhakmem/base/text.h"
#include "unit.h"

static struct hak_tunable_desc desc_of(const struct hak_tunable_row *row)
{
	struct hak_tunable_desc d = {
		.type = row->type, .unit = row->unit, .min = row->min, .max = row->max
	};

	snprintf(d.name, sizeof(d.name), "%s", row->name);
	snprintf(d.values, sizeof(d.values), "%s", row->values);
	return d;
}

/* Only the library checks the range; hakmemctl leaves that to the process. */
static void agree(const struct hak_tunable_row *row, const char *text)
{
	struct hak_tunable_desc d = desc_of(row);
	struct hak_spec spec = hak_spec_of_row(row);
	char why[HAK_WHY_TEXT];
	uint64_t a = 7, b = 7;
	int ra = hak_text_parse(&d, text, strlen(text), &a);
	int rb = hak_value_parse(&spec, text, &b, why);

	if (rb == 0 && (b < row->min || b > row->max)) {
		EXPECT(ra == -ERANGE, "%s=%s: %d", row->name, text, ra);
		return;
	}
	EXPECT(ra == rb, "%s=\"%s\": %d here, %d there", row->name, text, ra, rb);
	EXPECT(a == b, "%s=\"%s\": %" PRIu64 " here, %" PRIu64 " there", row->name, text, a, b);
}

static const char *const texts[] = {
	"",
	"0",
	"1",
	"2",
	"7",
	"16",
	"00016",
	"1024",
	"1K",
	"1k",
	"64M",
	"64m",
	"1.5G",
	"1.5g",
	"1.5",
	"0.5K",
	".5K",
	"5.K",
	"1.",
	"1..5G",
	"1.5.5G",
	"8GiB",
	"8gib",
	"8Gi",
	"8GB",
	"10B",
	"1E",
	"16E",
	"15.999E",
	"18446744073709551615",
	"18446744073709551616",
	"99999999999999999999999999",
	"0.0000000000000000001T",
	"0.333333333333333333T",
	"500ms",
	"1s",
	"1.5s",
	"0.0009s",
	"2m",
	"2min",
	"2min 5s",
	"2min5s",
	"2min 5",
	"1h 30min 7s 250ms",
	"1h",
	"1d",
	"24h",
	"1.0000001d",
	"2M ",
	" 2M",
	"+2",
	"-1",
	"0x10",
	"1e3",
	"on",
	"off",
	"ON",
	"Off",
	"yes",
	"no",
	"true",
	"false",
	"onn",
	"o",
	"dontneed",
	"free",
	"remap",
	"munmap",
	"keep",
	"Free",
	"fre",
	"dontneed|free",
	"|",
	"adaptive",
	"always",
	"auto",
	"abort",
	"report",
	"K",
	"ms",
	"s",
	",",
	"=",
	"1,5G",
	"\xff",
	"1\xc2\xb5s",
};

static void round_trip(const struct hak_tunable_row *row, uint64_t value)
{
	struct hak_tunable_desc d = desc_of(row);
	struct hak_spec spec = hak_spec_of_row(row);
	char ours[64], theirs[HAK_VALUE_TEXT], why[HAK_WHY_TEXT];
	struct hak_text t = { ours, sizeof(ours), 0 };
	uint64_t back = ~0ull;

	if (value < row->min || value > row->max)
		return;
	hak_text_put_value(&t, &d, value);
	hak_value_format(&spec, value, theirs);
	EXPECT(strcmp(ours, theirs) == 0, "%s %" PRIu64 ": %s here, %s there", row->name, value,
	       ours, theirs);
	EXPECT(hak_text_parse(&d, theirs, strlen(theirs), &back) == 0 && back == value, "%s %s",
	       row->name, theirs);
	EXPECT(hak_value_parse(&spec, ours, &back, why) == 0 && back == value, "%s %s", row->name,
	       ours);
}

static void grammar(void)
{
	static const uint64_t numbers[] = { 0,	     1,	      2,       3,	  4,	 999,
					    1000,    1024,    1500,    4096,	  60000, 86400000,
					    1048576, 3 << 19, 1 << 30, 8589934592 };

	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];

		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
			agree(row, texts[k]);
		for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
			round_trip(row, numbers[k]);
		round_trip(row, row->min);
		round_trip(row, row->max);
		round_trip(row, row->dflt);
	}
}

/* Reads only `bytes` bytes, as a list of entries needs it. */
static void ends_where_told(void)
{
	struct hak_tunable_desc d = desc_of(hak_tunable_row_find("region.evict"));
	uint64_t v = 7;

	EXPECT(hak_text_parse(&d, "free,keep", 4, &v) == 0 && v == 1, "%" PRIu64, v);
	EXPECT(hak_text_parse(&d, "free", 3, &v) == -EINVAL, "fre");
	d = desc_of(hak_tunable_row_find("whale.ring_bytes"));
	EXPECT(hak_text_parse(&d, "64M", 2, &v) == 0 && v == 64, "%" PRIu64, v);
}

static void buffers_are_not_overrun(void)
{
	char buf[16];

	for (size_t max = 0; max <= 12; max++) {
		struct hak_text t = { buf, max, 0 };

		memset(buf, 'z', sizeof(buf));
		hak_text_put(&t, "abc");
		hak_text_put_number(&t, 18446744073709551615u);
		hak_text_put_escaped(&t, "\n\x7f", 2);
		EXPECT(t.at == 25, "%zu", t.at);
		EXPECT(buf[max] == 'z', "wrote behind %zu bytes", max);
		EXPECT(!max || strlen(buf) == max - 1, "\"%s\" in %zu bytes", buf, max);
	}
}

static void stranger_bytes_are_escaped(void)
{
	char buf[16];
	struct hak_text t = { buf, sizeof(buf), 0 };

	hak_text_put_escaped(&t, "a\033\n~\x80", 5);
	EXPECT(strcmp(buf, "a??~?") == 0, "%s", buf);
}

static const struct tcase cases[] = {
	{ "grammar", grammar },
	{ "ends_where_told", ends_where_told },
	{ "buffers_are_not_overrun", buffers_are_not_overrun },
	{ "stranger_bytes_are_escaped", stranger_bytes_are_escaped },
};

CASES(cases)
