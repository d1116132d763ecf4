/* SPDX-License-Identifier: MIT */
/*
 * The reports about one process, as JSON: the rows of hakmemctl's answers. Only this module makes
 * them, so that they are the same whether hakmemctl reads the segment or hakmemd does and sends
 * them over the bus.
 *
 * For hakmemctl and hakmemd.
 */
#ifndef HAK_REPORT_H
#define HAK_REPORT_H

#include "control/json.h"
#include "control/segment.h"

enum hak_report {
	HAK_REPORT_LIST,     /* an object: identity and sums */
	HAK_REPORT_STATS,    /* an object: all counters */
	HAK_REPORT_CLASSES,  /* the same with every size class */
	HAK_REPORT_VALUES,   /* an array: each tunable, in force and by origin */
	HAK_REPORT_TUNABLES, /* an array: each tunable's type, range and default */
};

const char *hak_report_word(enum hak_report what);
int hak_report_of(const char *word, enum hak_report *ret); /* 0 or -EINVAL */

/* With `exact` a report has resident memory by smaps_rollup, or by smaps for the figures of one
 * process (resident.h), which takes long for large processes. Returns 0; -ESRCH: the process ended
 * meanwhile; or the error of a read. */
int hak_report_make(const struct hak_segment *seg, enum hak_report what, bool exact,
		    struct json_object **ret);

/* Returns a new object with pid, comm and uid of the process. */
struct json_object *hak_report_process(const struct hak_segment *seg);

/* Adds the description of a tunable to `o`, and returns `o`. */
struct json_object *hak_report_tunable(struct json_object *o, uint16_t id,
				       const struct hak_spec *spec, uint64_t dflt, unsigned when);

/* What the key "note" of a list can say, several separated by commas. */
enum hak_list_note {
	HAK_NOTE_LOCKED,
	HAK_NOTE_DEBUG,
	HAK_NOTE_LIBRARY_DELETED,
	HAK_NOTE_LIBRARY_REPLACED,
	HAK_NOTE_AGENT_FAILED,
	HAK_NOTE_PURGE_PENDING,
	HAK_NOTE_LIMIT_UNMET,
	HAK_LIST_NOTES
};
const char *hak_note_word(enum hak_list_note note);

#endif
