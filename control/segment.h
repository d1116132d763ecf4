/* SPDX-License-Identifier: MIT */
/*
 * A process's segment, from outside: found, opened, validated. Reading its figures: snapshot.h.
 * Writing its tunables: tunewrite.h. Which processes there are: target.h.
 *
 * For: hakmemctl, hakmemd, tests. A struct hak_segment belongs to one thread at a time; nothing
 * here locks.
 *
 * Whoever owns the process may have forged everything in it, so:
 *   - /proc/PID is opened once, after the pidfd; every file of the process is reached through that
 * descriptor, which answers ESRCH once the process is gone, so that a reused pid is never mistaken
 * for it;
 *   - a memfd is looked at through O_PATH (regular file, same filesystem as a memfd of our own)
 * before it is opened, non-blocking, and used only with the seals that make truncation impossible;
 *   - the header and the descriptors are copied once, validated as copies, never read again; the
 * rest is read by pread with offsets that were checked against the copy. The stats memfd is never
 * mapped;
 *   - the stats memfd is opened through /proc/PID/map_files, for which the reader needs
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. A reader without them reads the same bytes from
 * /proc/PID/mem, at the addresses of the mappings. A page of memory may take for ever to arrive
 * (userfaultfd, FUSE), which the process decides: a reader that may not wait (HAK_SEGMENT_NOWAIT)
 * reads so only from processes of its own user, who can stop the reader anyway;
 *   - names may hold any byte, and are escaped when they are copied (escape.h); the path of the
 * library stays raw, as it is opened;
 *   - no command line and no environment is read: a page of a process may take for ever to arrive.
 * What it may do is lie about itself.
 *
 * Sums over counters that change while they are read are off by what changed. An aligned u64 is
 * copied by the kernel as such on every 64-bit machine.
 */
#ifndef HAK_SEGMENT_READER_H
#define HAK_SEGMENT_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/abi/abi.h"
#include "control/value.h"

#define HAK_COMM_BYTES 64 /* 15 and a NUL for processes; kernel threads have longer ones */
#define HAK_PATH_BYTES 512

/* Upper bounds of what a valid segment holds, beyond those of abi.h. */
#define HAK_READER_CLASSES    512u
#define HAK_READER_HEAP_BYTES 65536u /* and of what is the process's */

/* Mappings of one memfd that are looked at; the library has five. */
#define HAK_PIECES 16u

enum hak_library_state { HAK_LIBRARY_OK, HAK_LIBRARY_DELETED, HAK_LIBRARY_REPLACED };

struct hak_segment {
	pid_t pid; /* as we see it */
	uid_t uid;
	char comm[HAK_COMM_BYTES]; /* escaped */
	int pidfd, procfd;	   /* -1: the kernel has no pidfds; /proc/PID */
	int stats_fd;		   /* the memfd, read-only; the process's memory if `pieces` */
	int tune_fd;		   /* -1: cannot be reached; else as tune_writable says */
	unsigned pieces;
	struct hak_piece { /* where bytes of hakmem-stats lie in its memory */
		uint64_t start, bytes, offset;
	} piece[HAK_PIECES];
	bool tune_writable;
	bool nowait;	  /* HAK_SEGMENT_NOWAIT */
	int64_t clock_ns; /* its CLOCK_BOOTTIME minus ours: time namespaces */
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
 * Opens the segment of process `pid`. 0, or with a sentence in `why`:
 *   -ENOENT		it has none: not hakmem, or control=off
 *   -ESTALE		the only one it maps is another process's: a child just forked
 *   -ESRCH		no such process, or it ended meanwhile
 *   -EACCES, -EPERM	not ours to see
 *   -ENODEV		there is no /proc, or another PID namespace's (proc.h)
 *   -EPROTONOSUPPORT	another major version of the layout
 *   -EBADMSG		it has one that is not valid
 *   -E2BIG		too many mappings to look through
 *   -ETIME		the budget (budget.h) was spent before it was known what it has
 *   other		what the system said
 */
int hak_segment_open(pid_t pid, unsigned flags, struct hak_segment **ret, char why[HAK_WHY_TEXT]);
void hak_segment_close(struct hak_segment *seg);

/* 0, or -ESRCH: what was read belonged to a process that is gone. To be asked last. */
int hak_segment_alive(const struct hak_segment *seg);

/*
 * The part of hak_segment_open() that needs no process: checks and copies what lies behind
 * `stats_fd` (and seg->pieces, if any), which becomes the segment's on success; seg->stats_fd is -1
 * before. For tests, and for fuzzing above all. -EBADMSG, -EPROTONOSUPPORT, -ENOMEM or the error of
 * a read.
 */
int hak_segment_load(struct hak_segment *seg, int stats_fd, char why[HAK_WHY_TEXT]);
void hak_segment_unload(struct hak_segment *seg);

/* Whole reads of hakmem-stats; -EBADMSG for a short one, -ESRCH if the process's memory is gone. */
int hak_segment_read(const struct hak_segment *seg, uint64_t offset, void *buf, size_t bytes);

/* A copy of the table of lazily freed ranges to which no change was made; -EAGAIN if the process
 * changes it all the time, or died while it did. What the process has no room for is zero. */
int hak_segment_read_lazy(const struct hak_segment *seg, struct hak_lazy_table *ret);

/* A copy of the tune page, its magic and its owner checked: -EBADMSG where they are gone (a hole
 * was punched). */
int hak_segment_read_tune(const struct hak_segment *seg, struct hak_tune *ret);

/* Index of the row of that name, or with that id, in the process's own tables; -1 if there is none.
 */
int hak_segment_tunable(const struct hak_segment *seg, const char *name);
int hak_segment_counter(const struct hak_segment *seg, uint16_t id);

/* True while a signal or a debugger has stopped it: it will not answer before it is let go on. */
bool hak_segment_stopped(const struct hak_segment *seg);

/* CLOCK_BOOTTIME as the process sees it, now. */
uint64_t hak_segment_now_ns(const struct hak_segment *seg);
/* CLOCK_MONOTONIC, for how long we wait. */
uint64_t hak_monotonic_ns(void);

/* Resident bytes: exact (smaps_rollup) and slow, or as the kernel keeps count (statm), which with a
 * budget is what there is of processes beyond 4 GiB; 0 if unknown. */
uint64_t hak_segment_rss(const struct hak_segment *seg, bool exact);

/* One line of maps. `path` points into the line. */
struct hak_mapping {
	uint64_t start, end, offset, ino;
	uint32_t major, minor;
	char perms[5];
	const char *path;
};

/*
 * Calls `see` for each mapping of the process, in order of address, until it answers non-zero,
 * which is returned; 0 at the end; -errno. -E2BIG after 16 MiB of text, some hundred times what a
 * real process has; -ETIME when the budget (budget.h) is spent.
 */
int hak_each_mapping(int procfd, int (*see)(const struct hak_mapping *map, void *arg), void *arg);

/* 1 if the process maps something by the name of a segment, 0 if not; cheap, proves nothing.
 * `procdir` is /proc. -ETIME: the budget (budget.h) was spent before that was known. */
int hak_maybe_segment(int procdir, const char *pid);

#endif
