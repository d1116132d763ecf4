/* SPDX-License-Identifier: MIT */
/*
 * Heaps and thread caches: what one thread owns. The structures; the hot paths over them are in
 * malloc.c, the slow ones in cache.c, birth and death in heap.c.
 *
 * struct hak_cache: the bins that malloc pops from and free pushes to, whatever heap's slab a block
 *	is from, and the buffer in which flush gathers other heaps' blocks. Its address is the
 *	thread's identity: in TLS, and as owner in granules. It lies in memory that fork wipes
 *	(MADV_WIPEONFORK): in a copy of the process that ran no handlers (raw clone) every bin is
 *	empty and has no room, so that the first malloc or free takes the slow path, which sees
 *	`magic` gone. fork() itself saves and restores the forking thread's cache (fork.c).
 * struct hak_heap_block (control/abi.h): its counters, HAK_HEAP_DELTA behind it, possibly in shared
 *	memory.
 * struct hak_heap: slab lists and what refill and flush need. Survives fork; never unmapped.
 *
 * Written by the one thread that runs the heap, without a lock, but for heap.remote (MPSC, anybody)
 * and heap.state (HAK_LOCK_REGISTRY). heap.busy is set around every change of lists, so that a fork
 * child knows which heaps of other threads were cut in the middle: those it leaks, the others it
 * may adopt.
 *
 * A bin's length: frees - allocs + base, from the two hot counters. free only counts its room down
 * and looks at the real length when that is used up: a bin may be fuller than its limit by what
 * malloc took out meanwhile, never unbounded. The counters may be shared memory; nothing but the
 * length, a matter of thrift, is made from them.
 */
#ifndef HAK_HEAP_H
#define HAK_HEAP_H

#include <stdatomic.h>

#include "../control/abi.h"
#include "hak.h"
#include "ring.h"
#include "sample.h"
#include "segment.h"
#include "slab.h"
#include "stats.h"

struct hak_bin {
	void *head; /* blocks, linked through their first word */
	/* frees until free must look; < 0: now. Set to 0 by others, to make it look (purge.c) */
	int32_t room;
	/*
	 * of the block size: free knows a pointer into a block (class.h); 0 in a cache not in use
	 */
	uint32_t inverse;
};
_Static_assert(sizeof(struct hak_bin) == 16, "a bin lies as far from the next as its counters do");

#define HAK_REMOTE_SLOTS 16u

