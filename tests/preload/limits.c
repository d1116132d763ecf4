// SPDX-License-Identifier: MIT
/*
 * Processes that are refused what they ask for: locked memory (hazard 21), address space and data
 * limits from before the start (22), mappings used up (23), no files, no descriptors, little stack.
 * Allocation then fails with ENOMEM and has no other effect; free never fails.
 */
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/personality.h>

static void limit(int what, rlim_t value)
{
	struct rlimit r = { value, value };

	if (setrlimit(what, &r) != 0)
		_exit(CASE_SKIP);
}

/* -- mlockall --------------------------------------------------------------- */

static void may_lock(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	/* CAP_IPC_LOCK without CAP_SYS_RESOURCE is enough as well. */
	if (setrlimit(RLIMIT_MEMLOCK, &all) != 0 && geteuid() != 0)
		SKIP("RLIMIT_MEMLOCK: %s", strerror(errno));
}

/* Pages that a reservation made resident would show here: 96 MiB is a generous bound for what the
 * process really requested. */
static void locked_stays_small(int flags, int early)
{
	void *keep[64];
	size_t i;
	long rss;

	may_lock();
	if (!early)
		exercise_all_tiers(1);
	if (mlockall(flags) != 0)
		SKIP("mlockall: %s", strerror(errno));
	for (i = 0; i < 64; i++)
		CHECK((keep[i] = malloc(1000 + i * 2000)) != NULL);
	exercise_all_tiers(2);
	rss = rss_kib();
	CHECK(rss < 96 * 1024, "%ld KiB resident under mlockall(%d)", rss, flags);
	for (i = 0; i < 64; i++)
		free(keep[i]);
	malloc_trim(0);
	for (i = 0; i < 20; i++)
		exercise_all_tiers(i);
	malloc_trim(0);
	rss = rss_kib();
	CHECK(rss < 96 * 1024, "%ld KiB resident in the end", rss);
}

static void mlockall_current_21(void)
{
	locked_stays_small(MCL_CURRENT, 0);
}

static void mlockall_future_21(void)
{
	locked_stays_small(MCL_FUTURE, 1);
}

static void mlockall_both_21(void)
{
	locked_stays_small(MCL_CURRENT | MCL_FUTURE, 0);
}

static void mlockall_onfault_21(void)
{
	locked_stays_small(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT, 0);
}

/* On locked memory DONTNEED and FREE fail: known-zero must not be believed. */
static void calloc_under_mlockall_10_21(void)
{
	size_t i, round;

	may_lock();
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		SKIP("mlockall: %s", strerror(errno));
	for (round = 0; round < 6; round++) {
		for (i = 0; i < TIER_SIZES; i++) {
			size_t n = tier_sizes[i] + round * 4096;
			char *p = malloc(n);

			CHECK(p);
			memset(p, 0xa5, malloc_usable_size(p));
			free(p);
			if (round % 2)
				malloc_trim(0);
			p = calloc(1, n);
			CHECK(p);
			CHECK(nonzero_at(p, n) == n, "calloc(%zu) under mlockall", n);
			memset(p, 0xa5, n);
			free(p);
		}
	}
}

static void *allocates(void *arg)
{
	exercise_all_tiers((size_t)arg);
	return NULL;
}

static void threads_under_mlockall_21(void)
{
	pthread_attr_t attr;
	size_t i;
	long rss;

	may_lock();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		SKIP("mlockall: %s", strerror(errno));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < 20; i++) {
		pthread_t t;

		CHECK(pthread_create(&t, &attr, allocates, (void *)i) == 0);
		pthread_join(t, NULL);
	}
	rss = rss_kib();
	CHECK(rss < 192 * 1024, "%ld KiB resident", rss);
}

/* -- address space and data ------------------------------------------------- */

static void as_32m(void)
{
	limit(RLIMIT_AS, 32 * MIB);
}

static void as_64m(void)
{
	limit(RLIMIT_AS, 64 * MIB);
}

static void as_256m(void)
{
	limit(RLIMIT_AS, 256 * MIB);
}

static void as_1g(void)
{
	limit(RLIMIT_AS, GIB);
}

static void data_8m(void)
{
	limit(RLIMIT_DATA, 8 * MIB);
}

