/* SPDX-License-Identifier: MIT */
/*
 * takeover.pml - the cache of a thread taken over while the thread is outside.
 *
 * Stands for, in libhakmem: hak_fast_begin, hak_fast_end and the fast paths of malloc.c
 * between them; hak_heap_enter, hak_heap_leave, hak_takeover_wait; hak_takeover_begin,
 * hak_takeover_end; of attach: destructor and hak_heap_attach; of life: init_cache.
 *
 * An owner allocates and frees one block by its fast paths, takes its slow paths, one
 * within the other, ends and is adopted; a taker empties its cache and unmaps the block.
 * For ever. The owner's stores of `working` and `inside` wait in a buffer and reach memory
 * in any order and at any time; the taker's membarrier empties it. Shown: one of the two
 * is in the cache at a time; malloc reads no block that is unmapped; a copy of the process
 * that the owner makes outside finds lists that are whole, or knows that they are not; no
 * wake-up is lost.
 * Not here: classes, counters, several owners (a taker holds HAK_LOCK_PURGE).
 *
 * BREAK_TAKEN_READ_LATE: malloc looks at its block, then at taken
 *	-> owner_in|taker_in|mapped
 * BREAK_INVERSE_READ_LATE: free changes its bin, then looks at the inverse
 *	-> owner_in|taker_in
 * BREAK_MARK_LATE: the fast path loads taken and the inverse, then stores working
 *	-> owner_in|taker_in|mapped
 * BREAK_NO_MEMBARRIER: the taker relies on its own order alone
 *	-> owner_in|taker_in|mapped
 * BREAK_JUDGED_EARLY: the taker looks at the owner, then executes the barrier
 *	-> owner_in|taker_in|mapped
 * BREAK_CLOSED_AFTER_BARRIER: the fast paths are closed behind the barrier
 *	-> owner_in|taker_in|mapped
 * BREAK_INSIDE_IGNORED: the taker looks at working only
 *	-> owner_in|taker_in
 * BREAK_END_EARLY: working is 0 before the bin is whole (no release)
 *	-> owner_in|taker_in
 * BREAK_LEFT_EARLY: inside is 0 before the lists are whole (no release)
 *	-> owner_in|taker_in
 * BREAK_OPENED_EARLY: taken is 0 before the taker is done (no release)
 *	-> owner_in|taker_in|mapped|asleep
 * BREAK_INVERSE_OPENED_EARLY: the inverse is right before the taker is done (no release)
 *	-> owner_in|taker_in
 * BREAK_ENTERED_UNSEEN: a slow path does not look at taken
 *	-> owner_in|taker_in
 * BREAK_WAITED_ONCE: who waited does not look at taken again once inside
 *	-> owner_in|taker_in
 * BREAK_TAKER_WRITES_WORKING: the taker clears working when it opens the cache
 *	-> owner_in|taker_in|mapped
 * BREAK_STATE_UNLOCKED: the taker looks at the state without HAK_LOCK_REGISTRY
 *	-> owner_in|taker_in|mapped
 * BREAK_EXIT_OUTSIDE: a thread ends without being inside
 *	-> owner_in|taker_in
 * BREAK_BORN_OUTSIDE: a cache is handed out with inside = 0
 *	-> owner_in|taker_in
 * BREAK_NOT_MARKED: the owner sleeps and does not say so
 *	-> asleep
 * BREAK_NOT_COMPARED: the futex does not compare again before it sleeps
 *	-> asleep
 * BREAK_CUT_UNKNOWN: taken_over is cleared before the lists are whole (no release)
 *	-> busy
 */
#define LIVE	1
#define DEAD	2

/* struct hak_cache, in memory and as its owner has it */
byte working, inside, taken;
bit inverse = 1;
byte my_working, my_inside;

bit head;		/* the bin has the block */
bit mapped;		/* the block's memory is there */
bit has;		/* the program has it */
byte a, b;		/* lists: whole where equal */
bit busy, taken_over;
byte state = LIVE;
bit registry;
bit asleep;		/* in the futex */

