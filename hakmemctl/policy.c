/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl policy list, show, test and verify: the contents of the policy files, the processes
 * that they apply to, and whether their settings are in force. The files and the processes are read
 * directly, without the daemon.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/nearest.h"
#include "control/policy.h"
#include "control/purgestate.h"
#include "control/report.h"
#include "control/resident.h"
#include "control/snapshot.h"
#include "hakmemctl/ctl.h"

/* The state of one command. */
struct command {
	struct hak_policy_set *set;
	struct json_object *rows;
	bool drift;
};

/* -- files ------------------------------------------------------------------------------------- */
/* Returns CTL_OK, or the exit code. */
static int load(struct command *cmd)
{
	char *path = hak_policy_path();
	int r = path ? hak_policy_load(path, &cmd->set) : -1;

	free(path);
	if (r < 0) {
		ctl_complain("hakmemctl: cannot read the policies: %s\n",
			     path ? strerror(-r) : "out of memory");
		return CTL_FAILED;
	}
	cmd->rows = json_object_new_array();
	return CTL_OK;
}

static void tell_problems(const struct hak_policy_set *set)
{
	for (size_t i = 0; i < set->problems_n; i++) {
		const struct hak_policy_problem *p = &set->problem[i];
		char why[4 * HAK_WHY_TEXT], path[4 * HAK_PATH_BYTES];

		hak_escape(p->why, why, sizeof(why));
		hak_escape(p->path, path, sizeof(path));
		if (p->line)
			ctl_complain("%s:%u: %s\n", path, p->line, why);
		else
			ctl_complain("%s: %s\n", path, why);
	}
}

static struct json_object *problems(const struct hak_policy_set *set)
{
	struct json_object *all = json_object_new_array();

	for (size_t i = 0; i < set->problems_n; i++) {
		struct json_object *o = json_object_new_object();

		hak_json_text(o, "file", set->problem[i].path);
		hak_json_number(o, "line", set->problem[i].line);
		hak_json_text(o, "reason", set->problem[i].why);
		json_object_array_add(all, o);
	}
	return all;
}

/* Prints the rows. The document also contains the errors in the files. */
static int answer(struct ctl *ctl, struct command *cmd, const char *what,
		  const struct hak_column *columns, size_t n)
{
	struct json_object *document = hak_json_document("policy");
	int r;

	hak_json_text(document, "command", what);
	json_object_object_add(document, "rows", cmd->rows);
	json_object_object_add(document, "problems", problems(cmd->set));
	tell_problems(cmd->set);
	r = ctl_answer(ctl, document, cmd->rows, columns, n);
	hak_policy_free(cmd->set);
	return r;
}

static int check_columns(struct ctl *ctl, const struct hak_column *columns, size_t n)
{
	char why[HAK_WHY_TEXT];

	if (hak_emit_check_columns(columns, n, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	return CTL_OK;
}

/* -- list -------------------------------------------------------------------------------------- */
static const struct hak_column list_columns[] = {
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "MATCH", "match", HAK_SHOW_TEXT },
	{ "SETS", "sets", HAK_SHOW_NUMBER },
	{ "STATE", "state", HAK_SHOW_TEXT },
	{ "FILE", "file", HAK_SHOW_TEXT },
	{ "BAD", "bad_lines", HAK_SHOW_NUMBER, .hidden = true },
};
#define LIST_COLUMNS (sizeof(list_columns) / sizeof(list_columns[0]))

/* "Unit=a.service b.service User=www" */
static char *match_text(const struct hak_policy *policy)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	for (unsigned kind = 0; kind < HAK_MATCHES; kind++) {
		if (!policy->pattern[kind])
			continue;
		fprintf(f, "%s%s=", ftell(f) ? " " : "", hak_match_word(kind));
		for (char **p = policy->pattern[kind]; *p; p++)
			fprintf(f, "%s%s", p == policy->pattern[kind] ? "" : " ", *p);
	}
	fclose(f);
	return text;
}

static uint64_t count_sets(const struct hak_policy *policy)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < HAK_TUNABLES; i++)
		n += policy->has_tunable[i];
	for (unsigned i = 0; i < HAK_SETTINGS; i++)
		n += policy->has[i];
	return n;
}

