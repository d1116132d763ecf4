/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl map: the heap of one process as a picture. This file has the command line. See map.h.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/output.h"
#include "hakmemctl/map/map.h"

enum shape { TERMINAL, JSON, SVG };

/* A part of the document takes about 5 KiB of memory while it is made. */
#define JSON_PARTS_MOST (1u << 19)

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), e = strlen(end);

	return n > e && strcasecmp(text + n - e, end) == 0;
}

/* The end of the name says what is written. Returns CTL_OK or ctl->failure. */
static int shape_of(struct ctl *ctl, const char *output, enum shape *ret)
{
	*ret = ctl->json != HAK_JSON_OFF ? JSON : TERMINAL;
	if (!output)
		return CTL_OK;
	if (ends_with(output, ".svg") && *ret == JSON)
		return ctl_usage(ctl, "--json does not go with a file whose name ends with .svg");
	if (ends_with(output, ".svg"))
		*ret = SVG;
	else if (ends_with(output, ".json"))
		*ret = JSON;
	else
		return ctl_usage(ctl, "--output: the name ends with .svg or .json, which says what "
				      "is written");
	return CTL_OK;
}

static void show(const struct ctl *ctl, const struct map *map, enum shape shape, FILE *to)
{
	struct json_object *document;

	if (shape == SVG) {
		map_draw(map, to);
		return;
	}
	document = map_document(map);
	hak_emit_json(to, document, ctl->json == HAK_JSON_OFF ? HAK_JSON_SHORT : ctl->json);
	json_object_put(document);
}

/* The file is made whole or not at all. */
static int write_file(const struct ctl *ctl, const struct map *map, enum shape shape,
		      const char *output)
{
	char *text = NULL, why[HAK_WHY_TEXT] = "out of memory";
	size_t bytes = 0;
	FILE *made = open_memstream(&text, &bytes);
	int r = made ? 0 : -ENOMEM;

	if (made)
		show(ctl, map, shape, made);
	if (made && (ferror(made) | fclose(made)) != 0)
		r = -ENOMEM;
	if (r == 0)
		r = hak_output(output, text, bytes, why);
	free(text);
	if (r < 0)
		ctl_complain("hakmemctl: %s: %s\n", output, why);
	return r < 0 ? CTL_FAILED : CTL_OK;
}

static int answer(struct ctl *ctl, const struct map *map, enum shape shape, const char *output)
{
	FILE *to;

	if (output)
		return write_file(ctl, map, shape, output);
	if (shape == JSON) {
		show(ctl, map, shape, stdout);
		return CTL_OK;
	}
	to = ctl_pager_begin(ctl);
	map_print(map, to, ctl->color);
	ctl_pager_end(to);
	return CTL_OK;
}

/* Returns 0, or -E2BIG with a sentence in `why`. */
static int check_size(const struct map *map, enum shape shape, char why[HAK_WHY_TEXT])
{
	const size_t parts = map->extents + map->slabs + map->runs + map->regions;

	if (shape != JSON || parts <= JSON_PARTS_MOST)
		return 0;
	snprintf(why, HAK_WHY_TEXT,
		 "its heap has %zu extents, slabs, runs and regions, and JSON holds %u at most: "
		 "write a picture, a file whose name ends with .svg",
		 parts, JSON_PARTS_MOST);
	return -E2BIG;
}

static void tell_changed(const struct map *map)
{
	const unsigned long long left_out = map->contradictions;

	if (map->changed)
		ctl_complain("hakmemctl: process %d changed its heap while it was read: the map is "
			     "not of one moment, and %llu parts are left out\n",
			     (int)map->seg->pid, left_out);
	else if (left_out)
		ctl_complain("hakmemctl: process %d: %llu parts of its heap contradict themselves "
			     "and are left out\n",
			     (int)map->seg->pid, left_out);
}

int verb_map(struct ctl *ctl, int argc, char **argv)
{
	char why[HAK_WHY_TEXT] = "";
	const char *output = NULL;
	struct hak_segment *seg;
	enum shape shape;
	struct map map;
	int r;

	while ((r = ctl_option(ctl, argc, argv)) >= 0)
		output = ctl->argument;
	if (r == -2 || shape_of(ctl, output, &shape) != CTL_OK)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "expects one TARGET");
	if (output && hak_output_check(output, why) < 0) {
		ctl_complain("hakmemctl: %s: %s\n", output, why);
		return CTL_FAILED;
	}
	r = ctl_open_one(ctl, argv[optind], 0, &seg);
	if (r != CTL_OK)
		return r;
	r = map_read(&map, seg, why);
	if (r == 0)
		r = hak_segment_alive(seg);
	if (r == 0)
		r = check_size(&map, shape, why);
	if (r < 0) {
		ctl_complain("hakmemctl: process %d: %s\n", (int)seg->pid,
			     why[0]	   ? why
			     : r == -ESRCH ? "it ended, or executed another program"
			     : r == -ETIME ? "its memory takes too long to read"
					   : strerror(-r));
		r = ctl_exit_code(r);
	} else {
		r = answer(ctl, &map, shape, output);
		tell_changed(&map);
	}
	map_free(&map);
	hak_segment_close(seg);
	return r;
}
