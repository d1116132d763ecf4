/* SPDX-License-Identifier: MIT */
/*
 * From TARGET to open segments, from errors to exit codes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

struct found {
	struct hak_target target;
	pid_t *pids;
	size_t n;
	bool matched;
};

/* CTL_OK, or the exit code of a target that cannot be looked for. */
static int find(struct ctl *ctl, const char *text, struct found *ret)
{
	char why[HAK_WHY_TEXT];
	int r;

	*ret = (struct found){ .pids = NULL };
	if (hak_target_parse(text, &ret->target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	r = hak_target_pids(&ret->target, &ret->pids, &ret->n);
	if (r < 0) {
		fprintf(stderr, "hakmemctl: cannot look for processes: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	return CTL_OK;
}

/* NULL, with *code, if it is not to be had. */
static struct hak_segment *open_one(struct ctl *ctl, struct found *f, pid_t pid, unsigned flags,
				    void (*failed)(struct ctl *ctl, pid_t pid, const char *why,
						   void *arg),
				    void *arg, int *code)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int r = hak_segment_open(pid, flags, &seg, why);

	*code = CTL_OK;
	if (r < 0 && passed_over(&f->target, r))
		return NULL;
	f->matched = true;
	if (r == 0)
		return seg;
	if (failed)
		failed(ctl, pid, why, arg);
	if (!failed || f->target.kind == HAK_TARGET_PID)
		fprintf(stderr, "hakmemctl: process %d: %s\n", (int)pid, why);
	*code = ctl_exit_code(r);
	return NULL;
}

static int done(struct found *f, int result)
{
	static const char *const of_target[] = {
		[HAK_TARGET_PID] = "",
		[HAK_TARGET_UNIT] = " of that unit",
		[HAK_TARGET_CGROUP] = " in that control group",
		[HAK_TARGET_COMM] = " of that name",
		[HAK_TARGET_ALL] = "",
	};

	free(f->pids);
	if (f->matched)
		return result;
	fprintf(stderr, "hakmemctl: no process%s that runs hakmem can be seen\n",
		of_target[f->target.kind]);
	return CTL_NOTHING;
}

int ctl_each(struct ctl *ctl, const char *text, unsigned flags,
	     int (*each)(struct ctl *ctl, struct hak_segment *seg, void *arg),
	     void (*failed)(struct ctl *ctl, pid_t pid, const char *why, void *arg), void *arg)
{
	struct found f;
	int r, result = find(ctl, text, &f);

	if (result != CTL_OK)
		return result;
	for (size_t i = 0; i < f.n; i++) {
		struct hak_segment *seg = open_one(ctl, &f, f.pids[i], flags, failed, arg, &r);

		if (seg) {
			r = each(ctl, seg, arg);
			hak_segment_close(seg);
		}
		result = result ? result : r;
	}
	return done(&f, result);
}

/* Several descriptors for each process are open at a time. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int ctl_ask_each(struct ctl *ctl, const char *text, unsigned flags,
		 void *(*begin)(struct ctl *ctl, struct hak_segment *seg, void *arg),
		 int (*end)(struct ctl *ctl, struct hak_segment *seg, void *state, void *arg),
		 void *arg)
{
	struct asked {
		struct hak_segment *seg;
		void *state;
	} *asked;
	struct found f;
	int r, result = find(ctl, text, &f);

	if (result != CTL_OK)
		return result;
	raise_descriptor_limit();
	asked = calloc(f.n + 1, sizeof(*asked));
	if (!asked)
		return done(&f, CTL_FAILED);
	for (size_t i = 0; i < f.n; i++) {
		asked[i].seg = open_one(ctl, &f, f.pids[i], flags, NULL, arg, &r);
		if (asked[i].seg)
			asked[i].state = begin(ctl, asked[i].seg, arg);
		result = result ? result : r;
	}
	for (size_t i = 0; i < f.n; i++) {
		if (!asked[i].seg)
			continue;
		r = end(ctl, asked[i].seg, asked[i].state, arg);
		hak_segment_close(asked[i].seg);
		result = result ? result : r;
	}
	free(asked);
	return done(&f, result);
}

uint64_t ctl_left_ns(uint64_t deadline_ns)
{
	uint64_t now = hak_monotonic_ns();

	return deadline_ns > now ? deadline_ns - now : 0;
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
