/* SPDX-License-Identifier: MIT */
/*
 * The table of `hakmemctl top`, see model.h.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/grow.h"
#include "hakmemctl/top/model.h"

static void *or_end(void *p)
{
	if (!p)
		errx(1, "out of memory");
	return p;
}

/* -- rows -------------------------------------------------------------------------------------- */
static void row_free(struct top_row *row)
{
	free(row->name);
	free(row->unit);
	free(row->cgroup);
	free(row);
}

static void add_row(struct top_rows *rows, struct top_row *row)
{
	rows->row = or_end(hak_grow(rows->row, rows->n, &rows->room, sizeof(struct top_row *)));
	rows->row[rows->n++] = row;
}

static void rows_free(struct top_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		row_free(rows->row[i]);
	free(rows->row);
	*rows = (struct top_rows){ 0 };
}

static struct top_row *new_row(struct top_rows *rows, const char *name)
{
	struct top_row *row = or_end(calloc(1, sizeof(*row)));

	row->name = or_end(strdup(name));
	add_row(rows, row);
	return row;
}

static void forget_unseen(struct top_rows *rows)
{
	size_t kept = 0;

	for (size_t i = 0; i < rows->n; i++) {
		if (rows->row[i]->seen)
			rows->row[kept++] = rows->row[i];
		else
			row_free(rows->row[i]);
	}
	rows->n = kept;
}

static void set_unseen(struct top_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		rows->row[i]->seen = false;
}

/* Appends the row's values to its history. */
static void remember(struct top_row *row)
{
	for (int i = 0; i < TOP_FIGURES; i++)
		row->history[i][row->looks % TOP_HISTORY] = row->value[i];
	row->looks++;
}

/* -- one process ------------------------------------------------------------------------------- */
static void set_text(char **to, const char *text)
{
	if (!text || !*text)
		text = "-";
	if (*to && strcmp(*to, text) == 0)
		return;
	free(*to);
	*to = or_end(strdup(text));
}

static double figure(struct json_object *o, const char *key)
{
	struct json_object *value = hak_json_member(o, key);

	return value ? (double)json_object_get_uint64(value) : NAN;
}

static double free_resident(struct json_object *memory)
{
	return figure(memory, "thread_cached_resident") + figure(memory, "slab_free_resident") +
	       figure(memory, "dirty_resident") + figure(memory, "lazy_resident");
}

static uint64_t allocs_of(struct json_object *report)
{
	struct json_object *tiers = hak_json_member(report, "tiers");
	uint64_t sum = 0;

	for (size_t i = 0; tiers && i < json_object_array_length(tiers); i++)
		sum += hak_json_get(json_object_array_get_idx(tiers, i), "allocs");
	return sum;
}

/* The counters whose rates are shown, in the order of the figures. */
static void read_counts(struct json_object *report, uint64_t count[TOP_COUNTS],
			bool known[TOP_COUNTS])
{
	/* Each refill samples the size of one request. */
	static const char refills[] = "class.requested_samples";
	struct json_object *counters = hak_json_member(report, "counters");

	count[0] = allocs_of(report);
	known[0] = true;
	count[1] = hak_json_get(report, "minor_faults") + hak_json_get(report, "major_faults");
	known[1] = hak_json_member(report, "minor_faults") &&
		   hak_json_member(report, "major_faults");
	count[2] = hak_json_get(counters, refills);
	known[2] = counters && hak_json_member(counters, refills);
}

/* A count that falls is that of another process. */
static void set_rates(struct top_row *row, struct json_object *report)
{
	uint64_t now_ns = hak_json_get(report, "time_ns"), count[TOP_COUNTS];
	double seconds = (double)(now_ns - row->time_ns) / 1e9;
	bool known[TOP_COUNTS];

	read_counts(report, count, known);
	for (int i = 0; i < TOP_COUNTS; i++) {
		row->value[TOP_ALLOCS + i] = NAN;
		if (row->time_ns && now_ns > row->time_ns && row->counted[i] && known[i] &&
		    count[i] >= row->count[i])
			row->value[TOP_ALLOCS + i] = (double)(count[i] - row->count[i]) / seconds;
		row->count[i] = count[i];
		row->counted[i] = known[i];
	}
	row->time_ns = now_ns;
}

