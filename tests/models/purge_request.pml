/* SPDX-License-Identifier: MIT */
/*
 * purge_request.pml - memory asked back from outside, and the answer.
 *
 * Stands for, in libhakmem/share/tune.c: take_purge, carry_out, write_answer and their
 * callers hak_tune_poll_slow (a worker) and hak_tune_poll_wait (the agent); in
 * control/tunewrite.c: hak_purge_ask, hak_purge_wait.
 *
 * Two requests of two levels from two clients; the worker comes or does not, the
 * agent sleeps on a futex; one answer slot, so that the second answer replaces the
 * first (--slow: three requests, two slots). Shown: every client gets its own answer
 * or learns that a later request took its place; an answer is whole, and true: what was
 * given back for that request, at the level asked. Not here: what is given back
 * (hak_purge), time-outs (a client that gives up takes no further part).
 *
 * SLOW: THREE
 * BREAK_LEVEL_APART: id and level are two words
 *	-> done
 * BREAK_TAKE_UNLOCKED: a request is taken without HAK_LOCK_TUNE
 *	-> answered
 * BREAK_TAKEN_LATE: the request counts as taken when it was carried out
 *	-> answered
 * BREAK_TAKEN_READ_AGAIN: what counts as taken is read again afterwards
 *	-> invalid end state
 * BREAK_ANSWERS_UNLOCKED: two threads write answers at a time
 *	-> a_mark|given
 * BREAK_LATE_REPLACES: a late answer takes the place of a later request's
 *	-> invalid end state
 * BREAK_NO_ODD: seq is not odd while an answer is written (release fence)
 *	-> a_mark|given
 * BREAK_EVEN_BEFORE_ANSWER: seq is even before the answer is written (no release)
 *	-> a_mark|given
 * BREAK_SEQ_READ_LATE: the client reads seq after the answer (no acquire)
 *	-> a_mark|given
 * BREAK_SEQ_AGAIN_EARLY: seq is read the second time before the answer (no fence)
 *	-> a_mark|given
 * BREAK_SEQ_READ_ONCE: seq is not read again
 *	-> a_mark|given
 * BREAK_ODD_TAKEN: an odd seq is good enough for the client
 *	-> a_mark|given
 * BREAK_ANY_ANSWER: the client does not compare ids
 *	-> mine
 * BREAK_LATER_IGNORED: the client does not look for later answers
 *	-> invalid end state
 */
#ifdef THREE
#define REQUESTS	3
#define SLOTS		2
#else
#define REQUESTS	2
#define SLOTS		1
#endif
#define CACHE		1
#define DIRTY		2

/* The tune page. */
byte id, level;			/* one word: id << 8 | level */
byte wake;

/* The answers. */
byte seq[SLOTS], answer_id[SLOTS], answer_bytes[SLOTS], answer_mark[SLOTS];

byte taken;
bit tune_lock, purge_lock, asleep;
byte cached = 1, dirty = 2;	/* what there is to give back */

/* Ghosts, by id */
byte asked[REQUESTS + 1], done[REQUESTS + 1], given[REQUESTS + 1];
bit answered[REQUESTS + 1];

inline hak_purge(l)
{
	atomic { !purge_lock -> purge_lock = 1 };
	d_step {
		bytes = cached;
		cached = 0;
		if
		:: l == DIRTY -> bytes = bytes + dirty; dirty = 0
		:: else
		fi
	};
	purge_lock = 0
}

inline write_answer()
{
#ifndef BREAK_ANSWERS_UNLOCKED
	atomic { !tune_lock -> tune_lock = 1 };
#endif
	d_step {
		assert(!answered[r]);		/* one answer, and not 0 bytes later */
		answered[r] = 1;
		done[r] = l;
		assert(done[r] >= asked[r]);	/* what was asked for */
		given[r] = bytes;
	};
	if
#ifdef BREAK_LATE_REPLACES
	:: true ->
#else
	:: answer_id[r % SLOTS] > r -> skip	/* cannot be missed: there are later ones */
	:: else ->
#endif
		write_slot(r % SLOTS)
	fi;
#ifndef BREAK_ANSWERS_UNLOCKED
	tune_lock = 0
#endif
}

inline write_slot(n)
{
#ifndef BREAK_NO_ODD
	seq[n]++;
#endif
#ifdef BREAK_EVEN_BEFORE_ANSWER
	seq[n]++;
#endif
	answer_id[n] = r;
	answer_bytes[n] = bytes;
	answer_mark[n] = r;
#ifdef BREAK_EVEN_BEFORE_ANSWER
	skip
#endif
#ifdef BREAK_NO_ODD
	seq[n] = seq[n] + 2;
#elif !defined(BREAK_EVEN_BEFORE_ANSWER)
	seq[n]++
#endif
}

