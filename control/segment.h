/* SPDX-License-Identifier: MIT */
/*
 * A process's segment, from outside: finds, opens and validates it. snapshot.h reads the figures,
 * tunewrite.h writes tunables, target.h finds the processes.
 *
 * For hakmemctl, hakmemd and tests. A struct hak_segment belongs to one thread at a time; nothing
 * here locks.
 *
 * The owner of the process may have forged everything in the segment. Therefore:
 *   - /proc/PID is opened once, after the pidfd. Every file of the process is reached through that
 *     descriptor, which answers ESRCH once the process is gone, so a reused pid is never mistaken
 *     for the process.
 *   - A memfd is looked at through O_PATH (regular file, same filesystem as this program's memfds)
 *     before it is opened, non-blocking. It is used only with the seals that make truncation
 *     impossible.
 *   - The header and the descriptors are copied once, validated as copies, and never read again.
 *     The rest is read by pread with offsets that were checked against the copy. The stats memfd is
 *     never mapped.
 *   - The stats memfd is opened through /proc/PID/map_files, for which the reader needs
 *     CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. A reader without them reads the same bytes from
 *     /proc/PID/mem, at the addresses of the mappings. The process can delay a page of its memory
 *     for ever (userfaultfd, FUSE). So a reader that may not wait (HAK_SEGMENT_NOWAIT) uses this
 *     way only for processes of its own user, who can stop the reader anyway.
 *   - Names may hold any byte, and are escaped when they are copied (escape.h). The path of the
 *     library stays raw, because it is opened.
 *   - No command line and no environment is read, because a page of a process may take for ever.
 * What a process can still do is publish false figures about itself.
 *
 * Sums over counters that change while they are read are off by what changed. The kernel copies an
 * aligned u64 as a whole on every 64-bit machine.
 */
#ifndef HAK_SEGMENT_READER_H
#define HAK_SEGMENT_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/abi/abi.h"
#include "control/value.h"

#define HAK_COMM_BYTES 64 /* 15 and a NUL for processes; names of kernel threads are longer */
#define HAK_PATH_BYTES 512

/* Upper bounds of what a valid segment holds, beyond those of abi.h. */
#define HAK_READER_CLASSES    512u
#define HAK_READER_HEAP_BYTES 65536u /* and of what belongs to the process */

/* Mappings of one memfd that are used; the library has five. */
#define HAK_PIECES 16u

enum hak_library_state { HAK_LIBRARY_OK, HAK_LIBRARY_DELETED, HAK_LIBRARY_REPLACED };

struct hak_segment {
	pid_t pid; /* in this program's namespace */
	uid_t uid;
	char comm[HAK_COMM_BYTES]; /* escaped */
	int pidfd, procfd;	   /* -1: the kernel has no pidfds; procfd is /proc/PID */
	int stats_fd;		   /* the memfd, read-only; the process's memory if `pieces` */
	int tune_fd;		   /* -1: cannot be reached; else as tune_writable says */
	unsigned pieces;
	struct hak_piece { /* where bytes of hakmem-stats lie in its memory */
		uint64_t start, bytes, offset;
	} piece[HAK_PIECES];
	bool tune_writable;
	bool nowait;	  /* HAK_SEGMENT_NOWAIT */
	int64_t clock_ns; /* CLOCK_BOOTTIME of the process minus this program's: time namespaces */
	uint64_t stats_ino;
	char library[HAK_PATH_BYTES]; /* raw, as in maps; the program, if linked into it */
	enum hak_library_state library_state;

	struct hak_stats_header header;	  /* the validated copy */
	struct hak_counter_desc *counter; /* [header.counters] */
	struct hak_tunable_desc *tunable; /* [header.tunables] */
	uint32_t *class_size;		  /* [header.classes] */
};

enum hak_segment_flags {
	HAK_SEGMENT_WRITE = 1,	/* the tune memfd is wanted for writing */
	HAK_SEGMENT_NOWAIT = 2, /* a writer's lock held by another is -EBUSY at once */
};

/*
 * Opens the segment of process `pid`. Returns 0, or with a sentence in `why`:
 *   -ENOENT		the process has none: not hakmem, or control=off
 *   -ESTALE		the only one mapped is another process's: a child just forked
 *   -ESRCH		there is no such process, or it ended meanwhile
 *   -EACCES, -EPERM	this program may not see the segment
 *   -ENODEV		there is no /proc, or one of another PID namespace (proc.h)
 *   -EPROTONOSUPPORT	the layout has another major version
 *   -EBADMSG		the segment is not valid
 *   -E2BIG		the process has too many mappings to look through
 *   -ETIME		the budget (budget.h) was spent before the answer was known
 *   other		the error of a call
 */
