/* SPDX-License-Identifier: MIT */
/* The reaction to memory pressure, on the host and in the cgroups of units. */
#ifndef HAK_PRESSURE_H
#define HAK_PRESSURE_H

#include "hakmemd/process.h"

int hak_pressure_start(struct hak_manager *m);
void hak_pressure_stop(struct hak_manager *m);
void hak_pressure_update(struct hak_manager *m); /* after the effects of processes changed */

#endif
