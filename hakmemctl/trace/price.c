/* SPDX-License-Identifier: MIT */
/*
 * The costs on this machine, see price.h. Each operation is done some dozens of times, and the
 * median is used.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/segment.h"
#include "hakmemctl/trace/price.h"

#define ROUNDS 31
#define BLOCK  (2ul << 20)

static int rising(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t value[ROUNDS])
{
	qsort(value, ROUNDS, sizeof(value[0]), rising);
	return value[ROUNDS / 2];
}

static void price_mappings(struct ctl_prices *prices)
{
	uint64_t ns[ROUNDS], from;
	void *p;

	for (int i = 0; i < ROUNDS; i++) {
		from = hak_monotonic_ns();
		p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return;
		munmap(p, BLOCK);
		ns[i] = hak_monotonic_ns() - from;
	}
	prices->map_ns = median(ns);
}

static void price_pages(struct ctl_prices *prices)
{
	uint64_t fault[ROUNDS], clear[ROUNDS], from;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *p;

	/* The memory of one round has left the cache when the next rounds have been cleared. */
	p = mmap(NULL, ROUNDS * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	madvise((void *)p, ROUNDS * BLOCK, MADV_NOHUGEPAGE);
	for (int i = 0; i < ROUNDS; i++) {
		from = hak_monotonic_ns();
		for (size_t at = 0; at < BLOCK; at += page)
			p[(size_t)i * BLOCK + at] = 1;
		fault[i] = (hak_monotonic_ns() - from) / (BLOCK / page);
	}
	for (int i = 0; i < ROUNDS; i++) {
		from = hak_monotonic_ns();
		memset((char *)p + (size_t)i * BLOCK, 0, BLOCK);
		clear[i] = hak_monotonic_ns() - from;
	}
	munmap((void *)p, ROUNDS * BLOCK);
	prices->minor_fault_ns = median(fault);
	prices->clear_block_ns = median(clear);
}

/* -- shootdowns: the time that a thread which reads the clock misses --------------------------- */
struct victim {
	_Atomic int running, stop;
	uint64_t gaps_ns;
};

#define GAP_NS	    300	  /* longer than any reading of the clock */
#define GAP_MOST_NS 20000 /* shorter than losing the processor */

static void *look_at_clock(void *arg)
{
	struct victim *v = arg;
	uint64_t last = hak_monotonic_ns(), now;

	atomic_store(&v->running, 1);
	while (!atomic_load_explicit(&v->stop, memory_order_relaxed)) {
		now = hak_monotonic_ns();
		if (now - last > GAP_NS && now - last < GAP_MOST_NS)
			v->gaps_ns += now - last;
		last = now;
	}
	return NULL;
}

static void price_shootdown(struct ctl_prices *prices)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct victim v = { 0 };
	uint64_t gaps[ROUNDS];
	volatile char *p;
	pthread_t thread;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return;
	for (int i = 0; i < ROUNDS; i++) {
		v = (struct victim){ 0 };
		if (pthread_create(&thread, NULL, look_at_clock, &v) != 0)
			return;
		while (!atomic_load(&v.running))
			;
		for (int n = 0; n < 32; n++) {
			*p = 1;
			madvise((void *)p, page, MADV_DONTNEED);
		}
		atomic_store(&v.stop, 1);
		pthread_join(thread, NULL);
		gaps[i] = v.gaps_ns / 32;
	}
	munmap((void *)p, page);
	prices->shootdown_ns = median(gaps);
}

void ctl_prices(struct ctl_prices *ret)
{
	*ret = (struct ctl_prices){ 0 };
	price_mappings(ret);
	price_pages(ret);
	price_shootdown(ret);
}
