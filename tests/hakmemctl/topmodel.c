/* SPDX-License-Identifier: MIT */
/*
 * The parts of hakmemctl top that know no terminal, on reports of the test's own: rates and what
 * ends them, sums, order, filter and selection, lines of text, and what each key does. Names that
 * could act on a terminal do not get through a line.
 */
#include <inttypes.h>
#include <locale.h>
#include <string.h>

#include "control/escape.h"
#include "hakmemctl/top/text.h"
#include "hakmemctl/top/top.h"
#include "tests/check.h"

struct given {
	uint64_t pid, start, time_ns, allocs, faults, refills, in_use, rss;
	const char *comm, *unit, *cgroup;
};

static void add_text(struct json_object *o, const char *key, const char *text)
{
	if (text)
		json_object_object_add(o, key, json_object_new_string(text));
}

static void add(struct top_model *m, struct given g)
{
	struct json_object *o;
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"pid\":%" PRIu64 ",\"start_ticks\":%" PRIu64 ",\"time_ns\":%" PRIu64
		 ",\"minor_faults\":%" PRIu64 ",\"major_faults\":0,\"tiers\":[{\"allocs\":%" PRIu64
		 "},{\"allocs\":1}],\"counters\":{\"class.requested_samples\":%" PRIu64
		 "},\"memory\":{\"in_use\":%" PRIu64 ",\"rss\":%" PRIu64
		 ",\"thread_cached_resident\":1,\"slab_free_resident\":2,\"dirty_resident\":3,"
		 "\"lazy_resident\":4},\"resident\":{\"pss\":null}}",
		 g.pid, g.start, g.time_ns, g.faults, g.allocs, g.refills, g.in_use, g.rss);
	o = json_tokener_parse(text);
	CHECK(o, ": %s", text);
	add_text(o, "comm", g.comm ? g.comm : "name");
	add_text(o, "unit", g.unit);
	add_text(o, "cgroup", g.cgroup);
	top_model_add(m, o);
	json_object_put(o);
}

#define SECOND 1000000000u

static const struct top_row *row_of(const struct top_model *m, uint64_t pid)
{
	for (size_t i = 0; i < m->shown.n; i++)
		if (m->shown.row[i]->pid == pid)
			return m->shown.row[i];
	return NULL;
}

static void rates(void)
{
	const struct top_row *row;
	struct top_model m;

	top_model_init(&m);
	top_model_begin(&m);
	add(&m, (struct given){ .pid = 1, .start = 5, .time_ns = SECOND, .allocs = 100, .rss = 9 });
	top_model_end(&m);
	row = row_of(&m, 1);
	CHECK(row && isnan(row->value[TOP_ALLOCS]) && isnan(row->value[TOP_PSS]));
	EXPECT(row->value[TOP_FREE] == 10 && row->value[TOP_RSS] == 9);

	top_model_begin(&m);
	add(&m, (struct given){ 1, 5, 3 * SECOND, 300, 40, 6, 7, 8 });
	top_model_end(&m);
	EXPECT(row->value[TOP_ALLOCS] == 100 && row->value[TOP_FAULTS] == 20 &&
	       row->value[TOP_REFILLS] == 3);
	EXPECT(row->looks == 2);

	/* A count that falls, and a time that stands still. */
	top_model_begin(&m);
	add(&m, (struct given){ 1, 5, 4 * SECOND, 10, 41, 6 });
	top_model_end(&m);
	EXPECT(isnan(row->value[TOP_ALLOCS]) && row->value[TOP_FAULTS] == 1);
	top_model_begin(&m);
	add(&m, (struct given){ 1, 5, 4 * SECOND, 20, 42, 6 });
	top_model_end(&m);
	EXPECT(isnan(row->value[TOP_FAULTS]));

	/* Another process with the PID, and then none. */
	top_model_begin(&m);
	add(&m, (struct given){ 1, 6, 9 * SECOND, 1000, 1000, 1000 });
	top_model_end(&m);
	EXPECT(m.shown.n == 1 && row_of(&m, 1)->looks == 1);
	EXPECT(isnan(row_of(&m, 1)->value[TOP_ALLOCS]));
	top_model_begin(&m);
	top_model_end(&m);
	EXPECT(m.shown.n == 0 && !top_model_selected(&m));
	top_model_free(&m);
}