static bool makes_policy(const struct hak_policy_set *set, const char *path)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->policy[i]->path, path) == 0)
			return true;
	return false;
}

/* Policies in order of precedence, then files that are no valid policies. */
static void list_rows(struct command *cmd)
{
	for (size_t i = 0; i < cmd->set->n; i++) {
		const struct hak_policy *policy = cmd->set->policy[i];
		struct json_object *o = json_object_new_object();
		char *match = match_text(policy);

		hak_json_text(o, "name", policy->name);
		hak_json_text(o, "match", match);
		hak_json_number(o, "sets", count_sets(policy));
		hak_json_text(o, "state", policy->bad_lines ? "bad lines" : "valid");
		hak_json_number(o, "bad_lines", policy->bad_lines);
		hak_json_text(o, "file", policy->path);
		json_object_array_add(cmd->rows, o);
		free(match);
	}
	for (size_t i = 0; i < cmd->set->files_n; i++) {
		const struct hak_conf_file *file = &cmd->set->file[i];
		struct json_object *o;
		char *name;

		if (!file->masked && makes_policy(cmd->set, file->path))
			continue;
		o = json_object_new_object();
		name = strndup(file->name, strlen(file->name) - strlen(".policy"));
		hak_json_text(o, "name", name);
		free(name);
		hak_json_null(o, "match");
		hak_json_null(o, "sets");
		hak_json_null(o, "bad_lines");
		hak_json_text(o, "state", file->masked ? "masked" : "left out");
		hak_json_text(o, "file", file->path);
		json_object_array_add(cmd->rows, o);
	}
}

static int policy_list(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { 0 };
	int r = check_columns(ctl, list_columns, LIST_COLUMNS);

	if (argc)
		return ctl_usage(ctl, "list takes no arguments");
	r = r ? r : load(&cmd);
	if (r)
		return r;
	list_rows(&cmd);
	return answer(ctl, &cmd, "list", list_columns, LIST_COLUMNS);
}

/* -- show -------------------------------------------------------------------------------------- */
static const struct hak_column show_columns[] = {
	{ "POLICY", "policy", HAK_SHOW_TEXT },
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "VALUE", "value", HAK_SHOW_TEXT },
};
#define SHOW_COLUMNS (sizeof(show_columns) / sizeof(show_columns[0]))

static void add_pair(struct command *cmd, const char *policy, const char *name, const char *value)
{
	struct json_object *o = json_object_new_object();

	hak_json_text(o, "policy", policy);
	hak_json_text(o, "name", name);
	hak_json_text(o, "value", value);
	json_object_array_add(cmd->rows, o);
}

static void format_tunable(unsigned row, uint64_t value, char out[HAK_VALUE_TEXT])
{
	struct hak_spec spec = hak_spec_of_row(&hak_tunable_rows[row]);

	hak_value_format(&spec, value, out);
}

static void show_rows(struct command *cmd, const struct hak_policy *policy)
{
	char value[HAK_VALUE_TEXT];

	for (unsigned kind = 0; kind < HAK_MATCHES; kind++)
		for (char **p = policy->pattern[kind]; p && *p; p++)
			add_pair(cmd, policy->name, hak_match_word(kind), *p);
	for (unsigned i = 0; i < HAK_TUNABLES; i++) {
		if (!policy->has_tunable[i])
			continue;
		format_tunable(i, policy->tunable[i], value);
		add_pair(cmd, policy->name, hak_tunable_rows[i].name, value);
	}
	for (unsigned i = 0; i < HAK_SETTINGS; i++) {
		if (!policy->has[i])
			continue;
		hak_setting_format(policy, i, value);
		add_pair(cmd, policy->name, hak_setting_word(i), value);
	}
}

static void complain(const struct hak_policy_set *set, const char *name)
{
	struct hak_nearest near = hak_nearest_begin(name);
	char text[HAK_WHY_TEXT];

	for (size_t i = 0; i < set->n; i++)
		hak_nearest_see(&near, set->policy[i]->name);
	hak_nearest_say(&near, "", text);
	ctl_complain("hakmemctl: there is no policy %s%s\n", name,
		     *text ? text : "; see hakmemctl policy list");
}