static struct top_row *process_row(struct top_model *m, struct json_object *report)
{
	uint64_t pid = hak_json_get(report, "pid"), start = hak_json_get(report, "start_ticks");
	struct top_row *row;

	for (size_t i = 0; i < m->processes.n; i++) {
		row = m->processes.row[i];
		if (row->pid == pid && row->start_ticks == start)
			return row;
	}
	if (m->processes.n >= TOP_ROWS_MAX)
		return NULL;
	row = new_row(&m->processes, "-");
	row->pid = pid;
	row->start_ticks = start;
	row->processes = 1;
	return row;
}

void top_model_add(struct top_model *m, struct json_object *report)
{
	struct json_object *memory = hak_json_member(report, "memory");
	struct json_object *resident = hak_json_member(report, "resident");
	struct top_row *row = process_row(m, report);

	if (!row || row->seen) {
		m->left_out_now += !row;
		return;
	}
	row->seen = true;
	row->missed = 0;
	set_text(&row->name, hak_json_get_text(report, "comm"));
	set_text(&row->unit, hak_json_get_text(report, "unit"));
	set_text(&row->cgroup, hak_json_get_text(report, "cgroup"));
	row->value[TOP_IN_USE] = figure(memory, "in_use");
	row->value[TOP_FREE] = free_resident(memory);
	row->value[TOP_RSS] = figure(memory, "rss");
	row->value[TOP_PSS] = resident ? figure(resident, "pss") : NAN;
	set_rates(row, report);
	remember(row);
}

void top_model_miss(struct top_model *m, uint64_t pid)
{
	for (size_t i = 0; i < m->processes.n; i++) {
		struct top_row *row = m->processes.row[i];

		if (row->pid != pid || row->seen || row->missed >= TOP_MISSED_MAX)
			continue;
		row->seen = true;
		row->missed++;
		for (int k = TOP_ALLOCS; k < TOP_FIGURES; k++)
			row->value[k] = NAN;
		remember(row);
	}
}

/* -- sums -------------------------------------------------------------------------------------- */
/* A figure that no process knows is not known; else it is the sum of those that are. */
static void add_values(double sum[TOP_FIGURES], const double value[TOP_FIGURES])
{
	for (int i = 0; i < TOP_FIGURES; i++)
		if (!isnan(value[i]))
			sum[i] = isnan(sum[i]) ? value[i] : sum[i] + value[i];
}

static void no_values(double value[TOP_FIGURES])
{
	for (int i = 0; i < TOP_FIGURES; i++)
		value[i] = NAN;
}

static struct top_row *sum_row(struct top_rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->row[i]->name, name) == 0)
			return rows->row[i];
	return new_row(rows, name);
}

static void sum_up(struct top_model *m, enum top_kind kind)
{
	struct top_rows *sums = &m->sums[kind - TOP_UNITS];

	set_unseen(sums);
	for (size_t i = 0; i < m->processes.n; i++) {
		const struct top_row *p = m->processes.row[i];
		struct top_row *sum = sum_row(sums, kind == TOP_UNITS ? p->unit : p->cgroup);

		if (!sum->seen) {
			no_values(sum->value);
			sum->processes = 0;
		}
		sum->seen = true;
		sum->processes++;
		add_values(sum->value, p->value);
	}
	forget_unseen(sums);
	for (size_t i = 0; i < sums->n; i++)
		remember(sums->row[i]);
}

void top_model_total(const struct top_model *m, double value[TOP_FIGURES])
{
	no_values(value);
	for (size_t i = 0; i < m->processes.n; i++)
		add_values(value, m->processes.row[i]->value);
}

