/* SPDX-License-Identifier: MIT */
/*
 * Heaps and thread caches: what one thread owns. This header has the structures. The hot paths over
 * them are in malloc.c, the slow ones in cache/, birth and death in life.c.
 *
 * struct hak_cache: the bins that malloc pops from and free pushes to, whichever heap owns the
 *	slab of a block, and the buffer in which a flush gathers blocks of other heaps. Its address
 *	is the thread's identity, in TLS and as owner in slices. It lies in memory that fork wipes
 *	(MADV_WIPEONFORK). In a copy of the process in which no handlers ran (raw clone) every bin
 *	is empty and has no room, so the first malloc or free takes the slow path, which finds
 *	`magic` wiped. fork() itself saves and restores the forking thread's cache (fork.c).
 * struct hak_heap_block (abi.h): the counters of the heap, HAK_HEAP_DELTA behind it, possibly in
 *	shared memory.
 * struct hak_heap: slab lists, and what refill and flush need. It survives fork and is never
 *	unmapped. Of a heap that holds nothing and whose thread ended it may become zeros (dead.h).
 *
 * Only the thread that runs the heap writes all this, without a lock, except heap.remote (MPSC, any
 * thread) and heap.state (HAK_LOCK_REGISTRY). That thread is the one the heap belongs to or, while
 * this one is outside the allocator, a thread that has taken the heap over (takeover.h). heap.busy
 * is set around every change of lists. It tells a fork child which heaps of other threads were cut
 * in the middle of a change: the child leaks those and may adopt the others.
 *
 * The length of a bin is frees - allocs + base, from the two hot counters. free only counts the
 * room of the bin down and computes the length when no room is left. So a bin may exceed its limit
 * by the blocks that malloc took out meanwhile, but it is never unbounded. The counters may be
 * shared memory, which other processes could spoil; only the length is computed from them, on which
 * nothing but thrift depends.
 */
#ifndef HAK_HEAP_H
#define HAK_HEAP_H

#include <stdatomic.h>

#include "base/hak.h"
#include "base/stats.h"
#include "base/stop.h"
#include "control/abi/abi.h"
#include "page/rcache.h"
#include "page/slab.h"

struct hak_bin {
	void *head; /* blocks, linked through their first word */
	/*
	 * frees until free must look at the length; < 0: at once, or, down to -HAK_DIRECT_MOST, as
	 * flush.h says. Other threads set it to HAK_ROOM_LOOK to make free look (purge.c)
	 */
	int32_t room;
	/*
	 * of the block size: by it free knows a pointer into a block (class.h); 0 in an unused
	 * cache
	 */
	uint32_t inverse;
};
#define HAK_DIRECT_MOST 64
#define HAK_ROOM_LOOK	(INT32_MIN / 2)
_Static_assert(sizeof(struct hak_bin) == 16, "a bin lies as far from the next as its counters do");

#define HAK_REMOTE_SLOTS 16u

struct hak_cache {
	struct hak_bin bin[HAK_CLASSES];
	uint64_t magic; /* HAK_CACHE_MAGIC in a usable cache of this process */
	struct hak_heap *heap;
	/* what the fast paths and those who take a cache over agree on: takeover.h */
	uint32_t working, inside;
	_Atomic uint32_t taken;
	uint32_t ticks; /* slow paths since the clock was last looked at */
	struct {
		struct hak_slab *slab;
		struct hak_chain chain;
	} remote[HAK_REMOTE_SLOTS];
};
#define HAK_CACHE_MAGIC 0x68616b6d656d2131u /* "hakmem!1" */
_Static_assert(HAK_CACHE_OFFSET + sizeof(struct hak_cache) <= 4096, "a cache touches one page");

struct hak_slab_list {
	struct hak_slab *head;
};

/* One for each slab class. */
struct hak_heap_class {
	struct hak_slab *current;
	struct hak_slab_list partial, full;
	void *spare;  /* second list of the bin, full when set, of spare_n blocks */
	int64_t base; /* bin length = frees - allocs + base */
	uint32_t spare_n;
	/* blocks in both lists: the first limit (0) or so many times doubled; bin.c */
	uint32_t limit;
	uint32_t misses;      /* refills from slabs since the last decay */
	uint32_t carve;	      /* blocks to carve next time, less than a slab; 0: the first number */
	uint64_t allocs_seen; /* hot.allocs at the last decay */
	/*
	 * blocks that went straight to their slabs since the last refill, about, and hot.allocs
	 * when that began; bin.c
	 */
	uint64_t allocs_given;
	uint32_t given;
	bool direct; /* all of the heap's own blocks do, although the bin is empty; flush.h */
};

