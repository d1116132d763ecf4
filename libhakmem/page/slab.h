/* SPDX-License-Identifier: MIT */
/*
 * Slabs: 64 KiB of blocks of one size class. This module has the structure, and takes, carves and
 * releases slabs. Holes in partly used slabs are in holes.h, remote blocks in remote.h, slabs
 * without an owner in pool.h.
 *
 * Access to struct hak_slab:
 *   owner's line: the thread that runs the owning heap; for pooled slabs the holder of
 *   HAK_LOCK_POOL.
 *   remote: any thread, by compare-and-swap. mpsc_next: the thread that turned QUEUED on, until the
 *   slab is linked; then the thread that popped it.
 * The owner is the word of the slab's slice: a thread cache, or hak_pool. Only the thread that runs
 * a cache sets or clears that cache's name there (under HAK_LOCK_POOL when the slab comes from or
 * goes to the pool). So a thread can trust that it is the owner if it finds its own cache. Any
 * other value only says "remote", and the compare-and-swap decides.
 *
 * remote = { first block + 1, count, QUEUED }, one word. A list in it implies QUEUED. The push that
 * puts the first block there turns QUEUED on, and the thread that turned it on links the slab to
 * the owner's MPSC list; it reads the owner after the compare-and-swap. Only popping the slab from
 * such a list clears QUEUED: list and bit are taken by one exchange, and the link is read before.
 * Refill may take the blocks earlier but leaves QUEUED. A change of the owner (pool, adopt) claims
 * QUEUED itself first. Then no other thread links the slab, and a thread that turns QUEUED on later
 * reads the new owner. A slab that is QUEUED already is neither pooled nor adopted nor released.
 * Modelled in tests/models/remote.pml.
 *
 * `used` counts blocks that were carved and are not in the slab's own list: they are in use, in
 * caches, or on their way back. A partly used slab to which no block came back for a while gives
 * back the pages on which every block is free (holes). The blocks on them leave the list and are
 * `dropped` until the slab has nothing else to hand out.
 *
 * Invariants: used + nfree + dropped == carved <= capacity; nfree is the length of the list;
 * dropped is the number of carved blocks that touch a hole; blocks in the remote word count as
 * used; the slice of a slab is of kind HAK_SLAB and has the slab's class, and the class + 1 as
 * tag. prev and next are NULL in a slab on no list.
 */
#ifndef HAK_SLAB_H
#define HAK_SLAB_H

#include <stdatomic.h>

#include "base/class.h"
#include "base/hak.h"
#include "slice.h"

struct hak_extent;

/*
 * Every free block of a slab holds a key in its second word: HAK_KEY exclusive-or the block's own
 * address. A stale key that a program copies with memory that it never wrote is therefore no key at
 * any other address. Above these 48 bits the key has the serial number of the flush that last saw
 * the block, by which one flush recognises a block that it meets twice. malloc checks and clears
 * the key, so a block that was freed twice, or written after it was freed, is found before it is
 * handed out. flush checks the key too. free does not read it: a read would cost a cache miss where
 * the store costs none (100,000 live blocks: 22.6 against 15.2 ns a pair).
 */
#define HAK_KEY		((uintptr_t)hak_leaves)
#define HAK_KEY_SERIALS 0xffffu
#define HAK_KEY_BITS	48
_Static_assert(HAK_ADDRESS_BITS <= HAK_KEY_BITS, "the whole address is in the key");

static inline uintptr_t hak_key_of(const void *p, uintptr_t serial)
{
	return HAK_KEY ^ (uintptr_t)p ^ serial << HAK_KEY_BITS;
}

static inline bool hak_key_is_free(const void *p)
{
	return !((((const uintptr_t *)p)[1] ^ hak_key_of(p, 0)) << (64 - HAK_KEY_BITS));
}

enum hak_slab_state {
	HAK_SLAB_NONE,	      /* not a slab */
	HAK_SLAB_CURRENT,     /* the slab from which its heap refills */
	HAK_SLAB_PARTIAL,     /* on its heap's list of slabs with room */
	HAK_SLAB_FULL,	      /* on its heap's list of slabs without room */
	HAK_SLAB_POOLED,      /* on the pool's list of slabs with room */
	HAK_SLAB_POOLED_FULL, /* on the pool's list of slabs without room */
};

