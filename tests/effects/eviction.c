// SPDX-License-Identifier: MIT
/*
 * The tunables that say how and when memory is given back do so in a process that already runs:
 * region.evict and its like, purge.delay_ms, and stats.timing, which times the calls. As in
 * tunables.c, each case changes one from outside and back, and counts are exact.
 */
#include "effects.h"

#include <sys/personality.h>

static struct remote r;
static const uint64_t never = 86400000;

/* ---- eviction ---- */

struct evictions {
	uint64_t mmap, munmap, dontneed, free, evictions, lazy;
};

static struct evictions evictions_now(void)
{
	return (struct evictions){ count(&r, "sys.mmap.calls"),	    count(&r, "sys.munmap.calls"),
				   count(&r, "sys.dontneed.calls"), count(&r, "sys.free.calls"),
				   count(&r, "ring.evictions"),	    count(&r, "mem.lazy") };
}

/* Frees one whale of 2 MiB into the region cache: the system calls of the free, and the address. */
static struct evictions evict_one(uint64_t mode, uint64_t *ret_p)
{
	struct evictions a, b;

	set(&r, "region.evict", mode);
	/* The region cache is empty, so this whale is the only one. */
	purge(&r, HAK_PURGE_ALL);
	CHECK(count(&r, "ring.regions") == 0);
	ask(&r, take, 2 * MIB, 1);
	*ret_p = (uint64_t)ask(&r, address, 0, 0);
	CHECK(present_bytes(&r, *ret_p, 2 * MIB) == 2 * MIB);
	a = evictions_now();
	ask(&r, drop, 0, 1);
	b = evictions_now();
	return (struct evictions){ b.mmap - a.mmap,	      b.munmap - a.munmap,
				   b.dontneed - a.dontneed,   b.free - a.free,
				   b.evictions - a.evictions, b.lazy - a.lazy };
}

static void check_evictions(struct evictions e, struct evictions want)
{
	CHECK(memcmp(&e, &want, sizeof(e)) == 0,
	      "mmap %lu munmap %lu dontneed %lu free %lu evictions %lu lazy %lu", e.mmap, e.munmap,
	      e.dontneed, e.free, e.evictions, e.lazy);
}

static void evicts_by_dontneed(void)
{
	uint64_t p;

	check_evictions(evict_one(0, &p),
			(struct evictions){ .mmap = 1, .dontneed = 1, .evictions = 1 });
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 2 * MIB && present_bytes(&r, p, 2 * MIB) == 0);
	CHECK(count(&r, "mem.lazy") == 0);
}

static void evicts_by_free(void)
{
	long lazy = smaps_kib(&r, "LazyFree");
	uint64_t p;

	check_evictions(evict_one(1, &p),
			(struct evictions){ .free = 1, .evictions = 1, .lazy = 2 * MIB });
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 2 * MIB);
	CHECK(smaps_kib(&r, "LazyFree") >= lazy + 2048 - 64, "%ld KiB", smaps_kib(&r, "LazyFree"));
}

static void region_evict(void)
{
	uint64_t p;

	start(&r, "purge.delay_ms=0");
	evicts_by_dontneed();
	evicts_by_free();
	check_evictions(evict_one(2, &p), (struct evictions){ .mmap = 1, .evictions = 1 });
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 2 * MIB && present_bytes(&r, p, 2 * MIB) == 0);
	check_evictions(evict_one(3, &p), (struct evictions){ .munmap = 1 });
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 0);
	check_evictions(evict_one(4, &p), (struct evictions){ 0 });
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 2 * MIB && present_bytes(&r, p, 2 * MIB) == 2 * MIB);
	/* Back: what was kept goes with the next look. */
	evicts_by_dontneed();
	finish(&r);
}

/* Returns whether the subject's kernel is so old that free() would lose direct reads. */
static void looks_old(void)
{
	if (personality(0x0020000 /* UNAME26 */) < 0)
		_exit(CASE_SKIP);
}

static void region_free_force(void)
{
	uint64_t p;

	start(&r, "purge.delay_ms=0");
	check_evictions(evict_one(1, &p),
			(struct evictions){ .mmap = 1, .dontneed = 1, .evictions = 1 });
	set(&r, "region.free_force", 1);
	evicts_by_free();
	set(&r, "region.free_force", 0);
	check_evictions(evict_one(1, &p),
			(struct evictions){ .mmap = 1, .dontneed = 1, .evictions = 1 });
	finish(&r);
}

