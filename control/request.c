/* SPDX-License-Identifier: MIT */
/* Requests to one process and their answers, see request.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/nearest.h"
#include "control/pageout.h"
#include "control/report.h"
#include "control/request.h"
#include "control/snapshot.h"

/*
 * Time for a process to take up what was paged out; a process that is awake takes it up within
 * this.
 */
#define TELL_NS 100000000u

/* The outcome of one wish. */
struct outcome {
	struct hak_change change;
	char name[HAK_NAME_BYTES];
	const char *result;	 /* NULL: to be written, or judged after the answer */
	bool was_known, was_set; /* the admin layer before, if it could be read */
	uint64_t was, was_until_ns, was_in_force;
	uint64_t was_left_ns; /* until was_until_ns, when the request was made; 0: no deadline */
	uint64_t then;	      /* what is in force once the change is applied */
	char reason[HAK_WHY_TEXT];
};

struct purge {
	struct hak_purge_how how;
	struct json_object *row;
	char why[HAK_WHY_TEXT];
	uint64_t id;
	char refusal[HAK_WHY_TEXT]; /* empty: none */
	int error;
	bool attached;
	struct hak_purge_answer answer;
};

struct hak_request {
	bool is_purge;
	struct purge purge;
	uint64_t for_ns;
	uint64_t generation; /* 0: nothing was written */
	size_t n;
	struct outcome outcome[]; /* [n] */
};

/* Says why the process has not answered yet; `then` is what it does as soon as it wakes. */
static void why_pending(const struct hak_segment *seg, const char *then, char why[HAK_WHY_TEXT])
{
	if (hak_segment_stopped(seg))
		snprintf(why, HAK_WHY_TEXT, "it is stopped; %s when it goes on", then);
	else if (hak_agent_waits(seg))
		snprintf(why, HAK_WHY_TEXT, "it gets no processor time; %s when it does", then);
	else
		snprintf(
			why, HAK_WHY_TEXT,
			"it sleeps and has no thread that answers meanwhile; %s when it next needs "
			"memory beyond its cache",
			then);
}

/* -- changes ----------------------------------------------------------------------------------- */
static void outcome_is(struct outcome *o, const char *result, const char *reason)
{
	o->result = result;
	snprintf(o->reason, sizeof(o->reason), "%s", reason);
}

/* Turns a wish into a change by the process's own table. Sets o->result if that settles the
 * wish. */
static void plan(const struct hak_segment *seg, const struct hak_wishes *wishes,
		 const struct hak_wish *wish, struct outcome *o)
{
	struct hak_spec spec;
	char near[HAK_WHY_TEXT];
	int index = hak_segment_tunable(seg, wish->name);

	memcpy(o->name, wish->name, sizeof(o->name));
	if (index < 0) {
		hak_nearest_tunable(wish->name, near);
		outcome_is(o, "failed", "");
		snprintf(o->reason, sizeof(o->reason), "this process has no such tunable%.200s",
			 near);
		return;
	}
	o->change.index = (uint32_t)index;
	if (!wish->text)
		return;
	o->change.set = true;
	spec = hak_spec_of_desc(&seg->tunable[index]);
	if (hak_value_parse(&spec, wish->text, &o->change.value, o->reason) < 0) {
		o->result = "failed";
		return;
	}
	if (wishes->for_ns)
		o->change.deadline_ns = hak_segment_now_ns(seg) + wishes->for_ns;
	if (seg->tunable[index].when == HAK_WHEN_START)
		outcome_is(o, "refused", "takes effect at start only; see hakmemctl run");
}

/* Packs the changes that are still to be written. */
static size_t pack(const struct outcome *outcomes, size_t n, struct hak_change *changes)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		if (!outcomes[i].result)
			changes[used++] = outcomes[i].change;
	return used;
}

static void foretell(const struct hak_segment *seg, struct outcome *o)
{
	struct hak_spec spec = hak_spec_of_desc(&seg->tunable[o->change.index]);
	char text[HAK_VALUE_TEXT];

	if (seg->header.locked) {
		outcome_is(o, "refused", "control.lock is on: it cannot be changed from outside");
		return;
	}
	outcome_is(o, "dry-run", "");
	if (o->change.set && hak_spec_clamp(&spec, o->change.value) != o->change.value) {
		hak_value_format(&spec, hak_spec_clamp(&spec, o->change.value), text);
		snprintf(o->reason, sizeof(o->reason), "would be clamped to %s", text);
	}
}