/* Three processes of two units, and one of none; two looks, one second apart. */
static void fill(struct top_model *m)
{
	top_model_init(m);
	for (uint64_t i = 1; i <= 2; i++) {
		top_model_begin(m);
		add(m, (struct given){ 1, 1, i * SECOND, 10 * i, 0, 0, 5, 100, "redis", "a.service",
				       "/s/a.service" });
		add(m, (struct given){ 2, 1, i * SECOND, 30 * i, 0, 0, 9, 50, "Worker", "b.service",
				       "/s/b.service" });
		add(m, (struct given){ 3, 1, i * SECOND, 20 * i, 0, 0, 1, 70, "redis", "a.service",
				       "/s/a.service/x" });
		add(m, (struct given){ 40, 1, i * SECOND, 0, 0, 0, 2, 60, "shell" });
		top_model_end(m);
	}
}

static void sums(void)
{
	double total[TOP_FIGURES];
	struct top_model m;
	char target[64];

	fill(&m);
	m.kind = TOP_UNITS;
	top_model_arrange(&m);
	CHECK(m.shown.n == 3);
	EXPECT(strcmp(m.shown.row[0]->name, "a.service") == 0);
	EXPECT(m.shown.row[0]->processes == 2 && m.shown.row[0]->value[TOP_RSS] == 170);
	EXPECT(m.shown.row[0]->value[TOP_ALLOCS] == 30 && m.shown.row[0]->looks == 2);
	EXPECT(isnan(m.shown.row[0]->value[TOP_PSS]));
	EXPECT(strcmp(m.shown.row[1]->name, "-") == 0);
	EXPECT(top_row_target(&m, m.shown.row[0], target, sizeof(target)));
	EXPECT(strcmp(target, "a.service") == 0);
	EXPECT(!top_row_target(&m, m.shown.row[1], target, sizeof(target)));
	EXPECT(!top_row_target(&m, m.shown.row[0], target, 5), ": it does not fit");

	m.kind = TOP_CGROUPS;
	top_model_arrange(&m);
	CHECK(m.shown.n == 4);
	EXPECT(top_row_target(&m, m.shown.row[0], target, sizeof(target)));
	EXPECT(strcmp(target, "cgroup:/s/a.service") == 0, ": %s", target);
	top_model_total(&m, total);
	EXPECT(total[TOP_RSS] == 280 && total[TOP_IN_USE] == 17 && total[TOP_ALLOCS] == 60);
	top_model_free(&m);
}

/* Says the PIDs that are shown, in order. */
static const char *order(struct top_model *m)
{
	static char text[128];
	size_t used = 0;

	top_model_arrange(m);
	text[0] = '\0';
	for (size_t i = 0; i < m->shown.n; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%" PRIu64 " ",
					 m->shown.row[i]->pid);
	return text;
}

static void order_and_filter(void)
{
	static const struct {
		int sort;
		bool reverse;
		const char *filter, *want;
	} cases[] = {
		{ TOP_RSS, false, "", "1 3 40 2 " },
		{ TOP_RSS, true, "", "2 40 3 1 " },
		{ TOP_ALLOCS, false, "", "2 3 1 40 " },
		{ TOP_PSS, false, "", "1 2 3 40 " },
		{ TOP_BY_PID, true, "", "40 3 2 1 " },
		{ TOP_BY_NAME, false, "", "2 1 3 40 " },
		{ TOP_RSS, false, "REDIS", "1 3 " },
		{ TOP_RSS, false, "b.serv", "2 " },
		{ TOP_RSS, false, "4", "" },
		{ TOP_RSS, false, "40", "40 " },
		{ TOP_RSS, false, "/s/a", "1 3 " },
		{ TOP_RSS, false, "/x", "3 " },
	};
	struct top_model m;

	fill(&m);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m.sort = cases[i].sort;
		m.reverse = cases[i].reverse;
		snprintf(m.filter, sizeof(m.filter), "%s", cases[i].filter);
		EXPECT(strcmp(order(&m), cases[i].want) == 0, ": case %zu: %s", i, order(&m));
	}
	top_model_free(&m);
}

static void selection(void)
{
	struct top_model m;

	fill(&m);
	top_model_move(&m, 1);
	EXPECT(top_model_selected(&m)->pid == 3);
	m.sort = TOP_ALLOCS;
	top_model_arrange(&m);
	EXPECT(top_model_selected(&m)->pid == 3 && m.selected == 1);
	top_model_move(&m, 100);
	EXPECT(m.selected == 3);
	top_model_move(&m, -100);
	EXPECT(m.selected == 0);
	top_model_move(&m, 3);
	/* The selected process ends. */
	top_model_begin(&m);
	add(&m, (struct given){ .pid = 1, .start = 1, .time_ns = 9 });
	top_model_end(&m);
	EXPECT(m.shown.n == 1 && top_model_selected(&m)->pid == 1);
	top_model_free(&m);
}

