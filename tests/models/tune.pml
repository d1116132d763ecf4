/* SPDX-License-Identifier: MIT */
/*
 * tune.pml - a tunable set from outside, applied by the library, acknowledged.
 *
 * Stands for, in libhakmem/share/tune.c: hak_tune_poll_slow and hak_tune_poll_wait, that is
 * apply and copy_page; in libhakmem/process/agent.c: run; in control/tunewrite.c: hak_tune_write
 * and hak_tune_wait.
 *
 * Two controllers, each killed at any step or never, set one of two tunables; the first
 * was set by another one before. A worker polls when it likes, or no more; the agent
 * sleeps on a futex (ALONE: two workers, no agent). Shown: what the library has in force
 * is what one published generation says, whole; `applied` never goes back; an answer
 * "applied" or "clamped" is about one's own value; no set is lost between a look and the
 * next; a killed controller leaves no half slot. HOSTILE: instead of controllers,
 * a vandal that writes values without lock or generation and punches a hole into the
 * page; shown is then that what is used is in range, and that a hole changes nothing.
 * Not here: expiry of deadlines (a local comparison), origins (more slots).
 * `generation` counts by two: odd while being written. Values and deadlines are written
 * in pairs, equal, so that a torn slot shows.
 *
 * RUN: HOSTILE
 * RUN: ALONE
 * BREAK_WRITERS_UNLOCKED: controllers do not take the OFD lock
 *	-> invalid end state|assertion
 * BREAK_NO_ODD: generation not made odd, or only after the values (release fence)
 *	-> x[01]==
 * BREAK_PUBLISHED_BEFORE_VALUES: the even generation is stored first (no release)
 *	-> x[01]==
 * BREAK_SET_KEPT: the slot stays "set" while its words change
 *	-> slot_set
 * BREAK_SET_BEFORE_VALUES: "set" is stored before the words (no release)
 *	-> slot_set
 * BREAK_WAKE_BEFORE_PUBLISHED: futex word and wake before the generation
 *	-> invalid end state
 * BREAK_WAKE_READ_LATE: the agent reads the futex word after it looked
 *	-> invalid end state
 * BREAK_AGENT_TRIES_LOCK: the agent passes by a held lock, as slow paths do
 *	-> invalid end state
 * BREAK_SEEN_READ_LATE ALONE: the wake word acted upon is read after the values
 *	-> invalid end state
 * BREAK_APPLIED_READ_AFTER_VALUES: generation read after the values (no acquire)
 *	-> x[01]==
 * BREAK_NOT_RECHECKED: generation not loaded again after the values
 *	-> x[01]==|applied_gen<g
 * BREAK_RECHECKED_BEFORE_VALUES: loaded again too early (no acquire fence)
 *	-> x[01]==
 * BREAK_APPLIED_BEFORE_VALUES: applied_gen stored before the values in force
 *	-> seen==
 * BREAK_WAIT_FOR_EQUAL: the controller waits for its very generation
 *	-> invalid end state
 * BREAK_VALUE_READ_BEFORE_APPLIED: value in force read first (no acquire)
 *	-> seen==
 * BREAK_ANSWER_NOT_RECHECKED: a later set taken for one's own answer
 *	-> seen==
 * BREAK_DOUBLE_FETCH HOSTILE: the value loaded once to check, once to use
 *	-> x0<=4
 * BREAK_MAGIC_FIRST HOSTILE: the magic looked at before generation and values
 *	-> x0!=0
 */
#define NSLOT	2
#define MAX	4		/* the tunable's maximum: larger is clamped */
#define DEFAULT	0
#define CLAMP(v)	((v) > MAX -> MAX : (v))

/* The tune page. Deadline and value are written in pairs: value == deadline. */
byte generation;		/* odd: being written */
bit slot_set[NSLOT];
byte slot_value[NSLOT];
byte slot_deadline[NSLOT];
byte wake;			/* the futex word */
bit magic = 1;
bit ofd_lock;

/* The stats page, and what the library works with. */
byte applied_gen;
byte in_force[NSLOT];
byte seen_wake;
bit tune_lock;
bit asleep;			/* the agent, in the kernel */

