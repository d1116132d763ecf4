// SPDX-License-Identifier: MIT
/*
 * Large blocks and the mappings behind them: memory that is claimed to be zero (hazard 9),
 * half-done madvise (10), addresses that other mappings reuse (12) and realloc among foreign
 * mappings (13). The test makes the foreign mappings itself. attributes.c tests what a previous
 * owner left on a region.
 */
#include "harness.h"

#include <sys/mman.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif

static const size_t large_sizes[] = {
	70000,		262144,	 1048575,      MIB,	MIB + 1,  2 * MIB,
	2 * MIB + 4096, 3 * MIB, 5 * MIB + 77, 8 * MIB, 17 * MIB,
};
enum { LARGE_SIZES = sizeof(large_sizes) / sizeof(large_sizes[0]) };

static void all_zero(const void *p, size_t n)
{
	size_t at = nonzero_at(p, n);

	CHECK(at == n, "calloc of %zu bytes is not zero at offset %zu", n, at);
}

/* The case table's HAKMEM= selects each eviction policy. */
static void calloc_after_dirty_9(void)
{
	size_t i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < LARGE_SIZES; i++) {
			size_t n = large_sizes[i], u;
			char *p = malloc(n), *q;

			CHECK(p);
			u = malloc_usable_size(p);
			memset(p, 0xa5, u);
			free(p);
			if (round == 1)
				malloc_trim(0);
			q = calloc(1, n - round * 9);
			CHECK(q);
			u = malloc_usable_size(q);
			all_zero(q, on_hakmem() ? u : n - round * 9);
			memset(q, 0x5a, u);
			free(q);
		}
	}
}

/* Many at once: evicted in batches, over budgets, best fit across sizes. */
static void calloc_after_batches_9(void)
{
	enum { N = 48 };
	uint64_t s = 9;
	char *p[N];
	size_t n[N], i, round;

	for (round = 0; round < 12; round++) {
		for (i = 0; i < N; i++) {
			n[i] = 65536 + rnd(&s) % (3 * MIB);
			p[i] = round % 3 ? calloc(1, n[i]) : malloc(n[i]);
			CHECK(p[i]);
			if (round % 3)
				all_zero(p[i], n[i]);
			memset(p[i], 0xa5, n[i]);
		}
		for (i = 0; i < N; i++)
			free(p[round % 2 ? i : N - 1 - i]);
		if (round % 4 == 3)
			malloc_trim(0);
	}
}

/* Zero pages at first, dirty ones after realloc moved or grew the block. */
static void calloc_after_realloc_9(void)
{
	size_t i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < LARGE_SIZES; i++) {
			size_t n = large_sizes[i];
			char *p = calloc(1, n);

			CHECK(p);
			all_zero(p, n);
			p = realloc(p, 2 * n);
			CHECK(p);
			memset(p, 0xa5, malloc_usable_size(p));
			p = realloc(p, round % 2 ? n / 2 : 3 * n);
			CHECK(p);
			memset(p, 0xa5, malloc_usable_size(p));
			free(p);
			p = calloc(3, n);
			CHECK(p);
			all_zero(p, 3 * n);
			free(p);
		}
	}
}

static void calloc_after_pageout_9(void)
{
	size_t i;

	for (i = 0; i < 20; i++) {
		size_t n = 2 * MIB + i * 12345;
		char *p = malloc(n), *q;
		char *page = (char *)(((uintptr_t)p + 4095) & ~(uintptr_t)4095);

		CHECK(p);
		memset(p, 0xa5, n);
		madvise(page, n / 2 & ~(size_t)4095, i % 2 ? MADV_PAGEOUT : MADV_COLD);
		free(p);
		q = calloc(1, n);
		CHECK(q);
		all_zero(q, n);
		memset(q, 0xa5, n);
		free(q);
	}
}

/* fork copies what the parent believed about its free memory. */
static void calloc_in_fork_child_9(void)
{
	size_t i;

	for (i = 0; i < LARGE_SIZES; i++) {
		char *p = malloc(large_sizes[i]);
		pid_t pid;

		CHECK(p);
		memset(p, 0xa5, large_sizes[i]);
		free(p);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			calloc_after_dirty_9();
			_exit(0);
		}
		p = calloc(1, large_sizes[i]);
		CHECK(p);
		all_zero(p, large_sizes[i]);
		reap(pid, "calloc in the child");
		free(p);
	}
}

