/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl advise apply: tries an advice and measures its effect. The process is measured before
 * and after the change, over spans of one length, and the figure of the rule is compared. The
 * figure is a ratio to the work done, so a process that had less to do does not look like one that
 * does the work better.
 *
 * The value is set with a deadline that the process itself keeps, so that it does not stay if this
 * program dies. A value of an administrator is not replaced, or with --force restored afterwards.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/changes.h"
#include "control/escape.h"
#include "control/request.h"
#include "hakmemctl/advise/advise.h"

#define WAIT_NS	 2000000000u  /* for the process to apply the value */
#define GRACE_NS 10000000000u /* after the measurement, until the value ends by itself */
#define HELPED	 0.9	      /* a decrease of less than a tenth may be chance */
#define SETTLE	 4	      /* one part in this many of the span; old effects fade */

struct apply {
	struct advice_watch *w;
	const struct advice_trial *trial;
	const struct advice_rule *rule;
	const struct hak_tunable_row *row; /* NULL: a purge */
	struct advice advice;
	uint32_t index;			   /* of the tunable in the segment */
	struct hak_tune_slot before, ours; /* the admin layer */
	struct advice_figures first, second;
	char name[4 * HAK_COMM_BYTES]; /* of the process, fit to print */
	char result[24], reason[HAK_WHY_TEXT];
};

static void result_is(struct apply *a, const char *result, const char *reason)
{
	snprintf(a->result, sizeof(a->result), "%s", result);
	snprintf(a->reason, sizeof(a->reason), "%s", reason ? reason : "");
}

/* -- the admin layer --------------------------------------------------------------------------- */
static int read_layer(const struct apply *a, struct hak_tune_slot *ret)
{
	struct hak_tune tune;
	int r = hak_segment_read_tune(a->w->seg, &tune);

	if (r == 0)
		*ret = tune.slot[a->index].admin;
	return r;
}

/* Sets the layer to a value, or resets it without one. Returns 0, or -ECANCELED with the reason
 * recorded if the value did not come into force. */
static int change(struct apply *a, const uint64_t *value, uint64_t for_ns, const char *what)
{
	struct hak_spec spec = hak_spec_of_row(a->row);
	char text[HAK_VALUE_TEXT], id[HAK_CHANGE_ID_BYTES], who[CTL_WHO_BYTES], how[80];
	struct hak_wish wish = { .text = value ? text : NULL };
	const struct hak_wishes wishes = { &wish, 1, value ? for_ns : 0, false };
	struct json_object *rows, *row;
	struct hak_request *request;
	const char *result, *reason;
	int r;

	if (value)
		hak_value_format(&spec, *value, text);
	snprintf(wish.name, sizeof(wish.name), "%s", a->row->name);
	request = hak_request_change(a->w->seg, &wishes);
	if (!request)
		return -ENOMEM;
	r = hak_request_wait(a->w->seg, request, WAIT_NS);
	rows = hak_request_answer(a->w->seg, request, r);
	hak_change_id(id);
	ctl_who(who);
	snprintf(how, sizeof(how), "hakmemctl advise apply %s: %s", a->trial->id, what);
	hak_changes_journal(rows, a->w->seg->procfd, id, who, how, UINT_MAX);
	row = json_object_array_get_idx(rows, 0);
	result = hak_json_get_text(row, "result");
	reason = hak_json_get_text(row, "reason");
	r = result && strcmp(result, "applied") == 0 ? 0 : -ECANCELED;
	if (r < 0 && !a->result[0])
		result_is(a, result ? result : "failed", reason);
	json_object_put(rows);
	return r;
}

/* Whether the layer still holds the value of this program, and its deadline is in the future. */
static bool still_ours(const struct apply *a)
{
	struct hak_tune_slot now;

	return read_layer(a, &now) == 0 && now.set && now.value == a->advice.value &&
	       now.deadline_ns == a->ours.deadline_ns;
}

static void put_back(struct apply *a)
{
	uint64_t now = hak_segment_now_ns(a->w->seg), until = a->before.deadline_ns;

	if (!still_ours(a))
		return;
	/* The deadline of the old value may have passed. */
	if (a->before.set && (!until || until > now))
		change(a, &a->before.value, until ? until - now : 0, "taken back");
	else
		change(a, NULL, 0, "taken back");
}

/* -- judging ----------------------------------------------------------------------------------- */
static bool helped(struct apply *a)
{
	double before = a->rule->figure(&a->first), after = a->rule->figure(&a->second);

	if (isnan(before) || isnan(after)) {
		result_is(a, "unknown", "the process did no work of this kind");
		return false;
	}
	if (after > HELPED * before) {
		result_is(a, "no better", "what was to fall did not");
		return false;
	}
	return true;
}

