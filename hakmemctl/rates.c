/* SPDX-License-Identifier: MIT */
/*
 * Computes rates, see rates.h. Both reports may be from a process that publishes false figures.
 */
#include <stdbool.h>
#include <string.h>

#include "control/json.h"
#include "hakmemctl/rates.h"

/* Each rate is the growth of a sum of counters, or of another member of the report. */
static const struct {
	const char *key, *counter[3];
	const char *tiers;  /* summed over the tiers */
	const char *member; /* of the report */
} sums[] = {
	{ "allocs", { "class.allocs", "whale.allocs" } },
	{ "frees", { "class.frees", "whale.frees" } },
	{ "alloc_bytes", .tiers = "alloc_bytes" },
	{ "free_bytes", .tiers = "free_bytes" },
	{ "refills", { "class.requested_samples" } },
	{ "flushes", { "free.flush" } },
	{ "faults", .member = "minor_faults" },
	{ "major_faults", .member = "major_faults" },
	{ "mmap", { "sys.mmap.calls" } },
	{ "munmap", { "sys.munmap.calls" } },
	{ "mremap", { "sys.mremap.calls" } },
	{ "madvise", { "sys.dontneed.calls", "sys.free.calls", "sys.hugepage.calls" } },
	{ "returned_bytes", { "sys.munmap.bytes", "sys.dontneed.bytes", "sys.free.bytes" } },
	{ "purges", { "purge.count" } },
};
#define SUMS (sizeof(sums) / sizeof(sums[0]))

/* Returns false if the report lacks a part of the sum. */
static bool add_member(struct json_object *o, const char *key, uint64_t *sum)
{
	*sum += hak_json_get(o, key);
	return hak_json_member(o, key) != NULL;
}

static bool sum_of(struct json_object *report, size_t i, uint64_t *ret)
{
	struct json_object *counters = hak_json_member(report, "counters");
	struct json_object *tiers = hak_json_member(report, "tiers");
	bool known = true;

	*ret = 0;
	for (size_t k = 0; k < 3 && sums[i].counter[k]; k++)
		known &= add_member(counters, sums[i].counter[k], ret);
	for (size_t k = 0; sums[i].tiers && k < json_object_array_length(tiers); k++)
		known &= add_member(json_object_array_get_idx(tiers, k), sums[i].tiers, ret);
	if (sums[i].member)
		known &= add_member(report, sums[i].member, ret);
	return known;
}

/* The report of the same segment: a program that was executed anew has another one. */
static struct json_object *report_of(struct json_object *reports, struct json_object *o)
{
	for (size_t i = 0; reports && i < json_object_array_length(reports); i++) {
		struct json_object *other = json_object_array_get_idx(reports, i);

		if (hak_json_get(other, "pid") == hak_json_get(o, "pid") &&
		    hak_json_get(other, "created_ns") == hak_json_get(o, "created_ns"))
			return other;
	}
	return NULL;
}

/* 0: not known. */
static uint64_t interval_ns(struct json_object *o, struct json_object *old)
{
	uint64_t now = hak_json_get(o, "time_ns");
	uint64_t then = old ? hak_json_get(old, "time_ns") : hak_json_get(o, "created_ns");

	return then && then < now ? now - then : 0;
}

static struct json_object *rates_of(struct json_object *o, struct json_object *old)
{
	struct json_object *rates = json_object_new_object();
	const uint64_t ns = interval_ns(o, old);

	hak_json_number(rates, "interval_ns", ns);
	hak_json_bool(rates, "since_start", !old);
	for (size_t i = 0; i < SUMS; i++) {
		uint64_t now, then = 0;
		bool known = sum_of(o, i, &now) && (!old || sum_of(old, i, &then));

		if (known && ns && now >= then)
			hak_json_ratio(rates, sums[i].key, (double)(now - then) * 1e9 / (double)ns);
		else
			hak_json_null(rates, sums[i].key);
	}
	return rates;
}

void ctl_add_rates(struct json_object *now, struct json_object *before)
{
	for (size_t i = 0; i < json_object_array_length(now); i++) {
		struct json_object *o = json_object_array_get_idx(now, i);

		json_object_object_add(o, "rates", rates_of(o, report_of(before, o)));
	}
}
