/* SPDX-License-Identifier: MIT */
/*
 * The very file that a process maps: its name may have gone since, or be another's.
 *
 * For: bpf/, hakmemctl profile. No state.
 */
#ifndef HAK_BPF_MAPPED_H
#define HAK_BPF_MAPPED_H

#include <stdint.h>
#include <sys/types.h>

/* The file behind the mapping that holds the address, or that has the path. A descriptor; -ENOENT:
 * there is no such mapping of a file; -EPERM: it takes CAP_CHECKPOINT_RESTORE; -errno. */
int hak_open_mapped_at(pid_t pid, uint64_t address);
int hak_open_mapped(pid_t pid, const char *path);

/* Whether `mapped`, as maps has it, is that path: a file that is gone has a word behind it. */
int hak_same_mapped(const char *mapped, const char *path);

#endif
