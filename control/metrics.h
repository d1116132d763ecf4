/* SPDX-License-Identifier: MIT */
/*
 * Figures for Prometheus: every counter of the table, and memory by state, summed over processes
 * that share a unit, a command and a policy, as OpenMetrics 1.0 or as Prometheus's older text.
 *
 * For hakmemctl, hakmemd and tests. Names, units and help texts come from the rows of counters.def.
 * A pid is never a label, so the number of series does not grow with the number of processes over
 * time. Uses plain memory. One thread.
 *
 * No count is lost: hak_series_retire() keeps the counters of a process that ended and drops its
 * gauges. Processes cannot fill memory, or keep others from having series, by inventing names: a
 * unit has at most HAK_SERIES_OF_UNIT series, all units together HAK_SERIES_MAX. Beyond that a
 * series without a process makes room: its counters go to command "other" of its unit, or of no
 * unit if there is no such series. If every series has a process, a new one counts as "other"
 * itself.
 */
#ifndef HAK_METRICS_H
#define HAK_METRICS_H

#include <stdio.h>

#include "control/resident.h"
#include "control/snapshot.h"

#define HAK_SERIES_MAX	   512u
#define HAK_SERIES_OF_UNIT 64u	/* and the unit's "other" */
#define HAK_LABEL_BYTES	   256u /* longer ones are cut */

/*
 * The number of figures that one row of counters.def makes: one for each tier that has classes,
 * otherwise one.
 */
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

/* Figures that follow from several counters, or come from the kernel; after those of the table. */
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
	/* The most of the free memory that can be resident, by state. */
	HAK_FIGURE_FREE_RESIDENT,
	HAK_FIGURE_FREE_RESIDENT_LAST = HAK_FIGURE_FREE_RESIDENT + 3,
	HAK_FIGURE_PSS,
	HAK_FIGURE_PRIVATE,
	HAK_FIGURE_HUGE,
	HAK_FIGURE_SWAP,
	HAK_FIGURE_PROCESSES,
	HAK_FIGURE_PENDING,	 /* processes that have not taken up a change or a request */
	HAK_FIGURE_STALLED,	 /* those of the processes above that run an agent */
	HAK_FIGURE_AGENT_FAILED, /* processes that could not start their agent */
	/* Only a daemon knows these; hak_figures_take() leaves them 0. */
	HAK_FIGURE_DRIFTED,    /* processes in which a policy is not in force */
	HAK_FIGURE_UNMET,      /* processes above the CachedMax= of their policy after a purge */
	HAK_FIGURE_UNANSWERED, /* processes that do not answer a purge */
	HAK_FIGURE_ASKED,      /* counter: purges that it requested and that were answered */
	HAK_FIGURE_RETURNED,   /* counter: bytes of those answers */
	HAK_FIGURES
};

/* The figures of one process, or of a sum of processes. */
struct hak_figures {
	uint64_t value[HAK_FIGURES];
};

struct hak_labels {
	const char *unit, *command, *policy; /* NULL: "" */
};

enum hak_metrics_format { HAK_METRICS_OPENMETRICS, HAK_METRICS_PROMETHEUS };

/* The source of the figures; what a source does not know is left out of its text. */
enum hak_metrics_source { HAK_METRICS_CTL, HAK_METRICS_DAEMON };

struct hak_series;
struct hak_metrics;

/* Takes all figures of a process. What `resident` does not know is 0. */
void hak_figures_take(const struct hak_segment *seg, const struct hak_snapshot *snap,
		      const struct hak_resident *resident, struct hak_figures *ret);

/* Returns 0 or -ENOMEM. */
int hak_metrics_new(enum hak_metrics_source source, struct hak_metrics **ret);
void hak_metrics_free(struct hak_metrics *m); /* m may be NULL */

/* Returns the series of these labels, made if necessary; NULL: out of memory. While no process is
 * in the series (see hak_series_move()) it lives until the next call. */
struct hak_series *hak_metrics_series(struct hak_metrics *m, const struct hak_labels *labels);

/*
 * hak_series_move(): a process that had contributed `old` now contributes `new`; with `old` NULL
 * the process is new. Counters only grow: a counter of `new` below that of `old` is raised to it.
 * hak_series_retire(): the process contributes nothing more; its counters stay.
 */
void hak_series_move(struct hak_series *s, const struct hak_figures *old, struct hak_figures *new);
void hak_series_retire(struct hak_series *s, const struct hak_figures *last);

/* hak_figures_since() keeps what was counted since `base`: counters minus those of `base`, never
 * below 0; gauges stay. hak_figures_fold() reverses this: the counters of `base` grow by `more`. */
void hak_figures_since(struct hak_figures *f, const struct hak_figures *base);
void hak_figures_fold(struct hak_figures *base, const struct hak_figures *more);

/*
 * Writes counters as lines of text, see hak_metrics_save(). load reads one line; it returns false
 * if the line is not one of them.
 */
void hak_figures_save(const struct hak_figures *f, FILE *to);
bool hak_figures_load(struct hak_figures *f, const char *line);

/* Figures of the daemon itself. */
struct hak_metrics_daemon {
	uint64_t put_off;	 /* a counter of work that took too long */
	uint64_t samples_age_ns; /* of the oldest sample of resident memory */
};

/* Returns 0 or -EIO. OpenMetrics ends with its "# EOF". `daemon` may be NULL for hakmemctl. */
int hak_metrics_write(const struct hak_metrics *m, enum hak_metrics_format format,
		      const struct hak_metrics_daemon *daemon, FILE *to);

/*
 * Writes the counters of all series, to be read back by another start or another version of the
 * same program: lines of text, by names. Gauges are left out, because they belong to processes that
 * live. hak_series_load() takes a line that begins a series, and hak_figures_load() reads the lines
 * behind it into `*ret_sum`; NULL if the line begins no series.
 */
void hak_metrics_save(const struct hak_metrics *m, FILE *to);
struct hak_series *hak_series_load(struct hak_metrics *m, const char *line,
				   struct hak_figures **ret_sum);

#endif
