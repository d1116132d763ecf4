/* SPDX-License-Identifier: MIT */
/*
 * ring.pml - regions kept for the next whale, evicted, resized and limited meanwhile.
 *
 * Stands for, in libhakmem/cache/whale.c: hak_whale_alloc, hak_whale_free, hak_whale_resize
 * (its move); in libhakmem/page/rcache.c: hak_rcache_get, hak_rcache_put, over_limits,
 * hak_rcache_unmap, evict_batch with take, hak_region_evict and put_back,
 * hak_rcache_tuned; hak_region_open.
 *
 * Three addresses in a row, each with a region or without; one thread allocates,
 * writes, reallocates and frees a whale; one purges; one changes the limit from 3 to 0
 * to 1 (STRANGER: instead, one maps and unmaps whales that fit nothing in the ring);
 * all for ever. Shown: no process gives back or unmaps what a program has; what is
 * called zero is zero; what a program has is open, and what the ring has without pages
 * is closed; the byte map knows a whale in use and nothing else; while no operation is
 * under way the ring is within its limit. Calls to the kernel are steps of their own
 * and made without HAK_LOCK_RCACHE: between them everything else can happen. MADV_FREE
 * leaves the old content or zeros; any call may refuse.
 * Not here: best fit (an entry fits or not), ages, batch sizes; splitting and joining
 * of regions in the ring, which is one lock hold and makes no call; hot regions
 * (hot.pml).
 *
 * RUN: STRANGER
 * BREAK_PURGE_IN_PLACE: regions stay in the ring while they are given back
 *	-> held
 * BREAK_JOIN_ACROSS: a row of neighbours is joined over one that was not taken
 *	-> held
 * BREAK_ZERO_ON_ERROR: a region counts as zero when the call was refused
 *	-> content
 * BREAK_ZERO_AFTER_FREE: a region counts as zero after MADV_FREE
 *	-> content
 * BREAK_ZERO_KEPT: what is handed out still counts as zero
 *	-> content
 * BREAK_NOT_OPENED: a closed region is handed out as it is
 *	-> closed
 * BREAK_OPEN_KEPT: a region that could not be closed goes back to the ring
 *	-> closed
 * BREAK_OPEN_IN_PLACE: a closed region is opened before it left the ring
 *	-> held
 * BREAK_BACK_OVER_LIMIT: what was purged goes back whatever the limit is by now
 *	-> <=slots
 * BREAK_LIMIT_READ_EARLY: free reads the limit before it has the lock
 *	-> <=slots
 * BREAK_TUNED_IN_PLACE: a lowered limit unmaps regions before they left the ring
 *	-> held
 * BREAK_GET_UNLOCKED: the ring is searched without the lock
 *	-> held
 * BREAK_CLEAR_AFTER_UNMAP: the byte map is cleared after munmap
 *	-> map
 * BREAK_CLEAR_AFTER_MOVE STRANGER: the byte map is cleared after mremap
 *	-> map
 */
#define REGIONS	3
#define NIL	REGIONS		/* no region */

/* The process that may touch the region (ghost, except RCACHE). */
#define NOBODY	0		/* not mapped */
#define RCACHE	1
#define HELD	2		/* + process id */

byte held[REGIONS];		/* one of the above */
bit map[REGIONS];		/* the byte map: free() takes it for a whale */
bit zero[REGIONS];		/* region->zero */
bit dirty[REGIONS];		/* region->state */
bit closed[REGIONS];		/* region->closed */
bit gone[REGIONS];		/* region->state is CLEAN: evicted, whatever `zero` says */
bit content[REGIONS];		/* ghost: not all zeros */
#ifdef STRANGER
byte slots = 1;			/* whale.ring_slots */
#else
byte slots = 3;
#endif
bit ring_lock;
byte busy;			/* ghost: operations under way */

#define MINE(r)		(held[r] == HELD + _pid)
#define IN_RING		((held[0] == RCACHE) + (held[1] == RCACHE) + (held[2] == RCACHE))

inline lock()
{
	atomic { !ring_lock -> ring_lock = 1 }
}

inline unlock()
{
	ring_lock = 0
}

/* Any of those in the ring; there is one. */
inline ring_get(r)
{
	if
	:: held[0] == RCACHE -> r = 0
	:: held[1] == RCACHE -> r = 1
	:: held[2] == RCACHE -> r = 2
	fi
}

/* From here on another owner may get the address. */
inline munmap(r)
{
	d_step {
		assert(MINE(r));
		held[r] = NOBODY;
		content[r] = 0; zero[r] = 0; dirty[r] = 0; closed[r] = 0;
		gone[r] = 0
	}
}

inline unmap_region(r)
{
#ifdef BREAK_CLEAR_AFTER_UNMAP
	munmap(r);
	map[r] = 0;
#else
	map[r] = 0;
	munmap(r);
#endif
}

