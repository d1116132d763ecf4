/* SPDX-License-Identifier: MIT */
/*
 * One thread takes over the cache of another that is outside the allocator: it empties the bins,
 * collects what other threads gave back and gives pages back, without the owner's help, without a
 * signal and without waking the owner. The handshake is asymmetric: the owner pays two plain
 * stores a call, the taker pays a membarrier(2).
 *
 * The words, all in struct hak_cache:
 *   working  1 while a fast path of the owner runs. Stored by the owner alone.
 *   inside   number of slow paths that the owner is in; more than one when a signal handler
 *	allocates. Stored by the owner alone, and by the thread that hands the cache out (life.c).
 *   taken    HAK_TAKEN while another thread has the cache, or is finding out whether it may have
 *	it. Stored by the taker; the owner only adds that it waits. A futex: the owner waits on it,
 *	without a lock. malloc's fast path looks at it before it looks at a block, whose memory
 *	may be unmapped once the taker has the cache.
 *   bin[].inverse  what free's fast path checks. The taker replaces it by a value with which the
 *	check fails. free reads no block but its own, so that it need not look at `taken`.
 *
 * The owner stores `working` or `inside`, and loads `inverse` or `taken` after it; only then
 * does it read anything that the taker changes. The taker stores `taken` and `inverse`, has
 * each processor that runs a thread of the process execute a barrier, and loads `working` and
 * `inside` after it. So the owner finds the cache taken, or the taker finds the owner at work and
 * puts everything back. An owner that the kernel stopped between two instructions keeps what it had
 * stored: it is at work until it runs again. The owner's last store, release, comes after all
 * others: who finds the owner outside sees the bins, and counters that agree with them.
 *
 * A cache that belongs to no thread, or that is being handed out, has inside = 1 and is never
 * taken; the shared heap's is one of these. A thread that left a slow path by longjmp or was
 * cancelled in it counts as inside for ever. A signal handler that allocates while it interrupts a
 * fast path was never allowed; such a thread may be taken over within that fast path.
 *
 * tests/models/takeover.pml shows the handshake for each interleaving.
 */
#ifndef HAK_TAKEOVER_H
#define HAK_TAKEOVER_H

#include <stdatomic.h>

#include "heap.h"

#define HAK_TAKEN	 1u
#define HAK_TAKEN_WAITED 2u /* and the owner waits for it */

/* ---- the owner ---- */

void hak_takeover_wait(struct hak_cache *c);

/* Fast paths. Between the two, the owner may trust the cache once a question was answered. */
static inline void hak_fast_begin(struct hak_cache *c)
{
	__atomic_store_n(&c->working, 1, __ATOMIC_RELAXED);
	/* for the compiler; the processor's part is the taker's membarrier */
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void hak_fast_end(struct hak_cache *c)
{
	__atomic_store_n(&c->working, 0, __ATOMIC_RELEASE);
}

/* malloc. acquire: pairs with hak_takeover_end(); the bin is read after the answer */
static inline bool hak_fast_is_taken(struct hak_cache *c)
{
	return atomic_load_explicit(&c->taken, memory_order_acquire) != 0;
}

/* free: 0 where the cache is taken. acquire: likewise */
static inline uint32_t hak_fast_inverse(const struct hak_bin *b)
{
	return __atomic_load_n(&b->inverse, __ATOMIC_ACQUIRE);
}

/*
 * Slow paths, of a cache in use and by its thread; they nest. A fast path that failed ends here. No
 * lock may be held.
 */
static inline void hak_heap_enter(struct hak_cache *c)
{
	__atomic_store_n(&c->inside, c->inside + 1, __ATOMIC_RELAXED);
	atomic_signal_fence(memory_order_seq_cst);
	__atomic_store_n(&c->working, 0, __ATOMIC_RELAXED);
	/* acquire: pairs with hak_takeover_end() */
	if (hak_unlikely(atomic_load_explicit(&c->taken, memory_order_acquire)))
		hak_takeover_wait(c);
}

static inline void hak_heap_leave(struct hak_cache *c)
{
	__atomic_store_n(&c->inside, c->inside - 1, __ATOMIC_RELEASE);
}

/*
 * For a thread outside that is about to use its own cache or counters; no lock held. NULL: it has
 * no cache.
 */
static inline struct hak_cache *hak_heap_enter_own(void)
{
	struct hak_cache *c = hak_self;

	if (c->magic != HAK_CACHE_MAGIC)
		return NULL;
	hak_heap_enter(c);
	return c;
}

static inline void hak_heap_leave_own(struct hak_cache *c)
{
	if (c)
		hak_heap_leave(c);
}

/* acquire: pairs with the releases of hak_fast_end() and hak_heap_leave() */
static inline bool hak_heap_is_outside(const struct hak_cache *c)
{
	return !__atomic_load_n(&c->working, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&c->inside, __ATOMIC_ACQUIRE);
}

/* ---- the taker ---- */

enum hak_takeover {
	HAK_TAKEOVER_DONE, /* the cache is the caller's until hak_takeover_end() */
	HAK_TAKEOVER_BUSY, /* its thread is inside the allocator: later perhaps */
	HAK_TAKEOVER_NONE, /* no running thread owns the heap, or it is the caller's own */
	HAK_TAKEOVER_OFF,  /* the kernel has no membarrier, or a sandbox forbids it */
};

/*
 * Takes the cache of the heap over. HAK_LOCK_PURGE held, by which there is one taker at a time;
 * takes HAK_LOCK_REGISTRY. With DONE the caller runs the heap as its thread would.
 */
enum hak_takeover hak_takeover_begin(struct hak_heap *h);
void hak_takeover_end(struct hak_heap *h);

/* ---- a copy of the process, by its only thread, whose cache is c, or NULL ---- */

/* No thread is taking the cache over any more, and no call is due. */
void hak_takeover_forget(struct hak_cache *c);
/*
 * The thread is in a fast or a slow path. After it has left, its next slow path that begins without
 * a lock held calls `call`, before it reads a bin or a counter. Until then the cache looks as if it
 * were taken, so that the fast paths need not ask.
 */
void hak_takeover_call(struct hak_cache *c, void (*call)(void));
/* The thread has no cache any more: a call that is due happens now. No lock may be held. */
void hak_takeover_leave(struct hak_cache *c);

#endif
