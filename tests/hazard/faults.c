// SPDX-License-Identifier: MIT
/*
 * Memory and calls that are refused: each call that gives or takes memory, at each place, with each
 * errno (hazards 9, 10, 13, 23); calls for the segment (32); work under the inner locks (24).
 */
#include "hazard.h"

static struct actor third;
static struct peer self;

/* ---- calls that fail ---- */

enum { WHALES = 4 };
static const int errors[] = { ENOMEM, EINVAL, EAGAIN, EPERM };

/* Grows a whale in place and where another mapping is in its way, then shrinks it. */
static void resize(void)
{
	size_t n = 2 * MIB;
	char *p = take(n), *q, *wall;

	fill(p, n, 7);
	wall = mmap(p + malloc_usable_size(p), 4096, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	q = launder(realloc(p, 5 * MIB));
	if (!q)
		q = launder(realloc(p, 5 * MIB));
	CHECK(q);
	check_block(q, n, 7);
	memset(q + n, 0xa5, malloc_usable_size(q) - n);
	p = launder(realloc(q, 3 * MIB));
	CHECK(p);
	check_block(p, n, 7);
	if (wall != MAP_FAILED)
		munmap(wall, 4096);
	free(p);
}

static void evicted_whales(const char *mode)
{
	void *p[WHALES + 1];

	set("region.evict", mode);
	for (int i = 0; i <= WHALES; i++) {
		p[i] = take(2 * MIB + i * 65536);
		memset(p[i], 0xa5, malloc_usable_size(p[i]));
	}
	/* the first while nothing is given back: more than one region is dirty then */
	for (int i = 0; i < WHALES - 1; i++)
		free(p[i]);
	set("region.evict_bytes", "0");
	free(p[WHALES - 1]);
	for (int i = 0; i < WHALES; i++)
		p[i] = take_zeroed(2 * MIB + i * 65536);
	for (int i = 0; i <= WHALES; i++)
		free(p[i]);
	set("region.evict_bytes", "1G");
	free(take_zeroed(3 * MIB));
	free(take_zeroed(3 * MIB));
	purge(HAKMEM_PURGE_DIRTY);
	free(take_zeroed(3 * MIB));
}

static struct blocks small, mid, runs;

static void evicted_extents(void)
{
	small = (struct blocks){ .size = 500, .n = 256, .seed = 1 };
	mid = (struct blocks){ .size = 7000, .n = 24, .seed = 2 };
	runs = (struct blocks){ .size = 90000, .n = 8, .seed = 3 };
	for (unsigned int i = 0; i < small.n; i++)
		fill(small.p[i] = take(500), 500, 1 + i);
	for (unsigned int i = 0; i < mid.n; i++)
		fill(mid.p[i] = take(7000), 7000, 2 + i);
	for (unsigned int i = 0; i < runs.n; i++)
		fill(runs.p[i] = take(90000), 90000, 3 + i);
	for (unsigned int i = 2; i < small.n - 2; i++)
		free(small.p[i]);
	for (unsigned int i = 1; i < mid.n - 1; i++)
		free(mid.p[i]);
	for (unsigned int i = 1; i < runs.n; i++)
		free(runs.p[i]);
	purge(HAKMEM_PURGE_DIRTY);
	for (int i = 0; i < 3; i++)
		free(take_zeroed(90000));
	for (int i = 0; i < 2; i++) {
		check_block(small.p[i], 500, 1 + i);
		check_block(small.p[small.n - 1 - i], 500, small.n - i);
		free(small.p[i]);
		free(small.p[small.n - 1 - i]);
	}
	check_block(mid.p[0], 7000, 2);
	check_block(mid.p[mid.n - 1], 7000, 1 + mid.n);
	check_block(runs.p[0], 90000, 3);
	free(mid.p[0]);
	free(mid.p[mid.n - 1]);
	free(runs.p[0]);
	purge(HAKMEM_PURGE_ALL);
}

/* Takes a run; a word of each page reads as zero, and is then written. */
static void *take_run(size_t n)
{
	char *p = launder(calloc(1, opaque(n)));

	if (!p)
		p = launder(calloc(1, opaque(n)));
	CHECK(p, "calloc(%zu) twice: %s", n, strerror(errno));
	for (size_t at = 0; at < n; at += 4096) {
		CHECK(!*(uint64_t *)(p + at), "%p is not zero at %zu", (void *)p, at);
		*(uint64_t *)(p + at) = ~at;
	}
	return p;
}

/*
 * Extents become empty, some of them neighbours. They are unmapped at once, or kept, purged, taken
 * into use again and unmapped.
 */
static void emptied_extents(void)
{
	static const char *const retain[] = { "0", "4" };
	void *p[6];

	for (int i = 0; i < 4; i++) {
		set("superslab.retain", retain[i / 2]);
		for (int k = 0; k < 6; k++)
			p[k] = take_run(900000);
		for (int k = 0; k < 6; k++)
			free(p[k]);
		purge(HAKMEM_PURGE_CACHE);
		if (i != 2)
			purge(HAKMEM_PURGE_DIRTY);
	}
	purge(HAKMEM_PURGE_ALL);
}

static void single_slabs(void)
{
	set("superslab.enable", "off");
	for (unsigned int i = 0; i < 24; i++)
		mid.p[i] = memset(take(7000), 1, 7000);
	for (unsigned int i = 0; i < 24; i++)
		free(mid.p[i]);
	purge(HAKMEM_PURGE_ALL);
	set("superslab.enable", "on");
}

static void whole_scenario(const char *mode)
{
	evicted_whales(mode);
	resize();
	evicted_extents();
	emptied_extents();
	single_slabs();
	purge(HAKMEM_PURGE_ALL);
}

/*
 * One fault: the skip-th call of the kind fails. Returns false if there is no such call any more.
 */
static int one_fault(enum hak_fault kind, const char *mode, int err, uint32_t skip)
{
	uint64_t before = counter("sys.errors");
	uint32_t left;

	fault_arm(kind, skip, 1, err);
	whole_scenario(mode);
	left = fault_disarm(kind);
	CHECK(left || counter("sys.errors") > before, "a failed call is not counted");
	check_books();
	/* regions kept because munmap refused go at the next purge */
	purge(HAKMEM_PURGE_ALL);
	return !left;
}

static struct blocks keep[3];

static void each_fault(enum hak_fault kind)
{
	uint64_t mapped, whales;
	unsigned int n = 0;

	hazard_begin();
	set("region.free_force", "on");
	for (int i = 0; i < 3; i++) {
		keep[i] = (struct blocks){ .size = (size_t[]){ 500, 90000, 2 * MIB }[i],
					   .n = 3,
					   .seed = 100 * i };
		blocks_take(&keep[i]);
	}
	/* without faults, so that all tables exist */
	for (int m = 0; m < 4; m++)
		whole_scenario(modes[m]);
	mapped = counter("mem.mapped");
	whales = whales_in_use();
	for (int m = 0; m < 4; m++)
		for (int e = 0; e < 4; e++) {
			/*
			 * Each call fails in each mode, with one of the errors in turn; in the
			 * next mode with the next error, so that a call of all four modes fails
			 * with all four errors.
			 */
			uint32_t skip = (uint32_t)e;

			for (; one_fault(kind, modes[m], errors[(e + m) % 4], skip); skip += 4)
				n++;
			for (int i = 0; i < 3; i++)
				blocks_check(&keep[i]);
		}
	say("# %u faults\n", n);
	CHECK(n >= 16 || kind == HAK_FAULT_FREE || kind == HAK_FAULT_META);
	CHECK(n || kind == HAK_FAULT_META);
	/* a slab mapped on its own that munmap refused waits for the next one */
	CHECK(counter("mem.mapped") <= mapped + 65536 && whales_in_use() == whales,
	      "%lu mapped before, %lu after", mapped, counter("mem.mapped"));
	CHECK(counter("ring.regions") == 0 && counter("calloc.skipped") > 0);
}

static void mmap_fails(void)
{
	each_fault(HAK_FAULT_MMAP);
}

static void munmap_fails(void)
{
	each_fault(HAK_FAULT_MUNMAP);
}

static void mremap_fails(void)
{
	each_fault(HAK_FAULT_MREMAP);
}

static void dontneed_fails(void)
{
	each_fault(HAK_FAULT_DONTNEED);
}

static void free_fails(void)
{
	each_fault(HAK_FAULT_FREE);
}

static void tables_fail(void)
{
	each_fault(HAK_FAULT_META);
}

/* All calls of a kind fail, for as long as that takes; requests that need none are served. */
static void all_fail(void)
{
	static const enum hak_fault kinds[] = { HAK_FAULT_MUNMAP, HAK_FAULT_MREMAP,
						HAK_FAULT_DONTNEED, HAK_FAULT_FREE };

	uint64_t mapped;

	hazard_begin();
	set("region.free_force", "on");
	whole_scenario("dontneed");
	mapped = counter("mem.mapped");
	for (unsigned int pass = 0; pass < 5; pass++)
		for (int m = 0; m < 4; m++) {
			for (unsigned int k = 0; k < 4; k++)
				if (pass == 4 || pass == k)
					fault_arm(kinds[k], 0, UINT32_MAX, errors[m]);
			whole_scenario(modes[m]);
			for (unsigned int k = 0; k < 4; k++)
				fault_disarm(kinds[k]);
			check_books();
			whole_scenario(modes[m]);
			check_books();
		}
	purge(HAKMEM_PURGE_ALL);
	CHECK(counter("ring.regions") == 0 && whales_in_use() == 0);
	/* except slabs mapped on their own, which wait for the next ones */
	CHECK(counter("mem.mapped") < mapped + 2 * MIB, "%lu mapped before, %lu after", mapped,
	      counter("mem.mapped"));
}

static size_t resident(void *p, size_t n)
{
	unsigned char v[1024];
	size_t pages = 0;

	CHECK(n / 4096 <= sizeof(v) && !mincore(p, n, v));
	for (size_t i = 0; i < n / 4096; i++)
		pages += v[i] & 1;
	return pages;
}

/*
 * One munmap is refused: the refusal is counted, the pages go, and the next block of its kind lies
 * there.
 */
static void refused(size_t size, size_t whole, enum hakmem_purge_level level)
{
	size_t all = size > whole ? size : whole;
	uint64_t mapped = counter("mem.mapped"), kept;
	char *p = take(size), *base, *q;

	memset(p, 0xa5, size);
	base = (char *)((uintptr_t)p & ~(whole - 1));
	CHECK(counter("mem.mapped") > mapped);
	mapped = counter("mem.mapped");
	kept = counter("sys.unmap_kept");
	CHECK(resident(base, all) > 0);
	fault_arm(HAK_FAULT_MUNMAP, 0, 1, ENOMEM);
	free(p);
	purge(level);
	CHECK(!fault_disarm(HAK_FAULT_MUNMAP), "%zu bytes: nothing was to be unmapped", size);
	CHECK(counter("sys.unmap_kept") == kept + 1, "%zu bytes: %lu kept", size,
	      counter("sys.unmap_kept") - kept);
	CHECK(!resident(base, all), "%zu bytes: %zu pages stay", size, resident(base, all));
	check_books();
	q = take(size);
	CHECK(((uintptr_t)q & ~(whole - 1)) == (uintptr_t)base && counter("mem.mapped") == mapped,
	      "%zu bytes: forgotten", size);
	free(q);
	purge(level);
	CHECK(counter("mem.mapped") < mapped, "%zu bytes: kept for ever", size);
	check_books();
}

static void refused_is_kept(void)
{
	hazard_begin();
	purge(HAKMEM_PURGE_ALL);
	refused(3 * MIB, 65536, HAKMEM_PURGE_ALL);
	set("whale.ring_slots", "0");
	refused(3 * MIB, 65536, HAKMEM_PURGE_CACHE);
	refused(900000, 2 * MIB, HAKMEM_PURGE_ALL);
	set("superslab.retain", "0");
	refused(900000, 2 * MIB, HAKMEM_PURGE_CACHE);
	set("superslab.enable", "off");
	refused(16384, 65536, HAKMEM_PURGE_CACHE);
}

static uint64_t status_bytes(const char *field)
{
	return (uint64_t)proc_kib("/proc/self/status", field) * 1024;
}

/*
 * A kept region or extent that cannot be closed is not kept. If it cannot be unmapped either, it is
 * kept, and still zero.
 */
static void closing_is_refused(size_t size, size_t bytes, enum hak_fault call)
{
	for (uint32_t unmap_too = 0; unmap_too < 2; unmap_too++) {
		uint64_t mapped = counter("mem.mapped"), clean = counter("mem.clean");
		char *p = memset(take(size), 0xa5, size), *q;

		free(p);
		fault_arm(call, 0, UINT32_MAX, EAGAIN);
		fault_arm(HAK_FAULT_MUNMAP, 0, unmap_too * UINT32_MAX, ENOMEM);
		purge(HAKMEM_PURGE_DIRTY);
		fault_disarm(call);
		fault_disarm(HAK_FAULT_MUNMAP);
		CHECK(counter("mem.mapped") == mapped + unmap_too * bytes, "%lu bytes mapped",
		      counter("mem.mapped") - mapped);
		CHECK(counter("mem.clean") == clean + unmap_too * bytes, "%lu bytes clean",
		      counter("mem.clean") - clean);
		check_books();
		q = take_zeroed(size);
		CHECK(!unmap_too || q == p);
		free(q);
		purge(HAKMEM_PURGE_ALL);
	}
}

/* A kept region cannot be opened: a fresh mapping serves, and the region is gone. */
static void opening_is_refused(size_t size, enum hak_fault call)
{
	uint64_t mapped, data;
	void *p = take(size);

	memset(p, 0xa5, size);
	data = status_bytes("\nVmData:");
	free(p);
	purge(HAKMEM_PURGE_DIRTY);
	CHECK(status_bytes("\nVmData:") + size / 2 < data, "%zu bytes: still charged", size);
	mapped = counter("mem.mapped");
	fault_arm(call, 0, 1, ENOMEM);
	p = take_zeroed(size);
	CHECK(!fault_disarm(call), "%zu bytes: nothing was opened", size);
	CHECK(counter("mem.mapped") == mapped, "%zu bytes: %lu mapped, were %lu", size,
	      counter("mem.mapped"), mapped);
	check_books();
	memset(p, 0xa5, size);
	free(p);
	purge(HAKMEM_PURGE_DIRTY);
	free(take_zeroed(size));
	purge(HAKMEM_PURGE_ALL);
}

static void closed_regions(void)
{
	void *others[2];

	hazard_begin();
	for (int i = 0; i < 2; i++) {
		/* all descriptors exist, so the next open is that of a region or an extent */
		free(take(3 * MIB));
		free(take(900000));
		purge(HAKMEM_PURGE_ALL);
	}
	closing_is_refused(3 * MIB, 3 * MIB, HAK_FAULT_MMAP);
	opening_is_refused(3 * MIB, HAK_FAULT_META);
	set("superslab.retain", "4");
	closing_is_refused(900000, 2 * MIB, HAK_FAULT_MREMAP);
	/* a third extent, which one call would make memory */
	for (int i = 0; i < 2; i++)
		others[i] = take(900000);
	opening_is_refused(900000, HAK_FAULT_MMAP);
	for (int i = 0; i < 2; i++)
		free(others[i]);
}

/* The pages of kept whales are never given back: they stay as they were left. */
static void nothing_evicts(void)
{
	static const enum hak_fault kinds[] = { HAK_FAULT_MMAP, HAK_FAULT_MUNMAP,
						HAK_FAULT_DONTNEED, HAK_FAULT_FREE };
	uint64_t evicted;
	void *p[WHALES];

	hazard_begin();
	set("region.free_force", "on");
	for (int m = 0; m < 4; m++) {
		set("region.evict", modes[m]);
		for (int i = 0; i < WHALES; i++)
			p[i] = take_zeroed(2 * MIB);
		/* every other one, so that there are no neighbours */
		free(p[0]);
		free(p[2]);
		evicted = counter("ring.evictions");
		for (unsigned int k = 0; k < 4; k++)
			fault_arm(kinds[k], 0, UINT32_MAX, errors[m]);
		purge(HAKMEM_PURGE_DIRTY);
		free(p[1]);
		free(p[3]);
		purge(HAKMEM_PURGE_DIRTY);
		for (unsigned int k = 0; k < 4; k++)
			fault_disarm(kinds[k]);
		CHECK(counter("ring.evictions") == evicted && counter("ring.dirty_bytes") > 0);
		for (int i = 0; i < WHALES; i++)
			p[i] = take_zeroed(2 * MIB);
		for (int i = 0; i < WHALES; i++)
			free(p[i]);
		purge(HAKMEM_PURGE_DIRTY);
		CHECK(counter("ring.dirty_bytes") == 0);
		check_books();
	}
}

/* Without any memory: NULL, the old blocks unchanged, and normal service afterwards. */
static void no_memory(void)
{
	struct blocks b = { .size = 2 * MIB, .n = 3, .seed = 9 };
	char *p;

	hazard_begin();
	blocks_take(&b);
	for (int e = 0; e < 4; e++) {
		purge(HAKMEM_PURGE_ALL);
		fault_arm(HAK_FAULT_MMAP, 0, UINT32_MAX, errors[e]);
		fault_arm(HAK_FAULT_MREMAP, 0, UINT32_MAX, errors[e]);
		errno = 0;
		p = launder(malloc(opaque(9 * MIB)));
		CHECK(!p && errno == ENOMEM, "%p, %s", (void *)p, strerror(errno));
		errno = 0;
		CHECK(!calloc(3, opaque(3 * MIB)) && errno == ENOMEM);
		errno = 0;
		CHECK(!realloc(launder(b.p[0]), opaque(9 * MIB)) && errno == ENOMEM);
		CHECK(!aligned_alloc(4 * MIB, opaque(8 * MIB)));
		for (unsigned int n = 0; n < 100000; n++) {
			p = launder(malloc(opaque(16000)));
			if (!p)
				break;
		}
		CHECK(!p && errno == ENOMEM);
		blocks_check(&b);
		fault_disarm(HAK_FAULT_MMAP);
		fault_disarm(HAK_FAULT_MREMAP);
		blocks_check(&b);
		b.p[0] = launder(realloc(b.p[0], 9 * MIB));
		CHECK(b.p[0]);
		check_block(b.p[0], 2 * MIB, b.seed);
		free(b.p[0]);
		b.p[0] = NULL;
		b.n = 1;
		blocks_take(&b);
		b.n = 3;
		churn(NULL);
	}
	blocks_check(&b);
	check_books();
}

/* ---- under the inner locks ---- */

/*
 * No page is touched for the first time, because the kernel may throttle the toucher. A page of the
 * address map spans 16 MiB of addresses, so some of these pages are new.
 */
static void touches_nothing_under_locks(void)
{
	struct blocks far = { .size = 3 * MIB, .n = 30, .seed = 1 };
	struct blocks runs_far = { .size = 500000, .n = 200, .seed = 2 };

	hazard_begin();
	/* all code has run once, and all tables of these addresses exist */
	for (int m = 0; m < 4; m++)
		whole_scenario(modes[m]);
	atomic_store(&stops->watch, 1);
	for (int m = 0; m < 4; m++)
		whole_scenario(modes[m]);
	actor_start(&third);
	actor_do(&third, churn, NULL);
	actor_end(&third);
	blocks_take(&far);
	blocks_take(&runs_far);
	blocks_give(&far);
	blocks_give(&runs_far);
	purge(HAKMEM_PURGE_ALL);
	atomic_store(&stops->watch, 0);
	CHECK(!atomic_load(&stops->faults_under_lock), "%u page faults",
	      atomic_load(&stops->faults_under_lock));
}

/* ---- the segment ---- */

static void no_file_memory(void)
{
	stops_prepare();
	stops = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 60, 0);
	if (stops == MAP_FAILED)
		_exit(126);
	fault_arm(HAK_FAULT_FALLOCATE, 0, UINT32_MAX, ENOSPC);
}