/* Ghosts */
byte published[6 * NSLOT];	/* by generation / 2: the values to be in force */
bit cut_short;			/* a controller died where nothing repairs it yet */

/* A controller may be killed before any step; the kernel drops its lock. */
#define MAY_DIE	if :: goto killed :: skip fi

inline check_slot(s)
{
	assert(!slot_set[s] || slot_value[s] == slot_deadline[s]); /* half a slot */
	published[(g + 1) / 2 * NSLOT + s] = (slot_set[s] -> CLAMP(slot_value[s]) : DEFAULT)
}

#ifndef HOSTILE
/* hakmemctl set: v goes to slot s, then waits until it is in force. */
proctype controller(byte v; byte s)
{
	byte g, mine, seen;

#ifndef BREAK_WRITERS_UNLOCKED
	atomic { !ofd_lock -> ofd_lock = 1 };
#endif
	g = generation | 1;
#ifndef BREAK_NO_ODD
	generation = g;
#endif
#ifdef BREAK_PUBLISHED_BEFORE_VALUES
	generation = g + 1;
#endif
	MAY_DIE;
#ifdef BREAK_SET_BEFORE_VALUES
	slot_set[s] = 0;
	slot_set[s] = 1;
#elif !defined(BREAK_SET_KEPT)
	slot_set[s] = 0;
#endif
	MAY_DIE;
	slot_value[s] = v;
	MAY_DIE;
	slot_deadline[s] = v;
	MAY_DIE;
	slot_set[s] = 1;
	MAY_DIE;
#ifdef BREAK_WAKE_BEFORE_PUBLISHED
	wake++;
	asleep = 0;
#endif
	d_step {
		check_slot(0);
		check_slot(1);
		generation = g + 1;
		mine = g + 1
	};
#ifndef BREAK_WAKE_BEFORE_PUBLISHED
	if
	:: atomic { cut_short = 1; goto killed }
	:: wake++
	fi;
	asleep = 0;
#endif
	cut_short = 0;
	ofd_lock = 0;

	/* the acknowledgement, signed difference */
	do
#ifdef BREAK_WAIT_FOR_EQUAL
	:: applied_gen == mine -> break
#elif defined(BREAK_VALUE_READ_BEFORE_APPLIED)
	:: atomic { applied_gen < mine -> seen = in_force[s] }
	:: applied_gen >= mine -> break
#else
	:: applied_gen >= mine -> break
#endif
	:: cut_short -> goto done		/* "pending" */
	od;
#ifndef BREAK_VALUE_READ_BEFORE_APPLIED
	seen = in_force[s];
#endif
#ifdef BREAK_ANSWER_NOT_RECHECKED
	assert(seen == CLAMP(v));
#else
	atomic {
		if
		:: generation == mine -> assert(seen == CLAMP(v))
		:: else			/* "set again by another" */
		fi
	};
#endif
	goto done;
killed:
	atomic { cut_short = cut_short || (generation & 1); ofd_lock = 0 };
done:
	skip
}
#endif

/* One slot into locals; each word is loaded once. */
#ifdef BREAK_DOUBLE_FETCH
#define FETCH_VALUE(s, x) \
	if \
	:: slot_value[s] <= MAX -> x = slot_value[s] \
	:: slot_value[s] > MAX -> x = MAX \
	fi
#else
#define FETCH_VALUE(s, x) \
	d_step { x = slot_value[s]; x = CLAMP(x) }
#endif

#define FETCH(s, x, d) \
	x = slot_set[s]; \
	if \
	:: x -> \
		FETCH_VALUE(s, x); \
		d_step { d = slot_deadline[s]; d = CLAMP(d) } \
	:: else -> x = DEFAULT \
	fi

/*
 * may_block: hak_tune_poll_wait of the agent waits for the lock, a slow path passes by.
 * What was not applied because it was being written is left to the wake that follows.
 */
