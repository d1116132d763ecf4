/* SPDX-License-Identifier: MIT */
/*
 * Lines of text, see text.h.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>

#include "hakmemctl/top/text.h"

static const struct {
	const char *word, *head;
	size_t columns;
} sorts[TOP_SORTS] = {
	[TOP_IN_USE] = { "in-use", "IN-USE", 6 },
	[TOP_FREE] = { "free", "FREE", 6 },
	[TOP_RSS] = { "rss", "RSS", 6 },
	[TOP_PSS] = { "pss", "PSS", 6 },
	[TOP_ALLOCS] = { "allocs", "ALLOC/S", 7 },
	[TOP_FAULTS] = { "faults", "FAULT/S", 7 },
	[TOP_REFILLS] = { "refills", "REFILL/S", 8 },
	[TOP_BY_PID] = { "pid", "PID", 7 },
	[TOP_BY_NAME] = { "name", "NAME", 12 },
};

const char *top_sort_word(int sort)
{
	return sort >= 0 && sort < TOP_SORTS ? sorts[sort].word : "?";
}

int top_sort_of(const char *word)
{
	for (int i = 0; i < TOP_SORTS; i++)
		if (strcasecmp(sorts[i].word, word) == 0)
			return i;
	return -1;
}

/* -- cells ------------------------------------------------------------------------------------- */
struct cut {
	char *out;
	size_t used, room; /* bytes; one more is there for the NUL */
	size_t columns;	   /* used */
};

static bool put(struct cut *c, const char *bytes, size_t n, size_t columns)
{
	if (n > c->room - c->used)
		return false;
	memcpy(c->out + c->used, bytes, n);
	c->used += n;
	c->columns += columns;
	return true;
}

/* Returns the bytes of the next character, and its columns. One that cannot be shown has none. */
static size_t next(const char *text, mbstate_t *state, size_t *columns)
{
	wchar_t wide;
	size_t n = mbrtowc(&wide, text, MB_CUR_MAX, state);
	int width;

	*columns = 0;
	if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
		*state = (mbstate_t){ 0 };
		return 1;
	}
	width = wcwidth(wide);
	if (width > 0)
		*columns = (size_t)width;
	return n;
}

size_t top_cut(const char *text, size_t columns, char *out, size_t bytes)
{
	struct cut c = { out, 0, bytes - 1, 0 };
	mbstate_t state = { 0 };

	while (*text && c.columns < columns) {
		size_t width, n = next(text, &state, &width);
		size_t taken = width ? width : 1;
		bool ends = !text[n];

		/* The last column of a text that is too long. */
		if (c.columns + taken > columns - !ends) {
			put(&c, "+", 1, 1);
			break;
		}
		if (!(width ? put(&c, text, n, width) : put(&c, "?", 1, 1)))
			break;
		text += n;
	}
	while (c.columns < columns && put(&c, " ", 1, 1))
		;
	out[c.used] = '\0';
	return c.used;
}

static void count_text(double value, char out[HAK_VALUE_TEXT])
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;

	while (value >= 999.5 && units[unit + 1]) {
		value /= 1000;
		unit++;
	}
	snprintf(out, HAK_VALUE_TEXT, value < 9.95 && value > 0 ? "%.1f%.1s" : "%.0f%.1s",
		 value < 10000 ? value : 9999, unit ? units + unit : "");
}

/* Larger ones are "no limit", which a cell has no room for. */
#define MOST_BYTES ((1ull << 60) - 1)

void top_value_text(enum top_figure figure, double value, char out[HAK_VALUE_TEXT])
{
	if (isnan(value))
		strcpy(out, "-");
	else if (figure < TOP_ALLOCS)
		hak_bytes_format(value < (double)MOST_BYTES ? (uint64_t)value : MOST_BYTES, out);
	else
		count_text(value, out);
}

/* -- trends ------------------------------------------------------------------------------------ */
static bool is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* One of eight heights. */
static const char *bar(double part, bool utf8)
{
	static const char *const blocks[] = { "\u2581", "\u2582", "\u2583", "\u2584",
					      "\u2585", "\u2586", "\u2587", "\u2588" };
	static const char *const ascii[] = { "_", ".", ":", "-", "=", "+", "*", "#" };
	int height = (int)(part * 7.999);

	height = height < 0 ? 0 : height > 7 ? 7 : height;
	return utf8 ? blocks[height] : ascii[height];
}

void top_trend(const struct top_row *row, enum top_figure figure, size_t columns, char *out,
	       size_t bytes)
{
	size_t n = row->looks < TOP_HISTORY ? row->looks : TOP_HISTORY;
	struct cut c = { out, 0, bytes - 1, 0 };
	double least = INFINITY, most = -INFINITY;
	bool utf8 = is_utf8();

	n = n < columns ? n : columns;
	for (size_t i = row->looks - n; i < row->looks; i++) {
		least = fmin(least, row->history[figure][i % TOP_HISTORY]);
		most = fmax(most, row->history[figure][i % TOP_HISTORY]);
	}
	while (c.columns + n < columns && put(&c, " ", 1, 1))
		;
	for (size_t i = row->looks - n; i < row->looks; i++) {
		double value = row->history[figure][i % TOP_HISTORY];
		const char *text = isnan(value)	  ? " "
				   : most > least ? bar((value - least) / (most - least), utf8)
						  : bar(0, utf8);

		if (!put(&c, text, strlen(text), 1))
			break;
	}
	out[c.used] = '\0';
}

