/* SPDX-License-Identifier: MIT */
/*
 * Reads processes for `hakmemctl top`, by the same reports as the other verbs.
 */
#include <inttypes.h>
#include <stdio.h>

#include "control/tunewrite.h"
#include "hakmemctl/top/top.h"

static int add(struct json_object *report, void *arg)
{
	top_model_add(arg, report);
	json_object_put(report);
	return CTL_OK;
}

/* The reason is said to the user. */
static void failed(pid_t pid, const char *why, void *arg)
{
	top_model_miss(arg, (uint64_t)pid);
	ctl_complain("process %d: %s\n", (int)pid, why);
}

int top_look(struct ctl *ctl, const char *target, struct top_model *model)
{
	const struct ctl_report report = { HAK_REPORT_STATS, add, failed };
	int r;

	ctl_begin_round(ctl);
	top_model_begin(model);
	r = ctl_report_each(ctl, target, &report, model);
	top_model_end(model);
	return r;
}

static int take(struct json_object *report, void *arg)
{
	struct json_object **ret = arg;

	json_object_put(*ret);
	*ret = report;
	return CTL_OK;
}

/* What this program cannot write itself, hakmemd may write for it, if polkit allows. */
static void find_read_only(const struct ctl *ctl, struct top_view *view)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;

	view->read_only[0] = '\0';
	if (ctl->host || ctl->machine)
		return;
	if (hak_segment_open((pid_t)view->pid, HAK_SEGMENT_WRITE | HAK_SEGMENT_NOWAIT, &seg, why) <
	    0) {
		snprintf(view->read_only, sizeof(view->read_only), "%s", why);
		return;
	}
	if (seg->header.locked)
		snprintf(view->read_only, sizeof(view->read_only), "control.lock is on");
	else if (!seg->tune_writable)
		hak_tune_say_unreachable(seg, view->read_only);
	hak_segment_close(seg);
}

int top_open(struct ctl *ctl, struct top_view *view)
{
	struct json_object *report = NULL, *values = NULL;
	const struct ctl_report figures = { HAK_REPORT_CLASSES, take, NULL };
	const struct ctl_report tunables = { HAK_REPORT_VALUES, take, NULL };
	char target[24];
	int r;

	ctl_begin_round(ctl);
	snprintf(target, sizeof(target), "%" PRIu64, view->pid);
	r = ctl_report_each(ctl, target, &figures, &report);
	if (r == CTL_OK && view->start_ticks && hak_json_member(report, "start_ticks") &&
	    hak_json_get(report, "start_ticks") != view->start_ticks) {
		ctl_complain("process %s ended, and another one has its PID\n", target);
		r = CTL_NOTHING;
	}
	if (r == CTL_OK)
		r = ctl_report_each(ctl, target, &tunables, &values);
	if (r == CTL_OK) {
		top_lines_free(&view->detail);
		top_describe(&view->detail, report, values);
		find_read_only(ctl, view);
	}
	json_object_put(report);
	json_object_put(values);
	return r;
}
