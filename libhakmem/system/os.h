/* SPDX-License-Identifier: MIT */
/*
 * The only file that talks to the kernel about memory. It makes raw system calls (no cancellation
 * points, no errno, no stdio), with one counted function for each kind. With stats.timing on each
 * call is timed. All other modules call these functions and never mmap() itself. Nothing here
 * allocates or takes a lock.
 *
 * After a sandbox may have been entered (hak_os_sandboxed(), set by the interposed prctl) only
 * mmap, munmap, mremap, mprotect, futex, madvise(DONTNEED) and madvise(FREE) are made; all other
 * calls are refused here with -EPERM.
 *
 * Errors are negative errno values; mappings are NULL on failure. In debug builds tests can let
 * calls fail (stop.h), and no call may be made under POOL, EXTENT or RCACHE.
 */
#ifndef HAK_OS_H
#define HAK_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hak.h"

/* every mapping of the library covers whole slices (doc/hazards.md) */
#define HAK_SLICE  ((size_t)64 << 10)
#define HAK_EXTENT ((size_t)2 << 20)

extern HAK_HIDDEN size_t hak_page; /* bytes of a page, from auxv */

void hak_os_init(void); /* reads the page size; idempotent, callable before constructors */

/*
 * Returns zeroed private memory at an address aligned to `align` (a power of two >= a slice), or
 * NULL: no memory.
 */
void *hak_os_map(size_t bytes, size_t align);
/*
 * Closes memory of the library. The pages go, the address space becomes inaccessible, and the
 * kernel does not charge for it (Committed_AS, RLIMIT_DATA). Effects of mlock, madvise and the like
 * on the mapping are undone. Returns 0, or -errno with the old mapping kept.
 */
int hak_os_close(void *p, size_t bytes);
/*
 * Opens closed memory again: zeroed, and charged for. Returns -errno if the kernel refuses the
 * charge or a mapping; a part of the memory may be open then.
 */
int hak_os_open(void *p, size_t bytes);
/*
 * Replaces a reservation of the library by zeroed memory. Returns 0, or -errno: it is still a
 * reservation.
 */
int hak_os_remap_fresh(void *p, size_t bytes);
/* Returns 0, or -errno: the caller keeps the mapping. */
int hak_os_unmap(void *p, size_t bytes);
int hak_os_dontneed(void *p, size_t bytes);
int hak_os_free(void *p, size_t bytes); /* MADV_FREE; -EINVAL where refused */
int hak_os_hugepage(void *p, size_t bytes, bool on);
/*
 * Returns the bytes of resident pages in a mapping of the library, by mincore. Where that call is
 * not allowed, all bytes count.
 */
size_t hak_os_resident_bytes(void *p, size_t bytes);
/*
 * Resizes a mapping in place, returning 0 or -errno, or moves it to `to`, replacing memory of the
 * library there.
 */
int hak_os_grow(void *p, size_t old_bytes, size_t bytes);
int hak_os_move(void *p, size_t old_bytes, void *to, size_t bytes);

/*
 * For tables, and for extents that are made piece by piece. A reservation is address space that
 * cannot be touched, is not charged for, not locked by mlockall(MCL_FUTURE), and not part of memory
 * dumps. Enabled pieces of it are the opposite in all four.
 */
/* PROT_READ, reads as zeros, if `readable`; otherwise PROT_NONE */
void *hak_os_reserve(size_t bytes, bool readable);
void *hak_os_reserve_aligned(size_t bytes);	/* aligned to `bytes`, a power of two */
int hak_os_reserve_over(void *p, size_t bytes); /* a mapping of the library; kept on failure */
void *hak_os_reserve_at(void *p, size_t bytes); /* PROT_NONE, exactly there; NULL if taken */
/* SIZE_MAX if there is no limit. Not callable in a sandbox. */
size_t hak_os_address_limit(void);	       /* RLIMIT_AS */
size_t hak_os_data_limit(void);		       /* RLIMIT_DATA */
int hak_os_enable(void *p, size_t bytes);      /* zeroed, read-write from now on */
int hak_os_enable_kept(void *p, size_t bytes); /* keeps what fork does to the memory */
/* Gives the pages of an enabled piece back; it reads as zeros. Kept where memory is locked. */
int hak_os_clear(void *p, size_t bytes);
/*
 * Sets whether the memory is part of dumps by the kernel and by debuggers; in a sandbox nothing
 * changes. A child of a signal handler may call this under any lock. Not counted.
 */
void hak_os_dump(void *p, size_t bytes, bool yes);
int hak_os_wipe_on_fork(void *p, size_t bytes); /* MADV_WIPEONFORK */
/* MADV_KEEPONFORK and back. A signal handler may call this under any lock. Not counted. */
int hak_os_keep_on_fork(void *p, size_t bytes, bool keep);

/* In a sandbox all of these are the coarse clock, which needs no system call. */
uint64_t hak_os_now_ms(void);	   /* CLOCK_MONOTONIC_COARSE; debug builds: stop.h */
uint64_t hak_os_now_ns(void);	   /* CLOCK_MONOTONIC */
uint64_t hak_os_boottime_ns(void); /* CLOCK_BOOTTIME */

/* Whether `then` is past, of two times of one of these clocks. */
static inline bool hak_is_past(uint64_t now, uint64_t then)
{
	return (int64_t)(now - then) >= 0;
}

void hak_os_set_sandboxed(void); /* since before the start: no clock was safe to read */
void hak_os_enter_sandbox(void); /* before it is entered: last reading of the clocks */
bool hak_os_sandboxed(void);
void hak_os_forgo_mincore(void); /* a filter kills for mincore: kept memory counts as resident */

/*
 * Has each processor that runs a thread of this process execute a full memory barrier
 * (membarrier(2), private expedited). Returns 0, or -errno if the kernel has no such call or a
 * sandbox or a filter forbids it. prepare() says whether there is a barrier, and registers the
 * process for it. The kernel registers a process with one thread at once; with more threads that
 * may take some 10 ms.
 */
bool hak_os_barrier_prepare(void);
int hak_os_barrier(void);
void hak_os_forgo_barrier(void); /* a filter kills for membarrier */

/* Reads the beginning of a file as a string. Returns its bytes, 0 on failure. Not counted. */
size_t hak_os_read_text(const char *path, char *buf, size_t max);
/*
 * Calls `see` for each line of a file, without the newline; of a line that does not fit into `buf`
 * it is the beginning. The file is read up to 64 times `max` bytes.
 */
void hak_os_each_line(const char *path, char *buf, size_t max,
		      void (*see)(const char *line, void *arg), void *arg);

/* Returns the kernel release as major << 16 | minor, from uname; cached. */
uint32_t hak_os_kernel(void);

#endif
