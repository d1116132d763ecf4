/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl purge: asks processes to give free memory back, and takes what they freed lazily where
 * we may. RSS is read before and after; what the process says it gave back is a figure of its own.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/pageout.h"
#include "control/tunewrite.h"
#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "LEVEL", "level", HAK_SHOW_TEXT },
	{ "RESULT", "result", HAK_SHOW_RESULT },
	{ "RETURNED", "bytes", HAK_SHOW_BYTES },
	{ "TIME", "ns", HAK_SHOW_NS },
	{ "PAGED-OUT", "paged_out_bytes", HAK_SHOW_BYTES },
	{ "RSS-BEFORE", "rss_before", HAK_SHOW_BYTES },
	{ "RSS-AFTER", "rss_after", HAK_SHOW_BYTES },
	{ "REASON", "reason", HAK_SHOW_TEXT },
};
#define TELL_NS 100000000u
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct command {
	struct json_object *rows;
	enum hak_purge_level level;
	uint64_t timeout_ns;
	uint64_t deadline_ns;	/* of all answers, once all processes were asked */
	bool page_out;
};

/* One process between the question and the answer. */
struct asked {
	struct json_object *row;
	char why[HAK_WHY_TEXT];
	uint64_t id;
	int error;
	bool attached;
};

/*
 * What was paged out the process finds out when it is asked again. It is awake if it is ever; too
 * late is no failure.
 */
static void tell(const struct hak_segment *seg)
{
	struct hak_purge_answer answer;
	char why[HAK_WHY_TEXT];
	uint64_t id;

	if (hak_purge_ask(seg, HAK_PURGE_DIRTY, &id, why) == 0)
		hak_purge_wait(seg, id, TELL_NS, &answer);
}

/* The answer, into the row. */
static int await(const struct hak_segment *seg, const struct command *cmd, struct asked *a)
{
	struct hak_purge_answer answer = { 0 };
	const char *result = "failed", *reason = NULL;
	bool answered = false;
	int r = a->error;

	if (r < 0) {
		result = r == -EPERM ? "refused" : "failed";
		reason = a->why;
	} else {
		r = hak_purge_wait(seg, a->id, ctl_left_ns(cmd->deadline_ns), &answer);
		answered = r == 0 && answer.status == 0;
		if (answered) {
			result = "done";
		} else if (r == -ETIMEDOUT) {
			result = "pending";
			ctl_why_pending(seg, "purged", a->why);
			reason = a->why;
		} else if (r == -ESTALE) {
			result = "done";
			reason = "together with a later request, whose answer holds the bytes";
		} else {
			reason = r == -ESRCH ? "the process ended" :
				 strerror(r ? -r : (int)(answer.status & 0xfff));
		}
	}
	hak_json_text(a->row, "result", result);
	hak_json_text(a->row, "reason", reason);
	if (answered) {
		hak_json_number(a->row, "bytes", answer.bytes);
		hak_json_number(a->row, "ns", answer.ns);
	} else {
		hak_json_null(a->row, "bytes");
		hak_json_null(a->row, "ns");
	}
	return ctl_result_code(result);
}

static void *begin(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct asked *a = calloc(1, sizeof(*a));
	const struct command *cmd = arg;

	(void)ctl;
	if (!a)
		return NULL;
	a->row = ctl_process(seg);
	a->attached = cmd->page_out && hak_pageout_attach(seg) == 0;
	hak_json_text(a->row, "level", hak_purge_level_word(cmd->level));
	hak_json_number(a->row, "rss_before", hak_segment_rss(seg, true));
	a->error = hak_purge_ask(seg, cmd->level, &a->id, a->why);
	return a;
}

static int end(struct ctl *ctl, struct hak_segment *seg, void *state, void *arg)
{
	struct command *cmd = arg;
	struct asked *a = state;
	uint64_t paged_out = 0;
	int r;

	(void)ctl;
	if (!a)
		return CTL_FAILED;
	if (!cmd->deadline_ns)
		cmd->deadline_ns = hak_monotonic_ns() + cmd->timeout_ns;
	r = await(seg, cmd, a);
	if (cmd->page_out && r == CTL_OK)
		hak_pageout_run(seg, &paged_out);
	if (paged_out)
		tell(seg);
	if (a->attached)
		hak_pageout_detach(seg);
	hak_json_number(a->row, "paged_out_bytes", paged_out);
	hak_json_number(a->row, "rss_after", hak_segment_rss(seg, true));
	json_object_array_add(cmd->rows, a->row);
	free(a);
	return r;
}

static int run(struct ctl *ctl, const char *target, struct command *cmd)
{
	struct json_object *document;
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("purge");
	cmd->rows = json_object_new_array();
	json_object_object_add(document, "results", cmd->rows);
	cmd->page_out = hak_pageout_possible(why) == 0;
	r = ctl_ask_each(ctl, target, HAK_SEGMENT_WRITE, begin, end, cmd);
	printed = ctl_answer(ctl, document, cmd->rows, columns, COLUMNS);
	return r ? r : printed;
}

int verb_purge(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { .level = HAK_PURGE_DIRTY, .timeout_ns = 2000000000 };
	char why[HAK_WHY_TEXT];
	int option;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		if (option == 'l') {
			cmd.level = hak_purge_level_of(ctl->argument);
			if (!cmd.level)
				return ctl_usage(ctl, "--level takes cache, dirty or all");
		} else if (hak_duration_parse(ctl->argument, &cmd.timeout_ns, why) < 0) {
			return ctl_usage(ctl, "--timeout: %s", why);
		}
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "it takes one TARGET");
	return run(ctl, argv[optind], &cmd);
}
