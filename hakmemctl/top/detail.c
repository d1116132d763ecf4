/* SPDX-License-Identifier: MIT */
/*
 * One process for `hakmemctl top`, as lines of text: memory by state, what is resident, tiers,
 * tunables with origins and deadlines, and size classes.
 */
#include <err.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/grow.h"
#include "hakmemctl/top/top.h"

void top_lines_free(struct top_lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->line[i]);
	free(lines->line);
	*lines = (struct top_lines){ 0 };
}

void top_lines_add(struct top_lines *lines, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	lines->line = hak_grow(lines->line, lines->n, &lines->room, sizeof(char *));
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (!lines->line || n < 0)
		errx(1, "out of memory");
	lines->line[lines->n++] = text;
}

/* Writes "-" for a figure that is not known. */
static void bytes_of(struct json_object *o, const char *key, char text[HAK_VALUE_TEXT])
{
	strcpy(text, "-");
	if (hak_json_member(o, key))
		hak_bytes_format(hak_json_get(o, key), text);
}

static void describe_memory(struct top_lines *lines, struct json_object *memory)
{
	static const char *const states[] = { "in_use", "requested", "thread_cached", "slab_free",
					      "dirty",	"lazy",	     "clean",	      "reserved",
					      "mapped", "metadata" };

	top_lines_add(lines, "%-16s %9s %9s", "MEMORY", "SPACE", "RESIDENT");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		char space[HAK_VALUE_TEXT], resident[HAK_VALUE_TEXT], key[32];

		snprintf(key, sizeof(key), "%s_resident", states[i]);
		bytes_of(memory, states[i], space);
		bytes_of(memory, key, resident);
		top_lines_add(lines, "  %-14s %9s %9s", states[i], space, resident);
	}
}

static void describe_resident(struct top_lines *lines, struct json_object *resident)
{
	static const char *const kinds[] = { "rss",   "pss",   "private", "malloc", "other",
					     "stack", "files", "shared",  "huge",   "swap" };

	top_lines_add(lines, "%s", "");
	top_lines_add(lines, "RESIDENT%s", resident ? "" : " is not known");
	for (size_t i = 0; resident && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char text[HAK_VALUE_TEXT];

		bytes_of(resident, kinds[i], text);
		top_lines_add(lines, "  %-14s %9s", kinds[i], text);
	}
}

static void describe_use(struct top_lines *lines, const char *name, struct json_object *o)
{
	char used[HAK_VALUE_TEXT], cached[HAK_VALUE_TEXT];

	bytes_of(o, "in_use_bytes", used);
	bytes_of(o, "cached_bytes", cached);
	top_lines_add(lines, "  %-8s %12" PRIu64 " %12" PRIu64 " %10" PRIu64 " %7s %7s", name,
		      hak_json_get(o, "allocs"), hak_json_get(o, "frees"),
		      hak_json_get(o, "in_use"), used, cached);
}

static void describe_head(struct top_lines *lines, const char *name)
{
	top_lines_add(lines, "%s", "");
	top_lines_add(lines, "%-10s %12s %12s %10s %7s %7s", name, "ALLOCS", "FREES", "IN-USE",
		      "BYTES", "CACHED");
}

static void describe_tiers(struct top_lines *lines, struct json_object *tiers)
{
	describe_head(lines, "TIERS");
	for (size_t i = 0; tiers && i < json_object_array_length(tiers); i++) {
		struct json_object *tier = json_object_array_get_idx(tiers, i);

		describe_use(lines, hak_json_get_text(tier, "tier"), tier);
	}
}

static void describe_classes(struct top_lines *lines, struct json_object *classes)
{
	describe_head(lines, "CLASSES");
	for (size_t i = 0; classes && i < json_object_array_length(classes); i++) {
		struct json_object *c = json_object_array_get_idx(classes, i);
		char size[24];

		if (!hak_json_get(c, "allocs") && !hak_json_get(c, "in_use"))
			continue;
		snprintf(size, sizeof(size), "%" PRIu64, hak_json_get(c, "size"));
		describe_use(lines, size, c);
	}
}

static void describe_values(struct top_lines *lines, struct json_object *values)
{
	top_lines_add(lines, "%s", "");
	top_lines_add(lines, "  %-24s %-14s %-12s %-10s %s", "TUNABLES", "VALUE", "ORIGIN",
		      "EXPIRES", "DEFAULT");
	for (size_t i = 0; values && i < json_object_array_length(values); i++) {
		struct json_object *v = json_object_array_get_idx(values, i);
		char left[HAK_VALUE_TEXT] = "-";

		if (hak_json_get(v, "expires_ns"))
			hak_ns_format(hak_json_get(v, "expires_ns"), left);
		top_lines_add(lines, "  %-24s %-14s %-12s %-10s %s", hak_json_get_text(v, "name"),
			      hak_json_get_text(v, "text"), hak_json_get_text(v, "origin"), left,
			      hak_json_get_text(v, "default"));
	}
}

void top_describe(struct top_lines *lines, struct json_object *report, struct json_object *values)
{
	const char *unit = hak_json_get_text(report, "unit");

	top_lines_add(lines, "%s (%" PRIu64 "), hakmem %s, heaps: %" PRIu64 ", unit: %s",
		      hak_json_get_text(report, "comm"), hak_json_get(report, "pid"),
		      hak_json_get_text(report, "version"), hak_json_get(report, "heaps"),
		      unit ? unit : "-");
	top_lines_add(lines, "%s", "");
	describe_memory(lines, hak_json_member(report, "memory"));
	describe_resident(lines, hak_json_member(report, "resident"));
	describe_tiers(lines, hak_json_member(report, "tiers"));
	describe_values(lines, values);
	describe_classes(lines, hak_json_member(report, "classes"));
}
