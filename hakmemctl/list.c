/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl list: prints one row for each process on hakmem that the caller may read, and the sums.
 * The first row is the process that could give back most memory, or as --sort says.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/policy.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/words.h"

static const struct hak_column columns[] = {
	{ "PID", "pid", HAK_SHOW_NUMBER, .id = true },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "UID", "uid", HAK_SHOW_NUMBER, .hidden = true, .id = true },
	{ "VERSION", "version", HAK_SHOW_TEXT },
	{ "ABI", "abi", HAK_SHOW_TEXT, .hidden = true },
	{ "HEAPS", "heaps", HAK_SHOW_NUMBER },
	{ "RSS", "rss", HAK_SHOW_BYTES },
	{ "IN-USE", "in_use", HAK_SHOW_BYTES },
	{ "FREE", "free_resident", HAK_SHOW_BYTES },
	{ "CACHED", "thread_cached_resident", HAK_SHOW_BYTES },
	{ "SLABS", "slab_free_resident", HAK_SHOW_BYTES },
	{ "DIRTY", "dirty_resident", HAK_SHOW_BYTES },
	{ "LAZY", "lazy_resident", HAK_SHOW_BYTES },
	{ "CACHED-SPACE", "thread_cached", HAK_SHOW_BYTES, .hidden = true },
	{ "DIRTY-SPACE", "dirty", HAK_SHOW_BYTES, .hidden = true },
	{ "LAZY-SPACE", "lazy", HAK_SHOW_BYTES, .hidden = true },
	{ "PSS", "pss", HAK_SHOW_BYTES, .hidden = true },
	{ "PRIVATE", "private", HAK_SHOW_BYTES, .hidden = true },
	{ "HUGE", "huge", HAK_SHOW_BYTES, .hidden = true },
	{ "SWAP", "swap", HAK_SHOW_BYTES, .hidden = true },
	{ "CHANGED", "changed", HAK_SHOW_NUMBER },
	{ "AGENT", "agent", HAK_SHOW_TEXT, .hidden = true },
	{ "LOCKED", "locked", HAK_SHOW_TEXT, .hidden = true },
	{ "DEBUG", "debug", HAK_SHOW_TEXT, .hidden = true },
	{ "LIBRARY", "library", HAK_SHOW_TEXT, .hidden = true },
	{ "NOTE", "note", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

void ctl_list_words(ctl_see_word see, void *arg)
{
	ctl_column_words(CTL_WORD_LIST, columns, COLUMNS, see, arg);
}

/* The rows, and the policies of this machine. */
struct list {
	struct json_object *rows;
	struct hak_policy_set *set; /* NULL: unknown */
	uint64_t least;		    /* CachedMax= of all policies; UINT64_MAX: none has it */
};

static void read_policies(struct list *list)
{
	char *path = hak_policy_path();

	list->least = UINT64_MAX;
	if (!path || hak_policy_load(path, &list->set) < 0)
		list->set = NULL;
	free(path);
	for (size_t i = 0; list->set && i < list->set->n; i++) {
		const struct hak_policy *p = list->set->policy[i];

		if (p->has[HAK_SET_CACHED_MAX] && p->setting[HAK_SET_CACHED_MAX] < list->least)
			list->least = p->setting[HAK_SET_CACHED_MAX];
	}
}

/* UINT64_MAX: no policy limits the process, or its identity cannot be read. */
static uint64_t cached_max(const struct list *list, pid_t pid)
{
	struct hak_effect effect;
	struct hak_identity id;
	char path[32];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return UINT64_MAX;
	r = hak_identity_read(fd, pid, &id);
	close(fd);
	if (r < 0)
		return UINT64_MAX;
	hak_identity_name_user(&id);
	hak_policy_effect(list->set, &id, &effect);
	return effect.cached_max;
}

static void note_limit(const struct list *list, struct json_object *o)
{
	uint64_t cached = hak_json_get(o, "thread_cached") + hak_json_get(o, "dirty") +
			  hak_json_get(o, "lazy");
	const char *note = hak_json_get_text(o, "note");
	char text[HAK_WHY_TEXT];

	if (cached <= list->least || cached <= cached_max(list, (pid_t)hak_json_get(o, "pid")))
		return;
	snprintf(text, sizeof(text), "%s%s%s", note ? note : "", note && *note ? ", " : "",
		 hak_note_word(HAK_NOTE_LIMIT_UNMET));
	hak_json_text(o, "note", text);
}

static int add_process(struct json_object *o, void *arg)
{
	const struct list *list = arg;

	if (list->set)
		note_limit(list, o);
	json_object_array_add(list->rows, o);
	return CTL_OK;
}

static void add_failure(pid_t pid, const char *why, void *arg)
{
	const struct list *list = arg;
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)pid);
	for (size_t i = 1; i < COLUMNS; i++)
		hak_json_null(o, columns[i].key);
	hak_json_null(o, "library_state");
	hak_json_text(o, "problem", why);
	hak_json_text(o, "note", why);
	json_object_array_add(list->rows, o);
}

/* -- the order of the rows --------------------------------------------------------------------- */
struct order {
	const struct hak_column *column;
	bool reverse;
};

/* Numbers from the largest on; text from A on, and PIDs and UIDs from the smallest. */
static int compare_values(struct json_object *a, struct json_object *b, const struct hak_column *c)
{
	uint64_t m, n;

	if (json_object_is_type(a, json_type_string) && json_object_is_type(b, json_type_string))
		return strverscmp(json_object_get_string(a), json_object_get_string(b));
	m = json_object_get_uint64(a);
	n = json_object_get_uint64(b);
	return c->id ? (m > n) - (m < n) : (m < n) - (m > n);
}

