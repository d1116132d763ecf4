// SPDX-License-Identifier: MIT
/*
 * larson - a server: threads that replace random blocks, and threads that inherit them.
 *
 * After Larson and Krishnan, "Memory allocation for long-running server applications" (1998).
 * Each thread owns an array of blocks and replaces random ones; after its share it starts a
 * successor, hands it the array and exits, so that blocks are freed by threads which did not
 * allocate them and heaps outlive their threads. The main thread allocates the first blocks.
 *
 * Unlike the original the work is fixed, not the time: the result is wall time per replacement
 * over all threads together.
 */
#include "bench.h"
#include <pthread.h>
#include <semaphore.h>

static uint64_t threads = 4, generations = 10, count = 5000, ops = 4000000, min = 8, max = 1000;

static const struct bench_option options[] = {
	{ "threads", &threads, "threads at a time", NULL, false },
	{ "generations", &generations, "threads in a row for each of them", NULL, false },
	{ "count", &count, "live blocks of each thread", NULL, false },
	{ "ops", &ops, "blocks to replace, by all threads together", NULL, false },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ 0 },
};

struct line { /* of succession */
	void **blocks;
	struct bench_rng rng;
	uint64_t generations_left;
	uint64_t done;
};

static sem_t finished;

static void *serve(void *arg);

static void start(struct line *line)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, serve, line);
	if (r)
		bench_die("pthread_create: %s", strerror(r));
	pthread_attr_destroy(&attr);
}

static void *serve(void *arg)
{
	struct line *line = arg;
	struct bench_rng rng = line->rng;
	uint64_t share = ops / threads / generations;

	for (uint64_t i = 0; i < share; i++) {
		uint32_t at = bench_below(&rng, (uint32_t)count);
		char *p;

		free(line->blocks[at]);
		p = bench_malloc(bench_uniform(&rng, min, max));
		*p = 1;
		line->blocks[at] = p;
	}
	line->rng = rng;
	line->done += share;
	if (--line->generations_left)
		start(line);
	else
		sem_post(&finished);
	return NULL;
}

int main(int argc, char **argv)
{
	struct bench_rng rng = bench_rng(5);
	struct bench_phase phase;
	struct line *lines;
	uint32_t *order;
	uint64_t total;
	void **blocks;

	bench_init(argc, argv, options);
	total = threads * count;
	if (!total || total > UINT32_MAX || !generations || ops < threads * generations)
		bench_die("--threads, --count, --generations, --ops: too small or too large");
	if (!min || min > max || max >= UINT32_MAX)
		bench_die("--min and --max make no sense");
	lines = bench_map(threads * sizeof(*lines));
	blocks = bench_map(total * sizeof(*blocks));
	order = bench_map(total * sizeof(*order));
	bench_shuffle(order, (uint32_t)total, 6);
	for (uint64_t i = 0; i < total; i++)
		blocks[order[i]] = bench_malloc(bench_uniform(&rng, min, max));
	sem_init(&finished, 0, 0);

	phase = bench_begin(ops, 0);
	for (uint64_t i = 0; i < threads; i++) {
		lines[i] = (struct line){
			.blocks = blocks + i * count,
			.rng = bench_rng(100 + i),
			.generations_left = generations,
		};
		start(&lines[i]);
	}
	for (uint64_t i = 0; i < threads; i++)
		while (sem_wait(&finished))
			;
	for (uint64_t i = 0; i < threads; i++)
		phase.done += lines[i].done;
	bench_end(&phase);
	bench_report(&phase);
	return 0;
}
