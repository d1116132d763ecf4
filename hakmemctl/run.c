/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl run: executes a command with libhakmem preloaded and the given tunables in HAKMEM. The
 * old content of LD_PRELOAD stays after the library, and that of HAKMEM before the new entries,
 * because the later of two entries for one tunable takes precedence.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/nearest.h"
#include "control/abi/schema.h"
#include "control/value.h"
#include "hakmemctl/ctl.h"

/* The exit codes of the shell. */
enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

/* Checks an assignment by this program's own table, which is that of the library that it
 * preloads. */
static int check(struct ctl *ctl, const char *assignment)
{
	char name[HAK_NAME_BYTES], why[HAK_WHY_TEXT];
	size_t bytes = strcspn(assignment, "=");
	const struct hak_tunable_row *row;
	struct hak_spec spec;
	uint64_t value;

	if (!assignment[bytes] || bytes == 0 || bytes >= sizeof(name))
		return ctl_usage(ctl, "\"%.60s\" is not NAME=VALUE", assignment);
	memcpy(name, assignment, bytes);
	name[bytes] = '\0';
	row = hak_tunable_row_find(name);
	if (!row) {
		hak_nearest_tunable(name, why);
		return ctl_usage(ctl, "there is no tunable \"%s\"%s", name,
				 *why ? why : "; see hakmemctl tunables");
	}
	spec = hak_spec_of_row(row);
	if (hak_value_parse(&spec, assignment + bytes + 1, &value, why) < 0)
		return ctl_usage(ctl, "%s", why);
	if (hak_spec_clamp(&spec, value) != value) {
		hak_spec_accepts(&spec, why);
		return ctl_usage(ctl, "%s takes %s", name, why);
	}
	return CTL_OK;
}

/* Adds one entry to HAKMEM. */
static int add_entry(const char *assignment)
{
	const char *old = getenv("HAKMEM");
	char *merged;
	int r;

	if (asprintf(&merged, "%s%s%s", old ? old : "", old && *old ? "," : "", assignment) < 0)
		return -ENOMEM;
	r = setenv("HAKMEM", merged, 1);
	free(merged);
	return r < 0 ? -errno : 0;
}

static int preload(char why[HAK_WHY_TEXT])
{
	char library[HAK_PATH_BYTES];
	char *merged;
	int r = ctl_find_library(library, why);

	if (r < 0)
		return r;
	if (strpbrk(library, ": ")) {
		snprintf(why, HAK_WHY_TEXT,
			 "LD_PRELOAD cannot hold a path with spaces or colons: %.200s", library);
		return -EINVAL;
	}
	merged = ctl_preload_with(library, getenv("LD_PRELOAD"));
	r = merged ? setenv("LD_PRELOAD", merged, 1) : -1;
	free(merged);
	if (r < 0)
		snprintf(why, HAK_WHY_TEXT, "out of memory");
	return r;
}

int verb_run(struct ctl *ctl, int argc, char **argv)
{
	char why[HAK_WHY_TEXT];
	int option, r;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		r = check(ctl, ctl->argument);
		if (r != CTL_OK)
			return r;
		if (add_entry(ctl->argument) < 0)
			return CTL_FAILED;
	}
	if (option == -2)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(ctl, "expects a COMMAND");
	if (preload(why) < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		return CTL_FAILED;
	}
	execvp(argv[optind], argv + optind);
	r = errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
	ctl_complain("hakmemctl: cannot run %s: %s\n", argv[optind], strerror(errno));
	return r;
}
