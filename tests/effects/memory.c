// SPDX-License-Identifier: MIT
/*
 * Memory by state, and the answers of purges, against the kernel's own account of the process:
 * within a few pages, which include the subject's stack and data. The account is of anonymous
 * memory: pages of files come and go with the memory of the machine. Pages that were never touched
 * are never counted as given back.
 */
#include "purged.h"

#include <pthread.h>

/* A processor may hold up to 31 pages that are not marked as lazily freed yet. */
enum { LAZY_SLACK_KIB = 128 };

/* Only the first half of each block is written, so half of it was ever in memory. */
static long take_half(long a, long b)
{
	long first = kept_n;

	take_bare(a, b);
	for (long i = first; i < kept_n; i++)
		memset(kept[i], 1, (size_t)a / 2);
	return 0;
}

static void freed_tier(size_t size, long blocks, job how, long least_kib, long most_kib)
{
	long said;

	for (int level = HAK_PURGE_DIRTY; level <= HAK_PURGE_ALL; level++) {
		begin("purge.delay_ms=1d");
		ask(&r, how, (long)size, blocks);
		ask(&r, drop, 0, 1);
		said = check_purge(level);
		CHECK(said >= least_kib && said <= most_kib,
		      "%ld KiB of %ld blocks of %zu, level %d", said, blocks, size, level);
		CHECK(count(&r, "mem.dirty") == 0);
		finish(&r);
	}
}

static void whales_given_back(void)
{
	freed_tier(2 * MIB, 16, take, 32 * 1024, 32 * 1024 + SLACK_KIB);
	freed_tier(2 * MIB, 16, take_half, 16 * 1024, 16 * 1024 + SLACK_KIB);
}

static void runs_given_back(void)
{
	freed_tier(128 * KIB, 200, take, 25600, 25600 + SLACK_KIB);
	freed_tier(128 * KIB, 200, take_half, 12800, 12800 + 13 * 32 + SLACK_KIB);
}

static void slabs_given_back(void)
{
	freed_tier(100, 200000, take, 19000, 24000);
	freed_tier(16384, 1000, take, 15500, 16500 + SLACK_KIB);
}

/* One page of 64 MiB. */
static long touch_one(long a, long b)
{
	char *p = launder(malloc(opaque((size_t)a)));

	(void)b;
	if (!p)
		_exit(1);
	p[a / 2] = 1;
	free(launder(p));
	return 0;
}

static void untouched_pages_do_not_count(void)
{
	long said;

	begin("purge.delay_ms=1d");
	ask(&r, touch_one, 64 * MIB, 0);
	CHECK(count(&r, "mem.dirty") >= 64 * MIB);
	said = ask(&r, purge_self, HAK_PURGE_DIRTY, 0);
	CHECK(said == sysconf(_SC_PAGESIZE), "%ld bytes", said);
	ask(&r, touch_one, 64 * MIB, 0);
	said = ask(&r, purge_self, HAK_PURGE_ALL, 0);
	CHECK(said == sysconf(_SC_PAGESIZE), "%ld bytes by unmapping", said);
	said = ask(&r, purge_self, HAK_PURGE_ALL, 0);
	CHECK(said == 0, "%ld bytes of nothing", said);
	finish(&r);
}

/* ---- what is in the way of other memory ---- */

/* Older regions that were never touched hide none that has pages. */
static void untouched_regions_hide_nothing(void)
{
	enum { OLD = 60 };
	long said;

	begin("purge.delay_ms=1d");
	ask(&r, take_bare, MIB, OLD);
	ask(&r, take, 32 * MIB, 1);
	ask(&r, take_bare, MIB, 1);
	ask(&r, drop, 0, 2);
	said = check_purge(HAK_PURGE_DIRTY);
	CHECK(said >= 32 * 1024, "%ld KiB", said);
	CHECK(count(&r, "ring.dirty_bytes") == 0, "%lu", count(&r, "ring.dirty_bytes"));
	finish(&r);
}

/* Frees all blocks but every b-th of those from a on. */
static long drop_between(long a, long b)
{
	for (long i = a; i < kept_n; i++) {
		if ((i - a) % b == 0)
			continue;
		free(kept[i]);
		kept[i] = NULL;
	}
	return kept_n;
}

