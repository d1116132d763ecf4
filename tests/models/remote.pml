/* SPDX-License-Identifier: MIT */
/*
 * remote.pml - freeing to a slab of another thread's heap.
 *
 * Stands for, in libhakmem: hak_remote_push, hak_remote_take and enqueue of remote,
 * hak_slab_release, hak_slablist_drain, and
 * the refill that calls them. The text of all but release is in slab.inc.
 *
 * Two freers and one owner, two slabs, for ever: the owner hands found blocks out
 * again, releases an empty slab and carves it anew. Chains have one or two blocks.
 * Shown: a block freed once is found once (not twice, not never), a slab is never on
 * two lists, its owner-only fields have one writer, and no thread touches a slab after
 * its release.
 * Not here: change of owner (adopt.pml), the freer's buffer, the thread caches; the
 * blocks on slab->free are a state of the block, not a list.
 *
 * BREAK_PUSH_BY_STORE: the remote word is stored, not compared and swapped
 *	-> queued
 * BREAK_NEXT_AFTER_CAS: tail->next is written after the CAS (no release)
 *	-> k<=
 * BREAK_QUEUED_AFTER_CAS: QUEUED is set by an operation of its own
 *	-> mapped
 * BREAK_LINK_WHEN_EMPTY: the slab is linked when its list was empty
 *	-> linked
 * BREAK_TOUCH_AFTER_LINK: the freer looks at the slab when it is done
 *	-> mapped
 * BREAK_ENQUEUE_BY_STORE: heap->mpsc is stored, not compared and swapped
 *	-> queued
 * BREAK_MNEXT_AFTER_LINK: slab->mpsc_next is written after the CAS (no release)
 *	-> queued
 * BREAK_DRAIN_BY_STORE: heap->mpsc is loaded, then stored
 *	-> queued
 * BREAK_SLABS_BEFORE_XCHG: slab->mpsc_next is read before heap->mpsc (no acquire)
 *	-> queued|mapped|linked
 * BREAK_LINK_READ_AFTER_XCHG: slab->mpsc_next is read after QUEUED was cleared
 *	-> linked
 * BREAK_BLOCKS_BEFORE_XCHG: block links are read before the word (no acquire)
 *	-> k<=
 * BREAK_CLEAR_AFTER_TAKE: QUEUED is cleared by an operation of its own
 *	-> tn==0
 * BREAK_TAKE_CLEARS_QUEUED: the refill clears QUEUED of a slab still linked
 *	-> mapped
 * BREAK_RELEASE_QUEUED: an empty slab is released though it is QUEUED
 *	-> mapped
 */
#define NSLAB		2
#define PER_SLAB	2
#define NHEAP		1
#define H		0
#include "slab.inc"

#ifdef BREAK_RELEASE_QUEUED
#define EMPTY(s)	(mapped[s] && used[s] == 0 && first[s] == NIL)
#else
#define EMPTY(s)	(mapped[s] && used[s] == 0 && first[s] == NIL && !queued[s])
#endif

byte pushing;		/* freers in the middle of a push */

proctype freer()
{
	byte b, e, old_f, old_n, to, head;
	bit won;

	do
	:: atomic {
		if
		:: st[0] == USED -> b = 0; e = 0
		:: st[1] == USED -> b = 1; e = 1
		:: st[2] == USED -> b = 2; e = 2
		:: st[0] == USED && st[1] == USED -> b = 0; e = 1; program_free(1)
		fi;
		program_free(b);
		if
		:: b != e -> nxt[b] = e + 1
		:: else
		fi;
		pushing++
	   };
	   hak_remote_push(SLAB_OF(b), b, e, 1 + (b != e));
	   atomic { b = 0; e = 0; pushing-- }
	od
}

/*
 * With no push under way every block freed is on the remote list of a slab that
 * is QUEUED and linked: the next drain finds it.
 */
inline check_lost()
{
	list = mpsc[H];
	do
	:: list != NIL ->
		sl = list - 1;
		assert(queued[sl] && linked[sl] == 1);
		tn = tn + count[sl];
		c++;
		assert(c <= NSLAB);			/* lost: a cycle */
		list = mnext[sl]
	:: else -> break
	od;
	assert(c == queued[0] + queued[1]);		/* lost slab */
	c = 0; sl = 0;
	do
	:: c < 3 -> tn = tn - (st[c] == FREED); c++
	:: else -> break
	od;
	assert(tn == 0);				/* lost block */
	tn = 0; c = 0
}

#define HAND_OUT(b)	mapped[SLAB_OF(b)] && st[b] == FREE -> \
			st[b] = USED; nxt[b] = GARBAGE; used[SLAB_OF(b)]++

active proctype owner_thread()
{
	byte k, c, tf, tn, list, sl;

	d_step {
		for (c : 0 .. NSLAB - 1) {
			mapped[c] = 1; used[c] = PER_SLAB; owner[c] = H
		}
		for (c : 0 .. NBLOCK - 1) {
			nxt[c] = GARBAGE
		}
		st[3] = FREE; used[1] = 1;
		c = 0;
		heap_mapped[H] = 1
	};
	atomic { run freer(); run freer() };
	do
	:: hak_heap_drain(H)
	:: mapped[0] -> hak_remote_take(0)
	:: d_step { EMPTY(0) -> mapped[0] = 0 }
	:: d_step { !mapped[0] ->
		mapped[0] = 1; first[0] = 0; count[0] = 0; queued[0] = 0 }
	:: d_step { HAND_OUT(0) }
	:: d_step { HAND_OUT(1) }
	:: d_step { HAND_OUT(2) }
	:: d_step { pushing == 0 -> check_lost() }
	od
}
