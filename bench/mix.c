// SPDX-License-Identifier: MIT
/*
 * mix - one thread keeps a set of large blocks of many sizes and replaces a random one at a time.
 *
 * Sizes are log-uniform, from runs of pages to blocks with mappings of their own, so that a large
 * cache must serve neighbours of different sizes and still hold memory down. The steps are fixed:
 * peak memory is part of the result.
 */
#include "bench.h"

static uint64_t count = 64, ops = 20000, min = 32 << 10, max = 8 << 20, touch = BENCH_TOUCH_ENDS;

static const struct bench_option options[] = {
	{ "count", &count, "live blocks", NULL, false },
	{ "ops", &ops, "blocks to replace", NULL, false },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ "touch", &touch, "what is written", bench_touch_names, false },
	{ 0 },
};

static uint32_t sizes[BENCH_SIZES];
static void **blocks;

static struct bench_phase run(struct bench_rng *rng, uint64_t n)
{
	struct bench_phase phase = bench_begin(n, 0);
	size_t page = bench_page_size();

	for (; phase.done < n; phase.done++) {
		uint32_t at = bench_below(rng, (uint32_t)count);
		size_t size = sizes[phase.done % BENCH_SIZES];

		free(blocks[at]);
		blocks[at] = bench_malloc(size);
		bench_touch(blocks[at], size, (enum bench_touch)touch, page);
	}
	bench_end(&phase);
	return phase;
}

int main(int argc, char **argv)
{
	struct bench_rng rng = bench_rng(4);
	struct bench_phase phase;

	bench_init(argc, argv, options);
	if (!count || count > UINT32_MAX || !ops)
		bench_die("--count and --ops: at least 1, and count below 2^32");
	bench_fill_sizes(sizes, min, max, 1);
	blocks = bench_map(count * sizeof(*blocks));
	run(&rng, ops / 10 + 4 * count);
	phase = run(&rng, ops);
	bench_report(&phase);
	return 0;
}
