// SPDX-License-Identifier: MIT
/*
 * threads - threads that come and go.
 *
 * Each thread allocates a few blocks, frees half of them and exits; the main thread frees the
 * other half after the thread is gone. So a heap is made, abandoned and should be adopted each
 * time. The result is wall time per thread; peak memory tells whether dead heaps are reused.
 */
#include "bench.h"
#include <pthread.h>

static uint64_t at_once = 4, ops = 20000, count = 64, min = 16, max = 1024;

static const struct bench_option options[] = {
	{ "at-once", &at_once, "threads alive at a time", NULL, false },
	{ "ops", &ops, "threads to start", NULL, false },
	{ "count", &count, "blocks of each thread", NULL, false },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ 0 },
};

struct guest {
	pthread_t id;
	void **blocks;
};

static uint32_t sizes[BENCH_SIZES];

static void *visit(void *arg)
{
	struct guest *guest = arg;

	for (uint64_t i = 0; i < count; i++) {
		guest->blocks[i] = bench_malloc(sizes[i % BENCH_SIZES]);
		*(char *)guest->blocks[i] = 1;
	}
	for (uint64_t i = 0; i < count; i += 2)
		free(guest->blocks[i]);
	return NULL;
}

static void leave(struct guest *guest)
{
	pthread_join(guest->id, NULL);
	for (uint64_t i = 1; i < count; i += 2)
		free(guest->blocks[i]);
}

static uint64_t run(struct guest *guests, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		struct guest *guest = &guests[i % at_once];
		int r;

		if (i >= at_once)
			leave(guest);
		r = pthread_create(&guest->id, NULL, visit, guest);
		if (r)
			bench_die("pthread_create: %s", strerror(r));
	}
	for (uint64_t i = 0; i < at_once && i < n; i++)
		leave(&guests[i]);
	return n;
}

int main(int argc, char **argv)
{
	struct bench_phase phase;
	struct guest *guests;
	long first_kib;

	bench_init(argc, argv, options);
	if (!at_once || !ops || !count)
		bench_die("--at-once, --ops and --count: at least 1");
	bench_fill_sizes(sizes, min, max, 1);
	guests = bench_map(at_once * sizeof(*guests));
	for (uint64_t i = 0; i < at_once; i++)
		guests[i].blocks = bench_map(count * sizeof(void *));
	run(guests, 4 * at_once);
	first_kib = bench_rss_kib();
	phase = bench_begin(ops, 0);
	phase.done = run(guests, ops);
	bench_end(&phase);
	bench_print("growth_kib", (double)(bench_rss_kib() - first_kib));
	bench_report(&phase);
	return 0;
}
