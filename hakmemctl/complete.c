/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl __complete WORD...: prints candidates for the last WORD of a command line, one per
 * line, for the small shell scripts in completions/. The candidates come from the tables of verbs
 * and options, and from the processes that run now, so the scripts never become outdated.
 */
#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/escape.h"
#include "control/abi/schema.h"
#include "control/target.h"
#include "hakmemctl/changelog.h"
#include "hakmemctl/ctl.h"

/* A candidate that needs escapes would be another name, so it is not offered. */
static void offer(const char *word, const char *candidate)
{
	if (strncmp(candidate, word, strlen(word)) == 0 && hak_is_printable(candidate))
		puts(candidate);
}

/* A name that a shell must quote is not offered; its PID is easier to type. */
static void offer_plain(const char *word, const char *candidate)
{
	if (candidate[strspn(candidate, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789_.:+@/-")] == '\0')
		offer(word, candidate);
}

/* Offers each of "a|b|c" after a prefix. */
static void offer_choices(const char *word, const char *prefix, const char *choices)
{
	while (*choices) {
		size_t bytes = strcspn(choices, "|");
		char candidate[160];

		snprintf(candidate, sizeof(candidate), "%s%.*s", prefix, (int)bytes, choices);
		offer(word, candidate);
		choices += bytes + (choices[bytes] == '|');
	}
}

static void offer_verbs(const struct ctl *ctl, const char *word)
{
	for (const struct ctl_verb *v = ctl->verbs; v->name; v++)
		if (!v->hidden)
			offer(word, v->name);
}

/* Offers an option or, after its =, the words that it takes. */
static void offer_options(const char *word, const struct ctl_option *options)
{
	for (; options && options->name; options++) {
		char assignment[96];

		snprintf(assignment, sizeof(assignment), "--%s=", options->name);
		if (strncmp(word, assignment, strlen(assignment)) == 0) {
			if (options->argument_name && strchr(options->argument_name, '|'))
				offer_choices(word, assignment, options->argument_name);
			continue;
		}
		if (options->argument != CTL_ARGUMENT)
			assignment[strlen(assignment) - 1] = '\0';
		offer(word, assignment);
	}
}

/* Offers the unit of a process and, after cgroup:, its control group. */
static void offer_groups(const char *word, const struct hak_segment *seg)
{
	char path[HAK_CGROUP_BYTES], text[7 + HAK_CGROUP_BYTES];
	struct hak_cgroups groups;

	if (hak_cgroup_read(seg->procfd, &groups) < 0)
		return;
	hak_cgroup_path(&groups, path);
	if (hak_cgroup_unit(path, text))
		offer_plain(word, text);
	snprintf(text, sizeof(text), "cgroup:%s", path);
	if (strncmp(word, "cgroup:", 7) == 0 && *path)
		offer_plain(word, text);
}

static void offer_targets(const char *word)
{
	const struct hak_target all = { .kind = HAK_TARGET_ALL };
	struct hak_shares shares;
	pid_t *pids;
	size_t n;

	offer(word, "all");
	hak_target_shares(&shares);
	if (hak_target_pids(&all, &shares, &pids, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		char why[HAK_WHY_TEXT], text[5 + HAK_COMM_BYTES];
		struct hak_segment *seg;

		if (hak_target_open(&shares, pids[i], 0, &seg, why) < 0)
			continue;
		snprintf(text, sizeof(text), "%d", (int)seg->pid);
		offer(word, text);
		snprintf(text, sizeof(text), "comm:%s", seg->comm);
		offer_plain(word, text);
		offer_groups(word, seg);
		hak_segment_close(seg);
	}
	free(pids);
}

static void offer_tunables(const char *word, bool assign)
{
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];
		char candidate[HAK_NAME_BYTES + 2];

		snprintf(candidate, sizeof(candidate), "%s%s", row->name, assign ? "=" : "");
		offer(word, candidate);
		if (assign && strncmp(word, candidate, strlen(candidate)) == 0)
			offer_choices(word, candidate,
				      row->type == HAK_TYPE_BOOL ? "on|off" : row->values);
	}
}

static void offer_counters(const char *word)
{
	for (size_t i = 0; i < hak_counter_rows_n; i++)
		offer(word, hak_counter_rows[i].name);
}

/* A service may be offered more than once; the shell removes duplicates. */
static void offer_units(const char *word)
{
	static const char *const folders[] = { "/etc/systemd/system", "/run/systemd/system",
					       "/usr/local/lib/systemd/system",
					       "/usr/lib/systemd/system" };
	struct dirent *entry;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		DIR *folder = opendir(folders[i]);

		while (folder && (entry = readdir(folder))) {
			const char *suffix = strrchr(entry->d_name, '.');

			if (suffix && strcmp(suffix, ".service") == 0)
				offer_plain(word, entry->d_name);
		}
		if (folder)
			closedir(folder);
	}
}

static int offer_change(const struct ctl_entry *e, void *arg)
{
	if (e->trusted || e->uid == getuid())
		offer_plain(arg, e->change);
	return 0;
}

/* Offers the argument number `at` of a verb. */
static void offer_argument(const struct ctl *ctl, const struct ctl_verb *verb, int at,
			   const char *word)
{
	const char *name = verb->name;
	bool target = strstr(verb->arguments, "TARGET");
	char why[HAK_WHY_TEXT];

	if (strcmp(name, "advise") == 0 && at == 0)
		offer(word, "apply");
	if (target && (at == 0 || (strcmp(name, "advise") == 0 && at == 2) ||
		       (strcmp(name, "diff") == 0 && at == 1)))
		offer_targets(word);
	else if (target && strstr(verb->arguments, "NAME"))
		offer_tunables(word, strstr(verb->arguments, "NAME=VALUE"));
	else if (strcmp(name, "describe") == 0)
		offer_tunables(word, false), offer_counters(word);
	else if (strcmp(name, "help") == 0 && at == 0)
		offer_verbs(ctl, word);
	else if (strcmp(verb->arguments, "UNIT...") == 0)
		offer_units(word);
	else if (strcmp(name, "undo") == 0 && at == 0)
		ctl_each_entry(NULL, offer_change, (char *)word, why);
}

int verb_complete(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_verb *verb = NULL;
	const char *word, *before;
	int arguments = 0;

	if (argc < 2)
		return CTL_USAGE;
	word = argv[argc - 1];
	before = argv[argc - 2];
	for (int i = 1; i < argc - 1; i++) {
		if (argv[i][0] == '-')
			continue;
		for (const struct ctl_verb *v = ctl->verbs; !verb && v->name; v++)
			if (strcmp(v->name, argv[i]) == 0)
				verb = v, arguments = -1;
		arguments++;
	}
	if (verb && strcmp(verb->name, "run") == 0 && strcmp(before, "-t") == 0) {
		offer_tunables(word, true);
	} else if (word[0] == '-') {
		offer_options(word, verb ? verb->options : NULL);
		offer_options(word, ctl_common_options);
	} else if (!verb) {
		offer_verbs(ctl, word);
	} else {
		offer_argument(ctl, verb, arguments, word);
	}
	return CTL_OK;
}