/* One locked page makes madvise stop there: hazard 10. */
static void calloc_after_locked_page_10(void)
{
	size_t i;

	for (i = 0; i < 24; i++) {
		size_t n = 2 * MIB + i % 4 * MIB;
		char *p = malloc(n), *q;
		char *page = (char *)(((uintptr_t)p + n / 3) & ~(uintptr_t)4095);

		CHECK(p);
		memset(p, 0xa5, n);
		if (mlock(page, 4096) != 0)
			SKIP("mlock: %s", strerror(errno));
		free(p);
		if (i % 3 == 0)
			malloc_trim(0);
		q = calloc(1, n);
		CHECK(q);
		all_zero(q, n);
		memset(q, 0xa5, n);
		free(q);
	}
}

/* Foreign mappings directly before and behind, where there is room. */
struct fence {
	unsigned char *at[4];
};

static void fence_in(struct fence *f, char *p, size_t n)
{
	uintptr_t lo = (uintptr_t)p & ~(uintptr_t)65535;
	uintptr_t hi = ((uintptr_t)p + n + 65535) & ~(uintptr_t)65535;
	uintptr_t want[4] = { lo - 65536, hi, hi + 65536, hi + 2 * MIB };
	int i;

	for (i = 0; i < 4; i++) {
		f->at[i] = mmap((void *)want[i], 65536, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (f->at[i] != MAP_FAILED && f->at[i] != (void *)want[i])
			munmap(f->at[i], 65536);
		if (f->at[i] != (void *)want[i])
			f->at[i] = NULL;
		if (f->at[i])
			fill(f->at[i], 65536, i);
	}
}

static void fence_holds(struct fence *f)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (!f->at[i])
			continue;
		check_block(f->at[i], 65536, i);
		munmap(f->at[i], 65536);
	}
}

static void realloc_among_foreign_neighbours_13(void)
{
	size_t i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < LARGE_SIZES; i++) {
			size_t n = large_sizes[i], step, size = n;
			struct fence f[10];
			char *p = malloc(n);

			CHECK(p);
			fill(p, n, i);
			for (step = 0; step < 10; step++) {
				size_t to = step % 3 == 2 ? size / 3 : size + size / 4 + step;
				size_t kept = to < size ? to : size;

				fence_in(&f[step], p, size);
				p = realloc(p, to);
				CHECK(p);
				check_block(p, kept, i);
				size = to;
				fill(p, malloc_usable_size(p), i);
			}
			for (step = 0; step < 10; step++)
				fence_holds(&f[step]);
			check_block(p, size, i);
			free(p);
		}
	}
}

/* mremap refuses a mapping in two pieces (EFAULT); the contents must still arrive. */
static void realloc_of_a_split_mapping_13(void)
{
	size_t i;

	for (i = 0; i < 20; i++) {
		size_t n = 2 * MIB + i * 100000;
		char *p = malloc(n);
		char *page = (char *)(((uintptr_t)p + 131072) & ~(uintptr_t)4095);

		CHECK(p);
		fill(p, n, i);
		CHECK(madvise(page, 65536, i % 2 ? MADV_DONTDUMP : MADV_NOHUGEPAGE) == 0 ||
		      errno == EINVAL);
		p = realloc(p, 4 * n);
		CHECK(p);
		check_block(p, n, i);
		fill(p, 4 * n, i);
		p = realloc(p, n / 2);
		CHECK(p);
		check_block(p, n / 2, i);
		free(p);
	}
}

