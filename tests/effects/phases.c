// SPDX-License-Identifier: MIT
/*
 * usage: phases ROUNDS [SIZE]...: never holds more than 80 MiB, in phases of one SIZE each, or of
 * sizes of its own. SIZE 0 enters a sandbox, SIZE 1 starts threads that free what fills their
 * caches, and sleep. Prints what the library knows of the memory limit of
 * its control groups (purge.limit_bytes), how often memory went back because of it
 * (purge.limit_obeyed), the most KiB that were resident, and the bytes of all purges (purge.bytes).
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST = 80 << 20, BLOCKS = 400000, SLEEPERS = 24 };

static const size_t sizes[] = { 64, 3000, 100000, 4000000, 20000, 512, 1500000, 40000000 };

/* And lets the next look at the limit become due. */
static void enter_sandbox(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		exit(5);
	sleep(2);
}

static pthread_barrier_t asleep;

/* Of several sizes, because each has a share of the cache. */
static void *sleeper(void *unused)
{
	static const size_t of[] = { 256, 1024, 4096, 16384, 32768 };
	enum { SHARE = 1 << 20, KINDS = sizeof(of) / sizeof(of[0]) };
	static _Thread_local void *p[SHARE / 256];

	for (int k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < SHARE / of[k]; i++) {
			p[i] = malloc(of[k]);
			if (!p[i])
				exit(3);
			memset(p[i], 1, of[k]);
		}
		for (size_t i = 0; i < SHARE / of[k]; i++)
			free(p[i]);
	}
	pthread_barrier_wait(&asleep);
	pause();
	return unused;
}

static void start_sleepers(void)
{
	pthread_t thread;

	pthread_barrier_init(&asleep, NULL, SLEEPERS + 1);
	for (int i = 0; i < SLEEPERS; i++)
		if (pthread_create(&thread, NULL, sleeper, NULL))
			exit(6);
	pthread_barrier_wait(&asleep);
}

static void phase(size_t size)
{
	static void *p[BLOCKS];
	size_t n;

	if (size <= 1) {
		if (size)
			start_sleepers();
		else
			enter_sandbox();
		return;
	}
	n = MOST / size < BLOCKS ? MOST / size : BLOCKS;
	for (size_t i = 0; i < n; i++) {
		p[i] = malloc(size);
		if (!p[i])
			exit(3);
		memset(p[i], 1, size);
	}
	for (size_t i = 0; i < n; i++)
		free(p[i]);
}

static uint64_t counter(const char *name)
{
	int (*get)(const char *, uint64_t *) =
		(int (*)(const char *, uint64_t *))dlsym(RTLD_DEFAULT, "hakmem_counter");
	uint64_t n = 0;

	if (!get || get(name, &n))
		exit(4);
	return n;
}

int main(int argc, char **argv)
{
	struct rusage u;

	for (int round = argc > 1 ? atoi(argv[1]) : 1; round > 0; round--) {
		for (int i = 2; i < argc; i++)
			phase(strtoul(argv[i], NULL, 10));
		for (size_t i = 0; argc <= 2 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
			phase(sizes[i]);
	}
	getrusage(RUSAGE_SELF, &u);
	printf("%" PRIu64 " %" PRIu64 " %ld %" PRIu64 "\n", counter("purge.limit_bytes"),
	       counter("purge.limit_obeyed"), u.ru_maxrss, counter("purge.bytes"));
	return 0;
}