inline take_purge()
{
#ifdef BREAK_LEVEL_APART
	r = id;
	l = level;
#else
	d_step { r = id; l = level };
#endif
	if
	:: r == taken -> r = 0
	:: else ->
#ifdef BREAK_TAKEN_READ_AGAIN
		taken = id
#elif !defined(BREAK_TAKEN_LATE)
		taken = r
#endif
	fi
}

/* may_block: the agent waits for the lock, a slow path passes by. */
inline hak_tune_poll(may_block)
{
#ifdef BREAK_TAKE_UNLOCKED
	take_purge();
#else
	atomic {
		if
		:: !tune_lock -> tune_lock = 1; have = 1
		:: tune_lock && !may_block
		fi
	};
	if
	:: have ->
		take_purge();
		atomic { tune_lock = 0; have = 0 }
	:: else
	fi;
#endif
	if
	:: r ->
		hak_purge(l);
		write_answer()
#ifdef BREAK_TAKEN_LATE
		; taken = r
#endif
	:: else
	fi;
	atomic { r = 0; l = 0; bytes = 0 }
}

/* A thread on its slow paths; it may stop coming at any time. */
active proctype worker()
{
	byte r, l, bytes;
	bit have;

	do
	:: id != taken -> hak_tune_poll(0)
	:: break
	od
}

active proctype agent()
{
	byte r, l, bytes, w;
	bit have;

	do
	:: w = wake;
	   hak_tune_poll(1);
	   atomic {		/* FUTEX_WAIT compares in the kernel */
		if
		:: wake == w -> asleep = 1
		:: else
		fi;
		w = 0
	   };
end:	   !asleep
	od
}

#define MINE(s)		(answer_id[s] == mine)
#define LATER		(answer_id[0] > mine || answer_id[SLOTS - 1] > mine)
#define EVEN		(!(seq[0] & 1) && !(seq[SLOTS - 1] & 1))

/* hak_purge_ask, by one client after the other: the OFD lock makes them wait. */
active proctype clients()
{
	byte mine;

	do
	:: id < REQUESTS ->
		mine = id + 1;
		if
		:: asked[mine] = CACHE
		:: asked[mine] = DIRTY
		fi;
#ifdef BREAK_LEVEL_APART
		level = asked[mine];
		id = mine;
#else
		d_step { level = asked[mine]; id = mine };
#endif
		wake++;
		asleep = 0
	:: id == REQUESTS -> break
	od
}

/* hak_purge_wait, by any one of them. */
active proctype client()
{
	byte mine, s, before, after, a_id, a_bytes, a_mark;

	if
	:: mine = 1
	:: mine = 2
	:: REQUESTS > 2 -> mine = 3
	fi;
	atomic { id >= mine -> s = mine % SLOTS };

	do
	/* something to see: otherwise it sleeps between looks */
#ifdef BREAK_LATER_IGNORED
	:: MINE(s) ->
#else
	:: (MINE(s) || LATER) ->
#endif
#ifdef BREAK_SEQ_READ_LATE
		a_id = answer_id[s];
		a_bytes = answer_bytes[s];
		a_mark = answer_mark[s];
		before = seq[s];
		after = seq[s];
#else
		before = seq[s];
#ifdef BREAK_SEQ_AGAIN_EARLY
		after = seq[s];
#endif
		a_id = answer_id[s];
		a_bytes = answer_bytes[s];
		a_mark = answer_mark[s];
#ifdef BREAK_SEQ_READ_ONCE
		after = before;
#elif !defined(BREAK_SEQ_AGAIN_EARLY)
		after = seq[s];
#endif
#endif
		if
#ifdef BREAK_ODD_TAKEN
		:: before == after && a_id == mine ->
#elif defined(BREAK_ANY_ANSWER)
		:: before == after && !(before & 1) && a_id != 0 ->
#else
		:: before == after && !(before & 1) && a_id == mine ->
#endif
			assert(a_id == mine);
			assert(a_mark == a_id);
			assert(a_bytes == given[a_id]);
			break
		:: else ->
			if
			:: LATER && EVEN -> break	/* "superseded" */
			:: else
			fi
		fi;
		atomic { before = 0; after = 0; a_id = 0; a_bytes = 0; a_mark = 0 }
	od
}
