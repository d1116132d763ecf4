/* SPDX-License-Identifier: MIT */
/*
 * The start of the library, and of a sandbox. Allocation works before the start, with the defaults.
 */
#ifndef HAK_START_H
#define HAK_START_H

/* The constructor: environment, segment, agent. Idempotent. */
void hak_start(void);
/*
 * A sandbox is about to be entered: the agent ends, and from now on only harmless system calls are
 * made.
 */
void hak_start_sandbox(void);

#endif
