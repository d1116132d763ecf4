/* SPDX-License-Identifier: MIT */
/*
 * What each key of `hakmemctl top` does. A key changes the view, or is an action for top.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/abi/schema.h"
#include "hakmemctl/top/text.h"
#include "hakmemctl/top/top.h"

const char *const top_help[] = {
	"Keys of the table",
	"  Up, Down, k, j      select a row; PgUp, PgDn, Home, End",
	"  Enter               open the process; of a unit or cgroup, its processes",
	"  p  u  c             show processes, units or cgroups",
	"  Left, Right, <, >   sort by the column to the left or right",
	"  r                   reverse the order",
	"  f                   filter by part of a name or unit, by PID, or /CGROUP",
	"  s                   set a tunable in the processes of the row",
	"  P                   ask these processes to give free memory back",
	"  Space               look now",
	"  h or ?              this text",
	"  q                   quit",
	"Keys of an open process",
	"  Up, Down, k, j      scroll; PgUp, PgDn, Home, End",
	"  s, P                as in the table",
	"  q or Esc            back to the table",
	"Columns",
	"  IN-USE              bytes of blocks in use",
	"  FREE                free memory of malloc that can be resident, at most",
	"  RSS, PSS            resident memory; PSS divides shared pages",
	"  ALLOC/S FAULT/S     allocations and page faults a second",
	"  REFILL/S            refills of thread caches a second",
	"  TREND               the last values of the column that sorts, or of RSS",
	NULL,
};

static size_t lines_of(const struct top_view *view)
{
	size_t n = 0;

	if (view->mode == TOP_DETAIL)
		return view->detail.n;
	while (top_help[n])
		n++;
	return n;
}

/* -- moving ------------------------------------------------------------------------------------ */
static void move(struct top_view *view, long by)
{
	long last, at;

	if (view->mode == TOP_TABLE) {
		top_model_move(&view->model, by);
		return;
	}
	last = (long)lines_of(view) - (long)view->page;
	at = (long)view->scroll + by;
	if (at > last)
		at = last;
	view->scroll = (size_t)(at < 0 ? 0 : at);
}

static bool move_key(struct top_view *view, int key)
{
	const long page = view->page > 1 ? (long)view->page - 1 : 1, all = INT32_MAX;
	const struct {
		int key;
		long by;
	} moves[] = {
		{ TOP_KEY_UP, -1 },	    { 'k', -1 },
		{ TOP_KEY_DOWN, 1 },	    { 'j', 1 },
		{ TOP_KEY_PAGE_UP, -page }, { TOP_KEY_PAGE_DOWN, page },
		{ TOP_KEY_FIRST, -all },    { TOP_KEY_LAST, all },
	};

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		if (moves[i].key != key)
			continue;
		move(view, moves[i].by);
		return true;
	}
	return false;
}

/* -- prompts ----------------------------------------------------------------------------------- */
static void open_prompt(struct top_view *view, enum top_prompt prompt, const char *input)
{
	view->prompt = prompt;
	snprintf(view->input, sizeof(view->input), "%s", input);
	view->message[0] = '\0';
}

void top_prompt_text(const struct top_view *view, char out[HAK_WHY_TEXT])
{
	switch (view->prompt) {
	case TOP_ASK_FILTER:
		snprintf(out, HAK_WHY_TEXT, "Filter: ");
		break;
	case TOP_ASK_VALUE:
		snprintf(out, HAK_WHY_TEXT,
			 "Set in %.100s (NAME=VALUE, Tab completes): ", view->target_name);
		break;
	case TOP_ASK_TIME:
		snprintf(out, HAK_WHY_TEXT, "For how long (such as 10m; empty: for good): ");
		break;
	case TOP_ASK_PURGE:
		snprintf(out, HAK_WHY_TEXT, "Ask %.100s to give free memory back? (y/n) ",
			 view->target_name);
		break;
	case TOP_NO_PROMPT:
		out[0] = '\0';
	}
}

/* Notes which processes are meant, and opens the prompt. */
static void ask_about_target(struct top_view *view, enum top_prompt prompt)
{
	const struct top_row *row = top_model_selected(&view->model);

	view->target_start = 0;
	if (view->mode == TOP_DETAIL) {
		snprintf(view->target, sizeof(view->target), "%" PRIu64, view->pid);
		snprintf(view->target_name, sizeof(view->target_name), "process %.20s",
			 view->target);
		view->target_start = view->start_ticks;
	} else if (!row || !top_row_target(&view->model, row, view->target, sizeof(view->target))) {
		snprintf(view->message, sizeof(view->message),
			 "no process, unit or cgroup is "
			 "selected");
		return;
	} else if (view->model.kind == TOP_PROCESSES) {
		snprintf(view->target_name, sizeof(view->target_name), "%.60s (%.20s)", row->name,
			 view->target);
		view->target_start = row->start_ticks;
	} else {
		snprintf(view->target_name, sizeof(view->target_name), "%s", view->target);
	}
	open_prompt(view, prompt, "");
}

/* Completes the name of a tunable as far as all that begin like the input agree. */
static void complete(struct top_view *view)
{
	char common[HAK_NAME_BYTES] = "";
	size_t typed = strlen(view->input), found = 0;

	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const char *name = hak_tunable_rows[i].name;
		size_t same = 0;

		if (strncmp(name, view->input, typed) != 0)
			continue;
		if (found++ == 0)
			snprintf(common, sizeof(common), "%s", name);
		while (common[same] && common[same] == name[same])
			same++;
		common[same] = '\0';
	}
	if (found)
		snprintf(view->input, sizeof(view->input), "%s%s", common, found == 1 ? "=" : "");
}

