/* SPDX-License-Identifier: MIT */
/*
 * What a process can hold up: all that takes the lock of its memory, or that it holds while it
 * executes a program. The kernel makes who opens or reads /proc/PID/maps, mem, pagemap,
 * smaps_rollup or auxv, looks something up in map_files, or advises its memory, wait for these
 * locks, and a process can hold them for as long as it likes: a thread that maps a file of its own
 * FUSE file system is enough.
 *
 * Such calls are made by a process of ours, the reader, which is waited for. One that sleeps for
 * too long is killed and replaced, and the call fails with -ETIME. A thread would not do, since
 * a thread cannot be killed alone. The reader is a child of a keeper, which is forked at
 * the first use, while the program is small: a new reader costs what a small process costs, however
 * large the program has become.
 *
 * A process that reads such a file, status, stat or statm, holds the memory for a moment, as in
 * mmget(). If the process ends in that moment it is the reader that takes its memory down, and that
 * can wait for a FUSE server of the process's, which no signal ends. A reader that was killed and
 * still lives costs its account, see hak_share_account(): none of its processes is looked at until
 * the reader is gone. For others there are more readers.
 *
 * The time that the reader works or sleeps is charged to the budget (budget.h), as if the caller
 * had worked. With a budget a reader may sleep for 100 ms, and none is asked once the budget is
 * spent; without one, where somebody asked for this one process, for 2 s.
 *
 * For: control/, hakmemctl, hakmemd. The reader is the program's, and not for several threads.
 */
#ifndef HAK_READER_H
#define HAK_READER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define HAK_READER_BYTES 32768u
#define HAK_READER_PARTS 16u

/* All answer -ETIME if it takes too long, or what the system said. `dir` is a folder, or -1 with an
 * absolute path; paths are below 64 bytes. */

/* As openat(); the descriptor is the caller's, and closed when it executes a program. */
int hak_reader_open(int dir, const char *path, int flags);

/* The file's first `bytes`, at most HAK_READER_BYTES; how many. Fewer: there are no more. */
ssize_t hak_reader_first(int dir, const char *path, void *buf, size_t bytes);
/* Those that follow, until another file is read; not once a read has failed or come to the end. */
ssize_t hak_reader_more(void *buf, size_t bytes);
/* As hak_proc_read(). */
ssize_t hak_reader_text(int dir, const char *path, char *buf, size_t bytes);

/* A number of /proc/PID/stat, see hak_proc_field(); the letter that ps shows, 0 if unknown. */
int hak_reader_stat(int procfd, unsigned field, uint64_t *ret);
char hak_reader_state(int procfd);

/* As pread(), and at most HAK_READER_BYTES. */
ssize_t hak_reader_at(int fd, void *buf, size_t bytes, uint64_t offset);

/*
 * As process_madvise(), of up to HAK_READER_PARTS parts. The kernel does not let this wait be
 * killed: while a reader that was given up is still in it, the answer is -ETIME at once.
 */
ssize_t hak_reader_advise(int pidfd, const struct iovec *part, unsigned parts, int advice);

#endif
