/* SPDX-License-Identifier: MIT */
/* The caches of threads that do not call malloc or free. See sleepers.h. */
#include "sleepers.h"

#include "base/class.h"
#include "base/lock.h"
#include "base/stats.h"
#include "base/sys.h"
#include "cache.h"
#include "heap/heap.h"
#include "heap/sample.h"
#include "heap/slablist.h"
#include "heap/takeover.h"
#include "page/epoch.h"

#define STILL_EPOCHS 2u /* without a call, and a thread counts as asleep */
#define ROUNDS	     2u /* a thread that the kernel stopped inside may be out soon */

/* Changes with each call of malloc or free; whales alone need the counters of slow paths. */
static uint64_t activity(const struct hak_heap *h)
{
	const struct hak_heap_block *b = hak_counters(h->cache);
	uint64_t sum = 0;

	for (unsigned int k = 0; k < HAK_CLASSES; k++)
		sum += __atomic_load_n(&b->hot[k].allocs, __ATOMIC_RELAXED) +
		       __atomic_load_n(&b->hot[k].frees, __ATOMIC_RELAXED);
#if HAK_CONTROL
	sum += __atomic_load_n(&b->heap[HAK_C_SLOW_MALLOC], __ATOMIC_RELAXED) +
	       __atomic_load_n(&b->heap[HAK_C_SLOW_FREE], __ATOMIC_RELAXED);
#endif
	return sum;
}

static bool is_live(const struct hak_heap *h)
{
	return __atomic_load_n(&h->state, __ATOMIC_RELAXED) == HAK_HEAP_LIVE;
}

static bool is_of_another(const struct hak_heap *h)
{
	return is_live(h) && h->cache != hak_self && h != hak_table.shared;
}

/* Everything that the heap's thread would give back if it were asked. */
static uint64_t give_back(struct hak_heap *h, uint32_t age, uint32_t most)
{
	hak_sample_tune(h->cache);
	hak_cache_flush(h->cache);
	return most ? hak_slablist_trim(h->cache, age, most) : 0;
}

/* A heap that was taken over. */
static uint64_t empty(struct hak_heap *h, uint32_t age, uint32_t most)
{
	hak_count(HAK_C_TAKEOVERS, 1);
	return give_back(h, age, most);
}

/* One round over all heaps; `held` is set anew. False: there is no takeover. */
static bool empty_all(uint32_t request, enum hak_purge_level level, struct hak_purged *ret)
{
	unsigned int n = hak_heap_count();
	enum hak_takeover r = HAK_TAKEOVER_NONE;

	ret->held = 0;
	for (unsigned int i = 0; i < n && r != HAK_TAKEOVER_OFF; i++) {
		struct hak_heap *h = &hak_heaps[i];

		if (__atomic_load_n(&h->flushed, __ATOMIC_RELAXED) == request)
			continue;
		r = hak_takeover_begin(h);
		if (r == HAK_TAKEOVER_BUSY)
			ret->held++;
		if (r != HAK_TAKEOVER_DONE)
			continue;
		__atomic_store_n(&h->flushed, request, __ATOMIC_RELAXED);
		ret->bytes += empty(h, 0, level >= HAK_PURGE_DIRTY ? UINT32_MAX : 0);
		hak_takeover_end(h);
	}
	return r != HAK_TAKEOVER_OFF;
}