/* A foreign mapping that takes a freed block's address must stay foreign. */
static void address_reused_by_others_12(void)
{
	size_t i;

	for (i = 0; i < 200; i++) {
		size_t n = 2 * MIB + i % 7 * MIB;
		char *p = malloc(n), *theirs;

		CHECK(p);
		memset(p, 1, n);
		free(p);
		malloc_trim(0);
		theirs = mmap(p, 65536, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (theirs != MAP_FAILED)
			fill(theirs, 65536, i);
		exercise_all_tiers(i);
		if (theirs != MAP_FAILED) {
			check_block(theirs, 65536, i);
			munmap(theirs, 65536);
		}
	}
}

/* A shrink gives the tail back or moves; growth within usable stays put. */
static void realloc_gives_the_tail_back(void)
{
	size_t n = 256 * MIB;
	char *p = malloc(n), *q;
	long full, small;

	CHECK(p);
	memset(p, 1, n);
	full = rss_kib();
	p = realloc(p, 2 * MIB);
	CHECK(p && p[0] == 1 && p[2 * MIB - 1] == 1);
	malloc_trim(0);
	small = rss_kib();
	CHECK(full - small > 200 * 1024, "%ld KiB before, %ld after", full, small);
	q = realloc(p, malloc_usable_size(p));
	CHECK(q == p, "moved within its usable size");
	free(q);
}

/* 64 MiB move by page tables: no second copy, so the peak stays near one. */
static void realloc_of_large_blocks_is_not_a_copy(void)
{
	size_t n = 64 * MIB, i;
	char *p = malloc(n);
	struct rusage use;

	need_hakmem();
	CHECK(p);
	memset(p, 1, n);
	for (i = 0; i < 6; i++) {
		void *wall = malloc(4 * MIB);

		n += 32 * MIB;
		p = realloc(p, n);
		CHECK(p && p[0] == 1 && p[64 * MIB - 1] == 1);
		free(wall);
	}
	getrusage(RUSAGE_SELF, &use);
	CHECK(use.ru_maxrss < 120 * 1024, "peak %ld KiB", use.ru_maxrss);
	free(p);
}

static void freed_large_blocks_leave_rss(void)
{
	enum { N = 64 };
	static char *p[N];
	long full, rest;
	size_t i;

	for (i = 0; i < N; i++) {
		CHECK((p[i] = malloc(4 * MIB)) != NULL);
		memset(p[i], 1, 4 * MIB);
	}
	full = rss_kib();
	for (i = 0; i < N; i++)
		free(p[i]);
	malloc_trim(0);
	rest = rss_kib();
	CHECK(full > 250 * 1024 && rest < 32 * 1024, "%ld KiB, then %ld", full, rest);
}

/* One 2 MiB block, freed and allocated repeatedly, must not be mapped and unmapped each time. */
static void same_large_block_again(void)
{
	struct rusage a, b;
	size_t i;
	char *p;

	need_hakmem();
	for (i = 0; i < 10; i++) {
		CHECK((p = malloc(2 * MIB)) != NULL);
		memset(p, 1, 2 * MIB);
		free(p);
	}
	getrusage(RUSAGE_SELF, &a);
	for (i = 0; i < 1000; i++) {
		CHECK((p = malloc(2 * MIB)) != NULL);
		p[0] = p[MIB] = 1;
		free(p);
	}
	getrusage(RUSAGE_SELF, &b);
	CHECK(b.ru_minflt - a.ru_minflt < 500, "%ld page faults in 1000 turns",
	      b.ru_minflt - a.ru_minflt);
}

static const struct tcase cases[] = {
	{ "calloc_after_dirty_9", calloc_after_dirty_9 },
	{ "calloc_after_dirty_dontneed_9", calloc_after_dirty_9, 0, "region.evict=dontneed" },
	{ "calloc_after_dirty_free_9", calloc_after_dirty_9, 0, "region.evict=free" },
	{ "calloc_after_dirty_remap_9", calloc_after_dirty_9, 0, "region.evict=remap" },
	{ "calloc_after_dirty_munmap_9", calloc_after_dirty_9, 0, "region.evict=munmap" },
	{ "calloc_after_dirty_keep_9", calloc_after_dirty_9, 0, "region.evict=keep" },
	{ "calloc_after_batches_9", calloc_after_batches_9 },
	{ "calloc_after_batches_dontneed_9", calloc_after_batches_9, 0, "region.evict=dontneed" },
	{ "calloc_after_batches_free_9", calloc_after_batches_9, 0, "region.evict=free" },
	{ "calloc_after_batches_remap_9", calloc_after_batches_9, 0, "region.evict=remap" },
	{ "calloc_after_batches_munmap_9", calloc_after_batches_9, 0, "region.evict=munmap" },
	{ "calloc_after_batches_keep_9", calloc_after_batches_9, 0, "region.evict=keep" },
	{ "calloc_after_realloc_9", calloc_after_realloc_9 },
	{ "calloc_after_realloc_free_9", calloc_after_realloc_9, 0, "region.evict=free" },
	{ "calloc_after_pageout_9", calloc_after_pageout_9 },
	{ "calloc_after_pageout_free_9", calloc_after_pageout_9, 0, "region.evict=free" },
	{ "calloc_in_fork_child_9", calloc_in_fork_child_9, 60 },
	{ "calloc_in_fork_child_free_9", calloc_in_fork_child_9, 60, "region.evict=free" },
	{ "calloc_after_locked_page_10", calloc_after_locked_page_10 },
	{ "calloc_after_locked_page_free_10", calloc_after_locked_page_10, 0, "region.evict=free" },
	{ "realloc_among_foreign_neighbours_13", realloc_among_foreign_neighbours_13, 60 },
	{ "realloc_of_a_split_mapping_13", realloc_of_a_split_mapping_13 },
	{ "address_reused_by_others_12", address_reused_by_others_12, 60 },
	{ "realloc_gives_the_tail_back", realloc_gives_the_tail_back },
	{ "realloc_of_large_blocks_is_not_a_copy", realloc_of_large_blocks_is_not_a_copy },
	{ "freed_large_blocks_leave_rss", freed_large_blocks_leave_rss },
	{ "same_large_block_again", same_large_block_again },
};

MAIN(cases)
