/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl advise: recommends a tunable of a process to change, the value, the reason, and the
 * expected effect. This file has the command line and the answer; see advise.h for the rest.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/emit.h"
#include "control/grow.h"
#include "hakmemctl/advise/advise.h"

struct request {
	struct advice_trial trial;
	bool apply;
	const char *target;
};

struct watches {
	struct advice_watch *w;
	size_t n, room;
	struct hak_policy_set *policies; /* NULL: unknown */
};

/* Returns 0, or non-zero with the exit code in ctl->failure. */
static int parse(struct ctl *ctl, struct request *q, int argc, char **argv)
{
	struct advice_trial *t = &q->trial;
	int option, r = CTL_OK;

	*q = (struct request){ .trial = { .span_ns = 5000000000, .trace = true } };
	while (r == CTL_OK && (option = ctl_option(ctl, argc, argv)) != -1) {
		if (option == -2)
			return -1;
		if (option == 's')
			r = ctl_time_above_zero(ctl, "seconds", &t->span_ns);
		else if (option == 'f')
			r = ctl_time_above_zero(ctl, "for", &t->for_ns);
		t->keep = t->keep || option == 'k';
		t->force = t->force || option == CTL_FORCE;
		t->dry_run = t->dry_run || option == 'n';
		t->trace = t->trace && option != 'T';
	}
	if (r != CTL_OK)
		return r;
	q->apply = optind < argc && strcmp(argv[optind], "apply") == 0;
	if (q->apply && argc - optind != 3)
		return ctl_usage(ctl, "apply takes an ID and a TARGET");
	if (!q->apply && argc - optind != 1)
		return ctl_usage(ctl, "expects one TARGET, or apply with an ID and a TARGET");
	if (!q->apply && (t->for_ns || t->keep || t->force || t->dry_run))
		return ctl_usage(ctl, "--for, --keep, --force and --dry-run belong to apply");
	if (t->for_ns && t->keep)
		return ctl_usage(ctl, "--for and --keep exclude each other");
	t->id = argv[optind + q->apply];
	q->target = argv[argc - 1];
	return 0;
}

/* -- the answer -------------------------------------------------------------------------------- */
static void estimate_json(struct json_object *o, const char *key, double value, bool number,
			  const char *how)
{
	struct json_object *c = json_object_new_object();

	json_object_object_add(o, key, c);
	if (number)
		hak_json_signed(c, "bytes", (int64_t)fmax(-9e18, fmin(value, 9e18)));
	else
		hak_json_ratio(c, "of_one_processor", value);
	hak_json_bool(c, "estimate", true);
	hak_json_text(c, "how", how);
}

static struct json_object *advice_json(const struct advice_watch *w, const struct advice_rule *rule,
				       const struct advice *a)
{
	const struct advice_setting *now = &w->figures.setting[rule->tunable];
	const struct hak_tunable_row *row = advice_tunable(rule);
	struct json_object *o = json_object_new_object(), *expected = json_object_new_object();
	char id[ADVICE_ID_BYTES], text[HAK_VALUE_TEXT];

	advice_id(rule, w->subject, id);
	hak_json_text(o, "id", id);
	hak_json_text(o, "rule", rule->name);
	hak_json_text(o, "action", row ? "set" : "purge");
	if (row) {
		struct hak_spec spec = hak_spec_of_row(row);

		hak_json_text(o, "tunable", row->name);
		hak_json_number(o, "value", a->value);
		hak_value_format(&spec, a->value, text);
		hak_json_text(o, "value_text", text);
		hak_json_number(o, "now", now->value);
		hak_value_format(&spec, now->value, text);
		hak_json_text(o, "now_text", text);
		hak_json_text(o, "origin", hak_origin_word(now->origin));
		hak_json_bool(o, "held", now->held);
	}
	hak_json_text(o, "why", a->why);
	hak_json_text(o, "figure", rule->figure_is);
	hak_json_ratio(o, "figure_now", rule->figure(&w->figures));
	estimate_json(expected, "cpu", a->cpu, false, a->cpu_how);
	estimate_json(expected, "rss", a->rss, true, a->rss_how);
	json_object_object_add(o, "expected", expected);
	return o;
}

static struct json_object *notes_json(const struct advice_figures *f)
{
	struct json_object *notes = json_object_new_array();
	char why[HAK_WHY_TEXT];

