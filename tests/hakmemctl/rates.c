/* SPDX-License-Identifier: MIT */
/*
 * Rates from two reports, which may be of another program, or false: which report is the earlier
 * one, and where a rate is unknown.
 */
#include <json-c/json.h>
#include <stdint.h>

#include "control/json.h"
#include "hakmemctl/rates.h"
#include "tests/check.h"

/* All reports of the case, which go at its end. */
static struct json_object *made[8];
static size_t made_n;

static void drop_all(void)
{
	while (made_n)
		json_object_put(made[--made_n]);
}

/* A report in which a process that was created at `created_ns` has made that many allocations. */
static struct json_object *reports(uint64_t pid, uint64_t created_ns, uint64_t ns, uint64_t allocs)
{
	struct json_object *o = json_object_new_object(), *counters = json_object_new_object();
	struct json_object *array = json_object_new_array();

	hak_json_number(o, "pid", pid);
	hak_json_number(o, "created_ns", created_ns);
	hak_json_number(o, "time_ns", ns);
	hak_json_number(counters, "class.allocs", allocs);
	hak_json_number(counters, "whale.allocs", 0);
	json_object_object_add(o, "counters", counters);
	json_object_object_add(o, "tiers", json_object_new_array());
	json_object_array_add(array, o);
	CHECK(made_n < sizeof(made) / sizeof(made[0]));
	return made[made_n++] = array;
}

static struct json_object *rates(struct json_object *now, struct json_object *before)
{
	ctl_add_rates(now, before);
	return hak_json_member(json_object_array_get_idx(now, 0), "rates");
}

#define SECOND ((uint64_t)1000000000)

static void differences(void)
{
	struct json_object *before = reports(7, SECOND, 3 * SECOND, 100);
	struct json_object *r = rates(before, NULL);

	EXPECT(json_object_get_boolean(hak_json_member(r, "since_start")), "not since the start");
	EXPECT(json_object_get_double(hak_json_member(r, "allocs")) == 50, "%s",
	       json_object_to_json_string(r));
	r = rates(reports(7, SECOND, 7 * SECOND, 110), before);
	EXPECT(!json_object_get_boolean(hak_json_member(r, "since_start")), "since the start");
	EXPECT(hak_json_get(r, "interval_ns") == 4 * SECOND, "%s", json_object_to_json_string(r));
	EXPECT(json_object_get_double(hak_json_member(r, "allocs")) == 2.5, "%s",
	       json_object_to_json_string(r));
	EXPECT(!hak_json_member(r, "mmap"), "a rate of a counter that is not there");
	drop_all();
}

static void another_program(void)
{
	struct json_object *before = reports(7, SECOND, 3 * SECOND, 100), *r;

	r = rates(reports(7, 4 * SECOND, 6 * SECOND, 500), before);
	EXPECT(json_object_get_boolean(hak_json_member(r, "since_start")),
	       "the counters of another program were taken off");
	EXPECT(json_object_get_double(hak_json_member(r, "allocs")) == 250, "%s",
	       json_object_to_json_string(r));
	r = rates(reports(8, SECOND, 6 * SECOND, 500), before);
	EXPECT(json_object_get_boolean(hak_json_member(r, "since_start")), "another process");
	drop_all();
}

static void falsehood(void)
{
	struct json_object *before = reports(7, SECOND, 3 * SECOND, 100), *r;

	r = rates(reports(7, SECOND, 4 * SECOND, 99), before);
	EXPECT(!hak_json_member(r, "allocs"), "a counter that fell: %s",
	       json_object_to_json_string(r));
	r = rates(reports(7, SECOND, 3 * SECOND, 101), before);
	EXPECT(!hak_json_member(r, "allocs"), "no time: %s", json_object_to_json_string(r));
	r = rates(reports(7, 5 * SECOND, 3 * SECOND, 101), NULL);
	EXPECT(!hak_json_member(r, "allocs"), "created later: %s", json_object_to_json_string(r));
	r = rates(reports(7, 0, 3 * SECOND, 101), NULL);
	EXPECT(!hak_json_member(r, "allocs"), "an older hakmemd: %s",
	       json_object_to_json_string(r));
	drop_all();
}

static const struct tcase cases[] = {
	{ "differences", differences },
	{ "another_program", another_program },
	{ "falsehood", falsehood },
};

CASES(cases)
