/* SPDX-License-Identifier: MIT */
/*
 * Figures for Prometheus, see metrics.h. A family is one name with its help, and one or more
 * figures, told apart by one more label ("tier", "state"); families() lists them in order.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "control/metrics.h"

#define FAMILY_BYTES 80

struct hak_series {
	char unit[HAK_LABEL_BYTES], command[HAK_LABEL_BYTES], policy[HAK_LABEL_BYTES];
	struct hak_figures sum;
	struct hak_series *next;	/* in the order they were made */
};

struct hak_metrics {
	struct hak_series *first, **last;
	size_t n;
};

/* One name, with the figures [first, first + n) behind it. */
struct family {
	char name[FAMILY_BYTES];	/* with its unit, without _total */
	const char *help, *unit, *label;	/* unit "": none; label NULL: one figure alone */
	const char *const *words;	/* of the label, or NULL: tiers */
	unsigned first, n;
	bool counter, nanoseconds;
};

static const char *const state_words[] = { "in_use", "thread_cached", "slab_free", "dirty",
					  "lazy",   "clean",	     "reserved" };

static const struct {
	const char *name, *help, *unit;
	unsigned first, n;
} derived[] = {
	{ "hakmem_memory_bytes", "Address space mapped for blocks, by state; the sum of all states "
	  "is hakmem_mem_mapped_bytes.", "bytes", HAK_FIGURE_IN_USE, 7 },
	{ "hakmem_requested_bytes", "Bytes asked for of those in use: for blocks below 1 MiB "
	  "estimated from samples.", "bytes", HAK_FIGURE_REQUESTED, 1 },
	{ "hakmem_resident_bytes", "RSS of the processes, whatever it belongs to.", "bytes",
	  HAK_FIGURE_RSS, 1 },
	{ "hakmem_processes", "Processes that run on hakmem.", "", HAK_FIGURE_PROCESSES, 1 },
};
#define DERIVED (sizeof(derived) / sizeof(derived[0]))
_Static_assert(sizeof(state_words) / sizeof(state_words[0]) ==
		       HAK_FIGURE_RESERVED - HAK_FIGURE_IN_USE + 1, "a word for each state");

/* -- names ------------------------------------------------------------------------------------- */
static bool by_tier(const struct hak_counter_row *row)
{
	return row->scope == HAK_SCOPE_HOT || row->scope == HAK_SCOPE_CLASS;
}

static unsigned figures_of(const struct hak_counter_row *row)
{
	return by_tier(row) ? HAK_TIER_WHALE : 1;
}

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);

	return a >= b && strcmp(text + a - b, end) == 0;
}

/*
 * "sys.mmap.ns" is hakmem_sys_mmap_seconds: Prometheus counts in seconds and bytes, and a unit ends
 * the name. A last word "count" goes, as it is reserved; "_total" comes with the sample.
 */
static void name_family(struct family *f, const struct hak_counter_row *row)
{
	snprintf(f->name, sizeof(f->name), "hakmem_%s", row->name);
	for (char *p = f->name; *p; p++)
		if (*p == '.')
			*p = '_';
	if (ends_with(f->name, "_ns"))
		f->name[strlen(f->name) - 3] = '\0';
	else if (ends_with(f->name, "_count"))
		f->name[strlen(f->name) - 6] = '\0';
	f->unit = row->unit == HAK_UNIT_BYTES ? "bytes" : row->unit == HAK_UNIT_NS ? "seconds" :
		  row->unit == HAK_UNIT_CYCLES ? "cycles" : "";
	if (*f->unit && !ends_with(f->name, f->unit)) {
		size_t used = strlen(f->name);

		snprintf(f->name + used, sizeof(f->name) - used, "_%s", f->unit);
	}
}

/* The `i`th family; false behind the last. *first counts figures from call to call. */
static bool family(size_t i, unsigned *first, struct family *ret)
{
	*ret = (struct family){ .first = *first };
	if (i < hak_counter_rows_n) {
		const struct hak_counter_row *row = &hak_counter_rows[i];

		name_family(ret, row);
		ret->help = row->doc;
		ret->label = by_tier(row) ? "tier" : NULL;
		ret->n = figures_of(row);
		ret->counter = row->kind == HAK_KIND_COUNTER;
		ret->nanoseconds = row->unit == HAK_UNIT_NS;
	} else if (i < hak_counter_rows_n + DERIVED) {
		size_t d = i - hak_counter_rows_n;

		snprintf(ret->name, sizeof(ret->name), "%s", derived[d].name);
		ret->help = derived[d].help;
		ret->unit = derived[d].unit;
		ret->n = derived[d].n;
		ret->label = ret->n > 1 ? "state" : NULL;
		ret->words = ret->n > 1 ? state_words : NULL;
	} else {
		return false;
	}
	*first += ret->n;
	return true;
}

