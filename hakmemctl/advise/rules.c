/* SPDX-License-Identifier: MIT */
/*
 * The rules of hakmemctl advise, from figures to a tunable and a value, see advise.h. A rule gives
 * advice only if there is enough evidence, if the expected saving is worth it, and if its limit is
 * the one that was reached. A wrong advice is worse than none.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "control/abi/schema.h"
#include "hakmemctl/advise/advise.h"

/* -- conditions of rules ----------------------------------------------------------------------- */
/* A cost below this part of the process's time is not worth a setting. */
#define COST_LEAST 0.01
/* Fewer events than this may be due to a start or to a configuration that was read again. */
#define EVENTS_LEAST 16
/* A region cache with a lower share of misses holds what its program uses. The rest are new
 * sizes. */
#define MISSES_LEAST 0.1
/* If at least this part of what was given back was taken again, giving it back was useless. */
#define REFILL_MOST    0.5
#define RETURNED_LEAST ((uint64_t)4 << 20)
/* Below both limits, the cached memory is small beside the memory that the program uses. */
#define CACHED_LEAST	   0.3
#define CACHED_LEAST_BYTES ((uint64_t)16 << 20)
/* The share of blocks that went back to their slabs and were taken again, from which on it may
 * matter. */
#define ROUND_TRIPS_LEAST 0.05
/* A cache that is limited by its budget held at least this part of the budget at some moment. */
#define CACHE_FULL 0.25
/* From this number of calls a second on, the number of calls matters, and not their ranges. */
#define MADVISE_PER_S 1000
#define BATCH_FACTOR  4
/* The least budget of a thread's cache that is advised. */
#define CACHE_LEAST ((uint64_t)64 << 10)
/* The least and the largest share of a limit that is advised. The rest is for the program. */
#define SHARE_FIRST 5
#define SHARE_MOST  75
/* The longest delay that is advised. Memory that is not used for minutes is not a cache. */
#define DELAY_MOST_MS 600000

#define MS 1000000u

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : NAN;
}

