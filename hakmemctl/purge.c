/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl purge: asks processes to give free memory back, and pages out the memory that they
 * freed lazily where the caller may. RSS is read before and after. The bytes that the process
 * reports are a separate figure.
 */
#include <getopt.h>

#include "control/pageout.h"
#include "control/request.h"
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
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* -- dry run ----------------------------------------------------------------------------------- */
struct foretelling {
	enum hak_purge_level level;
	struct json_object *rows;
};

/* Writes what can be resident of the memory that this level gives back, or empties into slabs. */
static void tell_most(struct json_object *report, enum hak_purge_level level,
		      char out[HAK_WHY_TEXT])
{
	const bool caches = level == HAK_PURGE_CACHE;
	const char *key = caches ? "thread_cached_resident" : "free_resident";
	char bytes[HAK_VALUE_TEXT];

	hak_bytes_format(hak_json_get(report, key), bytes);
	if (!hak_json_member(report, key)) /* of an older hakmemd */
		snprintf(out, HAK_WHY_TEXT,
			 "would be purged; how much it could give back is unknown");
	else
		snprintf(out, HAK_WHY_TEXT,
			 caches ? "would empty caches of at most %s" : "would give at most %s back",
			 bytes);
}

/* Any process of the target may have a purge, unless it takes no requests. */
static int foretell(struct json_object *report, void *arg)
{
	struct foretelling *f = arg;
	struct json_object *row = json_object_new_object();
	bool locked = json_object_get_boolean(hak_json_member(report, "locked"));
	char why[HAK_WHY_TEXT];

	tell_most(report, f->level, why);
	hak_json_number(row, "pid", hak_json_get(report, "pid"));
	hak_json_text(row, "comm", hak_json_get_text(report, "comm"));
	hak_json_text(row, "level", hak_purge_level_word(f->level));
	hak_json_text(row, "result", locked ? "refused" : "dry-run");
	hak_json_text(row, "reason", locked ? "control.lock is on" : why);
	hak_json_number(row, "rss_before", hak_json_get(report, "rss"));
	json_object_array_add(f->rows, row);
	json_object_put(report);
	return locked ? CTL_FAILED : CTL_OK;
}

static int run_dry(struct ctl *ctl, const char *target, enum hak_purge_level level,
		   struct json_object *rows)
{
	const struct ctl_report report = { HAK_REPORT_LIST, foretell, NULL };
	struct foretelling f = { level, rows };

	return ctl_report_each(ctl, target, &report, &f);
}

/* -- the purge --------------------------------------------------------------------------------- */
struct command {
	enum hak_purge_level level;
	bool attach, dry_run;
	uint64_t timeout_ns;
};

static int run(struct ctl *ctl, const char *target, const struct command *cmd)
{
	struct hak_purge_how how = { .level = cmd->level, .exact = true };
	struct ctl_ask ask = { .purge = &how,
			       .timeout_ns = cmd->timeout_ns,
			       .attach = cmd->attach };
	struct json_object *document;
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("purge");
	ask.rows = json_object_new_array();
	json_object_object_add(document, "results", ask.rows);
	how.attach = how.page_out = hak_pageout_possible(why) == 0;
	r = cmd->dry_run ? run_dry(ctl, target, cmd->level, ask.rows)
			 : ctl_ask_each(ctl, target, &ask);
	printed = ctl_answer(ctl, document, ask.rows, columns, COLUMNS);
	return r ? r : printed;
}

int verb_purge(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { .level = HAK_PURGE_DIRTY, .timeout_ns = 2000000000 };
	int option;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		if (option == 'l') {
			cmd.level = hak_purge_level_of(ctl->argument);
			if (!cmd.level)
				return ctl_usage(ctl, "--level takes cache, dirty or all");
		} else if (option == CTL_ATTACH) {
			cmd.attach = true;
		} else if (option == 'n') {
			cmd.dry_run = true;
		} else if (ctl_time(ctl, "timeout", &cmd.timeout_ns) != CTL_OK) {
			return ctl->failure;
		}
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "expects one TARGET");
	if (cmd.attach && (ctl->host || ctl->machine))
		return ctl_usage(ctl, "--attach works on this machine only");
	return run(ctl, argv[optind], &cmd);
}
