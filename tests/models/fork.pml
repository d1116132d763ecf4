/* SPDX-License-Identifier: MIT */
/*
 * fork.pml - fork while another thread is anywhere in the allocator.
 *
 * Stands for, in libhakmem: hak_lock, hak_unlock, hak_lock_fork_prepare,
 * hak_lock_fork_parent, hak_lock_fork_child; prepare, parent and child
 * of fork; hak_heap_busy, hak_heap_idle; hak_heap_fork_child.
 *
 * One thread takes the two locks of the table in order, or changes the lists of its
 * heap. The other does the same with the locks, is interrupted by a handler that
 * allocates, and forks again and again, with handlers of another library that allocate
 * after our prepare, and in the child before our handler. The child is the state at
 * the fork, looked at once: it has no other thread. Shown: what a lock guards is whole
 * in the child; every lock is free there afterwards; a heap that is adopted is whole;
 * a block is never handed out twice; no thread waits for ever: one that meets itself
 * dies. Memory at the fork is taken to be that of one moment, as was measured, so that
 * stores count in the order in which they become visible.
 * Not here: a slab whose linker did not survive (it stays QUEUED and is leaked).
 *
 * BREAK_PREPARE_SKIPS_LOCK: a lock is missing in the table
 *	-> guarded
 * BREAK_PREPARE_BACKWARDS: prepare takes the locks from the end of the table
 *	-> invalid end state
 * BREAK_FORKER_SET_EARLY: the forker may re-enter before it has all locks
 *	-> guarded
 * BREAK_FORKER_KEPT: parent does not take the right to re-enter away
 *	-> word
 * BREAK_NO_REENTRY: the forker may not re-enter
 *	-> 0&& !.0.
 * BREAK_TID_READ_AGAIN: the forker is known by the thread id it has in the child
 *	-> forker&& !.1.
 * BREAK_CHILD_KEEPS_LOCKS: the child does not free the locks
 *	-> word
 * BREAK_OWNER_APART: a lock's owner is stored after the lock is taken
 *	-> invalid end state
 * BREAK_BUSY_LATE: a heap is marked busy after the first change
 *	-> nfree
 * BREAK_IDLE_EARLY: the mark is cleared before the last change
 *	-> nfree
 * BREAK_BUSY_ADOPTED: the child adopts heaps that were busy
 *	-> nfree
 * BREAK_SAVED_COPIED: the forker's bin is copied in prepare, and used on
 *	-> in_use
 */
#define LOCKS	2
#define FREE	0
#define F	1		/* the forking thread */
#define W	2		/* the other */
#define NOBODY	3

byte word[LOCKS];		/* who holds the lock; the futex word itself */
#ifdef BREAK_OWNER_APART
bit taken[LOCKS];
#endif
bit forker;			/* F holds all and may re-enter */
byte guarded[2 * LOCKS];	/* pairs: equal unless their lock is held */
bit dead;			/* hak_die() */

/* W's heap: a list of `head` nodes, counted apart. */
bit busy;
byte head, nfree;

/* F's bin and its slab: sets of blocks. */
byte bin = 3, saved, slab = 12, in_use;

#ifdef BREAK_NO_REENTRY
#define REENTER	0
#else
#define REENTER	forker
#endif

/* A handler of F's that allocates, and so wants the same lock. */
#ifdef BREAK_OWNER_APART
#define SIGNAL(l, me) \
	if \
	:: me == F -> \
		if \
		:: atomic { taken[l] && word[l] == me -> dead = 1 } \
		:: dead || !taken[l] \
		fi \
	:: skip \
	fi
#else
#define SIGNAL(l, me) \
	if \
	:: me == F && !dead -> \
		if \
		:: atomic { word[l] == me -> dead = 1 } \
		:: dead || word[l] == FREE \
		fi \
	:: skip \
	fi
#endif

/* Of `me`; a thread that meets itself dies unless it is the forker. */
inline hak_lock(l, me)
{
	if
	:: me == F && REENTER
	:: else ->
#ifdef BREAK_OWNER_APART
		if
		:: atomic { taken[l] && word[l] == me -> dead = 1 }
		:: atomic { dead || (!taken[l] && word[l] != me) -> taken[l] = 1 }
		fi;
		SIGNAL(l, me);
		word[l] = me
#else
		if
		:: atomic { word[l] == me -> dead = 1 }
		:: atomic { dead || word[l] == FREE -> word[l] = me }
		fi
#endif
	fi
}

