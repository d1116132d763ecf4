/* SPDX-License-Identifier: MIT */
/*
 * Named stops, in debug builds only: places where a test can hold a thread and look at what others
 * do meanwhile. hak_stop("heap.name") is nothing in other builds.
 *
 * The test puts a memfd of one page, a struct hak_stops, into the descriptor named by HAKMEM_STOPS
 * and maps it; the library maps it in its constructor. The test arms a slot by its name. The first
 * thread that comes to a stop of that name (the skip-th after it, if skip is set) takes the slot,
 * says so, and waits until it is told to go. Everything is a futex: nobody sleeps and hopes.
 */
#ifndef HAK_STOP_H
#define HAK_STOP_H

#include <stdatomic.h>
#include <stdint.h>

#define HAK_STOP_SLOTS 8u

enum hak_stop_state { HAK_STOP_FREE, HAK_STOP_ARMED, HAK_STOP_REACHED, HAK_STOP_GO };

struct hak_stops {
	struct hak_stop_slot {
		_Atomic uint32_t state; /* futex (shared); the test: FREE to ARMED, REACHED to GO */
		_Atomic uint32_t skip; /* arrivals to let pass */
		uint32_t tid; /* of the thread that is held */
		char name[52]; /* before ARMED */
	} slot[HAK_STOP_SLOTS];
};

#if HAK_DEBUG
void hak_stop_init(void);
void hak_stop(const char *name);
#else
static inline void hak_stop_init(void)
{
}

static inline void hak_stop(const char *name)
{
	(void)name;
}
#endif

#endif
