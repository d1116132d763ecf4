/* SPDX-License-Identifier: MIT */
/*
 * Figures for Prometheus, see metrics.h. A family is one name with its help and one or more
 * figures, which one more label ("tier", "state") tells apart. families() has them in order.
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
	struct hak_series *next; /* in the order in which they were made */
};

struct hak_metrics {
	enum hak_metrics_source source;
	struct hak_series *first, **last;
	size_t n;
};

/* One name, with the figures [first, first + n) behind it. */
struct family {
	char name[FAMILY_BYTES];	 /* with its unit, without _total */
	const char *help, *unit, *label; /* unit "": none; label NULL: one figure only */
	const char *const *words;	 /* values of the label, or NULL: tiers */
	unsigned first, n;
	bool counter, nanoseconds, daemon;
};

static const char *const state_words[] = { "in_use", "thread_cached", "slab_free", "dirty",
					   "lazy",   "clean",	      "reserved" };

static const char *const free_words[] = { "thread_cached", "slab_free", "dirty", "lazy" };

static const struct {
	const char *name, *help, *unit;
	unsigned first, n;
	bool counter, daemon;
	const char *const *words;
} derived[] = {
	{ "hakmem_memory_bytes",
	  "Address space mapped for blocks, by state; the sum of all states "
	  "is hakmem_mem_mapped_bytes.",
	  "bytes", HAK_FIGURE_IN_USE, 7, .words = state_words },
	{ "hakmem_requested_bytes",
	  "Bytes asked for of those in use: for blocks below 1 MiB "
	  "estimated from samples.",
	  "bytes", HAK_FIGURE_REQUESTED, 1 },
	{ "hakmem_resident_bytes", "RSS of the processes, whatever it belongs to.", "bytes",
	  HAK_FIGURE_RSS, 1 },
	{ "hakmem_free_resident_bytes",
	  "The most of the free memory that can be resident, by state. States can share a page.",
	  "bytes", HAK_FIGURE_FREE_RESIDENT, 4, .words = free_words },
	{ "hakmem_proportional_bytes",
	  "PSS of the processes: each resident page divided by the number of its processes.",
	  "bytes", HAK_FIGURE_PSS, 1 },
	{ "hakmem_private_bytes", "Resident pages that no other process maps.", "bytes",
	  HAK_FIGURE_PRIVATE, 1 },
	{ "hakmem_huge_bytes", "Resident anonymous memory in huge pages.", "bytes", HAK_FIGURE_HUGE,
	  1 },
	{ "hakmem_swap_bytes", "Memory of the processes that is in swap.", "bytes", HAK_FIGURE_SWAP,
	  1 },
	{ "hakmem_processes", "Processes that run on hakmem.", "", HAK_FIGURE_PROCESSES, 1 },
	{ "hakmem_pending",
	  "Processes that have not taken up a change of tunables: they sleep, or "
	  "are stopped.",
	  "", HAK_FIGURE_PENDING, 1 },
	{ "hakmem_agents_stalled", "Of the pending ones, those with an agent, which should have.",
	  "", HAK_FIGURE_STALLED, 1 },
	{ "hakmem_agents_failed", "Processes that could not start their agent.", "",
	  HAK_FIGURE_AGENT_FAILED, 1 },
	{ "hakmem_policy_drifted",
	  "Processes in which a value that a policy asks for is not in "
	  "force.",
	  "", HAK_FIGURE_DRIFTED, 1, .daemon = true },
	{ "hakmem_limits_unmet",
	  "Processes that keep more free memory than CachedMax= of their policy allows, although "
	  "hakmemd asked for a purge.",
	  "", HAK_FIGURE_UNMET, 1, .daemon = true },
	{ "hakmem_purges_unanswered",
	  "Processes that do not answer a purge: they sleep without an agent, or are stopped.", "",
	  HAK_FIGURE_UNANSWERED, 1, .daemon = true },
	{ "hakmem_daemon_purges", "Purges that hakmemd asked for and that were answered.", "",
	  HAK_FIGURE_ASKED, 1, .counter = true, .daemon = true },
	{ "hakmem_daemon_returned_bytes", "Bytes that processes gave back in those purges.",
	  "bytes", HAK_FIGURE_RETURNED, 1, .counter = true, .daemon = true },
};
#define DERIVED (sizeof(derived) / sizeof(derived[0]))
enum {
	COUNTER_ROWS = 0
#define COUNTER(...) +1
#include "control/abi/counters.def"
#undef COUNTER
};
#define FAMILIES (COUNTER_ROWS + DERIVED)

