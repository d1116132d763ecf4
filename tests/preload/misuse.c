// SPDX-License-Identifier: MIT
/*
 * Wrong frees, which only hakmem promises to catch: interior pointers at the flush at the latest
 * (hazard 14), double frees of a block still cached, foreign pointers (26). A caught free prints
 * exactly one line on stderr that names the pointer, then raises SIGABRT; with check.free=report it
 * only prints the line, with off nothing, and the heap is sound afterwards. The test leaves out
 * wrong frees that no allocator without canaries can tell from right ones.
 */
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>

static void name_in(char *buf, size_t n, const void *p)
{
	snprintf(buf, n, "%p", p);
}

/* Where the wrong free happens; shared memory passes the pointer on. */
struct misuse {
	void (*act)(struct misuse *);
	size_t size, offset;
	void *volatile named;
};

static struct misuse *shared;

static void flush_everything(void)
{
	static void *p[4000];
	size_t i, k;

	for (k = 0; k < TIER_SIZES - 5; k++) {
		size_t count = tier_sizes[k] < 4096 ? 4000 : 60;

		for (i = 0; i < count; i++)
			p[i] = malloc(tier_sizes[k]);
		for (i = 0; i < count; i++)
			free(p[i]);
	}
	malloc_trim(0);
}

static void perform(void *arg)
{
	struct misuse *m = arg;

	alarm(20);
	m->act(m);
	flush_everything();
}

