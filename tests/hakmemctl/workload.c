/* SPDX-License-Identifier: MIT */
/*
 * A program for hakmemctl to look at. It allocates what its arguments say, prints "ready", and then
 * obeys stdin, one letter a line: w works (allocates and frees a little of everything), m allocates
 * and frees 20 whales one by one, d fills 16 whales and frees them, l writes the first half of each
 * of 32 whales and frees them, o asks the kernel to take what is lazily freed of these, p touches
 * 64 MiB that are not from malloc, a touches 8 MiB of shared anonymous memory, t starts a thread
 * that waits, s starts eight threads that fill their caches and then wait without a call of malloc
 * or free, c starts four threads that for ever allocate, reallocate and free blocks of all sizes,
 * also each other's, v changes its own tunables for some seconds, f goes on as a copy of itself,
 * made by fork, q ends. Between letters it sleeps.
 *
 *	workload [BLOCKS SIZE [WHALES]]
 * allocates BLOCKS of SIZE bytes and keeps them, then WHALES of 2 MiB one after the other, freeing
 * each.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/missing.h"

enum { WHALE = 2 << 20 };

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static sem_t asleep;

/* Six times, so that the cache learns how much it may keep. */
static void *sleep_with_a_full_cache(void *arg)
{
	enum { SIZES = 8, BYTES = 256 << 10 };
	static __thread void *p[BYTES / 512];

	for (size_t i = 0; i < 6 * SIZES; i++) {
		size_t size = 512 * (1 + i % SIZES), n = BYTES / size;

		for (size_t j = 0; j < n; j++) {
			p[j] = malloc(size);
			if (!p[j])
				exit(1);
			memset(p[j], 1, size);
		}
		while (n)
			free(p[--n]);
	}
	sem_post(&asleep);
	return wait_for_ever(arg);
}

static bool start_sleepers(void)
{
	enum { SLEEPERS = 8 };
	pthread_t thread;

	for (int i = 0; i < SLEEPERS; i++)
		if (pthread_create(&thread, NULL, sleep_with_a_full_cache, NULL) != 0)
			return false;
	for (int i = 0; i < SLEEPERS; i++)
		sem_wait(&asleep);
	return true;
}

static void whales(long n)
{
	for (long i = 0; i < n; i++) {
		char *p = malloc(WHALE);

		if (!p)
			exit(1);
		p[0] = 1;
		free(p);
	}
}

/* 32 MiB that were really used, are free, and were not given back. */
static void dirty(void)
{
	enum { N = 16 };
	char *kept[N];

	for (int i = 0; i < N; i++) {
		kept[i] = malloc(WHALE);
		if (!kept[i])
			exit(1);
		memset(kept[i], 1, WHALE);
	}
	for (int i = 0; i < N; i++)
		free(kept[i]);
}

enum { PARTLY = 32 };
static char *partly[PARTLY];

static void free_partly_touched(void)
{
	for (int i = 0; i < PARTLY; i++) {
		partly[i] = malloc(WHALE);
		if (!partly[i])
			exit(1);
		memset(partly[i], 1, WHALE / 2);
	}
	for (int i = 0; i < PARTLY; i++)
		free(partly[i]);
}

static void page_out(void)
{
	for (int i = 0; i < PARTLY; i++)
		madvise(partly[i], WHALE, MADV_PAGEOUT);
}

static void touch_mapping(size_t bytes, int flags)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	memset(p, 1, bytes);
}

static void change_values(void)
{
	int (*set_text)(const char *name, const char *text) =
		(int (*)(const char *, const char *))dlsym(RTLD_DEFAULT, "hakmem_set_text");
	const struct timespec pause = { .tv_nsec = 20000000 };
	char text[16];

	for (int i = 0; set_text && i < 300; i++) {
		snprintf(text, sizeof(text), "%d", i % 50 + 2);
		set_text("purge.delay_ms", text);
		set_text("superslab.retain", text);
		set_text("region.evict_batch", text);
		nanosleep(&pause, NULL);
	}
}

static _Atomic(void *) passed[256]; /* from thread to thread */

/* Returns a block of random size; sizes of 16 bytes are as frequent as those of a megabyte. */
static void *some_block(uint64_t *random, void *old)
{
	*random = *random * 6364136223846793005 + 1442695040888963407;
	return realloc(old, (size_t)((16 + (*random >> 40) % 16) << ((*random >> 33) % 18)));
}

static void *churn(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;

	for (;;) {
		void *p = some_block(&random, NULL);

		if (random >> 62 == 0)
			p = some_block(&random, p);
		free(atomic_exchange(&passed[(random >> 25) % 256], p));
	}
	return NULL;
}

/* The parent waits for the copy, and ends as the copy did. */
static void become_copy(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		return;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void work(void)
{
	enum { N = 4000 };
	static char *kept[N];

	for (size_t i = 0; i < N; i++) {
		kept[i] = malloc(i * 7 % 5000 + 1);
		if (!kept[i])
			exit(1);
		kept[i][0] = 1;
	}
	for (size_t i = 0; i < N; i++)
		free(kept[i]);
	whales(20);
}

int main(int argc, char **argv)
{
	long blocks = argc > 1 ? atol(argv[1]) : 0, size = argc > 2 ? atol(argv[2]) : 0;
	pthread_t thread;
	char line[16];

	for (long i = 0; i < blocks; i++) {
		char *p = malloc((size_t)size);

		if (!p)
			return 1;
		memset(p, 1, (size_t)size);
	}
	whales(argc > 3 ? atol(argv[3]) : 0);
	/* No stdio: its buffers would be allocations of their own. */
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	while (read(STDIN_FILENO, line, 2) > 0) {
		if (line[0] == 'q')
			return 0;
		if (line[0] == 'w')
			work();
		if (line[0] == 'm')
			whales(20);
		if (line[0] == 'd')
			dirty();
		if (line[0] == 'l')
			free_partly_touched();
		if (line[0] == 'o')
			page_out();
		if (line[0] == 'p')
			touch_mapping(64 << 20, MAP_PRIVATE);
		if (line[0] == 'a')
			touch_mapping(8 << 20, MAP_SHARED);
		for (uintptr_t i = 1; line[0] == 'c' && i <= 4; i++)
			if (pthread_create(&thread, NULL, churn, (void *)i) != 0)
				return 1;
		if (line[0] == 'f')
			become_copy();
		if (line[0] == 'v')
			change_values();
		if (line[0] == 't' && pthread_create(&thread, NULL, wait_for_ever, NULL) != 0)
			return 1;
		if (line[0] == 's' && !start_sleepers())
			return 1;
		if (write(STDOUT_FILENO, "done\n", 5) != 5)
			return 1;
	}
	return 0;
}