/* Judges one change by what the process says, after the generation was applied. */
static void judge(const struct hak_segment *seg, struct outcome *o,
		  const struct hak_tunable_state *s)
{
	struct hak_spec spec = hak_spec_of_desc(&seg->tunable[o->change.index]);
	char text[HAK_VALUE_TEXT];

	o->result = "applied";
	if (s->ack.refused) {
		outcome_is(o, "refused", "by the process");
	} else if (o->change.set && (!s->slot[HAK_ORIGIN_ADMIN].set ||
				     s->slot[HAK_ORIGIN_ADMIN].value != o->change.value)) {
		outcome_is(o, "overridden", "by another controller, meanwhile");
	} else if (o->change.set && s->ack.clamped) {
		hak_value_format(&spec, s->ack.value, text);
		o->result = "clamped";
		snprintf(o->reason, sizeof(o->reason), "to %s", text);
	} else if (o->change.set && seg->tunable[o->change.index].when == HAK_WHEN_NEXT) {
		outcome_is(o, "applied", "for what is created from now on");
	}
}

static void finish_all(struct outcome *outcomes, size_t n, const char *result, const char *reason)
{
	for (size_t i = 0; i < n; i++)
		if (!outcomes[i].result)
			outcome_is(&outcomes[i], result, reason);
}

/* The value in force after the change: the wish in its range, or that of the next lower layer. */
static uint64_t value_then(const struct hak_segment *seg, const struct outcome *o,
			   const struct hak_tunable_state *s)
{
	const struct hak_tunable_desc *desc = &seg->tunable[o->change.index];
	struct hak_spec spec = hak_spec_of_desc(desc);

	if (o->change.set)
		return hak_spec_clamp(&spec, o->change.value);
	if (hak_layer_holds(seg, s, HAK_ORIGIN_POLICY))
		return hak_spec_clamp(&spec, s->slot[HAK_ORIGIN_POLICY].value);
	for (unsigned origin = HAK_ORIGIN_ENVIRONMENT; origin > HAK_ORIGIN_DEFAULT; origin--)
		if (s->ack.set & 1u << origin)
			return hak_spec_clamp(&spec, s->ack.layer[origin]);
	return desc->dflt;
}

/* Notes what undoing the change would have to restore, and what the answer shows. */
static void remember(const struct hak_segment *seg, struct hak_request *a)
{
	struct hak_tunable_state *states;
	uint64_t now = hak_segment_now_ns(seg);

	if (hak_tunables_read(seg, &states) < 0)
		return;
	for (size_t i = 0; i < a->n; i++) {
		struct outcome *o = &a->outcome[i];
		const struct hak_tunable_state *s = &states[o->change.index];

		if (hak_segment_tunable(seg, o->name) < 0)
			continue;
		o->was_known = true;
		o->was_set = hak_layer_holds(seg, s, HAK_ORIGIN_ADMIN);
		o->was = s->slot[HAK_ORIGIN_ADMIN].value;
		o->was_until_ns = s->slot[HAK_ORIGIN_ADMIN].deadline_ns;
		o->was_in_force = s->ack.value;
		o->then = value_then(seg, o, s);
		if (o->was_set && o->was_until_ns > now)
			o->was_left_ns = o->was_until_ns - now;
	}
	free(states);
}

/* Writes the changes that are left. */
static void write_all(const struct hak_segment *seg, struct hak_request *a)
{
	struct hak_change changes[HAK_MAX_TUNABLES];
	char why[HAK_WHY_TEXT];
	size_t used = pack(a->outcome, a->n, changes);
	int r;

	if (used == 0)
		return;
	r = hak_tune_write(seg, HAK_ORIGIN_ADMIN, changes, used, &a->generation, why);
	if (r < 0) {
		a->generation = 0;
		finish_all(a->outcome, a->n, r == -EPERM ? "refused" : "failed", why);
		return;
	}
}

