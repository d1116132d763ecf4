// SPDX-License-Identifier: MIT
/*
 * libhakmem/heap/ and cache/: the budget of a cache whose blocks are lost. In debug builds also
 * what the checks find. A heap has slabs in all states, blocks in its bins and on their way, and
 * slabs in the pool. Then, in one child after the other, one field is corrupted, and the check must
 * report the rule that does not hold.
 *
 * This process's own blocks are of other classes.
 */
#include "../../libhakmem/heap/pool.c"

#include "libhakmem/base/values.h"
#include "libhakmem/cache/bin.h"
#include "libhakmem/cache/cache.h"
#include "libhakmem/heap/heap.h"
#include "libhakmem/process/attach.h"
#include "unit.h"

static struct hak_cache *cache;

/* ---- the budget ---- */

enum { RUN_BYTES = 64 << 10 };

static int64_t whole_budget(void)
{
	return (int64_t)hak_tun(HAK_T_CACHE_THREAD_BYTES);
}

/* A run in the bin, and the budget without it. */
static void cache_a_run(void)
{
	void *volatile p;

	cache = hak_heap_attach();
	hak_cache_flush(cache);
	p = malloc(RUN_BYTES);
	free(p);
	CHECK(cache->heap->budget == whole_budget() - RUN_BYTES, "%" PRId64, cache->heap->budget);
}

static void lost_runs_leave_the_budget(void)
{
	enum { CHECK_OFF = 2 };

	atomic_store(&hak_tun_values[HAK_T_CHECK_FREE], CHECK_OFF);
	cache_a_run();
	hak_cache_broken(cache, hak_class_of_run(RUN_BYTES));
	EXPECT(cache->heap->budget == whole_budget(), "%" PRId64, cache->heap->budget);
}

/* A copy of the process without fork handlers has an empty cache. */
static void copy_has_the_whole_budget(void)
{
	void *volatile p;
	int status;
	pid_t pid;

	cache_a_run();
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		p = malloc(RUN_BYTES);
		CHECK(p && hak_self == cache, "another cache");
		EXPECT(cache->heap->budget == whole_budget(), "%" PRId64, cache->heap->budget);
		_exit(expectations_failed);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status, "status %#x", status);
}

static void child_has_the_budget(void)
{
	int status;
	pid_t pid;

	cache_a_run();
	pid = fork();
	if (!pid) {
		EXPECT(cache->heap->budget == whole_budget() - RUN_BYTES, "%" PRId64,
		       cache->heap->budget);
		_exit(expectations_failed);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status, "status %#x", status);
}

/* ---- what the checks find ---- */

#if HAK_DEBUG

enum { CLS = 37, SIZE = 1792 };

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

#endif

static const struct tcase cases[] = {
	{ "lost_runs_leave_the_budget", lost_runs_leave_the_budget },
	{ "copy_has_the_whole_budget", copy_has_the_whole_budget },
	{ "child_has_the_budget", child_has_the_budget },
#if HAK_DEBUG
	{ "corruption_of_the_pool_is_found", corruption_of_the_pool_is_found },
#endif
};

CASES(cases)