/* All families, in order; computed once. */
struct families {
	struct family family[FAMILIES];
	const struct family *by_name[FAMILIES]; /* sorted */
	bool is_counter[HAK_FIGURES];
};

_Static_assert(sizeof(state_words) / sizeof(state_words[0]) ==
		       HAK_FIGURE_RESERVED - HAK_FIGURE_IN_USE + 1,
	       "a word for each state");
_Static_assert(sizeof(free_words) / sizeof(free_words[0]) ==
		       HAK_FIGURE_FREE_RESIDENT_LAST - HAK_FIGURE_FREE_RESIDENT + 1,
	       "a word for each state of free memory");

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
 * "sys.mmap.ns" becomes hakmem_sys_mmap_seconds: Prometheus counts in seconds and bytes, and a name
 * ends with its unit. A last word "count" is dropped, because it is reserved; the sample adds
 * "_total".
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
	f->unit = row->unit == HAK_UNIT_BYTES	 ? "bytes"
		  : row->unit == HAK_UNIT_NS	 ? "seconds"
		  : row->unit == HAK_UNIT_CYCLES ? "cycles"
						 : "";
	if (*f->unit && !ends_with(f->name, f->unit)) {
		size_t used = strlen(f->name);

		snprintf(f->name + used, sizeof(f->name) - used, "_%s", f->unit);
	}
}

