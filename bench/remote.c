// SPDX-License-Identifier: MIT
/*
 * remote - blocks allocated by one thread and freed by another.
 *
 * Every thread has a mailbox from every other: a ring with one writer and one reader, published
 * in batches, which costs little beside the allocator. With --pattern pipe thread 0 allocates
 * and thread 1 frees (producer and consumer); with --pattern all each of --threads threads
 * allocates, sends each block to a random other one and frees what it receives.
 *
 * The result is wall time per block over all threads together. Threads are bound to processors
 * in turn: two that happened to share one would pass blocks through its caches, and seem faster
 * than two that work in parallel. A thread that cannot go on spins a little, then yields, for
 * there may be fewer processors than threads.
 */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>

#define RCACHE 4096u
#define BATCH  32u
#define SPIN   200u

enum pattern { PIPE, ALL };

static const char *const pattern_names[] = { "pipe", "all", NULL };

static uint64_t threads = 2, ops = 5000000, min = 16, max = 256, pattern;

static const struct bench_option options[] = {
	{ "pattern", &pattern, "who frees", pattern_names, false },
	{ "threads", &threads, "threads, for --pattern all", NULL, false },
	{ "ops", &ops, "blocks to send, by all threads together", NULL, false },
	{ "min", &min, "smallest size", NULL, false },
	{ "max", &max, "largest size", NULL, false },
	{ 0 },
};

/* head is written by the sender (release, pairs with receive()), tail by the receiver. */
struct ring {
	_Atomic uint32_t head __attribute__((aligned(64)));
	uint32_t unpublished, tail_seen;
	_Atomic uint32_t tail __attribute__((aligned(64)));
	_Atomic bool closed;
	void *slots[RCACHE] __attribute__((aligned(64)));
};

static struct ring *rings; /* rings[to * threads + from] */
static uint32_t sizes[BENCH_SIZES];
static pthread_barrier_t ready;

static struct ring *ring(uint64_t from, uint64_t to)
{
	return &rings[to * threads + from];
}

static void publish(struct ring *r)
{
	atomic_store_explicit(&r->head, r->unpublished, memory_order_release);
}

/* False when the ring is full; what was written so far is visible then. */
static inline bool send(struct ring *r, void *block)
{
	if (r->unpublished - r->tail_seen == RCACHE) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (r->unpublished - r->tail_seen == RCACHE) {
			publish(r);
			return false;
		}
	}
	r->slots[r->unpublished++ % RCACHE] = block;
	if (r->unpublished % BATCH == 0)
		publish(r);
	return true;
}

/* Frees all that has been published; returns how many. */
static inline uint32_t receive(struct ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	for (uint32_t at = tail; at != head; at++) {
		uint64_t *block = r->slots[at % RCACHE];

		if (*block != (uint64_t)(uintptr_t)block)
			bench_die("block %p was overwritten on its way", (void *)block);
		free(block);
	}
	if (head != tail)
		atomic_store_explicit(&r->tail, head, memory_order_release);
	return head - tail;
}

static uint32_t receive_all(uint64_t self)
{
	uint32_t n = 0;

	for (uint64_t from = 0; from < threads; from++)
		n += receive(ring(from, self));
	return n;
}

/* Each block holds its own address: a block handed out twice is noticed. */
static inline void *new_block(uint64_t i)
{
	uint64_t *block = bench_malloc(sizes[i % BENCH_SIZES]);

	*block = (uint64_t)(uintptr_t)block;
	return block;
}

static inline void wait_a_little(unsigned int *waited)
{
	if (++*waited % SPIN)
		bench_pause();
	else
		sched_yield();
}

static void produce(uint64_t self, uint64_t share)
{
	struct bench_rng rng = bench_rng(200 + self);
	unsigned int waited = 0;

	for (uint64_t i = 0; i < share; i++) {
		uint64_t to = 1;
		void *block = new_block(i);

		if (pattern == ALL) {
			to = (self + 1 + bench_below(&rng, (uint32_t)threads - 1)) % threads;
			if (i % BATCH == 0)
				receive_all(self);
		}
		while (!send(ring(self, to), block))
			if (!receive_all(self))
				wait_a_little(&waited);
	}
	for (uint64_t to = 0; to < threads; to++) {
		publish(ring(self, to));
		atomic_store_explicit(&ring(self, to)->closed, true, memory_order_release);
	}
}

/* Until every sender has closed its ring and the ring is empty. */
static void consume_rest(uint64_t self)
{
	unsigned int waited = 0;

	for (;;) {
		bool open = false;

		for (uint64_t from = 0; from < threads; from++)
			open |= !atomic_load_explicit(&ring(from, self)->closed,
						      memory_order_acquire);
		if (receive_all(self))
			continue;
		if (!open)
			return;
		wait_a_little(&waited);
	}
}

static void *work(void *arg)
{
	uint64_t self = (uint64_t)(uintptr_t)arg;

	bench_bind((unsigned int)self);
	pthread_barrier_wait(&ready);
	produce(self, pattern == ALL ? ops / threads : self == 0 ? ops : 0);
	consume_rest(self);
	return NULL;
}

int main(int argc, char **argv)
{
	struct bench_phase phase;
	pthread_t *ids;
	int r;

	bench_init(argc, argv, options);
	if (pattern == PIPE)
		threads = 2;
	if (threads < 2 || threads > 256 || ops < threads)
		bench_die("--threads: from 2 to 256, and --ops not less");
	bench_fill_sizes(sizes, min, max, 1);
	rings = bench_map(threads * threads * sizeof(*rings));
	ids = bench_map(threads * sizeof(*ids));
	pthread_barrier_init(&ready, NULL, (unsigned int)threads + 1);
	for (uint64_t i = 0; i < threads; i++) {
		r = pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)i);
		if (r)
			bench_die("pthread_create: %s", strerror(r));
	}
	phase = bench_begin(ops, 0);
	pthread_barrier_wait(&ready);
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	phase.done = pattern == ALL ? ops / threads * threads : ops;
	bench_end(&phase);
	bench_report(&phase);
	return 0;
}
