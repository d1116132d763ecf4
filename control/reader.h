/* SPDX-License-Identifier: MIT */
/*
 * Calls that another process can hold up: all that take the lock of its memory, or the lock that it
 * holds while it executes a program. A caller that opens or reads /proc/PID/maps, mem, pagemap,
 * smaps_rollup or auxv, looks something up in map_files, or advises the process's memory, waits for
 * these locks. A process can hold them for as long as it likes: a thread that maps a file of its
 * own FUSE file system is enough.
 *
 * A child process, the reader, makes such calls, and the program waits for it. A reader that sleeps
 * for too long is killed and replaced, and the call fails with -ETIME. A thread cannot be killed
 * alone, so it would not do. The reader is a child of a keeper, which is forked at the first use,
 * while the program is small. So a new reader costs what a small process costs, however large the
 * program has become.
 *
 * A process that reads such a file, status, stat or statm, holds the memory for a moment, as in
 * mmget(). If the other process ends in that moment, the reader takes its memory down, which can
 * wait for a FUSE server of that process; no signal ends that wait. While a reader that was killed
 * still lives, no process of its account (see hak_share_account()) is looked at. For other accounts
 * there are more readers.
 *
 * The time that the reader works or sleeps is charged to the budget (budget.h), as if the caller
 * had worked. With a budget a reader may sleep for 100 ms, and none is asked once the budget is
 * spent. Without a budget, when a user asked for this one process, it may sleep for 2 s.
 *
 * For control/, hakmemctl and hakmemd. The reader belongs to the program, and serves one thread.
 */
#ifndef HAK_READER_H
#define HAK_READER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define HAK_READER_BYTES 32768u
#define HAK_READER_PARTS 16u

/* All return -ETIME if the call takes too long, or the error of the call. `dir` is a folder, or -1
 * with an absolute path; paths are below 64 bytes. */

/* Does what openat() does. The descriptor belongs to the caller and is close-on-exec. */
int hak_reader_open(int dir, const char *path, int flags);

/*
 * Reads the file's first `bytes`, at most HAK_READER_BYTES. Returns their number; if it is smaller,
 * the file has no more.
 */
ssize_t hak_reader_first(int dir, const char *path, void *buf, size_t bytes);
/*
 * Reads the bytes that follow, until another file is read; not after a read that failed or came to
 * the end.
 */
ssize_t hak_reader_more(void *buf, size_t bytes);
/* Does what hak_proc_read() does. */
ssize_t hak_reader_text(int dir, const char *path, char *buf, size_t bytes);

/*
 * Reads a number of /proc/PID/stat, see hak_proc_field(). hak_reader_state() returns the letter
 * that ps shows, 0 if unknown.
 */
int hak_reader_stat(int procfd, unsigned field, uint64_t *ret);
char hak_reader_state(int procfd);

/* Does what pread() does, for at most HAK_READER_BYTES. */
ssize_t hak_reader_at(int fd, void *buf, size_t bytes, uint64_t offset);

/*
 * Does what process_madvise() does, for up to HAK_READER_PARTS parts. The kernel does not let this
 * wait be killed: while a reader that was given up is still in the call, -ETIME is returned at
 * once.
 */
ssize_t hak_reader_advise(int pidfd, const struct iovec *part, unsigned parts, int advice);

#endif
