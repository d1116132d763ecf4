/* SPDX-License-Identifier: MIT */
/*
 * What the kernel hands to a process at its start: the auxiliary vector, the environment, and the
 * clock in the vDSO. getauxval(), secure_getenv() and clock_gettime() return the same, but another
 * library may replace them by functions that allocate, or that no longer work while the process
 * exits. All functions may be called at any time, also before constructors and by signal handlers.
 */
#ifndef HAK_VDSO_H
#define HAK_VDSO_H

#include <stdbool.h>
#include <time.h>

#include "hak.h"

unsigned long hak_auxv(unsigned long type);    /* as getauxval; 0 if absent */
const char *hak_environment(const char *name); /* as secure_getenv */
/*
 * Reads a clock by the function in the vDSO. Returns false if there is no such function, or if it
 * refused. Only a clock that cannot be read in user space costs a system call; the coarse clocks
 * never do.
 */
bool hak_vdso_clock(clockid_t clock, struct timespec *ret);

#endif