static const char *label_word(const struct family *f, unsigned i)
{
	return f->words ? f->words[i] : hak_tier_word((enum hak_tier)i);
}

/* Which figures are counters, worked out once. */
static const bool *counters(void)
{
	static bool is_counter[HAK_FIGURES], known;
	struct family f;
	unsigned first = 0;

	for (size_t i = 0; !known && family(i, &first, &f); i++)
		for (unsigned j = 0; j < f.n; j++)
			is_counter[f.first + j] = f.counter;
	known = true;
	return is_counter;
}

/* -- figures ----------------------------------------------------------------------------------- */
static void take_counter(const struct hak_segment *seg, const struct hak_snapshot *snap,
			 const struct hak_counter_row *row, uint64_t *out)
{
	if (!by_tier(row)) {
		*out = hak_total(seg, snap, row->id);
		return;
	}
	memset(out, 0, HAK_TIER_WHALE * sizeof(*out));
	for (uint32_t c = 0; c < snap->classes; c++) {
		enum hak_tier tier = hak_tier_of(seg->class_size[c]);

		if (tier < HAK_TIER_WHALE)
			out[tier] += hak_of_class(seg, snap, row->id, c);
	}
}

void hak_figures_take(const struct hak_segment *seg, const struct hak_snapshot *snap,
		      bool exact_rss, struct hak_figures *ret)
{
	struct hak_memory m = hak_memory_of(seg, snap);
	unsigned at = 0;

	for (size_t i = 0; i < hak_counter_rows_n; i++) {
		take_counter(seg, snap, &hak_counter_rows[i], &ret->value[at]);
		at += figures_of(&hak_counter_rows[i]);
	}
	ret->value[HAK_FIGURE_IN_USE] = m.in_use;
	ret->value[HAK_FIGURE_THREAD_CACHED] = m.thread_cached;
	ret->value[HAK_FIGURE_SLAB_FREE] = m.slab_free;
	ret->value[HAK_FIGURE_DIRTY] = m.dirty;
	ret->value[HAK_FIGURE_LAZY] = m.lazy;
	ret->value[HAK_FIGURE_CLEAN] = m.clean;
	ret->value[HAK_FIGURE_RESERVED] = m.reserved;
	ret->value[HAK_FIGURE_REQUESTED] = m.requested;
	ret->value[HAK_FIGURE_RSS] = hak_segment_rss(seg, exact_rss);
	ret->value[HAK_FIGURE_PROCESSES] = 1;
}

void hak_figures_since(const struct hak_figures *a, const struct hak_figures *b,
		       struct hak_figures *ret)
{
	const bool *counter = counters();

	for (unsigned i = 0; i < HAK_FIGURES; i++) {
		uint64_t less = counter[i] ? b->value[i] : 0;

		ret->value[i] = a->value[i] > less ? a->value[i] - less : 0;
	}
}

/* -- series ------------------------------------------------------------------------------------ */
int hak_metrics_new(struct hak_metrics **ret)
{
	struct hak_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->last = &m->first;
	*ret = m;
	return 0;
}

void hak_metrics_free(struct hak_metrics *m)
{
	struct hak_series *next;

	if (!m)
		return;
	for (struct hak_series *s = m->first; s; s = next) {
		next = s->next;
		free(s);
	}
	free(m);
}

/* Made fit to print, and cut. */
static void copy_label(char out[HAK_LABEL_BYTES], const char *text)
{
	hak_escape(text ? text : "", out, HAK_LABEL_BYTES);
}

static struct hak_series *find(struct hak_metrics *m, const struct hak_series *labels)
{
	for (struct hak_series *s = m->first; s; s = s->next)
		if (strcmp(s->unit, labels->unit) == 0 &&
		    strcmp(s->command, labels->command) == 0 &&
		    strcmp(s->policy, labels->policy) == 0)
			return s;
	return NULL;
}

struct hak_series *hak_metrics_series(struct hak_metrics *m, const struct hak_labels *labels)
{
	static const struct hak_labels other = { .command = "other" };
	struct hak_series *new = calloc(1, sizeof(*new)), *s;

	if (!new)
		return NULL;
	copy_label(new->unit, labels->unit);
	copy_label(new->command, labels->command);
	copy_label(new->policy, labels->policy);
	s = find(m, new);
	if (s) {
		free(new);
		return s;
	}
	if (m->n >= HAK_SERIES_MAX && labels != &other) {
		free(new);
		return hak_metrics_series(m, &other);
	}
	*m->last = new;
	m->last = &new->next;
	m->n++;
	return new;
}

