/* SPDX-License-Identifier: MIT */
/* Slabs that no thread owns. See pool.h. */
#include "pool.h"

#include <string.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "holes.h"
#include "page/epoch.h"
#include "remote.h"

/* For each class, slabs with room and slabs without; HAK_LOCK_POOL. */
static struct {
	struct hak_slab *room, *full;
} pool[HAK_SLAB_CLASSES];
static uint8_t pool_life;

static void pool_link(struct hak_slab *s)
{
	bool full = s->used == s->capacity;
	struct hak_slab **head = full ? &pool[s->cls].full : &pool[s->cls].room;

	s->state = full ? HAK_SLAB_POOLED_FULL : HAK_SLAB_POOLED;
	s->life = pool_life;
	s->prev = NULL;
	s->next = *head;
	if (*head)
		(*head)->prev = s;
	*head = s;
	hak_count(HAK_C_SLABS_POOLED, 1);
}

static void pool_unlink(struct hak_slab *s)
{
	hak_assert(s->state == HAK_SLAB_POOLED || s->state == HAK_SLAB_POOLED_FULL);
	if (s->prev)
		s->prev->next = s->next;
	else if (s->state == HAK_SLAB_POOLED_FULL)
		pool[s->cls].full = s->next;
	else
		pool[s->cls].room = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = s->next = NULL;
	hak_count(HAK_C_SLABS_POOLED, -1);
}

#if HAK_DEBUG

static void check_list(const struct hak_slab *s, unsigned int cls, unsigned int state)
{
	for (const struct hak_slab *before = NULL; s; before = s, s = s->next) {
		hak_assert(s->prev == before);
		hak_assert(s->cls == cls && s->state == state);
		hak_assert((s->used == s->capacity) == (state == HAK_SLAB_POOLED_FULL));
		hak_assert(s->life == pool_life);
		hak_assert(hak_slab_owner(s) == &hak_pool);
		hak_assert(!hak_slab_idle(s));
		hak_slab_check(s);
	}
}

void hak_pool_check(void)
{
	for (unsigned int k = 0; k < HAK_SLAB_CLASSES; k++) {
		check_list(pool[k].room, k, HAK_SLAB_POOLED);
		check_list(pool[k].full, k, HAK_SLAB_POOLED_FULL);
	}
	hak_mpsc_check(&hak_pool_queue, &hak_pool);
}

#endif

/* Releases HAK_LOCK_POOL. The pool may be large, so not every change causes a walk. */
static inline void leave(void)
{
	static uint32_t leaves;

	if (hak_check_due(&leaves, 64))
		hak_pool_check();
	hak_unlock(HAK_LOCK_POOL);
}

/* Puts a slab into the pool's lists or, if none of its blocks is in use, into the caller's list. */
static void pool_sort(struct hak_slab *s, struct hak_slab **idle)
{
	if (hak_slab_idle(s)) {
		s->next = *idle;
		*idle = s;
	} else {
		pool_link(s);
	}
}

/* Idle slabs leave the pool's lists under its lock and are released afterwards. */
static void release_list(struct hak_slab *s)
{
	while (s) {
		struct hak_slab *next = s->next;

		s->prev = s->next = NULL;
		hak_slab_release(s);
		s = next;
	}
}

static struct hak_slab *drain_locked(void)
{
	struct hak_slab *s = hak_mpsc_take(&hak_pool_queue), *idle = NULL;
	uint32_t n;

	while (s) {
		struct hak_slab *next = hak_remote_drain(s, &n);

		if (hak_unlikely(s->life != pool_life)) {
			s = next;
			continue;
		}
		if (n)
			hak_slab_came_back(s, hak_purge_epoch());
		pool_unlink(s);
		pool_sort(s, &idle);
		s = next;
	}
	return idle;
}

bool hak_pool_put(struct hak_slab *s)
{
	bool idle;

	hak_lock(HAK_LOCK_POOL);
	if (!hak_remote_claim(s)) {
		leave();
		return false;
	}
	hak_stop("pool.put_claimed");
	hak_slab_set_owner(s, (void *)&hak_pool);
	hak_remote_unclaim(s);
	hak_slab_check(s);
	idle = hak_slab_idle(s);
	if (!idle)
		pool_link(s);
	leave();
	if (idle)
		hak_slab_release(s);
	return true;
}

static struct hak_slab *pick(unsigned int cls)
{
	struct hak_slab *best = NULL;
	unsigned int seen = 0;

	for (struct hak_slab *s = pool[cls].room; s && seen < 8; s = s->next, seen++)
		if (!best || s->used > best->used)
			best = s;
	return best;
}

struct hak_slab *hak_pool_get(void *owner, unsigned int cls)
{
	struct hak_slab *idle, *s;

	hak_lock(HAK_LOCK_POOL);
	idle = drain_locked();
	s = pick(cls);
	hak_stop("pool.pop");
	/*
	 * A slab that another thread is queueing at this moment comes back through the pool's
	 * queue.
	 */
	if (s && hak_remote_claim(s)) {
		hak_stop("pool.get_claimed");
		pool_unlink(s);
		hak_slab_set_owner(s, owner);
		hak_remote_unclaim(s);
		hak_slab_check(s);
		s->state = HAK_SLAB_CURRENT;
	} else {
		s = NULL;
	}
	leave();
	release_list(idle);
	return s;
}

void hak_pool_drain(void)
{
	struct hak_slab *idle;

	hak_lock(HAK_LOCK_POOL);
	idle = drain_locked();
	leave();
	release_list(idle);
}

/*
 * Takes slabs to be trimmed out of a class's list, at most *most. They are claimed, so that
 * meanwhile no thread queues or adopts them.
 */
static struct hak_slab *take_stale(unsigned int cls, uint32_t age, uint32_t *most)
{
	struct hak_slab *list = NULL, *next;

	hak_lock(HAK_LOCK_POOL);
	for (struct hak_slab *s = pool[cls].room; s && *most; s = next) {
		next = s->next;
		if (!hak_slab_stale(s, hak_purge_epoch(), age) || !hak_remote_claim(s))
			continue;
		pool_unlink(s);
		s->next = list;
		list = s;
		--*most;
	}
	leave();
	return list;
}

/* Puts slabs back into the pool; returns those that became idle. */
static struct hak_slab *return_trimmed(struct hak_slab *s)
{
	struct hak_slab *idle = NULL, *next;

	hak_lock(HAK_LOCK_POOL);
	for (; s; s = next) {
		next = s->next;
		hak_remote_unclaim(s);
		pool_sort(s, &idle);
	}
	leave();
	return idle;
}

uint64_t hak_pool_trim(uint32_t age, uint32_t most)
{
	uint64_t bytes = 0;

	for (unsigned int k = 0; k < HAK_SLAB_CLASSES && most; k++) {
		struct hak_slab *list = take_stale(k, age, &most);

		for (struct hak_slab *s = list; s; s = s->next)
			bytes += hak_holes_trim(s);
		release_list(return_trimmed(list));
	}
	return bytes;
}

void hak_pool_abandon(void)
{
	memset(pool, 0, sizeof(pool));
	hak_slab_abandon();
	pool_life++;
}
