// SPDX-License-Identifier: MIT
/*
 * trivial - a process that does next to nothing, and what it costs in memory.
 *
 * Allocates and frees one block and prints Private_Dirty of the whole process: what every idle
 * daemon pays for its allocator. With --threads N that many threads each allocate --count sizes,
 * stay alive while the figure is read, and the growth is printed per thread. With --quiet it
 * prints nothing and just ends, for measuring start to exit.
 */
#include "bench.h"
#include <pthread.h>

static uint64_t threads, count = 1, quiet;

static const struct bench_option options[] = {
	{ "threads", &threads, "threads that allocate", NULL, false },
	{ "count", &count, "sizes each thread uses, in steps of 1/8", NULL, false },
	{ "quiet", &quiet, "print nothing", NULL, true },
	{ 0 },
};

static pthread_barrier_t in_use, measured;

/* 64 bytes first; each next size an eighth more, so that every class of most allocators is hit. */
static void use_sizes(void)
{
	size_t size = 64;

	for (uint64_t i = 0; i < count; i++) {
		char *p = bench_malloc(size);

		*p = 1;
		free(p);
		size += size / 8;
	}
}

static void *work(void *arg)
{
	(void)arg;
	/* Twice: the first for all stacks to be touched alike, the second to have it measured. */
	pthread_barrier_wait(&in_use);
	pthread_barrier_wait(&measured);
	use_sizes();
	pthread_barrier_wait(&in_use);
	pthread_barrier_wait(&measured);
	return NULL;
}

static double per_thread_kib(void)
{
	pthread_t *ids = bench_map(threads * sizeof(*ids));
	long before, after;

	pthread_barrier_init(&in_use, NULL, (unsigned int)threads + 1);
	pthread_barrier_init(&measured, NULL, (unsigned int)threads + 1);
	for (uint64_t i = 0; i < threads; i++) {
		int r = pthread_create(&ids[i], NULL, work, NULL);

		if (r)
			bench_die("pthread_create: %s", strerror(r));
	}
	pthread_barrier_wait(&in_use);
	before = bench_private_dirty_kib();
	pthread_barrier_wait(&measured);
	pthread_barrier_wait(&in_use);
	after = bench_private_dirty_kib();
	pthread_barrier_wait(&measured);
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return (double)(after - before) / (double)threads;
}

int main(int argc, char **argv)
{
	struct bench_phase phase = bench_begin(1, 0);
	char *p;

	bench_init(argc, argv, options);
	p = bench_malloc(100);
	*p = 1;
	free(p);
	phase.done = 1;
	bench_end(&phase);
	if (quiet)
		return 0;
	/* Before anything is printed: output touches pages of libc's. */
	if (threads) {
		bench_print("per_thread_kib", per_thread_kib());
	} else {
		long kib = bench_private_dirty_kib();

		if (kib < 0)
			bench_die("no Private_Dirty in /proc/self/smaps");
		bench_print("private_dirty_kib", (double)kib);
	}
	bench_report(&phase);
	return 0;
}
