// SPDX-License-Identifier: MIT
/*
 * usage: phases ROUNDS [SIZE]...: never holds more than 80 MiB, in phases of one SIZE each, or of
 * sizes of its own. SIZE 0 enters a sandbox. Prints what the library knows of the memory limit of
 * its control groups (purge.limit_bytes), how often memory went back because of it
 * (purge.limit_obeyed), and the most KiB that were resident.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST = 80 << 20, BLOCKS = 400000 };

static const size_t sizes[] = { 64, 3000, 100000, 4000000, 20000, 512, 1500000, 40000000 };

/* And lets the next look at the limit become due. */
static void enter_sandbox(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		exit(5);
	sleep(2);
}

static void phase(size_t size)
{
	static void *p[BLOCKS];
	size_t n;

	if (!size) {
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
	printf("%" PRIu64 " %" PRIu64 " %ld\n", counter("purge.limit_bytes"),
	       counter("purge.limit_obeyed"), u.ru_maxrss);
	return 0;
}
