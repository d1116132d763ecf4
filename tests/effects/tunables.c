// SPDX-License-Identifier: MIT
/*
 * Every live tunable does what its row says in a running process, and undoes it. Each case starts a
 * subject with the defaults (or with settings that make an effect visible), changes the tunable
 * from outside, makes the subject work, and looks at the counters and at /proc/PID; then it changes
 * the tunable back. Counts are exact, because the subject has one thread and does only what it is
 * told.
 *
 * Tested elsewhere: what gives memory back (eviction), control.agent at start and control.segment
 * (tests/live/agent, drop), layers, deadlines, clamping and refusals (tests/live/tune).
 */
#include "effects.h"

#include <pthread.h>
#include <semaphore.h>

static struct remote r;

/* ---- slabs ---- */

static int no_superslabs(void)
{
	purge(&r, HAK_PURGE_CACHE);
	return count(&r, "superslab.live") == 0;
}

static void superslab_enable(void)
{
	uint64_t live, before;

	start(&r, NULL);
	CHECK(count(&r, "slab.single") == 0);
	before = count(&r, "superslab.live");
	ask(&r, take, 100, 200000);
	live = count(&r, "superslab.live");
	CHECK(live >= before + 9, "%lu superslabs for 20 MB", live);

	/* Off: none is added when as much is allocated again; those in use go as they empty. */
	set(&r, "superslab.enable", 0);
	ask(&r, take, 200, 100000);
	CHECK(count(&r, "superslab.live") <= live, "%lu superslabs, then %lu", live,
	      count(&r, "superslab.live"));
	CHECK(count(&r, "slab.single") >= 300, "%lu single slabs for 20 MB",
	      count(&r, "slab.single"));
	ask(&r, drop, 0, 1);
	WAIT_FOR(no_superslabs());
	CHECK(count(&r, "superslab.free") == 0);

	/* On again: no single slab is added, and superslabs are back. */
	purge(&r, HAK_PURGE_ALL);
	before = count(&r, "slab.single");
	set(&r, "superslab.enable", 1);
	ask(&r, take, 100, 200000);
	CHECK(count(&r, "slab.single") <= before, "%lu, then %lu", before,
	      count(&r, "slab.single"));
	CHECK(count(&r, "superslab.live") >= 9, "%lu", count(&r, "superslab.live"));
	finish(&r);
}

/* Single slabs are unmapped as they empty, and the address space shrinks. */
static void superslab_off_unmaps_each_slab(void)
{
	uint64_t mapped, unmaps;

	start(&r, "superslab.enable=off");
	mapped = count(&r, "mem.mapped");
	ask(&r, take, 100, 200000);
	CHECK(count(&r, "mem.mapped") >= mapped + 20000000 && count(&r, "superslab.live") == 0);
	unmaps = count(&r, "sys.munmap.calls");
	ask(&r, drop, 0, 1);
	purge(&r, HAK_PURGE_ALL);
	CHECK(count(&r, "slab.single") <= 20, "%lu", count(&r, "slab.single"));
	CHECK(grew(&r, "sys.munmap.calls", &unmaps) >= 300, "%lu munmaps", unmaps);
	finish(&r);
}

/* Frees 40 MiB of runs, which leaves empty extents. */
static uint64_t free_extents_after_40_mib(void)
{
	ask(&r, take_bare, 65536, 640);
	ask(&r, drop, 1, 1);
	purge(&r, HAK_PURGE_DIRTY);
	return count(&r, "superslab.free");
}

static void superslab_retain(void)
{
	uint64_t n, unmaps, mapped;

	/* Nothing goes by its age, so only the tunable has an effect. */
	start(&r, "purge.delay_ms=1d");
	/* A superslab that stays, so that nudging revives none. */
	ask(&r, take, 100, 1);
	n = free_extents_after_40_mib();
	CHECK(n == 4, "%lu free extents kept, not 4", n);
	set(&r, "superslab.retain", 12);
	n = free_extents_after_40_mib();
	CHECK(n == 12, "%lu free extents kept, not 12", n);

	/* Lowered: takes effect at once, without a request or a free. */
	unmaps = count(&r, "sys.munmap.calls");
	mapped = count(&r, "mem.mapped");
	set(&r, "superslab.retain", 3);
	CHECK(count(&r, "superslab.free") == 3, "%lu", count(&r, "superslab.free"));
	CHECK(grew(&r, "sys.munmap.calls", &unmaps) >= 9, "%lu in all", unmaps);
	CHECK(count(&r, "mem.mapped") <= mapped - 9 * 2 * MIB + 16 * MIB);
	set(&r, "superslab.retain", 0);
	n = free_extents_after_40_mib();
	CHECK(n == 0, "%lu free extents kept, not 0", n);
	reset(&r, "superslab.retain");
	n = free_extents_after_40_mib();
	CHECK(n == 4, "%lu free extents kept, not 4", n);
	finish(&r);
}