/* Takes one region out if there are more than the limit allows; lock held. */
inline over_limits(r, limit)
{
	atomic {
		r = NIL;
		if
		:: IN_RING > limit ->
			ring_get(r);
			held[r] = HELD + _pid
		:: else
		fi
	}
}

/* The kernel gives the pages of one region back: whose are they? */
inline give_back(r)
{
	d_step { assert(MINE(r)); content[r] = 0 }
}

/* A fresh mapping; alone at its address. */
inline map_region(r)
{
	atomic {
		if
		:: held[0] == NOBODY -> r = 0
		:: held[1] == NOBODY -> r = 1
		:: held[2] == NOBODY -> r = 2
		:: else -> r = NIL
		fi;
		if
		:: r != NIL ->
			held[r] = HELD + _pid;
			content[r] = 0; zero[r] = 1; dirty[r] = 0
		:: else
		fi
	}
}

/* mprotect; the kernel may refuse it, and then the region is given up. */
inline hak_region_open(r)
{
	if
	:: closed[r] ->
		if
		:: d_step { assert(MINE(r)); closed[r] = 0 }
		:: unmap_region(r); r = NIL
		fi
	:: else
	fi
}

inline hak_whale_alloc()
{
#ifdef BREAK_OPEN_IN_PLACE
	lock();
	if
	:: atomic { IN_RING -> ring_get(r); unlock() };
		d_step { assert(held[r] == RCACHE); closed[r] = 0; r = NIL }
	:: atomic { r = NIL; unlock() }
	fi;
#endif
#ifdef BREAK_GET_UNLOCKED
	if
	:: atomic { IN_RING -> ring_get(r) }
	:: r = NIL
	fi;
	if
	:: r != NIL -> d_step { assert(held[r] == RCACHE); held[r] = HELD + _pid }
	:: else
	fi;
#else
	lock();
	atomic {
		if
		:: IN_RING -> ring_get(r)
		:: r = NIL		/* nothing, or nothing that fits */
		fi;
		if
		:: r != NIL -> held[r] = HELD + _pid
		:: else
		fi
	};
	unlock();
#endif
#ifndef BREAK_NOT_OPENED
	if
	:: r != NIL -> hak_region_open(r)
	:: else
	fi;
#endif
	if
	:: r == NIL -> map_region(r)
	:: else
	fi;
	if
	:: r != NIL ->
		atomic {
			assert(MINE(r) && !closed[r]);
			assert(!zero[r] || !content[r]);	/* calloc */
#ifndef BREAK_ZERO_KEPT
			zero[r] = 0;
#endif
			assert(!map[r]);
			map[r] = 1;
			gone[r] = 0;
			content[r] = 1; dirty[r] = 1		/* the program writes */
		}
	:: else
	fi
}

/* The program writes again, and could free the block. */
inline use()
{
	d_step {
		assert(MINE(r) && map[r]);
		content[r] = 1
	}
}

inline hak_whale_free()
{
#ifdef BREAK_LIMIT_READ_EARLY
	limit = slots;
#endif
	map[r] = 0;
	lock();
	d_step {
		assert(MINE(r));
		held[r] = RCACHE;
#ifndef BREAK_LIMIT_READ_EARLY
		limit = slots;
#endif
	};
	over_limits(r, limit);
	atomic { limit = 0; unlock() };
	if
	:: r != NIL -> unmap_region(r)
	:: else
	fi;
	r = NIL
}

/* Into address space reserved for it; the move takes the content along. */
inline hak_whale_resize()
{
	map_region(to);
	if
	:: to != NIL ->
#ifdef BREAK_CLEAR_AFTER_MOVE
		munmap(r);
		map[r] = 0;
#else
		map[r] = 0;
		munmap(r);
#endif
		atomic {
			content[to] = 1; zero[to] = 0; dirty[to] = 1;
			assert(!map[to]);
			map[to] = 1;
			r = to; to = NIL
		}
	:: else -> to = NIL
	fi
}

proctype program()
{
	byte r = NIL, to = NIL, limit;

	do
	:: atomic { r == NIL -> busy++ };
		hak_whale_alloc();
		busy--
	:: r != NIL -> use()
	:: atomic { r != NIL -> busy++ };
		hak_whale_resize();
		busy--
	:: atomic { r != NIL -> busy++ };
		hak_whale_free();
		busy--
	od
}

#ifdef BREAK_PURGE_IN_PLACE
#define TAKE(r)		taken[r] = (held[r] == RCACHE && dirty[r])
#else
#define TAKE(r)		taken[r] = (held[r] == RCACHE && dirty[r]); \
			held[r] = (taken[r] -> HELD + _pid : held[r])
#endif

/*
 * madvise over the row first..last: everything in it, or, refused, region by region
 * and some of them not.
 */
