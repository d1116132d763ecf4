// SPDX-License-Identifier: MIT
/*
 * What the kernel charges to a process (hazard 22). Freed memory that is kept is charged neither to
 * the machine (Committed_AS, which vm.overcommit_memory=2 bounds) nor to the process (VmData,
 * RLIMIT_DATA), except for what stays resident (region.evict_bytes, 256 MiB). Under a limit the
 * program's own mmap gets what was freed.
 */
#include "limits.h"

#include <sys/mman.h>

enum { MOST = 80, RESIDENT_MIB = 256 };

static long status_mib(const char *field)
{
	return proc_kib("/proc/self/status", field) / 1024;
}

static void *own_mmap(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return m == MAP_FAILED ? NULL : m;
}

/*
 * Allocates blocks of `bytes` until malloc refuses, `most` at most, writes their first byte, and
 * frees all.
 */
static size_t take_and_free(size_t bytes, size_t most)
{
	static char *p[4000];
	size_t n = 0;

	while (n < most && (p[n] = malloc(bytes)) != NULL)
		*p[n++] = 1;
	for (size_t i = 0; i < n; i++)
		free(p[i]);
	return n * bytes;
}

/* Does what a running process does until it looks at clock and limits. */
static void go_on(void)
{
	for (int i = 0; i < 100; i++)
		free(launder(malloc(300 * KIB)));
	usleep(10000);
}

static void zeroed_again(size_t bytes)
{
	for (int i = 0; i < 8; i++) {
		char *p = launder(calloc(1, bytes));

		CHECK(p, "%zu bytes: %s", bytes, strerror(errno));
		CHECK(nonzero_at(p, bytes) == bytes, "%zu bytes: not zero", bytes);
		memset(p, 0xa5, bytes);
		free(p);
	}
}

/* What of this process counts in Committed_AS, by the flag that the kernel sets for it. */
static long accounted_kib(void)
{
	static char line[4096];
	FILE *f = fopen("/proc/self/smaps", "r");
	long kib = 0, sum = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Size: %ld kB", &kib);
		if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " ac"))
			sum += kib;
	}
	fclose(f);
	return sum;
}

/* Pages given back by MADV_FREE have a budget of their own, of the same size. */
static void freed_is_not_committed_22(void)
{
	const char *hakmem = getenv("HAKMEM");
	long committed, data, got, most = RESIDENT_MIB + 16;

	need_hakmem();
	committed = accounted_kib();
	CHECK(committed > 0, "no mapping has VmFlags with ac");
	data = status_mib("\nVmData:");
	got = (long)(take_and_free(50 * MIB, MOST) / MIB);
	if (got < 3 * RESIDENT_MIB)
		SKIP("only %ld MiB to be had", got);
	committed = (accounted_kib() - committed) / 1024;
	data = status_mib("\nVmData:") - data;
	if (hakmem && strstr(hakmem, "evict=free"))
		most += RESIDENT_MIB;
	CHECK(data < most, "VmData has grown by %ld MiB of %ld", data, got);
	CHECK(committed < most, "%ld MiB of %ld more are accounted", committed, got);
	zeroed_again(70 * MIB);
	CHECK(own_mmap((size_t)(got - most - 48) * MIB));
}

