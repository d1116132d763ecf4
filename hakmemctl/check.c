/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl check: searches the figures that a process publishes for contradictions. relations.c
 * has the relations that hold whatever the program does.
 *
 * Some relations are broken for a moment in a correct process, because two gauges of one change are
 * not written by one store. Such a relation (NOT_STOPPED) is reported only when it is broken in
 * each of ROUNDS rounds. A process without contradictions takes one round.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "control/target.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/relations.h"

enum { ROUNDS = 20, PAUSE_NS = 1000000, PAUSE_AGAIN_NS = 5000000 };

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },   { "COMM", "comm", HAK_SHOW_TEXT, .hidden = true },
	{ "CHECK", "check", HAK_SHOW_TEXT }, { "RESULT", "result", HAK_SHOW_RESULT },
	{ "FOUND", "found", HAK_SHOW_TEXT }, { "EXPECTED", "expected", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* -- one process ------------------------------------------------------------------------------- */
struct result {
	enum verdict verdict;
	bool known;
	char found[HAK_WHY_TEXT]; /* "" with HOLDS */
};

/* Makes one round of one check; `kind` and `why` are those of ctl_view_kind(). */
static void judge(const struct ctl_view *v, const struct ctl_relation *c, unsigned kind,
		  const char *why[8], struct result *r)
{
	unsigned hinders = c->only & kind;

	snprintf(r->found, sizeof(r->found), "%s",
		 hinders ? why[hinders & -hinders]
			 : "not tried: it is not published, or cannot be read");
	r->verdict = hinders ? UNKNOWN : c->run(v, c, r->found);
	r->known = r->verdict != BROKEN || !(c->only & NOT_STOPPED);
	if (r->verdict == HOLDS)
		r->found[0] = '\0';
}

/* True if another round may change a verdict. */
static bool judge_all(const struct ctl_view *v, struct result results[CTL_RELATIONS])
{
	const char *why[8];
	unsigned kind = ctl_view_kind(v, why);
	bool more = false;

	for (size_t i = 0; i < CTL_RELATIONS; i++) {
		if (!results[i].known)
			judge(v, &ctl_relations[i], kind, why, &results[i]);
		more |= !results[i].known;
	}
	return more;
}

/* Returns 0 while the process has the segment that was read. An exec or control.segment=off leaves
 * the old segment in whatever state it had. */
static int still_there(const struct hak_segment *seg)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *now;
	int r = hak_segment_alive(seg);

	if (r == 0)
		r = hak_segment_open(seg->pid, 0, &now, why);
	if (r < 0)
		return r;
	r = now->stats_ino == seg->stats_ino ? 0 : -ESTALE;
	hak_segment_close(now);
	return r;
}

static int examine(const struct hak_segment *seg, struct result results[CTL_RELATIONS])
{
	bool more = true;

	for (size_t i = 0; i < CTL_RELATIONS; i++)
		results[i].known = false;
	for (int round = 0; more && round < ROUNDS; round++) {
		struct ctl_view v;
		int r = ctl_view_take(seg, round ? PAUSE_AGAIN_NS : PAUSE_NS, &v);

		if (r < 0)
			return r;
		more = judge_all(&v, results);
		ctl_view_free(&v);
	}
	return still_there(seg);
}

struct answer {
	struct json_object *rows;
	bool all, one; /* rows for all checks; the target is one process */
};

static void add_row(const struct answer *a, const struct hak_segment *seg,
		    const struct ctl_relation *c, const struct result *r)
{
	static const char *const words[] = { "ok", "failed", "unknown" };
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)seg->pid);
	hak_json_text(o, "comm", seg->comm);
	hak_json_text(o, "check", c->name);
	hak_json_text(o, "result", words[r->verdict]);
	hak_json_text(o, "found", r->found);
	hak_json_text(o, "expected", c->expected);
	json_object_array_add(a->rows, o);
}

static int check_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	const struct answer *a = arg;
	struct result results[CTL_RELATIONS];
	int r = examine(seg, results), code = CTL_OK;

	(void)ctl;
	if (r < 0 && ctl_exit_code(r) == CTL_NOTHING && !a->one)
		return CTL_OK; /* the process ended, which is no error */
	if (r < 0) {
		ctl_complain("hakmemctl: process %d: %s\n", (int)seg->pid,
			     ctl_exit_code(r) == CTL_NOTHING ? "the process has dropped the segment"
							     : strerror(-r));
		return ctl_exit_code(r);
	}
	for (size_t i = 0; i < CTL_RELATIONS; i++) {
		if (results[i].verdict == BROKEN)
			code = CTL_FAILED;
		if (results[i].verdict == BROKEN || a->all)
			add_row(a, seg, &ctl_relations[i], &results[i]);
	}
	return code;
}

/* -- the verb ---------------------------------------------------------------------------------- */
int verb_check(struct ctl *ctl, int argc, char **argv)
{
	struct answer answer = { 0 };
	struct json_object *document;
	struct hak_target target;
	char why[HAK_WHY_TEXT];
	int r, printed;

	while ((r = ctl_option(ctl, argc, argv)) >= 0)
		answer.all = true;
	if (r == -2)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "expects one TARGET");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0 ||
	    hak_target_parse(argv[optind], &target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	answer.one = target.kind == HAK_TARGET_PID;
	document = hak_json_document("check");
	answer.rows = json_object_new_array();
	json_object_object_add(document, "checks", answer.rows);
	r = ctl_each(ctl, argv[optind], 0, check_process, &answer);
	if (ctl->json == HAK_JSON_OFF && json_object_array_length(answer.rows) == 0) {
		json_object_put(document);
		return r;
	}
	printed = ctl_answer(ctl, document, answer.rows, columns, COLUMNS);
	return r ? r : printed;
}