static int policy_show(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { 0 };
	int r = check_columns(ctl, show_columns, SHOW_COLUMNS), printed;

	if (argc == 0)
		return ctl_usage(ctl, "show takes one NAME of a policy or more");
	r = r ? r : load(&cmd);
	if (r)
		return r;
	for (int i = 0; i < argc; i++) {
		bool found = false;

		for (size_t j = 0; j < cmd.set->n; j++)
			if (strcmp(cmd.set->policy[j]->name, argv[i]) == 0) {
				show_rows(&cmd, cmd.set->policy[j]);
				found = true;
			}
		if (found)
			continue;
		complain(cmd.set, argv[i]);
		r = CTL_NOTHING;
	}
	printed = answer(ctl, &cmd, "show", show_columns, SHOW_COLUMNS);
	return r ? r : printed;
}

/* -- test -------------------------------------------------------------------------------------- */
static const struct hak_column test_columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },   { "COMM", "comm", HAK_SHOW_TEXT },
	{ "UNIT", "unit", HAK_SHOW_TEXT },   { "NAME", "name", HAK_SHOW_TEXT },
	{ "VALUE", "value", HAK_SHOW_TEXT }, { "POLICY", "policy", HAK_SHOW_TEXT },
};
#define TEST_COLUMNS (sizeof(test_columns) / sizeof(test_columns[0]))

static int effect_of(struct command *cmd, const struct hak_segment *seg, struct hak_identity *id,
		     struct hak_effect *ret)
{
	int r = hak_identity_read(seg->procfd, seg->pid, id);

	if (r < 0) {
		ctl_complain("hakmemctl: process %d: %s\n", (int)seg->pid, strerror(-r));
		return ctl_exit_code(r);
	}
	hak_identity_name_user(id);
	hak_policy_effect(cmd->set, id, ret);
	return CTL_OK;
}

static struct json_object *row_of(const struct hak_segment *seg, const struct hak_identity *id)
{
	struct json_object *o = hak_report_process(seg);

	hak_json_text(o, "unit", id->unit[0] ? id->unit : NULL);
	hak_json_text(o, "user_unit", id->user_unit[0] ? id->user_unit : NULL);
	hak_json_text(o, "cgroup", id->cgroup);
	hak_json_text(o, "exe", id->exe);
	return o;
}

static int test_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct command *cmd = arg;
	struct hak_identity id;
	struct hak_effect effect;
	char value[HAK_VALUE_TEXT];
	bool any = false;
	int r = effect_of(cmd, seg, &id, &effect);

	(void)ctl;
	if (r)
		return r;
	for (unsigned i = 0; i < HAK_TUNABLES + HAK_SETTINGS; i++) {
		bool tunable = i < HAK_TUNABLES;
		const struct hak_policy *of = tunable ? effect.tunable_of[i]
						      : effect.of[i - HAK_TUNABLES];
		struct json_object *o;

		if (!of)
			continue;
		any = true;
		if (tunable)
			format_tunable(i, effect.tunable[i], value);
		else
			hak_setting_format(of, i - HAK_TUNABLES, value);
		o = row_of(seg, &id);
		hak_json_text(o, "name",
			      tunable ? hak_tunable_rows[i].name
				      : hak_setting_word(i - HAK_TUNABLES));
		hak_json_text(o, "value", value);
		hak_json_text(o, "policy", of->name);
		json_object_array_add(cmd->rows, o);
	}
	if (!any) {
		struct json_object *o = row_of(seg, &id);

		hak_json_null(o, "name");
		hak_json_null(o, "value");
		hak_json_text(o, "policy", effect.first ? effect.first->name : NULL);
		json_object_array_add(cmd->rows, o);
	}
	return CTL_OK;
}

static int policy_test(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { 0 };
	int r = check_columns(ctl, test_columns, TEST_COLUMNS), printed;

	if (argc != 1)
		return ctl_usage(ctl, "test takes one TARGET");
	r = r ? r : load(&cmd);
	if (r)
		return r;
	r = ctl_each(ctl, argv[0], 0, test_process, &cmd);
	printed = answer(ctl, &cmd, "test", test_columns, TEST_COLUMNS);
	return r ? r : printed;
}