/* Decides which allocations are sampled: sample.h. */
struct hak_sample {
	uint64_t bytes; /* mean distance; 0: sampling is off */
	uint64_t random;
	uint64_t left; /* runs and whales: bytes until the next point */
	struct {
		uint64_t due;  /* class.allocs with the block that is hit */
		uint64_t rest; /* bytes of that block behind the point, 1 at least */
	} cls[HAK_SLAB_CLASSES];
};

struct hak_heap {
	struct hak_mpsc remote;			/* slabs with remote blocks */
	char pad[64 - sizeof(struct hak_mpsc)]; /* other threads write the line before */
	struct hak_cache *cache;
	struct hak_heap *next_dead; /* HAK_LOCK_REGISTRY */
	uint32_t index;
	uint32_t state; /* enum hak_heap_state; HAK_LOCK_REGISTRY */
	_Atomic uint32_t busy;
	uint32_t rounds; /* destructor rounds seen */
	/* serial number of the last flush request obeyed (purge.c); read by other threads */
	uint32_t flushed;
	bool holds_slabs; /* dead, and not retired yet; HAK_LOCK_REGISTRY */
	bool taken_over;  /* another thread runs the heap; that thread's */
	struct {
		uint64_t activity; /* calls seen */
		uint32_t since;	   /* epoch since which there was no call */
		uint32_t last;	   /* epoch in which the cache was last emptied for the thread */
		bool emptied;	   /* `last` is valid: no call since */
		bool trim; /* blocks had come back by then, whose pages are to be given back */
	} asleep;	   /* sleepers.c; HAK_LOCK_PURGE */
	uint32_t died;	   /* epoch of the purge clock; HAK_LOCK_REGISTRY */
	uint16_t serial;   /* of the last flush; 0 before the first */
	uint16_t sparse; /* slabs that the last flush left nearly empty, up to a bound (flush.h) */
	/*
	 * bytes of cache.thread_bytes left for lists of slab classes to grow, or for runs to be
	 * kept
	 */
	int64_t budget;
	uint64_t decay_ms;	   /* when the lists were last looked at */
	struct hak_hot hot_region; /* rcache.h */
	struct hak_heap_class cls[HAK_SLAB_CLASSES];
	struct {
		int64_t base;
		uint64_t allocs_seen;
	} run[HAK_RUN_CLASSES];
	struct hak_sample sample; /* sample.h */
#if HAK_DEBUG
	int64_t whole_budget; /* of which `budget` is left */
#endif
};

extern HAK_HIDDEN struct hak_heap *hak_heaps; /* [HAK_MAX_HEAPS] */

/* Only heap.c and life.c change this. */
extern HAK_HIDDEN struct hak_table {
	char *base; /* of the caches; their counters are at + HAK_HEAP_DELTA */
	/* Guarded by HAK_LOCK_REGISTRY, but read without it where a stale value does no harm. */
	unsigned int slots;	   /* reserved; whole chunks */
	unsigned int enabled;	   /* slots that have memory */
	_Atomic unsigned int used; /* slots ever handed out */
	_Atomic unsigned int live;
	/* the shared heap; made when first needed; HAK_LOCK_SHARED */
	struct hak_heap *shared;
} hak_table;

extern HAK_HIDDEN __thread struct hak_cache *hak_self HAK_TLS; /* never NULL */
/* the cache of a thread that has not allocated yet */
extern HAK_HIDDEN struct hak_cache hak_cache_none;
/* the cache of a thread whose heap is gone, or that could not get one */
extern HAK_HIDDEN struct hak_cache hak_cache_shared;

/* Whether the calling thread has a usable cache of its own. */
static inline bool hak_has_cache(void)
{
	return hak_self->magic == HAK_CACHE_MAGIC;
}

struct hak_cache *hak_heap_shared(void); /* the shared heap; NULL: not needed yet */

/*
 * Makes the next free of every thread take the slow path and look at requests and the clock. The
 * owner's plain decrement may overwrite this; then the next free of another class takes the slow
 * path.
 */
void hak_heap_poke(void);

/*
 * Sets whether copies made from now on have the caches; otherwise fork wipes them. Not callable in
 * a sandbox.
 */
void hak_heap_keep_on_fork(bool keep);

/* Returns whether this is a copy of the process in which no fork handler has run yet. */
bool hak_heap_is_copy(void);
/* For life.c: from now on the process does not count as a copy. */
void hak_heap_set_mark(void);
void hak_heap_set_state(struct hak_heap *h, enum hak_heap_state state);