inline hak_unlock(l, me)
{
	if
	:: me == F && REENTER
	:: else ->
		word[l] = FREE;
#ifdef BREAK_OWNER_APART
		SIGNAL(l, me);
		taken[l] = 0
#endif
	fi
}

/* What a lock guards is changed in two steps. */
inline change(l)
{
	guarded[2 * l]++;
	guarded[2 * l + 1]++;
	d_step {
		assert(dead || guarded[2 * l] == guarded[2 * l + 1]);
		guarded[2 * l] = 0; guarded[2 * l + 1] = 0
	}
}

/* Hands out a block of the bin; F alone. */
inline malloc_fast()
{
	d_step {
		x = (bin & 1 -> 1 : (bin & 2 -> 2 : (bin & 4 -> 4 : 8)));
		assert(!(in_use & x));
		bin = bin & ~x; in_use = in_use | x; x = 0
	}
}

/* The slow path: the bin takes a block from the slab. F re-enters, both locks held. */
inline reentry(tid_changed)
{
	assert(REENTER && !(tid_changed));
	if
	:: bin -> malloc_fast()
	:: !bin && slab ->
		d_step {
			bin = (slab & 4 -> 4 : 8);
			slab = slab & ~bin
		};
		malloc_fast()
	:: else
	fi
}

#ifdef BREAK_TID_READ_AGAIN
#define TID_CHANGED	1
#else
#define TID_CHANGED	0
#endif

inline prepare()
{
#ifdef BREAK_FORKER_SET_EARLY
	forker = 1;
#endif
#ifdef BREAK_PREPARE_BACKWARDS
	hak_lock(1, F);
	hak_lock(0, F);
#else
	hak_lock(0, F);
#ifndef BREAK_PREPARE_SKIPS_LOCK
	hak_lock(1, F);
#endif
#endif
	forker = 1;
#ifdef BREAK_SAVED_COPIED
	saved = bin
#else
	d_step { saved = bin; bin = 0 }
#endif
}

inline parent()
{
#ifndef BREAK_SAVED_COPIED
	d_step { bin = bin | saved; saved = 0 };	/* a flush of what came since, there */
#endif
#ifndef BREAK_FORKER_KEPT
	forker = 0;
#endif
	hak_unlock(1, F);
	hak_unlock(0, F);
	assert(word[0] != F && word[1] != F)
}

/* One look at the copy, by its only thread; nothing of it comes back. */
inline child()
{
	d_step {
		/* hak_heap_fork_child: heaps not cut in the middle */
#ifdef BREAK_BUSY_ADOPTED
		assert(head == nfree);
#else
		assert(busy || head == nfree);
#endif
		assert(guarded[0] == guarded[1]);
		assert(guarded[2] == guarded[3]);
		bin = saved;
		forker = 0;
#ifndef BREAK_CHILD_KEEPS_LOCKS
		word[0] = FREE; word[1] = FREE;
#endif
		assert(word[0] == FREE && word[1] == FREE)
	};
	do
	:: bin -> malloc_fast()
	:: else -> break
	od
}

proctype other()
{
	do
	:: dead -> break
	:: !dead ->
		hak_lock(0, W);
		change(0);
		if
		:: hak_lock(1, W); change(1); hak_unlock(1, W)
		:: skip
		fi;
		hak_unlock(0, W)
	:: !dead -> hak_lock(1, W); change(1); hak_unlock(1, W)
	/* refill or flush: lists without a lock */
	:: !dead ->
#ifdef BREAK_BUSY_LATE
		head = 1 - head;
		busy = 1;
#else
		busy = 1;
		head = 1 - head;
#endif
#ifdef BREAK_IDLE_EARLY
		busy = 0;
#endif
		nfree = 1 - nfree;
		busy = 0
	od
}

proctype forking()
{
	byte x;

	do
	:: dead -> break
	:: !dead ->
		hak_lock(0, F);
		SIGNAL(0, F);
		change(0);
		hak_unlock(0, F)
	:: !dead -> SIGNAL(0, F)
	:: !dead ->
		prepare();
		if
		:: dead -> break
		:: else
		fi;
		if
		:: reentry(0)		/* another library's prepare handler */
		:: skip
		fi;
		if
		:: atomic {		/* the child */
			if
			:: reentry(TID_CHANGED)
			:: skip
			fi;
			child();
			goto copied
		   }
		:: parent();
			d_step { slab = slab | (in_use & 12); bin = (bin | in_use) & 3; in_use = 0 }
		fi
	od;
copied:
	dead = 1
}

init
{
	atomic { run other(); run forking() }
}