/* Makes the `i`th family, whose first figure is `first`. */
static void make_family(size_t i, unsigned first, struct family *ret)
{
	*ret = (struct family){ .first = first };
	if (i < COUNTER_ROWS) {
		const struct hak_counter_row *row = &hak_counter_rows[i];

		name_family(ret, row);
		ret->help = row->doc;
		ret->label = by_tier(row) ? "tier" : NULL;
		ret->n = figures_of(row);
		ret->counter = row->kind == HAK_KIND_COUNTER;
		ret->nanoseconds = row->unit == HAK_UNIT_NS;
	} else {
		size_t d = i - COUNTER_ROWS;

		snprintf(ret->name, sizeof(ret->name), "%s", derived[d].name);
		ret->help = derived[d].help;
		ret->unit = derived[d].unit;
		ret->n = derived[d].n;
		ret->label = ret->n > 1 ? "state" : NULL;
		ret->words = derived[d].words;
		ret->counter = derived[d].counter;
		ret->daemon = derived[d].daemon;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct family *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static const struct families *families(void)
{
	static struct families all;
	static bool known;
	unsigned first = 0;

	if (known)
		return &all;
	for (size_t i = 0; i < FAMILIES; i++) {
		struct family *f = &all.family[i];

		make_family(i, first, f);
		for (unsigned j = 0; j < f->n; j++)
			all.is_counter[first + j] = f->counter;
		first += f->n;
		all.by_name[i] = f;
	}
	qsort(all.by_name, FAMILIES, sizeof(all.by_name[0]), by_name);
	known = true;
	return &all;
}

static const char *label_word(const struct family *f, unsigned i)
{
	return f->words ? f->words[i] : hak_tier_word((enum hak_tier)i);
}

static const bool *counters(void)
{
	return families()->is_counter;
}

/* -- figures ----------------------------------------------------------------------------------- */
static void take_counter(const struct hak_segment *seg, const struct hak_snapshot *snap,
			 const struct hak_counter_row *row, uint64_t *out)
{
	int index;

	if (!by_tier(row)) {
		*out = hak_total(seg, snap, row->id);
		return;
	}
	memset(out, 0, HAK_TIER_WHALE * sizeof(*out));
	index = hak_segment_counter(seg, row->id);
	for (uint32_t c = 0; index >= 0 && c < snap->classes; c++) {
		enum hak_tier tier = hak_tier_of(seg->class_size[c]);

		if (tier < HAK_TIER_WHALE)
			out[tier] += snap->by_class[(size_t)index * snap->classes + c];
	}
}

void hak_figures_take(const struct hak_segment *seg, const struct hak_snapshot *snap,
		      const struct hak_resident *resident, struct hak_figures *ret)
{
	struct hak_memory m = hak_memory_of(seg, snap), most = hak_resident_bound(resident, &m);
	struct hak_tune tune;
	bool pending;
	unsigned at = 0;

	*ret = (struct hak_figures){ 0 };
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
	ret->value[HAK_FIGURE_RSS] = resident->rss;
	ret->value[HAK_FIGURE_FREE_RESIDENT] = most.thread_cached;
	ret->value[HAK_FIGURE_FREE_RESIDENT + 1] = most.slab_free;
	ret->value[HAK_FIGURE_FREE_RESIDENT + 2] = most.dirty;
	ret->value[HAK_FIGURE_FREE_RESIDENT_LAST] = most.lazy;
	ret->value[HAK_FIGURE_PSS] = resident->pss;
	ret->value[HAK_FIGURE_PRIVATE] = resident->private;
	ret->value[HAK_FIGURE_HUGE] = resident->huge;
	ret->value[HAK_FIGURE_SWAP] = resident->swap;
	ret->value[HAK_FIGURE_PROCESSES] = 1;
	/* A writer at work, or one that died at work, is no delay of the process. */
	pending = !seg->header.locked && hak_segment_read_tune(seg, &tune) == 0 &&
		  !(tune.generation_seq & 1) && tune.generation_seq != snap->applied;
	ret->value[HAK_FIGURE_PENDING] = pending;
	ret->value[HAK_FIGURE_STALLED] = pending && snap->agent;
	ret->value[HAK_FIGURE_AGENT_FAILED] = hak_total(seg, snap, HAK_ID_AGENT_ERROR) != 0;
}

void hak_figures_since(struct hak_figures *f, const struct hak_figures *base)
{
	const bool *counter = counters();

	for (unsigned i = 0; i < HAK_FIGURES; i++) {
		if (!counter[i])
			continue;
		f->value[i] = f->value[i] > base->value[i] ? f->value[i] - base->value[i] : 0;
	}
}

void hak_figures_fold(struct hak_figures *base, const struct hak_figures *more)
{
	const bool *counter = counters();

	for (unsigned i = 0; i < HAK_FIGURES; i++)
		base->value[i] += counter[i] ? more->value[i] : 0;
}

/* -- series ------------------------------------------------------------------------------------ */
int hak_metrics_new(enum hak_metrics_source source, struct hak_metrics **ret)
{
	struct hak_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->source = source;
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

/* Copies a label, made fit to print, and cut. */
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

static struct hak_series *append(struct hak_metrics *m, const struct hak_series *labels)
{
	struct hak_series *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	*s = *labels;
	*m->last = s;
	m->last = &s->next;
	m->n++;
	return s;
}

/* Returns the labels for figures that have no series of their own in that unit. */
static struct hak_series other_of(const char *unit)
{
	struct hak_series labels = { .command = "other" };

	strcpy(labels.unit, unit);
	return labels;
}

static bool is_other(const struct hak_series *s)
{
	return strcmp(s->command, "other") == 0 && !s->policy[0];
}

static void take_out(struct hak_metrics *m, struct hak_series *s)
{
	struct hak_series **at = &m->first;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	if (m->last == &s->next)
		m->last = at;
	m->n--;
	free(s);
}

/* Moves the counts of the series into its unit's "other", or into that of no unit. The series may
 * become that "other" itself. */
static void merge(struct hak_metrics *m, struct hak_series *s, bool into_unit)
{
	struct hak_series of_unit = other_of(s->unit), of_none = other_of("");
	struct hak_series *to = find(m, &of_unit);

	if (!into_unit && (!to || to == s)) {
		of_unit = of_none;
		to = find(m, &of_none);
	}
	if (to) {
		hak_figures_fold(&to->sum, &s->sum);
		take_out(m, s);
		return;
	}
	memcpy(s->unit, of_unit.unit, sizeof(s->unit));
	memcpy(s->command, of_unit.command, sizeof(s->command));
	s->policy[0] = '\0';
}

/* Returns the oldest series without a process, of that unit or of any (NULL). */
static struct hak_series *idle_one(const struct hak_metrics *m, const char *unit)
{
	for (struct hak_series *s = m->first; s; s = s->next) {
		if (s->sum.value[HAK_FIGURE_PROCESSES])
			continue;
		if (unit ? !is_other(s) && strcmp(s->unit, unit) == 0 : s->unit[0] || !is_other(s))
			return s;
	}
	return NULL;
}

/* Returns whether there is room for one more series of that unit, made if necessary. */
static bool room_in_unit(struct hak_metrics *m, const char *unit)
{
	struct hak_series *idle;
	size_t n = 0;

	for (struct hak_series *s = m->first; s; s = s->next)
		n += !is_other(s) && strcmp(s->unit, unit) == 0;
	if (n < HAK_SERIES_OF_UNIT)
		return true;
	idle = idle_one(m, unit);
	if (idle)
		merge(m, idle, true);
	return idle;
}

static bool room(struct hak_metrics *m)
{
	struct hak_series *idle;

	while (m->n >= HAK_SERIES_MAX) {
		idle = idle_one(m, NULL);
		if (!idle)
			return false;
		merge(m, idle, false);
	}
	return true;
}

/* Returns the series that counts for these labels: an existing one, a new one, or an "other". */
static struct hak_series *series(struct hak_metrics *m, struct hak_series *labels)
{
	struct hak_series *s = find(m, labels);

	if (s)
		return s;
	if (!is_other(labels) && !room_in_unit(m, labels->unit)) {
		*labels = other_of(labels->unit);
		return series(m, labels);
	}
	if (!room(m) && (labels->unit[0] || !is_other(labels))) {
		*labels = other_of("");
		return series(m, labels);
	}
	return append(m, labels);
}

struct hak_series *hak_metrics_series(struct hak_metrics *m, const struct hak_labels *labels)
{
	struct hak_series *wanted = calloc(1, sizeof(*wanted)), *s;

	if (!wanted)
		return NULL;
	copy_label(wanted->unit, labels->unit);
	copy_label(wanted->command, labels->command);
	copy_label(wanted->policy, labels->policy);
	s = series(m, wanted);
	free(wanted);
	return s;
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
		fprintf(to, "} %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000,
			value % 1000000000);
	else
		fprintf(to, "} %" PRIu64 "\n", value);
}

/*
 * Prints how long this machine's processes waited for memory (PSI), as the kernel counts it. The
 * figure belongs to no process, so it has no process labels. Where the kernel does not tell, the
 * family is absent.
 */
static void put_pressure(enum hak_metrics_format format, FILE *to)
{
	const char *end = format == HAK_METRICS_PROMETHEUS ? "_total" : "";
	FILE *f = fopen("/proc/pressure/memory", "re");
	char line[256], share[8];
	uint64_t us;

	if (!f)
		return;
	fprintf(to,
		"# HELP hakmem_host_pressure_seconds%s Time for which processes of this "
		"machine waited for memory: some of them, or all (full).\n"
		"# TYPE hakmem_host_pressure_seconds%s counter\n",
		end, end);
	if (format == HAK_METRICS_OPENMETRICS)
		fputs("# UNIT hakmem_host_pressure_seconds seconds\n", to);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%7s %*s %*s %*s total=%" SCNu64, share, &us) == 2)
			fprintf(to,
				"hakmem_host_pressure_seconds_total{share=\"%s\"} %" PRIu64
				".%06" PRIu64 "\n",
				share, us / 1000000, us % 1000000);
	fclose(f);
}

static void put_put_off(enum hak_metrics_format format, uint64_t put_off, FILE *to)
{
	const char *end = format == HAK_METRICS_PROMETHEUS ? "_total" : "";

	fprintf(to,
		"# HELP hakmem_daemon_put_off%s How often hakmemd put off or refused work for "
		"a user that took more than that user's share of its time.\n"
		"# TYPE hakmem_daemon_put_off%s counter\n"
		"hakmem_daemon_put_off_total %" PRIu64 "\n",
		end, end, put_off);
}

static void put_samples_age(enum hak_metrics_format format, uint64_t age_ns, FILE *to)
{
	fputs("# HELP hakmem_daemon_sample_age_seconds The age of the oldest sample of resident "
	      "memory: of hakmem_proportional_bytes, hakmem_private_bytes, hakmem_huge_bytes, "
	      "hakmem_swap_bytes, and of what is lazily freed.\n"
	      "# TYPE hakmem_daemon_sample_age_seconds gauge\n",
	      to);
	if (format == HAK_METRICS_OPENMETRICS)
		fputs("# UNIT hakmem_daemon_sample_age_seconds seconds\n", to);
	fprintf(to, "hakmem_daemon_sample_age_seconds %" PRIu64 "\n", age_ns / 1000000000);
}

int hak_metrics_write(const struct hak_metrics *m, enum hak_metrics_format format,
		      const struct hak_metrics_daemon *daemon, FILE *to)
{
	bool open = format == HAK_METRICS_OPENMETRICS;

	for (size_t i = 0; i < FAMILIES; i++) {
		const struct family *f = &families()->family[i];
		/*
		 * In the older format the name of the sample stands where OpenMetrics has the name
		 * of the family.
		 */
		const char *end = f->counter && !open ? "_total" : "";

		if (f->daemon && m->source != HAK_METRICS_DAEMON)
			continue;
		fprintf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, end, f->help, f->name, end,
			f->counter ? "counter" : "gauge");
		if (open && *f->unit)
			fprintf(to, "# UNIT %s %s\n", f->name, f->unit);
		for (const struct hak_series *s = m->first; s; s = s->next)
			for (unsigned j = 0; j < f->n; j++)
				put_sample(to, f, j, s);
	}
	if (m->source == HAK_METRICS_DAEMON) {
		put_put_off(format, daemon->put_off, to);
		put_samples_age(format, daemon->samples_age_ns, to);
		put_pressure(format, to);
	}
	if (open)
		fputs("# EOF\n", to);
	return ferror(to) ? -EIO : 0;
}

/* -- across restarts --------------------------------------------------------------------------- */
void hak_figures_save(const struct hak_figures *f, FILE *to)
{
	for (size_t i = 0; i < FAMILIES; i++) {
		const struct family *family = &families()->family[i];

		for (unsigned j = 0; family->counter && j < family->n; j++)
			if (f->value[family->first + j])
				fprintf(to, "%s\t%u\t%" PRIu64 "\n", family->name, j,
					f->value[family->first + j]);
	}
}

static const struct family *family_of(const char *name)
{
	const struct families *all = families();
	struct family wanted, *key = &wanted, **at;

	snprintf(wanted.name, sizeof(wanted.name), "%s", name);
	at = bsearch(&key, all->by_name, FAMILIES, sizeof(all->by_name[0]), by_name);
	return at ? *at : NULL;
}

bool hak_figures_load(struct hak_figures *f, const char *line)
{
	char name[FAMILY_BYTES];
	size_t bytes = strcspn(line, "\t");
	const struct family *family;
	unsigned long index;
	uint64_t value;
	char *end;

	if (line[bytes] != '\t' || bytes >= sizeof(name))
		return false;
	memcpy(name, line, bytes);
	name[bytes] = '\0';
	index = strtoul(line + bytes + 1, &end, 10);
	if (*end != '\t' || end == line + bytes + 1)
		return false;
	line = end + 1;
	value = strtoull(line, &end, 10);
	if (end == line)
		return false;
	family = family_of(name);
	if (family && family->counter && index < family->n)
		f->value[family->first + index] += value;
	return true;
}

/* Labels hold no tab and no newline, because they were escaped. */
void hak_metrics_save(const struct hak_metrics *m, FILE *to)
{
	for (const struct hak_series *s = m->first; s; s = s->next) {
		fprintf(to, "series\t%s\t%s\t%s\n", s->unit, s->command, s->policy);
		hak_figures_save(&s->sum, to);
	}
}

/* Loads one field up to the next tab, and moves *line behind the tab. */
static bool load_label(const char **line, char out[HAK_LABEL_BYTES])
{
	size_t bytes = strcspn(*line, "\t\n");

	if (bytes >= HAK_LABEL_BYTES)
		return false;
	memcpy(out, *line, bytes);
	out[bytes] = '\0';
	*line += bytes + ((*line)[bytes] == '\t');
	return true;
}

/* Labels are as they were written, so they are not escaped again. */
struct hak_series *hak_series_load(struct hak_metrics *m, const char *line,
				   struct hak_figures **ret_sum)
{
	struct hak_series labels = { 0 }, *s;

	if (strncmp(line, "series\t", 7) != 0)
		return NULL;
	*ret_sum = NULL;
	line += 7;
	if (!load_label(&line, labels.unit) || !load_label(&line, labels.command) ||
	    !load_label(&line, labels.policy))
		return NULL;
	s = series(m, &labels);
	if (s)
		*ret_sum = &s->sum;
	return s;
}
