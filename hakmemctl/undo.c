/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl undo: restores the values that a set or reset changed, in the processes that still run,
 * unless they were changed again since.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/changes.h"
#include "control/identity.h"
#include "control/request.h"
#include "control/snapshot.h"
#include "hakmemctl/changelog.h"
#include "hakmemctl/ctl.h"

struct entries {
	struct ctl_entry *entry;
	size_t n;
	size_t others; /* those written neither by root nor by the daemon */
};

struct command {
	struct ctl *ctl;
	struct ctl_ask ask;
	bool force, dry_run;
};

/* The number of entries of other users that are read. Any user may write entries with the id of
 * another command. */
#define OTHERS_MAX 10000u

/* -- the changes ------------------------------------------------------------------------------- */
static int collect(const struct ctl_entry *e, void *arg)
{
	struct entries *all = arg;
	struct ctl_entry *grown;

	/* An entry of a user that may not write to the process does not count. */
	if (!e->trusted && getuid() != 0 && e->uid != getuid())
		return 0;
	if (!e->trusted && all->others == OTHERS_MAX)
		return 0;
	grown = reallocarray(all->entry, all->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	all->entry = grown;
	grown[all->n++] = *e;
	all->others += !e->trusted;
	return 0;
}

/* Adds a row for a change that is not attempted. */
static void add_row(struct command *cmd, const struct ctl_entry *e, const char *result,
		    const char *reason)
{
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)e->pid);
	hak_json_text(o, "comm", e->command);
	hak_json_text(o, "name", e->tunable);
	hak_json_text(o, "result", result);
	hak_json_text(o, "reason", reason);
	json_object_array_add(cmd->ask.rows, o);
}

/* Opens the process of the entry, and no other process with its number; -ESRCH. */
static int same_process(const struct ctl_entry *e)
{
	uint64_t ticks;
	char path[32];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d", (int)e->pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	r = hak_start_ticks(fd, &ticks);
	close(fd);
	if (r < 0) /* the process may only be hidden: opening its segment will tell */
		return kill(e->pid, 0) < 0 && errno == ESRCH ? -ESRCH : 0;
	return e->start_ticks && ticks != e->start_ticks ? -ESRCH : 0;
}

/* True if the admin layer still holds the value of the change. Otherwise `reason` describes what it
 * holds. */
static bool unchanged(const struct hak_segment *seg, const struct ctl_entry *e,
		      char reason[HAK_WHY_TEXT])
{
	int index = hak_segment_tunable(seg, e->tunable);
	struct hak_tunable_state *states;
	char now[HAK_VALUE_TEXT] = "not set";
	struct hak_spec spec;
	bool set;

	if (index < 0 || hak_tunables_read(seg, &states) < 0) {
		snprintf(reason, HAK_WHY_TEXT, "its tunables cannot be read any more");
		return false;
	}
	set = hak_layer_holds(seg, &states[index], HAK_ORIGIN_ADMIN);
	spec = hak_spec_of_desc(&seg->tunable[index]);
	if (set)
		hak_value_format(&spec, states[index].slot[HAK_ORIGIN_ADMIN].value, now);
	/* A process that may write the page can write any name there. */
	snprintf(reason, HAK_WHY_TEXT,
		 "changed since: it is %s now; its page names user %u, process %u", now,
		 states[index].slot[HAK_ORIGIN_ADMIN].writer_uid,
		 states[index].slot[HAK_ORIGIN_ADMIN].writer_pid);
	free(states);
	return set == e->layer_new_set && (!set || strcmp(now, e->layer_new) == 0);
}

/* Entries of other users about this process could be forged. Only entries of root, of the daemon
 * and of the user of the process count. */
static bool believable(const struct hak_segment *seg, const struct ctl_entry *e)
{
	return e->trusted || e->uid == seg->uid;
}

