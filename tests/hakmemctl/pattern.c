/* SPDX-License-Identifier: MIT */
/*
 * For map.test: a program whose blocks lie in a known pattern. It allocates blocks of sizes that
 * the program has nowhere else, frees all but some of them, and prints its books: a line for each
 * block that it holds or has freed, "live|freed ADDRESS SIZE TOUCHED", and then "ready". TOUCHED
 * are the bytes from the start that were written. It then reads stdin without a call of malloc, and
 * calls malloc_trim() for each letter.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BLOCKS = 4096, RUNS = 12, WHALE = 8 << 20 };

static void *block[BLOCKS];

/* Without stdio, which may allocate. */
static void note(const char *state, const void *p, size_t size, size_t touched)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %lx %zu %zu\n", state, (unsigned long)p, size,
			 touched);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(1);
}

static void *get(size_t size, size_t touched)
{
	void *p = malloc(size);

	if (!p)
		_exit(1);
	memset(p, 0xa5, touched);
	return p;
}

/* Keeps each `step`-th block. */
static void sparse(size_t size, int n, int step)
{
	for (int i = 0; i < n; i++)
		block[i] = get(size, size);
	for (int i = 0; i < n; i++) {
		if (i % step == 0)
			note("live", block[i], size, size);
		else
			free(block[i]);
	}
}

static void runs(void)
{
	enum { SIZE = 160 << 10 };

	for (int i = 0; i < RUNS; i++)
		block[i] = get(SIZE, SIZE / 2);
	for (int i = 0; i < RUNS; i += 3) {
		note("freed", block[i], SIZE, SIZE / 2);
		free(block[i]);
		block[i] = NULL;
	}
	for (int i = 0; i < RUNS; i++)
		if (block[i])
			note("live", block[i], SIZE, SIZE / 2);
}

/* The smallest whale is freed so often that the thread keeps its region. */
static void whales(void)
{
	void *live = get(WHALE, WHALE / 4), *freed = get(2 * WHALE, WHALE), *hot = NULL;

	note("live", live, WHALE, WHALE / 4);
	note("freed", freed, 2 * WHALE, WHALE);
	for (int i = 0; i < 200; i++) {
		hot = get(3 << 20, 4096);
		free(hot);
	}
	free(freed);
}

/* Ends with stdin. A letter has the library give free memory back. */
static int obey(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0) {
		malloc_trim(0);
		if (write(STDOUT_FILENO, "trimmed\n", 8) != 8)
			return 1;
	}
	return 0;
}

int main(void)
{
	/* a huge page would make more resident than was touched */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	sparse(704, 2000, 90);
	sparse(1408, 1000, 7);
	sparse(5632, 200, 5);
	sparse(11264, 60, 1);
	runs();
	whales();
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	return obey();
}
