// SPDX-License-Identifier: MIT
/*
 * live - one thread holds N live blocks and replaces a random one at each step.
 *
 * What a cache or an object graph does to its allocator: frees hit blocks that left the
 * processor's caches long ago, so the memory touched besides the block decides. The number of
 * steps is fixed, for the state reached, and with it the peak memory, depends on it.
 */
#include "bench.h"

static uint64_t count = 100000, ops = 10000000, min = 16, max = 128, null;

static const struct bench_option options[] = {
	{ "count", &count, "live blocks", NULL, false },
	{ "ops", &ops, "blocks to replace", NULL, false },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ "null", &null, "the loop alone: no allocator is called", NULL, true },
	{ 0 },
};

static uint32_t sizes[BENCH_SIZES];
static void **blocks;

typedef void *alloc_fn(size_t size);
typedef void free_fn(void *block);

static inline __attribute__((always_inline)) void replace(struct bench_rng *rng, uint64_t n,
							  alloc_fn *alloc, free_fn *release)
{
	uint32_t slots = (uint32_t)count;
	void **const block = blocks;

	for (uint64_t i = 0; i < n; i++) {
		uint32_t at = bench_below(rng, slots);
		void *p;

		release(block[at]);
		p = alloc(sizes[i % BENCH_SIZES]);
		if (__builtin_expect(!p, 0))
			bench_die("malloc failed");
		*(uint64_t *)p = i;
		block[at] = p;
	}
}

static struct bench_phase run(struct bench_rng *rng, uint64_t n)
{
	struct bench_phase phase = bench_begin(n, 0);

	if (null)
		replace(rng, n, bench_null_malloc, bench_null_free);
	else
		replace(rng, n, malloc, free);
	phase.done = n;
	bench_end(&phase);
	return phase;
}

int main(int argc, char **argv)
{
	struct bench_rng rng = bench_rng(3);
	struct bench_phase warm, phase;
	uint64_t bytes = 0;

	bench_init(argc, argv, options);
	if (!count || count > UINT32_MAX || !ops)
		bench_die("--count and --ops: at least 1, and count below 2^32");
	bench_fill_sizes(sizes, min, max, 1);
	blocks = bench_map(count * sizeof(*blocks));
	for (uint64_t i = 0; i < count; i++) {
		blocks[i] = null ? bench_null_block : bench_malloc(sizes[i % BENCH_SIZES]);
		*(uint64_t *)blocks[i] = i;
		bytes += sizes[i % BENCH_SIZES];
	}

	/* Replace each block about once first, or the heap still lies in order of allocation. */
	warm = run(&rng, count);
	phase = run(&rng, ops);
	bench_print("total_ops", (double)(warm.done + phase.done));
	bench_print("live_kib", (double)bytes / 1024);
	bench_report(&phase);
	return 0;
}