/* -- undoing ----------------------------------------------------------------------------------- */
static int undo_entry(struct command *cmd, const struct ctl_entry *e, const struct hak_segment *seg)
{
	uint64_t now = hak_segment_now_ns(seg);
	bool expired = e->layer_until_ns && e->layer_until_ns <= now;
	struct hak_wish wish = { .text = e->layer_old_set && !expired ? e->layer_old : NULL };
	struct hak_wishes wishes = { &wish, 1, 0, cmd->dry_run };
	char reason[HAK_WHY_TEXT], target[16];

	if (!believable(seg, e)) {
		add_row(cmd, e, "refused",
			"the entry was written neither by root nor by the user of the process");
		return CTL_FAILED;
	}
	if (!unchanged(seg, e, reason) && !cmd->force) {
		add_row(cmd, e, "refused", reason);
		return CTL_FAILED;
	}
	snprintf(wish.name, sizeof(wish.name), "%.*s", HAK_NAME_BYTES - 1, e->tunable);
	if (e->layer_until_ns && !expired)
		wishes.for_ns = e->layer_until_ns - now;
	cmd->ask.wishes = &wishes;
	cmd->ask.start_ticks = e->start_ticks;
	snprintf(target, sizeof(target), "%d", (int)e->pid);
	return ctl_ask_each(cmd->ctl, target, &cmd->ask);
}

static int undo_one(struct command *cmd, const struct ctl_entry *e)
{
	char why[HAK_WHY_TEXT];
	struct hak_segment *seg;
	uint64_t ticks;
	int r = same_process(e);

	if (r < 0) {
		add_row(cmd, e, "gone", "the process ended");
		return CTL_OK;
	}
	r = hak_segment_open(e->pid, 0, &seg, why);
	if (r < 0) {
		add_row(cmd, e, "failed", why);
		return ctl_exit_code(r);
	}
	if (e->start_ticks && hak_start_ticks(seg->procfd, &ticks) == 0 && ticks != e->start_ticks)
		add_row(cmd, e, "gone", "the process ended");
	else
		r = undo_entry(cmd, e, seg);
	hak_segment_close(seg);
	return r;
}

static int find_change(const char *id, struct entries *all)
{
	char why[HAK_WHY_TEXT];
	int r = ctl_each_entry(id, collect, all, why);

	if (r < 0) {
		ctl_complain("hakmemctl: %s\n", r == -ENOMEM ? strerror(ENOMEM) : why);
		return ctl_exit_code(r);
	}
	if (all->n == 0) {
		ctl_complain("hakmemctl: the journal has no change %.40s that you may read; see "
			     "hakmemctl history\n",
			     id);
		if (ctl_journal_lacks(why) < 0)
			ctl_complain("hakmemctl: %s\n", why);
		return CTL_NOTHING;
	}
	return CTL_OK;
}

int verb_undo(struct ctl *ctl, int argc, char **argv)
{
	char id[HAK_CHANGE_ID_BYTES], who[CTL_WHO_BYTES], why[HAK_WHY_TEXT];
	struct command cmd = { .ctl = ctl, .ask = { .timeout_ns = 1000000000 } };
	struct entries all = { .n = 0 };
	struct json_object *document;
	int option, r, result;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		if (option == CTL_FORCE)
			cmd.force = true;
		else if (option == 'n')
			cmd.dry_run = true;
		else if (ctl_time(ctl, "timeout", &cmd.ask.timeout_ns) != CTL_OK)
			return ctl->failure;
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "expects one ID; see hakmemctl history");
	if (hak_emit_check_columns(ctl_change_columns, CTL_CHANGE_COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	result = ctl_check_proc();
	if (result == CTL_OK)
		result = find_change(argv[optind], &all);
	if (result != CTL_OK)
		return result;
	hak_change_id(id);
	ctl_who(who);
	snprintf(why, sizeof(why), "hakmemctl undo %.40s", argv[optind]);
	cmd.ask.change = id, cmd.ask.who = who, cmd.ask.why = why;
	document = hak_json_document("undo");
	cmd.ask.rows = json_object_new_array();
	json_object_object_add(document, "results", cmd.ask.rows);
	/* In reverse order, because a tunable may occur twice. */
	for (size_t i = all.n; i-- > 0;) {
		r = undo_one(&cmd, &all.entry[i]);
		result = result ? result : r;
	}
	free(all.entry);
	ctl_add_until(cmd.ask.rows);
	r = ctl_answer(ctl, document, cmd.ask.rows, ctl_change_columns, CTL_CHANGE_COLUMNS);
	return result ? result : r;
}
