/* SPDX-License-Identifier: MIT */
/*
 * The places of the structures by which a program outside reads the heap in this process's memory:
 * constant data, which the header of hakmem-stats names. control/abi/structs.def has the rows.
 */
#ifndef HAK_STRUCTS_H
#define HAK_STRUCTS_H

#include "base/hak.h"
#include "control/abi/abi.h"

#if HAK_CONTROL
extern HAK_HIDDEN const struct hak_structs hak_structs;

/* Names this table, the address map and the list of extents, before the header is written. */
void hak_structs_name(struct hak_stats_header *h);
#endif

#endif
