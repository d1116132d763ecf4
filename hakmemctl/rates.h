/* SPDX-License-Identifier: MIT */
/*
 * What a process did in a second: differences between two reports of `stats` about it, divided by
 * the time between them.
 *
 * For watch.c. The reports are those of control/report.h, so the rates are the same whether
 * hakmemctl read the process or hakmemd did.
 */
#ifndef HAK_RATES_H
#define HAK_RATES_H

#include <json-c/json.h>

/*
 * Adds an object "rates" to each report of the array `now`. `before` is the array of the previous
 * sample, or NULL. For a process that is not in it the rates are means since the process started.
 * A rate is null where it is unknown: a figure is missing, a counter has fallen, or no time has
 * passed.
 */
void ctl_add_rates(struct json_object *now, struct json_object *before);

#endif
