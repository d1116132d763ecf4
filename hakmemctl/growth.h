/* SPDX-License-Identifier: MIT */
/*
 * What changed between two reports about processes (control/report.h): the memory by state, what is
 * resident, tiers, size classes and counters. Both reports were checked against documents.def, or
 * were made by control/report.c; their figures may be any numbers.
 *
 * For the verbs of hakmemctl and tests. Prints nothing, and has no state.
 */
#ifndef HAK_CTL_GROWTH_H
#define HAK_CTL_GROWTH_H

#include "control/json.h"

/*
 * Returns the new object
 *	before, after	pid, comm, version and time_ns of each
 *	same_process	both reports are about one process, and `after` is the later one
 *	span_ns		the time between them; null where same_process is false
 *	states, resident, tiers, classes, faults, counters
 *			arrays of rows: the name, before, after, change, and per_second, which is
 *			null where span_ns is
 * `states`, `resident`, `tiers` and `classes` are sorted by change, the largest growth first. The
 * figures of tiers and classes are bytes in use; their rows have the blocks in use as well, and for
 * one process the calls of malloc and free between the reports. `classes` is null unless both
 * reports have size classes. `counters` has those that changed, in the order of the report. A
 * figure that one of the reports lacks has no row. A change beyond 2^63 - 1 is that number.
 */
struct json_object *ctl_growth(struct json_object *before, struct json_object *after);

#endif
