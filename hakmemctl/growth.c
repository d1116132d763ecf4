/* SPDX-License-Identifier: MIT */
/*
 * The difference of two reports, see growth.h.
 */
#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hakmemctl/growth.h"

/* What all rows of one comparison need. */
struct pair {
	struct json_object *before, *after;
	bool same;
	uint64_t span_ns; /* not 0 if `same` */
};

static int64_t change_of(uint64_t before, uint64_t after)
{
	uint64_t by = after > before ? after - before : before - after;
	int64_t size = by > INT64_MAX ? INT64_MAX : (int64_t)by;

	return after > before ? size : -size;
}

static void add_rate(const struct pair *pair, struct json_object *row, const char *key, double by)
{
	if (pair->same)
		hak_json_ratio(row, key, by * 1e9 / (double)pair->span_ns);
	else
		hak_json_null(row, key);
}

static void add_change(const struct pair *pair, struct json_object *row, uint64_t before,
		       uint64_t after)
{
	int64_t change = change_of(before, after);

	hak_json_number(row, "before", before);
	hak_json_number(row, "after", after);
	hak_json_signed(row, "change", change);
	add_rate(pair, row, "per_second", (double)change);
}

/* -- order ------------------------------------------------------------------------------------- */
struct place {
	struct json_object *row;
	int64_t change;
	size_t at;
};

static int by_change(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->change != y->change)
		return x->change < y->change ? 1 : -1;
	return x->at < y->at ? -1 : 1;
}

/* Returns the rows with the largest change first, rows with the same change in their old order.
 * Takes `rows` over. */
static struct json_object *sorted(struct json_object *rows)
{
	size_t n = json_object_array_length(rows);
	struct place *places = calloc(n + 1, sizeof(*places));
	struct json_object *result = json_object_new_array();

	if (!places || !result)
		errx(1, "out of memory");
	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		places[i].row = row;
		places[i].change = json_object_get_int64(hak_json_member(row, "change"));
		places[i].at = i;
	}
	qsort(places, n, sizeof(*places), by_change);
	for (size_t i = 0; i < n; i++)
		json_object_array_add(result, json_object_get(places[i].row));
	free(places);
	json_object_put(rows);
	return result;
}

/* -- figures by name --------------------------------------------------------------------------- */
static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);

	return n >= e && strcmp(name + n - e, end) == 0;
}

enum figures { OF_SPACE, OF_RESIDENT, ALL };

/* Of the memory by state, what is resident is a table of its own. RSS stands in `resident`. */
static bool belongs(enum figures which, const char *name)
{
	if (which == ALL)
		return true;
	if (strcmp(name, "rss") == 0)
		return false;
	return ends_in(name, "_resident") == (which == OF_RESIDENT);
}

static void add_figures(const struct pair *pair, struct json_object *rows, const char *part,
			const char *key, enum figures which)
{
	struct json_object *before = hak_json_member(pair->before, part);
	struct json_object *after = hak_json_member(pair->after, part);

	if (!before || !after)
		return;
	json_object_object_foreach(after, name, value)
	{
		struct json_object *old = hak_json_member(before, name), *row;

		if (!belongs(which, name) || !json_object_is_type(value, json_type_int) ||
		    !json_object_is_type(old, json_type_int))
			continue;
		row = json_object_new_object();
		hak_json_text(row, key, name);
		add_change(pair, row, json_object_get_uint64(old), json_object_get_uint64(value));
		json_object_array_add(rows, row);
	}
}

static struct json_object *states_of(const struct pair *pair)
{
	struct json_object *rows = json_object_new_array();

	add_figures(pair, rows, "memory", "state", OF_SPACE);
	return sorted(rows);
}

static struct json_object *resident_of(const struct pair *pair)
{
	struct json_object *rows = json_object_new_array();

	add_figures(pair, rows, "memory", "state", OF_RESIDENT);
	add_figures(pair, rows, "resident", "state", ALL);
	return sorted(rows);
}

static void add_faults(const struct pair *pair, struct json_object *rows, const char *key)
{
	struct json_object *before = hak_json_member(pair->before, key), *row;
	struct json_object *after = hak_json_member(pair->after, key);

	if (!before || !after)
		return;
	row = json_object_new_object();
	hak_json_text(row, "faults", key);
	add_change(pair, row, json_object_get_uint64(before), json_object_get_uint64(after));
	json_object_array_add(rows, row);
}

static struct json_object *faults_of(const struct pair *pair)
{
	struct json_object *rows = json_object_new_array();

	add_faults(pair, rows, "minor_faults");
	add_faults(pair, rows, "major_faults");
	return rows;
}

static struct json_object *counters_of(const struct pair *pair)
{
	struct json_object *all = json_object_new_array(), *rows = json_object_new_array();

	add_figures(pair, all, "counters", "counter", ALL);
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *row = json_object_array_get_idx(all, i);

		if (json_object_get_int64(hak_json_member(row, "change")) != 0)
			json_object_array_add(rows, json_object_get(row));
	}
	json_object_put(all);
	return rows;
}

/* -- tiers and classes ------------------------------------------------------------------------- */
static void add_calls(const struct pair *pair, struct json_object *row, struct json_object *before,
		      struct json_object *after)
{
	int64_t allocs = change_of(hak_json_get(before, "allocs"), hak_json_get(after, "allocs"));
	int64_t frees = change_of(hak_json_get(before, "frees"), hak_json_get(after, "frees"));

	add_rate(pair, row, "allocs_per_second", (double)allocs);
	if (!pair->same) {
		hak_json_null(row, "allocs");
		hak_json_null(row, "frees");
		return;
	}
	hak_json_signed(row, "allocs", allocs);
	hak_json_signed(row, "frees", frees);
}

