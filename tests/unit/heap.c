// SPDX-License-Identifier: MIT
/*
 * libhakmem/heap/: what the checks of debug builds find. A heap with slabs in all states, blocks in
 * its bins and on their way, slabs in the pool. Then, in one child after the other, one field is
 * corrupted, and the check has to say which rule does not hold.
 *
 * This process's own blocks are of other classes.
 */
#include "../../libhakmem/heap/pool.c"

#include "libhakmem/heap/heap.h"
#include "libhakmem/process/attach.h"
#include "unit.h"

#if HAK_DEBUG

enum { CLS = 37, SIZE = 1792 };

static struct hak_cache *cache;

/* A slab of the heap's with `used` blocks in use, on no list. */
static struct hak_slab *new_slab(uint32_t used)
{
	struct hak_chain chain;
	struct hak_slab *s;
	bool fresh;

	s = hak_slab_new(cache, CLS, &fresh);
	CHECK(s && hak_class_size(CLS) == SIZE, "class of %zu", hak_class_size(CLS));
	CHECK(hak_slab_carve(s, used, &chain) == used, "no memory");
	return s;
}

/* ---- the pool ---- */

static struct hak_slab *room[2], *full;

static void three_in_the_pool(void)
{
	struct hak_chain chain;
	void *p;

	cache = hak_heap_attach();
	room[0] = new_slab(3);
	room[1] = new_slab(5);
	full = new_slab(HAK_SLAB_BYTES / SIZE);
	CHECK(hak_pool_put(room[0]) && hak_pool_put(room[1]) && hak_pool_put(full), "not pooled");
	/* and one of them in the pool's queue */
	p = room[0]->base;
	chain = (struct hak_chain){ p, p, 1 };
	CHECK(hak_remote_push(room[0], &chain), "not queued");
	CHECK(pool[CLS].room == room[1] && room[1]->next == room[0] && pool[CLS].full == full,
	      "another order");
	hak_pool_check();
}

#define POOL_FINDS(text, ...) FINDS(text, hak_pool_check(), __VA_ARGS__)

static void corruption_of_the_pool_is_found(void)
{
	three_in_the_pool();
	POOL_FINDS("s->prev == before", room[0]->prev = NULL);
	POOL_FINDS("s->cls == cls && s->state == state", room[0]->cls++);
	POOL_FINDS("s->cls == cls && s->state == state", room[0]->state = HAK_SLAB_PARTIAL);
	POOL_FINDS("s->cls == cls && s->state == state", full->state = HAK_SLAB_POOLED);
	POOL_FINDS("(s->used == s->capacity) == ", full->used--);
	POOL_FINDS("(s->used == s->capacity) == ", room[0]->used = room[0]->capacity);
	POOL_FINDS("s->life == pool_life", full->life++);
	POOL_FINDS("hak_slab_owner(s) == &hak_pool", hak_slab_set_owner(full, cache));
	POOL_FINDS("!hak_slab_idle(s)", room[1]->used = 0);
	POOL_FINDS("s->used + s->nfree", room[1]->carved++); /* hak_slab_check() */
	POOL_FINDS("atomic_load_explicit(&s->remote", room[0]->remote = 0);
	POOL_FINDS("hak_slab_owner(s) == owner", full->mpsc_next = NULL;
		   hak_slab_set_owner(full, cache); full->remote = HAK_REMOTE_QUEUED;
		   room[0]->mpsc_next = full; pool[CLS].full = NULL);
	hak_pool_check();
}

static const struct tcase cases[] = {
	{ "corruption_of_the_pool_is_found", corruption_of_the_pool_is_found },
};

CASES(cases)
#else
int main(void)
{
	return skip_all("the checks are in debug builds only");
}
#endif
