/* SPDX-License-Identifier: MIT */
/*
 * The only file that talks to the kernel about memory. Raw system calls (no cancellation points, no
 * errno, no stdio), one counted function per kind; with stats.timing on each is timed. Every other
 * module calls these and never mmap() itself. Nothing here allocates or takes a lock.
 *
 * After a sandbox may have been entered (hak_os_sandboxed(), set by the interposed prctl) only
 * mmap, munmap, mremap, mprotect, futex, madvise(DONTNEED) and madvise(FREE) are made: anything
 * else is refused here with -EPERM.
 *
 * Errors are negative errno; mappings are NULL on failure. In debug builds tests can let calls fail
 * (stop.h), and none may be made under POOL, EXTENT or RCACHE.
 */
#ifndef HAK_OS_H
#define HAK_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/hak.h"

/* every mapping of ours owns whole slices (HAZARDS: strangers) */
#define HAK_SLICE  ((size_t)64 << 10)
#define HAK_EXTENT ((size_t)2 << 20)

extern HAK_HIDDEN size_t hak_page; /* bytes of a page, from auxv */

void hak_os_init(void); /* page size; idempotent, callable before constructors */

/*
 * Zeroed private memory at an address aligned to `align` (a power of two >= a slice). NULL: no
 * memory.
 */
void *hak_os_map(size_t bytes, size_t align);
/*
 * Closes our own memory: the pages go, nothing may touch the address space, and nobody is charged
 * for it (Committed_AS, RLIMIT_DATA). What was done to the mapping by mlock, madvise and the like
 * is undone. 0 or -errno, the old mapping kept on failure.
 */
int hak_os_close(void *p, size_t bytes);
/*
 * Opens closed memory again: zeroed, charged for. -errno: the kernel refuses the charge or the
 * mapping that it takes; part of it may be open then.
 */
int hak_os_open(void *p, size_t bytes);
/* Replaces a reservation of ours by zeroed memory. 0 or -errno: it is a reservation. */
int hak_os_remap_fresh(void *p, size_t bytes);
/* 0, or -errno: the caller keeps the mapping. */
int hak_os_unmap(void *p, size_t bytes);
int hak_os_dontneed(void *p, size_t bytes);
int hak_os_free(void *p, size_t bytes); /* MADV_FREE; -EINVAL where refused */
int hak_os_hugepage(void *p, size_t bytes, bool on);
/* Bytes of resident pages in our own mapping, by mincore; all of it where asking is not allowed. */
size_t hak_os_resident_bytes(void *p, size_t bytes);
/* Resizes in place (0 or -errno), or moves to `to`, memory of ours that is replaced. */
int hak_os_grow(void *p, size_t old_bytes, size_t bytes);
int hak_os_move(void *p, size_t old_bytes, void *to, size_t bytes);

/*
 * For tables, and for extents that are made piece by piece: address space that cannot be touched,
 * is not charged for, not locked by mlockall(MCL_FUTURE), and is not part of memory dumps; then
 * pieces of it enabled, to which none of that applies.
 */
/* PROT_READ: reads as zeros; else PROT_NONE */
void *hak_os_reserve(size_t bytes, bool readable);
void *hak_os_reserve_aligned(size_t bytes);	/* to `bytes`, a power of two */
int hak_os_reserve_over(void *p, size_t bytes); /* our own mapping; kept on failure */
void *hak_os_reserve_at(void *p, size_t bytes); /* PROT_NONE, exactly there; NULL: taken */
/* SIZE_MAX: none. Not in a sandbox. */
size_t hak_os_address_limit(void);	       /* RLIMIT_AS */
size_t hak_os_data_limit(void);		       /* RLIMIT_DATA */
int hak_os_enable(void *p, size_t bytes);      /* zeroed, read-write from now on */
int hak_os_enable_kept(void *p, size_t bytes); /* what fork does to it stays so */
/*
 * Whether it is part of memory dumps, the kernel's and a debugger's; in a sandbox as it was. In a
 * child of a signal handler under whatever lock it came, and not counted.
 */
void hak_os_dump(void *p, size_t bytes, bool yes);
int hak_os_wipe_on_fork(void *p, size_t bytes); /* MADV_WIPEONFORK */
/* MADV_KEEPONFORK and back: of a signal handler, under whatever lock it came, and not counted. */
int hak_os_keep_on_fork(void *p, size_t bytes, bool keep);

/* In a sandbox all of them are the coarse clock, which needs no system call. */
uint64_t hak_os_now_ms(void);	   /* CLOCK_MONOTONIC_COARSE; debug builds: stop.h */
uint64_t hak_os_now_ns(void);	   /* CLOCK_MONOTONIC */
uint64_t hak_os_boottime_ns(void); /* CLOCK_BOOTTIME */

void hak_os_set_sandboxed(void); /* since before the start: no clock was safe to ask */
void hak_os_enter_sandbox(void); /* soon: the clocks are asked for the last time */
bool hak_os_sandboxed(void);
void hak_os_forgo_mincore(void); /* a filter kills for it: what is kept counts as resident */

/* Kernel release as major << 16 | minor, from uname; cached. */
uint32_t hak_os_kernel(void);

#endif