struct hak_slab {
	void *free; /* blocks, linked through their first word */
	char *base;
	struct hak_slab *prev, *next; /* list by state */
	struct hak_extent *extent;    /* NULL: mapped on its own */
	uint16_t used, nfree, carved, capacity;
	uint8_t cls, state;
	bool dirty;	  /* did not read as zeros when the slab was taken */
	bool trimmed;	  /* searched for holes since a block last came back */
	uint16_t dropped; /* blocks that lie on holes, wholly or in part */
	uint16_t holes;	  /* bit per 4 KiB page given back */
	uint8_t epoch;	  /* of the purge clock, when a block last came back */
	uint8_t life;	  /* number of the pool that lists it */
	uint8_t reserved[6];
	/* the line that other threads write */
	_Atomic uint64_t remote;
	struct hak_slab *mpsc_next;
	uint64_t reserved2[6];
};

_Static_assert(sizeof(struct hak_slab) == HAK_SLAB_RECORD, "owner's line and remote line");

#define HAK_REMOTE_QUEUED   ((uint64_t)1 << 32)
#define HAK_REMOTE_FIRST(w) ((uint32_t)((w)&0xffff)) /* block offset / 16 + 1; 0: none */
#define HAK_REMOTE_SHIFT    16
#define HAK_REMOTE_COUNT(w) ((uint32_t)((w) >> HAK_REMOTE_SHIFT & 0xffff))

/* Blocks on their way back: linked through their first word, NULL-terminated at tail. */
struct hak_chain {
	void *head, *tail;
	uint32_t n;
};

/* The slabs of a thread cache, or of the pool, that have remote blocks (remote.h). */
struct hak_mpsc {
	_Atomic(struct hak_slab *) head;
};

static inline struct hak_slab *hak_slab_of(const void *p)
{
	return hak_slice_slab(hak_slice_ours(p), p);
}

static inline struct hak_slice *hak_slab_slice(const struct hak_slab *s)
{
	return hak_slice_ours(s->base);
}

static inline void *hak_slab_owner(const struct hak_slab *s)
{
	/*
	 * acquire: pairs with hak_slab_set_owner; a freeing thread that reads a cache's name may
	 * use that cache
	 */
	return atomic_load_explicit(&hak_slab_slice(s)->word, memory_order_acquire);
}

static inline void hak_slab_set_owner(struct hak_slab *s, void *owner)
{
	atomic_store_explicit(&hak_slab_slice(s)->word, owner, memory_order_release);
}

/*
 * Returns whether p can be the start of a block of the slab. Reads only fields that never change
 * while p is in use.
 */
bool hak_slab_is_block(const struct hak_slab *s, const void *p);

/*
 * Returns a new slab of the class, owned by `owner`, on no list; NULL: no memory. *ret_extent: a
 * new extent was needed.
 */
struct hak_slab *hak_slab_new(void *owner, unsigned int cls, bool *ret_extent);
/*
 * Gives a slab back to its extent, or unmaps it. All blocks must be free, QUEUED clear, and the
 * slab on no list.
 */
void hak_slab_release(struct hak_slab *s);
/* Returns whether the slab may be released. */
bool hak_slab_idle(const struct hak_slab *s);

/* Returns up to n blocks that were never used, as a chain. The caller owns the slab. */
uint32_t hak_slab_carve(struct hak_slab *s, uint32_t n, struct hak_chain *ret);

/* Updates memory by state for holes, a bit each, that were made (sign 1) or used again (-1). */
void hak_slab_count_holes(unsigned int holes, int sign);

/* The same as hak_pool_abandon(): single slabs that munmap refused are lost. */
void hak_slab_abandon(void);

/*
 * The rules above, of one slab: numbers, list, holes, owner's slice, remote word. By the owner, or
 * with all threads stopped.
 */
#if HAK_DEBUG
void hak_slab_check(const struct hak_slab *s);
#else
static inline void hak_slab_check(const struct hak_slab *s)
{
	(void)s;
}
#endif

#endif
