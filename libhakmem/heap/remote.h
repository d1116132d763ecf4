/* SPDX-License-Identifier: MIT */
/*
 * Remote blocks: the remote word of a slab, and the lists of slabs that have remote blocks, one for
 * each thread cache and one for the pool. slab.h describes the protocol.
 */
#ifndef HAK_REMOTE_H
#define HAK_REMOTE_H

#include "page/slab.h"

extern HAK_HIDDEN const char hak_pool;		  /* its address is the owner of pooled slabs */
extern HAK_HIDDEN struct hak_mpsc hak_pool_queue; /* pool.c */

/*
 * Gives a chain of blocks of s to the owner of s. Returns true if this push turned QUEUED on (and
 * linked the slab). Any thread may call, without a lock.
 */
bool hak_remote_push(struct hak_slab *s, const struct hak_chain *c);
/*
 * Moves remote blocks to the slab's own list; QUEUED stays. Called by the owner. Returns the number
 * of blocks.
 */
uint32_t hak_remote_take(struct hak_slab *s);

/* Returns all queued slabs, as a list by mpsc_next. Called by the owner (pool: under its lock). */
struct hak_slab *hak_mpsc_take(struct hak_mpsc *q);
/*
 * For a slab popped by hak_mpsc_take: reads its link, takes list and QUEUED by one exchange, and
 * splices the blocks into the slab's own list. Returns the link.
 */
struct hak_slab *hak_remote_drain(struct hak_slab *s, uint32_t *ret_blocks);

/*
 * Turns QUEUED on, so that no other thread links the slab. Returns false if another thread did so
 * before. Used for a change of the owner, and when the pool is trimmed.
 */
bool hak_remote_claim(struct hak_slab *s);
/* Takes the blocks that came meanwhile, and turns QUEUED off. */
void hak_remote_unclaim(struct hak_slab *s);

/*
 * Checks that each slab in the queue is QUEUED and belongs to the owner. Called by the owner, or
 * with all threads stopped.
 */
#if HAK_DEBUG
void hak_mpsc_check(const struct hak_mpsc *q, const void *owner);
#else
static inline void hak_mpsc_check(const struct hak_mpsc *q, const void *owner)
{
	(void)q, (void)owner;
}
#endif

#endif