/* -- order ------------------------------------------------------------------------------------- */
/* What is not known comes last. */
static int by_value(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return a < b ? 1 : a > b ? -1 : 0;
}

static int by_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct top_row *x = *(struct top_row *const *)a, *y = *(struct top_row *const *)b;
	const struct top_model *m = arg;
	int order;

	if (m->sort == TOP_BY_PID)
		order = m->kind == TOP_PROCESSES ? by_number(x->pid, y->pid)
						 : by_number(y->processes, x->processes);
	else if (m->sort == TOP_BY_NAME)
		order = strcmp(x->name, y->name);
	else
		order = by_value(x->value[m->sort], y->value[m->sort]);
	if (m->reverse)
		order = -order;
	if (order == 0)
		order = by_number(x->pid, y->pid);
	return order ? order : strcmp(x->name, y->name);
}

static bool matches(const struct top_row *row, const char *filter)
{
	char pid[24];

	snprintf(pid, sizeof(pid), "%" PRIu64, row->pid);
	if (*filter == '/')
		return strcasestr(row->cgroup ? row->cgroup : row->name, filter);
	return strcasestr(row->name, filter) || (row->unit && strcasestr(row->unit, filter)) ||
	       (row->unit && strcmp(pid, filter) == 0);
}

static struct top_rows *rows_of(struct top_model *m)
{
	return m->kind == TOP_PROCESSES ? &m->processes : &m->sums[m->kind - TOP_UNITS];
}

static void arrange(struct top_model *m, const struct top_row *selected)
{
	struct top_rows *rows = rows_of(m);

	m->shown.n = 0;
	for (size_t i = 0; i < rows->n; i++)
		if (!*m->filter || matches(rows->row[i], m->filter))
			add_row(&m->shown, rows->row[i]);
	if (m->shown.n)
		qsort_r(m->shown.row, m->shown.n, sizeof(*m->shown.row), compare, m);
	for (size_t i = 0; selected && i < m->shown.n; i++)
		if (m->shown.row[i] == selected)
			m->selected = i;
	if (m->selected >= m->shown.n)
		m->selected = m->shown.n ? m->shown.n - 1 : 0;
}

void top_model_arrange(struct top_model *m)
{
	arrange(m, top_model_selected(m));
}

/* -- looks ------------------------------------------------------------------------------------- */
void top_model_init(struct top_model *m)
{
	*m = (struct top_model){ .sort = TOP_RSS };
}

void top_model_free(struct top_model *m)
{
	rows_free(&m->processes);
	rows_free(&m->sums[0]);
	rows_free(&m->sums[1]);
	free(m->shown.row);
	*m = (struct top_model){ 0 };
}

void top_model_begin(struct top_model *m)
{
	set_unseen(&m->processes);
	m->left_out_now = 0;
}

void top_model_end(struct top_model *m)
{
	/* Not followed, since the row may be gone by then. */
	const struct top_row *selected = top_model_selected(m);

	forget_unseen(&m->processes);
	sum_up(m, TOP_UNITS);
	sum_up(m, TOP_CGROUPS);
	m->left_out = m->left_out_now;
	arrange(m, selected);
}

void top_model_move(struct top_model *m, long by)
{
	long last = m->shown.n ? (long)m->shown.n - 1 : 0, at = (long)m->selected + by;

	m->selected = (size_t)(at < 0 ? 0 : at > last ? last : at);
}

const struct top_row *top_model_selected(const struct top_model *m)
{
	return m->selected < m->shown.n ? m->shown.row[m->selected] : NULL;
}

bool top_row_target(const struct top_model *m, const struct top_row *row, char *out, size_t bytes)
{
	int n;

	if (m->kind == TOP_PROCESSES)
		n = snprintf(out, bytes, "%" PRIu64, row->pid);
	else if (strcmp(row->name, "-") == 0)
		return false;
	else
		n = snprintf(out, bytes, "%s%s", m->kind == TOP_CGROUPS ? "cgroup:" : "",
			     row->name);
	return n > 0 && (size_t)n < bytes;
}
