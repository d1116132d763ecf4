/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl cat-config: prints the text of each configuration file of the daemon after its path, in
 * the order in which the daemon reads the files.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/conf.h"
#include "control/escape.h"
#include "control/policy.h"
#include "hakmemctl/ctl.h"

/* Returns CTL_OK, or CTL_FAILED if a file could not be read, which was reported. */
static int print_all(FILE *to, const struct hak_conf_file *files, size_t n)
{
	int result = CTL_OK;

	for (size_t i = 0; i < n; i++) {
		char *text, path[4 * HAK_PATH_BYTES];
		size_t bytes;
		int r;

		hak_escape(files[i].path, path, sizeof(path));
		fprintf(to, "# %s%s\n", path, files[i].masked ? " (masked)" : "");
		if (files[i].masked)
			continue;
		r = hak_conf_text(files[i].path, &text, &bytes);
		if (r < 0) {
			ctl_complain("hakmemctl: %s: %s\n", files[i].path, strerror(-r));
			result = CTL_FAILED;
			continue;
		}
		hak_put_lines(to, text, bytes);
		fputs(bytes && text[bytes - 1] != '\n' ? "\n\n" : "\n", to);
		free(text);
	}
	return result;
}

int verb_cat_config(struct ctl *ctl, int argc, char **argv)
{
	struct hak_conf_file *conf, *policy;
	size_t conf_n = 0, policy_n = 0;
	char *path = NULL;
	FILE *to;
	int r, result;

	if (ctl_option(ctl, argc, argv) != -1)
		return ctl->failure;
	if (optind < argc)
		return ctl_usage(ctl, "expects no arguments");
	r = hak_conf_daemon_files(&conf, &conf_n);
	if (r == 0) {
		path = hak_policy_path();
		r = path ? hak_conf_files(path, ".policy", &policy, &policy_n) : -1;
		free(path);
		if (r < 0)
			hak_conf_files_free(conf, conf_n);
	}
	if (r < 0) {
		ctl_complain("hakmemctl: cannot list the files: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	to = ctl_pager_begin(ctl);
	r = print_all(to, conf, conf_n);
	result = print_all(to, policy, policy_n);
	ctl_pager_end(to);
	hak_conf_files_free(conf, conf_n);
	hak_conf_files_free(policy, policy_n);
	return r ? r : result;
}