void hak_series_move(struct hak_series *s, const struct hak_figures *old, struct hak_figures *new)
{
	const bool *counter = counters();

	for (unsigned i = 0; i < HAK_FIGURES; i++) {
		if (old && counter[i] && new->value[i] < old->value[i])
			new->value[i] = old->value[i];
		s->sum.value[i] += new->value[i] - (old ? old->value[i] : 0);
	}
}

void hak_series_retire(struct hak_series *s, const struct hak_figures *last)
{
	const bool *counter = counters();

	for (unsigned i = 0; i < HAK_FIGURES; i++)
		if (!counter[i])
			s->sum.value[i] -= last->value[i];
}

/* -- text -------------------------------------------------------------------------------------- */
static void put_label(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			putc('\\', to);
		putc(*value, to);
	}
	putc('"', to);
}

static void put_sample(FILE *to, const struct family *f, unsigned i, const struct hak_series *s)
{
	uint64_t value = s->sum.value[f->first + i];

	fprintf(to, "%s%s{", f->name, f->counter ? "_total" : "");
	put_label(to, "unit", s->unit);
	putc(',', to);
	put_label(to, "command", s->command);
	putc(',', to);
	put_label(to, "policy", s->policy);
	if (f->label) {
		putc(',', to);
		put_label(to, f->label, label_word(f, i));
	}
	if (f->nanoseconds)
		fprintf(to, "} %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000, value % 1000000000);
	else
		fprintf(to, "} %" PRIu64 "\n", value);
}

int hak_metrics_write(const struct hak_metrics *m, enum hak_metrics_format format, FILE *to)
{
	bool open = format == HAK_METRICS_OPENMETRICS;
	unsigned first = 0;
	struct family f;

	for (size_t i = 0; family(i, &first, &f); i++) {
		/* The older format has the sample's name where OpenMetrics has the family's. */
		const char *end = f.counter && !open ? "_total" : "";

		fprintf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n", f.name, end, f.help, f.name, end,
			f.counter ? "counter" : "gauge");
		if (open && *f.unit)
			fprintf(to, "# UNIT %s %s\n", f.name, f.unit);
		for (const struct hak_series *s = m->first; s; s = s->next)
			for (unsigned j = 0; j < f.n; j++)
				put_sample(to, &f, j, s);
	}
	if (open)
		fputs("# EOF\n", to);
	return ferror(to) ? -EIO : 0;
}

/* -- across restarts --------------------------------------------------------------------------- */
/* Labels hold no tab and no newline: they were escaped. */
int hak_metrics_save(const struct hak_metrics *m, FILE *to)
{
	for (const struct hak_series *s = m->first; s; s = s->next) {
		unsigned first = 0;
		struct family f;

		fprintf(to, "series\t%s\t%s\t%s\n", s->unit, s->command, s->policy);
		for (size_t i = 0; family(i, &first, &f); i++)
			for (unsigned j = 0; f.counter && j < f.n; j++)
				fprintf(to, "%s\t%u\t%" PRIu64 "\n", f.name, j,
					s->sum.value[f.first + j]);
	}
	return ferror(to) ? -EIO : 0;
}

static void load_figure(struct hak_series *s, const char *name, unsigned index, uint64_t value)
{
	unsigned first = 0;
	struct family f;

	for (size_t i = 0; family(i, &first, &f); i++)
		if (f.counter && index < f.n && strcmp(f.name, name) == 0)
			s->sum.value[f.first + index] += value;
}

/* A line "series": labels as they were written, so not escaped again. */
static struct hak_series *load_series(struct hak_metrics *m, char *line)
{
	struct hak_series labels = { 0 }, *s;
	char *fields[3] = { NULL };

	for (size_t i = 0; i < 3; i++)
		fields[i] = strsep(&line, "\t");
	if (!fields[2])
		return NULL;
	snprintf(labels.unit, HAK_LABEL_BYTES, "%s", fields[0]);
	snprintf(labels.command, HAK_LABEL_BYTES, "%s", fields[1]);
	snprintf(labels.policy, HAK_LABEL_BYTES, "%s", fields[2]);
	s = find(m, &labels);
	if (s || m->n >= HAK_SERIES_MAX)
		return s;
	s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	*s = labels;
	*m->last = s;
	m->last = &s->next;
	m->n++;
	return s;
}

int hak_metrics_load(struct hak_metrics *m, FILE *from)
{
	struct hak_series *s = NULL;
	char line[4 * HAK_LABEL_BYTES];

	while (fgets(line, sizeof(line), from)) {
		char name[FAMILY_BYTES];
		uint64_t value;
		unsigned index;

		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "series\t", 7) == 0)
			s = load_series(m, line + 7);
		else if (s && sscanf(line, "%79[^\t]\t%u\t%" SCNu64, name, &index, &value) == 3)
			load_figure(s, name, index, value);
	}
	return ferror(from) ? -EIO : 0;
}
