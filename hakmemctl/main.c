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

#include "hakmemctl/ctl.h"

#define NONE CTL_NO_ARGUMENT, NULL
#define TIMEOUT                                                                        \
	{                                                                              \
		"timeout", 't', CTL_ARGUMENT, "TIME", "how long to wait for an answer" \
	}

static const struct ctl_option stats_options[] = {
	{ "classes", 'c', NONE, "also show every size class that was used" },
	{ "watch", 'w', CTL_OPTIONAL_ARGUMENT, "SECS", "show again every SECS seconds (2)" },
	{ NULL },
};
static const struct ctl_option set_options[] = {
	{ "for", 'f', CTL_ARGUMENT, "TIME",
	  "the process takes the value back after TIME, such as 10m" },
	{ "dry-run", 'n', NONE, "say what would come of it, change nothing" },
	TIMEOUT,
	{ NULL },
};
static const struct ctl_option reset_options[] = {
	TIMEOUT,
	{ NULL },
};
static const struct ctl_option purge_options[] = {
	{ "level", 'l', CTL_ARGUMENT, "cache|dirty|all",
	  "thread caches only, free pages too (default), all that is kept" },
	TIMEOUT,
	{ NULL },
};
static const struct ctl_option tunables_options[] = {
	{ "changed", 'c', NONE, "of running processes, those that differ from their default" },
	{ NULL },
};
static const struct ctl_option trace_options[] = {
	{ "seconds", 's', CTL_ARGUMENT, "TIME", "how long (10, or until the command ends)" },
	{ "window", 'w', CTL_ARGUMENT, "TIME", "what is taken again within that counts (1s)" },
	{ "events", 'e', NONE, "each call and each refill as it happens" },
	{ "map", 'm', NONE, "also draw the address space" },
	{ "output", 'o', CTL_ARGUMENT, "FILE", "the drawing, as SVG" },
	{ NULL },
};
static const struct ctl_option profile_options[] = {
	{ "seconds", 's', CTL_ARGUMENT, "TIME", "how long (30)" },
	{ "live", 'l', NONE, "what is in use at the end of what was allocated (the default)" },
	{ "alloc", 'a', NONE, "all that was allocated" },
	{ "rate", 'r', CTL_ARGUMENT, "SIZE", "one sample every so many bytes (512K)" },
	{ "output", 'o', CTL_ARGUMENT, "FILE", "write there; without another format, for pprof" },
	{ "folded", 'F', NONE, "folded stacks, a line each" },
	{ "svg", 'S', NONE, "a flame graph" },
	{ NULL },
};
static const struct ctl_option advise_options[] = {
	{ "seconds", 's', CTL_ARGUMENT, "TIME", "how long to measure (5)" },
	{ "no-trace", 'T', NONE, "only rules that need none" },
	{ "for", 'f', CTL_ARGUMENT, "TIME", "apply: what helps stays that long" },
	{ "keep", 'k', NONE, "apply: what helps stays" },
	{ "force", 'F', NONE, "apply: also over what an administrator has set" },
	{ NULL },
};
static const struct ctl_option run_options[] = {
	{ "tunable", 't', CTL_ARGUMENT, "NAME=VALUE", "to start with; may be given again" },
	{ NULL },
};
static const struct ctl_option history_options[] = {
	{ "lines", 'l', CTL_ARGUMENT, "N", "no more than the last N changes (100)" },
	{ NULL },
};
static const struct ctl_option undo_options[] = {
	{ "force", 'f', NONE, "also what was changed since" },
	TIMEOUT,
	{ NULL },
};
#define ROOT                                                                         \
	{                                                                            \
		"root", 'R', CTL_ARGUMENT, "FOLDER", "of a system that does not run" \
	}