/* Locks one page of block a, which the kernel then refuses to take back. */
static long lock_page(long a, long b)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t p = ((uintptr_t)kept[a] + page - 1) & ~(page - 1);

	(void)b;
	return mlock((void *)p, page);
}

/* After the kernel has refused it, memory that is freed later still ages. */
static void locked_page_ages_alone(void)
{
	enum { LARGE = 500000, N = 60 };
	uint64_t errors;

	begin("purge.delay_ms=50");
	ask(&r, take, LARGE, N);
	errors = count(&r, "sys.errors");
	if (ask(&r, lock_page, 1, 0))
		SKIP("mlock is refused");
	ask(&r, drop, 1, N);
	WAIT_FOR(nudge(&r) && count(&r, "sys.errors") > errors);
	/* Some blocks stay, and so do the extents. */
	ask(&r, drop_between, 4, 4);
	WAIT_FOR(nudge(&r) && count(&r, "mem.dirty") < 4 * MIB);
	finish(&r);
}

/* Slabs that are unmapped as they empty, with blocks from the caches, are part of the answer. */
static void unmapped_slabs_are_in_the_answer(void)
{
	static const char *const how[] = { "purge.delay_ms=1d,superslab.retain=0",
					   "purge.delay_ms=1d,superslab.enable=off" };
	static const long sizes[] = { 150, 400, 1000, 3000, 8000 };
	long rss;

	for (int i = 0; i < 2; i++) {
		begin(how[i]);
		rss = smaps_kib(&r, "Anonymous");
		for (int k = 0; k < 5; k++)
			ask(&r, take, sizes[k], 5 * MIB / sizes[k]);
		ask(&r, drop, 0, 1);
		CHECK(smaps_kib(&r, "Anonymous") - rss > 4 * SLACK_KIB, "only %ld KiB are left",
		      smaps_kib(&r, "Anonymous") - rss);
		check_purge(HAK_PURGE_ALL);
		finish(&r);
	}
}

/* Memory that was freed lazily goes by age after the mode has changed. */
static void lazy_goes_when_the_mode_changes(void)
{
	uint64_t p;

	begin("purge.delay_ms=50,region.evict=free");
	ask(&r, take, 16 * MIB, 1);
	p = (uint64_t)ask(&r, address, 0, 0);
	ask(&r, drop, 0, 1);
	WAIT_FOR(nudge(&r) && count(&r, "mem.lazy") >= 16 * MIB);
	set(&r, "region.evict", 0);
	WAIT_FOR(nudge(&r) && count(&r, "mem.lazy") == 0);
	CHECK(present_bytes(&r, p, 16 * MIB) == 0);
	finish(&r);
}

/* ---- memory of threads that ended ---- */

static void *calls(void *arg)
{
	const struct call *c = arg;

	c->fn(c->a, c->b);
	return NULL;
}

/* Runs take() in a thread of its own, which then ends. */
static long take_in_thread(long a, long b)
{
	struct call c = { take, a, b };
	pthread_t t;

	CHECK(pthread_create(&t, NULL, calls, &c) == 0 && pthread_join(t, NULL) == 0);
	return kept_n;
}

enum { SMALL = 200, MANY = 150000, SPARSE = 300, WARM = 128, MOST_KIB = 6 * 1024 };

/*
 * Makes a thread leave live blocks behind. The caller's own slabs have room for what nudge() takes,
 * so no new slab is needed, and none is searched for.
 */
static long left_behind(const char *hakmem, job how)
{
	long rss;

	begin(hakmem);
	ask(&r, take_in_thread, SMALL, 100);
	ask(&r, drop, 0, 1);
	ask(&r, take, 8192, WARM);
	ask(&r, drop, 0, 2);
	nudge(&r);
	ask(&r, purge_self, HAK_PURGE_ALL, 0);
	rss = smaps_kib(&r, "Anonymous");
	ask(&r, how, SMALL, MANY);
	CHECK(smaps_kib(&r, "Anonymous") >= rss + SMALL * (MANY / 1024), "%ld KiB, then %ld", rss,
	      smaps_kib(&r, "Anonymous"));
	return rss;
}

