/* SPDX-License-Identifier: MIT */
/* fork handlers. See fork.h. */
#include "fork.h"

#include <pthread.h>
#include <string.h>

#include "agent.h"
#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/sys.h"
#include "cache/bin.h"
#include "heap/heap.h"
#include "heap/pool.h"
#include "heap/sample.h"
#include "heap/takeover.h"
#include "life.h"
#include "page/extent.h"
#include "page/meta.h"
#include "page/rcache.h"
#include "share/share.h"
#include "share/tune.h"
#include "system/os.h"

/*
 * State between prepare and the child handler. The forking thread, which holds every lock, writes
 * it. The child receives it as a copy, like all memory.
 */
static struct {
	bool valid;		      /* a fork is under way */
	struct hak_cache *who;	      /* the forking thread's cache; NULL if the thread has none */
	struct hak_cache cache;	      /* the content of that cache */
	int64_t ungrown_budget;	      /* of its heap, had no list grown */
	uint32_t length[HAK_CLASSES]; /* the lengths of its bins */
	uint64_t in_use[HAK_CLASSES]; /* blocks in use in the whole process */
	uint64_t whales, whale_bytes, whale_requested;
} saved;

/*
 * Forks in progress by signal handlers that interrupted this thread inside the allocator, or in the
 * handlers of a fork.
 */
static __thread unsigned int inside HAK_TLS;
/* The first of them holds all locks. By the thread that holds them. */
static bool inside_waited;

#if HAK_CONTROL
/*
 * What such a thread had counted at its fork, and what the process had answered to controllers. The
 * parent goes on writing both in memory that both processes share until the child has its own. One
 * thread at a time uses this.
 */
static struct {
	_Atomic bool taken;
	char counted[HAK_HEAP_HALF]; /* the heap's own; tallies begin at zero in the child anyway */
	struct hak_ack *ack;	     /* where `answered` was read; NULL: there was no segment */
	struct hak_ack answered;
} insider;

static void keep_shared(struct hak_cache *c)
{
	while (inside == 1 && atomic_exchange_explicit(&insider.taken, true, memory_order_acquire))
		hak_sys(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	if (c->magic == HAK_CACHE_MAGIC)
		memcpy(insider.counted, hak_counters(c), sizeof(insider.counted));
	insider.ack = hak_ack;
	if (insider.ack)
		memcpy(&insider.answered, insider.ack, sizeof(insider.answered));
	hak_stats_fork_prepare();
}

static void forget_shared(void)
{
	atomic_store_explicit(&insider.taken, false, memory_order_release);
}

static void make_shared_private(struct hak_cache *c)
{
	if (!hak_share_unshare())
		return;
	if (c->magic == HAK_CACHE_MAGIC)
		memcpy(hak_counters(c), insider.counted, sizeof(insider.counted));
	if (hak_ack && hak_ack == insider.ack)
		memcpy(hak_ack, &insider.answered, sizeof(insider.answered));
	hak_stats_fork_inside();
}
#else
static void keep_shared(struct hak_cache *c)
{
	(void)c;
}

static void forget_shared(void)
{
}

static void make_shared_private(struct hak_cache *c)
{
	(void)c;
}
#endif

static void save_totals(void)
{
#if HAK_CONTROL
	unsigned int n = hak_heap_count();

	memset(saved.in_use, 0, sizeof(saved.in_use));
	saved.whales = saved.whale_bytes = saved.whale_requested = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct hak_heap_block *b = hak_heap_block_at(i);

		for (unsigned int k = 0; k < HAK_CLASSES; k++)
			saved.in_use[k] += b->hot[k].allocs - b->hot[k].frees +
					   (i < HAK_TALLY_BLOCKS ? b->cls[HAK_C_INHERITED][k] : 0);
		saved.whales += b->heap[HAK_C_WHALE_ALLOCS] - b->heap[HAK_C_WHALE_FREES] +
				b->heap[HAK_C_WHALE_INHERITED];
		saved.whale_bytes += b->heap[HAK_C_WHALE_ALLOC_BYTES] -
				     b->heap[HAK_C_WHALE_FREE_BYTES] +
				     b->heap[HAK_C_WHALE_INHERITED_BYTES];
		saved.whale_requested += b->heap[HAK_C_WHALE_REQ_ALLOC] -
					 b->heap[HAK_C_WHALE_REQ_FREE] +
					 b->heap[HAK_C_WHALE_INHERITED_REQ];
	}
#endif
}