static void purged_is_not_charged_22(void)
{
	int (*purge)(int, uint64_t *) =
		(int (*)(int, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_purge");
	long data;

	need_hakmem();
	data = status_mib("\nVmData:");
	take_and_free(50 * MIB, 4);
	take_and_free(900 * KIB, 200);
	CHECK(!purge(2 /* HAKMEM_PURGE_DIRTY */, NULL));
	data = status_mib("\nVmData:") - data;
	CHECK(data < 6, "VmData has grown by %ld MiB", data);
	zeroed_again(50 * MIB);
	zeroed_again(900 * KIB);
}

/* Sets the limit to present use and so many MiB more. */
static void allow(int what, long mib)
{
	const char *field = what == RLIMIT_AS ? "\nVmSize:" : "\nVmData:";

	limit(what, (rlim_t)(status_mib(field) + mib) * MIB);
}

/* The share that is kept, and this program's own needs meanwhile. */
enum { MARGIN_MIB = 48 };

static void own_mmap_within(int what, size_t bytes, size_t count)
{
	size_t got;

	exercise_all_tiers(1);
	malloc_trim(0);
	allow(what, (long)(bytes * count / MIB) + MARGIN_MIB);
	got = take_and_free(bytes, count);
	CHECK(got == bytes * count, "only %zu MiB", got / MIB);
	CHECK(own_mmap(got), "%zu MiB: VmSize %ld MiB, VmData %ld MiB", got / MIB,
	      status_mib("\nVmSize:"), status_mib("\nVmData:"));
}

static void own_mmap_within_data_22(void)
{
	own_mmap_within(RLIMIT_DATA, 50 * MIB, 16);
}

static void own_mmap_within_as_22(void)
{
	own_mmap_within(RLIMIT_AS, 50 * MIB, 16);
}

/* The limit is set while the process runs, little above its need: reservations shrink. */
static void own_mmap_beside_reserved_22(void)
{
	limit(RLIMIT_AS, (800 + 96) * MIB);
	CHECK(take_and_free(50 * MIB, 16) == 800 * MIB);
	CHECK(own_mmap(800 * MIB), "VmSize %ld MiB", status_mib("\nVmSize:"));
}

/* So few calls that no look at the clock is due: the growth of the region cache causes the look. */
static void own_mmap_after_two_22(void)
{
	allow(RLIMIT_AS, 800 + MARGIN_MIB);
	CHECK(take_and_free(400 * MIB, 2) == 800 * MIB);
	CHECK(own_mmap(800 * MIB));
}

/* Extents of runs, which are kept until they are old where there is no limit. */
static void own_mmap_after_runs_22(void)
{
	size_t got;

	exercise_all_tiers(1);
	allow(RLIMIT_DATA, 488 + MARGIN_MIB);
	for (int i = 0; i < 20; i++)
		go_on(); /* the limit is seen */
	got = take_and_free(500 * KIB, 1000);
	CHECK(got == 500 * KIB * 1000, "only %zu MiB", got / MIB);
	while (!own_mmap(got))
		go_on();
}

/* The limit comes when all is freed; one of the looks sees it. */
static void limit_falls_later(int what)
{
	const char *field = what == RLIMIT_AS ? "\nVmSize:" : "\nVmData:";
	/* beside so much in use, all that is freed may stay until the limit comes */
	void *in_use = launder(malloc(500 * MIB));
	long kept = -status_mib(field);

	CHECK(in_use);
	CHECK(take_and_free(50 * MIB, 16) == 800 * MIB);
	kept += status_mib(field);
	allow(what, 16);
	while (!own_mmap((size_t)(kept / 2 + 17) * MIB))
		go_on();
}

static void data_limit_falls_later_22(void)
{
	limit_falls_later(RLIMIT_DATA);
}

static void as_limit_falls_later_22(void)
{
	limit_falls_later(RLIMIT_AS);
}

/* Closed memory cannot be had again: ENOMEM, and normal service when the limit rises. */
static void opening_is_refused_22(void)
{
	int (*purge)(int, uint64_t *) =
		(int (*)(int, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_purge");
	struct rlimit r = { 0, RLIM_INFINITY };
	void *p;

	need_hakmem();
	take_and_free(50 * MIB, 8);
	CHECK(!purge(2 /* HAKMEM_PURGE_DIRTY */, NULL));
	r.rlim_cur = (rlim_t)(status_mib("\nVmData:") + 20) * MIB;
	CHECK(!setrlimit(RLIMIT_DATA, &r));
	errno = 0;
	p = launder(malloc(50 * MIB));
	CHECK(!p && errno == ENOMEM, "%p, errno %d", p, errno);
	zeroed_again(10 * MIB);
	r.rlim_cur = RLIM_INFINITY;
	CHECK(!setrlimit(RLIMIT_DATA, &r));
	zeroed_again(50 * MIB);
}

static const struct tcase cases[] = {
	{ "freed_is_not_committed_22", freed_is_not_committed_22 },
	{ "freed_is_not_committed_free_22", freed_is_not_committed_22, 0, "region.evict=free" },
	{ "freed_is_not_committed_remap_22", freed_is_not_committed_22, 0, "region.evict=remap" },
	{ "purged_is_not_charged_22", purged_is_not_charged_22 },
	{ "own_mmap_within_data_22", own_mmap_within_data_22 },
	{ "own_mmap_within_data_keep_22", own_mmap_within_data_22, 0, "region.evict=keep" },
	{ "own_mmap_within_as_22", own_mmap_within_as_22 },
	{ "own_mmap_beside_reserved_22", own_mmap_beside_reserved_22 },
	{ "own_mmap_after_two_22", own_mmap_after_two_22 },
	{ "own_mmap_after_runs_22", own_mmap_after_runs_22, 0, "purge.delay_ms=1d" },
	{ "data_limit_falls_later_22", data_limit_falls_later_22, 0, "purge.delay_ms=1d" },
	{ "as_limit_falls_later_22", as_limit_falls_later_22, 0, "purge.delay_ms=1d" },
	{ "opening_is_refused_22", opening_is_refused_22 },
};

MAIN(cases)