/* Plans a reset of each tunable that has an admin layer. */
static size_t plan_reset_all(const struct hak_segment *seg, struct hak_request *a)
{
	struct hak_tune tune;
	size_t n = 0;

	if (hak_segment_read_tune(seg, &tune) < 0)
		return 0;
	for (uint32_t i = 0; i < seg->header.tunables && n < HAK_MAX_TUNABLES; i++) {
		if (!tune.slot[i].admin.set)
			continue;
		a->outcome[n].change.index = i;
		memcpy(a->outcome[n++].name, seg->tunable[i].name, HAK_NAME_BYTES);
	}
	return n;
}

struct hak_request *hak_request_change(const struct hak_segment *seg,
				       const struct hak_wishes *wishes)
{
	size_t n = wishes->n ? wishes->n : HAK_MAX_TUNABLES;
	struct hak_request *a = calloc(1, sizeof(*a) + n * sizeof(a->outcome[0]));

	if (!a)
		return NULL;
	a->for_ns = wishes->for_ns;
	for (; a->n < wishes->n; a->n++)
		plan(seg, wishes, &wishes->wish[a->n], &a->outcome[a->n]);
	if (wishes->n == 0)
		a->n = plan_reset_all(seg, a);
	remember(seg, a);
	for (size_t i = 0; wishes->dry_run && i < a->n; i++)
		if (!a->outcome[i].result)
			foretell(seg, &a->outcome[i]);
	write_all(seg, a);
	return a;
}

/* The only message for a caller that did not watch the process. */
static const char gone[] = "the process ended, or executed another program";

/* Judges each change. *states are the tunables afterwards, NULL if they cannot be read. */
static void judge_all(const struct hak_segment *seg, struct hak_request *a, int waited,
		      struct hak_tunable_state **states)
{
	char why[HAK_WHY_TEXT];

	if (waited == -ETIMEDOUT) {
		why_pending(seg, "applied", why);
		finish_all(a->outcome, a->n, "pending", why);
	} else if (waited < 0) {
		finish_all(a->outcome, a->n, "failed", waited == -ESRCH ? gone : strerror(-waited));
	}
	if (hak_tunables_read(seg, states) < 0)
		*states = NULL;
	for (size_t i = 0; i < a->n; i++) {
		struct outcome *o = &a->outcome[i];

		if (!o->result && *states)
			judge(seg, o, &(*states)[o->change.index]);
		else if (!o->result)
			outcome_is(o, "failed", "its segment cannot be read any more");
	}
}

static void add_value(struct json_object *o, const char *key, const char *text_key,
		      const struct hak_segment *seg, uint32_t index, const uint64_t *value)
{
	struct hak_spec spec = hak_spec_of_desc(&seg->tunable[index]);
	char text[HAK_VALUE_TEXT];

	if (!value) {
		hak_json_null(o, key);
		hak_json_null(o, text_key);
		return;
	}
	hak_value_format(&spec, *value, text);
	hak_json_number(o, key, *value);
	hak_json_text(o, text_key, text);
}

static void add_before(struct json_object *o, const struct hak_segment *seg,
		       const struct outcome *outcome)
{
	struct hak_spec spec = hak_spec_of_desc(&seg->tunable[outcome->change.index]);
	char text[HAK_VALUE_TEXT];

	hak_value_format(&spec, outcome->was_in_force, text);
	hak_json_text(o, "before", text);
	hak_value_format(&spec, outcome->was, text);
	hak_json_text(o, "layer_before", outcome->was_set ? text : NULL);
	if (outcome->was_set && outcome->was_until_ns)
		hak_json_number(o, "layer_before_until_ns", outcome->was_until_ns);
}

static bool result_is(const struct outcome *o, const char *one, const char *other)
{
	return strcmp(o->result, one) == 0 || strcmp(o->result, other) == 0;
}

/* A deadline must not be lost silently: the value that was set for a time stays for ever. */
static void say_deadline_ends(struct outcome *o)
{
	char old[HAK_VALUE_TEXT], text[HAK_WHY_TEXT];

	if (!o->was_left_ns || o->change.deadline_ns ||
	    !(result_is(o, "applied", "clamped") || result_is(o, "pending", "dry-run")))
		return;
	hak_ns_format(o->was_left_ns, old);
	snprintf(text, sizeof(text),
		 "%.160s%s%s the deadline of the old value, which was due in %s", o->reason,
		 o->reason[0] ? "; " : "", strcmp(o->result, "dry-run") == 0 ? "would end" : "ends",
		 old);
	snprintf(o->reason, sizeof(o->reason), "%s", text);
}