/*
 * Other libraries' prepare handlers may still run after this one, and allocate. A block that they
 * took from a bin which the child also gets would be handed out twice.
 */
static void empty_bins(struct hak_cache *c)
{
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		saved.length[k] = hak_bin_length(c, k);
		*hak_bin_base(c->heap, k) -= saved.length[k];
		c->bin[k].head = NULL;
	}
}

/* Restores the bins in the parent, behind the blocks that were freed since. */
static void refill_bins(struct hak_cache *c)
{
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		void **link = &c->bin[k].head;

		while (*link)
			link = *link;
		*link = saved.cache.bin[k].head;
		*hak_bin_base(c->heap, k) += saved.length[k];
	}
	if (hak_unlikely(c->heap->sample.bytes))
		hak_cache_bound_all(c);
}

static void begin(void)
{
	struct hak_cache *c = hak_self;

	hak_lock_fork_prepare();
	saved.who = c->magic == HAK_CACHE_MAGIC ? c : NULL;
	if (saved.who) {
		memcpy(&saved.cache, c, sizeof(saved.cache));
		saved.ungrown_budget = c->heap->budget + (int64_t)hak_cache_grown_bytes(c->heap);
		empty_bins(c);
	}
	save_totals();
	hak_tune_fork_prepare();
	saved.valid = true;
}

/*
 * Whether the thread is between two steps of a change to its cache or its counters, or between the
 * reads of values that belong together. In a sandbox a copy cannot get the cache as it is.
 */
static bool is_at_work(const struct hak_cache *c)
{
	return c->magic == HAK_CACHE_MAGIC && !hak_heap_is_outside(c) && !hak_os_sandboxed();
}

/*
 * The copy gets all memory as it is, caches included. A thread that holds a lock can wait for none,
 * another one waits for all.
 */
static void begin_inside(bool holds_lock)
{
	if (!holds_lock)
		hak_lock_fork_prepare();
	inside++;
	keep_shared(hak_self);
	hak_heap_keep_on_fork(true);
	if (!holds_lock)
		inside_waited = true;
}

/* Returns whether this fork waited for all locks, and so holds them. */
static bool end_inside(void)
{
	bool waited = false;

	if (inside == 1) {
		hak_heap_keep_on_fork(false);
		forget_shared();
		waited = inside_waited;
		inside_waited = false;
	}
	inside--;
	return waited;
}

static void prepare(void)
{
	bool holds_lock = hak_lock_held_any();

	hak_count(HAK_C_FORKS, 1);
	if (hak_unlikely(holds_lock || is_at_work(hak_self)))
		begin_inside(holds_lock);
	else
		begin();
}

static void parent(void)
{
	if (hak_unlikely(inside)) {
		if (end_inside())
			hak_lock_fork_parent();
		return;
	}
	saved.valid = false;
	if (saved.who)
		refill_bins(saved.who);
	hak_tune_fork_parent();
	hak_lock_fork_parent();
}

/* The counters are the child's own now, and the bins get back their lengths. */
static void restore_cache(struct hak_cache *c)
{
	memcpy(c, &saved.cache, sizeof(saved.cache));
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		uint64_t allocs = hak_counters(c)->hot[k].allocs,
			 frees = hak_counters(c)->hot[k].frees;

		*hak_bin_base(c->heap, k) = (int64_t)saved.length[k] - (int64_t)(frees - allocs);
		c->bin[k].room = 0;
	}
	/* runs that other libraries' handlers freed after ours are not in them */
	c->heap->budget = saved.ungrown_budget - (int64_t)hak_cache_grown_bytes(c->heap);
}

