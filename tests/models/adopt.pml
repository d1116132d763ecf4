/* SPDX-License-Identifier: MIT */
/*
 * adopt.pml - slabs and heaps change hands while others free to them.
 *
 * Stands for, in libhakmem: hak_slab_release, hak_pool_put, hak_pool_get; of
 * attach: destructor; hak_heap_take and hak_heap_give, hak_dead_scavenge,
 * hak_dead_drain; hak_slablist_settle, hak_slablist_retire; give of flush. Remote
 * frees, drains and refills are the text of slab.inc.
 *
 * Threads (two; --slow adds a third that only frees) do all of it, in any order and
 * for ever: take blocks from one slab of two and give them back, with or without a
 * heap, drain, refill from the pool, release and carve, die and adopt one of two
 * heaps, pool the slabs of a dead one. So a freer stalled anywhere meets every
 * sequence of exit, adoption and reuse. Shown, besides what remote.pml shows: a slab
 * is linked to the heap that owns it, at the time it is drained; one thread at a time
 * runs a heap; while no operation is under way, blocks freed are where the next drain
 * finds them, also on dead heaps and in the pool, and no idle slab is kept there.
 * Not here: bins and buffers (their blocks count as used), more than one class list.
 * registry_lock is taken before pool_lock.
 *
 * SLOW: FREER
 * BREAK_OWNER_BEFORE_CAS: the freer reads slab->owner before its CAS (no acquire)
 *	-> owner
 * BREAK_PUT_QUEUED: a QUEUED slab is pooled
 *	-> mapped|owner
 * BREAK_PUT_NO_CLAIM: QUEUED is looked at, not claimed, before pooling
 *	-> mapped|owner
 * BREAK_PUT_OWNER_BEFORE_CLAIM: owner = POOL before the claim
 *	-> owner
 * BREAK_PUT_OWNER_AFTER_CLEAR: owner = POOL after QUEUED was cleared (no release)
 *	-> owner
 * BREAK_PUT_SPLICE_UNLOCKED: the claimed slab is spliced outside pool_lock
 *	-> inside
 * BREAK_PUT_UNLOCKED: hak_pool_put without pool_lock
 *	-> inside
 * BREAK_PUT_KEEPS_EMPTY: a slab that became empty while pooled stays there
 *	-> used
 * BREAK_GET_QUEUED: a QUEUED slab is taken from the pool
 *	-> owner
 * BREAK_GET_NO_CLAIM: QUEUED is looked at, not claimed, before taking
 *	-> owner
 * BREAK_GET_OWNER_AFTER_CLEAR: the new owner after QUEUED was cleared (no release)
 *	-> owner
 * BREAK_GET_UNLOCKED: hak_pool_get without pool_lock
 *	-> inside|mapped
 * BREAK_DEAD_BEFORE_FLUSHED: the heap is on the dead list before it is drained
 *	-> mapped|running|inside
 * BREAK_DEATH_KEEPS_NAME: the thread still calls the cache its own afterwards
 *	-> inside|owner
 * BREAK_DEATH_UNMAPS_HEAP: an empty dead heap is unmapped
 *	-> heap_mapped
 * BREAK_ADOPT_UNLOCKED: two threads choose a heap without registry_lock
 *	-> running
 * BREAK_ADOPT_SLAB_ALONE: one slab of a dead heap is taken, not the heap
 *	-> owner
 * BREAK_SCAVENGE_UNLOCKED: a dead heap is emptied without registry_lock
 *	-> mapped|inside|owner
 * BREAK_SCAVENGE_LIVE: a heap is emptied that a thread runs
 *	-> mapped|inside|owner
 * BREAK_RELEASE_QUEUED: an empty slab is released though it is QUEUED
 *	-> mapped
 */
#define NSLAB		1
#define PER_SLAB	2
#define NHEAP		3
#define POOL		2	/* heaps 0 and 1 are for threads */
#define NONE		3
#include "slab.inc"

/* A heap's place; under registry_lock. */
#define FRESH	0
#define LIVE	1	/* a thread runs it */
#define DEAD	2	/* on the dead-heap list */

byte state[2];
byte running[2];	/* ghost: threads that take the heap for theirs */
bit pooled;		/* the slab is on the pool's class list; pool_lock */
bit registry_lock, pool_lock;
byte busy;		/* ghost: operations under way */

#ifdef BREAK_RELEASE_QUEUED
#define RELEASABLE(s)	(first[s] == NIL)
#else
#define RELEASABLE(s)	(first[s] == NIL && !queued[s])
#endif
#define OWN(s)		(mapped[s] && owner[s] == my)

inline lock(l)
{
	atomic { !l -> l = 1 }
}

inline unlock(l)
{
	l = 0
}

