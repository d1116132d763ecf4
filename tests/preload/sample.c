// SPDX-License-Identifier: MIT
/*
 * Sampled allocations (profile.sample_bytes). All that is allocated is estimated without bias,
 * within a stated bound, for every call that allocates; the free of each sampled block is seen;
 * sampled blocks behave as others do. The library's random numbers begin at a heap's index, so a
 * case without threads or fork has the same samples each time.
 */
#include "harness.h"

#include <math.h>
#include <pthread.h>

#include "hakmem.h"

enum { SLOTS = 4000, THREADS = 4 };

static uint64_t counter(const char *name)
{
	static int (*get)(const char *, uint64_t *);
	uint64_t v = 0;

	if (!get)
		*(void **)&get = dlsym(RTLD_DEFAULT, "hakmem_counter");
	CHECK(get);
	if (get(name, &v) == -EOPNOTSUPP)
		SKIP("built without control");
	return v;
}

static void set(uint64_t bytes)
{
	int (*f)(const char *, uint64_t);

	*(void **)&f = dlsym(RTLD_DEFAULT, "hakmem_set");
	CHECK(f && f("profile.sample_bytes", bytes) == 0);
}

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly small sizes, of every tier. */
static size_t any_size(uint64_t *state)
{
	uint64_t r = next(state);

	switch (r % 64) {
	case 0:
		return (r >> 8) % (3 * MIB) + 1;
	case 1:
	case 2:
		return (r >> 8) % (200 * KIB) + 1;
	case 3 ... 12:
		return (r >> 8) % (16 * KIB) + 1;
	default:
		return (r >> 8) % 600 + 1;
	}
}

/* The sum of malloc_usable_size() of all blocks handed out, in place of the library's own sums. */
struct books {
	double bytes;
	uint64_t blocks;
};

static void *book(struct books *b, void *p)
{
	CHECK(p);
	b->bytes += (double)malloc_usable_size(p);
	b->blocks++;
	return p;
}

/*
 * A sum of weights has a variance of at most sample_bytes times what it estimates: each block's
 * number of points is Poisson distributed. Five standard deviations: by chance 1 in 1.7 million.
 */
static void check_estimate(const char *what, double estimate, double truth, double sample)
{
	double bound = 5 * sqrt(sample * truth);

	say("# %s: %.0f bytes, estimated %.0f, bound %.0f\n", what, truth, estimate, bound);
	CHECK(fabs(estimate - truth) <= bound, "%s: %.0f bytes estimated as %.0f, bound %.0f", what,
	      truth, estimate, bound);
}

static double sample_bytes(void)
{
	return strtod(strchr(getenv("HAKMEM"), '=') + 1, NULL);
}

static void paint(unsigned char *p, size_t n, unsigned char with)
{
	memset(p, with, n);
}

static void check_paint(const unsigned char *p, size_t n, unsigned char with)
{
	for (size_t i = 0; i<n; i += n> 4096 ? 509 : 1)
		CHECK(p[i] == with, "byte %zu of %zu", i, n);
}

/* ---- one thread ---- */

/* Allocates, frees and reallocates, and books the blocks handed out. */
static void churn(struct books *b, uint64_t seed, unsigned int rounds)
{
	static struct {
		unsigned char *p;
		size_t n;
	} slot[SLOTS];

	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int k = next(&seed) % SLOTS;
		size_t n = any_size(&seed);

		if (slot[k].p)
			check_paint(slot[k].p, slot[k].n, (unsigned char)k);
		free(slot[k].p);
		slot[k].p = NULL;
		if (next(&seed) % 3 == 0)
			continue;
		switch (next(&seed) % 4) {
		case 0:
			slot[k].p = book(b, calloc(1, n));
			check_paint(slot[k].p, malloc_usable_size(slot[k].p), 0);
			break;
		case 1: {
			size_t align = (size_t)16 << next(&seed) % 11;

			slot[k].p = book(b, aligned_alloc(align, n));
			CHECK((uintptr_t)slot[k].p % align == 0);
			break;
		}
		default:
			slot[k].p = book(b, malloc(n));
		}
		CHECK(malloc_usable_size(slot[k].p) >= n);
		slot[k].n = malloc_usable_size(slot[k].p);
		paint(slot[k].p, slot[k].n, (unsigned char)k);
	}
	for (unsigned int k = 0; k < SLOTS; k++) {
		free(slot[k].p);
		slot[k].p = NULL;
	}
}

static void estimate(void)
{
	struct books b = { 0 };

	need_hakmem();
	churn(&b, 1, 300000);
	check_estimate("allocated", (double)counter("profile.bytes"), b.bytes, sample_bytes());
	CHECK(counter("profile.samples") > 100);
	/* libc's own blocks stay in use */
	CHECK(counter("profile.samples") - counter("profile.frees") <= 3, "%llu are left",
	      (unsigned long long)(counter("profile.samples") - counter("profile.frees")));
}

/* One size after the other: the bias of a single class would vanish in the sum of all. */
static void each_class(void)
{
	static void *p[64];
	const size_t rounds = 60000;

	need_hakmem();
	for (size_t size = 16; size <= 16 * KIB; size += size / 2) {
		uint64_t before = counter("profile.bytes");
		double bytes = 0;

		for (size_t i = 0; i < rounds; i++) {
			free(p[i % 64]);
			p[i % 64] = malloc(size);
			bytes += (double)malloc_usable_size(p[i % 64]);
		}
		check_estimate("of one size", (double)(counter("profile.bytes") - before), bytes,
			       sample_bytes());
	}
	for (size_t i = 0; i < 64; i++)
		free(p[i]);
}

