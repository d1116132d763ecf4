/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl set and reset: write or remove the admin layer of tunables, and print the answer of
 * each process. All changes of one command reach a process as one generation: the process applies
 * them together.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/changes.h"
#include "control/request.h"
#include "hakmemctl/ctl.h"

#define CHANGES_MAX HAK_MAX_TUNABLES

struct command {
	struct hak_wish wishes[CHANGES_MAX];
	size_t n; /* 0: reset all tunables */
	uint64_t for_ns, timeout_ns;
	bool dry_run;
};

static int run(struct ctl *ctl, const char *target, struct command *cmd)
{
	const struct hak_wishes wishes = { cmd->wishes, cmd->n, cmd->for_ns, cmd->dry_run };
	struct ctl_ask ask = { .wishes = &wishes, .timeout_ns = cmd->timeout_ns };
	char why[HAK_WHY_TEXT], id[HAK_CHANGE_ID_BYTES], who[CTL_WHO_BYTES], how[40];
	struct json_object *document;
	int r, printed;

	if (hak_emit_check_columns(ctl_change_columns, CTL_CHANGE_COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document(ctl->verb->name);
	ask.rows = json_object_new_array();
	json_object_object_add(document, "results", ask.rows);
	hak_change_id(id);
	ctl_who(who);
	snprintf(how, sizeof(how), "hakmemctl %s", ctl->verb->name);
	ask.change = id, ask.who = who, ask.why = how;
	r = ctl_ask_each(ctl, target, &ask);
	ctl_add_until(ask.rows);
	printed = ctl_answer(ctl, document, ask.rows, ctl_change_columns, CTL_CHANGE_COLUMNS);
	return r ? r : printed;
}

static int add_wish(struct ctl *ctl, struct command *cmd, const char *name, size_t bytes,
		    const char *text)
{
	struct hak_wish *wish = &cmd->wishes[cmd->n];

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

/* Returns 0, or non-zero with the exit code in ctl->failure. */
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
			r = ctl_time_above_zero(ctl, "for", &cmd->for_ns);
		else
			r = ctl_time(ctl, "timeout", &cmd->timeout_ns);
	}
	return r;
}

int verb_set(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { 0 };
	int r = CTL_OK;

	if (options(ctl, argc, argv, &cmd) != 0)
		return ctl->failure;
	if (argc - optind < 2)
		return ctl_usage(ctl, "expects a TARGET and one NAME=VALUE or more");
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
	struct command cmd = { 0 };
	int r = CTL_OK;

	if (options(ctl, argc, argv, &cmd) != 0)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(ctl, "expects a TARGET and names of tunables");
	for (int i = optind + 1; i < argc && r == CTL_OK; i++)
		r = add_wish(ctl, &cmd, argv[i], strlen(argv[i]), NULL);
	return r ? r : run(ctl, argv[optind], &cmd);
}
