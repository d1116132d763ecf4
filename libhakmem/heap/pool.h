/* SPDX-License-Identifier: MIT */
/*
 * The pool: partly used slabs that no thread owns, left by heaps whose thread has ended.
 * HAK_LOCK_POOL guards its lists and the owner's line of its slabs.
 */
#ifndef HAK_POOL_H
#define HAK_POOL_H

#include "page/slab.h"

/*
 * Gives a slab on no list to the pool. False if it is QUEUED: then the caller keeps it. An idle
 * slab is released.
 */
bool hak_pool_put(struct hak_slab *s);
/*
 * A slab of the class with room, the fullest of the first few, owned by `owner` from now on; NULL
 * if none.
 */
struct hak_slab *hak_pool_get(void *owner, unsigned int cls);
/* Collects what strangers gave back to pooled slabs and releases the idle ones. */
void hak_pool_drain(void);
/* As hak_slablist_trim(), for pooled slabs. HAK_LOCK_PURGE held, no later one. */
uint64_t hak_pool_trim(uint32_t age, uint32_t most);

/*
 * In a copy of the process made without fork handlers while another thread held HAK_LOCK_POOL: the
 * pool begins anew, slabs that were in it are lost once they are free.
 */
void hak_pool_abandon(void);

#endif
