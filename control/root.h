/* SPDX-License-Identifier: MIT */
/*
 * Opening files of a system that need not be the one that runs: below a folder that is its /.
 *
 * For: control/conf.c, hakmemctl. The folder may be an image that somebody else made: the kernel
 * resolves every path (openat2, RESOLVE_IN_ROOT), so that absolute links, ".." and links that
 * change meanwhile stay inside, and magic links of /proc are not followed. What is written there is
 * written relative to a descriptor that comes from here.
 */
#ifndef HAK_ROOT_H
#define HAK_ROOT_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>

#include "control/value.h"

#define HAK_OWN_ROOT AT_FDCWD /* this process's own /: paths are opened as they are */

/*
 * Whether that folder, which is open, is this process's own /. Judged by device, inode and mount:
 * the root of another mount namespace has the name "/" here as well, and may be on the same
 * filesystem. Where the kernel does not tell mounts (before Linux 5.8) the answer is no, which
 * costs openat2().
 */
bool hak_root_is_own(int root);

/* Whether that folder, which is open, can be one: 0, or -EOPNOTSUPP without openat2(), with a
 * sentence. */
int hak_root_check(int root, char why[HAK_WHY_TEXT]);

/* A descriptor, O_CLOEXEC added to `flags`, or -errno. The caller may not create with it. */
int hak_open_in(int root, const char *path, int flags);

/*
 * A regular file to read, by a path below root or by a name in an opened folder, where no link is
 * followed. -EINVAL for what is none: a FIFO would be waited for, and the open of a device can act.
 */
int hak_open_file_in(int root, const char *path);
int hak_open_file_at(int folder, const char *name);
/* The same of a file that is open with O_PATH; closes that. -errno as `fd` is handed on. */
int hak_open_file_of(int fd);

/* Where a descriptor from here lies below root; 0 or -errno. For names, not to open again. */
int hak_path_in(int root, int fd, char ret[PATH_MAX]);

#endif
