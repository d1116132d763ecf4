/* SPDX-License-Identifier: MIT */
/*
 * Parses the command line by tables of options with getopt_long, one option at a time. The help is
 * printed from the same tables.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/nearest.h"
#include "control/root.h"
#include "hakmemctl/ctl.h"

#define OPTIONS_MAX 32

/* Both tables in the form of getopt. They are built at each call, which is cheap and leaves no
 * state. */
struct getopt_tables {
	struct option long_form[OPTIONS_MAX + 1];
	char short_form[3 * OPTIONS_MAX + 2];
};

/* The options of all verbs. */
#define NONE CTL_NO_ARGUMENT, NULL
const struct ctl_option ctl_common_options[] = {
	{ "json", 'j', CTL_ARGUMENT, "short|pretty|off", "print JSON with raw numbers" },
	{ "columns", 'o', CTL_ARGUMENT, "COLUMNS", "print these columns, separated by commas" },
	{ "no-legend", 'q', NONE, "print no headings and no totals" },
	{ "no-pager", CTL_NO_PAGER, NONE, "do not pipe output into a pager" },
	{ "host", 'H', CTL_ARGUMENT, "[USER@]HOST", "use hakmemd on that host, by ssh" },
	{ "machine", 'M', CTL_ARGUMENT, "CONTAINER", "use hakmemd in that container" },
	{ "help", 'h', NONE, "print this text" },
	{ NULL },
};

static void add_options(struct getopt_tables *t, const struct ctl_option *options, size_t *n,
			size_t *letters)
{
	for (; options && options->name && *n < OPTIONS_MAX; options++) {
		t->long_form[(*n)++] = (struct option){ options->name, (int)options->argument, NULL,
							options->letter };
		if (options->letter > 255)
			continue;
		t->short_form[(*letters)++] = (char)options->letter;
		for (int i = 0; i < (int)options->argument; i++)
			t->short_form[(*letters)++] = ':';
	}
}

/* 1: the option is the verb's. 0: done. -1: ctl->failure is the exit code. */
static int common_option(struct ctl *ctl, int letter)
{
	switch (letter) {
	case 'j':
		if (strcmp(optarg, "short") == 0)
			ctl->json = HAK_JSON_SHORT;
		else if (strcmp(optarg, "pretty") == 0)
			ctl->json = HAK_JSON_PRETTY;
		else if (strcmp(optarg, "off") == 0)
			ctl->json = HAK_JSON_OFF;
		else
			return ctl_usage(ctl, "--json takes short, pretty or off"), -1;
		return 0;
	case 'o':
		ctl->columns = optarg;
		return 0;
	case 'q':
		ctl->legend = false;
		return 0;
	case CTL_NO_PAGER:
		ctl->use_pager = false;
		return 0;
	case 'H':
		ctl->host = optarg;
		return 0;
	case 'M':
		ctl->machine = optarg;
		return 0;
	case 'h':
		ctl_help(ctl, *ctl->verb->name ? ctl->verb : NULL);
		ctl->failure = CTL_OK;
		return -1;
	case '?':
		return ctl_usage(ctl, NULL), -1;
	default:
		return 1;
	}
}

/* At the end of the options: -1, or -2 if the common options are invalid for this verb. */
static int check(struct ctl *ctl)
{
	const char *option = ctl->host ? "--host" : "--machine";

	if (ctl->host && ctl->machine)
		ctl_usage(ctl, "--host and --machine exclude each other");
	else if ((ctl->host && !*ctl->host) || (ctl->machine && !*ctl->machine))
		ctl_usage(ctl, "%s takes a name", option);
	else if ((ctl->host || ctl->machine) && *ctl->verb->name && !ctl->verb->remote)
		ctl_usage(ctl, "this verb works on this machine only and takes no %s", option);
	else if (ctl->columns && ctl->verb->no_table)
		ctl_usage(ctl, "this verb prints no table and takes no --columns");
	else
		return -1;
	return -2;
}

/* getopt has printed that there is no such long option. */
static void suggest_option(const struct ctl *ctl, const struct option *known, const char *argument)
{
	struct hak_nearest near;
	char name[HAK_NEAREST_BYTES + 2], text[HAK_WHY_TEXT];

	if (strncmp(argument, "--", 2) != 0)
		return;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
	near = hak_nearest_begin(name);
	for (; known->name; known++)
		hak_nearest_see(&near, known->name);
	hak_nearest_say(&near, "--", text);
	if (*text)
		ctl_complain("hakmemctl%s%s: %s\n", *ctl->verb->name ? " " : "", ctl->verb->name,
			     text + 2);
}