static void ended_thread_ages(void)
{
	long rss = left_behind("purge.delay_ms=50,control.agent=off", take_in_thread);

	ask(&r, drop, WARM, 1);
	WAIT_FOR(nudge(&r) && smaps_kib(&r, "Anonymous") < rss + MOST_KIB);
	finish(&r);
}

enum { ENDED = 200, SLOT_KIB = 9 }; /* a page of the cache, and the record */

static void *waits_with_a_block(void *arg)
{
	void *volatile p = malloc(SMALL);

	pthread_barrier_wait(arg);
	free(p);
	return NULL;
}

/* Runs `a` threads at once, which end. */
static long spawn(long a, long b)
{
	static pthread_t t[ENDED];
	pthread_barrier_t all;

	(void)b;
	CHECK(pthread_barrier_init(&all, NULL, (unsigned int)a) == 0);
	for (long i = 0; i < a; i++)
		CHECK(pthread_create(&t[i], NULL, waits_with_a_block, &all) == 0);
	for (long i = 0; i < a; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	return 0;
}

/* The caches and records of heaps that hold nothing go, whole pages at least, and serve again. */
static void slots_given_back(void)
{
	uint64_t allocs;

	begin("purge.delay_ms=1d,control.agent=off");
	for (int i = 0; i < 2; i++) {
		ask(&r, spawn, ENDED, 0);
		allocs = count(&r, "class.allocs");
		CHECK(check_purge(HAK_PURGE_DIRTY) >= ENDED * SLOT_KIB);
		CHECK(count(&r, "class.allocs") == allocs, "%lu allocations, were %lu",
		      count(&r, "class.allocs"), allocs);
		CHECK(count(&r, "heap.dead") == ENDED, "%lu dead", count(&r, "heap.dead"));
	}
	CHECK(count(&r, "heap.adopted") == ENDED, "%lu adopted", count(&r, "heap.adopted"));
	finish(&r);
}

/* Returns the KiB of hakmem-stats that have memory, as mapped by the subject. */
static long stats_kib(void)
{
	char path[64], line[512];
	int inside = 0;
	long kib, sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", r.pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, " /") || strstr(line, " 00:00 "))
			inside = strstr(line, "/memfd:" HAK_STATS_NAME) != NULL;
		if (inside && sscanf(line, "Rss: %ld kB", &kib) == 1)
			sum += kib;
	}
	fclose(f);
	CHECK(sum > 0, "no " HAK_STATS_NAME);
	return sum;
}

static uint64_t refills(void)
{
	return count(&r, "refill.spare") + count(&r, "refill.own") + count(&r, "refill.carve") +
	       count(&r, "refill.remote") + count(&r, "refill.run");
}

/*
 * The counters of a heap that ended cannot go, because the memfd is sealed; but only half of a slot
 * has memory, and reading the figures does not change that. The tallies are right nevertheless: one
 * size is sampled for each refill.
 */
static void counters_of_ended_threads(void)
{
	enum { HALF_KIB = 4, REST_KIB = 128 };
	long kib;

	if (sysconf(_SC_PAGESIZE) > HALF_KIB * 1024)
		SKIP("pages are larger than half a slot");
	begin("purge.delay_ms=1d,control.agent=off");
	kib = stats_kib();
	ask(&r, spawn, ENDED, 0);
	CHECK(count(&r, "heap.dead") == ENDED, "%lu dead", count(&r, "heap.dead"));
	CHECK(count(&r, "class.requested_samples") == refills(), "%lu samples, %lu refills",
	      count(&r, "class.requested_samples"), refills());
	kib = stats_kib() - kib;
	CHECK(kib >= ENDED * HALF_KIB / 2 && kib <= ENDED * HALF_KIB + REST_KIB,
	      "%ld KiB more for %d heaps", kib, ENDED);
	finish(&r);
}

static void slots_age(void)
{
	long rss;

	begin("purge.delay_ms=1d,control.agent=off");
	ask(&r, spawn, ENDED, 0);
	rss = smaps_kib(&r, "Anonymous");
	set(&r, "purge.delay_ms", 50);
	WAIT_FOR(nudge(&r) && smaps_kib(&r, "Anonymous") <= rss - ENDED * SLOT_KIB);
	finish(&r);
}

