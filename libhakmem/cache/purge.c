/* SPDX-License-Identifier: MIT */
/* When memory goes back to the kernel. See purge.h. */
#include "purge.h"

#include "base/lock.h"
#include "base/probe.h"
#include "base/stats.h"
#include "cache.h"
#include "heap/dead.h"
#include "heap/heap.h"
#include "heap/pool.h"
#include "heap/sample.h"
#include "heap/slablist.h"
#include "heap/takeover.h"
#include "page/allowance.h"
#include "page/clean.h"
#include "page/extent.h"
#include "page/epoch.h"
#include "page/rcache.h"
#include "page/region.h"
#include "page/units.h"
#include "sleepers.h"
#include "system/os.h"
#include "system/room.h"

#define BY_AGE	       0u  /* the level of a purge without a request */
#define TAKEOVERS_MOST 64u /* by a thread of the program when an epoch ends: some ms */
#define RETIRE_EPOCHS  2u  /* after which the slabs of a dead heap go to the pool */
#define EMPTY_EPOCHS   2u  /* and after as many more its own pages go */

static _Atomic uint64_t epoch_ends_ms;
/*
 * What every thread has to do at its next slow path: a serial number, raised by each request, and
 * the level. The thread flushes its cache, and gives back what that emptied if the level says so.
 * The requesting thread does not wait for that.
 */
_Atomic uint32_t hak_purge_asked;
#define LEVEL_BITS 2u

static void ask_threads(enum hak_purge_level level)
{
	uint32_t old = atomic_load_explicit(&hak_purge_asked, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(
		&hak_purge_asked, &old, (((old >> LEVEL_BITS) + 1) << LEVEL_BITS) | level,
		memory_order_relaxed, memory_order_relaxed))
		;
	hak_heap_poke();
}

/* 0: the time of purges is not asked for. */
static uint64_t begin_ns(void)
{
	return hak_tun(HAK_T_STATS_TIMING) ? hak_os_now_ns() : 0;
}

static void count_purge(uint64_t bytes, uint64_t t0)
{
	hak_count(HAK_C_PURGES, 1);
	hak_count(HAK_C_PURGE_BYTES, (int64_t)bytes);
	if (t0)
		hak_count(HAK_C_PURGE_NS, (int64_t)(hak_os_now_ns() - t0));
}

/* Whether free memory is left that a later epoch gives back. */
static bool more_to_come(void)
{
	return hak_extent_dirty() ||
	       (hak_region_evict_mode(false) != HAK_EVICT_KEEP && hak_rcache_holds_dirty());
}

#define BYTES_AT_ONCE ((uint64_t)256 << 10) /* with purge.delay_ms=0 */
#define MANY_BYTES    ((uint64_t)16 << 20)
#define SLACK	      8u /* of what is in use: so that large programs give back large batches */

static uint64_t in_use(void)
{
	return hak_extent_used() + hak_rcache_in_use();
}

/*
 * The bytes that may be dirty however much the limit of the control groups leaves. *ret_allowed: as
 * the allowance says.
 */
static uint64_t most_without_limit(bool *ret_allowed)
{
	uint64_t delay = hak_tun(HAK_T_PURGE_DELAY_MS), most;

	*ret_allowed = delay && delay < HAK_DELAY_NEVER;
	if (!*ret_allowed)
		return delay ? UINT64_MAX : BYTES_AT_ONCE;
	if (hak_rcache_dirty() > MANY_BYTES && in_use() < MANY_BYTES)
		return HAK_ALLOWANCE_LEAST;
	most = hak_allowance(&hak_allowance_units) + hak_extent_used() / SLACK;
	return most < hak_units_most_allowed() ? most : hak_units_most_allowed();
}

/*
 * Up to so many dirty bytes no attempt is made to give memory back by amount, because the last one
 * gave little: the memory is locked. Counts until the epoch ends.
 */