/* What is in force now, or will be, and until when. */
static void add_after(struct json_object *o, const struct hak_segment *seg,
		      const struct outcome *outcome, const struct hak_tunable_state *s,
		      uint64_t for_ns)
{
	struct hak_spec spec = hak_spec_of_desc(&seg->tunable[outcome->change.index]);
	bool later = result_is(outcome, "pending", "dry-run");
	bool now = result_is(outcome, "applied", "clamped") ||
		   result_is(outcome, "overridden", "overridden");
	uint64_t left_ns = later      ? (outcome->change.set ? for_ns : 0)
			   : now && s ? s->expires_ns
				      : 0;
	char text[HAK_VALUE_TEXT];

	hak_value_format(&spec, later ? outcome->then : now && s ? s->ack.value : 0, text);
	hak_json_text(o, "after", later || (now && s) ? text : NULL);
	if (left_ns)
		hak_json_number(o, "expires_ns", left_ns);
	else
		hak_json_null(o, "expires_ns");
}

static struct json_object *change_row(const struct hak_segment *seg, struct outcome *outcome,
				      const struct hak_tunable_state *states, uint64_t for_ns)
{
	uint32_t index = outcome->change.index;
	bool known = hak_segment_tunable(seg, outcome->name) >= 0;
	bool parsed = known && outcome->change.set && strcmp(outcome->result, "failed") != 0;
	struct json_object *o = hak_report_process(seg);

	hak_json_text(o, "name", outcome->name);
	add_value(o, "value", "asked_text", seg, index, parsed ? &outcome->change.value : NULL);
	add_value(o, "in_force", "in_force_text", seg, index,
		  known && states ? &states[index].ack.value : NULL);
	hak_json_text(o, "origin",
		      known && states ? hak_origin_word(states[index].ack.origin) : NULL);
	say_deadline_ends(outcome);
	hak_json_text(o, "result", outcome->result);
	hak_json_text(o, "reason", outcome->reason[0] ? outcome->reason : NULL);
	if (for_ns)
		hak_json_number(o, "for_ns", for_ns);
	if (outcome->was_known) {
		add_before(o, seg, outcome);
		add_after(o, seg, outcome, states ? &states[index] : NULL, for_ns);
	} else {
		hak_json_null(o, "before");
		hak_json_null(o, "after");
		hak_json_null(o, "expires_ns");
	}
	return o;
}

static struct json_object *change_answer(const struct hak_segment *seg, struct hak_request *a,
					 int waited)
{
	struct json_object *rows = json_object_new_array();
	struct hak_tunable_state *states;

	judge_all(seg, a, waited, &states);
	for (size_t i = 0; i < a->n; i++)
		json_object_array_add(rows, change_row(seg, &a->outcome[i], states, a->for_ns));
	free(states);
	return rows;
}

/* -- purges ------------------------------------------------------------------------------------ */
struct hak_request *hak_request_purge(const struct hak_segment *seg,
				      const struct hak_purge_how *how)
{
	struct hak_request *a = calloc(1, sizeof(*a));
	struct purge *p;

	if (!a)
		return NULL;
	a->is_purge = true;
	p = &a->purge;
	p->how = *how;
	p->row = hak_report_process(seg);
	p->attached = how->attach && hak_pageout_attach(seg) == 0;
	hak_json_text(p->row, "level", hak_purge_level_word(how->level));
	hak_json_number(p->row, "rss_before", hak_segment_rss(seg, how->exact));
	p->error = hak_purge_ask(seg, how->level, &p->id, p->why);
	return a;
}

/* NULL: every thread gave its cache back. */
static const char *why_held(struct purge *p)
{
	uint32_t held = HAK_ANSWER_HELD(p->answer.level);

	if (!held)
		return NULL;
	snprintf(p->why, sizeof(p->why),
		 "%u thread%s could not be reached; %s cache%s at the next call of malloc or free",
		 held, held == 1 ? "" : "s", held == 1 ? "it empties its" : "they empty their",
		 held == 1 ? "" : "s");
	return p->why;
}