static void data_32m(void)
{
	limit(RLIMIT_DATA, 32 * MIB);
}

static void data_256m(void)
{
	limit(RLIMIT_DATA, 256 * MIB);
}

/* Allocates blocks of n until refused; returns the sum. */
static size_t until_refused(size_t n)
{
	void **last = NULL, **p;
	size_t sum = 0;

	errno = 0;
	while (sum < 8 * GIB && (p = malloc(n)) != NULL) {
		*p = last;
		last = p;
		sum += n;
	}
	CHECK(errno == ENOMEM, "errno %d after %zu bytes in %zus", errno, sum, n);
	errno = 4242;
	while (last) {
		p = *last;
		free(last);
		last = p;
	}
	CHECK(errno == 4242, "free changed errno to %d", errno);
	return sum;
}

static void to_the_limit_22(size_t share_of_limit)
{
	static const size_t sizes[] = { 4000, 100, 60000, 300000, 1048576, 3000000 };
	size_t i, round, first[6] = { 0 };

	for (round = 0; round < scale(2, 3); round++) {
		for (i = 0; i < 6; i++) {
			size_t got = until_refused(sizes[i]);

			if (round == 0)
				first[i] = got;
			CHECK(got >= share_of_limit, "only %zu bytes in blocks of %zu", got,
			      sizes[i]);
			/* Memory that was freed in one size comes back for another. */
			CHECK(got >= first[i] / 2, "%zu bytes at first, then %zu, in blocks of %zu",
			      first[i], got, sizes[i]);
			malloc_trim(0);
		}
	}
}

/*
 * What is left beside this program's own 4 MiB of data and the library's tables, which are one more
 * where chance lays them across a border of 32 GiB; in whole extents of 2 MiB, less what blocks of
 * 4000 bytes waste.
 */
static void runs_in_32m_22(void)
{
	to_the_limit_22(3 * MIB);
}

static void runs_in_64m_22(void)
{
	to_the_limit_22(24 * MIB);
}

static void runs_in_256m_22(void)
{
	to_the_limit_22(160 * MIB);
}

static void runs_in_1g_22(void)
{
	to_the_limit_22(700 * MIB);
}

static void runs_with_data_8m_22(void)
{
	to_the_limit_22(3 * MIB / 2);
}

static void runs_with_data_32m_22(void)
{
	to_the_limit_22(20 * MIB);
}

static void runs_with_data_256m_22(void)
{
	to_the_limit_22(180 * MIB);
}

/* Threads come and go although no heap can be had for them. */
static void *until_refused_thread(void *arg)
{
	size_t i;

	for (i = 0; i < 5; i++)
		until_refused((size_t)arg);
	return NULL;
}

static void threads_at_the_limit_22(void)
{
	static const size_t sizes[] = { 100, 5000, 100000, 2000000 };
	pthread_attr_t attr;
	pthread_t t[4];
	size_t i, n, round;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (round = 0; round < scale(2, 5); round++) {
		for (n = 0; n < 4; n++) /* a stack may be refused, too */
			if (pthread_create(&t[n], &attr, until_refused_thread, (void *)sizes[n]) !=
			    0)
				break;
		CHECK(n > 0);
		for (i = 0; i < n; i++)
			pthread_join(t[i], NULL);
	}
	until_refused(1000);
}

/* Programs do not check what a shrinking realloc returns, so it does not fail. */
static void shrinking_at_the_limit_22(void)
{
	static const size_t from[] = { 900, 5000, 16384, 20000, 200000, 900000, 3000000 };
	static const size_t to[] = { 8, 100, 3000, 17000, 150000 };
	enum { FROM = sizeof(from) / sizeof(from[0]), TO = sizeof(to) / sizeof(to[0]) };
	char *p[FROM][TO];
	size_t i, k, n;

	for (i = 0; i < FROM; i++)
		for (k = 0; k < TO; k++) {
			CHECK((p[i][k] = malloc(from[i])) != NULL);
			fill(p[i][k], from[i], i);
		}
	for (n = 64 * MIB; n >= 16; n /= 2)
		while (launder(malloc(n)))
			;
	for (i = 0; i < FROM; i++)
		for (k = 0; k < TO; k++) {
			char *q;

			if (to[k] >= from[i])
				continue;
			errno = 4242;
			q = realloc(p[i][k], to[k]);
			CHECK(q && errno == 4242, "%zu to %zu bytes: errno %d", from[i], to[k],
			      errno);
			check_block(q, to[k], i);
			/* Uses up again what that gave back. */
			while (launder(malloc(from[0])))
				;
			while (launder(malloc(16)))
				;
		}
}

