/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl, the command. The table of verbs, from which dispatch, help and completion follow.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/nearest.h"
#include "hakmemctl/ctl.h"

#define NONE CTL_NO_ARGUMENT, NULL
#define TIMEOUT                                                                            \
	{                                                                                  \
		"timeout", CTL_TIMEOUT, CTL_ARGUMENT, "TIME", "time to wait for an answer" \
	}

#define DRY_RUN                                                                    \
	{                                                                          \
		"dry-run", 'n', NONE, "print the expected results, change nothing" \
	}

static const struct ctl_option list_options[] = {
	{ "sort", CTL_SORT, CTL_ARGUMENT, "[-]COLUMN",
	  "order of the rows (default FREE, the largest first)" },
	{ NULL },
};
static const struct ctl_option stats_options[] = {
	{ "classes", 'c', NONE, "print each size class that was used as well" },
	{ "watch", 'w', CTL_OPTIONAL_ARGUMENT, "SECS",
	  "print rates a second, again every SECS (default 2)" },
	{ NULL },
};
static const struct ctl_option top_options[] = {
	{ "units", 'u', NONE, "one row for each unit of systemd" },
	{ "cgroups", 'g', NONE, "one row for each control group" },
	{ "sort", CTL_SORT, CTL_ARGUMENT, "rss|pss|in-use|free|allocs|faults|refills|pid|name",
	  "the column that sorts (default rss)" },
	{ "delay", CTL_DELAY, CTL_ARGUMENT, "TIME", "time between two looks (default 2s)" },
	{ "once", CTL_ONCE, NONE, "print one table after one delay, and end" },
	{ "count", CTL_COUNT, CTL_ARGUMENT, "N", "print N tables, and end" },
	{ NULL },
};
static const struct ctl_option diff_options[] = {
	{ "since", CTL_SINCE, CTL_ARGUMENT, "FILE",
	  "compare with FILE, which stats --json wrote earlier" },
	{ NULL },
};
static const struct ctl_option set_options[] = {
	{ "for", 'f', CTL_ARGUMENT, "TIME", "the process drops the value after TIME, such as 10m" },
	DRY_RUN,
	TIMEOUT,
	{ NULL },
};
static const struct ctl_option reset_options[] = {
	DRY_RUN,
	TIMEOUT,
	{ NULL },
};
static const struct ctl_option purge_options[] = {
	{ "level", 'l', CTL_ARGUMENT, "cache|dirty|all",
	  "thread caches only, free pages too (default), kept mappings too" },
	{ "attach", CTL_ATTACH, NONE,
	  "stop a thread of a process that sleeps, and make it do this" },
	DRY_RUN,
	TIMEOUT,
	{ NULL },
};
static const struct ctl_option tunables_options[] = {
	{ "changed", CTL_CHANGED, NONE,
	  "values in running processes that differ from the default" },
	{ NULL },
};
static const struct ctl_option map_options[] = {
	{ "output", 'O', CTL_ARGUMENT, "FILE", "write FILE.svg, a picture, or FILE.json" },
	{ NULL },
};
static const struct ctl_option trace_options[] = {
	{ "seconds", 's', CTL_ARGUMENT, "TIME",
	  "length of the trace (default 10, or until the command ends)" },
	{ "window", CTL_WINDOW, CTL_ARGUMENT, "TIME",
	  "time within which memory counts as taken again (default 1s)" },
	{ "events", 'e', CTL_ARGUMENT, "CALLS",
	  "print each such call when it happens: all, or such as mmap,madvise" },
	{ "map", 'm', NONE, "draw the address space as well, into the file of --output" },
	{ "output", 'O', CTL_ARGUMENT, "FILE",
	  "write to FILE: .svg is the map, .json JSON, else text" },
	{ NULL },
};
static const struct ctl_option profile_options[] = {
	{ "seconds", 's', CTL_ARGUMENT, "TIME", "length of the profile (default 30)" },
	{ "live", CTL_LIVE, NONE, "show the blocks that are still in use at the end (default)" },
	{ "alloc", CTL_ALLOC, NONE, "show all blocks that were allocated" },
	{ "rate", 'r', CTL_ARGUMENT, "SIZE", "mean distance of samples (default 512K)" },
	{ "output", 'O', CTL_ARGUMENT, "FILE",
	  "write to FILE: .svg, .json, .folded, .txt, else for pprof" },
	{ "folded", 'F', NONE, "write folded stacks, one on each line" },
	{ "svg", 'S', NONE, "write a flame graph, in SVG" },
	{ NULL },
};
static const struct ctl_option advise_options[] = {
	{ "seconds", 's', CTL_ARGUMENT, "TIME", "length of the measurement (default 5)" },
	{ "no-trace", 'T', NONE, "use only rules that need no trace" },
	{ "for", 'f', CTL_ARGUMENT, "TIME", "apply: keep a value that helps for TIME" },
	{ "keep", 'k', NONE, "apply: keep a value that helps" },
	{ "force", CTL_FORCE, NONE, "apply: replace a value of an administrator as well" },
	{ "dry-run", 'n', NONE, "apply: measure, print what would be tried, change nothing" },
	{ NULL },
};
static const struct ctl_option run_options[] = {
	{ "tunable", 't', CTL_ARGUMENT, "NAME=VALUE", "tunable for the command; may be repeated" },
	{ NULL },
};
static const struct ctl_option history_options[] = {
	{ "lines", CTL_LINES, CTL_ARGUMENT, "N", "print the last N changes (default 100)" },
	{ NULL },
};
static const struct ctl_option undo_options[] = {
	{ "force", CTL_FORCE, NONE, "undo values that were changed since as well" },
	DRY_RUN,
	TIMEOUT,
	{ NULL },
};
#define ROOT                                                                \
	{                                                                   \
		"root", 'R', CTL_ARGUMENT, "FOLDER",                        \
			"work on the files of the system mounted at FOLDER" \
	}
