/* SPDX-License-Identifier: MIT */
/*
 * The pool: partly used slabs without an owner, left by heaps whose thread has ended. HAK_LOCK_POOL
 * guards its lists and the owner's line of its slabs.
 */
#ifndef HAK_POOL_H
#define HAK_POOL_H

#include "page/slab.h"

/*
 * Gives a slab on no list to the pool. Returns false if the slab is QUEUED; then the caller keeps
 * it. An idle slab is released.
 */
bool hak_pool_put(struct hak_slab *s);
/*
 * Returns a slab of the class with room, the fullest of the first few, owned by `owner` from now
 * on; NULL if there is none.
 */
struct hak_slab *hak_pool_get(void *owner, unsigned int cls);
/* Collects the remote blocks of pooled slabs and releases idle slabs. */
void hak_pool_drain(void);
/* Does for pooled slabs what hak_slablist_trim() does. HAK_LOCK_PURGE held, no later one. */
uint64_t hak_pool_trim(uint32_t age, uint32_t most);

/*
 * For a copy of the process made without fork handlers while another thread held HAK_LOCK_POOL. The
 * pool begins anew; slabs that were in it are lost once they are free.
 */
void hak_pool_abandon(void);

/*
 * Checks the lists: slabs of each class with room and without, on the list of their state, owned by
 * the pool, of its life, none idle; and the queue: slabs owned by the pool, QUEUED. HAK_LOCK_POOL
 * held, or all threads stopped.
 */
#if HAK_DEBUG
void hak_pool_check(void);
#else
static inline void hak_pool_check(void)
{
}
#endif

#endif