	for (size_t i = 0; i < advice_notes_n; i++) {
		struct json_object *o;

		if (!advice_notes[i].look(f, why))
			continue;
		o = json_object_new_object();
		hak_json_text(o, "note", advice_notes[i].name);
		hak_json_text(o, "why", why);
		json_object_array_add(notes, o);
	}
	return notes;
}

static struct json_object *process_json(const struct advice_watch *w)
{
	struct json_object *o = hak_report_process(w->seg), *rows = json_object_new_array();
	struct json_object *left_out = json_object_new_array();
	char why[HAK_WHY_TEXT];

	hak_json_text(o, "subject", w->subject);
	json_object_object_add(o, "figures", advice_figures_json(&w->figures));
	for (size_t i = 0; i < advice_rules_n; i++) {
		const struct advice_rule *rule = &advice_rules[i];
		struct advice a = { 0 };

		if (rule->needs_trace && !w->figures.traced)
			json_object_array_add(left_out, json_object_new_string(rule->name));
		else if (rule->look(&w->figures, &a))
			json_object_array_add(rows, advice_json(w, rule, &a));
	}
	json_object_object_add(o, "advice", rows);
	json_object_object_add(o, "left_out", left_out);
	json_object_object_add(o, "notes", notes_json(&w->figures));
	advice_looked_at(&w->figures, why);
	hak_json_text(o, "looked_at", why);
	advice_next(&w->figures, (int)w->seg->pid, why);
	hak_json_text(o, "next", why);
	return o;
}

static void print_expected(FILE *to, struct json_object *expected)
{
	struct json_object *cpu = hak_json_member(expected, "cpu"),
			   *rss = hak_json_member(expected, "rss");
	double share = json_object_get_double(hak_json_member(cpu, "of_one_processor"));
	int64_t bytes = json_object_get_int64(hak_json_member(rss, "bytes"));
	char text[HAK_VALUE_TEXT];

	hak_bytes_format((uint64_t)(bytes < 0 ? -bytes : bytes), text);
	fprintf(to, "    CPU   %+.1f %% of a processor, estimated: %s\n", 100 * share,
		hak_json_get_text(cpu, "how"));
	fprintf(to, "    RSS   %s%s, estimated: %s\n",
		bytes < 0 ? "-"
		: bytes	  ? "+"
			  : "",
		text, hak_json_get_text(rss, "how"));
}

static void print_advice(FILE *to, struct json_object *a, uint64_t pid)
{
	const char *tunable = hak_json_get_text(a, "tunable");

	fprintf(to, "\n  %s  ", hak_json_get_text(a, "id"));
	if (tunable)
		fprintf(to, "%s %s, from %s (%s)\n", tunable, hak_json_get_text(a, "value_text"),
			hak_json_get_text(a, "now_text"), hak_json_get_text(a, "origin"));
	else
		fprintf(to, "purge\n");
	fprintf(to, "    why   %s\n", hak_json_get_text(a, "why"));
	print_expected(to, hak_json_member(a, "expected"));
	if (json_object_get_boolean(hak_json_member(a, "held")))
		fprintf(to, "    held  by an administrator: not applied without --force\n");
	fprintf(to, "    try   hakmemctl advise apply %s %" PRIu64 "\n", hak_json_get_text(a, "id"),
		pid);
}

static void print_notes(FILE *to, struct json_object *notes)
{
	for (size_t i = 0; i < json_object_array_length(notes); i++) {
		struct json_object *o = json_object_array_get_idx(notes, i);

		fprintf(to, "\n  note  %s\n    why   %s\n", hak_json_get_text(o, "note"),
			hak_json_get_text(o, "why"));
	}
}

static void print_process(FILE *to, struct json_object *p, const char *untraced)
{
	struct json_object *rows = hak_json_member(p, "advice"), *f = hak_json_member(p, "figures");
	struct json_object *left_out = hak_json_member(p, "left_out");
	char span[HAK_VALUE_TEXT], rss[HAK_VALUE_TEXT];
	uint64_t span_ns = hak_json_get(f, "span_ns");
	size_t n = json_object_array_length(left_out);

	hak_ns_format(span_ns, span);
	hak_bytes_format(hak_json_get(f, "rss"), rss);
	fprintf(to,
		"%s (%" PRIu64 "), %s: %.1f %% of a processor, RSS %s, %" PRIu64
		" allocations, %" PRIu64 " of them of 1 MiB and more\n",
		hak_json_get_text(p, "comm"), hak_json_get(p, "pid"), span,
		span_ns ? 100.0 * (double)hak_json_get(f, "cpu_ns") / (double)span_ns : 0, rss,
		hak_json_get(f, "allocs"), hak_json_get(f, "whale_allocs"));
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		print_advice(to, json_object_array_get_idx(rows, i), hak_json_get(p, "pid"));
	if (json_object_array_length(rows) == 0)
		fprintf(to, "\n  no advice\n    seen  %s\n    next  %s\n",
			hak_json_get_text(p, "looked_at"), hak_json_get_text(p, "next"));
	print_notes(to, hak_json_member(p, "notes"));
	for (size_t i = 0; i < n; i++)
		fprintf(to, "%s%s", i ? ", " : "\n  rules that need a trace, and were left out: ",
			json_object_get_string(json_object_array_get_idx(left_out, i)));
	if (n)
		fprintf(to, "\n    %s\n", untraced);
}