/* The change of a tier or class. `before` or `after` may be NULL, as if nothing were in use. */
static void add_use(const struct pair *pair, struct json_object *row, struct json_object *before,
		    struct json_object *after)
{
	uint64_t blocks[2] = { hak_json_get(before, "in_use"), hak_json_get(after, "in_use") };

	add_change(pair, row, hak_json_get(before, "in_use_bytes"),
		   hak_json_get(after, "in_use_bytes"));
	hak_json_number(row, "blocks_before", blocks[0]);
	hak_json_number(row, "blocks_after", blocks[1]);
	hak_json_signed(row, "blocks_change", change_of(blocks[0], blocks[1]));
	add_calls(pair, row, before, after);
}

static struct json_object *tier_named(struct json_object *tiers, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(tiers); i++) {
		struct json_object *tier = json_object_array_get_idx(tiers, i);

		if (strcmp(hak_json_get_text(tier, "tier"), name) == 0)
			return tier;
	}
	return NULL;
}

static struct json_object *tiers_of(const struct pair *pair)
{
	struct json_object *before = hak_json_member(pair->before, "tiers");
	struct json_object *after = hak_json_member(pair->after, "tiers");
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(after); i++) {
		struct json_object *tier = json_object_array_get_idx(after, i);
		struct json_object *row = json_object_new_object();
		const char *name = hak_json_get_text(tier, "tier");

		hak_json_text(row, "tier", name);
		add_use(pair, row, tier_named(before, name), tier);
		json_object_array_add(rows, row);
	}
	return sorted(rows);
}

/* Slabs and runs can have blocks of one size, in two classes. Another version of the library may
 * number its classes differently: then a class of one side has no partner on the other. */
static struct json_object *class_of(struct json_object *classes, struct json_object *like)
{
	for (size_t i = 0; i < json_object_array_length(classes); i++) {
		struct json_object *c = json_object_array_get_idx(classes, i);

		if (hak_json_get(c, "class") == hak_json_get(like, "class") &&
		    hak_json_get(c, "size") == hak_json_get(like, "size"))
			return c;
	}
	return NULL;
}

static void add_class(const struct pair *pair, struct json_object *rows, struct json_object *before,
		      struct json_object *after)
{
	struct json_object *row = json_object_new_object(), *any = after ? after : before;

	hak_json_number(row, "class", hak_json_get(any, "class"));
	hak_json_number(row, "size", hak_json_get(any, "size"));
	hak_json_text(row, "tier", hak_json_get_text(any, "tier"));
	add_use(pair, row, before, after);
	json_object_array_add(rows, row);
}

/* Returns NULL if one of the reports has no classes. */
static struct json_object *classes_of(const struct pair *pair)
{
	struct json_object *before = hak_json_member(pair->before, "classes");
	struct json_object *after = hak_json_member(pair->after, "classes"), *rows;

	if (!before || !after)
		return NULL;
	rows = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(after); i++) {
		struct json_object *c = json_object_array_get_idx(after, i);

		add_class(pair, rows, class_of(before, c), c);
	}
	for (size_t i = 0; i < json_object_array_length(before); i++) {
		struct json_object *c = json_object_array_get_idx(before, i);

		if (!class_of(after, c))
			add_class(pair, rows, c, NULL);
	}
	return sorted(rows);
}

/* -- the whole --------------------------------------------------------------------------------- */
/* A PID is used again. The start tells processes apart; a report by an older hakmemd lacks it. */
static bool is_same(struct json_object *before, struct json_object *after)
{
	struct json_object *start[2] = { hak_json_member(before, "start_ticks"),
					 hak_json_member(after, "start_ticks") };

	if (hak_json_get(before, "pid") != hak_json_get(after, "pid") ||
	    hak_json_get(before, "time_ns") >= hak_json_get(after, "time_ns"))
		return false;
	if (start[0] && start[1])
		return json_object_get_uint64(start[0]) == json_object_get_uint64(start[1]);
	return strcmp(hak_json_get_text(before, "comm"), hak_json_get_text(after, "comm")) == 0;
}

static void add_process(struct json_object *o, const char *key, struct json_object *report)
{
	struct json_object *p = json_object_new_object();

	hak_json_number(p, "pid", hak_json_get(report, "pid"));
	hak_json_text(p, "comm", hak_json_get_text(report, "comm"));
	hak_json_text(p, "version", hak_json_get_text(report, "version"));
	hak_json_number(p, "time_ns", hak_json_get(report, "time_ns"));
	json_object_object_add(o, key, p);
}

struct json_object *ctl_growth(struct json_object *before, struct json_object *after)
{
	struct pair pair = { before, after, is_same(before, after), 0 };
	struct json_object *o = json_object_new_object();

	add_process(o, "before", before);
	add_process(o, "after", after);
	hak_json_bool(o, "same_process", pair.same);
	if (pair.same) {
		pair.span_ns = hak_json_get(after, "time_ns") - hak_json_get(before, "time_ns");
		hak_json_number(o, "span_ns", pair.span_ns);
	} else {
		hak_json_null(o, "span_ns");
	}
	json_object_object_add(o, "states", states_of(&pair));
	json_object_object_add(o, "resident", resident_of(&pair));
	json_object_object_add(o, "tiers", tiers_of(&pair));
	json_object_object_add(o, "classes", classes_of(&pair));
	json_object_object_add(o, "faults", faults_of(&pair));
	json_object_object_add(o, "counters", counters_of(&pair));
	return o;
}
