/* SPDX-License-Identifier: MIT */
/*
 * The start of the library, and of a sandbox. Before the start allocation works with the default
 * values.
 */
#ifndef HAK_START_H
#define HAK_START_H

/* The constructor: reads the environment, makes the segment, starts the agent. Idempotent. */
void hak_start(void);
/*
 * Called when a sandbox is about to be entered. The agent ends, and from then on only harmless
 * system calls are made.
 */
void hak_start_sandbox(void);

#endif