static int answer(struct ctl *ctl, struct watches *all, int traced, const char *untraced)
{
	struct json_object *document = hak_json_document("advise");
	struct json_object *processes = json_object_new_array();
	int r = CTL_OK;
	FILE *to;

	json_object_object_add(document, "processes", processes);
	hak_json_text(document, "untraced", traced < 0 ? untraced : NULL);
	for (size_t i = 0; i < all->n; i++) {
		struct advice_watch *w = &all->w[i];

		if (w->error == 0) {
			json_object_array_add(processes, process_json(w));
			continue;
		}
		ctl_complain("hakmemctl: process %d: %s\n", (int)w->seg->pid,
			     w->error == -ESRCH ? "the process has ended" : strerror(-w->error));
		r = ctl_exit_code(w->error);
	}
	if (ctl->json != HAK_JSON_OFF) {
		hak_emit_json(stdout, document, ctl->json);
	} else {
		to = ctl_pager_begin(ctl);
		for (size_t i = 0; i < json_object_array_length(processes); i++) {
			fputs(i ? "\n" : "", to);
			print_process(to, json_object_array_get_idx(processes, i), untraced);
		}
		ctl_pager_end(to);
	}
	json_object_put(document);
	return r;
}

/* -- the verb ---------------------------------------------------------------------------------- */
/* ctl_each() closes its segment, so the measurement opens one of its own. */
static int add(struct ctl *ctl, struct hak_segment *seen, void *arg)
{
	struct watches *all = arg;
	struct advice_watch *grown = hak_grow(all->w, all->n, &all->room, sizeof(*grown));
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	int r;

	if (!grown)
		return ctl_exit_code(-ENOMEM);
	all->w = grown;
	r = hak_segment_open(seen->pid, seen->tune_writable ? HAK_SEGMENT_WRITE : 0, &seg, why);
	if (r == 0)
		r = advice_watch_open(seg, all->policies, &all->w[all->n]);
	if (r == 0)
		all->n++;
	/* The process has ended, and is treated as if it had not been there. */
	return r == -ESRCH ? CTL_OK : ctl_exit_code(r);
}

/* Advice needs no policies; without them no limit is known. */
static void read_policies(struct watches *all)
{
	char *path = hak_policy_path();

	if (path && hak_policy_load(path, &all->policies) < 0)
		all->policies = NULL;
	free(path);
}

static int advise(struct ctl *ctl, const struct request *q, struct watches *all)
{
	char why[HAK_WHY_TEXT];
	int traced;

	if (all->n == 0)
		return CTL_NOTHING;
	ctl_catch_interrupts();
	if (q->apply)
		return advice_apply(ctl, &all->w[0], &q->trial);
	advice_measure(all->w, all->n, q->trial.span_ns, q->trial.trace, &traced, why);
	return answer(ctl, all, traced, why);
}

int verb_advise(struct ctl *ctl, int argc, char **argv)
{
	struct watches all = { 0 };
	struct request q;
	int r, r2;

	if (parse(ctl, &q, argc, argv) != 0)
		return ctl->failure;
	read_policies(&all);
	r = ctl_each(ctl, q.target, q.apply ? HAK_SEGMENT_WRITE : 0, add, &all);
	if (q.apply && all.n > 1)
		r = ctl_usage(ctl, "%zu processes match; give the PID of one", all.n);
	else if (all.n || r == CTL_OK)
		r2 = advise(ctl, &q, &all), r = r ? r : r2;
	for (size_t i = 0; i < all.n; i++)
		advice_watch_close(&all.w[i]);
	free(all.w);
	hak_policy_free(all.policies);
	return r;
}