static void evict_bytes(void)
{
	uint64_t evictions;

	start(&r, "purge.delay_ms=1d");
	purge(&r, HAK_PURGE_ALL);
	evictions = count(&r, "ring.evictions");
	ask(&r, take, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	CHECK(grew(&r, "ring.evictions", &evictions) == 0);
	CHECK(count(&r, "ring.dirty_bytes") >= 32 * MIB, "%lu", count(&r, "ring.dirty_bytes"));
	set(&r, "region.evict_bytes", 4 * MIB);
	ask(&r, take, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	CHECK(grew(&r, "ring.evictions", &evictions) > 0, "%lu", evictions);
	CHECK(count(&r, "ring.dirty_bytes") <= 4 * MIB, "%lu", count(&r, "ring.dirty_bytes"));
	reset(&r, "region.evict_bytes");
	evictions = count(&r, "ring.evictions");
	ask(&r, take, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	CHECK(grew(&r, "ring.evictions", &evictions) == 0);
	CHECK(count(&r, "ring.dirty_bytes") >= 32 * MIB, "%lu", count(&r, "ring.dirty_bytes"));
	finish(&r);
}

/*
 * Sixteen regions in the region cache do not touch; then there is no budget. Returns how many go at
 * the next free.
 */
static uint64_t evicted_by_one_free(uint64_t batch)
{
	uint64_t evictions;

	reset(&r, "region.evict_bytes");
	set(&r, "region.evict_batch", batch);
	ask(&r, drop, 0, 1);
	purge(&r, HAK_PURGE_ALL);
	ask(&r, take, 2 * MIB, 33);
	ask(&r, drop, 1, 2);
	set(&r, "region.evict_bytes", 0);
	evictions = count(&r, "ring.evictions");
	CHECK(count(&r, "ring.regions") >= 16, "%lu", count(&r, "ring.regions"));
	/* The last one taken, and none of those left, lies at an even place. */
	ask(&r, drop, 32, 1 << 20);
	return grew(&r, "ring.evictions", &evictions);
}

static void evict_batch(void)
{
	uint64_t n;

	start(&r, "purge.delay_ms=1d");
	n = evicted_by_one_free(16);
	CHECK(n == 16, "%lu regions in a batch of 16", n);
	n = evicted_by_one_free(1);
	CHECK(n == 1, "%lu regions in a batch of 1", n);
	n = evicted_by_one_free(5);
	CHECK(n == 5, "%lu regions in a batch of 5", n);
	finish(&r);
}

/* ---- time ---- */

/* Frees 32 MiB of whales that were filled. */
static uint64_t garbage(struct remote *s)
{
	uint64_t p;

	ask(s, take, 2 * MIB, 16);
	p = (uint64_t)ask(s, address, 15, 0);
	ask(s, drop, 0, 1);
	return p;
}

static int all_given_back(struct remote *s, uint64_t p)
{
	return present_bytes(s, p, 2 * MIB) == 0 && count(s, "mem.dirty") < 32 * MIB;
}

static void purge_delay_zero(void)
{
	uint64_t p;

	start(&r, "purge.delay_ms=1d");
	p = garbage(&r);
	nudge(&r);
	CHECK(present_bytes(&r, p, 2 * MIB) == 2 * MIB);
	/* 0: existing free memory goes, and memory freed later is gone when free() returns. */
	set(&r, "purge.delay_ms", 0);
	WAIT_FOR(nudge(&r) && all_given_back(&r, p));
	p = garbage(&r);
	CHECK(present_bytes(&r, p, 2 * MIB) == 0);
	set(&r, "purge.delay_ms", never);
	p = garbage(&r);
	nudge(&r);
	CHECK(present_bytes(&r, p, 2 * MIB) == 2 * MIB);
	finish(&r);
}

/* Two subjects differ in the delay alone: when one has given everything back, the other has not. */
static void purge_delay_never(void)
{
	struct remote s;
	uint64_t p, q;

	start(&r, "purge.delay_ms=100");
	start(&s, "purge.delay_ms=100");
	set(&s, "purge.delay_ms", never);
	p = garbage(&s);
	q = garbage(&r);
	for (int i = 0; i < 3; i++) {
		WAIT_FOR(nudge(&r) && nudge(&s) && all_given_back(&r, q));
		CHECK(present_bytes(&s, p, 2 * MIB) == 2 * MIB);
		CHECK(count(&s, "purge.count") == 0);
		q = garbage(&r);
	}
	set(&s, "purge.delay_ms", 100);
	WAIT_FOR(nudge(&s) && all_given_back(&s, p));
	finish(&r);
	finish(&s);
}

static long use_whales(long a, long b)
{
	(void)a;
	(void)b;
	poke();
	return 0;
}

/*
 * Free memory ages although whales in constant use are cut off it and join it again. The regions of
 * these whales, at most 3.5 MiB at a time, may stay.
 */
static void ages_beside_whales_in_use(void)
{
	uint64_t aged;
	long rss;

	start(&r, "purge.delay_ms=1h");
	/* what is wanted again and again does not go back by amount */
	for (int i = 0; i < 4; i++)
		garbage(&r);
	CHECK(count(&r, "ring.dirty_bytes") >= 30 * MIB);
	rss = smaps_kib(&r, "Rss");
	aged = count(&r, "purge.bytes");
	set(&r, "purge.delay_ms", 100);
	WAIT_FOR(ask(&r, use_whales, 0, 0) == 0 && count(&r, "purge.bytes") - aged >= 24 * MIB);
	CHECK(smaps_kib(&r, "Rss") < rss - 24 * 1024);
	WAIT_FOR(ask(&r, use_whales, 0, 0) == 0 && count(&r, "mem.dirty") < 8 * MIB);
	finish(&r);
}

/* ---- stats.timing ---- */

static const char *const timed[] = {
	"sys.mmap.ns",	    "sys.munmap.ns",	 "sys.mremap.ns",
	"sys.dontneed.ns",  "sys.free.ns",	 "whale.get_samples",
	"whale.get_cycles", "whale.put_samples", "whale.put_cycles",
};
enum { TIMED = sizeof(timed) / sizeof(timed[0]) };

static long grow_one(long a, long b)
{
	char *p = launder(malloc(opaque((size_t)a)));

	p = launder(realloc(p, opaque((size_t)b)));
	free(p);
	return 0;
}

/* Everything that is timed happens at least once. */
static void timed_work(uint64_t grown[TIMED])
{
	uint64_t was[TIMED];
	uint64_t p;

	for (int i = 0; i < TIMED; i++)
		was[i] = count(&r, timed[i]);
	ask(&r, whales, 3 * MIB, 5);
	ask(&r, grow_one, 4 * MIB, 64 * MIB);
	evict_one(1, &p);
	evict_one(0, &p);
	set(&r, "whale.ring_slots", 0);
	ask(&r, whales, 3 * MIB, 5);
	reset(&r, "whale.ring_slots");
	for (int i = 0; i < TIMED; i++)
		grown[i] = grew(&r, timed[i], &was[i]);
}

static void stats_timing(void)
{
	uint64_t grown[TIMED];

	start(&r, "purge.delay_ms=0");
	timed_work(grown);
	for (int i = 0; i < TIMED; i++)
		CHECK(grown[i] == 0, "%s grew by %lu while off", timed[i], grown[i]);
	set(&r, "stats.timing", 1);
	timed_work(grown);
	for (int i = 0; i < TIMED; i++)
		CHECK(grown[i] > 0, "%s did not grow while on", timed[i]);
	set(&r, "stats.timing", 0);
	timed_work(grown);
	for (int i = 0; i < TIMED; i++)
		CHECK(grown[i] == 0, "%s grew by %lu while off again", timed[i], grown[i]);
	finish(&r);
}

static const struct tcase cases[] = {
	{ "region_evict", region_evict },
	{ "region_free_force", region_free_force, 0, NULL, looks_old },
	{ "evict_bytes", evict_bytes },
	{ "evict_batch", evict_batch },
	{ "purge_delay_zero", purge_delay_zero },
	{ "purge_delay_never", purge_delay_never },
	{ "ages_beside_whales_in_use", ages_beside_whales_in_use },
	{ "stats_timing", stats_timing },
};

EFFECTS_MAIN(cases)
