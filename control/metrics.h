/* SPDX-License-Identifier: MIT */
/*
 * Figures for Prometheus: every counter of the table, and memory by state, summed over processes
 * that share a unit, a command and a policy, as OpenMetrics 1.0 or as Prometheus's older text.
 *
 * For: hakmemctl, hakmemd, tests. Names, units and help texts come from the rows of counters.def;
 * a pid is never a label, so that the number of series does not grow with the number of processes
 * there ever were. Plain memory, one thread.
 *
 * Nothing that was counted is lost: hak_series_retire() keeps the counters of a process that ended
 * and lets go of its gauges. Nobody can fill memory, or keep others from having series, by
 * inventing names: a unit has at most HAK_SERIES_OF_UNIT, all together HAK_SERIES_MAX. Beyond that
 * a series without a process makes room: its counters go to command "other" of its unit, or of no
 * unit if there is no such series. If each has a process, what is new counts as "other" itself.
 */
#ifndef HAK_METRICS_H
#define HAK_METRICS_H

#include <stdio.h>

#include "control/snapshot.h"

#define HAK_SERIES_MAX	   512u
#define HAK_SERIES_OF_UNIT 64u	/* and its "other" */
#define HAK_LABEL_BYTES	   256u /* longer ones are cut */

/* How many figures one row of counters.def makes: one for each tier that has classes, else one. */
#define HAK_FIGURES_HOT	  HAK_TIER_WHALE
#define HAK_FIGURES_CLASS HAK_TIER_WHALE
#define HAK_FIGURES_HEAP  1
#define HAK_FIGURES_PROC  1
enum {
	HAK_COUNTER_FIGURES = 0
#define COUNTER(id, scope, ...) +HAK_FIGURES_##scope
#include "control/abi/counters.def"
#undef COUNTER
};

/* What follows from several counters, or is the kernel's; after those of the table. */
enum hak_derived_figure {
	HAK_FIGURE_IN_USE = HAK_COUNTER_FIGURES,
	HAK_FIGURE_THREAD_CACHED,
	HAK_FIGURE_SLAB_FREE,
	HAK_FIGURE_DIRTY,
	HAK_FIGURE_LAZY,
	HAK_FIGURE_CLEAN,
	HAK_FIGURE_RESERVED,
	HAK_FIGURE_REQUESTED,
	HAK_FIGURE_RSS,
	HAK_FIGURE_PROCESSES,
	HAK_FIGURE_PENDING, /* processes that have not taken up a change or a request */
	HAK_FIGURE_STALLED, /* of those, such that run an agent */
	/* Only a daemon knows these; hak_figures_take() leaves them 0. */
	HAK_FIGURE_DRIFTED,  /* processes in which a policy is not in force */
	HAK_FIGURE_ASKED,    /* counter: purges it asked for and got an answer to */
	HAK_FIGURE_RETURNED, /* counter: bytes of those answers */
	HAK_FIGURES
};

/* Of one process, or of a sum of them. */
struct hak_figures {
	uint64_t value[HAK_FIGURES];
};

struct hak_labels {
	const char *unit, *command, *policy; /* NULL: "" */
};

enum hak_metrics_format { HAK_METRICS_OPENMETRICS, HAK_METRICS_PROMETHEUS };

/* Whose figures they are: what a source does not know is left out of its text. */
enum hak_metrics_source { HAK_METRICS_CTL, HAK_METRICS_DAEMON };

struct hak_series;
struct hak_metrics;

/* All figures of a process. `exact_rss` as for hak_segment_rss(). */
void hak_figures_take(const struct hak_segment *seg, const struct hak_snapshot *snap,
		      bool exact_rss, struct hak_figures *ret);

/* 0 or -ENOMEM. */
int hak_metrics_new(enum hak_metrics_source source, struct hak_metrics **ret);
void hak_metrics_free(struct hak_metrics *m); /* NULL is fine */

/* The series of these labels, made if need be; NULL: out of memory. While no process is in it (see
 * hak_series_move()) it lives until the next call. */
struct hak_series *hak_metrics_series(struct hak_metrics *m, const struct hak_labels *labels);

/*
 * hak_series_move(): a process that had contributed `old` now contributes `new`; `old` NULL: it is
 * new. Counters only grow: where one of `new` is below that of `old`, it is raised to it.
 * hak_series_retire(): it contributes nothing more; its counters stay.
 */
void hak_series_move(struct hak_series *s, const struct hak_figures *old, struct hak_figures *new);
void hak_series_retire(struct hak_series *s, const struct hak_figures *last);

/* What was counted since `base`: counters less those of `base`, never below 0; gauges as they are.
 * And back: the counters of `base` grow by `more`. */
void hak_figures_since(struct hak_figures *f, const struct hak_figures *base);
void hak_figures_fold(struct hak_figures *base, const struct hak_figures *more);

/* Counters as lines of text, see hak_metrics_save(). load: one line; false if it is not one. */
void hak_figures_save(const struct hak_figures *f, FILE *to);
bool hak_figures_load(struct hak_figures *f, const char *line);

/* 0 or -EIO. OpenMetrics ends with its "# EOF". `put_off` is the daemon's own counter of work that
 * took too long; hakmemctl has none. */
int hak_metrics_write(const struct hak_metrics *m, enum hak_metrics_format format, uint64_t put_off,
		      FILE *to);

/*
 * The counters of all series, to be read back by another start or another version of the same
 * program: lines of text, by names. Gauges are left out: they belong to processes that live.
 * hak_series_load() takes a line that begins a series, and hak_figures_load() into `*ret_sum` those
 * behind it; NULL: it is no such line.
 */
void hak_metrics_save(const struct hak_metrics *m, FILE *to);
struct hak_series *hak_series_load(struct hak_metrics *m, const char *line,
				   struct hak_figures **ret_sum);

#endif
