/* SPDX-License-Identifier: MIT */
/*
 * Opens files of a system other than the running one: below a folder that is the root of that
 * system.
 *
 * For control/conf.c and hakmemctl. The folder may be an untrusted image. The kernel resolves every
 * path (openat2, RESOLVE_IN_ROOT), so that absolute links, ".." and links that change meanwhile
 * stay inside, and magic links of /proc are not followed. Files there are written relative to a
 * descriptor that comes from here.
 */
#ifndef HAK_ROOT_H
#define HAK_ROOT_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>

#include "control/value.h"

#define HAK_OWN_ROOT AT_FDCWD /* this process's own /: paths are opened unchanged */

/*
 * Returns whether that folder, which is open, is this process's own /, by device, inode and mount.
 * The root of another mount namespace also has the name "/" here, and may be on the same
 * filesystem. Where the kernel does not tell mounts (before Linux 5.8) the answer is no, which
 * costs openat2().
 */
bool hak_root_is_own(int root);

/* Returns 0 if that folder, which is open, can be a root; -EOPNOTSUPP without openat2(), with a
 * sentence. */
int hak_root_check(int root, char why[HAK_WHY_TEXT]);

/* Returns a descriptor, with O_CLOEXEC added to `flags`, or -errno. It cannot create files. */
int hak_open_in(int root, const char *path, int flags);

/*
 * Opens a regular file to read, by a path below root or by a name in an opened folder, where no
 * link is followed. Returns -EINVAL for other files: the open of a FIFO would wait, and the open of
 * a device can act.
 */
int hak_open_file_in(int root, const char *path);
int hak_open_file_at(int folder, const char *name);
/*
 * Does the same for a file that is open with O_PATH, and closes that descriptor. -errno as `fd` is
 * passed through.
 */
int hak_open_file_of(int fd);

/*
 * Stores where a descriptor from here lies below root. Returns 0 or -errno. For names, not to be
 * opened again.
 */
int hak_path_in(int root, int fd, char ret[PATH_MAX]);

#endif