int hak_segment_open(pid_t pid, unsigned flags, struct hak_segment **ret, char why[HAK_WHY_TEXT]);
void hak_segment_close(struct hak_segment *seg);

/* Returns 0, or -ESRCH: what was read belonged to a process that is gone. Called last. */
int hak_segment_alive(const struct hak_segment *seg);

/*
 * The part of hak_segment_open() that needs no process: checks and copies what lies behind
 * `stats_fd` (and seg->pieces, if any), which becomes the segment's on success; seg->stats_fd is -1
 * before. For tests, above all for fuzzing. Returns -EBADMSG, -EPROTONOSUPPORT, -ENOMEM or the
 * error of a read.
 */
int hak_segment_load(struct hak_segment *seg, int stats_fd, char why[HAK_WHY_TEXT]);
void hak_segment_unload(struct hak_segment *seg);

/*
 * Reads from hakmem-stats all bytes requested. Returns -EBADMSG for a short read, -ESRCH if the
 * process's memory is gone.
 */
int hak_segment_read(const struct hak_segment *seg, uint64_t offset, void *buf, size_t bytes);

/*
 * Opens mem or pagemap of the process, to be read by hak_reader_at(). Returns a descriptor, or
 * -errno; with -EACCES and -EPERM `why` has a sentence. The memory is that of the program that the
 * process executes at this moment.
 */
int hak_segment_open_file(const struct hak_segment *seg, const char *name, char why[HAK_WHY_TEXT]);

/* Copies the table of lazily freed ranges while no change is made to it. Returns -EAGAIN if the
 * process changes it all the time, or died during a change. Entries that the process's table lacks
 * are zero. */
int hak_segment_read_lazy(const struct hak_segment *seg, struct hak_lazy_table *ret);

/* Copies the tune page and checks its magic and its owner. Returns -EBADMSG where they are gone (a
 * hole was punched). */
int hak_segment_read_tune(const struct hak_segment *seg, struct hak_tune *ret);

/* Returns the index of the row of that name, or with that id, in the process's own tables; -1 if
 * there is none. */
int hak_segment_tunable(const struct hak_segment *seg, const char *name);
int hak_segment_counter(const struct hak_segment *seg, uint16_t id);

/*
 * Returns true while a signal or a debugger has stopped the process: it will not answer before it
 * is continued.
 */
bool hak_segment_stopped(const struct hak_segment *seg);

/* Returns CLOCK_BOOTTIME as the process sees it. */
uint64_t hak_segment_now_ns(const struct hak_segment *seg);
/* Returns CLOCK_MONOTONIC, for timeouts. */
uint64_t hak_monotonic_ns(void);
/* Returns CLOCK_REALTIME in microseconds, as the journal has it. */
uint64_t hak_realtime_us(void);

/* Returns resident bytes: exact (smaps_rollup) and slow, or by the kernel's count (statm). With a
 * budget, processes beyond 4 GiB have the latter only. 0 if unknown. */
uint64_t hak_segment_rss(const struct hak_segment *seg, bool exact);

/* Returns whether the number is that of the filesystem of memfds and of other shared memory. */
bool hak_is_memfd_device(uint32_t major_, uint32_t minor_);

/* One line of maps. `path` points into the line. */
struct hak_mapping {
	uint64_t start, end, offset, ino;
	uint32_t major, minor;
	char perms[5];
	const char *path;
};

/* Parses a line of maps, or the first line of a mapping in smaps. */
bool hak_parse_mapping(char *line, struct hak_mapping *map);

/* Does what hak_each_mapping() does, for each line of maps, smaps or smaps_rollup. */
int hak_each_line(int procfd, const char *name, int (*see)(char *line, void *arg), void *arg);

/*
 * Calls `see` for each mapping of the process, in order of address, until it returns non-zero,
 * which is returned. Returns 0 at the end, or -errno: -E2BIG after 16 MiB of text, some hundred
 * times what a real process has; -ETIME when the budget (budget.h) is spent.
 */
int hak_each_mapping(int procfd, int (*see)(const struct hak_mapping *map, void *arg), void *arg);

/* Returns 1 if the process maps something by the name of a segment, 0 if not. Cheap, proves
 * nothing. `procdir` is /proc. Returns -ETIME if the budget (budget.h) was spent before that was
 * known. */
int hak_maybe_segment(int procdir, const char *pid);

#endif