struct hak_cache {
	struct hak_bin bin[HAK_CLASSES];
	uint64_t magic; /* HAK_CACHE_MAGIC in a usable cache of this very process */
	struct hak_heap *heap;
	uint32_t ticks; /* slow paths since the clock was last looked at */
	uint32_t reserved;
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

/* Per slab class. */
struct hak_heap_class {
	struct hak_slab *current;
	struct hak_slab_list partial, full;
	void *spare;  /* second list of the bin, full when set */
	int64_t base; /* bin length = frees - allocs + base */
	uint32_t spare_n;
	uint32_t limit;	      /* blocks in one list; 0: as few as to begin with */
	uint32_t misses;      /* refills from slabs since the last decay */
	uint32_t carve;	      /* blocks to carve next time */
	uint64_t allocs_seen; /* hot.allocs at the last decay */
};

struct hak_heap {
	struct hak_mpsc remote;			/* slabs that strangers gave blocks back to */
	char pad[64 - sizeof(struct hak_mpsc)]; /* strangers' line */
	struct hak_cache *cache;
	struct hak_heap *next_dead; /* HAK_LOCK_REGISTRY */
	uint32_t index;
	uint32_t state; /* enum hak_heap_state; HAK_LOCK_REGISTRY */
	_Atomic uint32_t busy;
	uint32_t rounds; /* destructor rounds seen */
	/* last request to flush that was obeyed (purge.c) */
	uint32_t flushed;
	bool kept;	 /* dead, with slabs; HAK_LOCK_REGISTRY */
	uint32_t died;	 /* epoch of the purge clock; HAK_LOCK_REGISTRY */
	uint16_t serial; /* of the last flush; never 0 */
	/* bytes of cache.thread_bytes by which lists of slab classes may grow, or runs be kept */
	int64_t budget;
	uint64_t decay_ms;	/* when the lists were last looked at */
	struct hak_front front; /* ring.h */
	struct hak_heap_class cls[HAK_SLAB_CLASSES];
	struct {
		int64_t base;
		uint64_t allocs_seen;
	} run[HAK_RUN_CLASSES];
	struct hak_sample sample; /* sample.h */
};

extern HAK_HIDDEN struct hak_heap *hak_heaps; /* [HAK_MAX_HEAPS] */

extern HAK_HIDDEN __thread struct hak_cache *hak_self HAK_TLS; /* never NULL */
/* a thread that has not allocated yet */
extern HAK_HIDDEN struct hak_cache hak_cache_none;
/* a thread whose heap is gone, or that could not get one */
extern HAK_HIDDEN struct hak_cache hak_cache_zombie;

/*
 * The usable cache of the calling thread, made or adopted if need be; &hak_cache_zombie if it
 * cannot have one.
 */
struct hak_cache *hak_heap_attach(void);

/*
 * The locked cache of threads without one. Between enter and leave the caller runs it; takes
 * HAK_LOCK_ZOMBIE.
 */
struct hak_cache *hak_heap_zombie_enter(void);
void hak_heap_zombie_leave(struct hak_cache *c);
struct hak_cache *hak_heap_shared(void); /* theirs; NULL: not needed yet. HAK_LOCK_ZOMBIE */

/* For fork.c and purge.c. */
/*
 * The slabs of heaps to the pool that have been without a thread for `age` epochs, or to which
 * strangers gave something back; HAK_LOCK_REGISTRY inside.
 */
void hak_heap_drain_dead(uint32_t age);
/*
 * Makes every thread's next free take the slow path and look at requests and clock. The owner's
 * plain decrement may overwrite it: then it is the next free of another class.
 */
void hak_heap_poke(void);
bool hak_heap_scavenge(void); /* the same for one heap; false: none has any */
/* other threads are gone: their heaps become dead or are leaked */
void hak_heap_fork_child(struct hak_cache *self);

/* Whether copies made from now on have the caches, which else are wiped. Not in a sandbox. */
void hak_heap_keep_on_fork(bool keep);

/* Whether this is a copy of the process that no fork handler has run in yet. */
bool hak_heap_is_copy(void);
/* a wiped cache of the only thread: empty, usable, with its slabs */
void hak_heap_revive(struct hak_cache *c);

/* For readers of counters. Slots [0, count) may be read. */
char *hak_heap_base(void);
unsigned int hak_heap_max(void); /* slots reserved */
/* address space alone; before any other thread exists, or under HAK_LOCK_REGISTRY */
bool hak_heap_reserve(void);
/* RLIMIT_AS is there now, or lower: slots that it has no room for and nobody uses are unmapped. */
void hak_heap_fit(void);
unsigned int hak_heap_count(void);
unsigned int hak_heap_live(void); /* heaps with a thread whose destructor is still to come */
struct hak_heap_block *hak_heap_block_at(unsigned int i);

/*
 * The queue of an owner that is not the pool. Works in a fork child, whose caches were
 * wiped.
 */
struct hak_mpsc *hak_owner_queue(void *owner);
/* ---- cache.c: the slow paths ---- */

/*
 * A block of the class for a bin found empty; NULL: no memory. `size` is what was asked, for the
 * sample.
 */
void *hak_cache_refill(struct hak_cache *c, unsigned int cls, size_t size);
/* A bin has no room left: make some. */
void hak_cache_trip(struct hak_cache *c, unsigned int cls);
/* A freed run for which the budget has no room: to its extent, counted as if it had been cached. */
void hak_cache_pass_run(struct hak_cache *c, unsigned int cls, void *p);
void hak_cache_flush_remote(struct hak_cache *c);
/*
 * Everything back to slabs and extents; empty slabs released; what strangers gave back collected.
 */
void hak_cache_flush(struct hak_cache *c);
/*
 * Gives back whole free pages of partly used slabs to which nothing came back for `age` epochs, of
 * at most `most` slabs. Bytes as hak_purge_count() counts them. HAK_LOCK_PURGE may be held.
 */
uint64_t hak_cache_trim(struct hak_cache *c, uint32_t age, uint32_t most);
/* Shrinks lists that have not missed for a while. */
void hak_cache_decay(struct hak_cache *c, uint64_t now_ms);
/*
 * All slabs of a heap without a thread go to the pool, but those QUEUED. Its cache was flushed when
 * the thread ended.
 */
void hak_cache_retire(struct hak_cache *c);
void hak_cache_reset_limits(struct hak_cache *c);
/*
 * While allocations are sampled: makes the bin so short, and its room so little, that the malloc to
 * be sampled next finds it empty.
 */
void hak_cache_bound(struct hak_cache *c, unsigned int cls);
void hak_cache_bound_all(struct hak_cache *c);
/* The first block of a bin is not as it was freed: says so and empties the bin. */
void hak_cache_broken(struct hak_cache *c, unsigned int cls);

static inline int64_t *hak_bin_base(struct hak_heap *h, unsigned int cls)
{
	return cls < HAK_SLAB_CLASSES ? &h->cls[cls].base : &h->run[cls - HAK_SLAB_CLASSES].base;
}

static inline uint32_t hak_bin_length(struct hak_cache *c, unsigned int cls)
{
	int64_t n = *hak_bin_base(c->heap, cls);

	n += (int64_t)(hak_counters(c)->hot[cls].frees - hak_counters(c)->hot[cls].allocs);
	/* below: after blocks freed twice that check.free let pass */
	return n < 0 ? 0 : (uint32_t)n;
}

#endif
