// SPDX-License-Identifier: MIT
/*
 * whale - one thread allocates, touches and frees large blocks.
 *
 * With one size it is the 2 MiB scenario. With N distinct sizes, cycled in ascending order, it is
 * the eviction-heavy one: a cache of fewer than N regions without reuse across sizes misses every
 * time. Size number i is --size plus i times --step. With --live N the block freed is not the
 * last one but the one N before, so that N are in use and none can sit alone at the heap's end.
 */
#include "bench.h"

static uint64_t size = 2 << 20, step = 256 << 10, count = 1, live = 1;
static uint64_t ops, ms = 400, touch, zero;

static const struct bench_option options[] = {
	{ "size", &size, "smallest size", NULL, false },
	{ "step", &step, "from one size to the next", NULL, false },
	{ "count", &count, "distinct sizes", NULL, false },
	{ "live", &live, "blocks in use", NULL, false },
	{ "touch", &touch, "what is written", bench_touch_names, false },
	{ "calloc", &zero, "calloc instead of malloc", NULL, true },
	{ "ops", &ops, "blocks to allocate, 0: as many as fit in --ms", NULL, false },
	{ "ms", &ms, "time to measure", NULL, false },
	{ 0 },
};

static void **blocks;

/* Every size once more, so that each phase has the same mix of sizes. */
static void cycle(size_t page)
{
	static uint64_t slot;

	for (uint64_t i = 0; i < count; i++) {
		size_t bytes = size + i * step;
		void *p;

		free(blocks[slot]);
		p = zero ? calloc(1, bytes) : malloc(bytes);
		if (!p)
			bench_die("allocating %zu bytes failed", bytes);
		bench_touch(p, bytes, (enum bench_touch)touch, page);
		blocks[slot] = p;
		if (++slot == live)
			slot = 0;
	}
}

static struct bench_phase run(uint64_t run_ops, uint64_t run_ms)
{
	struct bench_phase phase = bench_begin(run_ops, run_ms);
	size_t page = bench_page_size();
	/* Reading the clock costs 30 ns, as much as the cheapest pair: look once in 256 or more. */
	uint64_t chunk = touch == BENCH_TOUCH_PAGES ? 1 : (255 + count) / count;

	while (bench_more(&phase)) {
		for (uint64_t i = 0; i < chunk; i++)
			cycle(page);
		phase.done += chunk * count;
	}
	bench_end(&phase);
	return phase;
}

int main(int argc, char **argv)
{
	struct bench_phase warm, phase;

	bench_init(argc, argv, options);
	if (!size || !count || !live)
		bench_die("--size, --count and --live: at least 1");
	blocks = bench_map(live * sizeof(*blocks));
	/* Each size must have been seen a few times before measuring. */
	warm = run(ops ? ops / 10 : 4 * count, ms / 5);
	phase = run(ops, ms);
	bench_print("total_ops", (double)(warm.done + phase.done));
	bench_report(&phase);
	return 0;
}