/* -- verify ------------------------------------------------------------------------------------ */
static const struct hak_column verify_columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },	   { "COMM", "comm", HAK_SHOW_TEXT },
	{ "NAME", "name", HAK_SHOW_TEXT },	   { "WANTED", "wanted", HAK_SHOW_TEXT },
	{ "IN-FORCE", "in_force", HAK_SHOW_TEXT }, { "ORIGIN", "origin", HAK_SHOW_TEXT },
	{ "POLICY", "policy", HAK_SHOW_TEXT },	   { "RESULT", "result", HAK_SHOW_RESULT },
	{ "REASON", "reason", HAK_SHOW_TEXT },
};
#define VERIFY_COLUMNS (sizeof(verify_columns) / sizeof(verify_columns[0]))

/* NULL: no value is wanted and none is set. */
static const char *judge(const struct hak_tunable_state *s, bool wanted, uint64_t value)
{
	const struct hak_tune_slot *slot = &s->slot[HAK_ORIGIN_POLICY];

	if (!wanted)
		return slot->set ? "left over" : NULL;
	if (!slot->set || slot->value != value)
		return "missing";
	if (s->ack.origin == HAK_ORIGIN_ADMIN)
		return "overridden";
	if (s->pending)
		return "pending";
	return s->ack.origin == HAK_ORIGIN_POLICY && s->ack.value == value ? "ok" : "refused";
}

/* Compares one tunable of one process. */
static void verify_one(struct command *cmd, const struct hak_segment *seg,
		       const struct hak_identity *id, const struct hak_effect *effect,
		       uint32_t index, const struct hak_tunable_state *s)
{
	const struct hak_tunable_row *row = hak_tunable_row_find(seg->tunable[index].name);
	struct hak_spec spec = hak_spec_of_desc(&seg->tunable[index]);
	size_t at = row ? (size_t)(row - hak_tunable_rows) : 0;
	const struct hak_policy *of = row ? effect->tunable_of[at] : NULL;
	char wanted[HAK_VALUE_TEXT] = "", value[HAK_VALUE_TEXT], why[HAK_WHY_TEXT];
	struct json_object *o;
	const char *result;
	uint64_t number = 0;

	if (of)
		format_tunable((unsigned)at, effect->tunable[at], wanted);
	result = of && hak_value_parse(&spec, wanted, &number, why) < 0 ? "refused"
									: judge(s, of, number);
	if (!result)
		return;
	if (strcmp(result, "ok") != 0 && strcmp(result, "pending") != 0)
		cmd->drift = true;
	hak_value_format(&spec, s->ack.value, value);
	o = row_of(seg, id);
	hak_json_text(o, "name", seg->tunable[index].name);
	hak_json_text(o, "wanted", of ? wanted : NULL);
	hak_json_text(o, "in_force", value);
	hak_json_text(o, "origin", hak_origin_word(s->ack.origin));
	hak_json_text(o, "policy", of ? of->name : NULL);
	hak_json_text(o, "result", result);
	hak_json_null(o, "reason");
	json_object_array_add(cmd->rows, o);
}

/* The process is read at one moment, so a limit that was exceeded a moment ago counts as unmet. */
static void verify_limit(struct command *cmd, const struct hak_segment *seg,
			 const struct hak_identity *id, const struct hak_effect *effect,
			 uint64_t cached, const char *why)
{
	const struct hak_policy *of = effect->of[HAK_SET_CACHED_MAX];
	char wanted[HAK_VALUE_TEXT], value[HAK_VALUE_TEXT];
	struct json_object *o = row_of(seg, id);
	bool unmet = cached > effect->cached_max;

	hak_setting_format(of, HAK_SET_CACHED_MAX, wanted);
	hak_bytes_format(cached, value);
	hak_json_text(o, "name", hak_setting_word(HAK_SET_CACHED_MAX));
	hak_json_text(o, "wanted", wanted);
	hak_json_text(o, "in_force", value);
	hak_json_number(o, "cached_bytes", cached);
	hak_json_null(o, "origin");
	hak_json_text(o, "policy", of->name);
	hak_json_text(o, "result", unmet ? "unmet" : "ok");
	hak_json_text(o, "reason", unmet ? why : NULL);
	json_object_array_add(cmd->rows, o);
	cmd->drift |= unmet;
}

