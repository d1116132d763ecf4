/* SPDX-License-Identifier: MIT */
/*
 * Writes every file that hakmemctl writes. A file is written whole or not at all: a reader
 * meanwhile sees the old text or the new one, and where there is no room for the new one the old
 * one stays.
 *
 * The new file is always another inode, made in the opened folder by an unpredictable name and
 * renamed. Its owner is the writer and its mode is 0666 without the umask's bits, whatever was
 * there. The old file's mode (setuid), ACL, hard links, open descriptors and mappings do not expose
 * the new one.
 *
 * A path is walked component by component. A symbolic link is followed where only root and this
 * user can have put it: the folder is theirs, and is neither group- nor other-writable, or has the
 * sticky bit and the link is theirs as well. Elsewhere it is refused; also where the owner has no
 * number in this user namespace, except for / itself. The kernel follows links of /proc that lead
 * to a process's folders (cwd, root), because their text names another folder where that process
 * sees other mounts; behind one, absolute links are refused. Character devices and FIFOs are
 * written themselves by the same rule; block devices and sockets are refused. A path that leads to
 * a descriptor of this process, as /dev/stdout does, writes to that descriptor.
 */
#ifndef HAK_OUTPUT_H
#define HAK_OUTPUT_H

#include <stddef.h>

#include "control/value.h"

/* Returns 0, or -errno with a sentence in `why` that does not repeat the path. Called before long
 * work; it finds what can be known without writing. */
int hak_output_check(const char *path, char why[HAK_WHY_TEXT]);
int hak_output(const char *path, const char *text, size_t bytes, char why[HAK_WHY_TEXT]);

/* Writes a file in a folder that is open (O_PATH is enough), and replaces what has that name there,
 * even a link. Returns 0 or -errno. */
int hak_replace_at(int folder, const char *name, const char *text, size_t bytes);

#endif
