/* SPDX-License-Identifier: MIT */
/*
 * Finds the processes of a TARGET and reads them, by their segments, or through hakmemd where
 * access is denied. Also converts errors to exit codes.
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "control/changes.h"
#include "control/identity.h"
#include "control/proc.h"
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
	case EOPNOTSUPP:
	case ENOSYS:
		return CTL_UNSUPPORTED;
	default:
		return CTL_FAILED;
	}
}

static int result_code(const char *result)
{
	bool bad = !result || strcmp(result, "failed") == 0 || strcmp(result, "refused") == 0;

	return bad ? CTL_FAILED : CTL_OK;
}

/* Processes of a target of many that do not run hakmem are not reported. */
static bool passed_over(const struct hak_target *target, int error)
{
	return target->kind != HAK_TARGET_PID && ctl_exit_code(error) == CTL_NOTHING;
}

struct found {
	struct hak_target target;
	const char *text;
	struct hak_shares shares; /* of this program's time; none for a PID */
	pid_t *pids;		  /* negated: access was denied, and hakmemd is to be asked */
	size_t n;
	bool matched;
	int denied; /* the last error of these; 0: none */
	void (*failed)(pid_t pid, const char *why, void *arg);
	void *arg;		/* for `failed` */
	char why[HAK_WHY_TEXT]; /* of `denied`, or of the last process in `kept` */
	size_t kept;		/* processes of `all` to which access is denied */
};

static bool elsewhere(const struct ctl *ctl)
{
	return ctl->host || ctl->machine;
}

void ctl_begin_round(struct ctl *ctl)
{
	ctl->bus_until_ns = 0;
	ctl->bus_values = 0;
}

int ctl_check_proc(void)
{
	char why[HAK_WHY_TEXT];

	if (hak_proc_check(why) == 0)
		return CTL_OK;
	ctl_complain("hakmemctl: %s\n", why);
	return CTL_FAILED;
}

/* A process that is given by its PID has no time limit. */
static struct hak_shares *shares_of(struct found *f)
{
	return f->target.kind == HAK_TARGET_PID ? NULL : &f->shares;
}