static size_t lines(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

/* Checks the three behaviours of check.free, selected by HAKMEM. */
static void must_be_caught(void (*act)(struct misuse *), size_t size, size_t offset)
{
	const char *mode = getenv("HAKMEM");
	struct outcome o;
	char name[32];

	need_hakmem();
	if (!shared)
		shared =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*shared = (struct misuse){ act, size, offset, NULL };
	run_captured(perform, shared, &o);
	name_in(name, sizeof(name), shared->named);
	if (mode && strstr(mode, "check.free=off")) {
		CHECK(o.status == 0 && o.len == 0, "size %zu offset %zu: status %#x, %s", size,
		      offset, o.status, o.err);
		return;
	}
	CHECK(lines(o.err) == 1 && o.err[o.len - 1] == '\n',
	      "size %zu offset %zu: status %#x, stderr: \"%s\"", size, offset, o.status, o.err);
	CHECK(strstr(o.err, name), "size %zu offset %zu: %s is not named: %s", size, offset, name,
	      o.err);
	if (mode && strstr(mode, "check.free=report"))
		CHECK(o.status == 0, "status %#x", o.status);
	else
		CHECK(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGABRT, "status %#x",
		      o.status);
}

static const size_t sizes[] = {
	64,    100,   256,   640,   1024,   1500,   4000, 16000,   16384,
	20000, 50000, 65536, 70000, 200000, 800000, MIB,  2 * MIB, 5 * MIB,
};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void interior(struct misuse *m)
{
	char *p = malloc(m->size), *q = malloc(m->size);

	CHECK(p && q);
	memset(p, 0x11, m->size);
	memset(q, 0x22, m->size);
	m->named = p + m->offset;
	free(launder(p + m->offset));
}

static void free_of_an_interior_pointer_14(void)
{
	static const size_t offsets[] = { 1, 8, 16, 32, 48, 4096, 65536, 131072, MIB };
	size_t i, k;

	for (i = 0; i < SIZES; i++)
		for (k = 0; k < sizeof(offsets) / sizeof(offsets[0]); k++)
			if (offsets[k] < sizes[i])
				must_be_caught(interior, sizes[i], offsets[k]);
}

static void interior_aligned(struct misuse *m)
{
	char *p = memalign(4096, m->size), *q = memalign(65536, m->size);

	CHECK(p && q);
	memset(p, 1, m->size);
	memset(q, 1, m->size);
	m->named = q + m->offset;
	free(launder(q + m->offset));
}

static void free_inside_an_aligned_block_14(void)
{
	size_t i;

	for (i = 0; i < SIZES; i++) {
		must_be_caught(interior_aligned, sizes[i], 16);
		must_be_caught(interior_aligned, sizes[i], sizes[i] / 2);
	}
}

static void double_free(struct misuse *m)
{
	char *p = malloc(m->size);

	CHECK(p);
	memset(p, 0x33, m->size);
	m->named = p;
	free(p);
	free(launder(p));
}

static void double_free_at_once(void)
{
	size_t i;

	for (i = 0; i < SIZES; i++)
		must_be_caught(double_free, sizes[i], 0);
	must_be_caught(double_free, 16, 0);
	must_be_caught(double_free, 32, 0);
}

/* Other blocks are freed in between, and the block lies deeper in the cache. */
static void double_free_later(struct misuse *m)
{
	char *p[5];
	int i;

	for (i = 0; i < 5; i++) {
		CHECK((p[i] = malloc(m->size)) != NULL);
		memset(p[i], 0x44, m->size);
	}
	m->named = p[1];
	for (i = 0; i < 5; i++)
		free(p[i]);
	free(launder(p[1]));
}

static void double_free_of_a_cached_block(void)
{
	size_t i;

	for (i = 0; i < SIZES; i++)
		must_be_caught(double_free_later, sizes[i], 0);
	must_be_caught(double_free_later, 16, 0);
}

static void *free_in_a_thread(void *p)
{
	free(p);
	return NULL;
}

static void double_free_remote(struct misuse *m)
{
	char *p = malloc(m->size);
	pthread_t t;

	CHECK(p);
	memset(p, 0x55, m->size);
	m->named = p;
	free(p);
	CHECK(pthread_create(&t, NULL, free_in_a_thread, p) == 0);
	pthread_join(t, NULL);
}

static void double_free_by_another_thread(void)
{
	size_t i;

	for (i = 0; i < SIZES; i++)
		must_be_caught(double_free_remote, sizes[i], 0);
}

static char static_block[65536];

static void foreign(struct misuse *m)
{
	char on_stack[256];
	char *mapped =
		mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *wild[] = {
		static_block + 4096,
		on_stack + 64,
		mapped,
		mapped + 16,
		mapped + MIB,
		(char *)perform,
		(char *)"literal",
		(char *)16,
		(char *)0x7fff00000000,
		(char *)(~(uintptr_t)0 - 15),
		(char *)0xdeadbeef00000000,
		(char *)0x800000000000,
	};

	m->named = wild[m->offset];
	free(launder(wild[m->offset]));
}

static void free_of_a_foreign_pointer_26(void)
{
	size_t i;

	for (i = 0; i < 12; i++)
		must_be_caught(foreign, 0, i);
}

static void realloc_foreign(struct misuse *m)
{
	m->named = static_block + 1024;
	CHECK(!realloc(launder(static_block + 1024), 100));
}

static void realloc_of_a_foreign_pointer_26(void)
{
	must_be_caught(realloc_foreign, 0, 0);
}

static void realloc_interior(struct misuse *m)
{
	char *p = malloc(m->size);

	CHECK(p);
	m->named = p + 16;
	/* For a small block the pointer is caught at the flush. */
	if (!realloc(launder(p + 16), m->size * 3))
		return;
}

static void realloc_of_an_interior_pointer_14(void)
{
	size_t i;

	for (i = 0; i < SIZES; i++)
		must_be_caught(realloc_interior, sizes[i], 16);
}

static void realloc_freed(struct misuse *m)
{
	char *p = malloc(m->size);

	CHECK(p);
	m->named = p;
	free(p);
	CHECK(!realloc(launder(p), m->size * 3));
}

/* The pages of a whale are known exactly, and so are those of a run. */
static void realloc_of_a_freed_large_block(void)
{
	must_be_caught(realloc_freed, 2 * MIB, 0);
	must_be_caught(realloc_freed, 5 * MIB, 0);
}

static void unmapped(struct misuse *m)
{
	char *p = malloc(m->size);

	CHECK(p);
	memset(p, 1, m->size);
	free(p);
	malloc_trim(0);
	m->named = p;
	free(launder(p));
}

/* Its region was evicted or unmapped: the check must not crash. */
static void double_free_after_trim(void)
{
	must_be_caught(unmapped, 2 * MIB, 0);
	must_be_caught(unmapped, 40 * MIB, 0);
}

static void zero_size(struct misuse *m)
{
	char *p = malloc(0);

	m->named = p;
	free(p);
	free(launder(p));
}

static void double_free_of_an_empty_block(void)
{
	must_be_caught(zero_size, 0, 0);
}

/* The link of a freed run: nothing, a run in use, memory that is not the allocator's. */
static void *wrong_link(struct misuse *m)
{
	switch (m->offset) {
	case 0:
		return (void *)0x41414141000;
	case 1:
		return malloc(m->size);
	default:
		return static_block + 4096;
	}
}

static void *write_after_free(struct misuse *m)
{
	void **p = malloc(m->size), *link = wrong_link(m);

	CHECK(p && link);
	m->named = link;
	free(p);
	p = launder(p);
	*p = link;
	return p;
}

static void written_then_taken(struct misuse *m)
{
	void *p = write_after_free(m), *q = malloc(m->size), *r = malloc(m->size);

	CHECK(q == p && r && r != m->named && r != q);
	memset(r, 1, m->size);
	free(q);
	free(r);
}

static void written_then_flushed(struct misuse *m)
{
	write_after_free(m);
}

static void run_written_after_free(void)
{
	static const size_t of_runs[] = { 20000, 65536, 200000, 800000 };
	size_t i, link;

	for (i = 0; i < sizeof(of_runs) / sizeof(of_runs[0]); i++) {
		for (link = 0; link < 3; link++) {
			must_be_caught(written_then_taken, of_runs[i], link);
			must_be_caught(written_then_flushed, of_runs[i], link);
		}
	}
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

/* Behind the last block of a slab there is a rest as far from the first as a block would be. */
static void behind_the_last(struct misuse *m)
{
	enum { N = 4000 };
	static char *p[N];
	size_t i, step;

	for (i = 0; i < N; i++)
		CHECK((p[i] = malloc(m->size)) != NULL);
	step = malloc_usable_size(p[0]);
	qsort(p, N, sizeof(p[0]), by_address);
	for (i = 0; i + 1 < N; i++) {
		size_t gap = (size_t)(p[i + 1] - p[i]);

		if (gap < step + 16 || gap >= 2 * step)
			continue;
		m->named = p[i] + step;
		free(launder(p[i] + step));
		return;
	}
	CHECK(0, "blocks of %zu bytes and no rest behind any", m->size);
}

static void free_behind_the_last_block_14(void)
{
	must_be_caught(behind_the_last, 48, 0);
	must_be_caught(behind_the_last, 112, 0);
}

/* A false alarm would be worse than a miss: data that looks like freed blocks. */
static void no_false_alarm(void)
{
	static void *keep[256];
	size_t i, k, n;

	need_hakmem();
	for (k = 0; k < 2000; k++) {
		n = 16 + k % 64 * 16;
		for (i = 0; i < 256; i++) {
			char *p = malloc(n);
			char was[1024];

			/* The program restores the stale content of a freed block. */
			CHECK(p);
			memcpy(was, p, n);
			free(p);
			p = malloc(n);
			CHECK(p);
			memcpy(p, was, n);
			keep[i] = p;
		}
		for (i = 0; i < 256; i++)
			free(keep[i]);
	}
}

static void to_slabs(void)
{
	int (*purge)(int, uint64_t *) =
		(int (*)(int, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_purge");

	CHECK(purge(1 /* CACHE: no page is given back */, NULL) == 0);
}

/* So many blocks lie on each page that no page becomes free as a whole. */
enum { OF_SLABS = 4000 };
static char *of_slabs[OF_SLABS];

static void fill_slabs(size_t size)
{
	for (size_t i = 0; i < OF_SLABS; i++)
		CHECK((of_slabs[i] = malloc(size)) != NULL);
	for (size_t i = 0; i < OF_SLABS; i++)
		if (i % 3)
			free(of_slabs[i]);
	to_slabs();
}

/* The block is back in its slab and is freed again: it is on that list twice. */
static void freed_again_in_its_slab(struct misuse *m)
{
	fill_slabs(m->size);
	m->named = of_slabs[10];
	free(launder(of_slabs[10]));
	to_slabs();
	malloc_trim(0);
}

static void double_free_of_a_block_in_its_slab(void)
{
	if (HAK_DEBUG)
		SKIP("an assertion finds it before");
	must_be_caught(freed_again_in_its_slab, 64, 0);
	must_be_caught(freed_again_in_its_slab, 1024, 0);
}

static pthread_barrier_t turn;

static void *fills_slabs(void *arg)
{
	fill_slabs(((struct misuse *)arg)->size);
	return NULL;
}

/* The block's link leads from the slab's list into this thread's cache, to another slab's block. */
static void *frees_again(void *arg)
{
	struct misuse *m = arg;
	void *own = malloc(m->size);

	CHECK(own);
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	free(launder(own));
	free(launder(m->named));
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	return NULL;
}

static void freed_again_by_a_thread_that_sleeps(struct misuse *m)
{
	pthread_t owner, other;

	CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
	CHECK(pthread_create(&other, NULL, frees_again, m) == 0);
	pthread_barrier_wait(&turn);
	CHECK(pthread_create(&owner, NULL, fills_slabs, m) == 0);
	CHECK(pthread_join(owner, NULL) == 0);
	m->named = of_slabs[10];
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
	malloc_trim(0);
	pthread_barrier_wait(&turn);
	CHECK(pthread_join(other, NULL) == 0);
}

static void double_free_of_a_block_in_the_pool(void)
{
	if (HAK_DEBUG)
		SKIP("an assertion finds it before");
	must_be_caught(freed_again_by_a_thread_that_sleeps, 64, 0);
	must_be_caught(freed_again_by_a_thread_that_sleeps, 1024, 0);
}

struct record {
	uint64_t id, rarely_set, body[6];
};

/*
 * Copies of memory that the program never wrote. Content that an allocator left in an earlier use
 * of the memory proves nothing at another address, nor in a later use.
 */
static void no_false_alarm_for_stale_memory(void)
{
	enum { N = 200000, RECORDS = 200 };
	static const size_t untouched[] = { 32, 64, 1024, 12800, 16384, 20000, 100000, 900000 };
	static void *p[N];
	struct record *all, *copy[RECORDS];
	size_t i, k, stale = 0;

	need_hakmem();
	for (i = 0; i < N; i++)
		CHECK((p[i] = malloc(16)) != NULL);
	for (i = 0; i < N; i++)
		free(p[i]);
	to_slabs();
	all = launder(malloc(RECORDS * sizeof(*all)));
	CHECK(all);
	for (i = 0; i < RECORDS; i++) {
		all[i].id = i;
		stale += all[i].rarely_set != 0;
	}
	CHECK(stale > RECORDS / 2, "only %zu records lie where blocks were", stale);
	/* Many classes: some of their slabs are neighbours of the slab with the records. */
	for (k = 0; k < 200; k++) {
		for (i = 0; i < RECORDS; i++) {
			CHECK((copy[i] = malloc(sizeof(*all) * (1 + k % 40))) != NULL);
			memcpy(copy[i], &all[i], sizeof(*all));
		}
		for (i = 0; i < RECORDS; i++)
			free(copy[i]);
	}
	free(all);
	for (i = 0; i < sizeof(untouched) / sizeof(untouched[0]); i++) {
		to_slabs();
		for (k = 0; k < 100; k++)
			CHECK((p[k] = malloc(untouched[i])) != NULL);
		for (k = 0; k < 100; k++)
			free(p[k]);
	}
}

#define REPORT "check.free=report"
#define OFF    "check.free=off"
#define IN_EACH_MODE(name, fn)                                  \
	{ name, fn, 120 }, { name "_report", fn, 120, REPORT }, \
	{                                                       \
		name "_off", fn, 120, OFF                       \
	}

static const struct tcase cases[] = {
	IN_EACH_MODE("free_of_an_interior_pointer_14", free_of_an_interior_pointer_14),
	IN_EACH_MODE("free_inside_an_aligned_block_14", free_inside_an_aligned_block_14),
	IN_EACH_MODE("double_free_at_once", double_free_at_once),
	IN_EACH_MODE("double_free_of_a_cached_block", double_free_of_a_cached_block),
	IN_EACH_MODE("double_free_by_another_thread", double_free_by_another_thread),
	IN_EACH_MODE("free_of_a_foreign_pointer_26", free_of_a_foreign_pointer_26),
	IN_EACH_MODE("realloc_of_a_foreign_pointer_26", realloc_of_a_foreign_pointer_26),
	IN_EACH_MODE("realloc_of_an_interior_pointer_14", realloc_of_an_interior_pointer_14),
	IN_EACH_MODE("realloc_of_a_freed_large_block", realloc_of_a_freed_large_block),
	IN_EACH_MODE("double_free_after_trim", double_free_after_trim),
	IN_EACH_MODE("double_free_of_an_empty_block", double_free_of_an_empty_block),
	IN_EACH_MODE("double_free_of_a_block_in_its_slab", double_free_of_a_block_in_its_slab),
	IN_EACH_MODE("double_free_of_a_block_in_the_pool", double_free_of_a_block_in_the_pool),
	IN_EACH_MODE("run_written_after_free", run_written_after_free),
	IN_EACH_MODE("free_behind_the_last_block_14", free_behind_the_last_block_14),
	{ "no_false_alarm", no_false_alarm },
	{ "no_false_alarm_for_stale_memory", no_false_alarm_for_stale_memory, 0,
	  "purge.delay_ms=1d" },
};

MAIN(cases)
