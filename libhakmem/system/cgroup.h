/* SPDX-License-Identifier: MIT */
/*
 * The memory limit of the control groups that the process is in, read from the files of cgroup v1
 * or v2 without a lasting descriptor. No lock, no allocation; callable from any thread.
 */
#ifndef HAK_CGROUP_H
#define HAK_CGROUP_H

#include <stdint.h>

/*
 * Returns the lowest of memory.max and memory.high (v1: memory.limit_in_bytes) of the process's
 * control group and of those above it that are visible; UINT64_MAX if there is no limit, or where
 * the files cannot be read. Costs some ten system calls. Not in a sandbox.
 */
uint64_t hak_cgroup_memory_limit(void);

#endif