/* ---- huge pages ---- */

static int kernel_has_thp(void)
{
	char mode[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, mode, sizeof(mode) - 1) < 0)
		mode[0] = '\0';
	return strstr(mode, "[madvise]") || strstr(mode, "[always]");
}

static void thp_mode(void)
{
	uint64_t calls;
	long huge;

	start(&r, "whale.ring_slots=0");
	calls = count(&r, "sys.hugepage.calls");
	ask(&r, take, 8 * MIB, 4);
	ask(&r, take, 100, 100000);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 0, "%lu advices while off", calls);
	huge = smaps_kib(&r, "AnonHugePages");

	set(&r, "thp.mode", 2);
	calls = count(&r, "sys.hugepage.calls");
	ask(&r, take, 8 * MIB, 4);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 4, "for 4 whales, %lu in all", calls);
	if (kernel_has_thp())
		CHECK(smaps_kib(&r, "AnonHugePages") >= huge + 8 * 1024,
		      "%ld KiB of huge pages, were %ld", smaps_kib(&r, "AnonHugePages"), huge);
	ask(&r, take, 100, 100000);
	CHECK(count(&r, "superslab.thp") >= 4, "%lu", count(&r, "superslab.thp"));

	set(&r, "thp.mode", 0);
	calls = count(&r, "sys.hugepage.calls");
	ask(&r, take, 8 * MIB, 4);
	ask(&r, take, 100, 100000);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 0, "%lu advices while off again", calls);
	finish(&r);
}

static void thp_adaptive(void)
{
	uint64_t calls;

	start(&r, NULL);
	set(&r, "thp.mode", 1);
	purge(&r, HAK_PURGE_ALL);
	calls = count(&r, "sys.hugepage.calls");
	ask(&r, take_bare, 200000, 8);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 0,
	      "%lu calls for regions that were not filled", calls);
	/* A region after it was filled twice; a superslab, once 80 % of it is in use. */
	ask(&r, whales, 8 * MIB, 1);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 0);
	ask(&r, whales, 8 * MIB, 4);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 1, "%lu in all", calls);
	CHECK(count(&r, "superslab.thp") == 0);
	ask(&r, take, 100, 100000);
	CHECK(count(&r, "superslab.thp") >= 3, "%lu", count(&r, "superslab.thp"));
	calls = count(&r, "sys.hugepage.calls");
	reset(&r, "thp.mode");
	ask(&r, take, 100, 100000);
	ask(&r, whales, 12 * MIB, 4);
	CHECK(grew(&r, "sys.hugepage.calls", &calls) == 0, "%lu in all", calls);
	finish(&r);
}

/* Returns whether [p, p + 1) has the flag: hg, advised for huge pages; nh, against them. */
static int has_flag(uint64_t p, const char *flag)
{
	char path[64], line[512];
	int inside = 0, yes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", r.pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= p && p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			yes = strstr(line, flag) != NULL;
	}
	fclose(f);
	return yes;
}

static int advised(uint64_t p)
{
	return has_flag(p, " hg");
}

/*
 * What was advised for huge pages, as all memory is where the kernel gives them to every mapping,
 * gets none any more: memory with room at the change, new memory, and regions that are used again.
 */
