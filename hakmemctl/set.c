/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl set and reset: the admin layer of tunables, written or taken away, and what each
 * process made of it. All changes of one command reach a process as one generation: it applies all
 * of them or none yet.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/snapshot.h"
#include "control/tunewrite.h"
#include "hakmemctl/ctl.h"

#define CHANGES_MAX HAK_MAX_TUNABLES

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "ASKED", "asked_text", HAK_SHOW_TEXT },
	{ "IN-FORCE", "in_force_text", HAK_SHOW_TEXT },
	{ "ORIGIN", "origin", HAK_SHOW_TEXT },
	{ "RESULT", "result", HAK_SHOW_RESULT },
	{ "REASON", "reason", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* One wish of the command line. */
struct wish {
	char name[HAK_NAME_BYTES];
	const char *text;	/* NULL: reset */
};

struct command {
	struct json_object *rows;
	struct wish wishes[CHANGES_MAX];
	size_t n;		/* 0: reset everything */
	uint64_t for_ns, timeout_ns;
	uint64_t deadline_ns;	/* of all answers, once all processes were asked */
	bool dry_run, reset;
};

/* What becomes of one wish in one process. */
struct outcome {
	struct hak_change change;
	const char *name, *result;
	char reason[HAK_WHY_TEXT];
	bool written;
};

/* One process between the question and the answer. */
struct asked {
	size_t n;
	uint64_t generation;	/* 0: nothing was written */
	struct outcome outcomes[CHANGES_MAX];
};

/* -- one process ------------------------------------------------------------------------------- */
static void outcome_is(struct outcome *o, const char *result, const char *reason)
{
	o->result = result;
	snprintf(o->reason, sizeof(o->reason), "%s", reason);
}

/* Turns a wish into a change by the process's own table; o->result is set if that is the end of it.
 */
static void plan(const struct hak_segment *seg, const struct command *cmd, const struct wish *wish,
		 struct outcome *o)
{
	struct hak_spec spec;
	int index = hak_segment_tunable(seg, wish->name);

	*o = (struct outcome){ .name = wish->name };
	if (index < 0) {
		outcome_is(o, "failed", "this process has no such tunable");
		return;
	}
	o->name = seg->tunable[index].name;
	o->change.index = (uint32_t)index;
	if (!wish->text)
		return;
	o->change.set = true;
	spec = hak_spec_of_desc(&seg->tunable[index]);
	if (hak_value_parse(&spec, wish->text, &o->change.value, o->reason) < 0) {
		o->result = "failed";
		return;
	}
	if (cmd->for_ns)
		o->change.deadline_ns = hak_segment_now_ns(seg) + cmd->for_ns;
	if (seg->tunable[index].when == HAK_WHEN_START)
		outcome_is(o, "refused", "takes effect at start only; see hakmemctl run");
}

/* Index of each change that is still to be written, packed. */
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

	outcome_is(o, "dry-run", "");
	if (o->change.set && hak_spec_clamp(&spec, o->change.value) != o->change.value) {
		hak_value_format(&spec, hak_spec_clamp(&spec, o->change.value), text);
		snprintf(o->reason, sizeof(o->reason), "would be clamped to %s", text);
	}
}

/* After the generation was applied: what the process says about this one. */
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

/* Writes what is left to be written. */
static void write_all(struct hak_segment *seg, struct asked *a)
{
	struct hak_change changes[CHANGES_MAX];
	char why[HAK_WHY_TEXT];
	size_t used = pack(a->outcomes, a->n, changes);
	int r;

	if (used == 0)
		return;
	r = hak_tune_write(seg, HAK_ORIGIN_ADMIN, changes, used, &a->generation, why);
	if (r < 0) {
		a->generation = 0;
		finish_all(a->outcomes, a->n, r == -EPERM ? "refused" : "failed", why);
		return;
	}
	for (size_t i = 0; i < a->n; i++)
		a->outcomes[i].written = !a->outcomes[i].result;
}

/* The answer to what was written; *states as they are afterwards, NULL if they cannot be read. */
static void await(struct hak_segment *seg, const struct command *cmd, struct asked *a,
		  struct hak_tunable_state **states)
{
	char why[HAK_WHY_TEXT];
	int r = 0;