static enum top_action answered(struct top_view *view)
{
	const enum top_prompt prompt = view->prompt;

	view->prompt = TOP_NO_PROMPT;
	switch (prompt) {
	case TOP_ASK_FILTER:
		snprintf(view->model.filter, sizeof(view->model.filter), "%.*s",
			 TOP_FILTER_BYTES - 1, view->input);
		top_model_arrange(&view->model);
		return TOP_NOTHING;
	case TOP_ASK_VALUE:
		if (!*view->input)
			return TOP_NOTHING;
		memcpy(view->wish, view->input, sizeof(view->wish));
		open_prompt(view, TOP_ASK_TIME, "");
		return TOP_NOTHING;
	case TOP_ASK_TIME:
		return TOP_SET;
	case TOP_ASK_PURGE:
	case TOP_NO_PROMPT:
		break;
	}
	return TOP_NOTHING;
}

static enum top_action prompt_key(struct top_view *view, int key)
{
	size_t n = strlen(view->input);

	if (key == TOP_KEY_ESCAPE || (view->prompt == TOP_ASK_PURGE && key != 'y')) {
		view->prompt = TOP_NO_PROMPT;
	} else if (view->prompt == TOP_ASK_PURGE) {
		view->prompt = TOP_NO_PROMPT;
		return TOP_PURGE;
	} else if (key == TOP_KEY_ENTER) {
		return answered(view);
	} else if (key == TOP_KEY_RUBOUT) {
		view->input[n ? n - 1 : 0] = '\0';
	} else if (key == '\t' && view->prompt == TOP_ASK_VALUE) {
		complete(view);
	} else if (key >= ' ' && key < 0x7f && n + 1 < sizeof(view->input)) {
		view->input[n] = (char)key;
		view->input[n + 1] = '\0';
	}
	return TOP_NOTHING;
}

/* -- the table --------------------------------------------------------------------------------- */
static void show_kind(struct top_view *view, enum top_kind kind)
{
	view->model.kind = kind;
	view->model.selected = 0;
	top_model_arrange(&view->model);
}

/* The columns in the order in which they stand. */
static void sort_beside(struct top_view *view, int by)
{
	static const int order[] = { TOP_BY_PID, TOP_BY_NAME, TOP_IN_USE, TOP_FREE,   TOP_RSS,
				     TOP_PSS,	 TOP_ALLOCS,  TOP_FAULTS, TOP_REFILLS };
	const int n = sizeof(order) / sizeof(order[0]);

	for (int i = 0; i < n; i++) {
		if (order[i] != view->model.sort)
			continue;
		view->model.sort = order[i + by < 0 ? 0 : i + by >= n ? n - 1 : i + by];
		break;
	}
	top_model_arrange(&view->model);
	snprintf(view->message, sizeof(view->message), "sorted by %s",
		 top_sort_word(view->model.sort));
}

static enum top_action open_row(struct top_view *view)
{
	const struct top_row *row = top_model_selected(&view->model);

	if (!row)
		return TOP_NOTHING;
	if (view->model.kind == TOP_PROCESSES) {
		view->pid = row->pid;
		view->start_ticks = row->start_ticks;
		view->scroll = 0;
		return TOP_OPEN;
	}
	if (strcmp(row->name, "-") == 0) {
		snprintf(view->message, sizeof(view->message), "these processes have none");
		return TOP_NOTHING;
	}
	snprintf(view->model.filter, sizeof(view->model.filter), "%.*s", TOP_FILTER_BYTES - 1,
		 row->name);
	show_kind(view, TOP_PROCESSES);
	return TOP_NOTHING;
}

static void open_help(struct top_view *view)
{
	view->back = view->mode;
	view->mode = TOP_HELP;
	view->scroll = 0;
}

static enum top_action table_key(struct top_view *view, int key)
{
	switch (key) {
	case 'q':
		return TOP_QUIT;
	case ' ':
		return TOP_LOOK;
	case TOP_KEY_ENTER:
		return open_row(view);
	case 'p':
		show_kind(view, TOP_PROCESSES);
		break;
	case 'u':
		show_kind(view, TOP_UNITS);
		break;
	case 'c':
		show_kind(view, TOP_CGROUPS);
		break;
	case '<':
	case TOP_KEY_LEFT:
		sort_beside(view, -1);
		break;
	case '>':
	case TOP_KEY_RIGHT:
		sort_beside(view, 1);
		break;
	case 'r':
		view->model.reverse = !view->model.reverse;
		top_model_arrange(&view->model);
		break;
	case 'f':
		open_prompt(view, TOP_ASK_FILTER, view->model.filter);
		break;
	}
	return TOP_NOTHING;
}

enum top_action top_press(struct top_view *view, int key)
{
	if (key == TOP_KEY_NONE || key == TOP_KEY_RESIZED)
		return TOP_NOTHING;
	if (key == TOP_KEY_END)
		return TOP_QUIT;
	if (view->prompt != TOP_NO_PROMPT)
		return prompt_key(view, key);
	view->message[0] = '\0';
	if (move_key(view, key))
		return TOP_NOTHING;
	if (view->mode == TOP_HELP) {
		view->mode = view->back;
		view->scroll = 0;
	} else if (key == 'h' || key == '?') {
		open_help(view);
	} else if (key == 's') {
		ask_about_target(view, TOP_ASK_VALUE);
	} else if (key == 'P') {
		ask_about_target(view, TOP_ASK_PURGE);
	} else if (view->mode == TOP_TABLE) {
		return table_key(view, key);
	} else if (key == 'q' || key == TOP_KEY_ESCAPE) {
		view->mode = TOP_TABLE;
	}
	return TOP_NOTHING;
}