static void bounds(void)
{
	struct top_model m;

	top_model_init(&m);
	for (int look = 0; look < 2; look++) {
		top_model_begin(&m);
		for (uint64_t i = 1; i <= TOP_ROWS_MAX + 10; i++)
			add(&m, (struct given){ .pid = i, .start = 1, .rss = UINT64_MAX });
		add(&m, (struct given){ .pid = 7, .start = 1 });
		top_model_end(&m);
		EXPECT(m.shown.n == TOP_ROWS_MAX && m.left_out == 10);
	}
	top_model_free(&m);
}

/* -- text -------------------------------------------------------------------------------------- */
static void cells(void)
{
	static const struct {
		const char *text;
		size_t columns;
		const char *want;
	} cuts[] = {
		{ "abc", 5, "abc  " },
		{ "abcdef", 6, "abcdef" },
		{ "abcdefg", 6, "abcde+" },
		{ "a\x1b[2Jb", 8, "a?[2Jb  " },
		{ "a\nb\x7f", 4, "a?b?" },
		{ "\xff\xfe", 2, "??" },
		{ "äöü", 3, "äöü" },
		{ "äöüß", 3, "äö+" },
		{ "日本", 4, "日本" },
		{ "日本", 3, "日+" },
		{ "a\u202eb", 3, "a?b" },
		{ "", 0, "" },
		{ "x", 0, "" },
	};
	static const struct {
		enum top_figure figure;
		double value;
		const char *want;
	} values[] = {
		{ TOP_RSS, NAN, "-" },		{ TOP_RSS, 0, "0B" },
		{ TOP_RSS, 48 << 20, "48.0M" }, { TOP_ALLOCS, 0, "0" },
		{ TOP_ALLOCS, 0.5, "0.5" },	{ TOP_ALLOCS, 999, "999" },
		{ TOP_ALLOCS, 1234, "1.2k" },	{ TOP_FAULTS, 56789, "57k" },
		{ TOP_ALLOCS, 999999, "1.0M" },
	};
	char out[64];

	CHECK(setlocale(LC_ALL, "C.UTF-8"));
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		top_cut(cuts[i].text, cuts[i].columns, out, sizeof(out));
		EXPECT(strcmp(out, cuts[i].want) == 0, ": cut %zu: \"%s\"", i, out);
	}
	EXPECT(top_cut("äöü", 3, out, 4) <= 3, ": too few bytes");
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		top_value_text(values[i].figure, values[i].value, out);
		EXPECT(strcmp(out, values[i].want) == 0, ": value %zu: %s", i, out);
	}
	top_value_text(TOP_RSS, 1e300, out);
	EXPECT(strlen(out) <= 6, ": %s", out);
	top_value_text(TOP_ALLOCS, 1e300, out);
	EXPECT(strlen(out) <= 7, ": %s", out);
}

static void trends(void)
{
	struct top_row row = { 0 };
	char out[128];

	CHECK(setlocale(LC_ALL, "C.UTF-8"));
	for (int i = 0; i < 4; i++)
		row.history[TOP_RSS][i] = 10 * i;
	row.looks = 4;
	top_trend(&row, TOP_RSS, 6, out, sizeof(out));
	EXPECT(strcmp(out, "  ▁▃▆█") == 0, ": %s", out);
	top_trend(&row, TOP_RSS, 2, out, sizeof(out));
	EXPECT(strcmp(out, "▁█") == 0, ": %s", out);
	row.history[TOP_RSS][2] = NAN;
	top_trend(&row, TOP_RSS, 4, out, sizeof(out));
	EXPECT(strcmp(out, "▁▃ █") == 0, ": %s", out);
	top_trend(&row, TOP_PSS, 4, out, sizeof(out));
	EXPECT(strcmp(out, "▁▁▁▁") == 0, ": %s", out);
	/* More looks than are kept. */
	for (size_t i = 4; i < 3 * TOP_HISTORY; i++)
		row.history[TOP_RSS][i % TOP_HISTORY] = (double)i;
	row.looks = 3 * TOP_HISTORY;
	top_trend(&row, TOP_RSS, 2, out, sizeof(out));
	EXPECT(strcmp(out, "▁█") == 0, ": %s", out);
	CHECK(setlocale(LC_ALL, "C"));
	top_trend(&row, TOP_RSS, 2, out, sizeof(out));
	EXPECT(strcmp(out, "_#") == 0, ": %s", out);
}

