// SPDX-License-Identifier: MIT
/*
 * churn - each thread allocates a batch of small blocks and frees it, over and over.
 *
 * The order of freeing is that of a stack (lifo), of a queue (fifo) or random. A batch of 1 is
 * the bare malloc+free pair; 100 fits every thread cache; 20,000 overflows it, so that refill and
 * flush are measured. With --turn all blocks of a batch have one size, and the next batch has
 * another. The first word of each block is written, as any program would.
 */
#include "bench.h"
#include <pthread.h>

enum order { LIFO, FIFO, RANDOM };

static const char *const order_names[] = { "lifo", "fifo", "random", NULL };

#define THREADS_MAX 64

static uint64_t batch = 100, ops, ms = 400, min = 16, max = 256, how, null, threads = 1, turn;

static const struct bench_option options[] = {
	{ "batch", &batch, "blocks allocated before they are freed", NULL, false },
	{ "order", &how, "order of freeing", order_names, false },
	{ "threads", &threads, "threads, each with batches of its own", NULL, false },
	{ "turn", &turn, "one size for a batch, another for the next", NULL, true },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ "ops", &ops, "pairs to do, 0: as many as fit in --ms", NULL, false },
	{ "ms", &ms, "time to measure", NULL, false },
	{ "null", &null, "the loop alone: no allocator is called", NULL, true },
	{ 0 },
};

static uint32_t sizes[BENCH_SIZES];
static uint32_t *order;
static __thread void **blocks;

typedef void *alloc_fn(size_t size);
typedef void free_fn(void *block);

/* Inlined with constant functions: the calls are direct in each copy. */
static inline __attribute__((always_inline)) void pairs(uint32_t n, uint32_t first, alloc_fn *alloc,
							free_fn *release)
{
	for (uint32_t i = 0; i < n; i++) {
		void *p = alloc(sizes[(first + i) % BENCH_SIZES]);

		if (__builtin_expect(!p, 0))
			bench_die("malloc failed");
		*(uint64_t *)p = i;
		release(p);
	}
}

static inline __attribute__((always_inline)) void one_batch(uint32_t n, uint32_t first,
							    alloc_fn *alloc, free_fn *release)
{
	void **const block = blocks;
	const uint32_t *const at = order;
	const uint32_t step = !turn;

	for (uint32_t i = 0, k = first; i < n; i++, k += step) {
		void *p = alloc(sizes[k % BENCH_SIZES]);

		if (__builtin_expect(!p, 0))
			bench_die("malloc failed");
		*(uint64_t *)p = i;
		block[i] = p;
	}
	switch ((enum order)how) {
	case LIFO:
		for (uint32_t i = n; i > 0; i--)
			release(block[i - 1]);
		break;
	case FIFO:
		for (uint32_t i = 0; i < n; i++)
			release(block[i]);
		break;
	case RANDOM:
		for (uint32_t i = 0; i < n; i++)
			release(block[at[i]]);
		break;
	}
}

/* About 10,000 pairs, which is how often the clock is looked at; returns how many. */
static inline __attribute__((always_inline)) uint32_t stretch(uint32_t first, alloc_fn *alloc,
							      free_fn *release)
{
	uint32_t n = (uint32_t)batch, done = 0;

	if (n == 1) {
		pairs(10000, first, alloc, release);
		return 10000;
	}
	for (; done < 10000; done += n)
		one_batch(n, first + done, alloc, release);
	return done;
}

static struct bench_phase run(uint64_t run_ops, uint64_t run_ms)
{
	struct bench_phase phase = bench_begin(run_ops, run_ms);
	uint32_t first = 0, n;

	while (bench_more(&phase)) {
		n = null ? stretch(first, bench_null_malloc, bench_null_free)
			 : stretch(first, malloc, free);
		first += n;
		phase.done += n;
	}
	bench_end(&phase);
	return phase;
}

static struct bench_phase warm[THREADS_MAX], phase[THREADS_MAX];
static pthread_barrier_t warmed;

static void *churn(void *arg)
{
	size_t i = (size_t)arg;

	blocks = bench_map(batch * sizeof(*blocks));
	warm[i] = run(ops / threads / 10, ms / 5);
	pthread_barrier_wait(&warmed);
	phase[i] = run(ops / threads, ms);
	return NULL;
}

/* The phase of all threads together: from the first one's start to the last one's end. */
static struct bench_phase all_threads(pthread_t *thread)
{
	struct bench_phase all;

	for (size_t i = 1; i < threads; i++)
		if (pthread_create(&thread[i], NULL, churn, (void *)i))
			bench_die("pthread_create failed");
	churn(NULL);
	for (size_t i = 1; i < threads; i++)
		if (pthread_join(thread[i], NULL))
			bench_die("pthread_join failed");
	all = phase[0];
	for (size_t i = 1; i < threads; i++) {
		all.done += phase[i].done;
		if (phase[i].start.wall_ns < all.start.wall_ns)
			all.start = phase[i].start;
		if (phase[i].end.wall_ns > all.end.wall_ns)
			all.end = phase[i].end;
	}
	return all;
}

int main(int argc, char **argv)
{
	static pthread_t thread[THREADS_MAX];
	struct bench_phase all;
	uint64_t warmed_ops = 0;

	bench_init(argc, argv, options);
	if (!batch || batch > 1u << 28)
		bench_die("--batch: from 1 to 2^28");
	if (!threads || threads > THREADS_MAX || (ops && ops < threads))
		bench_die("--threads: from 1 to %d, and not more than --ops", THREADS_MAX);
	bench_fill_sizes(sizes, min, max, 1);
	order = bench_map(batch * sizeof(*order));
	bench_shuffle(order, (uint32_t)batch, 2);
	if (pthread_barrier_init(&warmed, NULL, (unsigned int)threads))
		bench_die("pthread_barrier_init failed");

	all = all_threads(thread);
	for (size_t i = 0; i < threads; i++)
		warmed_ops += warm[i].done;
	bench_print("total_ops", (double)(warmed_ops + all.done));
	bench_report(&all);
	return 0;
}
