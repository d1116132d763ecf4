// SPDX-License-Identifier: MIT
/*
 * A library that is initialised before libhakmem (it follows in LD_PRELOAD and does not depend on
 * it), as plug-ins and runtimes are. Its constructor allocates before libhakmem's has run and, as
 * the environment says, registers fork handlers that allocate, takes every TSD key, or starts a
 * thread. It also frees in its destructor, which runs after all others.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

unsigned long plug_early_fork_calls;
void *plug_early_block;
unsigned int plug_early_keys;

static void *kept[32], *many[4000];

static void churn(void)
{
	size_t i;

	for (i = 0; i < 32; i++) {
		free(kept[i]);
		kept[i] = malloc(1 + i * i * 1500);
		if (!kept[i])
			abort();
		memset(kept[i], 1, 1 + i * i * 1500);
	}
	plug_early_fork_calls++;
}

static void *early_thread(void *arg)
{
	churn();
	return arg;
}

__attribute__((constructor)) static void begin(void)
{
	pthread_key_t key;
	pthread_t thread;

	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = malloc(i * 20);
	plug_early_block = strdup("allocated before any constructor of the allocator");
	churn();
	if (getenv("PLUG_EARLY_FORK"))
		pthread_atfork(churn, churn, churn);
	if (getenv("PLUG_EARLY_KEYS"))
		while (pthread_key_create(&key, free) == 0)
			plug_early_keys++;
	if (getenv("PLUG_EARLY_THREAD") && pthread_create(&thread, NULL, early_thread, NULL) == 0)
		pthread_join(thread, NULL);
}

__attribute__((destructor)) static void end(void)
{
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		free(many[i]);
	churn();
	free(plug_early_block);
}