static void lines_have_their_width(void)
{
	char out[TOP_LINE_BYTES];
	struct top_model m;

	CHECK(setlocale(LC_ALL, "C.UTF-8"));
	fill(&m);
	top_model_begin(&m);
	add(&m, (struct given){ .pid = UINT64_MAX,
				.start = 1,
				.in_use = UINT64_MAX,
				.rss = UINT64_MAX,
				.comm = "\x1b]0;title\x07\n a name of more than twelve" });
	top_model_end(&m);
	for (size_t columns = 20; columns <= 2000; columns = columns * 3 / 2) {
		size_t want = columns < TOP_LINE_COLUMNS ? columns : TOP_LINE_COLUMNS;

		for (int kind = 0; kind <= TOP_CGROUPS; kind++) {
			m.kind = (enum top_kind)kind;
			top_model_arrange(&m);
			CHECK(m.shown.n == 1);
			top_line(&m, m.shown.row[0], columns, out);
			EXPECT(mbstowcs(NULL, out, 0) == want, ": %zu: %s", columns, out);
			EXPECT(hak_is_printable(out), ": %s", out);
			top_heading(&m, columns, out);
			EXPECT(mbstowcs(NULL, out, 0) == want, ": %zu: %s", columns, out);
			top_summary(&m, columns, out);
			EXPECT(mbstowcs(NULL, out, 0) == want, ": %zu: %s", columns, out);
		}
	}
	for (int i = 0; i < TOP_SORTS; i++)
		EXPECT(top_sort_of(top_sort_word(i)) == i, ": %d", i);
	EXPECT(top_sort_of("bogus") == -1);
	for (size_t i = 0; top_help[i]; i++)
		EXPECT(strlen(top_help[i]) <= 79, ": %s", top_help[i]);
	top_model_free(&m);
}

/* -- keys -------------------------------------------------------------------------------------- */
static void press_all(struct top_view *v, const char *keys)
{
	for (; *keys; keys++)
		EXPECT(top_press(v, *keys) == TOP_NOTHING, ": %c", *keys);
}

static void keys_of_the_table(void)
{
	struct top_view v = { .page = 2 };

	fill(&v.model);
	EXPECT(top_press(&v, TOP_KEY_NONE) == TOP_NOTHING);
	EXPECT(top_press(&v, ' ') == TOP_LOOK && top_press(&v, 'q') == TOP_QUIT);
	EXPECT(top_press(&v, TOP_KEY_END) == TOP_QUIT);
	top_press(&v, TOP_KEY_DOWN);
	EXPECT(top_press(&v, TOP_KEY_ENTER) == TOP_OPEN && v.pid == 3 && v.start_ticks == 1);
	press_all(&v, ">>");
	EXPECT(v.model.sort == TOP_ALLOCS, ": %d", v.model.sort);
	press_all(&v, "<<<<<<<<<<");
	EXPECT(v.model.sort == TOP_BY_PID);
	press_all(&v, "r");
	EXPECT(v.model.reverse);
	press_all(&v, "u");
	EXPECT(v.model.kind == TOP_UNITS);
	top_press(&v, TOP_KEY_FIRST);
	while (strcmp(top_model_selected(&v.model)->name, "a.service") != 0)
		top_press(&v, 'j');
	EXPECT(top_press(&v, TOP_KEY_ENTER) == TOP_NOTHING);
	EXPECT(v.model.kind == TOP_PROCESSES && v.model.shown.n == 2);
	press_all(&v, "h");
	EXPECT(v.mode == TOP_HELP);
	press_all(&v, "q");
	EXPECT(v.mode == TOP_TABLE);
	/* The filter begins with the old one. */
	press_all(&v, "f");
	EXPECT(strcmp(v.input, "a.service") == 0);
	for (int i = 0; i < 20; i++)
		top_press(&v, TOP_KEY_RUBOUT);
	press_all(&v, "nothing like it");
	top_press(&v, TOP_KEY_ENTER);
	EXPECT(v.model.shown.n == 0);
	EXPECT(top_press(&v, TOP_KEY_ENTER) == TOP_NOTHING);
	press_all(&v, "s");
	EXPECT(v.prompt == TOP_NO_PROMPT && *v.message, ": nothing is selected");
	top_model_free(&v.model);
}

