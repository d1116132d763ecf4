/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl top: a live table of processes, units or control groups. On a terminal it is a screen
 * with keys. With --once, --count or --json, or where standard output or input is no terminal, it
 * prints tables one after the other.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/target.h"
#include "hakmemctl/top/text.h"
#include "hakmemctl/top/top.h"

struct command {
	const char *target;
	enum top_kind kind;
	int sort;
	uint64_t delay_ns;
	uint64_t count; /* of tables; 0: no limit */
};

/* -- tables one after the other ---------------------------------------------------------------- */
#define BATCH_COLUMNS 120

/* A line without the blanks at its end. */
static void print_line(char *line)
{
	size_t n = strlen(line);

	while (n && line[n - 1] == ' ')
		n--;
	printf("%.*s\n", (int)n, line);
}

static void print_text(const struct ctl *ctl, const struct top_model *m)
{
	char line[TOP_LINE_BYTES];

	if (ctl->legend) {
		top_summary(m, BATCH_COLUMNS, line);
		print_line(line);
		putchar('\n');
		top_heading(m, BATCH_COLUMNS, line);
		print_line(line);
	}
	for (size_t i = 0; i < m->shown.n; i++) {
		top_line(m, m->shown.row[i], BATCH_COLUMNS, line);
		print_line(line);
	}
}

static void add_figure(struct json_object *o, enum top_figure figure, double value)
{
	static const char *const keys[] = {
		[TOP_IN_USE] = "in_use",
		[TOP_FREE] = "free_resident",
		[TOP_RSS] = "rss",
		[TOP_PSS] = "pss",
		[TOP_ALLOCS] = "allocs_per_second",
		[TOP_FAULTS] = "faults_per_second",
		[TOP_REFILLS] = "refills_per_second",
	};

	if (isnan(value))
		hak_json_null(o, keys[figure]);
	else if (figure >= TOP_ALLOCS)
		hak_json_ratio(o, keys[figure], value);
	else
		hak_json_number(o, keys[figure], value < 1.8e19 ? (uint64_t)value : UINT64_MAX);
}

static struct json_object *row_json(const struct top_model *m, const struct top_row *row)
{
	struct json_object *o = json_object_new_object();

	if (m->kind == TOP_PROCESSES) {
		hak_json_number(o, "pid", row->pid);
		hak_json_text(o, "comm", row->name);
		hak_json_text(o, "unit", strcmp(row->unit, "-") ? row->unit : NULL);
		hak_json_text(o, "cgroup", strcmp(row->cgroup, "-") ? row->cgroup : NULL);
	} else {
		hak_json_text(o, m->kind == TOP_UNITS ? "unit" : "cgroup",
			      strcmp(row->name, "-") ? row->name : NULL);
		hak_json_number(o, "processes", row->processes);
	}
	for (int i = 0; i < TOP_FIGURES; i++)
		add_figure(o, (enum top_figure)i, row->value[i]);
	return o;
}

static void print_json(const struct ctl *ctl, const struct top_model *m)
{
	static const char *const kinds[] = { "processes", "units", "cgroups" };
	struct json_object *document = hak_json_document("top");
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < m->shown.n; i++)
		json_object_array_add(rows, row_json(m, m->shown.row[i]));
	json_object_object_add(document, kinds[m->kind], rows);
	hak_emit_json(stdout, document, ctl->json);
	json_object_put(document);
}

/* Returns false if a signal asks for the end. */
static bool pause_for(uint64_t ns)
{
	const struct timespec pause = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	return nanosleep(&pause, NULL) == 0 && !ctl_interrupted();
}

/* The first look is not printed, because it has no rates. */
static int batch(struct ctl *ctl, const struct command *cmd, struct top_model *m)
{
	int r;

	ctl_catch_interrupts();
	r = top_look(ctl, cmd->target, m);
	for (uint64_t i = 0; (r == CTL_OK || m->processes.n) && (!cmd->count || i < cmd->count);
	     i++) {
		if (!pause_for(cmd->delay_ns))
			break;
		r = top_look(ctl, cmd->target, m);
		if (ctl->json != HAK_JSON_OFF) {
			print_json(ctl, m);
		} else {
			fputs(i ? "\n" : "", stdout);
			print_text(ctl, m);
		}
		if (fflush(stdout) != 0)
			break;
	}
	return r;
}

/* -- the screen -------------------------------------------------------------------------------- */
static void look(struct ctl *ctl, const struct command *cmd, struct top_view *view)
{
	view->trouble[0] = '\0';
	ctl_hold_messages(view->trouble, sizeof(view->trouble));
	if (view->mode == TOP_DETAIL || (view->mode == TOP_HELP && view->back == TOP_DETAIL))
		top_open(ctl, view);
	top_look(ctl, cmd->target, &view->model);
	ctl_hold_messages(view->message, sizeof(view->message));
}

