/* SPDX-License-Identifier: MIT */
/*
 * What tests do to the library from outside. All of this exists in debug builds only. The test puts
 * a memfd of one page, a struct hak_stops, into the descriptor named by HAKMEM_STOPS and maps it;
 * the library maps it in its constructor.
 *
 * Named stops are places where a test can hold a thread and look at what other threads do
 * meanwhile. The test arms a slot by the name of a stop. The first thread that comes to a stop of
 * that name (the skip-th after it, if skip is set) takes the slot, sets its state to REACHED and
 * waits for GO. All waits are on futexes; no test relies on a sleep. A stop may be held under a
 * lock (lock.NAME follows directly on the taking of each lock). Then other threads wait for that
 * lock, as they would for a thread that the kernel stopped there. tests/hazard/stops.def lists all
 * stops.
 *
 * Faults: after `skip` calls of a kind the next `times` of them fail with `err` and are not made.
 * The clock by which memory ages is clock_ms ahead. With `watch` set, the page faults that threads
 * take while they hold POOL, EXTENT or RCACHE are counted, because a first touch can be throttled.
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
	HAK_FAULT_META,	     /* all calls for the allocator's own tables */
	HAK_FAULT_FALLOCATE, /* memory for the segment: at creation, and for more heaps */
	HAK_FAULTS
};

struct hak_stops {
	struct hak_stop_slot {
		_Atomic uint32_t state; /* futex (shared); the test sets ARMED and GO */
		_Atomic uint32_t skip;	/* arrivals to let pass */
		uint32_t tid;		/* of the thread that is held */
		char name[52];		/* set before ARMED */
	} slot[HAK_STOP_SLOTS];
	struct hak_stop_fault {
		_Atomic uint32_t times; /* armed while not 0; set last */
		_Atomic uint32_t skip;
		_Atomic int32_t err;
		_Atomic uint32_t calls; /* calls of the kind, failed ones included */
	} fault[HAK_FAULTS];
	_Atomic int64_t clock_ms;
	_Atomic uint32_t watch;
	_Atomic uint32_t faults_under_lock;
};
_Static_assert(sizeof(struct hak_stops) <= 4096, "a page");

#if HAK_DEBUG
void hak_stop_init(void);
void hak_stop(const char *name);
/* Returns 0 if the call shall be made, otherwise the negative errno with which it fails. */
int hak_stop_fault(enum hak_fault kind);
int64_t hak_stop_clock_ms(void);
/* For lock.c, with the lock held: +1 after taking it, -1 before releasing it. */
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