/* Whether part/whole is at least `least`; false if `whole` is 0. */
static bool at_least(uint64_t part, uint64_t whole, double least)
{
	return whole && (double)part >= least * (double)whole;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t per_s(const struct advice_figures *f, uint64_t events)
{
	/* The process may publish any count. */
	return f->span_ns ? (uint64_t)fmin((double)events * 1e9 / (double)f->span_ns, 1e18) : 0;
}

static bool worth_it(const struct advice_figures *f, uint64_t cost_ns)
{
	return at_least(cost_ns, f->cpu_ns, COST_LEAST);
}

static double of_one_processor(const struct advice_figures *f, uint64_t ns)
{
	return f->span_ns ? (double)ns / (double)f->span_ns : 0;
}

static uint64_t setting(const struct advice_figures *f, uint16_t id)
{
	return f->setting[id].value;
}

static uint64_t mean_whale(const struct advice_figures *f)
{
	return f->whale_allocs ? f->whale_bytes / f->whale_allocs : 0;
}

/* Twice the value in force, and at least the default. False if the maximum is reached. */
static bool doubled(const struct advice_figures *f, uint16_t id, uint64_t *ret)
{
	const struct hak_tunable_row *row = hak_tunable_row_by_id(id);
	uint64_t value = setting(f, id);

	if (!row || !f->setting[id].known || value >= row->max)
		return false;
	*ret = value > row->max / 2 ? row->max : 2 * value;
	if (*ret < row->dflt)
		*ret = row->dflt;
	return true;
}

/* -- the region cache is too small ------------------------------------------------------------- */
static double misses(const struct advice_figures *f)
{
	return ratio(f->whale_misses, f->whale_allocs);
}

static uint64_t misses_ns(const struct advice_figures *f)
{
	uint64_t pages = mean_whale(f) / (uint64_t)sysconf(_SC_PAGESIZE);

	return f->whale_misses * f->prices.map_ns +
	       less(f->whale_misses * pages, f->faults) * f->prices.minor_fault_ns;
}

/* Whether the region cache reached its limit of bytes, and not of slots. */
static bool out_of_bytes(const struct advice_figures *f)
{
	return f->ring_bytes_most + mean_whale(f) > setting(f, HAK_TID_WHALE_RING_BYTES);
}

static bool ring_misses(const struct advice_figures *f, struct advice *ret)
{
	uint64_t cost = misses_ns(f), evict = setting(f, HAK_TID_REGION_EVICT_BYTES);

	if (f->whale_misses < EVENTS_LEAST || !worth_it(f, cost) ||
	    !at_least(f->whale_misses, f->whale_allocs, MISSES_LEAST) ||
	    !at_least(f->whales_dropped, f->whale_misses, 0.5))
		return false;
	ret->cpu = -of_one_processor(f, cost);
	ret->cpu_how = "an mmap, a munmap and page faults for each of them, at what they cost here";
	ret->rss = (double)(evict > f->ring_dirty_most ? evict - f->ring_dirty_most : 0);
	snprintf(ret->why, sizeof(ret->why),
		 "%.1f %% of %" PRIu64
		 " blocks of 1 MiB and more needed a new mapping, while the mappings of %" PRIu64
		 " that were freed had been removed",
		 100 * misses(f), f->whale_allocs, f->whales_dropped);
	return true;
}

static bool ring_slots(const struct advice_figures *f, struct advice *ret)
{
	uint64_t slots = setting(f, HAK_TID_WHALE_RING_SLOTS);
	double more;

	if (out_of_bytes(f) && slots)
		return false;
	if (!doubled(f, HAK_TID_WHALE_RING_SLOTS, &ret->value) || !ring_misses(f, ret))
		return false;
	more = (double)(ret->value - slots) * (double)mean_whale(f);
	if (more < ret->rss)
		ret->rss = more;
	ret->rss_how =
		"at most: the new slots, full of blocks of the mean size, or region.evict_bytes";
	return true;
}

static bool ring_bytes(const struct advice_figures *f, struct advice *ret)
{
	double more;

	if (!out_of_bytes(f) || setting(f, HAK_TID_WHALE_RING_SLOTS) == 0)
		return false;
	if (!doubled(f, HAK_TID_WHALE_RING_BYTES, &ret->value) || !ring_misses(f, ret))
		return false;
	more = (double)(ret->value - setting(f, HAK_TID_WHALE_RING_BYTES));
	if (more < ret->rss)
		ret->rss = more;
	ret->rss_how = "at most: all that is added, or region.evict_bytes";
	return true;
}

/* -- given back too soon ----------------------------------------------------------------------- */
static double refills(const struct advice_figures *f)
{
	return ratio(f->refilled_bytes, f->allocs);
}

static bool refilled(const struct advice_figures *f, struct advice *ret)
{
	char back[HAK_VALUE_TEXT], again[HAK_VALUE_TEXT], distance[HAK_VALUE_TEXT];

	if (f->returned < RETURNED_LEAST || !worth_it(f, f->kernel_ns) ||
	    !at_least(f->refilled_bytes, f->returned, REFILL_MOST))
		return false;
	hak_bytes_format(f->returned, back);
	hak_bytes_format(f->refilled_bytes, again);
	hak_ns_format(f->distance_ns, distance);
	snprintf(ret->why, sizeof(ret->why),
		 "of %s given back, %s were needed again, nearly all within %s; the kernel took "
		 "%.1f %% of the process's time for memory",
		 back, again, distance, 100 * ratio(f->kernel_ns, f->cpu_ns));
	ret->cpu =
		-of_one_processor(f, f->kernel_ns) * fmin(1, ratio(f->refilled_bytes, f->returned));
	ret->cpu_how = "the part of the traced time that went into taking the same memory again";
	return true;
}

/* Whether memory was evicted because the region cache held too much, and not for its age. Without a
 * delay, memory has no age: freed memory is evicted at once, and not by a purge. */
static bool over_limit(const struct advice_figures *f)
{
	return setting(f, HAK_TID_PURGE_DELAY_MS) && f->evicted_bytes > f->purged_bytes &&
	       at_least(f->evicted_bytes - f->purged_bytes, f->returned, 0.5);
}

static bool evict_bytes(const struct advice_figures *f, struct advice *ret)
{
	if (!over_limit(f) || !doubled(f, HAK_TID_REGION_EVICT_BYTES, &ret->value) ||
	    !refilled(f, ret))
		return false;
	ret->rss = (double)less(ret->value - setting(f, HAK_TID_REGION_EVICT_BYTES),
				f->ring_bytes_most);
	ret->rss_how = "at most: what is added, or all address space that is kept for reuse";
	return true;
}

static bool delay_longer(const struct advice_figures *f, struct advice *ret)
{
	uint64_t delay = setting(f, HAK_TID_PURGE_DELAY_MS);

	/* The memory was kept for the delay before, and longer where no slow path was taken. */
	if (!doubled(f, HAK_TID_PURGE_DELAY_MS, &ret->value))
		return false;
	if (ret->value < delay + 2 * (f->distance_ns / MS + 1))
		ret->value = delay + 2 * (f->distance_ns / MS + 1);
	ret->value = less(ret->value, DELAY_MOST_MS);
	if (over_limit(f) || (delay && !at_least(f->purged_bytes, f->returned, 0.5)) ||
	    ret->value <= delay || !refilled(f, ret))
		return false;
	ret->rss = (double)less(f->refilled_bytes,
				per_s(f, f->refilled_bytes) * (ret->value - delay) / 1000);
	ret->rss_how = "at most: what is taken again in the time that is added";
	return true;
}

/* -- kept too long ----------------------------------------------------------------------------- */
static double unused(const struct advice_figures *f)
{
	return ratio(f->dirty_least, f->rss);
}

static bool cached_unused(const struct advice_figures *f, struct advice *ret)
{
	char cached[HAK_VALUE_TEXT], span[HAK_VALUE_TEXT];

	if (f->dirty_least < CACHED_LEAST_BYTES || !at_least(f->dirty_least, f->rss, CACHED_LEAST))
		return false;
	hak_bytes_format(f->dirty_least, cached);
	hak_ns_format(f->span_ns, span);
	snprintf(ret->why, sizeof(ret->why),
		 "%s of free memory were kept each of the %" PRIu64
		 " times that it was looked at in %s: up to %.0f %% of the resident memory",
		 cached, f->samples, span, 100 * fmin(1, unused(f)));
	ret->rss = -(double)f->dirty_least;
	ret->rss_how = "at most: what was always free in the span, as far as it was touched";
	ret->cpu_how = "none, while it stays so; a page that is needed again costs a fault";
	return true;
}

/* The delay is checked on slow paths. For a process that sleeps, a purge helps at once if the agent
 * can answer. */
static bool delay_shorter(const struct advice_figures *f, struct advice *ret)
{
	uint64_t dflt = hak_tunable_row_find("purge.delay_ms")->dflt;

	ret->value = f->span_ns / MS > dflt ? f->span_ns / MS : dflt;
	return f->slow && setting(f, HAK_TID_PURGE_DELAY_MS) > ret->value && cached_unused(f, ret);
}

static bool idle_purge(const struct advice_figures *f, struct advice *ret)
{
	return !f->slow && f->agent && cached_unused(f, ret);
}

/* -- caches of threads ------------------------------------------------------------------------- */
static uint64_t round_trips_of(const struct advice_figures *f)
{
	return less(f->refilled, f->flushed);
}

static double round_trips(const struct advice_figures *f)
{
	return ratio(round_trips_of(f), f->allocs);
}

/* The cost of moving a block from a cache to its slab and back, beyond a malloc and a free that
 * stay in the cache. 1000 blocks of 64 bytes took 29 ns a pair with cache.thread_bytes at 0 and 8
 * ns at its default, and blocks of 512 bytes took 44 and 10 ns, on an AMD EPYC at 2.6 GHz. */
#define ROUND_TRIP_NS 20

static bool cache_bytes(const struct advice_figures *f, struct advice *ret)
{
	uint64_t now = setting(f, HAK_TID_CACHE_THREAD_BYTES), trips = round_trips_of(f);

	if (trips < 1000 * EVENTS_LEAST || !worth_it(f, trips * ROUND_TRIP_NS) ||
	    !at_least(trips, f->allocs, ROUND_TRIPS_LEAST) ||
	    (double)f->cached_most < CACHE_FULL * (double)(now * f->heaps) ||
	    !doubled(f, HAK_TID_CACHE_THREAD_BYTES, &ret->value))
		return false;
	ret->cpu = -of_one_processor(f, trips * ROUND_TRIP_NS);
	ret->cpu_how = "blocks that left a cache and came back, at 20 ns";
	ret->rss = (double)(f->heaps * (ret->value - now));
	ret->rss_how = "at most: what is added, full, for each thread";
	snprintf(ret->why, sizeof(ret->why),
		 "%" PRIu64 " blocks left the threads' caches and came back, for %" PRIu64
		 " allocations (%.1f %%)",
		 trips, f->allocs, 100 * round_trips(f));
	return true;
}

/* -- memory that nothing uses ------------------------------------------------------------------ */
static bool much(uint64_t bytes, const struct advice_figures *f)
{
	return bytes >= CACHED_LEAST_BYTES && at_least(bytes, f->rss, CACHED_LEAST);
}

/* The largest power of two that is not above a budget of `bytes` for all threads. Returns false if
 * it is above half of what is in force. */
static bool budget(const struct advice_figures *f, uint64_t bytes, struct advice *ret)
{
	uint64_t now = setting(f, HAK_TID_CACHE_THREAD_BYTES), each;

	if (!f->heaps || !f->setting[HAK_TID_CACHE_THREAD_BYTES].known)
		return false;
	each = bytes / f->heaps;
	ret->value = each < CACHE_LEAST ? CACHE_LEAST : (uint64_t)1 << (63 - __builtin_clzll(each));
	ret->rss = -(double)less(f->cached_least, f->heaps * (now - less(ret->value, now)));
	ret->rss_how = "at most: what is taken away from each thread, or all that was cached";
	ret->cpu_how = "none, while threads need no more than that; a block beyond it costs 20 ns";
	return ret->value <= now / 2 &&
	       ret->value <= hak_tunable_row_by_id(HAK_TID_CACHE_THREAD_BYTES)->max;
}

static double cached(const struct advice_figures *f)
{
	return ratio(f->cached_least, f->rss);
}

static double of_limit(const struct advice_figures *f)
{
	return f->limit ? ratio(f->cached_least, f->limit) : NAN;
}

/* A limit that the caches of threads exceed alone. Half of it is left to memory of other kinds. */
static bool over_policy(const struct advice_figures *f)
{
	return f->limit && f->cached_least > f->limit;
}

static bool caches_of_policy(const struct advice_figures *f, struct advice *ret)
{
	char caches[HAK_VALUE_TEXT], limit[HAK_VALUE_TEXT];

	if (!over_policy(f) || !budget(f, f->limit / 2, ret))
		return false;
	hak_bytes_format(f->cached_least, caches);
	hak_bytes_format(f->limit, limit);
	snprintf(ret->why, sizeof(ret->why),
		 "caches of %" PRIu64 " threads always held %s, and CachedMax= of the policy is %s",
		 f->heaps, caches, limit);
	return true;
}

static bool caches_large(const struct advice_figures *f, struct advice *ret)
{
	char caches[HAK_VALUE_TEXT];

	if (over_policy(f) || !much(f->cached_least, f) ||
	    at_least(round_trips_of(f), f->allocs, ROUND_TRIPS_LEAST) ||
	    !budget(f, f->cached_least / 2, ret))
		return false;
	hak_bytes_format(f->cached_least, caches);
	snprintf(ret->why, sizeof(ret->why),
		 "caches of %" PRIu64 " threads always held %s: %.0f %% of the resident memory",
		 f->heaps, caches, 100 * fmin(1, cached(f)));
	return true;
}

static double slab_free(const struct advice_figures *f)
{
	return ratio(f->slab_free_least, f->rss);
}

static bool many_dead(const struct advice_figures *f)
{
	return f->heaps_dead >= EVENTS_LEAST && f->heaps_dead >= f->heaps;
}

/* Slabs of dead heaps go to the pool by age, on slow paths, and at a purge. */
static bool dead_heaps(const struct advice_figures *f, struct advice *ret)
{
	char bytes[HAK_VALUE_TEXT];

	if (!many_dead(f) || !much(f->slab_free_least, f) || !(f->agent || f->slow))
		return false;
	hak_bytes_format(f->slab_free_least, bytes);
	snprintf(ret->why, sizeof(ret->why),
		 "%" PRIu64 " heaps of ended threads, and %" PRIu64
		 " of running ones, while %s in slabs were always free",
		 f->heaps_dead, f->heaps, bytes);
	ret->rss = -(double)f->slab_free_least;
	ret->rss_how = "at most: all that was free in slabs, as far as it was touched";
	ret->cpu_how = "none, while no new thread adopts those heaps";
	return true;
}

static double bloat(const struct advice_figures *f)
{
	return ratio(f->rss, f->in_use);
}

/* adaptive takes the advice back where a huge page holds free memory, always does not. */
static bool huge_pages(const struct advice_figures *f, struct advice *ret)
{
	uint64_t mode = setting(f, HAK_TID_THP_MODE);
	char bytes[HAK_VALUE_TEXT];

	if (!f->setting[HAK_TID_THP_MODE].known || !mode || mode > 2 || !f->huge_extents ||
	    many_dead(f) || !much(f->slab_free_least, f))
		return false;
	hak_bytes_format(f->slab_free_least, bytes);
	ret->value = mode - 1;
	snprintf(ret->why, sizeof(ret->why),
		 "%" PRIu64
		 " extents have huge pages, while %s in slabs and runs were always free: "
		 "a huge page stays resident as a whole",
		 f->huge_extents, bytes);
	ret->rss = -(double)f->slab_free_least;
	ret->rss_how = "at most: all that was free in slabs, as extents empty";
	ret->cpu_how = "more page faults and misses of the TLB, which are not estimated";
	return true;
}

/* -- the limit of the control group ------------------------------------------------------------ */
static double obeyed(const struct advice_figures *f)
{
	return ratio(f->group_obeyed, f->allocs);
}

static bool group_limit(const struct advice_figures *f, struct advice *ret)
{
	uint64_t now = setting(f, HAK_TID_PURGE_LIMIT_SHARE);
	uint64_t cost =
		less(f->faults * f->prices.minor_fault_ns + f->group_obeyed * f->prices.map_ns,
		     f->cpu_ns);
	char limit[HAK_VALUE_TEXT];

	if (f->group_obeyed < EVENTS_LEAST || !worth_it(f, cost) ||
	    !f->setting[HAK_TID_PURGE_LIMIT_SHARE].known || now >= SHARE_MOST)
		return false;
	ret->value = now ? less(2 * now, SHARE_MOST) : SHARE_FIRST;
	hak_bytes_format(f->group_limit, limit);
	snprintf(ret->why, sizeof(ret->why),
		 "free memory went back %" PRIu64
		 " times because of the limit of %s of the control group. Apart from this value, "
		 "only a higher MemoryHigh= or MemoryMax= helps",
		 f->group_obeyed, limit);
	ret->cpu = -of_one_processor(f, cost);
	ret->cpu_how = "at most: all page faults of the span, and a call for each time";
	ret->rss = (double)(f->group_limit / 100) * (double)(ret->value - now);
	ret->rss_how = "at most: this part more of the limit";
	return true;
}

/* -- too many calls ---------------------------------------------------------------------------- */
static double calls_per_region(const struct advice_figures *f)
{
	return ratio(f->madvise_calls, f->evictions);
}

static bool evict_batch(const struct advice_figures *f, struct advice *ret)
{
	uint64_t batch = setting(f, HAK_TID_REGION_EVICT_BATCH);
	uint64_t calls = f->madvise_calls - f->madvise_calls / BATCH_FACTOR;
	uint64_t saved = calls * f->prices.map_ns / 2;

	if (per_s(f, f->madvise_calls) < MADVISE_PER_S || !worth_it(f, saved) ||
	    !at_least(f->madvise_calls, f->evictions, 0.5) || !over_limit(f) ||
	    !at_least(f->evictions, f->madvise_calls, 0.5))
		return false;
	ret->value = less(batch * BATCH_FACTOR, 256);
	if (ret->value <= batch)
		return false;
	ret->cpu = -of_one_processor(f, saved);
	ret->cpu_how = "at most: three calls of four, at half the price of an mmap and a munmap";
	ret->rss = -(double)((ret->value - batch) * mean_whale(f));
	ret->rss_how = "at most: a larger batch of regions of the mean size, evicted sooner";
	snprintf(ret->why, sizeof(ret->why),
		 "%" PRIu64 " madvise calls a second gave back %" PRIu64
		 " regions a second: too few neighbours in a batch of %" PRIu64,
		 per_s(f, f->madvise_calls), per_s(f, f->evictions), batch);
	return true;
}

static double extents(const struct advice_figures *f)
{
	return ratio(less(f->extent_maps, f->extent_unmaps), f->allocs);
}

static bool retain(const struct advice_figures *f, struct advice *ret)
{
	uint64_t churn = less(f->extent_maps, f->extent_unmaps);

	if (churn < EVENTS_LEAST || !worth_it(f, churn * f->prices.map_ns) ||
	    !setting(f, HAK_TID_SUPERSLAB_ENABLE) ||
	    !doubled(f, HAK_TID_SUPERSLAB_RETAIN, &ret->value))
		return false;
	ret->cpu = -of_one_processor(f, churn * f->prices.map_ns);
	ret->cpu_how = "an mmap and a munmap for each, at what they cost here";
	ret->rss_how = "none: the pages of empty extents are given back anyway";
	snprintf(ret->why, sizeof(ret->why),
		 "%" PRIu64 " extents of 2 MiB were mapped and %" PRIu64 " unmapped again",
		 f->extent_maps, f->extent_unmaps);
	return true;
}

/* -- the table --------------------------------------------------------------------------------- */
const struct advice_rule advice_rules[] = {
	{ "ring-slots", HAK_TID_WHALE_RING_SLOTS, false, misses,
	  "blocks of 1 MiB and more that needed a new mapping, of all", ring_slots },
	{ "ring-bytes", HAK_TID_WHALE_RING_BYTES, false, misses,
	  "blocks of 1 MiB and more that needed a new mapping, of all", ring_bytes },
	{ "evicted-too-soon", HAK_TID_REGION_EVICT_BYTES, true, refills,
	  "bytes given back and taken again, for each allocation", evict_bytes },
	{ "purged-too-soon", HAK_TID_PURGE_DELAY_MS, true, refills,
	  "bytes given back and taken again, for each allocation", delay_longer },
	{ "kept-too-long", HAK_TID_PURGE_DELAY_MS, false, unused,
	  "bytes always free, of the resident ones", delay_shorter },
	{ "idle", 0, false, unused, "bytes always free, of the resident ones", idle_purge },
	{ "small-caches", HAK_TID_CACHE_THREAD_BYTES, false, round_trips,
	  "blocks that left a cache and came back, of all", cache_bytes },
	{ "small-batches", HAK_TID_REGION_EVICT_BATCH, true, calls_per_region,
	  "madvise calls for each region", evict_batch },
	{ "few-extents", HAK_TID_SUPERSLAB_RETAIN, false, extents,
	  "extents mapped and unmapped, for each allocation", retain },
	{ "large-caches", HAK_TID_CACHE_THREAD_BYTES, false, cached,
	  "bytes always in thread caches, of the resident ones", caches_large },
	{ "policy-limit", HAK_TID_CACHE_THREAD_BYTES, false, of_limit,
	  "bytes always in thread caches, of CachedMax=", caches_of_policy },
	{ "dead-heaps", 0, false, slab_free, "bytes always free in slabs, of the resident ones",
	  dead_heaps },
	{ "huge-pages", HAK_TID_THP_MODE, false, bloat, "resident bytes, for each byte in use",
	  huge_pages },
	{ "group-limit", HAK_TID_PURGE_LIMIT_SHARE, false, obeyed,
	  "times that the limit was obeyed, for each allocation", group_limit },
};
const size_t advice_rules_n = sizeof(advice_rules) / sizeof(advice_rules[0]);

const struct hak_tunable_row *advice_tunable(const struct advice_rule *rule)
{
	return hak_tunable_row_by_id(rule->tunable);
}

/* FNV-1a, with the NULs between the texts. */
static uint32_t hash(uint32_t h, const char *text)
{
	do {
		h = (h ^ (unsigned char)*text) * 16777619u;
	} while (*text++);
	return h;
}

void advice_id(const struct advice_rule *rule, const char *subject, char ret[ADVICE_ID_BYTES])
{
	const struct hak_tunable_row *row = advice_tunable(rule);
	uint32_t h = hash(hash(hash(2166136261u, rule->name), subject), row ? row->name : "purge");

	snprintf(ret, ADVICE_ID_BYTES, "%08" PRIx32, h);
}
