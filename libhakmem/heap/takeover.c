/* SPDX-License-Identifier: MIT */
/* Taking over the cache of a thread that is outside the allocator. See takeover.h. */
#include "takeover.h"

#include <linux/futex.h>

#include "base/lock.h"
#include "base/stop.h"
#include "base/sys.h"
#include "system/os.h"

/* See hak_takeover_call(). A process in which this is set has one thread. */
static struct {
	const struct hak_cache *cache;
	void (*call)(void);
} due;

static void call_due(struct hak_cache *c)
{
	void (*call)(void) = due.call;

	hak_takeover_forget(c);
	call();
}

/*
 * An owner that a signal handler interrupted in a slow path is inside while it waits here: the
 * taker finds that and puts the cache back, for which it needs no lock that the owner may hold.
 */
HAK_COLD void hak_takeover_wait(struct hak_cache *c)
{
	uint32_t seen;

	if (due.cache == c) {
		/* a purge enters with a lock held; the next slow path will do */
		if (c->inside == 1 && !hak_lock_held_any())
			call_due(c);
		return;
	}
	do {
		hak_heap_leave(c);
		while ((seen = atomic_load_explicit(&c->taken, memory_order_acquire))) {
			if (seen == HAK_TAKEN &&
			    !atomic_compare_exchange_weak_explicit(
				    &c->taken, &seen, HAK_TAKEN_WAITED, memory_order_relaxed,
				    memory_order_relaxed))
				continue;
			hak_sys(SYS_futex, (long)&c->taken, FUTEX_WAIT_PRIVATE, HAK_TAKEN_WAITED, 0,
				0, 0);
		}
		__atomic_store_n(&c->inside, c->inside + 1, __ATOMIC_RELAXED);
		atomic_signal_fence(memory_order_seq_cst);
	} while (atomic_load_explicit(&c->taken, memory_order_acquire));
}

static void close_fast_paths(struct hak_cache *c)
{
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		__atomic_store_n(&c->bin[k].inverse, 0, __ATOMIC_RELAXED);
}

static void open_fast_paths(struct hak_cache *c)
{
	/* release: the owner that finds a right inverse, or 0, finds the bins as they were left */
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++)
		__atomic_store_n(&c->bin[k].inverse, hak_class_inverse[k], __ATOMIC_RELEASE);
	hak_stop("takeover.opened");
	if (atomic_exchange_explicit(&c->taken, 0, memory_order_release) == HAK_TAKEN_WAITED)
		hak_sys(SYS_futex, (long)&c->taken, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static enum hak_takeover take(struct hak_cache *c)
{
	enum hak_takeover r = HAK_TAKEOVER_DONE;

	/* taken is set in a copy that has a call due */
	if (!hak_heap_is_outside(c) || atomic_load_explicit(&c->taken, memory_order_relaxed))
		return HAK_TAKEOVER_BUSY;
	atomic_store_explicit(&c->taken, HAK_TAKEN, memory_order_relaxed);
	hak_stop("takeover.taken");
	close_fast_paths(c);
	if (hak_os_barrier())
		r = HAK_TAKEOVER_OFF;
	else if (!hak_heap_is_outside(c))
		r = HAK_TAKEOVER_BUSY;
	hak_stop("takeover.judged");
	if (r != HAK_TAKEOVER_DONE)
		open_fast_paths(c);
	return r;
}

enum hak_takeover hak_takeover_begin(struct hak_heap *h)
{
	enum hak_takeover r = HAK_TAKEOVER_NONE;

	hak_assert(hak_lock_held(HAK_LOCK_PURGE));
	if (!hak_os_barrier_prepare())
		return HAK_TAKEOVER_OFF;
	/* the state stays: a thread that ends is inside until its heap is a dead one */
	hak_lock(HAK_LOCK_REGISTRY);
	if (h->state == HAK_HEAP_LIVE && h->cache != hak_self && h != hak_table.shared)
		r = take(h->cache);
	h->taken_over = r == HAK_TAKEOVER_DONE;
	hak_unlock(HAK_LOCK_REGISTRY);
	return r;
}

void hak_takeover_end(struct hak_heap *h)
{
	/* release: a copy of the process that finds it false finds the lists as they were left */
	__atomic_store_n(&h->taken_over, false, __ATOMIC_RELEASE);
	open_fast_paths(h->cache);
}

void hak_takeover_forget(struct hak_cache *c)
{
	due.cache = NULL;
	if (!c)
		return;
	c->heap->taken_over = false;
	open_fast_paths(c);
}

void hak_takeover_leave(struct hak_cache *c)
{
	if (hak_unlikely(due.cache == c))
		call_due(c);
}

void hak_takeover_call(struct hak_cache *c, void (*call)(void))
{
	due.call = call;
	due.cache = c;
	atomic_store_explicit(&c->taken, HAK_TAKEN, memory_order_relaxed);
	close_fast_paths(c);
}