static inline struct hak_cache *hak_heap_cache_at(unsigned int i)
{
	return (struct hak_cache *)(hak_table.base + (size_t)i * HAK_HEAP_STRIDE +
				    HAK_CACHE_OFFSET);
}

/* Computed from the address alone, because fork may have wiped the cache. */
static inline struct hak_heap *hak_heap_of(const struct hak_cache *c)
{
	return &hak_heaps[(size_t)((const char *)c - hak_table.base) / HAK_HEAP_STRIDE];
}

/* For readers of counters. Slots [0, count) may be read. */
char *hak_heap_base(void);
unsigned int hak_heap_max(void); /* slots reserved */
/* reserves address space only; called before any other thread exists, or under HAK_LOCK_REGISTRY */
bool hak_heap_reserve(void);
/*
 * Called when RLIMIT_AS was set or lowered: unmaps unused slots that the limit leaves no room for.
 */
void hak_heap_fit(void);
unsigned int hak_heap_count(void);
unsigned int hak_heap_live(void); /* heaps whose thread has not ended */
struct hak_heap_block *hak_heap_block_at(unsigned int i);

/*
 * Returns the queue of an owner that is not the pool. Works in a fork child, whose caches were
 * wiped.
 */
struct hak_mpsc *hak_owner_queue(void *owner);
/*
 * Brackets every change of a heap's lists. A fork child leaks the heaps of other threads that it
 * finds busy.
 */
static inline void hak_heap_busy(struct hak_cache *c)
{
	atomic_store_explicit(&c->heap->busy, 1, memory_order_relaxed);
	/*
	 * the mark precedes the first change, in the order in which a fork of another thread sees
	 * both
	 */
	atomic_thread_fence(memory_order_release);
}

static inline void hak_heap_idle(struct hak_cache *c)
{
	atomic_store_explicit(&c->heap->busy, 0, memory_order_release);
}

/* The block in which the tallies of heap i are counted. */
static inline struct hak_heap_block *hak_tally_block(unsigned int i)
{
	return hak_counters(hak_heap_cache_at(i % HAK_TALLY_BLOCKS));
}

#if HAK_CONTROL
#define hak_class_tally_n(c, sym, k, n) \
	hak_count_at(&hak_tally_block((c)->heap->index)->cls[HAK_C_##sym][k], (uint64_t)(n))
#else
#define hak_class_tally_n(c, sym, k, n) ((void)(c), (void)(k), (void)(n))
#endif

static inline int64_t *hak_bin_base(struct hak_heap *h, unsigned int cls)
{
	return cls < HAK_SLAB_CLASSES ? &h->cls[cls].base : &h->run[cls - HAK_SLAB_CLASSES].base;
}

static inline uint32_t hak_bin_length(struct hak_cache *c, unsigned int cls)
{
	int64_t n = *hak_bin_base(c->heap, cls);

	if (cls < HAK_SLAB_CLASSES) /* checks read the lengths of all classes of runs */
		hak_stop("bin.half_read");
	n += (int64_t)(hak_counters(c)->hot[cls].frees - hak_counters(c)->hot[cls].allocs);
	/* negative after blocks freed twice that check.free let pass */
	return n < 0 ? 0 : (uint32_t)n;
}

/*
 * Count a block that comes from a slab or an extent, or goes there, without lying in the bin, as if
 * it had passed the bin. The length of the bin stays the same.
 */
static inline void hak_bin_count_taken(struct hak_cache *c, unsigned int cls)
{
	hak_counters(c)->hot[cls].allocs++;
	hak_class_count_n(c, REFILLED, cls, 1);
	++*hak_bin_base(c->heap, cls);
}

static inline void hak_bin_count_given(struct hak_cache *c, unsigned int cls)
{
	hak_counters(c)->hot[cls].frees++;
	hak_class_count_n(c, FLUSHED, cls, 1);
	--*hak_bin_base(c->heap, cls);
}

/* Counts a sample of the sizes that programs ask for. */
static inline void hak_bin_count_size(struct hak_cache *c, unsigned int cls, size_t size)
{
	hak_class_tally_n(c, REQ_SAMPLES, cls, 1);
	hak_class_tally_n(c, REQ_BYTES, cls, size);
}

/*
 * The table: used <= enabled <= slots, and of each slot in use the index and the cache. A heap has
 * `holds_slabs` set only while it is dead. HAK_LOCK_REGISTRY held, or all threads stopped.
 */
#if HAK_DEBUG
void hak_heap_check(void);
#else
static inline void hak_heap_check(void)
{
}
#endif

#endif
