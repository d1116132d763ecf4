/* SPDX-License-Identifier: MIT */
/*
 * From TARGET to open segments, from errors to exit codes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/target.h"
#include "control/tunewrite.h"
#include "hakmemctl/ctl.h"

int ctl_exit_code(int error)
{
	switch (-error) {
	case 0:
		return CTL_OK;
	case ENOENT:
	case ESTALE:
	case ESRCH:
		return CTL_NOTHING;
	case EACCES:
	case EPERM:
		return CTL_DENIED;
	case EPROTONOSUPPORT:
	case ENOSYS:
		return CTL_UNSUPPORTED;
	default:
		return CTL_FAILED;
	}
}

int ctl_result_code(const char *result)
{
	bool bad = strcmp(result, "failed") == 0 || strcmp(result, "refused") == 0;

	return bad ? CTL_FAILED : CTL_OK;
}

/* Of many processes, those that were not meant are not worth a word. */
static bool passed_over(const struct hak_target *target, int error)
{
	return target->kind != HAK_TARGET_PID && ctl_exit_code(error) == CTL_NOTHING;
}

static int one_process(struct ctl *ctl, const struct hak_target *target, pid_t pid, unsigned flags,
		       int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg),
		       void (*failed)(struct ctl *ctl, pid_t pid, const char *why, void *arg),
		       void *arg, bool *matched)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int r = hak_segment_open(pid, flags, &seg, why);

	if (r < 0) {
		if (passed_over(target, r))
			return CTL_OK;
		*matched = true;
		if (failed)
			failed(ctl, pid, why, arg);
		if (!failed || target->kind == HAK_TARGET_PID)
			fprintf(stderr, "hakmemctl: process %d: %s\n", (int)pid, why);
		return ctl_exit_code(r);
	}
	*matched = true;
	r = each(ctl, seg, arg);
	hak_segment_close(seg);
	return r;
}

int ctl_each(struct ctl *ctl, const char *text, unsigned flags,
	     int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg),
	     void (*failed)(struct ctl *ctl, pid_t pid, const char *why, void *arg), void *arg)
{
	char why[HAK_WHY_TEXT];
	struct hak_target target;
	bool matched = false;
	pid_t *pids;
	size_t n;
	int r, result = CTL_OK;

	if (hak_target_parse(text, &target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	r = hak_target_pids(&target, &pids, &n);
	if (r < 0) {
		fprintf(stderr, "hakmemctl: cannot look for processes: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	for (size_t i = 0; i < n; i++) {
		r = one_process(ctl, &target, pids[i], flags, each, failed, arg, &matched);
		if (result == CTL_OK)
			result = r;
	}
	free(pids);
	if (!matched) {
		fprintf(stderr, target.kind == HAK_TARGET_ALL ?
			"hakmemctl: no process that runs hakmem can be seen\n" :
			"hakmemctl: no process of that name that runs hakmem can be seen\n");
		return CTL_NOTHING;
	}
	return result;
}

struct json_object *ctl_process(const struct hak_segment *seg)
{
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)seg->pid);
	hak_json_text(o, "comm", seg->comm);
	hak_json_number(o, "uid", seg->uid);
	return o;
}

void ctl_why_pending(const struct hak_segment *seg, const char *then, char why[HAK_WHY_TEXT])
{
	if (hak_segment_stopped(seg))
		snprintf(why, HAK_WHY_TEXT, "it is stopped; %s when it goes on", then);
	else if (hak_agent_waits(seg))
		snprintf(why, HAK_WHY_TEXT, "it does not get to run; %s when it does", then);
	else
		snprintf(why, HAK_WHY_TEXT,
			 "it sleeps; %s when it next needs memory beyond its cache", then);
}

const char *ctl_library_word(enum hak_library_state state)
{
	static const char *const words[] = { "ok", "deleted", "replaced" };

	return words[state];
}
