// SPDX-License-Identifier: MIT
/*
 * idle - how much memory stays after most of it was freed.
 *
 * Fills --bytes with blocks and frees all but --keep percent. Blocks are kept in runs (of every
 * --run blocks in order of allocation the first few: whole pages become free in between) or at
 * random (nearly every page keeps a block). The blocks are linked through their first words; no
 * array of the harness adds to the figures, read at four points:
 *
 *	rss_freed_kib	right after the last free
 *	rss_asleep_kib	after --asleep-ms without a single call
 *	rss_idle_kib	after --idle-ms of light traffic, --stir malloc+free pairs of many
 *			sizes every 10 ms: allocators purge by time only when called
 *	rss_trim_kib	after malloc_trim(0), which only some allocators honour
 */
#include "bench.h"
#include <malloc.h>

enum pattern { RUNS, RANDOM };

static const char *const pattern_names[] = { "runs", "random", NULL };

static uint64_t bytes = 1 << 30, size = 100, keep = 5, length = 4000, pattern;
static uint64_t asleep = 500, light = 2000, stir = 500;

static const struct bench_option options[] = {
	{ "bytes", &bytes, "sum of the blocks", NULL, false },
	{ "size", &size, "of a block", NULL, false },
	{ "keep", &keep, "percent that stay", NULL, false },
	{ "pattern", &pattern, "which stay", pattern_names, false },
	{ "run", &length, "period of --pattern runs, in blocks", NULL, false },
	{ "asleep-ms", &asleep, "time without calls", NULL, false },
	{ "idle-ms", &light, "time with light traffic", NULL, false },
	{ "stir", &stir, "pairs every 10 ms of light traffic", NULL, false },
	{ 0 },
};

struct block {
	struct block *next;
};

static struct block *fill(uint64_t n)
{
	struct block *first = NULL, **link = &first;

	for (uint64_t i = 0; i < n; i++) {
		struct block *block = bench_malloc(size);

		memset(block, 0xa5, size);
		*link = block;
		link = &block->next;
	}
	*link = NULL;
	return first;
}

/* Returns what stays, still linked. */
static struct block *thin_out(struct block *block)
{
	struct block *first = NULL, **link = &first, *next;
	struct bench_rng rng = bench_rng(7);

	for (uint64_t i = 0; block; i++, block = next) {
		bool stays = bench_below(&rng, 100) < keep;

		if (pattern == RUNS)
			stays = i % length * 100 < keep * length;
		next = block->next;
		if (stays) {
			*link = block;
			link = &block->next;
		} else {
			free(block);
		}
	}
	*link = NULL;
	return first;
}

static void light_traffic(void)
{
	struct bench_rng rng = bench_rng(8);
	void *blocks[16] = { NULL };

	for (uint64_t slept = 0; slept < light; slept += 10) {
		bench_sleep_ms(10);
		for (uint64_t i = 0; i < stir; i++) {
			void **block = &blocks[i % BENCH_ARRAY_SIZE(blocks)];

			free(*block);
			*block = bench_malloc(bench_log_uniform(&rng, 16, 16 << 10));
		}
	}
	for (unsigned int i = 0; i < BENCH_ARRAY_SIZE(blocks); i++)
		free(blocks[i]);
}

int main(int argc, char **argv)
{
	struct bench_phase phase;
	struct block *kept;
	uint64_t count = 0;

	bench_init(argc, argv, options);
	if (size < sizeof(struct block) || bytes < size || keep > 100 || !length)
		bench_die("--size, --bytes, --keep and --run make no sense");
	phase = bench_begin(0, 0);
	phase.done = bytes / size;
	kept = fill(phase.done);
	bench_print("rss_full_kib", (double)bench_rss_kib());
	kept = thin_out(kept);
	bench_end(&phase);
	bench_print("rss_freed_kib", (double)bench_rss_kib());
	bench_sleep_ms(asleep);
	bench_print("rss_asleep_kib", (double)bench_rss_kib());
	light_traffic();
	bench_print("rss_idle_kib", (double)bench_rss_kib());
	malloc_trim(0);
	bench_print("rss_trim_kib", (double)bench_rss_kib());
	for (; kept; kept = kept->next)
		count++;
	bench_print("kept_kib", (double)(count * size) / 1024);
	bench_report(&phase);
	return 0;
}