/* Adds the blocks that were in use at the fork to the counters of the child's first heap. */
static void inherit(struct hak_cache *c)
{
#if HAK_CONTROL
	struct hak_heap_block *b = hak_counters(c), *tallies = hak_tally_block(c->heap->index);

	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		tallies->cls[HAK_C_INHERITED][k] = saved.in_use[k];
		if (saved.who == c &&
		    (saved.length[k] || (k < HAK_SLAB_CLASSES && c->heap->cls[k].spare_n)))
			b->cls[HAK_C_REFILLED][k] =
				saved.length[k] +
				(k < HAK_SLAB_CLASSES ? c->heap->cls[k].spare_n : 0);
	}
	b->heap[HAK_C_WHALE_INHERITED] = saved.whales;
	b->heap[HAK_C_WHALE_INHERITED_BYTES] = saved.whale_bytes;
	b->heap[HAK_C_WHALE_INHERITED_REQ] = saved.whale_requested;
#else
	(void)c;
#endif
}

/*
 * No handler waited for the locks. What other threads were changing at the copy is half changed,
 * and is abandoned. What this thread was changing when the signal came it will finish.
 */
static void abandon_half_changed(bool inside_copy)
{
	static const struct {
		enum hak_lock_id lock;
		void (*abandon)(void);
	} row[] = {
		{ HAK_LOCK_POOL, hak_pool_abandon },
		{ HAK_LOCK_EXTENT, hak_extent_abandon },
		{ HAK_LOCK_RCACHE, hak_rcache_abandon },
		{ HAK_LOCK_META, hak_meta_abandon },
	};

	for (unsigned int i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (hak_lock_taken(row[i].lock) && !(inside_copy && hak_lock_held(row[i].lock)))
			row[i].abandon();
}

static void become_child(void)
{
	struct hak_cache *c = saved.who;

	if (!saved.valid)
		/*
		 * an allocation in another library's handler came first, and hak_fork_copied() did
		 * everything
		 */
		return;
	saved.valid = false;
	hak_agent_fork_child();
	hak_tune_fork_child();
	if (c) {
		restore_cache(c);
		hak_takeover_forget(c);
	}
	hak_heap_fork_child(c);
	inherit(c ? c : hak_heaps[0].cache);
	if (c)
		hak_sample_fork_child(c);
	if (c && c->heap->sample.bytes)
		hak_cache_bound_all(c);
	hak_lock_fork_child();
}

/*
 * The thread has left what the handler interrupted; this makes the child what a fork at this point
 * would make of it.
 */
static void finish(void)
{
	begin();
	become_child();
}

/*
 * The child is the copy of a thread that is inside the allocator. The thread goes on where it was
 * interrupted, should the handler return, with lists and counters as they were: it may have read
 * one of two values that belong together. It becomes a process of its own when it next enters the
 * allocator, or, if it is at work on no cache, when it has released its last lock.
 */
static void child_inside(void)
{
	void (*when_free)(void) = finish;

	hak_stop("fork.copied");
	make_shared_private(hak_self);
	if (end_inside())
		hak_lock_fork_child();
	else
		abandon_half_changed(true);
	if (hak_self->magic == HAK_CACHE_MAGIC) {
		/* the lock that the thread holds may be one that a thread outside takes, as TUNE */
		if (hak_heap_is_cut(hak_self))
			hak_self = &hak_cache_none;
		else
			hak_takeover_forget(hak_self);
	}
	if (is_at_work(hak_self)) {
		hak_takeover_call(hak_self, finish);
		when_free = NULL;
	}
	hak_lock_fork_inside(when_free);
}

static void child(void)
{
	if (hak_unlikely(inside))
		child_inside();
	else
		become_child();
}

void hak_fork_copied(struct hak_cache *c)
{
	if (saved.valid && saved.who == c) {
		become_child();
		return;
	}
	/* No handlers ran. No thread of this process holds the locks, whatever their words say. */
	abandon_half_changed(false);
	hak_lock_fork_child();
	saved.valid = false;
	saved.who = NULL;
	memset(saved.in_use, 0, sizeof(saved.in_use));
	saved.whales = saved.whale_bytes = saved.whale_requested = 0;
	hak_agent_fork_child();
	hak_tune_fork_child();
	if (c && hak_heap_is_cut(c)) {
		hak_self = &hak_cache_none;
		c = NULL;
	}
	hak_heap_fork_child(c);
	if (c) {
		c->magic = 0;
		hak_heap_revive(c);
	}
	hak_takeover_forget(c);
}

void hak_fork_register(void)
{
	static _Atomic bool registered;

	if (!atomic_exchange_explicit(&registered, true, memory_order_relaxed))
		pthread_atfork(prepare, parent, child);
}