inline hak_tune_poll(may_block)
{
	atomic {
		if
		:: !tune_lock -> tune_lock = 1; have = 1
		:: tune_lock && !may_block
		fi
	};
	if
	:: have ->
#ifndef BREAK_SEEN_READ_LATE
		news = wake;
#endif
#ifdef BREAK_MAGIC_FIRST
		ok = magic;
#endif
		g = generation;
#ifdef BREAK_RECHECKED_BEFORE_VALUES
		again = generation;
#endif
		FETCH(0, x0, d0);
		FETCH(1, x1, d1);
#ifdef BREAK_APPLIED_READ_AFTER_VALUES
		g = generation;
#endif
#ifdef BREAK_NOT_RECHECKED
		again = g;
#elif !defined(BREAK_RECHECKED_BEFORE_VALUES)
		again = generation;
#endif
#ifndef BREAK_MAGIC_FIRST
		ok = magic;
#endif
		if
		:: ok && g == again && g != applied_gen && !(g & 1) ->
#ifdef BREAK_APPLIED_BEFORE_VALUES
			applied_gen = g;
#endif
			in_force[0] = x0;
			in_force[1] = x1;
			d_step {
				assert(x0 <= MAX && x1 <= MAX);
#ifdef HOSTILE
				assert(x0 != DEFAULT);	/* a hole reads as zeros */
#else
				assert(x0 == d0 && x1 == d1);		/* torn */
				assert(x0 == published[g / 2 * NSLOT]);
				assert(x1 == published[g / 2 * NSLOT + 1]);
				assert(applied_gen <= g);		/* backwards */
#endif
#ifndef BREAK_APPLIED_BEFORE_VALUES
				applied_gen = g
#endif
			}
		:: else
		fi;
#ifdef BREAK_SEEN_READ_LATE
		news = wake;
#endif
		seen_wake = news;
		d_step {
			tune_lock = 0;
			news = 0; have = 0; ok = 0; again = 0;
			x0 = 0; d0 = 0; x1 = 0; d1 = 0
		}
	:: else
	fi;
	g = 0
}

/* A thread on its slow paths; with an agent it may stop coming at any time. */
proctype worker()
{
	byte g, again, news, x0, d0, x1, d1;
	bit have, ok;

end:	do
	:: wake != seen_wake -> hak_tune_poll(0)
#ifndef ALONE
	:: break
#endif
	od
}

#ifndef ALONE
proctype agent()
{
	byte g, again, news, x0, d0, x1, d1, w;
	bit have, ok;

	do
	::
#ifndef BREAK_WAKE_READ_LATE
		w = wake;
#endif
#ifdef BREAK_AGENT_TRIES_LOCK
		hak_tune_poll(0);
#else
		hak_tune_poll(1);
#endif
#ifdef BREAK_WAKE_READ_LATE
		w = wake;
#endif
		atomic {		/* FUTEX_WAIT compares in the kernel */
			if
			:: wake == w -> asleep = 1
			:: else
			fi;
			w = 0
		};
end:		!asleep
	od
}
#endif

#ifdef HOSTILE
/* Writes what it likes, without lock or generation, and punches a hole. */
active proctype vandal()
{
	do
	:: slot_value[0] = MAX + 5
	:: slot_value[0] = 3
	:: d_step {
		magic = 0; generation = 0;
		slot_set[0] = 0; slot_value[0] = 0; slot_deadline[0] = 0
	   };
	   break
	od
}
#endif

init
{
#ifdef HOSTILE
	d_step {
		wake = 1;
		slot_set[0] = 1; slot_value[0] = 3; slot_deadline[0] = 3;
		generation = 4; applied_gen = 2
	};
	atomic { run worker(); run agent() }
#else
	d_step {		/* an earlier set, long applied */
		slot_set[0] = 1; slot_value[0] = 1; slot_deadline[0] = 1;
		in_force[0] = 1; published[2] = 1; generation = 2; applied_gen = 2
	};
	atomic {
		run worker(); run controller(3, 0);
#ifdef ALONE
		run worker()
#else
		run agent()
#endif
	};
	if
	:: run controller(9, 0)
	:: run controller(9, 1)
	fi
#endif
}
