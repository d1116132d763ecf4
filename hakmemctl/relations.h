/* SPDX-License-Identifier: MIT */
/*
 * The relations between the figures of a process that `hakmemctl check` tests: each row of the
 * table holds whatever the program does.
 *
 * The process runs while its figures are read, so no two figures belong to one moment. A view reads
 * all of them three times. A counter on the smaller side of a relation is taken from the first
 * reading, a counter on the larger side from the last one, and a gauge from the one in between. A
 * change between the readings then never looks like a contradiction.
 */
#ifndef HAK_CTL_RELATIONS_H
#define HAK_CTL_RELATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/abi/abi.h"
#include "control/segment.h"
#include "control/snapshot.h"

enum when { BEFORE, BETWEEN, AFTER, READINGS };

struct ctl_view {
	const struct hak_segment *seg;
	struct hak_snapshot snap[READINGS];
	struct hak_ack ack[2];	    /* before and after all else but the tune page */
	struct hak_tune tune;	    /* read last: the process's state of it is older */
	struct hak_lazy_table lazy; /* read together with the snapshot BETWEEN */
	bool has_tune, has_lazy;    /* false: it could not be read, or changed each time */
};

/* Pauses `pause` ns between the readings. Returns 0, or -errno and nothing to free. */
int ctl_view_take(const struct hak_segment *seg, long pause, struct ctl_view *ret);
void ctl_view_free(struct ctl_view *v);

enum verdict { HOLDS, BROKEN, UNKNOWN };

/* Kinds of processes for which some figures are incomplete. */
enum {
	/*
	 * A child of fork(), which copies gauges and blocks in use while other threads of the
	 * parent change them.
	 */
	NOT_FORKED = 1,
	/* A stopped process, which can stay between two stores for ever. See check.c. */
	NOT_STOPPED = 2,
	/* A process with heaps that could not be published. Blocks pass from heap to heap. */
	NOT_HIDDEN = 4,
};

struct ctl_relation {
	const char *name, *expected;
	enum verdict (*run)(const struct ctl_view *v, const struct ctl_relation *c,
			    char found[HAK_WHY_TEXT]);
	unsigned only;		     /* NOT_ of processes to which it does not apply */
	bool per_heap;		     /* the larger side lags by at most 1, in each heap */
	uint16_t small[6], large[6]; /* sums of counters, by id */
};

/* Returns the NOT_ kinds of this process; why[kind] says why a relation is not tried then. */
unsigned ctl_view_kind(const struct ctl_view *v, const char *why[8]);

enum { CTL_RELATIONS = 51 };
extern const struct ctl_relation ctl_relations[];

#endif