/* Returns CTL_OK, or the exit code of an invalid target. */
static int find(struct ctl *ctl, const char *text, struct found *ret)
{
	char why[HAK_WHY_TEXT];
	int r;

	*ret = (struct found){ .text = text };
	if (hak_target_parse(text, &ret->target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	if (elsewhere(ctl))
		return CTL_OK;
	r = ctl_check_proc();
	if (r != CTL_OK)
		return r;
	hak_target_shares(&ret->shares);
	r = hak_target_pids(&ret->target, shares_of(ret), &ret->pids, &ret->n);
	if (r < 0) {
		ctl_complain("hakmemctl: cannot look for processes: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	return CTL_OK;
}

/* Reports why a process cannot be opened, and returns its exit code. */
static int complain(struct found *f, pid_t pid, int error, const char *why,
		    void (*failed)(pid_t pid, const char *why, void *arg), void *arg)
{
	if (passed_over(&f->target, error))
		return CTL_OK;
	f->matched = true;
	if (failed)
		failed(pid, why, arg);
	if (!failed || f->target.kind == HAK_TARGET_PID)
		ctl_complain("hakmemctl: process %d: %s\n", (int)pid, why);
	return ctl_exit_code(error);
}

static void leave_to_daemon(struct found *f, pid_t pid, int error, const char *why)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->pids[i] == pid)
			f->pids[i] = -pid;
	f->denied = error;
	snprintf(f->why, sizeof(f->why), "%s", why);
}

/* Opens the segment as `flags` require. A locked process reports that itself. */
static int open_for(struct found *f, pid_t pid, unsigned flags, struct hak_segment **ret,
		    char why[HAK_WHY_TEXT])
{
	int r = hak_target_open(shares_of(f), pid, flags, ret, why);

	if (r < 0 || !(flags & HAK_SEGMENT_WRITE) || (*ret)->tune_writable || (*ret)->header.locked)
		return r;
	hak_tune_say_unreachable(*ret, why);
	hak_segment_close(*ret);
	return -EACCES;
}

/* Returns NULL, with *code, if the segment cannot be opened. Processes to which access is denied
 * are left to hakmemd. */
static struct hak_segment *open_one(struct found *f, pid_t pid, unsigned flags,
				    void (*failed)(pid_t pid, const char *why, void *arg),
				    void *arg, int *code)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int r = open_for(f, pid, flags, &seg, why);

	*code = CTL_OK;
	if (r == 0) {
		f->matched = true;
		return seg;
	}
	f->failed = failed;
	f->arg = arg;
	if (ctl_exit_code(r) == CTL_DENIED)
		leave_to_daemon(f, pid, r, why);
	else
		*code = complain(f, pid, r, why, failed, arg);
	return NULL;
}

/* Says that no process matches, and what to type next. Root sees all processes. */
static void complain_none(const struct found *f)
{
	static const char *const of_target[] = {
		[HAK_TARGET_PID] = "",
		[HAK_TARGET_UNIT] = " of that unit",
		[HAK_TARGET_CGROUP] = " in that control group",
		[HAK_TARGET_COMM] = " of that name",
		[HAK_TARGET_ALL] = "",
	};
	const char *seen = geteuid() == 0 ? "" : " that this user may see";

	if (f->target.kind == HAK_TARGET_UNIT)
		ctl_complain("hakmemctl: no process of %s%s runs hakmem; to see why: "
			     "hakmemctl status %s\n",
			     f->target.path, seen, f->target.path);
	else if (f->target.kind == HAK_TARGET_ALL)
		ctl_complain("hakmemctl: no process%s runs hakmem; to start one: "
			     "hakmemctl run -- COMMAND\n",
			     seen);
	else
		ctl_complain("hakmemctl: no process%s%s runs hakmem; those that do: "
			     "hakmemctl list\n",
			     of_target[f->target.kind], seen);
}

static int done(struct found *f, int result)
{
	free(f->pids);
	if (f->matched)
		return result;
	if (f->kept) {
		ctl_complain("hakmemctl: %zu processes of other users run hakmem, and none of "
			     "yours: %s\n",
			     f->kept, f->why);
		return CTL_DENIED;
	}
	complain_none(f);
	return CTL_NOTHING;
}

int ctl_open_one(struct ctl *ctl, const char *text, unsigned flags, struct hak_segment **ret)
{
	char why[HAK_WHY_TEXT];
	struct found f;
	pid_t pid;
	int r = find(ctl, text, &f);

	if (r != CTL_OK)
		return r;
	pid = f.n ? f.pids[0] : 0;
	free(f.pids);
	if (f.n == 0) {
		ctl_complain("hakmemctl: there is no such process that runs hakmem\n");
		return CTL_NOTHING;
	}
	if (f.n > 1)
		return ctl_usage(ctl, "%zu processes match; give the PID of one", f.n);
	r = hak_target_open(NULL, pid, flags, ret, why);
	if (r < 0)
		ctl_complain("hakmemctl: process %d: %s%s\n", (int)pid, why,
			     r == -EACCES || r == -EPERM
				     ? "; that takes root, or the right to trace the process"
				     : "");
	return ctl_exit_code(r);
}

/* -- through hakmemd --------------------------------------------------------------------------- */
static bool looked_at(const struct found *f, pid_t pid)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->pids[i] == pid)
			return true;
	return false;
}

/* Reports the processes left to hakmemd that hakmemd does not know either. */
static int complain_left(struct found *f, const struct ctl_process *has, size_t n)
{
	int result = CTL_OK;

	for (size_t i = 0; i < f->n; i++) {
		size_t k = 0;
		int r;

		while (k < n && has[k].pid != -f->pids[i])
			k++;
		if (f->pids[i] > 0 || k < n)
			continue;
		r = complain(f, -f->pids[i], f->denied, f->why, f->failed, f->arg);
		result = result ? result : r;
	}
	return result;
}

/*
 * The processes of the target that this program could not open and that hakmemd knows. Root does
 * not use hakmemd. Here a missing hakmemd is no failure: the answer contains the processes that
 * could be read.
 */
static int find_others(struct ctl *ctl, struct found *f, struct ctl_process **ret, size_t *ret_n)
{
	struct ctl_process *all = NULL;
	char why[HAK_WHY_TEXT];
	size_t n = 0, kept = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	if (!elsewhere(ctl) && (geteuid() == 0 || (f->target.kind == HAK_TARGET_PID && !f->denied)))
		r = -ENOENT;
	else
		r = ctl_bus_find(ctl, f->text, f->denied || elsewhere(ctl), &all, &n, why);
	if (r < 0 && !elsewhere(ctl))
		return complain_left(f, NULL, 0);
	if (r == -ESRCH)
		return complain(f, f->target.pid, r, why, NULL, NULL);
	if (r < 0) {
		f->matched = true;
		ctl_complain("hakmemctl: %s\n", why);
		return r == -ENOENT ? CTL_FAILED : ctl_exit_code(r);
	}
	for (size_t i = 0; i < n; i++) {
		if (looked_at(f, all[i].pid))
			free(all[i].path);
		else
			all[kept++] = all[i];
	}
	*ret = all;
	*ret_n = kept;
	return complain_left(f, all, kept);
}

