/* SPDX-License-Identifier: MIT */
/* Pages out memory that processes have freed lazily and do not use. */
#ifndef HAK_LAZY_H
#define HAK_LAZY_H

#include "hakmemd/process.h"

void hak_lazy_look(struct hak_process *p);

#endif