inline evict_row(from, to)
{
	atomic { i = from };
	if
	:: ok = 1			/* one call did */
	:: from != to -> ok = 0		/* refused: each alone */
	:: from == to -> ok = 0
	fi;
	do
	:: i <= to ->
		if
		:: give_back(i);
			d_step { dirty[i] = 0; zero[i] = 1; gone[i] = 1 };
			if
			:: closed[i] = 1
			:: !ok -> skip				/* mapping over is refused */
			fi
		:: d_step { assert(MINE(i)); dirty[i] = 0 }	/* MADV_FREE */
#ifdef BREAK_ZERO_AFTER_FREE
			; zero[i] = 1
#endif
		:: !ok -> skip					/* refused */
#ifdef BREAK_ZERO_ON_ERROR
			; zero[i] = 1
#endif
		fi;
		i++
	:: else -> break
	od;
	atomic { i = 0; ok = 0 }
}

proctype purger()
{
	bit taken[REGIONS];
	byte i, x = NIL;
	bit ok;

	do
	::
		atomic { busy++ };
		lock();
		atomic { TAKE(0); TAKE(1); TAKE(2); unlock() };
#ifdef BREAK_JOIN_ACROSS
		if
		:: taken[0] && taken[2] -> evict_row(0, 2); taken[1] = 0
#else
		if
		:: taken[0] && taken[1] && taken[2] -> evict_row(0, 2)
		:: taken[0] && !taken[1] && taken[2] -> evict_row(0, 0); evict_row(2, 2)
#endif
		:: taken[0] && taken[1] && !taken[2] -> evict_row(0, 1)
		:: !taken[0] && taken[1] && taken[2] -> evict_row(1, 2)
		:: taken[0] && !taken[1] && !taken[2] -> evict_row(0, 0)
		:: !taken[0] && taken[1] && !taken[2] -> evict_row(1, 1)
		:: !taken[0] && !taken[1] && taken[2] -> evict_row(2, 2)
		:: !taken[0] && !taken[1] && !taken[2]
		fi;
#ifndef BREAK_OPEN_KEPT
		/* under the lock there, unmapped after it */
		x = 0;
		do
		:: x < REGIONS ->
			if
			:: taken[x] && gone[x] && !closed[x] ->
				taken[x] = 0;
				unmap_region(x)
			:: else
			fi;
			x++
		:: else -> break
		od;
#endif
		lock();
		/* put_back; over the limit they go one by one here, in a list there */
		atomic {
			assert(!(taken[0] && gone[0] && !closed[0]) &&
			       !(taken[1] && gone[1] && !closed[1]) &&
			       !(taken[2] && gone[2] && !closed[2]));
			held[0] = (taken[0] -> RCACHE : held[0]); taken[0] = 0;
			held[1] = (taken[1] -> RCACHE : held[1]); taken[1] = 0;
			held[2] = (taken[2] -> RCACHE : held[2]); taken[2] = 0
		};
		do
#ifdef BREAK_BACK_OVER_LIMIT
		:: break
#else
		:: over_limits(x, slots);
			if
			:: x != NIL -> unlock(); unmap_region(x); lock()
			:: else -> break
			fi
#endif
		od;
		unlock();
		atomic { x = NIL; busy-- }
	od
}

#ifdef STRANGER
proctype stranger()
{
	byte x = NIL;

	do
	:: map_region(x);
		if
		:: x != NIL ->
			atomic { assert(!map[x]); map[x] = 1; content[x] = 1; zero[x] = 0 };
			assert(MINE(x) && map[x]);
			unmap_region(x)
		:: else
		fi;
		x = NIL
	od
}
#else
/* The tunable changes, then hak_rcache_tuned. */
proctype tuner()
{
	byte x = NIL;

	do
	:: atomic {
		busy++;
		if
		:: slots == 3 -> slots = 0
		:: slots == 0 -> slots = 1
		:: slots == 1 -> slots = 3
		fi
	   };
		lock();
		do
#ifdef BREAK_TUNED_IN_PLACE
		:: atomic {
			IN_RING > slots -> ring_get(x); unlock() };
			map[x] = 0;
			d_step { assert(held[x] == RCACHE); held[x] = NOBODY };
			lock()
		:: else -> break
#else
		:: over_limits(x, slots);
			if
			:: x != NIL -> unlock(); unmap_region(x); lock()
			:: else -> break
			fi
#endif
		od;
		unlock();
		atomic { x = NIL; busy-- }
	:: d_step { busy == 0 -> assert(IN_RING <= slots) }
	od
}
#endif

init
{
	d_step {
#ifndef STRANGER
		held[1] = RCACHE; dirty[1] = 1; content[1] = 1;
		held[2] = RCACHE; dirty[2] = 1; content[2] = 1;
#endif
		held[0] = RCACHE; dirty[0] = 1; content[0] = 1
	};
	atomic {
		run program(); run purger();
#ifdef STRANGER
		run stranger()
#else
		run tuner()
#endif
	}
}
