/* SPDX-License-Identifier: MIT */
/*
 * lazy.pml - the table of lazily freed ranges, published for who may page them out.
 *
 * Stands for, in libhakmem/page/lazy.c: hak_lazy_add, hak_lazy_remove;
 * in libhakmem/page/rcache.c: rcache_add and rcache_remove as they call them; in
 * control/pageout.c: read_ranges.
 *
 * Three regions of different sizes and a table of two, largest first; two threads free
 * and get regions (three or four changes of the table, --slow: two more), one reader.
 * Shown: no region is handed out while it is published, nor published while it is out;
 * what the reader acts upon is the table as it was at one moment of its reading: whole
 * entries, none twice. That a region may be handed out right after that moment is not
 * prevented: MADV_PAGEOUT of pages in use loses no data. MADV_FREE itself is done before
 * the region is in the ring (rcache.pml).
 *
 * SLOW: LONG
 * BREAK_REMOVED_LATE: the region is handed out, then unpublished
 *	-> published
 * BREAK_ADDED_LATE: the region is in the ring, then published in a second lock hold
 *	-> state.r.
 * BREAK_UNLOCKED: the table is changed without HAK_LOCK_RCACHE
 *	-> a0|a1|published|state.r.
 * BREAK_NO_ODD: seq is not odd during a change (release fence)
 *	-> a0|a1|moment
 * BREAK_EVEN_BEFORE_CHANGE: seq is even before the change (no release)
 *	-> a0|a1|moment
 * BREAK_SEQ_READ_LATE: the reader reads seq after the table (no acquire)
 *	-> a0|a1|moment
 * BREAK_SEQ_AGAIN_EARLY: seq is read the second time before the table (no fence)
 *	-> a0|a1|moment
 * BREAK_SEQ_READ_ONCE: seq is not read again
 *	-> a0|a1|moment
 * BREAK_ODD_TAKEN: an odd seq is good enough for the reader
 *	-> a0|a1|moment
 */
#define REGIONS		3
#define RANGES		2
#ifdef LONG
#define CHANGES		5
#else
#define CHANGES		3
#endif
#define BYTES(addr)	((addr) + 10)
#define BIT(addr)	(1 << ((addr) - 1))

#define IN_USE	0
#define OUT	1	/* freed, or handed out soon: one thread's */
#define RCACHE	2

byte state[REGIONS + 1];	/* of the region at addr 1.. */
byte changes;
bit ring_lock;

byte seq, count, addr[RANGES], bytes[RANGES];
byte published;			/* ghost: set of what the table holds */

inline lazy_begin()
{
#ifndef BREAK_NO_ODD
	seq++;
#endif
#ifdef BREAK_EVEN_BEFORE_CHANGE
	seq++;
#endif
	skip
}

inline lazy_end()
{
#ifdef BREAK_NO_ODD
	seq = seq + 2
#elif defined(BREAK_EVEN_BEFORE_CHANGE)
	skip
#else
	seq++
#endif
}

/* Largest first; a full table forgets its smallest range. */
inline hak_lazy_add(r)
{
	assert(state[r] == RCACHE);
	if
	:: count == RANGES && addr[RANGES - 1] >= r
	:: else ->
		lazy_begin();
		if
		:: count == RANGES -> published = published & ~BIT(addr[1]); count = 1
		:: else
		fi;
		if
		:: count == 1 && addr[0] < r ->
			addr[1] = addr[0];
			bytes[1] = bytes[0];
			addr[0] = r;
			bytes[0] = BYTES(r)
		:: count == 1 && addr[0] >= r ->
			addr[1] = r;
			bytes[1] = BYTES(r)
		:: count == 0 ->
			addr[0] = r;
			bytes[0] = BYTES(r)
		fi;
		d_step { count++; published = published | BIT(r) };
		lazy_end()
	fi
}