static void works_without_segment(void)
{
	hazard_begin();
	CHECK(calls(HAK_FAULT_FALLOCATE) > 0);
	CHECK(!peer_mapped(getpid(), "/memfd:hakmem-"));
	churn(NULL);
	actor_start(&third);
	actor_do(&third, churn, NULL);
	actor_end(&third);
	check_books();
}

static void *counts_there(void *arg)
{
	churn(NULL);
	pthread_barrier_wait(arg);
	return NULL;
}

/* There is memory for the first heap, and then no more: the others count in private. */
static void works_without_more_heaps(void)
{
	enum { THREADS = 40 };
	pthread_t t[THREADS];
	pthread_barrier_t b;
	uint64_t allocs;

	hazard_begin();
	peer_open(&self, getpid());
	fault_arm(HAK_FAULT_FALLOCATE, 0, UINT32_MAX, ENOSPC);
	CHECK(!pthread_barrier_init(&b, NULL, THREADS + 1));
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, counts_there, &b));
	pthread_barrier_wait(&b);
	for (int i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	CHECK(calls(HAK_FAULT_FALLOCATE) > 0 && peer_heaps(&self) < THREADS);
	allocs = counter("class.allocs");
	CHECK(peer_counter(&self, "class.allocs") < allocs, "all of %lu are public", allocs);
	check_books();
}

