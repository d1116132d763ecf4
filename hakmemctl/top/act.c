/* SPDX-License-Identifier: MIT */
/*
 * What `hakmemctl top` changes in processes: a tunable, with or without a deadline, and a purge.
 * The requests are those of `set` and `purge`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/changes.h"
#include "control/pageout.h"
#include "control/request.h"
#include "hakmemctl/top/top.h"

#define SET_TIMEOUT_NS	 1000000000u
#define PURGE_TIMEOUT_NS 2000000000u

static void say_one(struct top_view *view, struct json_object *row)
{
	const char *result = hak_json_get_text(row, "result");
	const char *reason = hak_json_get_text(row, "reason");

	snprintf(view->message, sizeof(view->message), "%.100s: %.30s%s%.150s", view->target_name,
		 result ? result : "?", reason && *reason ? ": " : "", reason ? reason : "");
}

static void say_changed(struct top_view *view, struct json_object *row)
{
	const char *before = hak_json_get_text(row, "before"), *until;
	const char *after = hak_json_get_text(row, "after");
	const char *reason = hak_json_get_text(row, "reason");

	until = hak_json_get_text(row, "until");
	snprintf(view->message, sizeof(view->message), "%.60s %.40s -> %.40s%s%.30s: %.20s%s%.80s",
		 hak_json_get_text(row, "name"), before ? before : "?", after ? after : "?",
		 until ? " until " : "", until ? until : "", hak_json_get_text(row, "result"),
		 reason && *reason ? ", " : "", reason ? reason : "");
}

static void say_purged(struct top_view *view, struct json_object *row)
{
	char bytes[HAK_VALUE_TEXT], before[HAK_VALUE_TEXT], after[HAK_VALUE_TEXT];

	hak_bytes_format(hak_json_get(row, "bytes"), bytes);
	hak_bytes_format(hak_json_get(row, "rss_before"), before);
	hak_bytes_format(hak_json_get(row, "rss_after"), after);
	snprintf(view->message, sizeof(view->message),
		 "%.100s: %.20s, %.20s given back, RSS %.20s -> %.20s", view->target_name,
		 hak_json_get_text(row, "result"), bytes, before, after);
}

/* The result of several processes: how many have the best result, and the first reason of the
 * others. */
static void say_many(struct top_view *view, struct json_object *rows, const char *good)
{
	size_t n = json_object_array_length(rows), fine = 0;
	struct json_object *other = NULL;

	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (strcmp(hak_json_get_text(row, "result"), good) == 0)
			fine++;
		else if (!other)
			other = row;
	}
	if (other)
		say_one(view, other);
	snprintf(view->message + strlen(view->message),
		 sizeof(view->message) - strlen(view->message), "%s%s in %zu of %zu processes",
		 other ? "; " : "", good, fine, n);
}

/* Makes the request. A message of targets.c stays in the view if there is no answer at all. */
static void ask(struct ctl *ctl, struct top_view *view, struct ctl_ask *ask, const char *good,
		void (*say)(struct top_view *view, struct json_object *row))
{
	struct json_object *rows = json_object_new_array();
	size_t n;

	view->message[0] = '\0';
	ctl_begin_round(ctl);
	ask->rows = rows;
	ask->start_ticks = view->target_start;
	ctl_ask_each(ctl, view->target, ask);
	ctl_add_until(rows);
	n = json_object_array_length(rows);
	if (n == 1 &&
	    strcmp(hak_json_get_text(json_object_array_get_idx(rows, 0), "result"), good) == 0) {
		say(view, json_object_array_get_idx(rows, 0));
	} else if (n == 1) {
		say_one(view, json_object_array_get_idx(rows, 0));
	} else if (n > 1) {
		view->message[0] = '\0';
		say_many(view, rows, good);
	}
	json_object_put(rows);
}

void top_set(struct ctl *ctl, struct top_view *view)
{
	char id[HAK_CHANGE_ID_BYTES], who[CTL_WHO_BYTES], why[HAK_WHY_TEXT];
	size_t bytes = strcspn(view->wish, "=");
	struct hak_wish wish = { .text = view->wish + bytes + 1 };
	struct hak_wishes wishes = { &wish, 1, 0, false };
	struct ctl_ask set = { .wishes = &wishes, .timeout_ns = SET_TIMEOUT_NS };

	if (!view->wish[bytes] || bytes == 0 || bytes >= sizeof(wish.name)) {
		snprintf(view->message, sizeof(view->message), "\"%s\" is not NAME=VALUE",
			 view->wish);
		return;
	}
	memcpy(wish.name, view->wish, bytes);
	if (*view->input && hak_duration_parse(view->input, &wishes.for_ns, why) < 0) {
		snprintf(view->message, sizeof(view->message), "%s", why);
		return;
	}
	hak_change_id(id);
	ctl_who(who);
	set.change = id, set.who = who, set.why = "hakmemctl top";
	ask(ctl, view, &set, "applied", say_changed);
}

void top_purge(struct ctl *ctl, struct top_view *view)
{
	struct hak_purge_how how = { .level = HAK_PURGE_DIRTY, .exact = true };
	char why[HAK_WHY_TEXT];
	struct ctl_ask purge = { .purge = &how, .timeout_ns = PURGE_TIMEOUT_NS };

	how.attach = how.page_out = hak_pageout_possible(why) == 0;
	ask(ctl, view, &purge, "done", say_purged);
}
