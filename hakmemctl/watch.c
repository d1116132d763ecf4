/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl stats --watch: prints what processes do in a second, one line a sample. The first line
 * of a process has the means since its start, and each other line those since the line before. JSON
 * has one document a sample, with all counters and the rates.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"
#include "hakmemctl/rates.h"

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER, .width = 7, .hidden = true },
	{ "COMM", "comm", HAK_SHOW_TEXT, .width = 15, .hidden = true },
	{ "TIME", "interval_ns", HAK_SHOW_NS, .width = 5, .hidden = true },
	{ "RSS", "rss", HAK_SHOW_BYTES, .width = 5 },
	{ "IN-USE", "in_use", HAK_SHOW_BYTES, .width = 6 },
	{ "FREE", "free_resident", HAK_SHOW_BYTES, .width = 5 },
	{ "ALLOCS", "allocs", HAK_SHOW_RATE, .width = 7 },
	{ "FREES", "frees", HAK_SHOW_RATE, .width = 7 },
	{ "BYTES", "alloc_bytes", HAK_SHOW_BYTES, .width = 5 },
	{ "FREED", "free_bytes", HAK_SHOW_BYTES, .width = 5, .hidden = true },
	{ "REFILLS", "refills", HAK_SHOW_RATE, .width = 7 },
	{ "FLUSHES", "flushes", HAK_SHOW_RATE, .width = 7, .hidden = true },
	{ "FAULTS", "faults", HAK_SHOW_RATE, .width = 6 },
	{ "MAJOR", "major_faults", HAK_SHOW_RATE, .width = 5, .hidden = true },
	{ "MMAP", "mmap", HAK_SHOW_RATE, .width = 5 },
	{ "MUNMAP", "munmap", HAK_SHOW_RATE, .width = 6, .hidden = true },
	{ "MREMAP", "mremap", HAK_SHOW_RATE, .width = 6, .hidden = true },
	{ "MADVISE", "madvise", HAK_SHOW_RATE, .width = 7 },
	{ "BACK", "returned_bytes", HAK_SHOW_BYTES, .width = 5 },
	{ "PURGES", "purges", HAK_SHOW_RATE, .width = 6, .hidden = true },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* The columns where there are several processes. */
static const char many_columns[] =
	"PID,COMM,RSS,IN-USE,FREE,ALLOCS,FREES,BYTES,REFILLS,FAULTS,MMAP,MADVISE,BACK";

/* A terminal shows a heading again after so many lines. */
#define HEADING_LINES 20

struct watch {
	struct json_object *before; /* the reports of the previous sample */
	bool many;
	unsigned lines; /* since the last heading */
};

static void copy_members(struct json_object *to, struct json_object *from)
{
	json_object_object_foreach(from, key, value)
	{
		json_object_object_add(to, key, json_object_get(value));
	}
}

static void print_rates(struct ctl *ctl, struct watch *w, struct json_object *p)
{
	struct hak_style style = { ctl->legend, ctl->color, ctl->columns };
	struct json_object *row = json_object_new_object();
	bool heading =
		ctl->legend &&
		(!w->before ? w->lines == 0 : isatty(STDOUT_FILENO) && w->lines >= HEADING_LINES);
	char why[HAK_WHY_TEXT];

	if (!style.columns && w->many)
		style.columns = many_columns;
	copy_members(row, hak_json_member(p, "memory"));
	copy_members(row, hak_json_member(p, "rates"));
	hak_json_number(row, "pid", hak_json_get(p, "pid"));
	hak_json_text(row, "comm", hak_json_get_text(p, "comm"));
	hak_emit_line(stdout, row, columns, COLUMNS, &style, heading, why);
	w->lines = heading ? 1 : w->lines + 1;
	json_object_put(row);
}

static void print_sample(struct ctl *ctl, struct watch *w, struct json_object *processes)
{
	const size_t n = json_object_array_length(processes);

	if (!w->before && ctl->legend)
		printf("A second: first since the start of the process, then since its last "
		       "line. RSS, IN-USE and FREE: now.\n");
	if (n > 1 && !w->many) {
		w->many = true;
		w->lines = 0;
	}
	for (size_t i = 0; i < n; i++)
		print_rates(ctl, w, json_object_array_get_idx(processes, i));
}

static int add_process(struct json_object *o, void *arg)
{
	json_object_array_add(arg, o);
	return CTL_OK;
}

static int sample(struct ctl *ctl, struct watch *w, const char *target, bool classes)
{
	const struct ctl_report report = { classes ? HAK_REPORT_CLASSES : HAK_REPORT_STATS,
					   add_process, NULL };
	struct json_object *document = hak_json_document("stats");
	struct json_object *processes = json_object_new_array();
	int r;

	json_object_object_add(document, "processes", processes);
	r = ctl_report_each(ctl, target, &report, processes);
	ctl_add_rates(processes, w->before);
	if (ctl->json != HAK_JSON_OFF)
		hak_emit_json(stdout, document, ctl->json);
	else
		print_sample(ctl, w, processes);
	json_object_put(w->before);
	w->before = json_object_get(processes);
	json_object_put(document);
	return r;
}

int ctl_watch(struct ctl *ctl, const char *target, bool classes, uint64_t pause_ns)
{
	const struct timespec pause = { .tv_sec = (time_t)(pause_ns / 1000000000),
					.tv_nsec = (long)(pause_ns % 1000000000) };
	struct watch w = { 0 };
	char why[HAK_WHY_TEXT];
	int r;

	if (classes && ctl->json == HAK_JSON_OFF)
		return ctl_usage(ctl, "--watch prints no classes; with --json it does");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	/* A process that cannot be read does not end the watch of others. */
	do {
		ctl_begin_round(ctl);
		r = sample(ctl, &w, target, classes);
		if (r != CTL_OK && json_object_array_length(w.before) == 0)
			break;
		r = fflush(stdout) == 0 ? CTL_OK : CTL_FAILED;
		if (r == CTL_OK)
			nanosleep(&pause, NULL);
	} while (r == CTL_OK);
	json_object_put(w.before);
	return r;
}