/* Returns whether the processes are to be looked at again. */
static bool act(struct ctl *ctl, struct top_view *view, enum top_action action)
{
	switch (action) {
	case TOP_OPEN:
		if (top_open(ctl, view) == CTL_OK)
			view->mode = TOP_DETAIL;
		return false;
	case TOP_SET:
	case TOP_PURGE:
		snprintf(view->trouble, sizeof(view->trouble), "%.200s is asked",
			 view->target_name);
		top_screen_draw(view);
		if (action == TOP_SET)
			top_set(ctl, view);
		else
			top_purge(ctl, view);
		return true;
	case TOP_LOOK:
		return true;
	case TOP_NOTHING:
	case TOP_QUIT:
		break;
	}
	return false;
}

static void run(struct ctl *ctl, const struct command *cmd, struct top_view *view)
{
	uint64_t next_ns = 0, now_ns;
	enum top_action action;

	do {
		now_ns = hak_monotonic_ns();
		if (now_ns >= next_ns) {
			look(ctl, cmd, view);
			now_ns = hak_monotonic_ns();
			next_ns = now_ns + cmd->delay_ns;
		}
		top_screen_draw(view);
		action = top_press(view, top_screen_key(next_ns - now_ns));
		if (act(ctl, view, action))
			next_ns = 0;
	} while (action != TOP_QUIT);
}

/* polkit asks no questions meanwhile, because its agent would write over the screen. */
static int on_screen(struct ctl *ctl, const struct command *cmd, struct top_view *view)
{
	char why[HAK_WHY_TEXT];
	int r = CTL_OK;

	/* ssh may ask for a password at the first look, and a machine that is not there is said
	 * without a screen. */
	if (ctl->host || ctl->machine)
		r = top_look(ctl, cmd->target, &view->model);
	if (r != CTL_OK && r != CTL_NOTHING)
		return r;
	r = top_screen_begin(why);
	if (r < 0) {
		ctl_complain("hakmemctl top: %s\n", why);
		return r == -ENOSYS ? CTL_UNSUPPORTED : CTL_FAILED;
	}
	ctl->agent = -1;
	ctl_hold_messages(view->message, sizeof(view->message));
	run(ctl, cmd, view);
	ctl_hold_messages(NULL, 0);
	ctl->agent = 0;
	top_screen_end();
	return CTL_OK;
}

/* -- the verb ---------------------------------------------------------------------------------- */
static int count_option(struct ctl *ctl, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(ctl->argument, &end, 10);
	if (errno || *end || ctl->argument[0] < '0' || ctl->argument[0] > '9' || *ret == 0)
		return ctl_usage(ctl, "--count takes a number from 1 on");
	return CTL_OK;
}

static int one_option(struct ctl *ctl, int option, struct command *cmd)
{
	switch (option) {
	case 'u':
		cmd->kind = TOP_UNITS;
		return CTL_OK;
	case 'g':
		cmd->kind = TOP_CGROUPS;
		return CTL_OK;
	case CTL_ONCE:
		cmd->count = 1;
		return CTL_OK;
	case CTL_COUNT:
		return count_option(ctl, &cmd->count);
	case CTL_SORT:
		cmd->sort = top_sort_of(ctl->argument);
		return cmd->sort < 0 ? ctl_usage(ctl, "there is no column \"%.40s\"", ctl->argument)
				     : CTL_OK;
	default:
		if (ctl_time(ctl, "delay", &cmd->delay_ns) != CTL_OK)
			return ctl->failure;
		if (cmd->delay_ns < 100000000 || cmd->delay_ns > 3600000000000)
			return ctl_usage(ctl, "--delay takes 100ms to 1h");
		return CTL_OK;
	}
}

int verb_top(struct ctl *ctl, int argc, char **argv)
{
	struct command cmd = { .target = "all", .sort = TOP_RSS, .delay_ns = 2000000000 };
	char why[HAK_WHY_TEXT];
	struct hak_target target;
	struct top_view *view;
	int option, r = CTL_OK;

	while (r == CTL_OK && (option = ctl_option(ctl, argc, argv)) >= 0)
		r = one_option(ctl, option, &cmd);
	if (r != CTL_OK || option == -2)
		return ctl->failure;
	if (argc - optind > 1)
		return ctl_usage(ctl, "expects one TARGET at most");
	if (optind < argc)
		cmd.target = argv[optind];
	if (hak_target_parse(cmd.target, &target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	if (ctl->json != HAK_JSON_OFF && !cmd.count)
		cmd.count = 1;
	view = calloc(1, sizeof(*view));
	if (!view)
		return CTL_FAILED;
	top_model_init(&view->model);
	view->model.kind = cmd.kind;
	view->model.sort = cmd.sort;
	view->delay_ns = cmd.delay_ns;
	r = cmd.count || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)
		    ? batch(ctl, &cmd, &view->model)
		    : on_screen(ctl, &cmd, view);
	top_model_free(&view->model);
	top_lines_free(&view->detail);
	free(view);
	return r;
}
