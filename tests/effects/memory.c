// SPDX-License-Identifier: MIT
/*
 * Memory by state, and what purges say they gave back, against the kernel's own account of the
 * process: within a few pages, the subject's stack and data among them. Pages that were never
 * touched are never among those given back.
 */
#include "effects.h"

enum { SLACK_KIB = 128 };

static struct remote r;

/* hakmem_purge() in the subject; the bytes it says. No memory is touched after it. */
static long purge_self(long level, long b)
{
	int (*fn)(int, uint64_t *) = HAKMEM(hakmem_purge, int (*)(int, uint64_t *));
	uint64_t bytes = 0;

	(void)b;
	return fn((int)level, &bytes) ? -1 : (long)bytes;
}

/* Purges the subject by its own hand; checks the answer against the fall of Rss. */
static long check_purge(int level)
{
	long rss = smaps_kib(&r, "Rss"), dirty = smaps_kib(&r, "Private_Dirty"), said;

	said = ask(&r, purge_self, level, 0) / 1024;
	rss -= smaps_kib(&r, "Rss");
	dirty -= smaps_kib(&r, "Private_Dirty");
	CHECKF(labs(rss - said) <= SLACK_KIB, "said %ld KiB, Rss fell by %ld", said, rss);
	CHECKF(labs(dirty - said) <= SLACK_KIB, "said %ld KiB, Private_Dirty fell by %ld", said,
	       dirty);
	return said;
}

static void begin(const char *hakmem)
{
	start(&r, hakmem);
	/* The subject's own code is in memory from here on. */
	nudge(&r);
	ask(&r, purge_self, HAK_PURGE_ALL, 0);
}

/* Of each block only the first half is written: half of it was ever in memory. */
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
		CHECKF(said >= least_kib && said <= most_kib,
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
	CHECKF(said == sysconf(_SC_PAGESIZE), "%ld bytes", said);
	ask(&r, touch_one, 64 * MIB, 0);
	said = ask(&r, purge_self, HAK_PURGE_ALL, 0);
	CHECKF(said == sysconf(_SC_PAGESIZE), "%ld bytes by unmapping", said);
	said = ask(&r, purge_self, HAK_PURGE_ALL, 0);
	CHECKF(said == 0, "%ld bytes of nothing", said);
	finish(&r);
}

/* A sleeper purged from outside by its agent, which touches nothing of its own. */
static void asked_from_outside(void)
{
	long rss, fall;
	struct hak_purge_answer a;
	uint64_t id;

	start(&r, "purge.delay_ms=1d,control.agent=on");
	ask(&r, take_half, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	rss = smaps_kib(&r, "Rss");
	id = peer_purge(&r.p, HAK_PURGE_DIRTY);
	WAIT_FOR((a = peer_answer(&r.p, id)).id == id);
	fall = rss - smaps_kib(&r, "Rss");
	CHECKF(labs(fall - (long)(a.bytes / 1024)) <= SLACK_KIB, "said %lu KiB, Rss fell by %ld",
	       a.bytes / 1024, fall);
	CHECKF(fall >= 16 * 1024 - SLACK_KIB, "%ld KiB", fall);
	close(r.fd);
}

/*
 * What is mapped writable. More is reserved: tables for each 4 GiB of addresses that blocks reach.
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
 * Every state of memory adds up to what is mapped, and that, with the tables, to what the kernel
 * has mapped.
 */
static void check_states(uint64_t vm, uint64_t before)
{
	uint64_t sum = peer_whales(&r.p, 1);

	for (unsigned i = 0; i < sizeof(state) / sizeof(state[0]); i++)
		sum += count(&r, state[i]);
	CHECKF(sum == count(&r, "mem.mapped"), "%lu by state, %lu mapped", sum,
	       count(&r, "mem.mapped"));
	CHECKF(vm_bytes() - vm == ours() - before,
	       "the kernel mapped %ld more, mem.mapped and mem.metadata grew by %ld",
	       (long)(vm_bytes() - vm), (long)(ours() - before));
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

/* Whales in use, and mem.dirty and mem.lazy of them, are what pagemap and smaps say. */
static void lazily_freed_is_what_smaps_says(void)
{
	long lazy, said;

	begin("purge.delay_ms=1d,region.evict=free,region.evict_bytes=0");
	lazy = smaps_kib(&r, "LazyFree");
	ask(&r, take, 2 * MIB, 16);
	ask(&r, drop, 0, 1);
	lazy = smaps_kib(&r, "LazyFree") - lazy;
	CHECKF(count(&r, "mem.lazy") == 32 * MIB, "%lu", count(&r, "mem.lazy"));
	CHECKF(labs(lazy - 32 * 1024) <= SLACK_KIB, "%ld KiB lazily freed, says smaps", lazy);
	/* Who asks for memory wants to see it gone. (Lazily freed pages are no longer dirty.) */
	lazy = smaps_kib(&r, "Rss");
	said = ask(&r, purge_self, HAK_PURGE_DIRTY, 0) / 1024;
	lazy -= smaps_kib(&r, "Rss");
	CHECKF(labs(lazy - said) <= SLACK_KIB && said >= 32 * 1024,
	       "said %ld KiB, Rss fell by %ld", said, lazy);
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
	CHECKF(count(&r, "mem.clean") >= clean + 2 * MIB, "%lu, was %lu", count(&r, "mem.clean"),
	       clean);
	finish(&r);
}

static const struct tcase cases[] = {
	{ "whales_given_back", whales_given_back },
	{ "runs_given_back", runs_given_back },
	{ "slabs_given_back", slabs_given_back },
	{ "untouched_pages_do_not_count", untouched_pages_do_not_count },
	{ "asked_from_outside", asked_from_outside },
	{ "states_add_up", states_add_up },
	{ "lazily_freed_is_what_smaps_says", lazily_freed_is_what_smaps_says },
	{ "clean_memory_has_no_pages", clean_memory_has_no_pages },
};

EFFECTS_MAIN(cases)