/* One block is freed and allocated at once, repeatedly: the bin never runs dry by itself. */
static void same_block(void)
{
	const size_t rounds = 1000000;
	uint64_t before;

	need_hakmem();
	before = counter("profile.bytes");
	for (size_t i = 0; i < rounds; i++)
		free(launder(malloc(opaque(100))));
	check_estimate("one block", (double)(counter("profile.bytes") - before),
		       (double)rounds * 112, sample_bytes());
}

/* The distance is so short that every block is sampled: the number is exact. */
static void every_block(void)
{
	struct books b = { 0 };
	uint64_t before, freed;

	need_hakmem();
	before = counter("profile.samples");
	freed = counter("profile.frees");
	churn(&b, 3, 30000);
	CHECK(counter("profile.samples") - before == b.blocks, "%llu of %llu",
	      (unsigned long long)(counter("profile.samples") - before),
	      (unsigned long long)b.blocks);
	CHECK(counter("profile.frees") - freed == b.blocks);
}

static void reallocated(void)
{
	unsigned char *p = malloc(100);
	uint64_t before, freed, moves = 0;

	need_hakmem();
	paint(p, 100, 7);
	before = counter("profile.samples");
	freed = counter("profile.frees");
	/* through all tiers, and back */
	for (size_t n = 150; n < 8 * MIB; n += n / 2) {
		p = realloc(p, n);
		moves++;
	}
	check_paint(p, 100, 7);
	p = realloc(p, 100);
	check_paint(p, 100, 7);
	moves++;
	free(p);
	CHECK(counter("profile.samples") - before <= moves);
	CHECK(counter("profile.samples") - before >= moves / 2);
	/* the first block, which was sampled before */
	CHECK(counter("profile.frees") - freed == counter("profile.samples") - before + 1);
}

/* A block that realloc cannot enlarge stays the same block, to a profiler too. */
static void not_reallocated(void)
{
	uint64_t before, freed;
	char *p, *q;

	need_hakmem();
	p = malloc(4 * MIB);
	q = malloc(4 * MIB);
	CHECK(p && q);
	before = counter("profile.samples");
	freed = counter("profile.frees");
	/* more than there are addresses */
	CHECK(!realloc(p, (size_t)1 << 47));
	CHECK(!realloc(q, (size_t)1 << 62));
	CHECK(counter("profile.samples") == before && counter("profile.frees") == freed);
	free(p);
	free(q);
	CHECK(counter("profile.frees") == freed + 2);
	CHECK(counter("profile.samples") == before);
}

static void on_and_off(void)
{
	struct books off = { 0 }, on = { 0 };
	uint64_t n;

	need_hakmem();
	churn(&off, 1, 20000);
	CHECK(counter("profile.samples") == 0);
	set(16384);
	churn(&on, 2, 50000);
	check_estimate("while on", (double)counter("profile.bytes"), on.bytes, 16384);
	set(0);
	n = counter("profile.samples");
	churn(&off, 1, 20000);
	CHECK(counter("profile.samples") == n && n > 100);
	CHECK(counter("profile.samples") - counter("profile.frees") <= 3);
}

/* ---- threads ---- */

static void *mailbox[1024];

static void *exchange_blocks(void *arg)
{
	struct books *b = arg;
	uint64_t seed = (uintptr_t)arg | 1;

	for (int i = 0; i < 60000; i++) {
		void *p = book(b, malloc(any_size(&seed) % 3000 + 1));

		*(volatile char *)p = 1;
		free(__atomic_exchange_n(&mailbox[next(&seed) % 1024], p, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

static void others_free(void)
{
	struct books b[THREADS] = { { 0 } };
	pthread_t thread[THREADS];
	double bytes = 0;

	need_hakmem();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < THREADS; i++)
			CHECK(!pthread_create(&thread[i], NULL, exchange_blocks, &b[i]));
		for (int i = 0; i < THREADS; i++)
			CHECK(!pthread_join(thread[i], NULL));
	}
	for (int i = 0; i < 1024; i++)
		free(mailbox[i]);
	for (int i = 0; i < THREADS; i++)
		bytes += b[i].bytes;
	check_estimate("by threads", (double)counter("profile.bytes"), bytes, sample_bytes());
	CHECK(counter("profile.samples") - counter("profile.frees") <= 8);
}

/* ---- fork ---- */

static void in_a_child(void)
{
	struct books before = { 0 }, after = { 0 };
	int status;
	pid_t pid;

	need_hakmem();
	churn(&before, 5, 20000);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct books b = { 0 };

		/* its counters begin at zero */
		churn(&b, 6, 100000);
		check_estimate("in the child", (double)counter("profile.bytes"), b.bytes,
			       sample_bytes());
		_exit(0);
	}
	churn(&after, 7, 100000);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	check_estimate("in the parent", (double)counter("profile.bytes"),
		       before.bytes + after.bytes, sample_bytes());
}

static const struct tcase cases[] = {
	{ "estimate", estimate, 120, "profile.sample_bytes=65536", NULL },
	{ "estimate_coarse", estimate, 120, "profile.sample_bytes=524288", NULL },
	{ "each_class", each_class, 120, "profile.sample_bytes=16384", NULL },
	{ "same_block", same_block, 120, "profile.sample_bytes=65536", NULL },
	{ "every_block", every_block, 120, "profile.sample_bytes=1", NULL },
	{ "reallocated", reallocated, 120, "profile.sample_bytes=1", NULL },
	{ "not_reallocated", not_reallocated, 120, "profile.sample_bytes=1", NULL },
	{ "on_and_off", on_and_off, 120, NULL, NULL },
	{ "others_free", others_free, 120, "profile.sample_bytes=32768", NULL },
	{ "in_a_child", in_a_child, 120, "profile.sample_bytes=65536", NULL },
};

int main(int argc, char **argv)
{
	return run_cases(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
