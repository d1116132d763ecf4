/* SPDX-License-Identifier: MIT */
/*
 * What tests do to the library from outside, in debug builds only; in other builds all of this is
 * nothing. The test puts a memfd of one page, a struct hak_stops, into the descriptor named by
 * HAKMEM_STOPS and maps it; the library maps it in its constructor.
 *
 * Named stops: places where a test can hold a thread and look at what others do meanwhile. The test
 * arms a slot by its name. The first thread that comes to a stop of that name (the skip-th after
 * it, if skip is set) takes the slot, says so, and waits until it is told to go. Everything is a
 * futex: nobody sleeps and hopes. A stop may be held under a lock (lock.NAME is right behind the
 * taking of each): then others wait for that lock, as they would for a thread the kernel stopped
 * there. All stops are listed in tests/hazard/stops.def.
 *
 * Faults: after `skip` calls of a kind the next `times` of them fail with `err` and are not made.
 * The clock by which memory ages is clock_ms ahead. With `watch` set, the page faults that threads
 * take while they hold POOL, EXTENT or RCACHE are counted: a first touch can be throttled.
 */
#ifndef HAK_STOP_H
#define HAK_STOP_H

#include <stdatomic.h>
#include <stdint.h>

#define HAK_STOP_SLOTS 8u

enum hak_stop_state { HAK_STOP_FREE, HAK_STOP_ARMED, HAK_STOP_REACHED, HAK_STOP_GO };

enum hak_fault {
	HAK_FAULT_MMAP, /* for blocks, mapping over included */
	HAK_FAULT_MUNMAP,
	HAK_FAULT_MREMAP,
	HAK_FAULT_DONTNEED,
	HAK_FAULT_FREE, /* MADV_FREE */
	HAK_FAULT_HUGEPAGE,
	HAK_FAULT_META,	     /* whatever is for the allocator's own tables */
	HAK_FAULT_FALLOCATE, /* memory for the segment: at creation, and for more heaps */
	HAK_FAULTS
};

struct hak_stops {
	struct hak_stop_slot {
		_Atomic uint32_t state; /* futex (shared); the test: FREE to ARMED, REACHED to GO */
		_Atomic uint32_t skip;	/* arrivals to let pass */
		uint32_t tid;		/* of the thread that is held */
		char name[52];		/* before ARMED */
	} slot[HAK_STOP_SLOTS];
	struct hak_stop_fault {
		_Atomic uint32_t times; /* armed while not 0; last */
		_Atomic uint32_t skip;
		_Atomic int32_t err;
		_Atomic uint32_t calls; /* of the kind, failed ones included; counted by us */
	} fault[HAK_FAULTS];
	_Atomic int64_t clock_ms;
	_Atomic uint32_t watch;
	_Atomic uint32_t faults_under_lock;
};
_Static_assert(sizeof(struct hak_stops) <= 4096, "a page");

#if HAK_DEBUG
void hak_stop_init(void);
void hak_stop(const char *name);
/* 0: make the call; else the negative errno with which it fails. */
int hak_stop_fault(enum hak_fault kind);
int64_t hak_stop_clock_ms(void);
/* lock.c, with the lock held: +1 after taking it, -1 before it is let go. */
void hak_stop_watch(int taken);
#else
static inline void hak_stop_init(void)
{
}

static inline void hak_stop(const char *name)
{
	(void)name;
}

static inline int hak_stop_fault(enum hak_fault kind)
{
	(void)kind;
	return 0;
}
#endif

#endif
