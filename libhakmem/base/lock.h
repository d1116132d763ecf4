/* SPDX-License-Identifier: MIT */
/*
 * The library's one kind of lock: a futex word that knows its owner. No allocation, no
 * initialisation, no pthread. Every lock is a row of the table below; its place there is the lock
 * order (a thread may take a lock only if it holds none of the same or a later place), checked in
 * debug builds, and the order in which fork takes them all.
 *
 * Waiting is a futex wait after a short spin. A thread that asks for a lock it holds already is a
 * signal handler that allocates where it interrupted the allocator: hak_die(), never a hang.
 * Between fork's prepare and its parent or child handler the forking thread may re-enter (other
 * libraries' handlers allocate): see hak_lock_fork_*().
 */
#ifndef HAK_LOCK_H
#define HAK_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hak.h"

enum hak_lock_id {
	/* tune.c: applying a generation, creating or dropping the segment */
	HAK_LOCK_TUNE,
	HAK_LOCK_SHARED,   /* life.c: the heap of threads that have none */
	HAK_LOCK_PURGE,	   /* purge.c: one purger at a time */
	HAK_LOCK_REGISTRY, /* life.c, dead.c: heaps, dead and alive */
	HAK_LOCK_POOL,	   /* pool.c: partly used slabs without an owner */
	HAK_LOCK_EXTENT,   /* extent.c: superslabs, run extents, free extents */
	HAK_LOCK_RCACHE,   /* ring.c: the region cache */
	HAK_LOCK_META,	   /* meta.c: descriptors, map leaves */
	HAK_LOCKS
};

/*
 * One word says free (0), or who holds it (the address of a thread-local variable: unique among
 * threads, the same after fork and in a vfork child, and had without a system call) with bit 0 set
 * when somebody waits. A signal handler that interrupts its thread anywhere in here finds either
 * "free" or its own thread's name.
 */
struct hak_lock {
	_Atomic uint64_t word;
};
#define HAK_LOCK_WAITED ((uint64_t)1)

extern HAK_HIDDEN struct hak_lock hak_locks[HAK_LOCKS];

void hak_lock(enum hak_lock_id id);
bool hak_trylock(enum hak_lock_id id);
void hak_unlock(enum hak_lock_id id);
/* By whichever thread; in a copy of the process: by one that stayed behind. */
bool hak_lock_taken(enum hak_lock_id id);
bool hak_lock_held(enum hak_lock_id id); /* by the calling thread */
bool hak_lock_held_any(void);

/* Debug builds, before a system call: the caller holds none under which there may be none. */
#if HAK_DEBUG
void hak_lock_check_call(void);
#else
static inline void hak_lock_check_call(void)
{
}
#endif

/*
 * fork.c only. prepare takes all in order; parent and child let go of all; a re-entry in between is
 * granted.
 */
void hak_lock_fork_prepare(void);
void hak_lock_fork_parent(void);
void hak_lock_fork_child(void);
/*
 * In the copy that a signal handler made, by the thread that it interrupted with locks held: those
 * of other threads are free, its own stay held, and with the last of them goes a call of
 * `when_free`.
 */
void hak_lock_fork_inside(void (*when_free)(void));

#endif
