// SPDX-License-Identifier: MIT
/*
 * grow - buffers that grow by realloc, several at a time.
 *
 * --by factor: by half at each step, as a vector does; --by step: by --step bytes, as a program
 * that appends to a string or a log. Each page of the new part is written. Buffers grow in turn,
 * so that none of them owns the end of the heap and growing in place must be earned.
 */
#include "bench.h"

enum by { FACTOR, STEP };

static const char *const by_names[] = { "factor", "step", NULL };

static uint64_t buffers = 8, from = 16, to = 16 << 20, by, step = 16, ops, ms = 400;

static const struct bench_option options[] = {
	{ "buffers", &buffers, "buffers that grow in turn", NULL, false },
	{ "from", &from, "first size", NULL, false },
	{ "to", &to, "size at which a buffer is freed", NULL, false },
	{ "by", &by, "growth", by_names, false },
	{ "step", &step, "bytes for --by step", NULL, false },
	{ "ops", &ops, "reallocs to do, 0: as many as fit in --ms", NULL, false },
	{ "ms", &ms, "time to measure", NULL, false },
	{ 0 },
};

static char **blocks;

static inline void touch_new(char *p, size_t old, size_t size, size_t page)
{
	for (size_t at = (old + page - 1) / page * page; at < size; at += page)
		p[at] = 1;
	p[size - 1] = 1;
}

/* All buffers from the first size to the last; returns the number of reallocs. */
static uint64_t grow_once(size_t page)
{
	uint64_t done = 0;
	size_t size = from;

	for (uint64_t i = 0; i < buffers; i++) {
		blocks[i] = bench_malloc(size);
		blocks[i][0] = 1;
	}
	while (size < to) {
		size_t next = by == FACTOR ? size + size / 2 : size + step;

		for (uint64_t i = 0; i < buffers; i++) {
			char *p = realloc(blocks[i], next);

			if (!p)
				bench_die("realloc to %zu bytes failed", next);
			if (p[0] != 1 || (size > from && p[size - 1] != 1))
				bench_die("realloc lost the contents");
			touch_new(p, size, next, page);
			blocks[i] = p;
			done++;
		}
		size = next;
	}
	for (uint64_t i = 0; i < buffers; i++)
		free(blocks[i]);
	return done;
}

static struct bench_phase run(uint64_t run_ops, uint64_t run_ms)
{
	struct bench_phase phase = bench_begin(run_ops, run_ms);
	size_t page = bench_page_size();

	while (bench_more(&phase))
		phase.done += grow_once(page);
	bench_end(&phase);
	return phase;
}

int main(int argc, char **argv)
{
	struct bench_phase phase;

	bench_init(argc, argv, options);
	if (!buffers || from < 2 || to <= from || !step)
		bench_die("--buffers, --from, --to and --step make no sense");
	blocks = bench_map(buffers * sizeof(*blocks));
	run(ops / 10, ms / 5);
	phase = run(ops, ms);
	bench_report(&phase);
	return 0;
}