void hak_sleepers_empty(uint32_t request, enum hak_purge_level level, struct hak_purged *ret)
{
	bool attached = hak_has_cache();

	*ret = (struct hak_purged){ 0 };
	if (hak_heap_live() <= attached)
		return;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (!empty_all(request, level, ret)) {
			ret->held = hak_heap_live() - attached;
			break;
		}
		if (!ret->held)
			break;
		hak_sys(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	hak_count(HAK_C_TAKEOVERS_HELD, ret->held);
}

enum turn { NOTHING, ACTIVE, LATER, NOW };

/* When the heap has something to give back for a thread that sleeps. */
static enum turn turn_of(struct hak_heap *h, uint32_t epoch)
{
	uint64_t now = activity(h);

	if (now != h->asleep.activity) {
		h->asleep.activity = now;
		h->asleep.since = epoch;
		h->asleep.emptied = false;
		return ACTIVE;
	}
	if (!h->asleep.emptied)
		return epoch - h->asleep.since < STILL_EPOCHS ? LATER : NOW;
	if (atomic_load_explicit(&h->remote.head, memory_order_relaxed))
		return NOW;
	if (!h->asleep.trim)
		return NOTHING;
	return epoch - h->asleep.last < STILL_EPOCHS ? LATER : NOW;
}

static uint64_t do_turn(struct hak_heap *h, uint32_t epoch)
{
	bool again = h->asleep.emptied;

	h->asleep.trim = again && atomic_load_explicit(&h->remote.head, memory_order_relaxed);
	h->asleep.emptied = true;
	h->asleep.last = epoch;
	return give_back(h, again ? STILL_EPOCHS : 0, HAK_TRIM_MOST);
}

static enum hak_takeover take_turn(struct hak_heap *h, uint32_t epoch, uint64_t *bytes)
{
	enum hak_takeover r = hak_takeover_begin(h);

	if (r != HAK_TAKEOVER_DONE)
		return r;
	hak_count(HAK_C_TAKEOVERS, 1);
	*bytes += do_turn(h, epoch);
	hak_takeover_end(h);
	return r;
}

uint64_t hak_sleepers_age(uint32_t most, enum hak_age *ret_rest)
{
	static unsigned int at; /* where the last round ended; HAK_LOCK_PURGE */
	unsigned int n = hak_heap_count();
	uint32_t epoch = hak_purge_epoch();
	uint64_t bytes = 0;

	*ret_rest = hak_has_cache() ? HAK_AGE_ACTIVE : HAK_AGE_NOTHING;
	for (unsigned int i = 0; i < n && most; i++) {
		struct hak_heap *h = &hak_heaps[at = (at + 1) % n];
		enum turn turn;

		if (!is_of_another(h))
			continue;
		turn = turn_of(h, epoch);
		if (turn > ACTIVE)
			*ret_rest = HAK_AGE_SOME;
		else if (turn == ACTIVE && *ret_rest == HAK_AGE_NOTHING)
			*ret_rest = HAK_AGE_ACTIVE;
		if (turn != NOW)
			continue;
		if (take_turn(h, epoch, &bytes) == HAK_TAKEOVER_OFF) {
			*ret_rest = HAK_AGE_NOTHING;
			break;
		}
		most--;
	}
	return bytes;
}

/* Also of a thread that runs meanwhile: then the figure is near the true one. */
static uint64_t cached_bytes(const struct hak_heap *h)
{
	const struct hak_heap_block *b = hak_counters(h->cache);
	uint64_t sum = 0;

	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		int64_t n = (int64_t)(b->cls[HAK_C_REFILLED][k] + b->hot[k].frees -
				      b->hot[k].allocs - b->cls[HAK_C_FLUSHED][k]);

		if (n > 0)
			sum += (uint64_t)n * hak_class_size(k);
	}
	return sum;
}

uint64_t hak_sleepers_cached(void)
{
	unsigned int n = hak_heap_count();
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++)
		if (is_live(&hak_heaps[i]))
			sum += cached_bytes(&hak_heaps[i]);
	return sum;
}

/* Empties caches unused for `age` epochs and more. Returns the greatest age below; -1: none. */
static int64_t cap_round(int64_t age, uint64_t most, uint64_t *bytes)
{
	uint64_t left = hak_sleepers_cached();
	uint32_t epoch = hak_purge_epoch();
	unsigned int n = hak_heap_count();
	int64_t next = -1;

	for (unsigned int i = 0; i < n && left > most; i++) {
		struct hak_heap *h = &hak_heaps[i];
		uint64_t had;
		int64_t own;

		if (!is_of_another(h))
			continue;
		had = cached_bytes(h);
		own = epoch - h->asleep.since;
		if (own < age && own > next && had)
			next = own;
		if (own < age || !had)
			continue;
		switch (take_turn(h, epoch, bytes)) {
		case HAK_TAKEOVER_OFF:
			return -1;
		case HAK_TAKEOVER_DONE:
			left -= had < left ? had : left;
			break;
		default:
			break;
		}
	}
	return left > most ? next : -1;
}

uint64_t hak_sleepers_cap(uint64_t most)
{
	int64_t age = (int64_t)UINT32_MAX + 1; /* the first round finds the greatest age */
	uint64_t bytes = 0;

	do {
		age = cap_round(age, most, &bytes);
	} while (age >= 0);
	return bytes;
}

void hak_sleepers_obey(uint32_t request)
{
	struct hak_purged others = { 0 };

	empty_all(request, HAK_PURGE_CACHE, &others);
}

/* ---- the shared heap ---- */

bool hak_sleepers_lock_shared(void)
{
	return hak_heap_shared() && !hak_lock_held(HAK_LOCK_SHARED) && hak_trylock(HAK_LOCK_SHARED);
}

void hak_sleepers_unlock_shared(void)
{
	hak_unlock(HAK_LOCK_SHARED);
}

uint64_t hak_sleepers_empty_shared(enum hak_purge_level level)
{
	return give_back(hak_heap_shared()->heap, 0, level >= HAK_PURGE_DIRTY ? UINT32_MAX : 0);
}

uint64_t hak_sleepers_age_shared(enum hak_age *ret_rest)
{
	struct hak_heap *h = hak_heap_shared()->heap;
	enum turn turn = turn_of(h, hak_purge_epoch());

	if (turn > ACTIVE)
		*ret_rest = HAK_AGE_SOME;
	return turn == NOW ? do_turn(h, hak_purge_epoch()) : 0;
}