int ctl_option(struct ctl *ctl, int argc, char **argv)
{
	struct getopt_tables t = { 0 };
	size_t n = 0, letters = 0;

	_Static_assert(CTL_ARGUMENT == required_argument &&
			       CTL_OPTIONAL_ARGUMENT == optional_argument,
		       "the constants are those of getopt");
	if (ctl->verb->first_ends)
		t.short_form[letters++] = '+';
	add_options(&t, ctl->verb->options, &n, &letters);
	add_options(&t, ctl_common_options, &n, &letters);
	for (;;) {
		int letter, r;

		/* getopt quotes the argument, in pieces. */
		ctl_gather_stderr(true);
		letter = getopt_long(argc, argv, t.short_form, t.long_form, NULL);
		ctl_gather_stderr(false);
		if (letter == -1)
			return check(ctl);
		if (letter == '?' && optopt == 0 && optind > 0)
			suggest_option(ctl, t.long_form, argv[optind - 1]);
		r = common_option(ctl, letter);
		if (r < 0)
			return -2;
		if (r > 0) {
			ctl->argument = optarg;
			return letter;
		}
	}
}

int ctl_usage(struct ctl *ctl, const char *format, ...)
{
	const char *space = *ctl->verb->name ? " " : "";
	char text[1024];
	va_list args;

	if (format) {
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
		ctl_complain("hakmemctl%s%s: %s\n", space, ctl->verb->name, text);
	}
	ctl_complain("Try 'hakmemctl%s%s --help'.\n", space, ctl->verb->name);
	return ctl->failure = CTL_USAGE;
}

int ctl_time(struct ctl *ctl, const char *option, uint64_t *ret_ns)
{
	char why[HAK_WHY_TEXT];

	if (hak_duration_parse(ctl->argument, ret_ns, why) < 0)
		return ctl_usage(ctl, "--%s: %s", option, why);
	return CTL_OK;
}

int ctl_time_above_zero(struct ctl *ctl, const char *option, uint64_t *ret_ns)
{
	int r = ctl_time(ctl, option, ret_ns);

	if (r == CTL_OK && *ret_ns == 0)
		return ctl_usage(ctl, "--%s takes a time above zero", option);
	return r;
}

int ctl_root_option(struct ctl *ctl, int *root)
{
	int fd = open(ctl->argument, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char why[HAK_WHY_TEXT];

	if (fd < 0)
		return ctl_usage(ctl, "--root: %.200s: %s", ctl->argument, strerror(errno));
	if (*root != HAK_OWN_ROOT)
		close(*root);
	*root = fd;
	/* The argument "/" means this machine's root also if the kernel cannot tell. */
	if (ctl->argument[strspn(ctl->argument, "/")] == '\0' || hak_root_is_own(fd)) {
		close(fd);
		*root = HAK_OWN_ROOT;
	} else if (hak_root_check(fd, why) < 0) {
		ctl_complain("hakmemctl: --root=%.200s: %s\n", ctl->argument, why);
		return CTL_UNSUPPORTED;
	}
	return CTL_OK;
}

/* The common options that name a machine have no meaning for a verb that does not use hakmemd, and
 * those of tables none for a verb that prints no table. */
static bool is_in_vain(const struct ctl_verb *verb, int letter)
{
	if (!verb)
		return false;
	return (!verb->remote && (letter == 'H' || letter == 'M')) ||
	       (verb->no_table && (letter == 'o' || letter == 'q'));
}

static void help_options(const struct ctl_option *options, const struct ctl_verb *of)
{
	for (; options && options->name; options++) {
		char left[64];
		const char *argument = options->argument_name ? options->argument_name : "";
		const char *open = options->argument == CTL_OPTIONAL_ARGUMENT ? "[=" : "=";

		if (is_in_vain(of, options->letter))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s%s", options->name, *argument ? open : "",
			 argument, options->argument == CTL_OPTIONAL_ARGUMENT ? "]" : "");
		if (options->letter < 256)
			printf("  -%c, %-24s %s\n", options->letter, left, options->help);
		else
			printf("      %-24s %s\n", left, options->help);
	}
}

void ctl_help(const struct ctl *ctl, const struct ctl_verb *verb)
{
	const struct ctl_verb *asked = verb;

	if (verb) {
		printf("hakmemctl %s%s%s: %s\n\n", verb->name, *verb->arguments ? " " : "",
		       verb->arguments, verb->help);
		help_options(verb->options, NULL);
	} else {
		printf("hakmemctl VERB [OPTION]... [ARGUMENT]...: show and change hakmem in "
		       "running processes\n\n");
		for (verb = ctl->verbs; verb->name; verb++)
			if (!verb->hidden)
				printf("  %-10s%-22s %s\n", verb->name,
				       strlen(verb->arguments) > 22 ? "..." : verb->arguments,
				       verb->help);
		printf("\n  TARGET is a PID, a unit (nginx.service), cgroup:/PATH, comm:NAME or "
		       "all.\n\n");
	}
	help_options(ctl_common_options, asked);
	printf("\nExit codes: 0 ok, 1 failed, 2 usage, 3 nothing matched, 4 denied, 5 unsupported. "
	       "See hakmemctl(1).\n");
}
