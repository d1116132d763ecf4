// SPDX-License-Identifier: MIT
/*
 * churn - one thread allocates a batch of small blocks and frees it, over and over.
 *
 * The order of freeing is that of a stack (lifo), of a queue (fifo) or random. A batch of 1 is
 * the bare malloc+free pair; 100 fits every thread cache; 20,000 overflows it, so that refill and
 * flush are measured. The first word of each block is written, as any program would.
 */
#include "bench.h"

enum order { LIFO, FIFO, RANDOM };

static const char *const order_names[] = { "lifo", "fifo", "random", NULL };

static uint64_t batch = 100, ops, ms = 400, min = 16, max = 256, how, null;

static const struct bench_option options[] = {
	{ "batch", &batch, "blocks allocated before they are freed", NULL, false },
	{ "order", &how, "order of freeing", order_names, false },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ "ops", &ops, "pairs to do, 0: as many as fit in --ms", NULL, false },
	{ "ms", &ms, "time to measure", NULL, false },
	{ "null", &null, "the loop alone: no allocator is called", NULL, true },
	{ 0 },
};

static uint32_t sizes[BENCH_SIZES];
static uint32_t *order;
static void **blocks;

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

	for (uint32_t i = 0; i < n; i++) {
		void *p = alloc(sizes[(first + i) % BENCH_SIZES]);

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

int main(int argc, char **argv)
{
	struct bench_phase warm, phase;

	bench_init(argc, argv, options);
	if (!batch || batch > 1u << 28)
		bench_die("--batch: from 1 to 2^28");
	bench_fill_sizes(sizes, min, max, 1);
	blocks = bench_map(batch * sizeof(*blocks));
	order = bench_map(batch * sizeof(*order));
	bench_shuffle(order, (uint32_t)batch, 2);

	warm = run(ops / 10, ms / 5);
	phase = run(ops, ms);
	bench_print("total_ops", (double)(warm.done + phase.done));
	bench_report(&phase);
	return 0;
}
