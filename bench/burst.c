// SPDX-License-Identifier: MIT
/*
 * burst - everything is freed, then the process sleeps: when does the memory come back?
 *
 * --threads (0: the main thread alone) take --bytes each in blocks of --min to --max bytes and
 * write them, wait for each other, free all, oldest first, and wait again, --rounds times. With
 * --phases each round has blocks of one size, the next of a list. Then the threads end, or with
 * --stay sleep on like the workers of an executor that has no tasks. The blocks are linked through
 * their first words; no array of the harness adds to the figures.
 *
 * The figures are printed then, "asleep" last. The runner reads /proc/PID/smaps_rollup after that
 * and closes stdin to end the program, which until then makes no call to the allocator, or with
 * --stir a malloc and free every 10 ms: some allocators purge by time only when called.
 */
#include "bench.h"
#include <limits.h>
#include <poll.h>
#include <pthread.h>

#define BURST_STIR_MS 10

static uint64_t threads, bytes = 256 << 20, min = 2000, max = 4000, rounds = 1;
static uint64_t phases, stay, stir;

static const struct bench_option options[] = {
	{ "threads", &threads, "threads that allocate", NULL, false },
	{ "bytes", &bytes, "sum of the blocks of a thread", NULL, false },
	{ "min", &min, "smallest block", NULL, false },
	{ "max", &max, "largest block", NULL, false },
	{ "rounds", &rounds, "times to fill and free", NULL, false },
	{ "phases", &phases, "each round has one size", NULL, true },
	{ "stay", &stay, "the threads do not end", NULL, true },
	{ "stir", &stir, "a malloc and free every 10 ms afterwards", NULL, true },
	{ 0 },
};

static const size_t phase_sizes[] = { 48, 2500, 120000, 5000000, 25000, 640, 1800000, 36000000 };

struct block {
	struct block *next;
};

/* Of the threads, that all have filled or all have freed, and of them and the main thread. */
static pthread_barrier_t together, done;

static struct block *fill(uint64_t round, struct bench_rng *rng)
{
	struct block *first = NULL, **link = &first, *block;
	uint64_t sum = 0;

	for (;;) {
		size_t size = phase_sizes[round % BENCH_ARRAY_SIZE(phase_sizes)];

		if (!phases)
			size = bench_uniform(rng, min, max);
		sum += size;
		if (sum > bytes)
			break;
		block = bench_malloc(size);
		memset(block, 0xa5, size);
		*link = block;
		link = &block->next;
	}
	*link = NULL;
	return first;
}

static void fill_and_free(uint64_t seed)
{
	struct bench_rng rng = bench_rng(seed);

	for (uint64_t round = 0; round < rounds; round++) {
		struct block *block = fill(round, &rng), *next;

		if (threads)
			pthread_barrier_wait(&together);
		for (; block; block = next) {
			next = block->next;
			free(block);
		}
		if (threads)
			pthread_barrier_wait(&together);
	}
}

static void *work(void *arg)
{
	fill_and_free((uint64_t)(uintptr_t)arg);
	if (stay) {
		pthread_barrier_wait(&done);
		for (;;)
			pause();
	}
	return NULL;
}

static void run_threads(void)
{
	pthread_t *ids = bench_map(threads * sizeof(*ids));
	pthread_attr_t attr;
	int r;

	pthread_barrier_init(&together, NULL, (unsigned int)threads);
	pthread_barrier_init(&done, NULL, (unsigned int)threads + 1);
	pthread_attr_init(&attr);
	/* Thousands of them must fit into the address space that a limit leaves. */
	pthread_attr_setstacksize(&attr, 128 << 10);
	for (uint64_t i = 0; i < threads; i++) {
		r = pthread_create(&ids[i], &attr, work, (void *)(uintptr_t)i);
		if (r)
			bench_die("pthread_create: %s", strerror(r));
	}
	if (stay)
		pthread_barrier_wait(&done);
	for (uint64_t i = 0; i < threads && !stay; i++)
		pthread_join(ids[i], NULL);
	munmap(ids, threads * sizeof(*ids));
}

/* Until stdin is closed; no byte is expected there. */
static void sleep_on(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	int r;

	bench_print_text("asleep", "1");
	for (;;) {
		r = poll(&in, 1, stir ? BURST_STIR_MS : -1);
		if (r > 0 || (r < 0 && errno != EINTR))
			break;
		if (stir)
			free(bench_malloc(10));
	}
}

int main(int argc, char **argv)
{
	struct bench_phase phase;

	bench_init(argc, argv, options);
	if (min < sizeof(struct block) || min > max || max > UINT32_MAX || !rounds ||
	    threads >= INT_MAX)
		bench_die("--min, --max, --rounds and --threads make no sense");
	phase = bench_begin(0, 0);
	if (threads)
		run_threads();
	else
		fill_and_free(0);
	bench_end(&phase);
	phase.done = (threads ? threads : 1) * rounds * bytes >> 20;
	bench_report(&phase);
	sleep_on();
	return 0;
}
