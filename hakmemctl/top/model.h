/* SPDX-License-Identifier: MIT */
/*
 * The table of `hakmemctl top` without its picture: the processes of the last look and their rates,
 * their sums by unit and by control group, the order, the filter, and the row that is selected.
 *
 * For hakmemctl/top/ and tests. The model knows no terminal and reads no process: reports come in
 * (control/report.h), rows go out. It belongs to one thread. All text in it is printable.
 *
 * A look is top_model_begin(), one top_model_add() for each process, and top_model_end().
 */
#ifndef HAK_TOP_MODEL_H
#define HAK_TOP_MODEL_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/json.h"

enum top_kind { TOP_PROCESSES, TOP_UNITS, TOP_CGROUPS };

/* Bytes, and then rates per second. */
enum top_figure {
	TOP_IN_USE,
	TOP_FREE, /* the most of the free memory that can be resident */
	TOP_RSS,
	TOP_PSS,
	TOP_ALLOCS,
	TOP_FAULTS,
	TOP_REFILLS,
	TOP_FIGURES,
};
#define TOP_COUNTS (TOP_FIGURES - TOP_ALLOCS)

/* Columns that sort: the figures, and these. */
enum { TOP_BY_PID = TOP_FIGURES, TOP_BY_NAME, TOP_SORTS };

#define TOP_HISTORY	 32u
#define TOP_ROWS_MAX	 4096u /* processes; further ones are counted and left out */
#define TOP_FILTER_BYTES 64

struct top_row {
	char *name;		   /* of the command, the unit or the control group; "-": none */
	char *unit, *cgroup;	   /* of a process; "-": none. NULL in the row of a sum */
	uint64_t pid, start_ticks; /* of a process; 0: unknown */
	size_t processes;	   /* 1, or those in the sum */
	double value[TOP_FIGURES]; /* NAN: not known */
	/* The last `looks` values, at most TOP_HISTORY; the newest at (looks - 1) % TOP_HISTORY. */
	double history[TOP_FIGURES][TOP_HISTORY];
	size_t looks;
	/* From here on for the model alone. */
	uint64_t time_ns, count[TOP_COUNTS];
	bool counted[TOP_COUNTS];
	bool seen;	 /* in this look */
	unsigned missed; /* looks in a row */
};

struct top_rows {
	struct top_row **row;
	size_t n, room;
};

struct top_model {
	/* Chosen by the user; top_model_arrange() follows a change. */
	enum top_kind kind;
	int sort;		       /* enum top_figure or TOP_BY_ */
	bool reverse;		       /* the smallest first; of names, the last */
	char filter[TOP_FILTER_BYTES]; /* a part of a name or unit in any case, a PID, or /PART of
					  a control group */

	size_t left_out;       /* processes beyond TOP_ROWS_MAX, in the last look */
	struct top_rows shown; /* rows of `kind`, filtered and in order; borrowed */
	size_t selected;       /* index in `shown`; 0 if that is empty */

	struct top_rows processes, sums[2];
	size_t left_out_now;
};

void top_model_init(struct top_model *m);
void top_model_free(struct top_model *m);

void top_model_begin(struct top_model *m);
/* Takes a report of HAK_REPORT_STATS, which stays the caller's. */
void top_model_add(struct top_model *m, struct json_object *report);
/* Notes that a process could not be read. Its row stays as it was, without rates, unless this
 * happens in TOP_MISSED_MAX looks in a row. */
#define TOP_MISSED_MAX 5u
void top_model_miss(struct top_model *m, uint64_t pid);
/* Forgets processes that this look did not find, sums up and arranges. */
void top_model_end(struct top_model *m);

/* Makes `shown` from kind, sort, reverse and filter. The selected row stays selected if it is still
 * shown. */
void top_model_arrange(struct top_model *m);

/* Moves the selection by that many rows, to the first or last one at most. */
void top_model_move(struct top_model *m, long by);

/* The selected row; NULL if no row is shown. */
const struct top_row *top_model_selected(const struct top_model *m);

/* Writes the TARGET that the row stands for: a PID, a unit, or cgroup:/PATH. Returns false for the
 * processes without a unit or control group, and if `bytes` are too few. */
bool top_row_target(const struct top_model *m, const struct top_row *row, char *out, size_t bytes);

/* Sums of all processes, as in a row. */
void top_model_total(const struct top_model *m, double value[TOP_FIGURES]);

#endif