/* Of each slab a few blocks are live; the pages between them go. */
static void holes_given_back(job how)
{
	long rss = left_behind("purge.delay_ms=1d,control.agent=off", how), said;

	ask(&r, drop_between, WARM, SPARSE);
	said = check_purge(HAK_PURGE_DIRTY);
	CHECK(said > SMALL * (MANY / 1024) - MOST_KIB, "%ld KiB", said);
	CHECK(smaps_kib(&r, "Anonymous") < rss + MOST_KIB, "%ld KiB, were %ld",
	      smaps_kib(&r, "Anonymous"), rss);
	finish(&r);
}

static void holes_age(job how)
{
	long rss = left_behind("purge.delay_ms=50,control.agent=off", how);
	uint64_t bytes = count(&r, "purge.bytes");

	ask(&r, drop_between, WARM, SPARSE);
	WAIT_FOR(nudge(&r) && smaps_kib(&r, "Anonymous") < rss + MOST_KIB);
	bytes = count(&r, "purge.bytes") - bytes;
	CHECK(bytes > SMALL * MANY / 2, "%lu bytes in purge.bytes", bytes);
	finish(&r);
}

static void holes_of_ended_threads(void)
{
	holes_given_back(take_in_thread);
}

static void holes_of_ended_threads_age(void)
{
	holes_age(take_in_thread);
}

static void own_holes_age(void)
{
	holes_age(take);
}

