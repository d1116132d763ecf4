/* SPDX-License-Identifier: MIT */
/*
 * The difference of two reports (hakmemctl/growth.h), on reports of the test's own: order, rates,
 * what counts as one process, classes of two versions, and figures beyond what a sum can hold.
 */
#include <string.h>

#include "hakmemctl/growth.h"
#include "tests/check.h"

/* The documents of a case, which forget() frees. */
static struct json_object *made[32];
static size_t made_n;

static struct json_object *keep(struct json_object *o)
{
	CHECK(o && made_n < sizeof(made) / sizeof(made[0]));
	return made[made_n++] = o;
}

static void forget(void)
{
	while (made_n)
		json_object_put(made[--made_n]);
}

/* A report of the process 7 at a time, with a memory by state and classes. */
static struct json_object *report(const char *start, const char *time_ns, const char *memory,
				  const char *classes)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 "{\"pid\":7,\"comm\":\"p\",\"version\":\"1\",\"start_ticks\":%s,\"time_ns\":%s,"
		 "\"memory\":{%s},\"resident\":{\"rss\":1},\"counters\":{\"purge.count\":3,"
		 "\"free.bad\":1},\"tiers\":[],\"classes\":%s}",
		 start, time_ns, memory, classes);
	return keep(json_tokener_parse(text));
}

static struct json_object *row(struct json_object *o, const char *rows, size_t i)
{
	struct json_object *array = hak_json_member(o, rows);

	CHECK(array && i < json_object_array_length(array), ": %s %zu", rows, i);
	return json_object_array_get_idx(array, i);
}

static int64_t number(struct json_object *o, const char *key)
{
	struct json_object *value = hak_json_member(o, key);

	CHECK(value, ": %s", key);
	return json_object_get_int64(value);
}

static double real(struct json_object *o, const char *key)
{
	struct json_object *value = hak_json_member(o, key);

	CHECK(value, ": %s", key);
	return json_object_get_double(value);
}

static void order_and_rates(void)
{
	struct json_object *a = report("5", "1000000000",
				       "\"in_use\":10,\"dirty\":50,\"lazy\":7,\"rss\":9", "null");
	struct json_object *b = report("5", "3000000000",
				       "\"in_use\":30,\"dirty\":10,\"lazy\":7,\"rss\":9", "null");
	struct json_object *o = keep(ctl_growth(a, b));

	EXPECT(json_object_get_boolean(hak_json_member(o, "same_process")));
	EXPECT(number(o, "span_ns") == 2000000000);
	EXPECT(json_object_array_length(hak_json_member(o, "states")) == 3);
	EXPECT(strcmp(hak_json_get_text(row(o, "states", 0), "state"), "in_use") == 0);
	EXPECT(strcmp(hak_json_get_text(row(o, "states", 1), "state"), "lazy") == 0);
	EXPECT(strcmp(hak_json_get_text(row(o, "states", 2), "state"), "dirty") == 0);
	EXPECT(number(row(o, "states", 2), "change") == -40);
	EXPECT(real(row(o, "states", 2), "per_second") == -20.0);
	EXPECT(!hak_json_member(o, "classes"));
	EXPECT(json_object_array_length(hak_json_member(o, "counters")) == 0);
	forget();
}

static bool same(struct json_object *a, struct json_object *b)
{
	struct json_object *o = keep(ctl_growth(a, b));
	bool is = json_object_get_boolean(hak_json_member(o, "same_process"));

	CHECK(is == (hak_json_member(o, "span_ns") != NULL));
	CHECK(is == (hak_json_member(row(o, "resident", 0), "per_second") != NULL));
	return is;
}

static void one_process(void)
{
	struct json_object *first = report("5", "10", "", "null");
	struct json_object *other = report("5", "20", "", "null");

	EXPECT(same(first, other));
	EXPECT(!same(other, first), ": time goes back");
	EXPECT(!same(first, first), ": no time between");
	EXPECT(!same(first, report("6", "20", "", "null")), ": the PID is used again");
	EXPECT(same(first, report("null", "20", "", "null")));
	json_object_object_add(other, "pid", json_object_new_int(8));
	EXPECT(!same(first, other));
	forget();
}

#define CLASS(class, size, in_use)                                                      \
	"{\"class\":" #class ",\"size\":" #size ",\"tier\":\"mid\",\"in_use\":" #in_use \
			     ",\"in_use_bytes\":" #in_use ",\"allocs\":" #in_use ",\"frees\":0}"

/* 1 and 3 have blocks of one size. In the second report, 2 has another size than before. */
static void classes_by_number(void)
{
	struct json_object *a = report("5", "1", "",
				       "[" CLASS(0, 16, 4) "," CLASS(1, 32, 9) "," CLASS(
					       2, 48, 1) "," CLASS(3, 32, 1) "]");
	struct json_object *b = report("5", "1000000001", "",
				       "[" CLASS(3, 32, 2) "," CLASS(1, 32, 9) "," CLASS(
					       0, 16, 6) "," CLASS(2, 64, 3) "]");
	struct json_object *o = keep(ctl_growth(a, b));
	static const struct {
		int64_t class, size, change;
	} want[] = {
		{ 2, 64, 3 }, { 0, 16, 2 }, { 3, 32, 1 }, { 1, 32, 0 }, { 2, 48, -1 },
	};

	CHECK(json_object_array_length(hak_json_member(o, "classes")) == 5);
	for (size_t i = 0; i < 5; i++) {
		struct json_object *c = row(o, "classes", i);

		EXPECT(number(c, "class") == want[i].class, ": row %zu", i);
		EXPECT(number(c, "size") == want[i].size, ": row %zu", i);
		EXPECT(number(c, "change") == want[i].change, ": row %zu", i);
		EXPECT(number(c, "blocks_change") == want[i].change, ": row %zu", i);
		EXPECT(real(c, "allocs_per_second") == (double)want[i].change, ": row %zu", i);
	}
	forget();
}

static void impossible_figures(void)
{
	struct json_object *a =
		report("5", "1", "\"in_use\":18446744073709551615,\"lazy\":0", "[]");
	struct json_object *b =
		report("5", "2", "\"in_use\":0,\"lazy\":18446744073709551615", "[]");
	struct json_object *o = keep(ctl_growth(a, b));

	EXPECT(number(row(o, "states", 0), "change") == INT64_MAX);
	EXPECT(number(row(o, "states", 1), "change") == -INT64_MAX);
	EXPECT(real(row(o, "states", 0), "per_second") > 9e27);
	EXPECT(json_object_array_length(hak_json_member(o, "classes")) == 0);
	forget();
}

static const struct tcase cases[] = {
	{ "order_and_rates", order_and_rates },
	{ "one_process", one_process },
	{ "classes_by_number", classes_by_number },
	{ "impossible_figures", impossible_figures },
};

CASES(cases)