/* ghosts */
byte owner_in, taker_in;

#define FLUSH	d_step { working = my_working; inside = my_inside }

inline lock() { atomic { !registry -> registry = 1 } }
inline unlock() { registry = 0 }

inline owner_begin()
{
	d_step {
		owner_in++;
		assert(!taker_in)	/* alone */
	}
}

inline owner_end()
{
	d_step {
		assert(!taker_in);	/* alone */
		owner_in--
	}
}

inline change()
{
	a = 1 - a;
	b = 1 - b
}

/* A copy of the process that runs no handlers, or those of a thread with a lock. */
inline copied()
{
	d_step { assert((taken_over && busy) || a == b) /* whole */ }
}

#ifdef BREAK_MARK_LATE
#define MARK_FIRST	skip
#define MARK_LAST	my_working = 1
#else
#define MARK_FIRST	my_working = 1
#define MARK_LAST	skip
#endif
#ifdef BREAK_END_EARLY
#define END_FIRST	my_working = 0
#define END_LAST	skip
#else
#define END_FIRST	skip
#define END_LAST	my_working = 0
#endif

/* `ok`: no slow path is needed. */
inline malloc_fast()
{
	MARK_FIRST;
#ifdef BREAK_TAKEN_READ_LATE
	p = head;
	assert(!p || mapped);	/* mapped */
	seen = taken;
#else
	seen = taken;
	MARK_LAST;
	if
	:: !seen -> p = head
	:: else -> p = 0
	fi;
	assert(!p || mapped);	/* mapped */
#endif
	ok = p && !seen;
	if
	:: ok ->
		owner_begin();
		END_FIRST;
		head = 0;
		has = 1;
		change();
		owner_end();
		END_LAST
	:: else
	fi;
	d_step { p = 0; seen = 0 }
}

inline free_fast()
{
	MARK_FIRST;
#ifdef BREAK_INVERSE_READ_LATE
	owner_begin();
	change();
	ok = inverse;
	owner_end();
#else
	ok = inverse;
	MARK_LAST;
#endif
	if
	:: ok ->
		owner_begin();
		END_FIRST;
		has = 0;
		head = 1;
		change();
		owner_end();
		END_LAST
	:: else
	fi
}

inline hak_takeover_wait()
{
	do
	:: my_inside--;
		do
		:: taken == 0 -> break
		:: else ->
#ifndef BREAK_NOT_MARKED
			atomic {
				if
				:: taken == 1 -> taken = 2
				:: else
				fi
			};
#endif
			atomic {
				if
#ifdef BREAK_NOT_COMPARED
				:: true -> asleep = 1
#elif defined(BREAK_NOT_MARKED)
				:: taken == 1 -> asleep = 1
				:: else
#else
				:: taken == 2 -> asleep = 1
				:: else
#endif
				fi
			};
			!asleep
		od;
		my_inside++;
#ifndef BREAK_WAITED_ONCE
		if
		:: taken == 0 -> break
		:: else
		fi
#else
		break
#endif
	od
}

inline hak_heap_enter()
{
	my_inside++;
	my_working = 0;
#ifndef BREAK_ENTERED_UNSEEN
	if
	:: taken -> hak_takeover_wait()
	:: else
	fi
#endif
}

inline hak_heap_leave()
{
	my_inside--
}

/* Inside. */
inline work()
{
	owner_begin();
	busy = 1;
	change();
	if
	:: has -> d_step { has = 0; head = 1 }
	:: !has && head -> d_step { has = 1; head = 0 }
	:: !has && !head -> d_step { has = 1; mapped = 1 }
	fi;
	busy = 0;
	owner_end()
}

inline slow()
{
	hak_heap_enter();
#ifdef BREAK_LEFT_EARLY
	hak_heap_leave();
	work();
#else
	work();
	if
	:: hak_heap_enter();	/* a purge, or free within free */
		owner_begin();
		change();
		owner_end();
		hak_heap_leave()
	:: skip
	fi;
	hak_heap_leave();
#endif
}