/* With the target `all`, processes to which access is denied are counted, and are reported only if
 * no process can be read. */
static int refused(struct found *f, pid_t pid, int error, const char *why,
		   void (*failed)(pid_t pid, const char *why, void *arg), void *arg)
{
	if (f->target.kind == HAK_TARGET_ALL && ctl_exit_code(error) == CTL_DENIED) {
		f->kept++;
		snprintf(f->why, sizeof(f->why), "%s", why);
		return CTL_OK;
	}
	return complain(f, pid, error, why, failed, arg);
}

/* -- one answer of each ------------------------------------------------------------------------ */
int ctl_each(struct ctl *ctl, const char *text, unsigned flags,
	     int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg), void *arg)
{
	struct found f;
	int r, result = find(ctl, text, &f);

	if (result != CTL_OK)
		return result;
	for (size_t i = 0; i < f.n; i++) {
		struct hak_segment *seg = open_one(&f, f.pids[i], flags, NULL, arg, &r);

		if (seg) {
			r = each(ctl, seg, arg);
			hak_segment_close(seg);
		}
		result = result ? result : r;
	}
	r = complain_left(&f, NULL, 0);
	return done(&f, result ? result : r);
}

static const char too_long[] = "reading the counters takes too long: the process is left out";

static int report_one(struct found *f, struct hak_segment *seg, enum hak_report what,
		      struct json_object **ret)
{
	struct hak_shares *shares = shares_of(f);
	int r;

	if (shares && !hak_share_enter(shares, hak_account(seg->procfd, seg->uid), NULL))
		return -ETIME;
	r = hak_report_make(seg, what, true, ret);
	if (shares)
		hak_share_leave(shares, NULL);
	return r;
}

static int report_here(struct found *f, const struct ctl_report *report, void *arg)
{
	int r, result = CTL_OK;

	for (size_t i = 0; i < f->n; i++) {
		struct hak_segment *seg = open_one(f, f->pids[i], 0, report->failed, arg, &r);
		struct json_object *o;

		if (seg) {
			r = report_one(f, seg, report->what, &o);
			r = r < 0 ? complain(f, seg->pid, r, r == -ETIME ? too_long : strerror(-r),
					     report->failed, arg)
				  : report->each(o, arg);
			hak_segment_close(seg);
		}
		result = result ? result : r;
	}
	return result;
}

int ctl_report_each(struct ctl *ctl, const char *text, const struct ctl_report *report, void *arg)
{
	struct ctl_process *others;
	struct found f;
	size_t n;
	int r, result = find(ctl, text, &f);

	if (result != CTL_OK)
		return result;
	result = report_here(&f, report, arg);
	r = find_others(ctl, &f, &others, &n);
	result = result ? result : r;
	for (size_t i = 0; i < n; i++) {
		struct json_object *o;
		char why[HAK_WHY_TEXT];

		r = ctl_bus_report(ctl, &others[i], report->what, f.target.kind != HAK_TARGET_ALL,
				   &o, why);
		if (r < 0)
			r = refused(&f, others[i].pid, r, why, report->failed, arg);
		else
			f.matched = true, r = report->each(o, arg);
		result = result ? result : r;
	}
	ctl_bus_found_free(others, n);
	return done(&f, result);
}

/* -- all answers together ---------------------------------------------------------------------- */
struct asked {
	pid_t pid;
	struct hak_segment *seg; /* NULL: through hakmemd */
	struct hak_request *request;
	struct ctl_call *call;
	char why[HAK_WHY_TEXT];
	int error;
};

/* Several descriptors are open for each process. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t left_ns(uint64_t deadline_ns)
{
	uint64_t now = hak_monotonic_ns();

	return deadline_ns > now ? deadline_ns - now : 0;
}

/* Moves the rows of one answer, and returns the worst of their results. */
static int take_rows(const struct ctl_ask *ask, struct json_object *rows)
{
	int result = CTL_OK;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		int r = result_code(hak_json_get_text(row, "result"));

		json_object_array_add(ask->rows, json_object_get(row));
		result = result ? result : r;
	}
	json_object_put(rows);
	return result;
}

static bool started_at(const struct hak_segment *seg, uint64_t start_ticks)
{
	uint64_t ticks;

	return hak_start_ticks(seg->procfd, &ticks) == 0 && ticks == start_ticks;
}