inline hak_lazy_remove(r)
{
	if
	:: count > 1 && addr[1] == r ->
		lazy_begin();
		d_step { count = 1; published = published & ~BIT(r) };
		lazy_end()
	:: count > 0 && addr[0] == r ->
		lazy_begin();
		if
		:: count == 2 ->
			addr[0] = addr[1];
			bytes[0] = bytes[1]
		:: else
		fi;
		d_step { count--; published = published & ~BIT(r) };
		lazy_end()
	:: else
	fi
}

#ifdef BREAK_UNLOCKED
#define LOCK()		skip
#define UNLOCK()	skip
#else
#define LOCK()		atomic { !ring_lock -> ring_lock = 1 }
#define UNLOCK()	ring_lock = 0
#endif

proctype thread()
{
	byte r;

	do
	:: changes >= CHANGES -> break
	/* free: the region goes to the ring */
	:: atomic {
		changes < CHANGES ->
		if
		:: state[1] == IN_USE -> r = 1
		:: state[2] == IN_USE -> r = 2
		:: state[3] == IN_USE -> r = 3
		:: else -> r = 0
		fi;
		if
		:: r -> state[r] = OUT; changes++
		:: else
		fi
	   };
	   if
	   :: r ->
		LOCK();
		state[r] = RCACHE;
#ifdef BREAK_ADDED_LATE
		UNLOCK();
		LOCK();
#endif
		hak_lazy_add(r);
		UNLOCK();
		r = 0
	   :: else
	   fi
	/* malloc: a region leaves the ring */
	:: changes < CHANGES ->
		LOCK();
		atomic {
			if
			:: state[1] == RCACHE -> r = 1
			:: state[2] == RCACHE -> r = 2
			:: state[3] == RCACHE -> r = 3
			:: else
			fi;
			if
			:: r -> state[r] = OUT; changes++
			:: else
			fi
		};
#ifndef BREAK_REMOVED_LATE
		if
		:: r -> hak_lazy_remove(r)
		:: else
		fi;
#endif
		UNLOCK();
		if
		:: r ->
			atomic {
				assert(!(published & BIT(r)));	/* handed out */
				state[r] = IN_USE
			}
#ifdef BREAK_REMOVED_LATE
			;
			LOCK();
			hak_lazy_remove(r);
			UNLOCK()
#endif
		:: else
		fi;
		r = 0
	od
}

proctype reader()
{
	byte before, after, n, a0, b0, a1, b1, moment;

#ifdef BREAK_SEQ_READ_LATE
	n = count;
	a0 = addr[0];
	b0 = bytes[0];
	a1 = addr[1];
	b1 = bytes[1];
	d_step { before = seq; moment = published };
	after = seq;
#else
	d_step { before = seq; moment = published };
#ifdef BREAK_SEQ_AGAIN_EARLY
	after = seq;
#endif
	n = count;
	a0 = addr[0];
	b0 = bytes[0];
	a1 = addr[1];
	b1 = bytes[1];
#ifdef BREAK_SEQ_READ_ONCE
	after = before;
#elif !defined(BREAK_SEQ_AGAIN_EARLY)
	after = seq;
#endif
#endif
	if
#ifdef BREAK_ODD_TAKEN
	:: before == after ->
#else
	:: before == after && !(before & 1) ->
#endif
		if
		:: n == 0 -> assert(moment == 0)
		:: n == 1 ->
			assert(a0 && b0 == BYTES(a0));		/* bytes */
			assert(moment == BIT(a0))
		:: n == 2 ->
			assert(a0 && a1 && b0 == BYTES(a0) && b1 == BYTES(a1));
			assert(a0 > a1);			/* twice */
			assert(moment == (BIT(a0) | BIT(a1)))
		fi
	:: else				/* "changing": tried again, or given up */
	fi
}

init
{
	d_step {
		state[2] = RCACHE;
		addr[0] = 2; bytes[0] = BYTES(2); count = 1; published = BIT(2)
	};
	atomic { run thread(); run thread(); run reader() }
}
