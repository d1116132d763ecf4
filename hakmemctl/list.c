/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl list: one row for each process that runs hakmem and that we may look at.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/snapshot.h"
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

static uint64_t count_changed(const struct hak_segment *seg)
{
	struct hak_tunable_state *states;
	uint64_t changed = 0;

	if (hak_tunables_read(seg, &states) < 0)
		return 0;
	for (uint32_t i = 0; i < seg->header.tunables; i++)
		changed += states[i].ack.origin != HAK_ORIGIN_DEFAULT;
	free(states);
	return changed;
}

/* What an administrator should know before anything else; "" for nothing. */
static void note_of(const struct hak_segment *seg, char *out, size_t bytes)
{
	static const char *const library[] = {
		[HAK_LIBRARY_OK] = "",
		[HAK_LIBRARY_DELETED] = "library deleted",
		[HAK_LIBRARY_REPLACED] = "library replaced",
	};

	const char *words[] = { seg->header.locked ? "locked" : "",
				seg->header.debug ? "debug" : "", library[seg->library_state] };
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (*words[i] && used < bytes)
			used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "",
						 words[i]);
}

static int add_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct json_object *rows = arg, *o;
	struct hak_snapshot snap;
	struct hak_memory memory;
	char text[64];
	int r = hak_snapshot_take(seg, &snap);

	if (r < 0)
		return ctl_exit_code(r);
	memory = hak_memory_of(seg, &snap);
	o = ctl_process(seg);
	hak_json_text(o, "version", seg->header.version);
	snprintf(text, sizeof(text), "%u.%u", seg->header.abi_major, seg->header.abi_minor);
	hak_json_text(o, "abi", text);
	hak_json_number(o, "heaps", hak_total(seg, &snap, HAK_ID_HEAPS_LIVE));
	hak_json_number(o, "rss", hak_segment_rss(seg, false));
	hak_json_number(o, "in_use", memory.in_use);
	hak_json_number(o, "thread_cached", memory.thread_cached);
	hak_json_number(o, "dirty", memory.dirty);
	hak_json_number(o, "lazy", memory.lazy);
	hak_json_bool(o, "agent", snap.agent);
	hak_json_bool(o, "locked", seg->header.locked);
	hak_json_bool(o, "debug", seg->header.debug);
	hak_json_number(o, "changed", count_changed(seg));
	hak_json_text(o, "library", seg->library[0] ? seg->library : NULL);
	hak_json_text(o, "library_state", ctl_library_word(seg->library_state));
	hak_json_null(o, "problem");
	note_of(seg, text, sizeof(text));
	hak_json_text(o, "note", text);
	hak_snapshot_free(&snap);
	if (hak_segment_alive(seg) < 0)
		json_object_put(o);
	else
		json_object_array_add(rows, o);
	return CTL_OK;
}

static void add_failure(struct ctl *ctl, pid_t pid, const char *why, void *arg)
{
	static const char *const unknown[] = { "comm",  "uid",     "version", "abi",
					      "heaps", "rss",     "in_use",  "thread_cached",
					      "dirty", "lazy",    "agent",   "locked",
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
	struct json_object *document, *rows;
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind < argc)
		return ctl_usage(ctl, "it takes no argument");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("list");
	rows = json_object_new_array();
	json_object_object_add(document, "processes", rows);
	r = ctl_each(ctl, "all", 0, add_process, add_failure, rows);
	printed = ctl_answer(ctl, document, rows, columns, COLUMNS);
	/* A process that could not be read has its row; the list itself is good. */
	return printed ? printed : r == CTL_NOTHING ? CTL_NOTHING : CTL_OK;
}