static _Atomic uint64_t refused;

static uint64_t bound(uint64_t most)
{
	uint64_t least = atomic_load_explicit(&refused, memory_order_relaxed);

	return most > least ? most : least;
}

/* Less may be in use, or be allowed, than when memory last went back by amount. */
static void renew_floor(void)
{
	bool allowed;

	atomic_store_explicit(&refused, 0, memory_order_relaxed);
	hak_room_set_floor(most_without_limit(&allowed));
}

/*
 * Ends the epoch: memory that was free all through it goes. HAK_LOCK_PURGE held, and that of the
 * shared heap if `shared`.
 */
static enum hak_age end_epoch(uint64_t now, uint64_t delay, bool shared)
{
	uint64_t t0 = begin_ns(), bytes;
	uint32_t epoch = hak_purge_epoch();
	enum hak_age rest;
	bool dead_left;

	atomic_store_explicit(&epoch_ends_ms, now + (delay ? delay : 1), memory_order_relaxed);
	hak_purge_next_epoch();
	hak_probe(hakmem, purge_begin, BY_AGE, 0, 0);
	hak_dead_drain(RETIRE_EPOCHS);
	hak_pool_drain();
	bytes = hak_dead_empty(RETIRE_EPOCHS + EMPTY_EPOCHS, &dead_left);
	/* the agent, which has no cache, may take its time */
	bytes += hak_sleepers_age(hak_has_cache() ? TAKEOVERS_MOST : UINT32_MAX, &rest);
	if (shared)
		bytes += hak_sleepers_age_shared(&rest);
	bytes += hak_sleepers_cap(hak_tun(HAK_T_CACHE_TOTAL_BYTES));
	bytes += hak_pool_trim(2, HAK_TRIM_MOST);
	bytes += hak_extent_purge(!delay, false, now, delay);
	bytes += hak_rcache_evict(delay ? epoch : epoch + 2, false);
	renew_floor();
	hak_probe(hakmem, purge_end, BY_AGE, bytes, 0);
	if (!bytes)
		return dead_left || more_to_come() ? HAK_AGE_SOME : rest;
	count_purge(bytes, t0);
	return HAK_AGE_SOME;
}

static bool epoch_is_over(uint64_t now)
{
	return hak_is_past(now, atomic_load_explicit(&epoch_ends_ms, memory_order_relaxed));
}

static _Atomic uint32_t calm, still; /* written under HAK_LOCK_PURGE, or by disturb() */

static void note(enum hak_age age)
{
	uint32_t c = hak_purge_calm(), s = hak_purge_still();

	atomic_store_explicit(&calm, age == HAK_AGE_SOME ? 0 : c + 1, memory_order_relaxed);
	atomic_store_explicit(&still, age == HAK_AGE_NOTHING ? s + 1 : 0, memory_order_relaxed);
}

uint32_t hak_purge_calm(void)
{
	return atomic_load_explicit(&calm, memory_order_relaxed);
}

uint32_t hak_purge_still(void)
{
	return atomic_load_explicit(&still, memory_order_relaxed);
}

void hak_purge_disturb(void)
{
	atomic_store_explicit(&calm, 0, memory_order_relaxed);
	atomic_store_explicit(&still, 0, memory_order_relaxed);
}

void hak_purge_by_age(uint64_t now, uint64_t delay)
{
	bool shared;

	if (!epoch_is_over(now))
		return;
	shared = hak_sleepers_lock_shared();
	if (hak_trylock(HAK_LOCK_PURGE)) {
		if (epoch_is_over(now))
			note(end_epoch(now, delay, shared));
		hak_unlock(HAK_LOCK_PURGE);
	}
	if (shared)
		hak_sleepers_unlock_shared();
}

uint64_t hak_purge_epoch_left(uint64_t now)
{
	uint64_t end = atomic_load_explicit(&epoch_ends_ms, memory_order_relaxed);

	return hak_is_past(now, end) ? 0 : end - now;
}