static void thp_never(void)
{
	uint64_t whale, slab, run, later;
	long huge;

	start(&r, "thp.mode=always,purge.delay_ms=1d");
	ask(&r, take, 8 * MIB, 2);
	ask(&r, take, 200000, 1);
	ask(&r, take, 100, 10000);
	run = (uint64_t)ask(&r, address, 2, 0);
	whale = (uint64_t)ask(&r, address, 0, 0);
	slab = (uint64_t)ask(&r, address, 5000, 0);
	if (!advised(whale))
		SKIP("the kernel has no huge pages");
	CHECK(advised(slab) && advised(run) && count(&r, "superslab.thp") >= 1);
	huge = smaps_kib(&r, "AnonHugePages");
	if (kernel_has_thp())
		CHECK(huge >= 16 * 1024, "%ld KiB in huge pages", huge);

	set(&r, "thp.mode", 3);
	CHECK(!advised(slab) && has_flag(slab, " nh"), "a superslab with room");
	CHECK(has_flag(run, " nh"), "an extent of runs with room");
	CHECK(count(&r, "superslab.thp") == 0, "%lu", count(&r, "superslab.thp"));
	ask(&r, drop, 0, 1);
	purge(&r, HAK_PURGE_ALL);
	CHECK(smaps_kib(&r, "AnonHugePages") == 0, "%ld KiB", smaps_kib(&r, "AnonHugePages"));
	ask(&r, take, 8 * MIB, 2);
	ask(&r, take, 32 * MIB, 1);
	ask(&r, take, 100, 100000);
	later = (uint64_t)ask(&r, address, 2, 0);
	whale = (uint64_t)ask(&r, address, 0, 0);
	CHECK(has_flag(whale, " nh"), "a region that is used again");
	CHECK(has_flag(later, " nh"), "a new region");
	CHECK(smaps_kib(&r, "AnonHugePages") == 0, "%ld KiB", smaps_kib(&r, "AnonHugePages"));
	for (long i = 1000; i < 100000; i += 1000)
		CHECK(has_flag((uint64_t)ask(&r, address, i, 0), " nh"), "block %ld", i);
	finish(&r);
}

/* Advice goes with a mapping that is mapped over; the next owner of the region has it again. */
static void thp_after_remap(void)
{
	uint64_t p;

	start(&r, "thp.mode=always,region.evict=remap,purge.delay_ms=1d");
	ask(&r, take, 8 * MIB, 1);
	p = (uint64_t)ask(&r, address, 0, 0);
	if (!advised(p))
		SKIP("the kernel has no huge pages");
	ask(&r, drop, 0, 1);
	purge(&r, HAK_PURGE_DIRTY);
	CHECK(!advised(p) && present_bytes(&r, p, 8 * MIB) == 0);
	ask(&r, take, 8 * MIB, 1);
	CHECK((uint64_t)ask(&r, address, 0, 0) == p && advised(p));
	finish(&r);
}

/* Grows kept[0] to `a` bytes. */
static long grow_first(long a, long b)
{
	(void)b;
	kept[0] = launder(realloc(kept[0], opaque((size_t)a)));
	if (!kept[0])
		_exit(1);
	return (long)kept[0];
}

/* A whale that grows into a kept region uses it again: a copy, and the rest of that region. */
static void thp_in_kept_regions(void)
{
	uint64_t p, was;

	start(&r, "thp.mode=off,purge.delay_ms=1d");
	ask(&r, take, MIB, 1);
	ask(&r, take, 6 * MIB, 1);
	was = (uint64_t)ask(&r, address, 0, 0);
	ask(&r, drop, 1, 1);
	set(&r, "thp.mode", 2);
	ask(&r, take, 8 * MIB, 1);
	if (!advised((uint64_t)ask(&r, address, 1, 0)))
		SKIP("the kernel has no huge pages");
	p = (uint64_t)ask(&r, grow_first, MIB + MIB / 2, 0);
	CHECK(p != was && advised(p), "a copy");
	set(&r, "thp.mode", 3);
	p = (uint64_t)ask(&r, grow_first, 3 * MIB, 0);
	CHECK(has_flag(p, " nh") && has_flag(p + 3 * MIB - 1, " nh"), "the rest");
	finish(&r);
}

/* ---- caches ---- */

/* Blocks of all classes in the thread's cache: in by refills and frees, out by the others. */
static uint64_t cached_blocks(void)
{
	return count(&r, "class.refilled") + count(&r, "class.frees") - count(&r, "class.flushed") -
	       count(&r, "class.allocs");
}

/* Returns what the cache holds after blocks that the longest list can hold went through it. */
static uint64_t cached_after_churn(void)
{
	for (int i = 0; i < 12; i++) {
		ask(&r, take, 64, 3000);
		ask(&r, drop, 0, 1);
	}
	return cached_blocks();
}