/* Processes that could not be read follow all others, and so do rows without a value. */
static int compare(const void *first, const void *second, void *arg)
{
	const struct order *order = arg;
	struct json_object *a = *(struct json_object *const *)first;
	struct json_object *b = *(struct json_object *const *)second;
	struct json_object *x = hak_json_member(a, order->column->key);
	struct json_object *y = hak_json_member(b, order->column->key);
	uint64_t m = hak_json_get(a, "pid"), n = hak_json_get(b, "pid");
	int unread = !!hak_json_member(a, "problem") - !!hak_json_member(b, "problem");
	int r = 0;

	if (unread || !x != !y)
		return unread ? unread : !x - !y;
	if (x && y)
		r = compare_values(x, y, order->column);
	if (r)
		return order->reverse ? -r : r;
	return (m > n) - (m < n);
}

static int sort(struct json_object *rows, const struct order *order)
{
	size_t n = json_object_array_length(rows);
	struct json_object **row = calloc(n + 1, sizeof(*row));

	if (!row)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		row[i] = json_object_get(json_object_array_get_idx(rows, i));
	qsort_r(row, n, sizeof(*row), compare, (void *)order);
	/* Each slot drops the row that it held, of which `row` has a reference. */
	for (size_t i = 0; i < n; i++)
		json_object_array_put_idx(rows, i, row[i]);
	free(row);
	return 0;
}

static int parse_order(struct ctl *ctl, const char *name, struct order *ret)
{
	char why[HAK_WHY_TEXT];

	ret->reverse = *name == '-';
	ret->column = hak_emit_column(columns, COLUMNS, name + ret->reverse, why);
	return ret->column ? CTL_OK : ctl_usage(ctl, "--sort: %s", why);
}

/* -- the sum ----------------------------------------------------------------------------------- */
/* A sum that exceeds 64 bits is wrong in any case, because one process claims too much. */
static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t count_unread(struct json_object *rows)
{
	uint64_t unread = 0;

	for (size_t i = 0; i < json_object_array_length(rows); i++)
		unread += !!hak_json_member(json_object_array_get_idx(rows, i), "problem");
	return unread;
}

static void add_sum(struct json_object *total, struct json_object *rows, const char *key)
{
	uint64_t sum = 0;
	bool known = false;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		known |= hak_json_member(row, key) != NULL;
		sum = add(sum, hak_json_get(row, key));
	}
	if (known)
		hak_json_number(total, key, sum);
	else
		hak_json_null(total, key);
}

/* Returns the sums over the processes that could be read, by the keys of the rows. */
static struct json_object *sums_of(struct json_object *rows)
{
	struct json_object *total = json_object_new_object();

	hak_json_number(total, "processes", json_object_array_length(rows));
	hak_json_number(total, "unread", count_unread(rows));
	for (size_t i = 0; i < COLUMNS; i++)
		if (columns[i].show != HAK_SHOW_TEXT && !columns[i].id)
			add_sum(total, rows, columns[i].key);
	return total;
}

/* Makes the last row of the table from the sums. */
static struct json_object *last_row(struct json_object *total)
{
	struct json_object *row = json_object_new_object();
	uint64_t n = hak_json_get(total, "processes"), unread = hak_json_get(total, "unread");
	char text[64];

	for (size_t i = 0; i < COLUMNS; i++) {
		struct json_object *value = hak_json_member(total, columns[i].key);

		if (value)
			json_object_object_add(row, columns[i].key, json_object_get(value));
		else if (columns[i].show == HAK_SHOW_TEXT || columns[i].id)
			hak_json_text(row, columns[i].key, "");
	}
	hak_json_text(row, "pid", "total");
	snprintf(text, sizeof(text), "%" PRIu64 " %s", n, n == 1 ? "process" : "processes");
	hak_json_text(row, "comm", text);
	snprintf(text, sizeof(text), "%" PRIu64 " not read", unread);
	hak_json_text(row, "note", unread ? text : "");
	return row;
}

/* -- the verb ---------------------------------------------------------------------------------- */
static int answer(struct ctl *ctl, struct json_object *document, struct json_object *rows)
{
	struct json_object *total = sums_of(rows);

	json_object_object_add(document, "total", total);
	if (ctl->json == HAK_JSON_OFF && ctl->legend && json_object_array_length(rows) > 1)
		json_object_array_add(rows, last_row(total));
	return ctl_answer(ctl, document, rows, columns, COLUMNS);
}

int verb_list(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_report report = { HAK_REPORT_LIST, add_process, add_failure };
	struct json_object *document;
	struct list list = { 0 };
	struct order order;
	char why[HAK_WHY_TEXT];
	int r, printed, option;
	bool any;

	parse_order(ctl, "FREE", &order);
	while ((option = ctl_option(ctl, argc, argv)) >= 0)
		if (parse_order(ctl, ctl->argument, &order) != CTL_OK)
			return ctl->failure;
	if (option == -2)
		return ctl->failure;
	if (optind < argc)
		return ctl_usage(ctl, "expects no arguments");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	document = hak_json_document("list");
	list.rows = json_object_new_array();
	json_object_object_add(document, "processes", list.rows);
	/* The policies of another machine or container are unknown here. */
	if (!ctl->host && !ctl->machine)
		read_policies(&list);
	r = ctl_report_each(ctl, "all", &report, &list);
	hak_policy_free(list.set);
	any = json_object_array_length(list.rows);
	if (sort(list.rows, &order) < 0)
		ctl_complain("hakmemctl: out of memory: the rows are in no order\n");
	printed = answer(ctl, document, list.rows);
	/* A process that could not be read has its row, so the list is complete. */
	return printed ? printed : any || r == CTL_OK ? CTL_OK : r;
}