	if (a->generation)
		r = hak_tune_wait(seg, a->generation, ctl_left_ns(cmd->deadline_ns));
	if (r == -ETIMEDOUT) {
		ctl_why_pending(seg, "applied", why);
		finish_all(a->outcomes, a->n, "pending", why);
	} else if (r < 0) {
		finish_all(a->outcomes, a->n, "failed",
			   r == -ESRCH ? "the process ended" : strerror(-r));
	}
	if (hak_tunables_read(seg, states) < 0)
		*states = NULL;
	for (size_t i = 0; i < a->n; i++) {
		struct outcome *o = &a->outcomes[i];

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

static int add_row(const struct command *cmd, const struct hak_segment *seg,
		   const struct outcome *outcome, const struct hak_tunable_state *states)
{
	uint32_t index = outcome->change.index;
	bool known = hak_segment_tunable(seg, outcome->name) >= 0;
	bool parsed = known && outcome->change.set && strcmp(outcome->result, "failed") != 0;
	struct json_object *o = ctl_process(seg);

	hak_json_text(o, "name", outcome->name);
	add_value(o, "value", "asked_text", seg, index, parsed ? &outcome->change.value : NULL);
	add_value(o, "in_force", "in_force_text", seg, index,
		  known && states ? &states[index].ack.value : NULL);
	hak_json_text(o, "origin",
		      known && states ? hak_origin_word(states[index].ack.origin) : NULL);
	hak_json_text(o, "result", outcome->result);
	hak_json_text(o, "reason", outcome->reason[0] ? outcome->reason : NULL);
	if (cmd->for_ns)
		hak_json_number(o, "for_ns", cmd->for_ns);
	json_object_array_add(cmd->rows, o);
	return ctl_result_code(outcome->result);
}

/* `reset` without names: every tunable that has an admin layer. */
static size_t plan_reset_all(const struct hak_segment *seg, struct outcome *outcomes)
{
	struct hak_tune tune;
	size_t n = 0;

	if (hak_segment_read_tune(seg, &tune) < 0)
		return 0;
	for (uint32_t i = 0; i < seg->header.tunables && n < CHANGES_MAX; i++)
		if (tune.slot[i].admin.set)
			outcomes[n++] = (struct outcome){ .name = seg->tunable[i].name,
							  .change.index = i };
	return n;
}

static void *begin(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct asked *a = calloc(1, sizeof(*a));
	const struct command *cmd = arg;

	(void)ctl;
	if (!a)
		return NULL;
	for (; a->n < cmd->n; a->n++)
		plan(seg, cmd, &cmd->wishes[a->n], &a->outcomes[a->n]);
	if (cmd->reset && cmd->n == 0)
		a->n = plan_reset_all(seg, a->outcomes);
	for (size_t i = 0; cmd->dry_run && i < a->n; i++)
		if (!a->outcomes[i].result)
			foretell(seg, &a->outcomes[i]);
	write_all(seg, a);
	return a;
}

static int end(struct ctl *ctl, struct hak_segment *seg, void *state, void *arg)
{
	struct hak_tunable_state *states;
	struct command *cmd = arg;
	struct asked *a = state;
	int result = CTL_OK;

	(void)ctl;
	if (!a)
		return CTL_FAILED;
	if (!cmd->deadline_ns)
		cmd->deadline_ns = hak_monotonic_ns() + cmd->timeout_ns;
	await(seg, cmd, a, &states);
	for (size_t i = 0; i < a->n; i++) {
		int r = add_row(cmd, seg, &a->outcomes[i], states);

		result = result ? result : r;
	}
	free(states);
	free(a);
	return result;
}

/* -- the verbs --------------------------------------------------------------------------------- */
static int run(struct ctl *ctl, const char *target, struct command *cmd)
{
	struct json_object *document;
	char why[HAK_WHY_TEXT];
	int r, printed;

	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document(ctl->verb->name);
	cmd->rows = json_object_new_array();
	json_object_object_add(document, "results", cmd->rows);
	r = ctl_ask_each(ctl, target, cmd->dry_run ? 0 : HAK_SEGMENT_WRITE, begin, end, cmd);
	printed = ctl_answer(ctl, document, cmd->rows, columns, COLUMNS);
	return r ? r : printed;
}

static int add_wish(struct ctl *ctl, struct command *cmd, const char *name, size_t bytes,
		    const char *text)
{
	struct wish *wish = &cmd->wishes[cmd->n];

	if (cmd->n == CHANGES_MAX)
		return ctl_usage(ctl, "no more than %u changes at a time", CHANGES_MAX);
	if (bytes == 0 || bytes >= HAK_NAME_BYTES)
		return ctl_usage(ctl, "\"%.60s\" does not begin with the name of a tunable", name);
	memcpy(wish->name, name, bytes);
	wish->text = text;
	for (size_t i = 0; i < cmd->n; i++)
		if (strcmp(cmd->wishes[i].name, wish->name) == 0)
			return ctl_usage(ctl, "%s is given twice", wish->name);
	cmd->n++;
	return CTL_OK;
}

static int duration(struct ctl *ctl, const char *option, uint64_t *ret)
{
	char why[HAK_WHY_TEXT];

	if (hak_duration_parse(ctl->argument, ret, why) < 0)
		return ctl_usage(ctl, "--%s: %s", option, why);
	return CTL_OK;
}

static int options(struct ctl *ctl, int argc, char **argv, struct command *cmd)
{
	int option, r = CTL_OK;

	cmd->timeout_ns = 1000000000;
	while (r == CTL_OK && (option = ctl_option(ctl, argc, argv)) != -1) {
		if (option == -2)
			return -1;
		if (option == 'n')
			cmd->dry_run = true;
		else if (option == 'f')
			r = duration(ctl, "for", &cmd->for_ns);
		else
			r = duration(ctl, "timeout", &cmd->timeout_ns);
		if (r == CTL_OK && option == 'f' && cmd->for_ns == 0)
			r = ctl_usage(ctl, "--for: it must be longer than nothing");
	}
	ctl->failure = r;
	return r ? -1 : 0;
}

int verb_set(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { 0 };
	int r = CTL_OK;

	if (options(ctl, argc, argv, &cmd) < 0)
		return ctl->failure;
	if (argc - optind < 2)
		return ctl_usage(ctl, "it takes a TARGET and one NAME=VALUE or more");
	for (int i = optind + 1; i < argc && r == CTL_OK; i++) {
		size_t bytes = strcspn(argv[i], "=");

		if (!argv[i][bytes])
			return ctl_usage(ctl, "\"%.60s\" is not NAME=VALUE", argv[i]);
		r = add_wish(ctl, &cmd, argv[i], bytes, argv[i] + bytes + 1);
	}
	return r ? r : run(ctl, argv[optind], &cmd);
}

int verb_reset(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { .reset = true };
	int r = CTL_OK;

	if (options(ctl, argc, argv, &cmd) < 0)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(ctl, "it takes a TARGET and names of tunables");
	for (int i = optind + 1; i < argc && r == CTL_OK; i++)
		r = add_wish(ctl, &cmd, argv[i], strlen(argv[i]), NULL);
	return r ? r : run(ctl, argv[optind], &cmd);
}