static const struct ctl_option enable_options[] = {
	{ "runtime", CTL_RUNTIME, NONE, "until the next boot only (in /run)" },
	DRY_RUN,
	{ "no-reload", CTL_NO_RELOAD, NONE, "do not make systemd reload its files" },
	ROOT,
	{ NULL },
};
static const struct ctl_option status_options[] = {
	ROOT,
	{ NULL },
};
static const struct ctl_option metrics_options[] = {
	{ "format", CTL_FORMAT, CTL_ARGUMENT, "openmetrics|prometheus",
	  "the standard (default), or the older text of Prometheus" },
	{ "write", CTL_WRITE, CTL_ARGUMENT, "FILE", "replace FILE, for a textfile collector" },
	{ "daemon", 'd', CTL_OPTIONAL_ARGUMENT, "SOCKET",
	  "sums of hakmemd, which include ended processes" },
	{ NULL },
};
static const struct ctl_option check_options[] = {
	{ "all", 'a', NONE, "print checks that hold or could not be made as well" },
	{ NULL },
};
static const struct ctl_option doctor_options[] = {
	{ "report", CTL_REPORT, NONE, "print the information for a bug report as well" },
	{ NULL },
};

static int verb_help(struct ctl *ctl, int argc, char **argv);

static const struct ctl_verb verbs[] = {
	{ "list", "", "list the processes on hakmem", verb_list, list_options, .remote = true },
	{ "stats", "TARGET", "print memory by state, tiers, caches and system calls", verb_stats,
	  stats_options, .remote = true },
	{ "top", "[TARGET]", "show a live table of processes, units or cgroups", verb_top,
	  top_options, .remote = true, .no_table = true },
	{ "diff", "A B|--since=FILE TARGET",
	  "print what grew from one snapshot or process to another", verb_diff, diff_options,
	  .remote = true, .no_table = true },
	{ "get", "TARGET [NAME]...", "print tunables in force and their origins", verb_get,
	  .remote = true },
	{ "set", "TARGET NAME=VALUE...", "change tunables of running processes", verb_set,
	  set_options, .remote = true },
	{ "reset", "TARGET [NAME]...", "remove values that were set, of these tunables or of all",
	  verb_reset, reset_options, .remote = true },
	{ "purge", "TARGET", "ask processes to give free memory back", verb_purge, purge_options,
	  .remote = true },
	{ "map", "TARGET", "draw the heap: slabs, free pages, and what keeps pages", verb_map,
	  map_options, .no_table = true },
	{ "trace", "TARGET|-- COMMAND...", "measure the cost of memory in the kernel", verb_trace,
	  trace_options, .no_table = true },
	{ "profile", "TARGET", "show which code allocates and holds memory", verb_profile,
	  profile_options, .no_table = true },
	{ "advise", "TARGET|apply ID TARGET", "recommend a tunable to change, and try the change",
	  verb_advise, advise_options, .no_table = true },
	{ "tunables", "[TARGET]", "list all tunables with ranges and defaults", verb_tunables,
	  tunables_options, .remote = true },
	{ "describe", "NAME...", "explain tunables, counters, and words of stats and list",
	  verb_describe, .no_table = true },
	{ "run", "[-t NAME=VALUE]... [--] COMMAND [ARGUMENT]...", "run a command on hakmem",
	  verb_run, run_options, .first_ends = true, .no_table = true },
	{ "enable", "UNIT...", "make services use hakmem from their next start on", verb_enable,
	  enable_options },
	{ "disable", "UNIT...", "make services use the malloc of libc again", verb_disable,
	  enable_options },
	{ "status", "UNIT...", "print whether services use hakmem, and what to restart",
	  verb_status, status_options },
	{ "history", "[TARGET]", "print changes with time, user and reason", verb_history,
	  history_options },
	{ "undo", "ID", "revert a change", verb_undo, undo_options },
	{ "metrics", "[TARGET]", "print counters by unit and command, for Prometheus", verb_metrics,
	  metrics_options, .no_table = true },
	{ "policy", "list|show NAME|test TARGET|verify [TARGET]",
	  "print policies, and check whether they are in force", verb_policy },
	{ "cat-config", "", "print the configuration files of hakmemd", verb_cat_config,
	  .no_table = true },
	{ "check", "TARGET", "search the figures of a process for contradictions", verb_check,
	  check_options },
	{ "doctor", "", "test the features that hakmem needs on this machine", verb_doctor,
	  doctor_options },
	{ "version", "", "print the version, and the library that run preloads", verb_version,
	  .no_table = true },
	{ "help", "[VERB]", "print this text, or that of one verb", verb_help },
	{ "__complete", "WORD...", "candidates for a shell", verb_complete, .first_ends = true,
	  .hidden = true },
	{ NULL },
};