static const struct tcase cases[] = {
	{ "mmap_fails_10", mmap_fails, 120, QUIET, stops_prepare },
	{ "munmap_fails_23", munmap_fails, 120, QUIET, stops_prepare },
	{ "mremap_fails_13", mremap_fails, 120, QUIET, stops_prepare },
	{ "dontneed_fails_9_10", dontneed_fails, 120, QUIET, stops_prepare },
	{ "free_fails_9_10", free_fails, 120, QUIET, stops_prepare },
	{ "tables_fail", tables_fail, 120, QUIET, stops_prepare },
	{ "all_fail_10_23", all_fail, 120, QUIET, stops_prepare },
	{ "refused_is_kept_23", refused_is_kept, 60, QUIET, stops_prepare },
	{ "closed_regions_10_22", closed_regions, 60, QUIET, stops_prepare },
	{ "nothing_evicts_9_10", nothing_evicts, 60, QUIET, stops_prepare },
	{ "no_memory_13", no_memory, 60, QUIET, stops_prepare },
	{ "touches_nothing_under_locks_24", touches_nothing_under_locks, 60, QUIET, stops_prepare },
	{ "works_without_segment_32", works_without_segment, 60, QUIET, no_file_memory },
	{ "works_without_more_heaps_32", works_without_more_heaps, 60, QUIET, stops_prepare },
};

HAZARD_MAIN(cases)