static const struct ctl_option enable_options[] = {
	{ "runtime", 'r', NONE, "in /run: until the next boot" },
	{ "no-reload", 'n', NONE, "do not have systemd read its files again" },
	ROOT,
	{ NULL },
};
static const struct ctl_option status_options[] = {
	ROOT,
	{ NULL },
};
static const struct ctl_option metrics_options[] = {
	{ "format", 'f', CTL_ARGUMENT, "openmetrics|prometheus",
	  "the standard (default), or Prometheus's older text" },
	{ "write", 'w', CTL_ARGUMENT, "FILE", "replace FILE, for a textfile collector" },
	{ "daemon", 'd', CTL_OPTIONAL_ARGUMENT, "SOCKET",
	  "of hakmemd, which also counts processes that ended" },
	{ NULL },
};
static const struct ctl_option check_options[] = {
	{ "all", 'a', NONE, "also what holds, and what could not be checked" },
	{ NULL },
};
static const struct ctl_option doctor_options[] = {
	{ "report", 'r', NONE, "all that a bug report should hold" },
	{ NULL },
};

static int verb_help(struct ctl *ctl, int argc, char **argv);

static const struct ctl_verb verbs[] = {
	{ "list", "", "the processes that run hakmem", verb_list, .remote = true },
	{ "stats", "TARGET", "memory by state, tiers, caches and system calls", verb_stats,
	  stats_options, .remote = true },
	{ "get", "TARGET [NAME]...", "tunables in force and where they come from", verb_get,
	  .remote = true },
	{ "set", "TARGET NAME=VALUE...", "change tunables of running processes", verb_set,
	  set_options, .remote = true },
	{ "reset", "TARGET [NAME]...", "take back what was set, of those tunables or of all",
	  verb_reset, reset_options, .remote = true },
	{ "purge", "TARGET", "have free memory given back to the kernel", verb_purge, purge_options,
	  .remote = true },
	{ "trace", "TARGET|-- COMMAND...", "what the kernel pays, and what is taken again",
	  verb_trace, trace_options },
	{ "profile", "TARGET", "who allocates, and who holds what was allocated", verb_profile,
	  profile_options },
	{ "advise", "TARGET|apply ID TARGET", "which tunable to change, why, what that brings",
	  verb_advise, advise_options },
	{ "tunables", "[TARGET]", "all tunables, with ranges and defaults", verb_tunables,
	  tunables_options, .remote = true },
	{ "describe", "NAME...", "what a tunable or a counter means", verb_describe },
	{ "run", "[-t NAME=VALUE]... [--] COMMAND [ARGUMENT]...", "run a command on hakmem",
	  verb_run, run_options, .first_ends = true },
	{ "enable", "UNIT...", "put services on hakmem, from their next start on", verb_enable,
	  enable_options },
	{ "disable", "UNIT...", "take them off again", verb_disable, enable_options },
	{ "status", "UNIT...", "whether services are on hakmem, and what to restart", verb_status,
	  status_options },
	{ "history", "[TARGET]", "who changed what, when and why", verb_history, history_options },
	{ "undo", "ID", "take a change back", verb_undo, undo_options },
	{ "metrics", "[TARGET]", "counters and memory by unit and command, for Prometheus",
	  verb_metrics, metrics_options },
	{ "policy", "list|show NAME|test TARGET|verify [TARGET]",
	  "what policies say, for whom, and whether it is in force", verb_policy },
	{ "cat-config", "", "the configuration of hakmemd, file by file", verb_cat_config },
	{ "check", "TARGET", "contradictions between the figures of a process", verb_check,
	  check_options },
	{ "doctor", "", "what works on this machine, what is missing, the remedy", verb_doctor,
	  doctor_options },
	{ "version", "", "this program's version, and which library it starts", verb_version },
	{ "help", "[VERB]", "this text, or that of one verb", verb_help },
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

static int verb_help(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_verb *verb = NULL;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind < argc) {
		verb = verb_named(argv[optind]);
		if (!verb)
			return ctl_usage(ctl, "there is no verb \"%s\"", argv[optind]);
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
		return ctl_usage(&ctl, "there is no verb \"%s\"", argv[optind]);
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
