/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl history: prints the changes that the journal contains, with their time, user and
 * reason.
 */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/escape.h"
#include "control/target.h"
#include "hakmemctl/changelog.h"
#include "hakmemctl/ctl.h"

static const struct hak_column columns[] = {
	{ "TIME", "time", HAK_SHOW_TEXT },
	{ "ID", "id", HAK_SHOW_TEXT },
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "UNIT", "unit", HAK_SHOW_TEXT, .hidden = true },
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "OLD", "old", HAK_SHOW_TEXT },
	{ "NEW", "new", HAK_SHOW_TEXT },
	{ "UNTIL", "until", HAK_SHOW_TEXT },
	{ "RESULT", "result", HAK_SHOW_RESULT },
	{ "WHO", "who", HAK_SHOW_TEXT },
	{ "WHY", "why", HAK_SHOW_TEXT },
	{ "RULE", "rule", HAK_SHOW_TEXT, .hidden = true },
};
#define COLUMNS	      (sizeof(columns) / sizeof(columns[0]))
#define LINES_DEFAULT 100

struct command {
	struct hak_target target;
	struct json_object *rows;
	size_t lines;
};

static void user_name(uid_t uid, char *out, size_t bytes)
{
	struct passwd *pw = getpwuid(uid);

	if (pw)
		snprintf(out, bytes, "%s", pw->pw_name);
	else
		snprintf(out, bytes, "%u", (unsigned)uid);
}

void ctl_who(char out[CTL_WHO_BYTES])
{
	const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;
	char name[64];

	user_name(getuid(), name, sizeof(name));
	snprintf(out, CTL_WHO_BYTES, "user %s%s%.64s", name, sudo && *sudo ? ", by sudo " : "",
		 sudo ? sudo : "");
}

/* Entries of hakmemd, which looks up no names for this, contain "user 1000". Entries of commands
 * contain a name. */
static void who_text(const char *who, char out[CTL_WHO_BYTES])
{
	unsigned uid;
	int n = 0;

	snprintf(out, CTL_WHO_BYTES, "%s", who);
	if (sscanf(who, "user %u%n", &uid, &n) == 1 && n && !who[n])
		user_name(uid, out + 5, CTL_WHO_BYTES - 5);
}

/* Processes may have ended, so the target is compared with the content of the entry. */
static bool meant(const struct hak_target *target, const struct ctl_entry *e)
{
	char comm[4 * HAK_COMM_BYTES];

	switch (target->kind) {
	case HAK_TARGET_PID:
		return e->pid == target->pid;
	case HAK_TARGET_COMM:
		hak_escape(target->comm, comm, sizeof(comm));
		return strcmp(e->command, comm) == 0;
	case HAK_TARGET_UNIT:
		return hak_unit_is(e->unit, target->path);
	default:
		return true;
	}
}

/* Two entries on one change are at most this far apart. */
#define TWICE_US 10000000u

/* The user who made the change. A trusted entry names the user; for any other entry it is its
 * writer. */
static uid_t changed_by(const struct ctl_entry *e)
{
	unsigned uid;
	int n = 0;

	if (e->trusted && sscanf(e->who, "user %u%n", &uid, &n) == 1 && n && !e->who[n])
		return uid;
	return e->uid;
}

/*
 * True if the previous row on this tunable of this process reports the same change as the entry.
 * hakmemd observes the changes of commands, and writes its entry before or after the command does.
 * One row is enough, and the command's entry has more details. Both entries must be about changes
 * of one user, so that an entry does not hide the change of another user. Both must be trusted or
 * both untrusted, so that an entry that any user could have written does not replace an entry of
 * hakmemd.
 */
static bool said_already(struct command *cmd, const struct ctl_entry *e)
{
	for (size_t i = json_object_array_length(cmd->rows); i-- > 0;) {
		struct json_object *row = json_object_array_get_idx(cmd->rows, i);
		const char *new = hak_json_get_text(row, "new");

		if (e->time_us - hak_json_get(row, "time_us") > TWICE_US)
			return false;
		if (hak_json_get(row, "pid") != (uint64_t)e->pid ||
		    strcmp(hak_json_get_text(row, "name"), e->tunable) != 0)
			continue;
		if (hak_json_get(row, "changed_by") != changed_by(e) ||
		    json_object_get_boolean(json_object_object_get(row, "trusted")) != e->trusted)
			continue;
		if (!hak_json_get_text(row, "id") == !e->change[0] || !new ||
		    strcmp(new, e->new) != 0)
			return false;
		if (!e->change[0])
			return true;
		json_object_array_del_idx(cmd->rows, i, 1);
		return false;
	}
	return false;
}