static uint64_t give_back(enum hak_purge_level level)
{
	uint64_t bytes;

	if (level < HAK_PURGE_DIRTY)
		return 0;
	bytes = hak_extent_purge(true, level >= HAK_PURGE_ALL, hak_os_now_ms(), 0);
	if (level >= HAK_PURGE_ALL)
		bytes += hak_rcache_empty();
	else
		bytes += hak_rcache_evict(hak_purge_epoch() + 1, true);
	renew_floor();
	return bytes;
}

/* The calling thread's cache does what is asked of all. */
static void obey(struct hak_cache *c, uint32_t request)
{
	__atomic_store_n(&c->heap->flushed, request, __ATOMIC_RELAXED);
	hak_sample_tune(c);
	hak_cache_flush(c);
}

HAK_COLD void hak_purge_obey(struct hak_cache *c, uint32_t request)
{
	enum hak_purge_level level = request & ((1u << LEVEL_BITS) - 1);
	uint64_t bytes;

	/*
	 * if another thread is purging, this happens at the next slow path, so that what is flushed
	 * goes as well
	 */
	if (level >= HAK_PURGE_DIRTY && !hak_trylock(HAK_LOCK_PURGE))
		return;
	obey(c, request);
	if (level < HAK_PURGE_DIRTY)
		return;
	bytes = give_back(level) + hak_slablist_trim(c, 0, UINT32_MAX);
	hak_unlock(HAK_LOCK_PURGE);
	hak_count(HAK_C_PURGE_BYTES, (int64_t)bytes);
}

void hak_purge_obey_all(void)
{
	static uint32_t obeyed; /* used by the agent alone */
	uint32_t request = atomic_load_explicit(&hak_purge_asked, memory_order_relaxed);

	if (request == obeyed)
		return;
	obeyed = request;
	hak_lock(HAK_LOCK_PURGE);
	hak_sleepers_obey(request);
	hak_unlock(HAK_LOCK_PURGE);
}

/* The calling thread's cache. Bytes of its partly used slabs. HAK_LOCK_PURGE held. */
static uint64_t empty_own(uint32_t request, enum hak_purge_level level)
{
	struct hak_cache *c = hak_self;
	uint64_t bytes = 0;

	if (c->magic != HAK_CACHE_MAGIC)
		return 0;
	hak_heap_enter(c);
	obey(c, request);
	if (level >= HAK_PURGE_DIRTY)
		bytes = hak_slablist_trim(c, 0, UINT32_MAX);
	hak_heap_leave(c);
	return bytes;
}

static void purge(enum hak_purge_level level, bool count_resident, struct hak_purged *ret)
{
	uint64_t t0 = begin_ns(), bytes;
	struct hak_purged others;
	uint32_t request;
	bool dead_left, shared;

	ask_threads(level);
	hak_probe(hakmem, purge_begin, level, 0, 0);
	shared = hak_sleepers_lock_shared();
	hak_lock(HAK_LOCK_PURGE);
	hak_purge_count_begin(count_resident);
	request = atomic_load_explicit(&hak_purge_asked, memory_order_relaxed);
	bytes = empty_own(request, level);
	hak_sleepers_empty(request, level, &others);
	if (shared) {
		bytes += hak_sleepers_empty_shared(level);
		hak_sleepers_unlock_shared();
	}
	hak_dead_drain(0);
	hak_pool_drain();
	bytes += others.bytes + give_back(level);
	if (level >= HAK_PURGE_DIRTY)
		bytes += hak_pool_trim(0, UINT32_MAX) + hak_dead_empty(0, &dead_left);
	bytes += hak_purge_count_end();
	hak_unlock(HAK_LOCK_PURGE);
	hak_probe(hakmem, purge_end, level, bytes, 0);
	count_purge(bytes, t0);
	*ret = (struct hak_purged){ bytes, others.held };
}

