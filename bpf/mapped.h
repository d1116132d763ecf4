/* SPDX-License-Identifier: MIT */
/*
 * Opens the very file that a process maps. Its name may have gone since, or may be another file's.
 *
 * For bpf/ and hakmemctl profile. No state.
 */
#ifndef HAK_BPF_MAPPED_H
#define HAK_BPF_MAPPED_H

#include <stdint.h>
#include <sys/types.h>

/* Opens the file behind the mapping that holds the address, or that has the path. Returns a
 * descriptor; -ENOENT: there is no such mapping of a file; -EPERM: CAP_CHECKPOINT_RESTORE is
 * needed; or another -errno. */
int hak_open_mapped_at(pid_t pid, uint64_t address);
int hak_open_mapped(pid_t pid, const char *path);

/*
 * Returns whether `mapped`, as maps has it, is that path. maps adds a word for a file that is gone.
 */
int hak_same_mapped(const char *mapped, const char *path);

#endif