/* A process that does not answer is not purged when it is idle either. */
static void verify_idle(struct command *cmd, const struct hak_segment *seg,
			const struct hak_identity *id, const struct hak_effect *effect,
			uint64_t cached, const char *why)
{
	const struct hak_policy *of = effect->of[HAK_SET_IDLE_PURGE];
	char wanted[HAK_VALUE_TEXT];
	struct json_object *o = row_of(seg, id);

	hak_setting_format(of, HAK_SET_IDLE_PURGE, wanted);
	hak_json_text(o, "name", hak_setting_word(HAK_SET_IDLE_PURGE));
	hak_json_text(o, "wanted", wanted);
	hak_json_null(o, "in_force");
	hak_json_number(o, "cached_bytes", cached);
	hak_json_null(o, "origin");
	hak_json_text(o, "policy", of->name);
	hak_json_text(o, "result", why ? "unmet" : "ok");
	hak_json_text(o, "reason", why);
	json_object_array_add(cmd->rows, o);
	cmd->drift |= why != NULL;
}

static int verify_limits(struct command *cmd, const struct hak_segment *seg,
			 const struct hak_identity *id, const struct hak_effect *effect)
{
	struct hak_purge_state state;
	struct hak_snapshot snap;
	struct hak_memory memory;
	char why[HAK_WHY_TEXT];
	uint64_t cached;
	int r;

	if (!effect->of[HAK_SET_CACHED_MAX] && !effect->of[HAK_SET_IDLE_PURGE])
		return 0;
	r = hak_snapshot_take(seg, &snap);
	if (r < 0)
		return r;
	memory = hak_memory_of(seg, &snap);
	hak_snapshot_free(&snap);
	cached = hak_resident_cached(seg, &memory);
	hak_purge_state(seg, &state);
	hak_purge_state_say(&state, why);
	if (effect->of[HAK_SET_CACHED_MAX])
		verify_limit(cmd, seg, id, effect, cached, why);
	if (effect->of[HAK_SET_IDLE_PURGE])
		verify_idle(cmd, seg, id, effect, cached, state.open && !state.agent ? why : NULL);
	return 0;
}

static int verify_failed(const struct hak_segment *seg, int error)
{
	ctl_complain("hakmemctl: process %d: %s\n", (int)seg->pid, strerror(-error));
	return ctl_exit_code(error);
}

static int verify_process(struct ctl *ctl, struct hak_segment *seg, void *arg)
{
	struct command *cmd = arg;
	struct hak_tunable_state *states;
	struct hak_identity id;
	struct hak_effect effect;
	int r = effect_of(cmd, seg, &id, &effect);

	(void)ctl;
	if (r)
		return r;
	r = hak_tunables_read(seg, &states);
	if (r < 0)
		return verify_failed(seg, r);
	for (uint32_t i = 0; i < seg->header.tunables; i++)
		verify_one(cmd, seg, &id, &effect, i, &states[i]);
	free(states);
	r = verify_limits(cmd, seg, &id, &effect);
	return r < 0 ? verify_failed(seg, r) : CTL_OK;
}

/* Without processes nothing can differ, so the result depends on the files alone. */
static int policy_verify(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { 0 };
	int r = check_columns(ctl, verify_columns, VERIFY_COLUMNS), printed;

	if (argc > 1)
		return ctl_usage(ctl, "verify takes one TARGET at most");
	r = r ? r : load(&cmd);
	if (r)
		return r;
	r = ctl_each(ctl, argc ? argv[0] : "all", 0, verify_process, &cmd);
	if (r == CTL_NOTHING && argc == 0)
		r = CTL_OK;
	if (cmd.drift || cmd.set->problems_n)
		r = CTL_FAILED;
	printed = answer(ctl, &cmd, "verify", verify_columns, VERIFY_COLUMNS);
	return r ? r : printed;
}

/* -- the verb ---------------------------------------------------------------------------------- */
int verb_policy(struct ctl *ctl, int argc, char **argv)
{
	static const struct {
		const char *word;
		int (*run)(struct ctl *ctl, int argc, char **argv);
	} commands[] = {
		{ "list", policy_list },
		{ "show", policy_show },
		{ "test", policy_test },
		{ "verify", policy_verify },
	};

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	for (size_t i = 0; optind < argc && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].word, argv[optind]) == 0)
			return commands[i].run(ctl, argc - optind - 1, argv + optind + 1);
	return ctl_usage(ctl, "expects list, show NAME, test TARGET or verify");
}