/* -- the trial --------------------------------------------------------------------------------- */
static int measure(struct apply *a, struct advice_figures *ret)
{
	char why[HAK_WHY_TEXT];
	int traced, r;

	r = advice_measure(a->w, 1, a->trial->span_ns,
			   a->trial->trace && (!a->rule || a->rule->needs_trace), &traced, why);
	if (r == 0)
		r = a->w->error;
	if (r == 0)
		*ret = a->w->figures;
	return r;
}

static void decide(struct apply *a)
{
	if (!still_ours(a)) {
		result_is(a, "overridden", "another controller changed the value, or it ended");
		return;
	}
	if (!helped(a)) {
		put_back(a);
		return;
	}
	if (a->trial->keep && change(a, &a->advice.value, 0, "kept") == 0)
		result_is(a, "kept", "until it is reset or the process ends");
	else if (a->trial->for_ns)
		result_is(a, "kept", "until --for is over");
	else if (!a->trial->keep)
		result_is(a, "better", "taken back: --keep keeps it");
	if (!a->trial->keep && !a->trial->for_ns)
		put_back(a);
}

static int try_value(struct apply *a)
{
	const struct advice_trial *t = a->trial;
	uint64_t needs = t->span_ns + t->span_ns / SETTLE;
	int r = read_layer(a, &a->before);

	if (r < 0)
		return r;
	r = change(a, &a->advice.value, t->for_ns ? t->for_ns : needs + GRACE_NS, "tried");
	read_layer(a, &a->ours);
	if (r == 0)
		r = advice_pause(t->span_ns / SETTLE);
	if (r == 0)
		r = measure(a, &a->second);
	if (r < 0) {
		put_back(a);
		return r;
	}
	decide(a);
	return 0;
}

/* A purge sets no value, so nothing is restored. */
static int try_purge(struct apply *a)
{
	const struct hak_purge_how how = { .level = HAK_PURGE_DIRTY };
	struct hak_request *request = hak_request_purge(a->w->seg, &how);
	struct json_object *rows, *row;
	int r;

	if (!request)
		return -ENOMEM;
	r = hak_request_wait(a->w->seg, request, WAIT_NS);
	rows = hak_request_answer(a->w->seg, request, r);
	row = json_object_array_get_idx(rows, 0);
	r = strcmp(hak_json_get_text(row, "result"), "done") == 0 ? 0 : -ECANCELED;
	if (r < 0)
		result_is(a, hak_json_get_text(row, "result"), hak_json_get_text(row, "reason"));
	json_object_put(rows);
	if (r == 0)
		r = measure(a, &a->second);
	if (r == 0 && helped(a))
		result_is(a, "kept", "what was purged is given back");
	return r;
}

/* Finds the rule with this id that gives an advice: 0, or an exit code. */
static int find(struct apply *a)
{
	const struct advice_watch *w = a->w;
	char id[ADVICE_ID_BYTES];

	for (size_t i = 0; i < advice_rules_n; i++) {
		advice_id(&advice_rules[i], w->subject, id);
		if (strcmp(id, a->trial->id) != 0)
			continue;
		a->rule = &advice_rules[i];
		a->row = advice_tunable(a->rule);
		break;
	}
	if (!a->rule) {
		ctl_complain("hakmemctl: no rule gives the advice \"%.16s\" for %s\n", a->trial->id,
			     a->name);
		return CTL_NOTHING;
	}
	return CTL_OK;
}

static int check(struct apply *a)
{
	const struct advice_watch *w = a->w;
	int index = a->row ? hak_segment_tunable(w->seg, a->row->name) : 0;

	if (a->rule->needs_trace && !a->first.traced) {
		ctl_complain("hakmemctl: %s takes a trace, and there is none\n", a->trial->id);
		return CTL_UNSUPPORTED;
	}
	if (index < 0 || !a->rule->look(&a->first, &a->advice)) {
		ctl_complain("hakmemctl: the figures of this span do not give the advice %s\n",
			     a->trial->id);
		return CTL_NOTHING;
	}
	a->index = (uint32_t)index;
	if (a->row && a->first.setting[a->rule->tunable].held && !a->trial->force) {
		ctl_complain("hakmemctl: an administrator has set %s; --force goes over that\n",
			     a->row->name);
		return CTL_FAILED;
	}
	return CTL_OK;
}

/* -- the answer -------------------------------------------------------------------------------- */
static double cpu_of(const struct advice_figures *f)
{
	return f->span_ns ? (double)f->cpu_ns / (double)f->span_ns : 0;
}