static void cache_thread_bytes(void)
{
	uint64_t full, least, again;

	start(&r, "purge.delay_ms=1d");
	full = cached_after_churn();
	set(&r, "cache.thread_bytes", 0);
	least = cached_after_churn();
	reset(&r, "cache.thread_bytes");
	again = cached_after_churn();
	CHECK(full * 64 >= 128 * KIB && full * 64 <= 2 * MIB, "%lu blocks of 64 bytes", full);
	CHECK(least * 64 <= 32 * KIB, "%lu blocks of 64 bytes with no budget", least);
	CHECK(again * 64 >= 128 * KIB, "%lu blocks of 64 bytes again", again);
	finish(&r);
}

/* ---- caches of threads that wait ---- */

static pthread_t waiting;
static sem_t filled, end_of_wait;

static void *fills_and_waits(void *arg)
{
	static void *p[2000];

	for (int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < sizeof(p) / sizeof(p[0]); i++)
			p[i] = launder(malloc(opaque(64)));
		for (unsigned int i = 0; i < sizeof(p) / sizeof(p[0]); i++)
			free(p[i]);
	}
	sem_post(&filled);
	while (sem_wait(&end_of_wait))
		;
	return arg;
}

static long begin_to_wait(long a, long b)
{
	(void)a, (void)b;
	CHECK(!sem_init(&filled, 0, 0) && !sem_init(&end_of_wait, 0, 0));
	CHECK(!pthread_create(&waiting, NULL, fills_and_waits, NULL));
	while (sem_wait(&filled))
		;
	return 0;
}

static long stop_waiting(long a, long b)
{
	(void)a, (void)b;
	return sem_post(&end_of_wait) || pthread_join(waiting, NULL);
}

/* The value makes another thread empty the cache, long before the thread counts as asleep. */
static void emptied_by(const char *hakmem, const char *name)
{
	uint64_t n;

	start(&r, hakmem);
	ask(&r, begin_to_wait, 0, 0);
	n = cached_blocks();
	CHECK(n * 64 >= 32 * KIB, "%lu blocks cached", n);
	set(&r, name, 4096);
	WAIT_FOR(nudge(&r) && cached_blocks() < n / 4);
	CHECK(count(&r, "purge.takeovers") >= 1, "no takeover");
	CHECK(!ask(&r, stop_waiting, 0, 0));
	finish(&r);
}

static void cache_total_bytes(void)
{
	emptied_by("purge.delay_ms=1h,control.agent=off", "cache.total_bytes");
}

static void cache_thread_bytes_of_sleepers(void)
{
	emptied_by("purge.delay_ms=1h,control.agent=on", "cache.thread_bytes");
}

/* Returns the runs in the cache after it was offered some of each size, none being in use. */
static uint64_t cached_runs(void)
{
	uint64_t before;

	purge(&r, HAK_PURGE_CACHE);
	before = count(&r, "mem.run");
	for (long size = 20000; size < 900000; size += size / 9) {
		ask(&r, take_bare, size, 12);
		ask(&r, drop, 0, 1);
	}
	return count(&r, "mem.run") - before;
}

static void cache_thread_bytes_bounds_runs(void)
{
	uint64_t n;

	start(&r, "purge.delay_ms=1d");
	n = cached_runs();
	CHECK(n >= 2 * MIB && n <= peer_value(&r.p, "cache.thread_bytes"), "%lu bytes", n);
	set(&r, "cache.thread_bytes", MIB);
	n = cached_runs();
	CHECK(n <= MIB, "%lu bytes with a budget of 1 MiB", n);
	set(&r, "cache.thread_bytes", 0);
	n = cached_runs();
	CHECK(n == 0, "%lu bytes with no budget", n);
	finish(&r);
}

/* ---- the ring ---- */