static void add_until(struct json_object *o, uint64_t until_us)
{
	char text[CTL_TIME_BYTES];

	if (until_us) {
		ctl_time_text(until_us, text);
		hak_json_text(o, "until", text);
		hak_json_number(o, "until_us", until_us);
	} else {
		hak_json_null(o, "until");
		hak_json_null(o, "until_us");
	}
}

static int add_entry(const struct ctl_entry *e, void *arg)
{
	struct json_object *o;
	struct command *cmd = arg;
	static const char says[] = " (unverified)";
	char text[CTL_WHO_BYTES];

	if (!meant(&cmd->target, e))
		return 0;
	if (said_already(cmd, e))
		return 0;
	o = json_object_new_object();
	ctl_time_text(e->time_us, text);
	hak_json_text(o, "time", text);
	hak_json_number(o, "time_us", e->time_us);
	hak_json_text(o, "id", e->change[0] ? e->change : NULL);
	hak_json_number(o, "pid", (uint64_t)e->pid);
	hak_json_text(o, "comm", e->command);
	hak_json_text(o, "unit", e->unit[0] ? e->unit : NULL);
	hak_json_text(o, "name", e->tunable);
	hak_json_text(o, "old", e->old[0] ? e->old : NULL);
	hak_json_text(o, "new", e->new[0] ? e->new : NULL);
	add_until(o, e->until_us);
	hak_json_text(o, "result", e->result[0] ? e->result : NULL);
	if (e->trusted) {
		who_text(e->who, text);
		hak_json_text(o, "who", text);
	} else {
		strcpy(text, "user ");
		user_name(e->uid, text + 5, sizeof(text) - 5 - strlen(says));
		strcat(text, says);
		hak_json_text(o, "who", text);
	}
	hak_json_bool(o, "trusted", e->trusted);
	hak_json_number(o, "changed_by", changed_by(e));
	hak_json_number(o, "uid", e->uid);
	hak_json_text(o, "why", e->why[0] ? e->why : NULL);
	hak_json_text(o, "rule", e->rule[0] ? e->rule : NULL);
	json_object_array_add(cmd->rows, o);
	if (json_object_array_length(cmd->rows) > cmd->lines)
		json_object_array_del_idx(cmd->rows, 0, 1);
	return 0;
}

int verb_history(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { .target = { .kind = HAK_TARGET_ALL }, .lines = LINES_DEFAULT };
	struct json_object *document;
	char why[HAK_WHY_TEXT], *end;
	int option, r, result;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		errno = 0;
		cmd.lines = strtoul(ctl->argument, &end, 10);
		if (errno || *end || ctl->argument[0] < '1' || ctl->argument[0] > '9')
			return ctl_usage(ctl, "--lines takes a number from 1");
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind > 1)
		return ctl_usage(ctl, "expects one TARGET at most");
	if (optind < argc && hak_target_parse(argv[optind], &cmd.target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	if (cmd.target.kind == HAK_TARGET_CGROUP)
		return ctl_usage(ctl, "the journal knows units, not control groups");
	if (cmd.target.kind == HAK_TARGET_UNIT &&
	    strcmp(strrchr(cmd.target.path, '.'), ".slice") == 0)
		return ctl_usage(ctl, "the journal knows services and scopes, not slices");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("history");
	cmd.rows = json_object_new_array();
	json_object_object_add(document, "changes", cmd.rows);
	r = ctl_each_entry(NULL, add_entry, &cmd, why);
	if (r < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		json_object_put(document);
		return ctl_exit_code(r);
	}
	r = ctl_journal_lacks(why);
	if (r < 0)
		ctl_complain("hakmemctl: %s\n", why);
	result = json_object_array_length(cmd.rows) ? CTL_OK : ctl_exit_code(r);
	r = ctl_answer(ctl, document, cmd.rows, columns, COLUMNS);
	return result ? result : r;
}