/* The agent of a sleeping process purges it on request, and touches no memory of its own. */
static void asked_from_outside(void)
{
	long rss, fall;
	struct hak_purge_answer a;
	uint64_t id;

	start(&r, "purge.delay_ms=1d,control.agent=on");
	ask(&r, take_half, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	rss = smaps_kib(&r, "Anonymous");
	id = peer_purge(&r.p, HAK_PURGE_DIRTY);
	WAIT_FOR((a = peer_answer(&r.p, id)).id == id);
	fall = rss - smaps_kib(&r, "Anonymous");
	CHECK(labs(fall - (long)(a.bytes / 1024)) <= SLACK_KIB,
	      "said %lu KiB, Anonymous fell by %ld", a.bytes / 1024, fall);
	CHECK(fall >= 16 * 1024 - SLACK_KIB, "%ld KiB", fall);
	close(r.fd);
}

/*
 * Returns the bytes mapped writable. More is reserved: tables for each 4 GiB of addresses that
 * blocks reach.
 */
static uint64_t vm_bytes(void)
{
	unsigned long pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", r.pid);
	f = fopen(path, "re");
	CHECK(f && fscanf(f, "%*u %*u %*u %*u %*u %lu", &pages) == 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ours(void)
{
	return count(&r, "mem.mapped") + count(&r, "mem.metadata");
}

static const char *const state[] = { "mem.slab", "mem.run", "mem.dirty", "mem.lazy", "mem.clean" };

/*
 * All states of memory add up to what is mapped, and that, with the tables, to what the kernel has
 * mapped.
 */
static void check_states(uint64_t vm, uint64_t before)
{
	uint64_t sum = peer_whales(&r.p, 1);
	int64_t more, grown;

	for (unsigned i = 0; i < sizeof(state) / sizeof(state[0]); i++)
		sum += count(&r, state[i]);
	CHECK(sum == count(&r, "mem.mapped"), "%lu by state, %lu mapped", sum,
	      count(&r, "mem.mapped"));
	/* Evicted regions and extents are not charged: they are no data to the kernel. */
	more = (int64_t)(vm_bytes() - vm);
	grown = (int64_t)(ours() - before);
	CHECK(more <= grown && more >= grown - (int64_t)count(&r, "mem.clean"),
	      "the kernel mapped %ld more, mem.mapped and mem.metadata grew by %ld", (long)more,
	      (long)grown);
}

static void states_add_up(void)
{
	static const size_t sizes[] = { 100, 5000, 100000, 2 * MIB, 5 * MIB };
	uint64_t vm, before;

	begin("purge.delay_ms=1d");
	vm = vm_bytes();
	before = ours();
	for (int i = 0; i < 5; i++) {
		ask(&r, take, (long)sizes[i], 20 * MIB / sizes[i]);
		check_states(vm, before);
	}
	ask(&r, drop, 0, 2);
	check_states(vm, before);
	ask(&r, purge_self, HAK_PURGE_DIRTY, 0);
	check_states(vm, before);
	set(&r, "superslab.enable", 0);
	ask(&r, take, 100, 100000);
	ask(&r, drop, 0, 3);
	check_states(vm, before);
	set(&r, "region.evict", 1);
	set(&r, "region.evict_bytes", 0);
	ask(&r, whales, 2 * MIB, 3);
	check_states(vm, before);
	ask(&r, drop, 0, 1);
	ask(&r, purge_self, HAK_PURGE_ALL, 0);
	check_states(vm, before);
	CHECK(count(&r, "mem.dirty") + count(&r, "mem.lazy") == 0);
	finish(&r);
}

/* Whales in use, and their parts in mem.dirty and mem.lazy, agree with pagemap and smaps. */
static void lazily_freed_is_what_smaps_says(void)
{
	long lazy, said;

	begin("purge.delay_ms=1d,region.evict=free,region.evict_bytes=0");
	lazy = smaps_kib(&r, "LazyFree");
	ask(&r, take, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	lazy = smaps_kib(&r, "LazyFree") - lazy;
	CHECK(count(&r, "mem.lazy") == 32 * MIB, "%lu", count(&r, "mem.lazy"));
	CHECK(labs(lazy - 32 * 1024) <= LAZY_SLACK_KIB, "%ld KiB lazily freed, says smaps", lazy);
	/* A purge on request shrinks the resident set. (Lazily freed pages are no longer dirty.) */
	lazy = smaps_kib(&r, "Anonymous");
	said = ask(&r, purge_self, HAK_PURGE_DIRTY, 0) / 1024;
	lazy -= smaps_kib(&r, "Anonymous");
	CHECK(labs(lazy - said) <= SLACK_KIB && said >= 32 * 1024,
	      "said %ld KiB, Anonymous fell by %ld", said, lazy);
	CHECK(count(&r, "mem.lazy") == 0);
	finish(&r);
}

static void clean_memory_has_no_pages(void)
{
	uint64_t clean, p;

	begin("purge.delay_ms=1d");
	ask(&r, take, 2 * MIB, 3);
	p = (uint64_t)ask(&r, address, 1, 0);
	clean = count(&r, "mem.clean");
	ask(&r, drop, 1, 1 << 20);
	CHECK(present_bytes(&r, p, 2 * MIB) == 2 * MIB && count(&r, "mem.clean") == clean);
	ask(&r, purge_self, HAK_PURGE_DIRTY, 0);
	CHECK(present_bytes(&r, p, 2 * MIB) == 0 && mapped_bytes(&r, p, 2 * MIB) == 2 * MIB);
	CHECK(count(&r, "mem.clean") >= clean + 2 * MIB, "%lu, was %lu", count(&r, "mem.clean"),
	      clean);
	finish(&r);
}

static const struct tcase cases[] = {
	{ "whales_given_back", whales_given_back },
	{ "runs_given_back", runs_given_back },
	{ "slabs_given_back", slabs_given_back },
	{ "untouched_pages_do_not_count", untouched_pages_do_not_count },
	{ "untouched_regions_hide_nothing", untouched_regions_hide_nothing },
	{ "locked_page_ages_alone", locked_page_ages_alone },
	{ "unmapped_slabs_are_in_the_answer", unmapped_slabs_are_in_the_answer },
	{ "lazy_goes_when_the_mode_changes", lazy_goes_when_the_mode_changes },
	{ "ended_thread_ages", ended_thread_ages },
	{ "slots_given_back", slots_given_back },
	{ "counters_of_ended_threads", counters_of_ended_threads },
	{ "slots_age", slots_age },
	{ "holes_of_ended_threads", holes_of_ended_threads },
	{ "holes_of_ended_threads_age", holes_of_ended_threads_age },
	{ "own_holes_age", own_holes_age },
	{ "asked_from_outside", asked_from_outside },
	{ "states_add_up", states_add_up },
	{ "lazily_freed_is_what_smaps_says", lazily_freed_is_what_smaps_says },
	{ "clean_memory_has_no_pages", clean_memory_has_no_pages },
};

EFFECTS_MAIN(cases)