void hak_purge(enum hak_purge_level level, struct hak_purged *ret)
{
	purge(level, true, ret);
}

uint64_t hak_reclaim(void)
{
	struct hak_purged p;

	purge(HAK_PURGE_ALL, false, &p);
	return p.bytes;
}

/* ---- by amount ---- */

/*
 * The bytes that may be dirty when `more` bytes are in use than now. *ret_limited: because of the
 * limit of the control groups.
 */
static uint64_t most_dirty(uint64_t more, bool *ret_allowed, bool *ret_limited)
{
	uint64_t most = most_without_limit(ret_allowed), regions = hak_rcache_dirty();
	uint64_t room = hak_room_resident(in_use() + more),
		 left = room > regions ? room - regions : 0;

	hak_room_set_floor(bound(most));
	*ret_limited = room < UINT64_MAX && left < most;
	return *ret_limited ? left : most;
}

static void count_by_amount(uint64_t bytes, bool limited)
{
	if (limited)
		hak_purge_count_limit(bytes);
	else if (bytes)
		count_purge(bytes, 0);
}

HAK_COLD static uint64_t shrink(uint64_t most, bool allowed)
{
	uint64_t least = most > BYTES_AT_ONCE ? most - most / 4 : 0, had = hak_extent_dirty();
	uint64_t wanted = had > least ? had - least : 0;
	uint64_t bytes = hak_extent_shrink(least, hak_os_now_ms()), left = hak_extent_dirty();

	if (allowed)
		hak_units_exceeded(bytes);
	if (hak_unlikely(left > most && bytes < wanted / 2)) {
		atomic_store_explicit(&refused, left + left / SLACK, memory_order_relaxed);
		hak_room_set_floor(bound(most));
	}
	return bytes;
}

#define FIT_CACHES_MS 10u /* between two sums over all caches */

/*
 * Blocks in caches look like blocks in use, and leave little room for other free memory. The caches
 * of sleeping threads are emptied until all caches fit into the room themselves. Returns bytes.
 * HAK_LOCK_PURGE held.
 */
HAK_COLD static uint64_t fit_caches(uint64_t more)
{
	static uint64_t next_ms;
	uint64_t used = in_use(), now = hak_os_now_ms(), cached, bytes;

	if (!hak_is_past(now, next_ms))
		return 0;
	next_ms = now + FIT_CACHES_MS;
	cached = hak_sleepers_cached();
	cached = cached < used ? cached : used;
	bytes = hak_sleepers_cap(hak_room_resident(used - cached + more));
	hak_pool_drain();
	return bytes + hak_pool_trim(0, UINT32_MAX);
}

static void by_amount(uint64_t more)
{
	bool allowed, limited;
	uint64_t most = most_dirty(more, &allowed, &limited);
	uint64_t bytes = limited ? hak_rcache_fit(more) : 0;
	bool tight = limited && most < hak_room_tight();

	if ((hak_extent_dirty() > bound(most) || tight) && hak_trylock(HAK_LOCK_PURGE)) {
		bytes += tight ? fit_caches(more) : 0;
		if (hak_extent_dirty() > bound(most))
			bytes += shrink(most, allowed && !limited);
		hak_unlock(HAK_LOCK_PURGE);
	}
	count_by_amount(bytes, limited);
}

void hak_purge_by_amount(void)
{
	by_amount(0);
}

void hak_purge_make_room(uint64_t bytes)
{
	if (hak_unlikely(hak_room_is_limited()))
		by_amount(bytes);
}

void hak_purge_tuned(void)
{
	renew_floor();
	/* caches and the clock obey at their next look */
	atomic_store_explicit(&epoch_ends_ms, hak_os_now_ms(), memory_order_relaxed);
	ask_threads(HAK_PURGE_CACHE);
	hak_rcache_tuned();
	hak_extent_tuned();
}