static void ring_slots(void)
{
	enum { N = 100 };
	uint64_t mmaps, munmaps, unkept, hits;
	uint64_t p;

	start(&r, "purge.delay_ms=1d");
	ask(&r, whales, 2 * MIB, 1);
	mmaps = count(&r, "sys.mmap.calls");
	munmaps = count(&r, "sys.munmap.calls");
	hits = count(&r, "whale.hits");
	p = (uint64_t)ask(&r, whales, 2 * MIB, N);
	CHECK(grew(&r, "sys.mmap.calls", &mmaps) == 0 &&
	      grew(&r, "sys.munmap.calls", &munmaps) == 0);
	CHECK(grew(&r, "whale.hits", &hits) == N, "%lu in all", hits);
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 2 * MIB);

	set(&r, "whale.ring_slots", 0);
	CHECK(count(&r, "ring.regions") == 0 && count(&r, "ring.bytes") == 0);
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 0);
	mmaps = count(&r, "sys.mmap.calls");
	munmaps = count(&r, "sys.munmap.calls");
	unkept = count(&r, "whale.unkept");
	hits = count(&r, "whale.hits");
	p = (uint64_t)ask(&r, whales, 2 * MIB, N);
	CHECK(grew(&r, "whale.unkept", &unkept) == N && grew(&r, "whale.hits", &hits) == 0,
	      "%lu unkept, %lu hits in all", unkept, hits);
	CHECK(grew(&r, "sys.munmap.calls", &munmaps) == N, "one munmap per free; %lu in all",
	      munmaps);
	CHECK(grew(&r, "sys.mmap.calls", &mmaps) == N, "one mmap per malloc; %lu in all", mmaps);
	CHECK(mapped_bytes(&r, p, 2 * MIB) == 0);

	set(&r, "whale.ring_slots", 4);
	ask(&r, whales, 2 * MIB, 1);
	mmaps = count(&r, "sys.mmap.calls");
	munmaps = count(&r, "sys.munmap.calls");
	ask(&r, whales, 2 * MIB, N);
	CHECK(grew(&r, "sys.mmap.calls", &mmaps) == 0 &&
	      grew(&r, "sys.munmap.calls", &munmaps) == 0);

	/* Four slots hold four regions that do not touch. */
	ask(&r, take, 2 * MIB, 20);
	ask(&r, drop, 0, 2);
	CHECK(count(&r, "ring.regions") == 4, "%lu regions in four slots",
	      count(&r, "ring.regions"));
	finish(&r);
}

static void ring_bytes(void)
{
	uint64_t munmaps, unkept, p;

	start(&r, "purge.delay_ms=1d");
	p = (uint64_t)ask(&r, whales, 8 * MIB, 4);
	CHECK(count(&r, "ring.bytes") >= 8 * MIB && mapped_bytes(&r, p, 8 * MIB) == 8 * MIB);
	/* Lowered: the excess goes at once. */
	set(&r, "whale.ring_bytes", 6 * MIB);
	CHECK(count(&r, "ring.bytes") <= 6 * MIB, "%lu", count(&r, "ring.bytes"));
	/* A region that alone exceeds the bytes is unmapped when freed; smaller ones are kept. */
	munmaps = count(&r, "sys.munmap.calls");
	unkept = count(&r, "whale.unkept");
	p = (uint64_t)ask(&r, whales, 8 * MIB, 5);
	CHECK(grew(&r, "whale.unkept", &unkept) == 5, "%lu in all", unkept);
	CHECK(grew(&r, "sys.munmap.calls", &munmaps) == 5, "%lu in all", munmaps);
	CHECK(mapped_bytes(&r, p, 8 * MIB) == 0);
	ask(&r, whales, 2 * MIB, 5);
	CHECK(grew(&r, "whale.unkept", &unkept) == 0);
	reset(&r, "whale.ring_bytes");
	munmaps = count(&r, "sys.munmap.calls");
	p = (uint64_t)ask(&r, whales, 8 * MIB, 5);
	CHECK(grew(&r, "whale.unkept", &unkept) == 0 &&
	      grew(&r, "sys.munmap.calls", &munmaps) == 0);
	CHECK(mapped_bytes(&r, p, 8 * MIB) == 8 * MIB);
	finish(&r);
}

/* ---- check.free ---- */

static long free_twice(long a, long b)
{
	char *p = malloc(opaque((size_t)a));

	(void)b;
	free(launder(p));
	free(launder(p));
	return 1;
}

static size_t heard(int fd, char *text, size_t bytes)
{
	ssize_t n = read(fd, text, bytes - 1);

	n = n < 0 ? 0 : n;
	text[n] = '\0';
	return (size_t)n;
}

