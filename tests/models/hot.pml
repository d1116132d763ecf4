/* SPDX-License-Identifier: MIT */
/*
 * hot.pml - a region kept in hot of the ring by its thread, and taken away.
 *
 * Stands for, in libhakmem: hak_hot_take, hak_hot_put; of ring:
 * drop_hot, earn_hot; of whale: hak_whale_alloc and hak_whale_free as they
 * call them.
 *
 * A thread with two regions allocates and frees them, into its hot while it has the
 * right to (most), else into the ring, and earns the right again now and then; a purger
 * takes the right and what lies there away. For ever. Shown: a region has one owner at a
 * time; while no operation is under way, a region in hot is backed by the
 * right to keep it there, which is what the ring's limits count.
 * Not here: sizes, epochs, the ring's own lists (rcache.pml).
 *
 * BREAK_MOST_READ_EARLY: the right is looked at before the region is put there only
 *	-> most
 * BREAK_TAKEN_BEFORE_MOST: the purger takes the region, then the right
 *	-> most
 * BREAK_TAKE_IN_TWO: the thread takes its region by a load and a store
 *	-> owner
 * BREAK_DROP_IN_TWO: the purger takes the region by a load and a store
 *	-> owner
 */
#define NIL	0
#define REGIONS	2

#define THREAD	1
#define FRONT	2
#define RCACHE	3
#define PURGER	4

byte owner[REGIONS + 1];	/* ghost */
byte hot;			/* hot.region */
bit most;			/* hot.most; HAK_LOCK_RCACHE to write */
bit ring_lock;
byte busy;			/* processes within something */

inline lock() { atomic { !ring_lock -> ring_lock = 1 } }
inline unlock() { ring_lock = 0 }

inline hand(r, from, to)
{
	assert(owner[r] == from);	/* owner */
	owner[r] = to
}

/* The exchange of hot.region with `new`; what was there is the caller's. */
inline exchange(new, old, me)
{
	atomic {
		old = hot;
		hot = new;
		if
		:: new != NIL -> hand(new, me, FRONT)
		:: else
		fi;
		if
		:: old != NIL -> hand(old, FRONT, me)
		:: else
		fi
	}
}

inline to_ring(r, me)
{
	lock();
	hand(r, me, RCACHE);
	if	/* earn_hot */
	:: !most -> most = 1
	:: skip
	fi;
	unlock()
}

active proctype thread()
{
	byte r, old;
	bit may;

	do
	:: d_step { busy++; r = NIL };	/* hak_whale_alloc */
#ifdef BREAK_TAKE_IN_TWO
		old = hot;
		hot = NIL;
		if
		:: old != NIL -> hand(old, FRONT, THREAD)
		:: else
		fi;
#else
		exchange(NIL, old, THREAD);
#endif
		r = old;
		if
		:: r == NIL ->
			lock();
			if
			:: owner[1] == RCACHE -> r = 1; hand(1, RCACHE, THREAD)
			:: owner[2] == RCACHE -> r = 2; hand(2, RCACHE, THREAD)
			:: owner[1] != RCACHE && owner[2] != RCACHE
			fi;
			unlock()
		:: else
		fi;
		d_step { busy--; old = NIL };
	:: owner[1] == THREAD || owner[2] == THREAD ->	/* hak_whale_free */
		d_step {
			busy++;
			if
			:: owner[1] == THREAD -> r = 1
			:: else -> r = 2
			fi
		};
		may = most;
		if
		:: may ->
			exchange(r, old, THREAD);
#ifndef BREAK_MOST_READ_EARLY
			if
			:: old == NIL && !most -> exchange(NIL, old, THREAD)
			:: else
			fi;
#endif
			r = old
		:: else
		fi;
		if
		:: r != NIL -> to_ring(r, THREAD)
		:: else
		fi;
		d_step { busy--; old = NIL; r = NIL; may = 0 }
	od
}

active proctype purger()
{
	byte old;

	do
	:: busy++;
		lock();
#ifdef BREAK_TAKEN_BEFORE_MOST
		exchange(NIL, old, PURGER);
		most = 0;
#else
		most = 0;
#ifdef BREAK_DROP_IN_TWO
		old = hot;
		hot = NIL;
		if
		:: old != NIL -> hand(old, FRONT, PURGER)
		:: else
		fi;
#else
		exchange(NIL, old, PURGER);
#endif
#endif
		if
		:: old != NIL -> hand(old, PURGER, RCACHE)
		:: else
		fi;
		unlock();
		d_step { busy--; old = NIL }
	od
}

active proctype watcher()
{
	do
	:: atomic { busy == 0 -> assert(hot == NIL || most) /* backed */ }
	od
}

init
{
	atomic { owner[1] = RCACHE; owner[2] = RCACHE }
}
