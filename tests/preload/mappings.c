// SPDX-License-Identifier: MIT
/*
 * Processes that have as many mappings as they may have, vm.max_map_count (hazard 23). Allocation
 * then fails with ENOMEM; free never fails, and what munmap refuses is used again.
 */
#include "limits.h"

#include <sys/mman.h>

static size_t most_mappings(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");
	long count;

	if (!f || fscanf(f, "%ld", &count) != 1 || count > 300000)
		SKIP("vm.max_map_count is unknown or too large to use up");
	fclose(f);
	return (size_t)count;
}

static size_t use_up_mappings(char *area, size_t pages)
{
	size_t i;

	for (i = 0; i < pages; i += 2)
		if (mprotect(area + i * 4096, 4096, PROT_READ) != 0)
			break;
	return i;
}

static void mappings_used_up_23(void)
{
	enum { N = 3000 };
	static void *p[N];
	static size_t n[N];
	size_t i, pages, used;
	char *area;

	pages = most_mappings() + 1000;
	for (i = 0; i < N; i++) {
		n[i] = i % 100 == 0 ? 2 * MIB + i : i % 10 == 0 ? 100000 + i : 16 + i * 7;
		CHECK((p[i] = malloc(n[i])) != NULL);
		fill(p[i], front(n[i]), i);
	}
	area = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(area != MAP_FAILED);
	used = use_up_mappings(area, pages);
	CHECK(used < pages, "%zu mappings and no end", used);
	for (i = 0; i < N; i++) {
		check_block(p[i], front(n[i]), i);
		errno = 4242;
		free(p[i]);
		CHECK(errno == 4242, "free of %zu bytes: errno %d", n[i], errno);
		if (i % 500 == 0)
			malloc_trim(0);
	}
	/* Some sizes may be refused now, with ENOMEM; none may crash. */
	for (i = 0; i < N; i++) {
		errno = 0;
		p[i] = i % 3 ? malloc(n[i]) : calloc(1, n[i]);
		CHECK(p[i] || errno == ENOMEM, "errno %d", errno);
		if (p[i])
			fill(p[i], front(n[i]), i);
	}
	for (i = 0; i < N; i++) {
		void *q = p[i] ? realloc(p[i], n[i] * 2) : NULL;

		p[i] = q ? q : p[i];
		if (p[i])
			check_block(p[i], front(n[i]), i);
		free(p[i]);
	}
	malloc_trim(0);
	munmap(area, pages * 4096);
	exercise_all_tiers(23);
	malloc_trim(0);
	CHECK(rss_kib() < 64 * 1024, "%ld KiB stay", rss_kib());
}

/* Slabs that munmap refused to take back are used again: the address space does not grow. */
static void mappings_that_stay_are_used_again_23(void)
{
	enum { N = 8000 };
	static void *p[N];
	size_t i, round, refused, pages = most_mappings() + 1000;
	uint64_t mapped;
	char *area;

	need_hakmem();
	mapped = counter("mem.mapped");
	for (i = 0; i < N; i++)
		CHECK((p[i] = malloc(16000)) != NULL);
	area = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(area != MAP_FAILED);
	mapped = counter("mem.mapped");
	for (round = 0; round < 4; round++) {
		CHECK(use_up_mappings(area, pages) < pages);
		for (i = 0; i < N; i++)
			if (i & 8)
				free(p[i]);
		malloc_trim(0);
		/* A few of those that could be unmapped cannot be had again. */
		for (i = refused = 0; i < N; i++)
			if (i & 8)
				refused += (p[i] = malloc(16000)) == NULL;
		CHECK(refused < N / 100, "%zu blocks refused in round %zu", refused, round);
		CHECK(counter("mem.mapped") <= mapped + 4 * MIB, "%lu bytes mapped, were %lu",
		      counter("mem.mapped"), mapped);
	}
	CHECK(counter("sys.unmap_kept") > 100, "only %lu refused", counter("sys.unmap_kept"));
}

/* Trimming a fragmented heap must not use up the mappings itself. */
static void trim_does_not_split_mappings_23(void)
{
	enum { N = 400000 };
	static void *p[N];
	static char line[4096];
	size_t i, maps = 0;
	FILE *f;

	for (i = 0; i < N; i++) {
		CHECK((p[i] = malloc(1000)) != NULL);
		memset(p[i], 1, 1000);
	}
	for (i = 0; i < N; i++)
		if (i % 97)
			free(p[i]);
	malloc_trim(0);
	f = fopen("/proc/self/maps", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		maps++;
	fclose(f);
	CHECK(maps < 2000, "%zu mappings after malloc_trim", maps);
	for (i = 0; i < N; i += 97)
		free(p[i]);
}

static const struct tcase cases[] = {
	{ "mappings_used_up_23", mappings_used_up_23, 60 },
	{ "mappings_used_up_munmap_23", mappings_used_up_23, 60,
	  "region.evict=munmap,whale.ring_slots=0,superslab.enable=off" },
	{ "mappings_that_stay_are_used_again_23", mappings_that_stay_are_used_again_23, 60,
	  "superslab.enable=off" },
	{ "trim_does_not_split_mappings_23", trim_does_not_split_mappings_23 },
};

MAIN(cases)
