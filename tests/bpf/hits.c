// SPDX-License-Identifier: MIT
/*
 * Attaches to each probe of a library in this process, by libbpf as any tracer would, uses the
 * library, and compares the hits and their arguments with the library's own counters. Run by
 * tests/bpf/probes.test with the library preloaded; its path is the argument.
 */
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/hits.h"
#include "tests/bpf/hits.skel.h"

enum {
	WHALE_GET,
	WHALE_PUT,
	REGION_EVICT,
	PURGE_BEGIN,
	PURGE_END,
	SUPERSLAB_NEW,
	REFILL,
	TUNABLE_APPLIED,
	ALLOC,
	FREE,
	PROBES
};
static const char *const probes[PROBES][2] = {
	{ "hakmem", "whale_get" },   { "hakmem", "whale_put" },	      { "hakmem", "region_evict" },
	{ "hakmem", "purge_begin" }, { "hakmem", "purge_end" },	      { "hakmem", "superslab_new" },
	{ "hakmem", "refill" },	     { "hakmem", "tunable_applied" }, { "otel_memory", "alloc" },
	{ "otel_memory", "free" },
};

static int (*get_counter)(const char *, uint64_t *);
static int (*set_tunable)(const char *, uint64_t);
static int (*purge)(int, uint64_t *);
static int bad;

static uint64_t counter(const char *name)
{
	uint64_t v = 0;

	if (get_counter(name, &v) < 0)
		printf("no counter %s\n", name), bad = 1;
	return v;
}

static void same(const char *what, uint64_t have, uint64_t want)
{
	printf("%-32s %12llu %12llu\n", what, (unsigned long long)have, (unsigned long long)want);
	if (have != want)
		printf("  which differ\n"), bad = 1;
}

static void *work(void *arg)
{
	static void *volatile kept[20000];
	size_t n = sizeof(kept) / sizeof(kept[0]);
	unsigned x = 1;

	for (size_t i = 0; i < 200000; i++) {
		x = x * 1664525 + 1013904223;
		free(kept[i % n]);
		kept[i % n] = malloc((x >> 8) % (x >> 24 ? 2000 : 100000) + 1);
	}
	for (size_t i = 0; i < 200; i++) {
		char *p = malloc((1 + i % 5) << 20);

		if (p)
			memset(p, 1, 4096);
		kept[0] = p;
		free(p);
	}
	kept[0] = NULL;
	for (size_t i = 0; i < n; i++)
		free(kept[i]), kept[i] = NULL;
	return arg;
}

static const char *const names[] = {
	"whale.hits",	    "whale.misses",   "whale.frees",	    "whale.alloc_bytes",
	"whale.free_bytes", "ring.evictions", "ring.evicted_bytes", "refill.new_superslab",
	"refill.spare",	    "class.refilled", "profile.samples",    "profile.bytes",
	"profile.frees",
};
enum { N = sizeof(names) / sizeof(names[0]) };

static uint64_t before[N], after[N];

static uint64_t grew(const char *name)
{
	for (size_t i = 0; i < N; i++)
		if (strcmp(names[i], name) == 0)
			return after[i] - before[i];
	bad = 1;
	return 0;
}

static void read_all(uint64_t to[N])
{
	for (size_t i = 0; i < N; i++)
		to[i] = counter(names[i]);
}

int main(int argc, char **argv)
{
	struct hits_bpf *b = hits_bpf__open_and_load();
	struct bpf_link *link[PROBES];
	struct hits h[PROBES], at_start[PROBES];
	pthread_t thread;

	(void)argc;
	if (!b) {
		printf("cannot load: %s\n", strerror(errno));
		return errno == EPERM || errno == EACCES ? 77 : 1;
	}
	*(void **)&get_counter = dlsym(RTLD_DEFAULT, "hakmem_counter");
	*(void **)&set_tunable = dlsym(RTLD_DEFAULT, "hakmem_set");
	*(void **)&purge = dlsym(RTLD_DEFAULT, "hakmem_purge");
	if (!get_counter || !set_tunable || !purge)
		return printf("not on hakmem\n"), 1;
	for (int i = 0; i < PROBES; i++) {
		LIBBPF_OPTS(bpf_usdt_opts, o, .usdt_cookie = i);

		link[i] = bpf_program__attach_usdt(b->progs.hit, getpid(), argv[1], probes[i][0],
						   probes[i][1], &o);
		if (!link[i])
			return printf("%s: %s\n", probes[i][1], strerror(errno)), 1;
	}
	set_tunable("profile.sample_bytes", 4096);
	set_tunable("region.evict_bytes", 4 << 20);
	read_all(before);
	memcpy(at_start, b->bss->hits, sizeof(at_start));
	if (pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, NULL))
		return 1;
	purge(2, NULL);
	read_all(after);
	for (int i = 0; i < PROBES; i++) {
		h[i].n = b->bss->hits[i].n - at_start[i].n;
		for (int k = 0; k < 3; k++)
			h[i].sum[k] = b->bss->hits[i].sum[k] - at_start[i].sum[k];
	}
	same("whale_get", h[WHALE_GET].n, grew("whale.hits") + grew("whale.misses"));
	same("whale_get, bytes", h[WHALE_GET].sum[1], grew("whale.alloc_bytes"));
	same("whale_get, hits", h[WHALE_GET].sum[2], grew("whale.hits"));
	same("whale_put", h[WHALE_PUT].n, grew("whale.frees"));
	same("whale_put, bytes", h[WHALE_PUT].sum[1], grew("whale.free_bytes"));
	same("region_evict", h[REGION_EVICT].n, grew("ring.evictions"));
	same("region_evict, bytes", h[REGION_EVICT].sum[1], grew("ring.evicted_bytes"));
	same("superslab_new", h[SUPERSLAB_NEW].n, grew("refill.new_superslab"));
	same("refill, from the second list", h[REFILL].sum[2], grew("refill.spare"));
	same("purge_end", h[PURGE_END].n, h[PURGE_BEGIN].n);
	same("otel_memory:alloc", h[ALLOC].n, grew("profile.samples"));
	same("otel_memory:alloc, weights", h[ALLOC].sum[2], grew("profile.bytes"));
	same("otel_memory:free", h[FREE].n, grew("profile.frees"));
	same("tunable_applied", at_start[TUNABLE_APPLIED].n, 2);
	same("tunable_applied, values", at_start[TUNABLE_APPLIED].sum[1], 4096 + (4 << 20));
	if (!h[WHALE_GET].n || !h[REGION_EVICT].n || !h[SUPERSLAB_NEW].n || !h[REFILL].sum[2] ||
	    !h[PURGE_END].n || !h[ALLOC].n || !h[FREE].n)
		printf("a probe was never hit\n"), bad = 1;
	for (int i = 0; i < PROBES; i++)
		bpf_link__destroy(link[i]);
	hits_bpf__destroy(b);
	return bad;
}