static int ask_here(struct found *f, const struct ctl_ask *ask, struct asked *asked)
{
	unsigned flags = ask->wishes && ask->wishes->dry_run ? 0 : HAK_SEGMENT_WRITE;
	int r, result = CTL_OK;

	for (size_t i = 0; i < f->n; i++) {
		struct asked *a = &asked[i];

		a->pid = f->pids[i];
		a->seg = open_one(f, a->pid, flags, NULL, NULL, &r);
		result = result ? result : r;
		if (a->seg && ask->start_ticks && !started_at(a->seg, ask->start_ticks)) {
			hak_segment_close(a->seg);
			a->seg = NULL;
			r = complain(f, a->pid, -ESRCH, "another process has this PID now", NULL,
				     NULL);
			result = result ? result : r;
		}
		if (!a->seg)
			continue;
		a->request = ask->wishes ? hak_request_change(a->seg, ask->wishes)
					 : hak_request_purge(a->seg, ask->purge);
		if (!a->request)
			result = result ? result : CTL_FAILED;
	}
	return result;
}

/* A process that is awake, or has an agent, answers within this. */
#define ATTACH_AFTER_NS 100000000u

static int wait_answer(const struct ctl_ask *ask, struct asked *a, uint64_t deadline_ns)
{
	uint64_t left = left_ns(deadline_ns);
	char why[HAK_WHY_TEXT];
	int r;

	if (ask->attach && left > ATTACH_AFTER_NS)
		left = ATTACH_AFTER_NS;
	r = hak_request_wait(a->seg, a->request, left);
	if (!ask->attach || r != -ETIMEDOUT)
		return r;
	r = ctl_attach(a->seg, deadline_ns, why);
	if (r < 0)
		hak_request_refuse(a->request, why);
	return hak_request_wait(a->seg, a->request, r < 0 ? 0 : left_ns(deadline_ns));
}

static int answer_of(struct ctl *ctl, struct found *f, const struct ctl_ask *ask, struct asked *a,
		     uint64_t deadline_ns)
{
	struct json_object *rows;
	int r = a->error;

	if (a->request) {
		r = wait_answer(ask, a, deadline_ns);
		rows = hak_request_answer(a->seg, a->request, r);
		if (ask->wishes && !ask->wishes->dry_run)
			hak_changes_journal(rows, a->seg->procfd, ask->change, ask->who, ask->why,
					    UINT_MAX);
		return take_rows(ask, rows);
	}
	if (r == 0 && a->call)
		r = ctl_bus_answer(ctl, a->call, &rows, a->why);
	else if (r == 0)
		return CTL_OK;
	if (r < 0)
		return refused(f, a->pid, r, a->why, NULL, NULL);
	f->matched = true;
	return take_rows(ask, rows);
}

static int ask_other(struct ctl *ctl, const struct ctl_process *process, const struct ctl_ask *ask,
		     struct asked *a)
{
	if (!ask->attach)
		return ctl_bus_ask(ctl, process, ask, &a->call, a->why);
	snprintf(a->why, sizeof(a->why), "--attach needs the right to trace it");
	return -EPERM;
}

int ctl_ask_each(struct ctl *ctl, const char *text, const struct ctl_ask *ask)
{
	struct ctl_process *others;
	uint64_t deadline_ns;
	struct asked *asked;
	struct found f;
	size_t n;
	int r, result = find(ctl, text, &f);

	if (result != CTL_OK)
		return result;
	raise_descriptor_limit();
	asked = calloc(f.n + 1, sizeof(*asked));
	if (!asked)
		return done(&f, CTL_FAILED);
	result = ask_here(&f, ask, asked);
	r = find_others(ctl, &f, &others, &n);
	result = result ? result : r;
	if (n) {
		struct asked *more = realloc(asked, (f.n + n) * sizeof(*asked));

		if (!more)
			err(CTL_FAILED, NULL);
		asked = more;
		memset(asked + f.n, 0, n * sizeof(*asked));
	}
	for (size_t i = 0; i < n; i++) {
		struct asked *a = &asked[f.n + i];

		a->pid = others[i].pid;
		a->error = ask_other(ctl, &others[i], ask, a);
	}
	deadline_ns = hak_monotonic_ns() + ask->timeout_ns;
	for (size_t i = 0; i < f.n + n; i++) {
		r = answer_of(ctl, &f, ask, &asked[i], deadline_ns);
		if (asked[i].seg)
			hak_segment_close(asked[i].seg);
		result = result ? result : r;
	}
	free(asked);
	ctl_bus_found_free(others, n);
	return done(&f, result);
}