static void keys_of_prompts(void)
{
	struct top_view v = { .page = 2 };
	char text[HAK_WHY_TEXT];

	fill(&v.model);
	press_all(&v, "swhale.ring_s\t");
	EXPECT(strcmp(v.input, "whale.ring_slots=") == 0, ": %s", v.input);
	EXPECT(strcmp(v.target, "1") == 0 && v.target_start == 1);
	press_all(&v, "4\n");
	EXPECT(v.prompt == TOP_ASK_TIME && strcmp(v.wish, "whale.ring_slots=4") == 0);
	press_all(&v, "10m");
	EXPECT(top_press(&v, TOP_KEY_ENTER) == TOP_SET && strcmp(v.input, "10m") == 0);
	EXPECT(v.prompt == TOP_NO_PROMPT);
	/* Escape and an empty answer change nothing. */
	press_all(&v, "s\n");
	EXPECT(v.prompt == TOP_NO_PROMPT);
	press_all(&v, "sq=1\x1b");
	EXPECT(v.prompt == TOP_NO_PROMPT && v.mode == TOP_TABLE);
	press_all(&v, "Pn");
	EXPECT(v.prompt == TOP_NO_PROMPT);
	press_all(&v, "P");
	top_prompt_text(&v, text);
	EXPECT(strstr(text, "redis (1)"), ": %s", text);
	EXPECT(top_press(&v, 'y') == TOP_PURGE && strcmp(v.target, "1") == 0);
	/* No input is longer than its room, and none has other characters. */
	press_all(&v, "s");
	for (int i = 0; i < 1000; i++)
		top_press(&v, 'a');
	EXPECT(strlen(v.input) == sizeof(v.input) - 1);
	press_all(&v, "\t\x01\x1b");
	EXPECT(v.prompt == TOP_NO_PROMPT);
	press_all(&v, "us");
	EXPECT(strcmp(v.target, "a.service") == 0 && v.target_start == 0);
	top_model_free(&v.model);
}

static void keys_of_a_process(void)
{
	struct top_view v = { .page = 3, .mode = TOP_DETAIL, .pid = 40, .start_ticks = 8 };

	fill(&v.model);
	for (int i = 0; i < 10; i++)
		top_lines_add(&v.detail, "line %d", i);
	press_all(&v, "jj");
	EXPECT(v.scroll == 2);
	top_press(&v, TOP_KEY_LAST);
	EXPECT(v.scroll == 7, ": %zu", v.scroll);
	top_press(&v, TOP_KEY_PAGE_UP);
	EXPECT(v.scroll == 5);
	top_press(&v, TOP_KEY_FIRST);
	EXPECT(v.scroll == 0);
	press_all(&v, "s");
	EXPECT(strcmp(v.target, "40") == 0 && v.target_start == 8);
	press_all(&v, "\x1b");
	EXPECT(v.mode == TOP_DETAIL);
	press_all(&v, "?k");
	EXPECT(v.mode == TOP_HELP);
	press_all(&v, "x");
	EXPECT(v.mode == TOP_DETAIL);
	press_all(&v, "q");
	EXPECT(v.mode == TOP_TABLE);
	top_lines_free(&v.detail);
	top_model_free(&v.model);
}

static void missed_looks(void)
{
	struct top_model m;

	fill(&m);
	for (unsigned i = 0; i <= TOP_MISSED_MAX; i++) {
		top_model_begin(&m);
		add(&m, (struct given){ 2, 1, (9 + i) * SECOND });
		top_model_miss(&m, 1);
		top_model_miss(&m, 99);
		top_model_end(&m);
		EXPECT(m.shown.n == (i < TOP_MISSED_MAX ? 2 : 1), ": look %u", i);
		EXPECT(i == TOP_MISSED_MAX || row_of(&m, 1)->value[TOP_RSS] == 100);
		EXPECT(i == TOP_MISSED_MAX || isnan(row_of(&m, 1)->value[TOP_ALLOCS]));
	}
	top_model_free(&m);
}

static const struct tcase cases[] = {
	{ "rates", rates },
	{ "sums", sums },
	{ "order_and_filter", order_and_filter },
	{ "selection", selection },
	{ "bounds", bounds },
	{ "missed_looks", missed_looks },
	{ "cells", cells },
	{ "trends", trends },
	{ "lines_have_their_width", lines_have_their_width },
	{ "keys_of_the_table", keys_of_the_table },
	{ "keys_of_prompts", keys_of_prompts },
	{ "keys_of_a_process", keys_of_a_process },
};

CASES(cases)