enum top_figure top_trend_figure(const struct top_model *m)
{
	return m->sort < TOP_FIGURES ? (enum top_figure)m->sort : TOP_RSS;
}

/* -- lines ------------------------------------------------------------------------------------- */
#define TREND_LEAST 6

/* The figures with the blanks before them. */
static size_t figures_columns(void)
{
	size_t sum = 0;

	for (int i = 0; i < TOP_FIGURES; i++)
		sum += 1 + sorts[i].columns;
	return sum;
}

/* Names and trends share what the figures leave: of 80 columns, 12 and 6. */
static void widths(size_t columns, size_t *name, size_t *trend)
{
	size_t others = sorts[TOP_BY_PID].columns + 1 + figures_columns() + 1;
	size_t least = sorts[TOP_BY_NAME].columns + TREND_LEAST;
	size_t more = columns > others + least ? columns - others - least : 0;

	*trend = TREND_LEAST +
		 (more / 2 < TOP_HISTORY - TREND_LEAST ? more / 2 : TOP_HISTORY - TREND_LEAST);
	*name = sorts[TOP_BY_NAME].columns + more - (*trend - TREND_LEAST);
}

static size_t append(char line[TOP_LINE_BYTES], size_t used, const char *format, size_t columns,
		     const char *text)
{
	int n = snprintf(line + used, TOP_LINE_BYTES - used, format, (int)columns, text);

	used += n > 0 ? (size_t)n : 0;
	return used < TOP_LINE_BYTES ? used : TOP_LINE_BYTES - 1;
}

static size_t clamp(size_t columns)
{
	return columns < TOP_LINE_COLUMNS ? columns : TOP_LINE_COLUMNS;
}

/* The column that sorts is in brackets where there is room, as in "[RSS]". */
static void head_text(const struct top_model *m, int column, char out[HAK_VALUE_TEXT])
{
	const char *head = sorts[column].head;

	if (column == TOP_BY_PID && m->kind != TOP_PROCESSES)
		head = "PROCS";
	if (column == TOP_BY_NAME)
		head = m->kind == TOP_UNITS	? "UNIT"
		       : m->kind == TOP_CGROUPS ? "CGROUP"
						: "COMMAND";
	if (column == m->sort && strlen(head) < sorts[column].columns)
		snprintf(out, HAK_VALUE_TEXT, "%s%c", head, m->reverse ? '^' : 'v');
	else
		snprintf(out, HAK_VALUE_TEXT, "%s", head);
}

void top_heading(const struct top_model *m, size_t columns, char out[TOP_LINE_BYTES])
{
	char line[TOP_LINE_BYTES], text[HAK_VALUE_TEXT];
	size_t used = 0, name, trend;

	columns = clamp(columns);
	widths(columns, &name, &trend);
	head_text(m, TOP_BY_PID, text);
	used = append(line, used, "%*s ", sorts[TOP_BY_PID].columns, text);
	head_text(m, TOP_BY_NAME, text);
	used = append(line, used, "%-*s", name, text);
	for (int i = 0; i < TOP_FIGURES; i++) {
		head_text(m, i, text);
		used = append(line, used, " %*s", sorts[i].columns, text);
	}
	append(line, used, " %-*s", trend, "TREND");
	top_cut(line, columns, out, TOP_LINE_BYTES);
}

void top_line(const struct top_model *m, const struct top_row *row, size_t columns,
	      char out[TOP_LINE_BYTES])
{
	char line[TOP_LINE_BYTES], cell[TOP_LINE_BYTES], text[HAK_VALUE_TEXT];
	char bars[4 * TOP_HISTORY + 1];
	size_t used = 0, name, trend;

	columns = clamp(columns);
	widths(columns, &name, &trend);
	snprintf(text, sizeof(text), "%" PRIu64,
		 m->kind == TOP_PROCESSES ? row->pid : (uint64_t)row->processes);
	used = append(line, used, "%*s ", sorts[TOP_BY_PID].columns, text);
	top_cut(row->name, name, cell, sizeof(cell));
	used = append(line, used, "%.*s", sizeof(cell), cell);
	for (int i = 0; i < TOP_FIGURES; i++) {
		top_value_text((enum top_figure)i, row->value[i], text);
		used = append(line, used, " %*s", sorts[i].columns, text);
	}
	top_trend(row, top_trend_figure(m), trend, bars, sizeof(bars));
	append(line, used, " %.*s", sizeof(bars), bars);
	top_cut(line, columns, out, TOP_LINE_BYTES);
}

void top_summary(const struct top_model *m, size_t columns, char out[TOP_LINE_BYTES])
{
	char line[TOP_LINE_BYTES], text[TOP_FIGURES][HAK_VALUE_TEXT];
	double total[TOP_FIGURES];

	top_model_total(m, total);
	for (int i = 0; i < TOP_FIGURES; i++)
		top_value_text((enum top_figure)i, total[i], text[i]);
	snprintf(line, sizeof(line),
		 "%zu %s: %s in use, %s free, RSS %s, PSS %s, %s allocs/s, %s faults/s",
		 m->processes.n, m->processes.n == 1 ? "process" : "processes", text[TOP_IN_USE],
		 text[TOP_FREE], text[TOP_RSS], text[TOP_PSS], text[TOP_ALLOCS], text[TOP_FAULTS]);
	top_cut(line, clamp(columns), out, TOP_LINE_BYTES);
}