static void ratio_json(struct json_object *o, const char *key, double value)
{
	if (isnan(value))
		hak_json_null(o, key);
	else
		hak_json_ratio(o, key, value);
}

static struct json_object *document_of(const struct apply *a)
{
	struct json_object *d = hak_json_document("advise"), *o = hak_report_process(a->w->seg);
	char text[HAK_VALUE_TEXT];

	json_object_object_add(d, "applied", o);
	hak_json_text(o, "subject", a->w->subject);
	hak_json_text(o, "id", a->trial->id);
	hak_json_text(o, "rule", a->rule->name);
	if (a->row) {
		struct hak_spec spec = hak_spec_of_row(a->row);

		hak_json_text(o, "tunable", a->row->name);
		hak_json_number(o, "value", a->advice.value);
		hak_value_format(&spec, a->advice.value, text);
		hak_json_text(o, "value_text", text);
	}
	hak_json_text(o, "result", a->result);
	hak_json_text(o, "reason", a->reason[0] ? a->reason : NULL);
	if (!a->second.span_ns)
		return d;
	hak_json_text(o, "figure", a->rule->figure_is);
	ratio_json(o, "figure_before", a->rule->figure(&a->first));
	ratio_json(o, "figure_after", a->rule->figure(&a->second));
	hak_json_ratio(o, "cpu_before", cpu_of(&a->first));
	hak_json_ratio(o, "cpu_after", cpu_of(&a->second));
	hak_json_number(o, "rss_before", a->first.rss);
	hak_json_number(o, "rss_after", a->second.rss);
	json_object_object_add(o, "before", advice_figures_json(&a->first));
	json_object_object_add(o, "after", advice_figures_json(&a->second));
	return d;
}

static void print_figure(const char *label, double before, double after)
{
	printf("  %-9s", label);
	if (isnan(before) || isnan(after))
		printf("not to be compared\n");
	else
		printf("%.4g to %.4g\n", before, after);
}

static void print(const struct apply *a)
{
	struct hak_spec spec = a->row ? hak_spec_of_row(a->row) : (struct hak_spec){ 0 };
	char value[HAK_VALUE_TEXT] = "", before[HAK_VALUE_TEXT], after[HAK_VALUE_TEXT];

	if (a->row)
		hak_value_format(&spec, a->advice.value, value);
	printf("%s (%d): %s%s%s: %s%s%s\n", a->name, (int)a->w->seg->pid,
	       a->row ? a->row->name : "purge", a->row ? " " : "", value, a->result,
	       a->reason[0] ? ", " : "", a->reason);
	if (!a->second.span_ns)
		return;
	hak_bytes_format(a->first.rss, before);
	hak_bytes_format(a->second.rss, after);
	print_figure("figure", a->rule->figure(&a->first), a->rule->figure(&a->second));
	printf("           (%s)\n", a->rule->figure_is);
	printf("  %-9s%.1f %% to %.1f %% of a processor\n", "CPU", 100 * cpu_of(&a->first),
	       100 * cpu_of(&a->second));
	printf("  %-9s%s to %s\n", "RSS", before, after);
}

static int failed(const struct apply *a, int r)
{
	const char *why = r == -EINTR	? "interrupted; nothing is left of it"
			  : r == -ESRCH ? "the process has ended"
					: strerror(-r);

	ctl_complain("hakmemctl: process %d: %s\n", (int)a->w->seg->pid, why);
	return ctl_exit_code(r);
}

int advice_apply(struct ctl *ctl, struct advice_watch *w, const struct advice_trial *trial)
{
	struct apply a = { .w = w, .trial = trial };
	struct json_object *document;
	int r;

	hak_escape(w->seg->comm, a.name, sizeof(a.name));
	r = find(&a);
	if (r != CTL_OK)
		return r;
	if (a.row && trial->for_ns && trial->for_ns < trial->span_ns + trial->span_ns / SETTLE)
		return ctl_usage(ctl, "--for ends before it is measured, which takes --seconds and "
				      "a quarter");
	r = measure(&a, &a.first);
	if (r < 0)
		return failed(&a, r);
	r = check(&a);
	if (r != CTL_OK)
		return r;
	if (trial->dry_run)
		result_is(&a, "dry-run", "the figures give this advice; nothing was tried");
	else
		r = a.row ? try_value(&a) : try_purge(&a);
	if (r < 0 && r != -ECANCELED)
		return failed(&a, r);
	document = document_of(&a);
	if (ctl->json != HAK_JSON_OFF)
		hak_emit_json(stdout, document, ctl->json);
	else
		print(&a);
	json_object_put(document);
	return r < 0 ? CTL_FAILED : CTL_OK;
}