/* A process without a thread that listens does not answer while it sleeps. */
static const char *purge_waits(const struct hak_segment *seg, struct purge *p, const char **reason)
{
	const char *then = "purged when it next needs memory beyond its cache";

	*reason = p->why;
	if (p->refusal[0]) {
		snprintf(p->why, sizeof(p->why), "%.150s; %s", p->refusal, then);
		return "refused";
	}
	if (hak_segment_stopped(seg) || hak_agent_waits(seg) || !seg->header.call)
		why_pending(seg, "purged", p->why);
	else
		snprintf(p->why, sizeof(p->why),
			 "it sleeps and has no thread that answers meanwhile; %s; to purge it now: "
			 "hakmemctl purge --attach %d",
			 then, (int)seg->pid);
	return "pending";
}

/* Returns whether the answer is a success. */
static bool purge_result(const struct hak_segment *seg, struct purge *p, int waited)
{
	const char *result = "failed", *reason = NULL;
	bool answered = p->error == 0 && waited == 0 && p->answer.status == 0;

	if (p->error < 0) {
		result = p->error == -EPERM ? "refused" : "failed";
		reason = p->why;
	} else if (answered) {
		result = "done";
		reason = why_held(p);
	} else if (waited == -ETIMEDOUT) {
		result = purge_waits(seg, p, &reason);
	} else if (waited == -ESTALE) {
		result = "done";
		reason = "together with a later request, whose answer holds the bytes";
	} else {
		reason = waited == -ESRCH
				 ? gone
				 : strerror(waited ? -waited : (int)(p->answer.status & 0xfff));
	}
	hak_json_text(p->row, "result", result);
	hak_json_text(p->row, "reason", reason);
	if (answered) {
		hak_json_number(p->row, "bytes", p->answer.bytes);
		hak_json_number(p->row, "ns", p->answer.ns);
		hak_json_number(p->row, "threads_held", HAK_ANSWER_HELD(p->answer.level));
	} else {
		hak_json_null(p->row, "bytes");
		hak_json_null(p->row, "ns");
		hak_json_null(p->row, "threads_held");
	}
	return strcmp(result, "failed") != 0 && strcmp(result, "refused") != 0;
}

/* The process learns what was paged out when it is asked again. Doing so too late is no failure. */
static void tell(const struct hak_segment *seg)
{
	struct hak_purge_answer answer;
	char why[HAK_WHY_TEXT];
	uint64_t id;

	if (hak_purge_ask(seg, HAK_PURGE_DIRTY, &id, why) == 0)
		hak_purge_wait(seg, id, TELL_NS, &answer);
}

static struct json_object *purge_answer(const struct hak_segment *seg, struct purge *p, int waited)
{
	struct json_object *rows = json_object_new_array();
	uint64_t paged_out = 0;

	if (purge_result(seg, p, waited) && p->how.page_out)
		hak_pageout_run(seg, &paged_out);
	if (paged_out && p->attached)
		tell(seg);
	if (p->attached)
		hak_pageout_detach(seg);
	hak_json_number(p->row, "paged_out_bytes", paged_out);
	hak_json_number(p->row, "rss_after", hak_segment_rss(seg, p->how.exact));
	json_object_array_add(rows, p->row);
	p->row = NULL;
	return rows;
}

/* -- both -------------------------------------------------------------------------------------- */
int hak_request_wait(const struct hak_segment *seg, struct hak_request *a, uint64_t timeout_ns)
{
	if (a->is_purge)
		return a->purge.error
			       ? 0
			       : hak_purge_wait(seg, a->purge.id, timeout_ns, &a->purge.answer);
	return a->generation ? hak_tune_wait(seg, a->generation, timeout_ns) : 0;
}

void hak_request_refuse(struct hak_request *a, const char *why)
{
	snprintf(a->purge.refusal, sizeof(a->purge.refusal), "%s", why);
}

struct json_object *hak_request_answer(const struct hak_segment *seg, struct hak_request *a,
				       int waited)
{
	struct json_object *rows = a->is_purge ? purge_answer(seg, &a->purge, waited)
					       : change_answer(seg, a, waited);

	hak_request_free(a);
	return rows;
}

void hak_request_free(struct hak_request *a)
{
	json_object_put(a->purge.row);
	free(a);
}
