/* SPDX-License-Identifier: MIT */
/*
 * usage: whales For each line on stdin it allocates, fills and frees blocks of some MiB, first one
 * at a time, then more at a time than the test's region.evict_bytes lets stay; then it prints
 * "done".
 */
#include <stdlib.h>
#include <unistd.h>

#define MIB	 ((size_t)1 << 20)
#define TOGETHER 12

static void *volatile sink;

static char *filled(size_t bytes)
{
	volatile char *p = malloc(bytes);

	if (!p)
		_exit(1);
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	sink = (void *)p;
	return (char *)p;
}

static void work(void)
{
	char *p[TOGETHER];

	for (int i = 0; i < 100; i++)
		free(filled(2 * MIB));
	for (int round = 0; round < 10; round++) {
		for (size_t i = 0; i < TOGETHER; i++)
			p[i] = filled((1 + i % 3) * MIB);
		for (size_t i = 0; i < TOGETHER; i++)
			free(p[i]);
	}
}

int main(void)
{
	char c;

	work();
	if (write(STDOUT_FILENO, "done\n", 5) != 5)
		return 1;
	while (read(STDIN_FILENO, &c, 1) == 1) {
		work();
		if (write(STDOUT_FILENO, "done\n", 5) != 5)
			return 1;
	}
	return 0;
}
