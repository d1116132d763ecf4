/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl list: prints one row for each process on hakmem that the caller may read.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/policy.h"
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
	{ "CACHED", "thread_cached_resident", HAK_SHOW_BYTES },
	{ "DIRTY", "dirty_resident", HAK_SHOW_BYTES },
	{ "LAZY", "lazy_resident", HAK_SHOW_BYTES },
	{ "CACHED-SPACE", "thread_cached", HAK_SHOW_BYTES, .hidden = true },
	{ "DIRTY-SPACE", "dirty", HAK_SHOW_BYTES, .hidden = true },
	{ "LAZY-SPACE", "lazy", HAK_SHOW_BYTES, .hidden = true },
	{ "PSS", "pss", HAK_SHOW_BYTES, .hidden = true },
	{ "PRIVATE", "private", HAK_SHOW_BYTES, .hidden = true },
	{ "HUGE", "huge", HAK_SHOW_BYTES, .hidden = true },
	{ "SWAP", "swap", HAK_SHOW_BYTES, .hidden = true },
	{ "CHANGED", "changed", HAK_SHOW_NUMBER },
	{ "AGENT", "agent", HAK_SHOW_TEXT, .hidden = true },
	{ "LOCKED", "locked", HAK_SHOW_TEXT, .hidden = true },
	{ "DEBUG", "debug", HAK_SHOW_TEXT, .hidden = true },
	{ "LIBRARY", "library", HAK_SHOW_TEXT, .hidden = true },
	{ "NOTE", "note", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* The rows, and the policies of this machine. */
struct list {
	struct json_object *rows;
	struct hak_policy_set *set; /* NULL: unknown */
	uint64_t least;		    /* CachedMax= of all policies; UINT64_MAX: none has it */
};

static void read_policies(struct list *list)
{
	char *path = hak_policy_path();

	list->least = UINT64_MAX;
	if (!path || hak_policy_load(path, &list->set) < 0)
		list->set = NULL;
	free(path);
	for (size_t i = 0; list->set && i < list->set->n; i++) {
		const struct hak_policy *p = list->set->policy[i];

		if (p->has[HAK_SET_CACHED_MAX] && p->setting[HAK_SET_CACHED_MAX] < list->least)
			list->least = p->setting[HAK_SET_CACHED_MAX];
	}
}

/* UINT64_MAX: no policy limits the process, or its identity cannot be read. */
static uint64_t cached_max(const struct list *list, pid_t pid)
{
	struct hak_effect effect;
	struct hak_identity id;
	char path[32];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return UINT64_MAX;
	r = hak_identity_read(fd, pid, &id);
	close(fd);
	if (r < 0)
		return UINT64_MAX;
	hak_identity_name_user(&id);
	hak_policy_effect(list->set, &id, &effect);
	return effect.cached_max;
}

static void note_limit(const struct list *list, struct json_object *o)
{
	uint64_t cached = hak_json_get(o, "thread_cached") + hak_json_get(o, "dirty") +
			  hak_json_get(o, "lazy");
	const char *note = hak_json_get_text(o, "note");
	char text[HAK_WHY_TEXT];

	if (cached <= list->least || cached <= cached_max(list, (pid_t)hak_json_get(o, "pid")))
		return;
	snprintf(text, sizeof(text), "%s%slimit unmet", note ? note : "",
		 note && *note ? ", " : "");
	hak_json_text(o, "note", text);
}

static int add_process(struct json_object *o, void *arg)
{
	const struct list *list = arg;

	if (list->set)
		note_limit(list, o);
	json_object_array_add(list->rows, o);
	return CTL_OK;
}

static void add_failure(pid_t pid, const char *why, void *arg)
{
	const struct list *list = arg;
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)pid);
	for (size_t i = 1; i < COLUMNS; i++)
		hak_json_null(o, columns[i].key);
	hak_json_null(o, "slab_free_resident");
	hak_json_null(o, "library_state");
	hak_json_text(o, "problem", why);
	hak_json_text(o, "note", why);
	json_object_array_add(list->rows, o);
}

int verb_list(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_report report = { HAK_REPORT_LIST, add_process, add_failure };
	struct json_object *document;
	struct list list = { 0 };
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
	list.rows = json_object_new_array();
	json_object_object_add(document, "processes", list.rows);
	/* The policies of another machine or container are unknown here. */
	if (!ctl->host && !ctl->machine)
		read_policies(&list);
	r = ctl_report_each(ctl, "all", &report, &list);
	hak_policy_free(list.set);
	any = json_object_array_length(list.rows);
	printed = ctl_answer(ctl, document, list.rows, columns, COLUMNS);
	/* A process that could not be read has its row, so the list is complete. */
	return printed ? printed : any || r == CTL_OK ? CTL_OK : r;
}