static void check_free(void)
{
	char text[512];
	int err[2], status;
	uint64_t bad;
	struct command c = { (char *)free_twice - (char *)serve, 100, 0 };

	CHECK(pipe2(err, O_CLOEXEC | O_NONBLOCK) == 0);
	start_as(&r, NULL, NULL, err[1]);
	bad = count(&r, "free.bad");
	set(&r, "check.free", 1);
	ask(&r, free_twice, 100, 0);
	CHECK(heard(err[0], text, sizeof(text)) && strstr(text, "hakmem: "), "%s", text);
	CHECK(strchr(text, '\n') == text + strlen(text) - 1, "more than one line: %s", text);
	CHECK(grew(&r, "free.bad", &bad) == 1, "%lu in all", bad);

	set(&r, "check.free", 2);
	ask(&r, free_twice, 100, 0);
	CHECK(heard(err[0], text, sizeof(text)) == 0, "%s", text);
	CHECK(grew(&r, "free.bad", &bad) == 1, "%lu in all", bad);

	reset(&r, "check.free");
	CHECK(write(r.fd, &c, sizeof(c)) == sizeof(c));
	CHECK(waitpid(r.pid, &status, 0) == r.pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x", status);
	CHECK(heard(err[0], text, sizeof(text)) && strstr(text, "hakmem: "), "%s", text);
}

/* ---- control ---- */

static long thread_job(long a, long b)
{
	pthread_t t;

	(void)a;
	(void)b;
	return pthread_create(&t, NULL, sleeps_for_ever, NULL);
}

static void control_agent(void)
{
	uint64_t g;

	start(&r, "control.agent=off");
	CHECK(ask(&r, thread_job, 0, 0) == 0);
	CHECK(tasks_of(r.pid) == 2, "%d threads", tasks_of(r.pid));
	/*
	 * On: the agent starts with the next thread that the program creates. From then on it
	 * answers while the program sleeps.
	 */
	set(&r, "control.agent", 1);
	CHECK(ask(&r, thread_job, 0, 0) == 0);
	WAIT_FOR(count(&r, "control.agent") == 1);
	CHECK(tasks_of(r.pid) == 4, "%d threads", tasks_of(r.pid));
	g = peer_set(&r.p, "whale.ring_slots", 9);
	WAIT_FOR(peer_has_applied(&r.p, g));
	/* Off: the agent ends, and the next request waits for the program. */
	g = peer_set(&r.p, "control.agent", 2);
	WAIT_FOR(peer_has_applied(&r.p, g));
	WAIT_FOR(tasks_of(r.pid) == 3 && count(&r, "control.agent") == 0);
	g = peer_set(&r.p, "whale.ring_slots", 8);
	CHECK(!peer_has_applied(&r.p, g));
	WAIT_FOR(nudge(&r) && peer_has_applied(&r.p, g));
	close(r.fd);
}

/*
 * Locked at the start: requests from outside have no effect here, but have one in another process.
 */
static void control_lock(void)
{
	struct remote s;
	uint64_t munmaps, g;

	need_root(); /* no descriptor is kept */
	start(&s, "control.lock=on");
	g = peer_set(&s.p, "whale.ring_slots", 0);
	WAIT_FOR(nudge(&s) && peer_has_applied(&s.p, g));
	munmaps = count(&s, "sys.munmap.calls");
	ask(&s, whales, 2 * MIB, 10);
	CHECK(count(&s, "sys.munmap.calls") == munmaps && count(&s, "whale.unkept") == 0);
	CHECK(count(&s, "control.refused") == 1 && peer_ack(&s.p, "whale.ring_slots").refused);
	finish(&s);
	start(&r, "control.lock=off");
	set(&r, "whale.ring_slots", 0);
	ask(&r, whales, 2 * MIB, 10);
	CHECK(count(&r, "whale.unkept") >= 10 && count(&r, "control.refused") == 0);
	finish(&r);
}

static const struct tcase cases[] = {
	{ "superslab_enable", superslab_enable },
	{ "superslab_off_unmaps_each_slab", superslab_off_unmaps_each_slab },
	{ "superslab_retain", superslab_retain },
	{ "thp_mode", thp_mode },
	{ "thp_never", thp_never },
	{ "thp_adaptive", thp_adaptive },
	{ "thp_after_remap", thp_after_remap },
	{ "thp_in_kept_regions", thp_in_kept_regions },
	{ "cache_thread_bytes", cache_thread_bytes },
	{ "cache_total_bytes", cache_total_bytes },
	{ "cache_thread_bytes_of_sleepers", cache_thread_bytes_of_sleepers },
	{ "cache_thread_bytes_bounds_runs", cache_thread_bytes_bounds_runs },
	{ "ring_slots", ring_slots },
	{ "ring_bytes", ring_bytes },
	{ "check_free", check_free },
	{ "control_agent", control_agent },
	{ "control_lock", control_lock },
};

EFFECTS_MAIN(cases)