static const struct ctl_verb *verb_named(const char *name)
{
	for (const struct ctl_verb *v = verbs; v->name; v++)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

static int no_verb(struct ctl *ctl, const char *name)
{
	struct hak_nearest near = hak_nearest_begin(name);
	char text[HAK_WHY_TEXT];

	for (const struct ctl_verb *v = verbs; v->name; v++)
		if (!v->hidden)
			hak_nearest_see(&near, v->name);
	hak_nearest_say(&near, "", text);
	return ctl_usage(ctl, "there is no verb \"%s\"%s", name, text);
}

static int verb_help(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_verb *verb = NULL;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind < argc) {
		verb = verb_named(argv[optind]);
		if (!verb)
			return no_verb(ctl, argv[optind]);
	}
	ctl_help(ctl, verb);
	return CTL_OK;
}

/* Options before the verb are the common options. getopt is called once for them, and once by the
 * verb. */
int main(int argc, char **argv)
{
	static const struct ctl_verb none = { .name = "", .arguments = "", .first_ends = true };
	struct ctl ctl = {
		.verbs = verbs,
		.verb = &none,
		.legend = true,
		.use_pager = true,
		.color = isatty(STDOUT_FILENO) && !(getenv("NO_COLOR") && *getenv("NO_COLOR")),
	};
	const struct ctl_verb *verb;
	int r;

	setlocale(LC_ALL, "");
	ctl_guard_stderr();
	argv[0] = (char[]){ "hakmemctl" }; /* getopt prints this name in its messages */
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		argv[1] += 2; /* --help and --version, as in every program */
	if (ctl_option(&ctl, argc, argv) != -1)
		return ctl.failure;
	if (optind == argc) {
		ctl_help(&ctl, NULL);
		return CTL_USAGE;
	}
	verb = verb_named(argv[optind]);
	if (!verb)
		return no_verb(&ctl, argv[optind]);
	ctl.verb = verb;
	argc -= optind, argv += optind;
	argv[0] = (char[]){ "hakmemctl" };
	optind = 0;
	r = verb->run(&ctl, argc, argv);
	ctl_bus_close(&ctl);
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ctl_complain("hakmemctl: cannot write the answer%s%s\n", errno ? ": " : "",
			     errno ? strerror(errno) : "");
		return r ? r : CTL_FAILED;
	}
	return r;
}