#ifdef BREAK_PUT_UNLOCKED
#define PUT_LOCK(l)	skip
#define PUT_UNLOCK(l)	skip
#else
#define PUT_LOCK(l)	lock(l)
#define PUT_UNLOCK(l)	unlock(l)
#endif
#ifdef BREAK_GET_UNLOCKED
#define GET_LOCK(l)	skip
#define GET_UNLOCK(l)	skip
#else
#define GET_LOCK(l)	lock(l)
#define GET_UNLOCK(l)	unlock(l)
#endif
#ifdef BREAK_ADOPT_UNLOCKED
#define ADOPT_LOCK(l)	skip
#define ADOPT_UNLOCK(l)	skip
#else
#define ADOPT_LOCK(l)	lock(l)
#define ADOPT_UNLOCK(l)	unlock(l)
#endif
#ifdef BREAK_SCAVENGE_UNLOCKED
#define SCAVENGE_LOCK(l)	skip
#define SCAVENGE_UNLOCK(l)	skip
#else
#define SCAVENGE_LOCK(l)	lock(l)
#define SCAVENGE_UNLOCK(l)	unlock(l)
#endif

/* Claim QUEUED as a freer would, but do not link. */
inline claim(s)
{
	d_step {
		assert(mapped[s]);
		ok = !queued[s];
		queued[s] = 1
	}
}

/* The check a careless writer would make instead: a load. */
inline claim_by_load(s)
{
	d_step {
		assert(mapped[s]);
		ok = !queued[s]
	}
}

inline hak_pool_put(s, from)
{
	PUT_LOCK(pool_lock);
#ifdef BREAK_PUT_OWNER_BEFORE_CLAIM
	owner[s] = POOL;
	claim(s);
	if
	:: !ok -> owner[s] = from
	:: else
	fi;
#elif defined(BREAK_PUT_NO_CLAIM)
	claim_by_load(s);
#else
	claim(s);
#endif
#ifdef BREAK_PUT_QUEUED
	ok = 1;
#endif
	if
	:: ok ->
#ifdef BREAK_PUT_OWNER_AFTER_CLEAR
		remote_xchg(s);
		d_step { assert(mapped[s]); owner[s] = POOL; pooled = 1 };
#else
		d_step { assert(mapped[s]); owner[s] = POOL; pooled = 1 };
#ifdef BREAK_PUT_SPLICE_UNLOCKED
		unlock(pool_lock);
#endif
		remote_xchg(s);
#endif
#ifndef BREAK_PUT_KEEPS_EMPTY
		hak_pool_trim()
#endif
	:: else
	fi;
	atomic {
		ok = 0;
		PUT_UNLOCK(pool_lock)
	}
}

/* A pooled slab whose last block came back is released. */
inline hak_pool_trim()
{
	if
	:: atomic {
		pooled && used[0] == 0 && RELEASABLE(0) ->
		pooled = 0; owner[0] = NONE; mapped[0] = 0
	   }
	:: else
	fi
}

inline hak_pool_get(h)
{
	GET_LOCK(pool_lock);
	hak_heap_drain(POOL);
	hak_pool_trim();
	if
	:: pooled ->
#ifdef BREAK_GET_NO_CLAIM
		claim_by_load(0);
#else
		claim(0);
#endif
#ifdef BREAK_GET_QUEUED
		ok = 1;
#endif
		if
		:: ok ->
#ifdef BREAK_GET_OWNER_AFTER_CLEAR
			remote_xchg(0);
			d_step { pooled = 0; owner[0] = h }
#else
			d_step { assert(mapped[0]); pooled = 0; owner[0] = h };
			remote_xchg(0)
#endif
		:: else
		fi
	:: else
	fi;
	atomic {
		ok = 0;
		GET_UNLOCK(pool_lock)
	}
}

/*
 * A block leaves the thread's bin for its slab: the flush's give. `name` is the cache
 * that the thread calls its own, or NONE; chains of one block.
 */
inline give(b)
{
	o = owner[SLAB_OF(b)];
	if
	:: o == name && name != NONE ->
		d_step {
			enter(SLAB_OF(b));
			assert(owner[SLAB_OF(b)] == name);
			st[b] = FREE;
			used[SLAB_OF(b)]--
		};
		leave(SLAB_OF(b))
	:: else ->
		hak_remote_push(SLAB_OF(b), b, b, 1)
	fi;
	o = 0
}

/* `name` is hak_self; `my` the heap the thread runs by right. */
inline hak_heap_adopt()
{
	ADOPT_LOCK(registry_lock);
#ifdef BREAK_ADOPT_SLAB_ALONE
	if
	:: atomic { mapped[0] && owner[0] == 0 && state[0] == DEAD && state[1] != LIVE ->
		owner[0] = 1 }
	:: else
	fi;
#endif
	if
	:: state[0] != LIVE -> my = 0
	:: state[0] == LIVE && state[1] != LIVE -> my = 1
	:: else
	fi;
	if
	:: my != NONE ->
		atomic {
			state[my] = LIVE;
			heap_mapped[my] = 1;
			name = my;
			running[my]++;
			assert(running[my] == 1)	/* one thread a heap */
		}
	:: else
	fi;
	ADOPT_UNLOCK(registry_lock)
}