static void fork_at_the_limit_22(void)
{
	void **last = NULL, **p;
	size_t i;
	pid_t pid;

	while ((p = malloc(20000)) != NULL) {
		*p = last;
		last = p;
	}
	pid = fork();
	if (pid < 0 && errno == ENOMEM)
		SKIP("fork itself is refused");
	CHECK(pid >= 0);
	while (last) {
		p = *last;
		free(last);
		last = p;
	}
	for (i = 0; i < 3; i++)
		until_refused(5000);
	if (pid == 0)
		_exit(0);
	reap(pid, "child at the limit");
}

/* -- what is charged -------------------------------------------------------- */

/*
 * Freed memory that is kept is charged neither to the machine (Committed_AS, which
 * vm.overcommit_memory=2 bounds) nor to the process (VmData, RLIMIT_DATA), except for what stays
 * resident (region.evict_bytes, 256 MiB). Under a limit the program's own mmap gets what was freed.
 */
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

/*
 * Other processes commit memory meanwhile: half of what was freed is far from both results. Pages
 * given back by MADV_FREE have a budget of their own, of the same size.
 */
static void freed_is_not_committed_22(void)
{
	const char *hakmem = getenv("HAKMEM");
	long machine, data, got, most = RESIDENT_MIB + 16;

	need_hakmem();
	machine = proc_kib("/proc/meminfo", "\nCommitted_AS:") / 1024;
	data = status_mib("\nVmData:");
	got = (long)(take_and_free(50 * MIB, MOST) / MIB);
	if (got < 3 * RESIDENT_MIB)
		SKIP("only %ld MiB to be had", got);
	machine = proc_kib("/proc/meminfo", "\nCommitted_AS:") / 1024 - machine;
	data = status_mib("\nVmData:") - data;
	if (hakmem && strstr(hakmem, "evict=free"))
		most += RESIDENT_MIB;
	CHECK(data < most, "VmData has grown by %ld MiB of %ld", data, got);
	CHECK(machine < got / 2 + most / 2, "Committed_AS has grown by %ld MiB of %ld", machine,
	      got);
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
	long kept = -status_mib(field);

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

/* -- vm.max_map_count ------------------------------------------------------- */

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

static uint64_t counter(const char *name)
{
	int (*get)(const char *, uint64_t *) =
		(int (*)(const char *, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_counter");
	uint64_t n;

	if (get(name, &n) != 0)
		SKIP("no counter %s in this build", name);
	return n;
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

/* -- mlockall(MCL_FUTURE) of a user who may lock 8 MiB ----------------------- */

/*
 * As in systemd and Debian. The memory that can be had is compared with the limit on locked memory.
 */
static void lock_the_future(int flags)
{
	limit(RLIMIT_MEMLOCK, 8 * MIB);
	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		SKIP("cannot become another user: %s", strerror(errno));
	if (mlockall(flags) != 0)
		SKIP("mlockall: %s", strerror(errno));
}

static void locked_to_the_limit(size_t n, size_t least)
{
	size_t got = until_refused(n);

	CHECK(got >= least * 1024, "only %zu KiB of 8 MiB in blocks of %zu", got / 1024, n);
	CHECK(got <= 9 * MIB, "%zu KiB: is anything locked?", got / 1024);
	malloc_trim(0);
}

/*
 * Each size runs in a process of its own. Freed memory comes back for another size, less an extent
 * of 2 MiB that one block keeps.
 */
static void all_sizes_under_mcl_future_21(int flags)
{
	static const struct {
		size_t bytes, least_kib;
	} size[] = {
		{ 1000, 7500 }, { 16, 7500 }, { 20000, 7300 }, { 300000, 6500 }, { 1300000, 6000 },
	};
	size_t i;

	need_hakmem();
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			lock_the_future(flags);
			locked_to_the_limit(size[i].bytes, size[i].least_kib);
			locked_to_the_limit(1000, 3500);
			locked_to_the_limit(size[i].bytes, 3500);
			_exit(0);
		}
		reap(pid, "a child that locks its memory");
	}
}

static void mcl_future_8m_21(void)
{
	all_sizes_under_mcl_future_21(MCL_FUTURE);
}

static void mcl_future_onfault_8m_21(void)
{
	all_sizes_under_mcl_future_21(MCL_FUTURE | MCL_ONFAULT);
}

/* With other sizes in use all around, freed memory is found again, and not only new memory. */
static void freed_under_mcl_future_8m_21(void)
{
	enum { N = 10000 };
	static void *p[N];
	size_t i, n = 0, again = 0;

	lock_the_future(MCL_FUTURE);
	while (n < N && (p[n] = malloc(1 + n % 3 * 1000)) != NULL)
		n++;
	CHECK(n > 5000 && n < N, "%zu blocks", n);
	for (i = 0; i < n; i += 2)
		free(p[i]);
	for (i = 0; i < n; i += 2)
		again += (p[i] = malloc(1 + i % 3 * 1000)) != NULL;
	CHECK(again >= n / 2 * 9 / 10, "%zu of %zu blocks again", again, n / 2);
}

static pthread_barrier_t has_it, all_there;

static void *allocates_a_little(void *arg)
{
	void *p = malloc(100), *q = malloc(5000);

	(void)arg;
	CHECK(p && q);
	pthread_barrier_wait(&has_it);
	pthread_barrier_wait(&all_there);
	free(p);
	free(q);
	return NULL;
}

/*
 * There are more threads than the slots made at first, and each has a heap of its own. They begin
 * one after the other: four that each map an extent at once would use up the limit.
 */
static void threads_under_mcl_future_8m_21(void)
{
	enum { THREADS = 40 };
	pthread_attr_t attr;
	pthread_t t[THREADS];
	size_t i;

	need_hakmem();
	lock_the_future(MCL_FUTURE);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	pthread_barrier_init(&all_there, NULL, THREADS);
	pthread_barrier_init(&has_it, NULL, 2);
	for (i = 0; i < THREADS; i++) {
		CHECK(pthread_create(&t[i], &attr, allocates_a_little, NULL) == 0);
		pthread_barrier_wait(&has_it);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK(counter("heap.unpublished") == 0, "%lu without a heap", counter("heap.unpublished"));
}

/* -- files, descriptors, stack, processes ----------------------------------- */

static void fsize_0(void)
{
	signal(SIGXFSZ, SIG_DFL);
	limit(RLIMIT_FSIZE, 0);
}

static void nofile_3(void)
{
	limit(RLIMIT_NOFILE, 4); /* ld.so needs one */
}

static void nofile_20(void)
{
	limit(RLIMIT_NOFILE, 20);
}

static void nofile_101(void)
{
	limit(RLIMIT_NOFILE, 101);
}

static void stack_64k(void)
{
	limit(RLIMIT_STACK, 131072);
}

static void stack_unlimited(void)
{
	struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_STACK, &r) != 0)
		_exit(CASE_SKIP);
}

static void nproc_0(void)
{
	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		_exit(CASE_SKIP);
	limit(RLIMIT_NPROC, 0);
}

static void memlock_0(void)
{
	limit(RLIMIT_MEMLOCK, 0);
}

static void no_randomness(void)
{
	personality(ADDR_NO_RANDOMIZE);
}

static void compat_layout(void)
{
	personality(ADDR_COMPAT_LAYOUT | ADDR_NO_RANDOMIZE);
}

static void read_implies_exec(void)
{
	personality(READ_IMPLIES_EXEC);
}

static void just_works(void)
{
	pthread_t t;
	size_t i;

	for (i = 0; i < 10; i++)
		exercise_all_tiers(i);
	malloc_trim(0);
	if (pthread_create(&t, NULL, allocates, NULL) == 0)
		pthread_join(t, NULL);
	exercise_all_tiers(11);
}

static void fork_works_too(void)
{
	pid_t pid;

	just_works();
	pid = fork();
	if (pid == 0) {
		just_works();
		_exit(0);
	}
	if (pid > 0)
		reap(pid, "the child");
	just_works();
}

/* The limit falls while the process runs. */
static void file_size_limit_falls_later(void)
{
	exercise_all_tiers(1);
	fsize_0();
	fork_works_too();
}

static void descriptor_limit_falls_later(void)
{
	exercise_all_tiers(1);
	limit(RLIMIT_NOFILE, 0);
	fork_works_too();
}

static void all_descriptors_taken(void)
{
	int fd = 0, last = -1;

	while (fd >= 0) {
		fd = open("/dev/null", O_RDONLY);
		last = fd >= 0 ? fd : last;
	}
	CHECK(last > 0);
	fork_works_too();
}

static const struct tcase cases[] = {
	{ "mlockall_current_21", mlockall_current_21 },
	{ "mlockall_future_21", mlockall_future_21 },
	{ "mlockall_both_21", mlockall_both_21 },
	{ "mlockall_onfault_21", mlockall_onfault_21 },
	{ "calloc_under_mlockall_10_21", calloc_under_mlockall_10_21 },
	{ "calloc_under_mlockall_free_10_21", calloc_under_mlockall_10_21, 0, "region.evict=free" },
	{ "threads_under_mlockall_21", threads_under_mlockall_21 },
	{ "runs_in_32m_22", runs_in_32m_22, 60, NULL, as_32m },
	{ "runs_in_64m_22", runs_in_64m_22, 60, NULL, as_64m },
	{ "runs_in_256m_22", runs_in_256m_22, 60, NULL, as_256m },
	{ "runs_in_1g_22", runs_in_1g_22, 90, NULL, as_1g },
	{ "runs_with_data_8m_22", runs_with_data_8m_22, 60, NULL, data_8m },
	{ "runs_with_data_32m_22", runs_with_data_32m_22, 60, NULL, data_32m },
	{ "runs_with_data_256m_22", runs_with_data_256m_22, 60, NULL, data_256m },
	{ "threads_at_the_limit_22", threads_at_the_limit_22, 60, NULL, as_256m },
	{ "threads_at_the_data_limit_22", threads_at_the_limit_22, 60, NULL, data_32m },
	{ "shrinking_at_the_limit_22", shrinking_at_the_limit_22, 60, NULL, as_256m },
	{ "fork_at_the_limit_22", fork_at_the_limit_22, 60, NULL, as_64m },
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
	{ "mappings_used_up_23", mappings_used_up_23, 60 },
	{ "mappings_used_up_munmap_23", mappings_used_up_23, 60,
	  "region.evict=munmap,whale.ring_slots=0,superslab.enable=off" },
	{ "mappings_that_stay_are_used_again_23", mappings_that_stay_are_used_again_23, 60,
	  "superslab.enable=off" },
	{ "trim_does_not_split_mappings_23", trim_does_not_split_mappings_23 },
	{ "mcl_future_8m_21", mcl_future_8m_21 },
	{ "mcl_future_onfault_8m_21", mcl_future_onfault_8m_21 },
	{ "freed_under_mcl_future_8m_21", freed_under_mcl_future_8m_21 },
	{ "threads_under_mcl_future_8m_21", threads_under_mcl_future_8m_21 },
	{ "no_file_may_grow", fork_works_too, 0, NULL, fsize_0 },
	{ "file_size_limit_falls_later", file_size_limit_falls_later },
	{ "hardly_a_descriptor", fork_works_too, 0, NULL, nofile_3 },
	{ "twenty_descriptors", fork_works_too, 0, NULL, nofile_20 },
	{ "a_hundred_and_one_descriptors", fork_works_too, 0, NULL, nofile_101 },
	{ "descriptor_limit_falls_later", descriptor_limit_falls_later },
	{ "all_descriptors_taken", all_descriptors_taken },
	{ "small_main_stack", fork_works_too, 0, NULL, stack_64k },
	{ "unlimited_stack", fork_works_too, 0, NULL, stack_unlimited },
	{ "no_processes_allowed", just_works, 0, NULL, nproc_0 },
	{ "nothing_may_be_locked", fork_works_too, 0, NULL, memlock_0 },
	{ "no_address_randomness", fork_works_too, 0, NULL, no_randomness },
	{ "compat_layout", fork_works_too, 0, NULL, compat_layout },
	{ "read_implies_exec", fork_works_too, 0, NULL, read_implies_exec },
};

MAIN(cases)
