/* SPDX-License-Identifier: MIT */
/* When memory goes back to the kernel. See purge.h. */
#include "purge.h"

#include "extent.h"
#include "heap.h"
#include "lock.h"
#include "os.h"
#include "stats.h"
#include "tune.h"
#include "whale.h"

#define TICKS		16u		/* slow paths between two looks at the clock */
#define DELAY_NEVER	86400000u	/* purge.delay_ms at its maximum */

_Atomic uint32_t hak_purge_clock;

static _Atomic uint64_t epoch_ends_ms;
/* Raised to make every thread flush its cache at its next slow path. */
static _Atomic uint32_t flush_asked;

/* A purge on request is running; HAK_LOCK_PURGE. */
static bool exact;

uint64_t hak_purge_count(void *p, uint64_t bytes)
{
	return exact ? hak_os_resident_bytes(p, bytes) : bytes;
}

static bool past(uint64_t now, uint64_t then)
{
	return (int64_t)(now - then) >= 0;
}

/* The epoch ends: what was free all through it goes. HAK_LOCK_PURGE held. */
static void end_epoch(uint64_t now, uint64_t delay)
{
	uint64_t t0 = hak_tun(HAK_T_STATS_TIMING) ? hak_os_now_ns() : 0, bytes;
	uint32_t epoch = hak_purge_epoch();

	atomic_store_explicit(&epoch_ends_ms, now + (delay ? delay : 1), memory_order_relaxed);
	atomic_store_explicit(&hak_purge_clock, epoch + 1, memory_order_relaxed);
	bytes = hak_extent_purge(!delay, false, now, delay);
	bytes += hak_ring_evict(delay ? epoch : epoch + 2, false);
	if (!bytes)
		return;
	hak_count(HAK_C_PURGES, 1);
	hak_count(HAK_C_PURGE_BYTES, (int64_t)bytes);
	if (t0)
		hak_count(HAK_C_PURGE_NS, (int64_t)(hak_os_now_ns() - t0));
}

static HAK_COLD void look_at_clock(struct hak_cache *c)
{
	uint64_t delay = hak_tun(HAK_T_PURGE_DELAY_MS), now;
	uint32_t asked = atomic_load_explicit(&flush_asked, memory_order_relaxed);

	if (c->heap->flushed != asked) {
		c->heap->flushed = asked;
		hak_cache_flush(c);
	}
	hak_tune_tick();
	if (delay >= DELAY_NEVER)
		return;
	now = hak_os_now_ms();
	if (past(now, c->heap->decay_ms + (delay ? delay : 1)))
		hak_cache_decay(c, now);
	if (!past(now, atomic_load_explicit(&epoch_ends_ms, memory_order_relaxed)) || !hak_trylock(HAK_LOCK_PURGE))
		return;
	if (past(now, atomic_load_explicit(&epoch_ends_ms, memory_order_relaxed)))
		end_epoch(now, delay);
	hak_unlock(HAK_LOCK_PURGE);
}

void hak_purge_tick(struct hak_cache *c)
{
	if (hak_unlikely(++c->ticks >= TICKS)) {
		c->ticks = 0;
		look_at_clock(c);
	}
}

static uint64_t purge(enum hak_purge_level level, bool count_resident)
{
	struct hak_cache *c = hak_self;
	uint64_t t0 = hak_os_now_ns(), bytes = 0;

	atomic_fetch_add_explicit(&flush_asked, 1, memory_order_relaxed);
	if (c->magic == HAK_CACHE_MAGIC)
		hak_cache_flush(c);
	hak_heap_drain_dead();
	hak_pool_drain();
	if (level < HAK_PURGE_DIRTY)
		return 0;
	hak_lock(HAK_LOCK_PURGE);
	exact = count_resident;
	bytes = hak_extent_purge(true, level >= HAK_PURGE_ALL, hak_os_now_ms(), 0);
	if (level >= HAK_PURGE_ALL)
		bytes += hak_ring_empty();
	else
		bytes += hak_ring_evict(hak_purge_epoch() + 1, true);
	exact = false;
	hak_unlock(HAK_LOCK_PURGE);
	hak_count(HAK_C_PURGES, 1);
	hak_count(HAK_C_PURGE_BYTES, (int64_t)bytes);
	hak_count(HAK_C_PURGE_NS, (int64_t)(hak_os_now_ns() - t0));
	return bytes;
}

uint64_t hak_purge(enum hak_purge_level level)
{
	return purge(level, true);
}

uint64_t hak_reclaim(void)
{
	return purge(HAK_PURGE_ALL, false);
}

void hak_purge_tuned(void)
{
	/* caches and clock obey at their next look */
	atomic_store_explicit(&epoch_ends_ms, hak_os_now_ms(), memory_order_relaxed);
	atomic_fetch_add_explicit(&flush_asked, 1, memory_order_relaxed);
	hak_ring_tuned();
	hak_extent_tuned();
}
