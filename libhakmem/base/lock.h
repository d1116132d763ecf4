/* SPDX-License-Identifier: MIT */
/*
 * The library has one kind of lock: a futex word that knows its owner. A lock needs no allocation,
 * no initialisation and no pthread. Every lock is a row of the table below. The order of the rows
 * is the lock order: a thread may take a lock only while it holds none of the same or a later row.
 * Debug builds check the order, and fork takes all locks in it.
 *
 * Waiting is a futex wait after a short spin. A thread that asks for a lock that it already holds
 * is a signal handler that allocates where it interrupted the allocator. Such a request ends in
 * hak_die(), never in a hang. Between fork's prepare handler and its parent or child handler the
 * forking thread may re-enter, because other libraries' handlers allocate: see hak_lock_fork_*().
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
	HAK_LOCK_SHARED,   /* life.c: the shared heap */
	HAK_LOCK_PURGE,	   /* purge.c: one purger at a time */
	HAK_LOCK_REGISTRY, /* life.c, dead.c: heaps, dead and alive */
	HAK_LOCK_POOL,	   /* pool.c: partly used slabs without an owner */
	HAK_LOCK_EXTENT,   /* extent.c: superslabs, run extents, free extents */
	HAK_LOCK_RCACHE,   /* rcache.c: the region cache */
	HAK_LOCK_META,	   /* meta.c: descriptors, map leaves */
	HAK_LOCKS
};

/*
 * The word is 0 when the lock is free. Otherwise it is the address of a thread-local variable of
 * the holder, with bit 0 set when a thread waits. That address is unique among threads, stays the
 * same after fork and in a vfork child, and costs no system call. A signal handler that interrupts
 * its thread anywhere in this file finds either 0 or its own thread's address.
 */
struct hak_lock {
	_Atomic uint64_t word;
};
#define HAK_LOCK_WAITED ((uint64_t)1)

extern HAK_HIDDEN struct hak_lock hak_locks[HAK_LOCKS];

void hak_lock(enum hak_lock_id id);
bool hak_trylock(enum hak_lock_id id);
void hak_unlock(enum hak_lock_id id);
/*
 * True if any thread holds the lock. In a copy of the process the holder may have stayed in the
 * parent.
 */
bool hak_lock_taken(enum hak_lock_id id);
bool hak_lock_held(enum hak_lock_id id); /* by the calling thread */
bool hak_lock_held_any(void);

/*
 * Debug builds call this before a system call: the caller must hold no lock under which system
 * calls are forbidden.
 */
#if HAK_DEBUG
void hak_lock_check_call(void);
#else
static inline void hak_lock_check_call(void)
{
}
#endif

/*
 * For fork.c only. prepare takes all locks in order; parent and child release all of them. In
 * between, the forking thread's requests for locks are granted.
 */
void hak_lock_fork_prepare(void);
void hak_lock_fork_parent(void);
void hak_lock_fork_child(void);
/*
 * For the copy of a process that a signal handler made while the thread that it interrupted held
 * locks. The locks of other threads become free and the thread's own stay held. When the last of
 * these is released, `when_free` is called, unless it is NULL.
 */
void hak_lock_fork_inside(void (*when_free)(void));

#endif
