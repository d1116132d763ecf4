/* SPDX-License-Identifier: MIT */
/*
 * Prints the answer of a verb, as JSON or as a table, and through a pager on a terminal.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"

const struct hak_column ctl_change_columns[CTL_CHANGE_COLUMNS] = {
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "NAME", "name", HAK_SHOW_TEXT },
	{ "OLD", "before", HAK_SHOW_TEXT },
	{ "NEW", "after", HAK_SHOW_TEXT },
	{ "UNTIL", "until", HAK_SHOW_TEXT },
	{ "ASKED", "asked_text", HAK_SHOW_TEXT, .hidden = true },
	{ "IN-FORCE", "in_force_text", HAK_SHOW_TEXT, .hidden = true },
	{ "ORIGIN", "origin", HAK_SHOW_TEXT },
	{ "RESULT", "result", HAK_SHOW_RESULT },
	{ "REASON", "reason", HAK_SHOW_TEXT },
};

void ctl_time_text(uint64_t us, char out[CTL_TIME_BYTES])
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(out, CTL_TIME_BYTES, "%F %T", &tm))
		strcpy(out, "?");
}

void ctl_add_until(struct json_object *rows)
{
	const uint64_t now_us = hak_realtime_us();
	char text[CTL_TIME_BYTES];

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		uint64_t left_ns = hak_json_get(row, "expires_ns");

		ctl_time_text(now_us + left_ns / 1000, text);
		hak_json_text(row, "until", left_ns ? text : NULL);
	}
}

void ctl_say_wait(const char *what, uint64_t ns)
{
	char text[HAK_VALUE_TEXT];

	if (!isatty(STDERR_FILENO))
		return;
	hak_ns_format(ns, text);
	ctl_complain("hakmemctl: %s for %s; Ctrl-C ends it sooner\n", what, text);
}

static pid_t pager;

/* Runs in the child. "cat" and "" mean no pager. The shell splits the words of the variable, as for
 * other programs. */
static void become_pager(const char *command, const int pipe_fds[2])
{
	dup2(pipe_fds[0], STDIN_FILENO);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	setenv("LESS", "FRSXMK", 0);
	setenv("LESSSECURE", "1", 1);
	execlp("sh", "sh", "-c", command, NULL);
	_exit(127);
}

static const char *pager_command(void)
{
	const char *command = getenv("HAKMEMCTL_PAGER");

	if (!command)
		command = getenv("PAGER");
	return command ? command : "less";
}

FILE *ctl_pager_begin(struct ctl *ctl)
{
	const char *command = pager_command();
	int fds[2];
	FILE *to;

	if (!ctl->use_pager || !isatty(STDOUT_FILENO) || !*command || strcmp(command, "cat") == 0)
		return stdout;
	if (strcmp(command, "less") == 0 && system("command -v less >/dev/null 2>&1") != 0)
		return stdout;
	fflush(stdout);
	if (pipe(fds) < 0)
		return stdout;
	pager = fork();
	if (pager == 0)
		become_pager(command, fds);
	close(fds[0]);
	to = pager < 0 ? NULL : fdopen(fds[1], "w");
	if (!to) {
		close(fds[1]);
		return stdout;
	}
	signal(SIGPIPE, SIG_IGN);
	return to;
}

void ctl_pager_end(FILE *to)
{
	if (to == stdout)
		return;
	fclose(to);
	while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
		;
}

int ctl_answer(struct ctl *ctl, struct json_object *document, struct json_object *rows,
	       const struct hak_column *columns, size_t n)
{
	const struct hak_style style = { ctl->legend, ctl->color, ctl->columns };
	char why[HAK_WHY_TEXT] = "out of memory";
	FILE *to;
	int r;

	if (ctl->json != HAK_JSON_OFF) {
		r = hak_emit_json(stdout, document, ctl->json);
	} else {
		to = ctl_pager_begin(ctl);
		r = hak_emit_table(to, rows, columns, n, &style, why);
		ctl_pager_end(to);
	}
	json_object_put(document);
	if (r == -EINVAL)
		return ctl_usage(ctl, "%s", why);
	if (r < 0) {
		ctl_complain("hakmemctl: cannot print the answer: %s\n", why);
		return CTL_FAILED;
	}
	return CTL_OK;
}