inline exit_and_adopt()
{
#ifndef BREAK_EXIT_OUTSIDE
	hak_heap_enter();
#endif
	owner_begin();
	change();
	owner_end();
	lock();
	atomic { state = DEAD; FLUSH };
	unlock();
	lock();
	owner_begin();		/* hak_dead_drain, init_cache */
	d_step { my_inside = 0; my_working = 0; inside = 0; working = 0; inverse = 1 };
	taken = 0;
#ifndef BREAK_BORN_OUTSIDE
	d_step { my_inside = 1; inside = 1 };
#endif
	change();
	state = LIVE;
	unlock();
	change();		/* pthread_setspecific, registering handlers */
	owner_end();
#ifndef BREAK_BORN_OUTSIDE
	hak_heap_leave()
#endif
}

active proctype owner()
{
	bit p, seen, ok;

	do
	:: if
	   :: !has -> malloc_fast()
	   :: else -> free_fast()
	   fi;
	   if
	   :: slow()		/* also for what has no fast path */
	   :: ok
	   fi
	:: exit_and_adopt()
	:: copied()
	od
}

/* The stores in the owner's buffer become visible. */
active proctype buffer()
{
	do
	:: d_step { working != my_working -> working = my_working }
	:: d_step { inside != my_inside -> inside = my_inside }
	od
}

#ifdef BREAK_INSIDE_IGNORED
#define IS_OUTSIDE	(!working)
#else
#define IS_OUTSIDE	(!working && !inside)
#endif

inline barrier()
{
#ifndef BREAK_NO_MEMBARRIER
	FLUSH
#else
	skip
#endif
}

inline open()
{
	inverse = 1;
#ifdef BREAK_TAKER_WRITES_WORKING
	working = 0; my_working = 0;
#endif
	d_step { waited = (taken == 2); taken = 0 };
	if
	:: waited -> asleep = 0
	:: else
	fi;
	d_step {
		waited = 0;
		assert(!asleep)	/* awake */
	}
}

inline close()
{
	taken = 1;
	inverse = 0
}

/* Two loads, as in the code. */
inline judge()
{
	ok = !working;
#ifndef BREAK_INSIDE_IGNORED
	if
	:: ok -> ok = !inside
	:: else
	fi
#endif
}

inline take()
{
#ifdef BREAK_CLOSED_AFTER_BARRIER
	barrier();
	close();
	judge();
#elif defined(BREAK_JUDGED_EARLY)
	close();
	judge();
	barrier();
#else
	close();
	barrier();
	judge();
#endif
	if
	:: !ok -> open()
	:: else
	fi
}

inline empty_cache()
{
	busy = 1;
	d_step { taker_in = 1; assert(!owner_in) /* alone */ };
	a = 1 - a;
#ifdef BREAK_CUT_UNKNOWN
	taken_over = 0;
#endif
	if
	:: head -> head = 0; mapped = 0
	:: else
	fi;
#ifdef BREAK_OPENED_EARLY
	taken = 0;
#endif
#ifdef BREAK_INVERSE_OPENED_EARLY
	inverse = 1;
#endif
	b = 1 - b;
	d_step { taker_in = 0; assert(!owner_in) /* alone */ };
	busy = 0;
	taken_over = 0
}

active proctype taker()
{
	bit ok, waited;

	do
	:: true ->
#ifdef BREAK_STATE_UNLOCKED
		ok = (state == LIVE);
#else
		lock();
		ok = (state == LIVE);
#endif
		if
		:: ok && IS_OUTSIDE -> take()
		:: else -> ok = 0
		fi;
		taken_over = ok;
#ifndef BREAK_STATE_UNLOCKED
		unlock();
#endif
		if
		:: ok -> empty_cache(); open()
		:: else
		fi;
		ok = 0
	od
}
