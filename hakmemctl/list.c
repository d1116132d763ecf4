/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl list: prints one row for each process on hakmem that the caller may read.
 */
#include <getopt.h>
#include <stdlib.h>

#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "UID", "uid", HAK_SHOW_NUMBER, .hidden = true },
	{ "VERSION", "version", HAK_SHOW_TEXT },
	{ "ABI", "abi", HAK_SHOW_TEXT, .hidden = true },
	{ "HEAPS", "heaps", HAK_SHOW_NUMBER },
	{ "RSS", "rss", HAK_SHOW_BYTES },
	{ "IN-USE", "in_use", HAK_SHOW_BYTES },
	{ "CACHED", "thread_cached", HAK_SHOW_BYTES },
	{ "DIRTY", "dirty", HAK_SHOW_BYTES },
	{ "LAZY", "lazy", HAK_SHOW_BYTES },
	{ "CHANGED", "changed", HAK_SHOW_NUMBER },
	{ "AGENT", "agent", HAK_SHOW_TEXT, .hidden = true },
	{ "LOCKED", "locked", HAK_SHOW_TEXT, .hidden = true },
	{ "DEBUG", "debug", HAK_SHOW_TEXT, .hidden = true },
	{ "LIBRARY", "library", HAK_SHOW_TEXT, .hidden = true },
	{ "NOTE", "note", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int add_process(struct json_object *o, void *arg)
{
	json_object_array_add(arg, o);
	return CTL_OK;
}

static void add_failure(pid_t pid, const char *why, void *arg)
{
	static const char *const unknown[] = { "comm",	"uid",	   "version", "abi",
					       "heaps", "rss",	   "in_use",  "thread_cached",
					       "dirty", "lazy",	   "agent",   "locked",
					       "debug", "changed", "library", "library_state" };
	struct json_object *rows = arg, *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)pid);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		hak_json_null(o, unknown[i]);
	hak_json_text(o, "problem", why);
	hak_json_text(o, "note", why);
	json_object_array_add(rows, o);
}

int verb_list(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_report report = { HAK_REPORT_LIST, add_process, add_failure };
	struct json_object *document, *rows;
	char why[HAK_WHY_TEXT];
	int r, printed;
	bool any;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind < argc)
		return ctl_usage(ctl, "expects no arguments");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("list");
	rows = json_object_new_array();
	json_object_object_add(document, "processes", rows);
	r = ctl_report_each(ctl, "all", &report, rows);
	any = json_object_array_length(rows);
	printed = ctl_answer(ctl, document, rows, columns, COLUMNS);
	/* A process that could not be read has its row, so the list is complete. */
	return printed ? printed : any || r == CTL_OK ? CTL_OK : r;
}
