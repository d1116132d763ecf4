/* SPDX-License-Identifier: MIT */
/*
 * What the kernel hands to a process when it starts: the auxiliary vector, the environment, the
 * clock in the vDSO. getauxval(), secure_getenv() and clock_gettime() say the same, but another
 * library may replace them by functions that allocate, or that no longer work when the process
 * exits. All may be called at any time, also before constructors and by signal handlers.
 */
#ifndef HAK_VDSO_H
#define HAK_VDSO_H

#include <stdbool.h>
#include <time.h>

#include "hak.h"

unsigned long hak_auxv(unsigned long type);    /* as getauxval; 0: not there */
const char *hak_environment(const char *name); /* as secure_getenv */
/*
 * Reads a clock by the function in the vDSO. False: there is no such function, or it refused. It
 * makes a system call only for a clock that cannot be read without; never for the coarse ones.
 */
bool hak_vdso_clock(clockid_t clock, struct timespec *ret);

#endif
