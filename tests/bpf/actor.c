/* SPDX-License-Identifier: MIT */
/*
 * usage: actor ACT A program that makes known changes to its address space and keeps books: what a
 * trace of it must show, one figure a line: PATH OPERATOR VALUE, with the path of a member of the
 * document. It prints "ready", waits for a line, acts, writes its book and ends. It uses neither
 * malloc nor stdio, so only the act has effects. Exit code 77: this kernel lacks what the act
 * needs; the reason is printed.
 */
#include "tests/bpf/actor.h"

static char book[1 << 14];
static size_t written;
struct rusage from;

void note(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	written += (size_t)vsnprintf(book + written, sizeof(book) - written, format, args);
	va_end(args);
}

static void out(const char *text, size_t bytes)
{
	if (write(STDOUT_FILENO, text, bytes) != (ssize_t)bytes)
		_exit(2);
}

void lacks(const char *what)
{
	out(what, strlen(what));
	_exit(77);
}

void must(int ok, const char *what)
{
	if (ok)
		return;
	note("actor failed: %s: errno %d\n", what, errno);
	out(book, written);
	_exit(1);
}

char *map(size_t bytes)
{
	char *p = mmap(NULL, bytes, RW, PRIVATE, -1, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

void touch(char *p, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		((volatile char *)p)[i * PAGE] = 1;
}

static void pause_us(long us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * Books so many pages freed by so many calls; each call may be off by a batch of 31, see
 * bpf/space.h.
 */
static void freed(unsigned long pages, unsigned long calls)
{
	unsigned long some = 32 * calls;

	note("given_back/freed_bytes >= %lu\n", pages > some ? (pages - some) * PAGE : 0);
	note("given_back/freed_bytes <= %lu\n", (pages + some) * PAGE);
}

/* -- acts -------------------------------------------------------------------------------------- */
/*
 * N times: maps, touches all, unmaps, with a pause. Each time is like the last, so the kernel
 * returns the same address.
 */
static void act_unmap(void)
{
	enum { N = 40, PAGES = 50 };
	uint64_t least = UINT64_MAX, most = 0, unmapping = 0, unmapped = 0;
	size_t again = 0;
	char *before = NULL;

	for (int i = 0; i < N; i++) {
		char *p = map(PAGES * PAGE);

		if (unmapped && now_ns() - unmapped < least)
			least = now_ns() - unmapped;
		touch(p, PAGES);
		if (unmapped && now_ns() - unmapping > most)
			most = now_ns() - unmapping;
		again += p == before;
		before = p;
		unmapping = now_ns();
		must(munmap(p, PAGES * PAGE) == 0, "munmap");
		unmapped = now_ns();
		pause_us(2000);
	}
	must(again == N - 1, "the kernel maps elsewhere");
	note("calls/mmap/calls = %d\ncalls/munmap/calls = %d\n", N, N);
	note("calls/mmap/bytes = %lu\ncalls/munmap/bytes = %lu\n", N * PAGES * PAGE,
	     N * PAGES * PAGE);
	note("calls/munmap/given_bytes = %lu\ngiven_back/bytes = %lu\ngiven_back/calls = %d\n",
	     N * PAGES * PAGE, N * PAGES * PAGE, N);
	note("given_back/lazy_bytes = 0\nrefilled/lower_bound = false\n");
	note("address_reuse/maps = %d\naddress_reuse/exact = %zu\n", N, again);
	note("address_reuse/overlapping = %zu\naddress_reuse/overlapping_bytes = %lu\n", again,
	     again * PAGES * PAGE);
	note("refilled/bytes = %lu\nrefilled/late_bytes = 0\n", again * PAGES * PAGE);
	freed(N * PAGES, N);
	/* From the earliest or latest end of munmap to before or after the touches. */
	note("distance from %lu\ndistance to %lu\n", least, most);
	/* One site has all of it. */
	note("sites_found = 1\nsites/0/bytes = %lu\nsites/0/calls = %d\n", N * PAGES * PAGE, N);
	note("sites/0/call = munmap\nframe act_unmap\n");
}

/* The same later than the window: nothing is refilled in time. Runs with a window of 20 ms. */
static void act_late(void)
{
	enum { N = 3, PAGES = 10 };
	char *p = map(PAGES * PAGE);

	touch(p, PAGES);
	for (int i = 0; i < N; i++) {
		must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
		pause_us(100000);
		touch(p, PAGES);
	}
	must(munmap(p, PAGES * PAGE) == 0, "munmap");
	pause_us(100000);
	p = map(PAGES * PAGE);
	note("refilled/bytes = 0\nrefilled/late_bytes = %lu\n", N * PAGES * PAGE);
	note("address_reuse/exact = 0\naddress_reuse/overlapping = 0\n");
	note("given_back/bytes = %lu\n", (N + 1) * PAGES * PAGE);
}

/* Parts of a mapping that crosses blocks are given back, and parts of these touched again. */
static void act_dontneed(void)
{
	enum { N = 100, PAGES = 1500 };
	unsigned long given = 0, again = 0;
	char *p = map(PAGES * PAGE);

	touch(p, PAGES);
	for (unsigned i = 0; i < N; i++) {
		size_t first = i * 37 % 1000, pages = 1 + i * 101 % 500, some = pages / 2;

		must(madvise(p + first * PAGE, pages * PAGE, MADV_DONTNEED) == 0, "madvise");
		given += pages;
		touch(p + first * PAGE, some);
		again += some;
		/* The rest too, but unseen: the whole is given back once more before that. */
		must(madvise(p + first * PAGE, pages * PAGE, MADV_DONTNEED) == 0, "madvise");
		given += pages;
		touch(p + first * PAGE, pages);
		again += pages;
	}
	note("calls/madvise(DONTNEED)/calls = %d\ncalls/madvise(DONTNEED)/bytes = %lu\n", 2 * N,
	     given * PAGE);
	note("given_back/bytes = %lu\nrefilled/bytes = %lu\n", given * PAGE, again * PAGE);
	freed(again, 2 * N); /* the pages that existed just then */
	note("refilled/lower_bound = false\nlost/unfollowed_bytes = 0\n");
}

/* MADV_FREE: pages that still exist are used again without a fault. */
static void act_free(void)
{
	enum { N = 20, PAGES = 100 };
	char *p = map(2 * PAGES * PAGE);

	touch(p, 2 * PAGES);
	for (int i = 0; i < N; i++) {
		must(madvise(p, PAGES * PAGE, MADV_FREE) == 0, "madvise");
		touch(p, PAGES);
	}
	/* Every page of the range is seen that is given back by DONTNEED afterwards. */
	must(madvise(p, PAGES * PAGE, MADV_FREE) == 0, "madvise");
	must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
	touch(p, PAGES);
	note("calls/madvise(FREE)/calls = %d\ngiven_back/lazy_bytes = %lu\n", N + 1,
	     (N + 1) * PAGES * PAGE);
	note("given_back/bytes = %lu\n", (N + 2) * PAGES * PAGE);
	note("refilled/lower_bound = true\n");
	note("refilled/bytes >= %lu\nrefilled/bytes <= %lu\n", PAGES * PAGE,
	     (N + 1) * PAGES * PAGE);
}

static void act_thp(void)
{
	enum { BLOCKS = 4, N = 5 };
	char *p = map((BLOCKS + 1) * BLOCK);
	struct rusage before, after;

	p = (char *)(((uintptr_t)p + BLOCK - 1) & ~(BLOCK - 1));
	if (madvise(p, BLOCKS * BLOCK, MADV_HUGEPAGE) < 0)
		lacks("no transparent huge pages here\n");
	getrusage(RUSAGE_SELF, &before);
	touch(p, BLOCKS * BLOCK / PAGE);
	getrusage(RUSAGE_SELF, &after);
	if (after.ru_minflt - before.ru_minflt != BLOCKS)
		lacks("the kernel gives no huge pages just now\n");
	for (int i = 0; i < N; i++) {
		must(madvise(p, BLOCKS * BLOCK, MADV_DONTNEED) == 0, "madvise");
		touch(p, BLOCKS * BLOCK / PAGE);
	}
	getrusage(RUSAGE_SELF, &after);
	if (after.ru_minflt - before.ru_minflt != (N + 1) * BLOCKS)
		lacks("the kernel gives not always huge pages just now\n");
	note("faults/huge page/faults = %d\n", (N + 1) * BLOCKS);
	note("given_back/bytes = %lu\nrefilled/bytes = %lu\n", N * BLOCKS * BLOCK,
	     N * BLOCKS * BLOCK);
	note("zeroed_bytes >= %lu\nzeroed_bytes <= %lu\n", (N + 1) * BLOCKS * BLOCK,
	     (N + 1) * BLOCKS * BLOCK + 64 * PAGE);
	note("calls/madvise(HUGEPAGE)/calls = 1\n");
	freed(N * BLOCKS * BLOCK / PAGE, N);
}

static void act_mremap(void)
{
	enum { N = 10, LARGE = 100, SMALL = 40 };
	char *p = map(LARGE * PAGE), *room;

	touch(p, LARGE);
	for (int i = 0; i < N; i++) {
		must(mremap(p, LARGE * PAGE, SMALL * PAGE, 0) == p, "mremap");
		room = mremap(p, SMALL * PAGE, LARGE * PAGE, 0);
		must(room == p, "mremap grows in place");
		touch(p, LARGE);
	}
	note("calls/mremap/calls = %d\ncalls/mremap/given_bytes = %lu\n", 2 * N,
	     N * (LARGE - SMALL) * PAGE);
	note("refilled/bytes = %lu\nlost/unfollowed_bytes = 0\n", N * (LARGE - SMALL) * PAGE);
}

static void act_brk(void)
{
	enum { N = 10, PAGES = 64 };
	char *p = sbrk(0);

	must(sbrk((intptr_t)(-(uintptr_t)p & (PAGE - 1))) == p, "sbrk");
	p = sbrk(0);
	for (int i = 0; i < N; i++) {
		must(sbrk(PAGES * PAGE) == p, "sbrk");
		touch(p, PAGES);
		must(brk(p) == 0, "brk");
	}
	/* An end that no kernel accepts. */
	must(brk((void *)(1ul << 62)) < 0, "brk");
	note("calls/brk/given_bytes = %lu\ngiven_back/bytes = %lu\n", N * PAGES * PAGE,
	     N * PAGES * PAGE);
	note("refilled/bytes = %lu\ncalls/brk/failed = 1\n", (N - 1) * PAGES * PAGE);
}

/* A mapping over a mapping gives the old one back without a munmap. */
static void act_fixed(void)
{
	enum { N = 10, PAGES = 30 };
	char *p = map(2 * PAGES * PAGE);

	touch(p, PAGES);
	for (int i = 0; i < N; i++) {
		must(mmap(p, PAGES * PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == p, "mmap");
		touch(p, PAGES);
	}
	note("calls/mmap/calls = %d\ncalls/mmap/given_bytes = %lu\n", N + 1, N * PAGES * PAGE);
	note("refilled/bytes = %lu\naddress_reuse/maps = 1\n", N * PAGES * PAGE);
}

/* Over a range that is mapped in part: that part goes. */
static void act_over(void)
{
	static const struct {
		unsigned hole[2][2], map[2]; /* pages from, to */
		unsigned seen, unseen;	     /* pages replaced, at known places or not */
	} areas[] = {
		{ { { 30, 40 } }, { 20, 35 }, 10, 0 },
		{ { { 10, 20 } }, { 15, 40 }, 20, 0 },
		{ { { 20, 25 } }, { 10, 40 }, 25, 0 },
		{ { { 10, 15 }, { 30, 35 } }, { 12, 33 }, 0, 15 },
	};
	enum { AREAS = sizeof(areas) / sizeof(areas[0]), PAGES = 50 };
	unsigned unmapped = 0, seen = 0, unseen = 0, again = 0;
	char *p = map(AREAS * PAGES * PAGE);

	touch(p, AREAS * PAGES);
	for (int i = 0; i < AREAS; i++, p += PAGES * PAGE) {
		size_t pages = areas[i].map[1] - areas[i].map[0];
		char *q = p + areas[i].map[0] * PAGE;

		for (int k = 0; k < 2 && areas[i].hole[k][1]; k++) {
			size_t hole = areas[i].hole[k][1] - areas[i].hole[k][0];

			must(munmap(p + areas[i].hole[k][0] * PAGE, hole * PAGE) == 0, "munmap");
			unmapped += hole;
		}
		must(mmap(q, pages * PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == q, "mmap");
		touch(q, pages);
		seen += areas[i].seen;
		unseen += areas[i].unseen;
		again += pages - areas[i].unseen;
	}
	note("calls/munmap/given_bytes = %lu\n", unmapped * PAGE);
	note("calls/mmap/given_bytes = %lu\n", (seen + unseen) * PAGE);
	note("refilled/bytes = %lu\nlost/unfollowed_bytes = %lu\n", again * PAGE, unseen * PAGE);
}

static void *unmap_all(void *arg)
{
	char *p = arg;

	for (int i = 0; i < 20000; i++, p += 2 * PAGE)
		must(munmap(p, PAGE) == 0, "munmap");
	return NULL;
}

/* Over an empty range, while another thread gives back just as much. */
static void act_beside(void)
{
	static char stack[1 << 16] __attribute__((aligned(4096)));
	enum { N = 20000 };
	char *p = map(2 * N * PAGE), *hole = map(2 * N * PAGE);
	pthread_attr_t attr;
	pthread_t thread;

	must(munmap(hole, 2 * N * PAGE) == 0, "munmap");
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	must(pthread_create(&thread, &attr, unmap_all, p) == 0, "pthread_create");
	for (int i = 0; i < N; i++, hole += 2 * PAGE)
		must(mmap(hole, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == hole, "mmap");
	must(pthread_join(thread, NULL) == 0, "pthread_join");
	note("calls/mmap/given_bytes = 0\ncalls/munmap/given_bytes = %lu\n", 3 * N * PAGE);
}

/* A region is moved onto another, whole or in part. Moved pages are not populated anew. */
static void act_onto(void)
{
	enum { PAGES = 20 };
	const int onto = MREMAP_MAYMOVE | MREMAP_FIXED;
	char *old = map(5 * PAGES * PAGE), *new = map(9 * PAGES * PAGE);

	touch(old, 5 * PAGES);
	touch(new, 9 * PAGES);
	must(mremap(old, PAGES * PAGE, PAGES * PAGE, onto, new) == new, "mremap");
	/* to the end of a region */
	old += PAGES * PAGE, new += 2 * PAGES *PAGE;
	must(munmap(new + PAGES *PAGE, PAGES * PAGE) == 0, "munmap");
	must(mremap(old, PAGES * PAGE, PAGES * PAGE, onto, new + 5 * PAGE) == new + 5 * PAGE,
	     "mremap");
	/* half of it, the other half is given back; and four pages between two holes */
	old += PAGES * PAGE, new += 3 * PAGES *PAGE;
	must(munmap(new, 3 * PAGE) == 0 && munmap(new + 7 * PAGE, 3 * PAGE) == 0, "munmap");
	must(mremap(old, PAGES * PAGE, PAGES / 2 * PAGE, onto, new) == new, "mremap");
	/* grown by it */
	old += PAGES * PAGE, new += PAGES *PAGE;
	must(mremap(old, PAGES * PAGE, 2 * PAGES * PAGE, onto, new) == new, "mremap");
	note("calls/mremap/calls = 4\ncalls/mremap/given_bytes = %lu\n",
	     (PAGES + (PAGES - 5) + (4 + PAGES / 2) + 2 * PAGES) * PAGE);
	touch(new, 2 * PAGES); /* its second half was not moved there */
	note("refilled/bytes = %lu\nlost/unfollowed_bytes = %lu\n", PAGES * PAGE, 4 * PAGE);
}

static void act_populate(void)
{
	enum { N = 10, PAGES = 600 };
	char *p = map(PAGES * PAGE);

	if (madvise(p, PAGES * PAGE, MADV_POPULATE_WRITE) < 0)
		lacks("no MADV_POPULATE_WRITE here\n");
	for (int i = 0; i < N; i++) {
		must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
		must(madvise(p, PAGES * PAGE, MADV_POPULATE_WRITE) == 0, "madvise");
	}
	note("calls/madvise(POPULATE_WRITE)/calls = %d\n", N + 1);
	note("refilled/bytes = %lu\nrefilled/by_call_bytes = %lu\n", N * PAGES * PAGE,
	     N * PAGES * PAGE);
}

/* Each advice is counted by its own name, whether this kernel takes it or not. */
static void act_advices(void)
{
	enum { PAGES = 4 };
	/* younger than some headers */
	enum {
		COLD = 20,
		PAGEOUT = 21,
		POPULATE_READ = 22,
		DONTNEED_LOCKED = 24,
		COLLAPSE = 25,
		GUARD_INSTALL = 102,
		GUARD_REMOVE = 103
	};
	static const struct {
		int advice;
		const char *name;
	} advices[] = {
		{ MADV_NORMAL, "NORMAL" },
		{ MADV_RANDOM, "RANDOM" },
		{ MADV_SEQUENTIAL, "SEQUENTIAL" },
		{ MADV_WILLNEED, "WILLNEED" },
		{ MADV_DONTNEED, "DONTNEED" },
		{ MADV_FREE, "FREE" },
		{ MADV_REMOVE, "REMOVE" },
		{ MADV_DONTFORK, "DONTFORK" },
		{ MADV_DOFORK, "DOFORK" },
		{ MADV_MERGEABLE, "MERGEABLE" },
		{ MADV_UNMERGEABLE, "UNMERGEABLE" },
		{ MADV_HUGEPAGE, "HUGEPAGE" },
		{ MADV_NOHUGEPAGE, "NOHUGEPAGE" },
		{ MADV_DONTDUMP, "DONTDUMP" },
		{ MADV_DODUMP, "DODUMP" },
		{ MADV_WIPEONFORK, "WIPEONFORK" },
		{ MADV_KEEPONFORK, "KEEPONFORK" },
		{ COLD, "COLD" },
		{ PAGEOUT, "PAGEOUT" },
		{ POPULATE_READ, "POPULATE_READ" },
		{ MADV_POPULATE_WRITE, "POPULATE_WRITE" },
		{ DONTNEED_LOCKED, "DONTNEED_LOCKED" },
		{ COLLAPSE, "COLLAPSE" },
		{ GUARD_INSTALL, "GUARD_INSTALL" },
		{ GUARD_REMOVE, "GUARD_REMOVE" },
	};
	const int n = sizeof(advices) / sizeof(advices[0]), unknown = 77;
	char *p = map(PAGES * PAGE);

	for (int i = 0; i < n; i++) {
		for (int k = 0; k <= i; k++)
			madvise(p, PAGES * PAGE, advices[i].advice);
		note("calls/madvise(%s)/calls = %d\n", advices[i].name, i + 1);
	}
	must(madvise(p, PAGES * PAGE, unknown) < 0, "an unknown advice");
	note("calls/madvise(other)/calls = 1\n");
}

static void act_process_madvise(void)
{
	enum { PAGES = 20 };
	char *p = map(3 * PAGES * PAGE);
	struct iovec v[2] = { { p, PAGES * PAGE }, { p + 2 * PAGES * PAGE, PAGES * PAGE } };
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	touch(p, 3 * PAGES);
	if (syscall(SYS_process_madvise, self, v, 2ul, MADV_DONTNEED, 0ul) < 0) {
		/* Older kernels: the call fails, and gives nothing back. */
		touch(p, 3 * PAGES);
		note("calls/process_madvise/failed = 1\n");
		note("given_back/bytes = 0\nrefilled/bytes = 0\n");
		return;
	}
	touch(p, 3 * PAGES);
	note("calls/process_madvise/failed = 0\ngiven_back/bytes = %lu\nrefilled/bytes = %lu\n",
	     2 * PAGES * PAGE, 2 * PAGES * PAGE);
}

/* Calls that fail give nothing back. */
static void act_fail(void)
{
	enum { N = 7, PAGES = 10 };
	char *p = map(PAGES * PAGE);

	touch(p, PAGES);
	for (int i = 0; i < N; i++) {
		must(munmap(p + 1, PAGES * PAGE) < 0, "munmap");
		must(madvise(p + 1, PAGES * PAGE, MADV_DONTNEED) < 0, "madvise");
		must(mmap(p, 0, RW, PRIVATE, -1, 0) == MAP_FAILED, "mmap");
		must(mremap(p + 1, PAGE, PAGE, 0) == MAP_FAILED, "mremap");
	}
	touch(p, PAGES);
	note("calls/munmap/failed = %d\ncalls/madvise(DONTNEED)/failed = %d\n", N, N);
	note("calls/mmap/failed = %d\ncalls/mmap/calls = %d\ncalls/mremap/failed = %d\n", N, N + 1,
	     N);
	note("given_back/bytes = 0\nrefilled/bytes = 0\ngiven_back/calls = 0\n");
}

/* Around a hole the kernel carries out the call, and reports the hole. */
static void act_hole(void)
{
	enum { PAGES = 30, HOLE = 10 };
	char *p = map(PAGES * PAGE);

	touch(p, PAGES);
	must(munmap(p + HOLE * PAGE, HOLE * PAGE) == 0, "munmap");
	must(madvise(p, PAGES * PAGE, MADV_DONTNEED) < 0 && errno == ENOMEM, "madvise");
	touch(p, HOLE);
	touch(p + 2 * HOLE * PAGE, PAGES - 2 * HOLE);
	note("calls/madvise(DONTNEED)/failed = 1\ncalls/madvise(DONTNEED)/given_bytes = %lu\n",
	     PAGES * PAGE);
	note("refilled/bytes = %lu\n", (PAGES - HOLE) * PAGE);
}

/* Shared memory goes with its last mapping, after the call: more is taken again than was freed. */
static void act_shared(void)
{
	enum { N = 10, PAGES = 256 };

	for (int i = 0; i < N; i++) {
		char *p = mmap(NULL, PAGES * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		must(p != MAP_FAILED, "mmap");
		touch(p, PAGES);
		must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
		touch(p, PAGES);
		must(munmap(p, PAGES * PAGE) == 0, "munmap");
	}
	note("given_back/bytes = %lu\n", 2 * N * PAGES * PAGE);
	note("refilled/bytes >= %lu\n", N * PAGES * PAGE);
}

/* Memory that is read before it is written again: the second fault takes the memory. */
static void act_read(void)
{
	enum { N = 10, PAGES = 512 };
	volatile char *p = map(PAGES * PAGE);

	must(madvise((char *)p, PAGES * PAGE, MADV_NOHUGEPAGE) == 0, "madvise");
	touch((char *)p, PAGES);
	for (int i = 0; i < N; i++) {
		must(madvise((char *)p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
		for (size_t k = 0; k < PAGES; k++)
			(void)p[k * PAGE];
		touch((char *)p, PAGES / 2);
	}
	note("given_back/bytes = %lu\nrefilled/bytes = %lu\n", N * PAGES * PAGE, N * PAGES * PAGE);
	note("refilled/fresh_bytes = %lu\n", N * PAGES / 2 * PAGE);
}

/* Ranges that are only reserved do not push out the entries of others. */
static void act_reserve(void)
{
	enum { N = 20, PAGES = 10 };
	const size_t bytes = 128ul << 30;
	char *p = map(PAGES * PAGE);

	touch(p, PAGES);
	must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
	for (int i = 0; i < N; i++) {
		char *q = mmap(NULL, bytes, PROT_NONE, PRIVATE | MAP_NORESERVE, -1, 0);

		if (q == MAP_FAILED)
			lacks("not enough address space here\n");
		must(munmap(q, bytes) == 0, "munmap");
	}
	touch(p, PAGES);
	note("given_back/bytes = %lu\nrefilled/bytes = %lu\n", PAGES * PAGE + N * bytes,
	     PAGES * PAGE);
	note("lost/unfollowed_bytes = %lu\n", N * bytes);
}

/* More blocks than the trace can hold: it knows the size of what it dropped. */
static void act_forget(void)
{
	enum { BLOCKS = 50000 };
	char *p = mmap(NULL, BLOCKS * BLOCK, RW, PRIVATE | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		lacks("not enough address space here\n");
	must(madvise(p, BLOCKS * BLOCK, MADV_NOHUGEPAGE) == 0, "madvise");
	for (size_t i = 0; i < BLOCKS; i++) {
		must(madvise(p + i * BLOCK, PAGE, MADV_DONTNEED) == 0, "madvise");
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		touch(p + i * BLOCK, 1);
		/* Each page brings a page of the tables: 200 MiB would stay. */
		if (i % 1000 == 999)
			syscall(SYS_getpid);
	}
	note("given_back/bytes = %lu\ncalls/madvise(DONTNEED)/calls = %d\n", BLOCKS * PAGE, BLOCKS);
	note("lost/unfollowed_bytes >= %lu\n", (BLOCKS - 32768) * PAGE);
	note("sum refilled/bytes lost/unfollowed_bytes = %lu\n", BLOCKS * PAGE);
}

/* Many small mappings that do not merge. */
static void act_regions(void)
{
	enum { N = 200 };
	char *p = map((2 * N + 2) * PAGE);

	for (size_t i = 0; i < N; i++)
		must(mprotect(p + (2 * i + 1) * PAGE, PAGE, PROT_NONE) == 0, "mprotect");
	for (size_t i = 0; i < N; i++)
		must(munmap(p + (2 * i + 1) * PAGE, PAGE) == 0, "munmap");
	note("calls/munmap/calls = %d\n", N);
	note("grown processes/0/regions %d\nregions_changed >= %d\n", N, N);
}

static const struct {
	const char *name;
	void (*run)(void);
	const char *faults; /* how the trace's faults compare with the kernel's count */
	bool loses;	    /* processes, as many as the trace itself reports */
} acts[] = {
	{ "unmap", act_unmap, "=" },
	{ "late", act_late, "=" },
	{ "dontneed", act_dontneed, "=" },
	{ "free", act_free, "=" },
	{ "thp", act_thp, "=" },
	{ "mremap", act_mremap, "=" },
	{ "brk", act_brk, "=" },
	{ "fixed", act_fixed, "=" },
	{ "over", act_over, "=" },
	{ "onto", act_onto, "=" },
	{ "beside", act_beside, "=" },
	{ "populate", act_populate, "<=" }, /* pages made by a call are no faults */
	{ "advices", act_advices, "<=" },
	{ "process_madvise", act_process_madvise, "=" },
	{ "fail", act_fail, "=" },
	{ "shared", act_shared, "=" },
	{ "hole", act_hole, "=" },
	{ "read", act_read, "=" },
	{ "reserve", act_reserve, "=" },
	{ "forget", act_forget, "=" },
	{ "threads", act_threads, "=" },
	{ "shootdowns", act_shootdowns, "=" },
	{ "fork", act_fork, ">=" },
	{ "crowd", act_crowd, ">=" },
	{ "throng", act_throng, ">=", true },
	{ "vfork", act_vfork, ">=" },
	{ "regions", act_regions, "=" },
};
#define ACTS (sizeof(acts) / sizeof(acts[0]))

int main(int argc, char **argv)
{
	struct rusage to;
	size_t act = 0;
	char c;

	if (argc == 1)
		for (act = 0; act < ACTS; act++)
			puts(acts[act].name);
	while (act < ACTS && strcmp(acts[act].name, argv[1]) != 0)
		act++;
	if (argc < 2 || act == ACTS)
		return argc != 1;
	/* khugepaged makes pages too, at any time. */
	if (strcmp(argv[1], "thp") != 0)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	/*
	 * Brings all code, data and stack into memory, so that later only an act's mappings fault.
	 */
	if (mlockall(MCL_CURRENT) < 0 || munlockall() < 0)
		lacks("memory cannot be locked here\n");
	out("ready\n", 6);
	getrusage(RUSAGE_SELF, &from);
	if (read(STDIN_FILENO, &c, 1) != 1)
		return 1;
	acts[act].run();
	note("lost/events = 0\nlost/threads = 0\n");
	if (!acts[act].loses)
		note("lost/processes = 0\n");
	getrusage(RUSAGE_SELF, &to);
	note("all faults %s %ld\n", acts[act].faults,
	     to.ru_minflt - from.ru_minflt + to.ru_majflt - from.ru_majflt);
	out(book, written);
	_exit(0);
}
