// SPDX-License-Identifier: MIT
/*
 * A program built with -fsanitize=address, onto which loader.c preloads the library. `asan clean`
 * allocates correctly. `asan overflow` writes one byte too far, which the sanitizer sees only if
 * its own malloc is in use.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void *work(void *arg)
{
	size_t i;

	for (i = 1; i < 200; i++) {
		char *p = malloc(i * 500);

		if (!p)
			abort();
		memset(p, 1, i * 500);
		p = realloc(p, i * 700);
		if (!p)
			abort();
		free(p);
	}
	free(strdup("text"));
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t t;

	work(NULL);
	if (pthread_create(&t, NULL, work, NULL) != 0)
		return 2;
	pthread_join(t, NULL);
	if (argc > 1 && strcmp(argv[1], "overflow") == 0) {
		volatile char *p = malloc(100);
		volatile size_t at = 100;

		p[at] = 1;
		free((void *)p);
	}
	return 0;
}
