/* SPDX-License-Identifier: MIT */
/* A thread and its heap. See attach.h. */
#include "attach.h"

#include "agent.h"
#include "cache/cache.h"
#include "fork.h"
#include "heap/takeover.h"
#include "life.h"
#include "tsd.h"

/* destructor rounds to wait out, so that destructors of other keys still find the heap */
#define REARM_ROUNDS 2u

/*
 * The thread ends. Its slabs stay with the heap. Usually the next thread adopts the whole heap;
 * until then threads that need a slab take slabs of dead heaps before new ones (hak_dead_scavenge).
 * Destructors of other keys may still allocate in later rounds, of which glibc makes four, so the
 * first rounds are waited out. After the heap is given up the shared heap serves the thread.
 */
static void destructor(void *arg)
{
	struct hak_cache *c = arg;

	if (c != hak_self || c->magic != HAK_CACHE_MAGIC)
		return;
	if (c->heap->rounds++ < REARM_ROUNDS && !hak_tsd_set(c))
		return;
	/* to stay: a heap that is given up is not taken over */
	hak_heap_enter(c);
	hak_cache_flush(c);
	hak_hot_leave(&c->heap->hot_region);
	hak_stop("exit.before_give");
	hak_agent_heap_gone(hak_heap_give(c->heap));
}

struct hak_cache *hak_heap_attach(void)
{
	struct hak_cache *c = hak_self;
	struct hak_heap *h;

	if (c->magic == HAK_CACHE_MAGIC)
		return c;
	if ((c == &hak_cache_none || c == &hak_cache_shared) && hak_unlikely(hak_heap_is_copy()))
		hak_fork_copied(NULL);
	if (c == &hak_cache_shared)
		return c;
	if (c != &hak_cache_none) {
		/* the cache is wiped: this is a copy of the process in which no fork handler ran */
		hak_fork_copied(c);
		if (hak_self == c)
			return c;
	}
	if (hak_unlikely(!hak_tsd_make(destructor)))
		return &hak_cache_shared; /* for this call */
	h = hak_heap_take();
	if (!h) {
		hak_self = &hak_cache_shared;
		return hak_self;
	}
	hak_stop("adopt.inside");
	/* the heap is in use: pthread_setspecific() may allocate, and so does registering */
	if (hak_tsd_set(h->cache)) {
		/* no destructor will run for this thread, so its heap would never come back */
		hak_cache_flush(h->cache);
		hak_hot_leave(&h->hot_region);
		hak_heap_give(h);
		return hak_self;
	}
	hak_fork_register();
	hak_heap_leave(hak_self);
	return hak_self;
}
