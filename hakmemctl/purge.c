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

static int run(struct ctl *ctl, const char *target, enum hak_purge_level level, bool attach,
	       uint64_t timeout_ns)
{
	struct hak_purge_how how = { .level = level, .exact = true };
	struct ctl_ask ask = { .purge = &how, .timeout_ns = timeout_ns, .attach = attach };
	struct json_object *document;
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("purge");
	ask.rows = json_object_new_array();
	json_object_object_add(document, "results", ask.rows);
	how.attach = how.page_out = hak_pageout_possible(why) == 0;
	r = ctl_ask_each(ctl, target, &ask);
	printed = ctl_answer(ctl, document, ask.rows, columns, COLUMNS);
	return r ? r : printed;
}

int verb_purge(struct ctl *ctl, int argc, char **argv)
{
	unsigned level = HAK_PURGE_DIRTY;
	uint64_t timeout_ns = 2000000000;
	bool attach = false;
	int option;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		if (option == 'l') {
			level = hak_purge_level_of(ctl->argument);
			if (!level)
				return ctl_usage(ctl, "--level takes cache, dirty or all");
		} else if (option == 'a') {
			attach = true;
		} else if (ctl_time(ctl, "timeout", &timeout_ns) != CTL_OK) {
			return ctl->failure;
		}
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "expects one TARGET");
	if (attach && (ctl->host || ctl->machine))
		return ctl_usage(ctl, "--attach works on this machine only");
	return run(ctl, argv[optind], level, attach, timeout_ns);
}