inline bury()
{
	lock(registry_lock);
	atomic {
		state[my] = DEAD;
		running[my]--;
#ifdef BREAK_DEATH_UNMAPS_HEAP
		heap_mapped[my] = (mpsc[my] != NIL);
#endif
		unlock(registry_lock)
	}
}

/* The thread ends; its slabs stay with the heap. */
inline destructor()
{
#ifdef BREAK_DEAD_BEFORE_FLUSHED
	bury();
#endif
	hak_heap_drain(my);
	release_idle(my);
#ifndef BREAK_DEATH_KEEPS_NAME
	name = NONE;
#endif
#ifndef BREAK_DEAD_BEFORE_FLUSHED
	bury();
#endif
	my = NONE
}

inline release_idle(h)
{
	if
	:: atomic {
		mapped[0] && owner[0] == h && used[0] == 0 && RELEASABLE(0) ->
		owner[0] = NONE; mapped[0] = 0
	   }
	:: else
	fi
}

/* Any thread that needs a slab, or purges: those of a dead heap go to the pool. */
inline hak_heap_scavenge()
{
	SCAVENGE_LOCK(registry_lock);
	if
#ifdef BREAK_SCAVENGE_LIVE
	:: state[0] != FRESH -> h = 0
	:: state[1] != FRESH -> h = 1
#else
	:: state[0] == DEAD -> h = 0
	:: state[1] == DEAD -> h = 1
#endif
	:: else
	fi;
	if
	:: h != NONE ->
		hak_heap_drain(h);
		release_idle(h);
		if
		:: mapped[0] && owner[0] == h -> hak_pool_put(0, h)
		:: else
		fi
	:: else
	fi;
	atomic { h = NONE; SCAVENGE_UNLOCK(registry_lock) }
}

inline check_lost()
{
	assert(!queued[0] || (linked[0] == 1 && mpsc[owner[0]] == 1));	/* lost */
	assert((mpsc[0] != NIL) + (mpsc[1] != NIL) + (mpsc[POOL] != NIL) == linked[0]);
	assert(count[0] == (st[0] == FREED) + (st[1] == FREED));
	assert(!(owner[0] == POOL && !queued[0]) || used[0] != 0);	/* kept for nothing */
}

proctype thread()
{
	byte my = NONE, name = NONE, h = NONE;
	byte old_f, old_n, to, head, k, c, tf, tn, list, sl, o;
	bit won, ok;

	do
	:: atomic { st[0] == USED -> busy++; program_free(0) };
		give(0);
		busy--
	:: atomic { st[1] == USED -> busy++; program_free(1) };
		give(1);
		busy--
	:: atomic { my == NONE -> busy++ };
		hak_heap_adopt();
		busy--
	:: atomic { my != NONE -> busy++ };
		hak_heap_drain(my);
		busy--
	:: atomic { my != NONE -> busy++ };
		hak_pool_get(my);
		busy--
	:: atomic { OWN(0) -> busy++ };
		hak_remote_take(0);
		busy--
	:: atomic { my != NONE -> busy++ };
		destructor();
		busy--
	:: atomic { true -> busy++ };
		hak_heap_scavenge();
		busy--
	/* the program allocates */
	:: d_step { OWN(0) && st[0] == FREE ->
		st[0] = USED; used[0]++; nxt[0] = GARBAGE }
	:: d_step { OWN(0) && st[1] == FREE ->
		st[1] = USED; used[0]++; nxt[1] = GARBAGE }
	/* hak_slab_release, and a new slab in its place */
	:: d_step { OWN(0) && used[0] == 0 && RELEASABLE(0) ->
		owner[0] = NONE; mapped[0] = 0 }
	:: d_step { my != NONE && !mapped[0] ->
		mapped[0] = 1; owner[0] = my;
		first[0] = 0; count[0] = 0; queued[0] = 0 }
	:: d_step { busy == 0 && mapped[0] -> check_lost() }
	od
}

#ifdef FREER
proctype freer()
{
	byte name = NONE;
	byte old_f, old_n, to, head, o;
	bit won;

	do
	:: atomic { st[0] == USED -> busy++; program_free(0) };
		give(0);
		busy--
	:: atomic { st[1] == USED -> busy++; program_free(1) };
		give(1);
		busy--
	od
}
#endif

init
{
	d_step {
		st[0] = FREE; st[1] = FREE; owner[0] = NONE;
		heap_mapped[0] = 1; heap_mapped[1] = 1; heap_mapped[POOL] = 1
	};
	atomic { run thread(); run thread() };
#ifdef FREER
	run freer()
#endif
}
