/* SPDX-License-Identifier: MIT */
/* Taking away what processes that sleep have freed lazily. */
#ifndef HAK_LAZY_H
#define HAK_LAZY_H

#include "hakmemd/process.h"

void hak_lazy_look(struct hak_process *p);

#endif
