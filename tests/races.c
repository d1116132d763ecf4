/* SPDX-License-Identifier: MIT */
/*
 * Uses the whole library at once, for ThreadSanitizer: short-lived threads that allocate in every
 * tier and free each other's blocks, one thread that changes tunables, purges and reads all
 * figures, and forks in between. The program is linked with the library's own objects. In these
 * objects and in this one, malloc and the other names carry a prefix (races.test). So malloc here
 * is hakmem's, while the sanitizer keeps malloc for itself and watches hakmem as it would watch any
 * program.
 *
 * 	races [SECONDS [SEED]]
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libhakmem/hakmem.h"

/*
 * The kernel hands an address to a new owner only after the old owner gave it up. The sanitizer
 * does not see that, because it does not intercept the library's system calls. So the linker wraps
 * these functions around them.
 */
void __tsan_acquire(void *);
void __tsan_release(void *);
void *__real_hak_os_map(size_t bytes, size_t align);
void *__wrap_hak_os_map(size_t bytes, size_t align);
int __real_hak_os_unmap(void *p, size_t bytes);
int __wrap_hak_os_unmap(void *p, size_t bytes);
int __real_hak_os_grow(void *p, size_t old_bytes, size_t bytes);
int __wrap_hak_os_grow(void *p, size_t old_bytes, size_t bytes);
int __real_hak_os_move(void *p, size_t old_bytes, void *to, size_t bytes);
int __wrap_hak_os_move(void *p, size_t old_bytes, void *to, size_t bytes);

enum { PLACES = 4096, PLACE_BITS = 16 };
static char place[PLACES];

/* Calls fn for each 64 KiB of addresses, named by one of the places above. */
static void each_place(void (*fn)(void *), const void *p, size_t bytes)
{
	uintptr_t at = (uintptr_t)p >> PLACE_BITS;
	size_t n = (bytes >> PLACE_BITS) + 1;

	for (size_t i = 0; i < n && i < PLACES; i++)
		fn(&place[(at + i) % PLACES]);
}

void *__wrap_hak_os_map(size_t bytes, size_t align)
{
	void *p = __real_hak_os_map(bytes, align);

	if (p)
		each_place(__tsan_acquire, p, bytes);
	return p;
}

int __wrap_hak_os_unmap(void *p, size_t bytes)
{
	each_place(__tsan_release, p, bytes);
	return __real_hak_os_unmap(p, bytes);
}

int __wrap_hak_os_grow(void *p, size_t old_bytes, size_t bytes)
{
	int err;

	if (bytes < old_bytes)
		each_place(__tsan_release, (char *)p + bytes, old_bytes - bytes);
	err = __real_hak_os_grow(p, old_bytes, bytes);
	if (!err && bytes > old_bytes)
		each_place(__tsan_acquire, (char *)p + old_bytes, bytes - old_bytes);
	return err;
}

int __wrap_hak_os_move(void *p, size_t old_bytes, void *to, size_t bytes)
{
	each_place(__tsan_release, p, old_bytes);
	return __real_hak_os_move(p, old_bytes, to, bytes);
}

enum { THREADS = 4, SHARED = 256, OWN = 64, OPS = 20000 };

/* Blocks in no thread's hands. A thread that exchanges a block away owns it. */
static _Atomic(char *) shared[SHARED];
static atomic_bool over;
static atomic_uint forks;
static uint64_t seed = 1;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "races: %s\n", what);
	_exit(1);
}

static uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly small sizes; one in 32 is a run, one in 128 a whale. */
static size_t size_of(uint64_t r)
{
	if (r % 128 == 0)
		return ((size_t)1 << 20) + (r >> 8) % (3 << 20);
	if (r % 32 == 0)
		return 40000 + (r >> 8) % 500000;
	return (r >> 8) % (r % 4 ? 300 : 9000);
}

/* Returns a block whose first and last byte mark it as its owner's. */
static char *fresh(uint64_t r)
{
	size_t n = size_of(r);
	char *p;

	switch (r >> 32 & 7) {
	case 0:
		p = calloc(1, n);
		if (p && n && (p[0] || p[n / 2] || p[n - 1]))
			die("calloc: not zero");
		break;
	case 1:
		p = memalign((size_t)16 << (r >> 40 & 7), n);
		break;
	case 2:
		p = realloc(malloc(n / 2), n + 1);
		break;
	default:
		p = malloc(n);
	}
	if (!p)
		die("no memory");
	n = malloc_usable_size(p);
	p[0] = p[n - 1] = 'x';
	return p;
}

static void drop(char *p)
{
	if (!p)
		return;
	if (p[0] != 'x' || p[malloc_usable_size(p) - 1] != 'x')
		die("a block changed in our hands");
	p[0] = 0;
	free(p);
}

static void *work(void *arg)
{
	uint64_t state = seed * 1000003 + (uintptr_t)arg;
	char *own[OWN] = { NULL };

	for (unsigned int i = 0; i < OPS && !atomic_load(&over); i++) {
		uint64_t r = rnd(&state);
		char **mine = &own[r % OWN];

		if (!*mine)
			*mine = fresh(rnd(&state));
		else if (r >> 16 & 1)
			*mine = atomic_exchange(&shared[(r >> 20) % SHARED], *mine);
		else {
			drop(*mine);
			*mine = NULL;
		}
	}
	for (unsigned int i = 0; i < OWN; i++)
		drop(atomic_exchange(&shared[i], own[i]));
	return NULL;
}

/* Threads follow each other, so that heaps die and are adopted. */
static void *lives(void *arg)
{
	pthread_t thread;

	for (uintptr_t life = 1; !atomic_load(&over); life++) {
		if (pthread_create(&thread, NULL, work, (void *)((uintptr_t)arg + life * THREADS)))
			die("pthread_create");
		if (pthread_join(thread, NULL))
			die("pthread_join");
	}
	return NULL;
}

static void steer(uint64_t r)
{
	static const struct {
		const char *name;
		uint64_t values[3];
	} tunable[] = {
		{ "whale.ring_slots", { 0, 4, 128 } },
		{ "whale.ring_bytes", { 0, 8 << 20, 1 << 30 } },
		{ "region.evict", { 0, 1, 3 } },
		{ "region.evict_bytes", { 0, 1 << 20, 64 << 20 } },
		{ "purge.delay_ms", { 0, 1, 10000 } },
		{ "superslab.enable", { 0, 1, 1 } },
		{ "superslab.retain", { 0, 1, 4 } },
		{ "cache.thread_bytes", { 0, 1 << 16, 2 << 20 } },
		{ "stats.timing", { 0, 1, 1 } },
		{ "control.segment", { 0, 1, 1 } },
	};
	unsigned int i = r % (sizeof(tunable) / sizeof(tunable[0]));
	int err = hakmem_set(tunable[i].name, tunable[i].values[(r >> 8) % 3]);

	if (err) {
		fprintf(stderr, "%s: %s\n", tunable[i].name, strerror(-err));
		die("hakmem_set");
	}
}

static void look(void)
{
	struct hakmem_stats stats = { .size = sizeof(stats) };
	uint64_t count;

	if (hakmem_stats(&stats) || hakmem_counter("class.allocs", &count))
		die("no figures");
	if (!mallinfo2().arena || !stats.mapped)
		die("figures of a process without memory");
}

static void *observe(void *arg)
{
	uint64_t state = seed * 7 + 1, bytes;
	char *own = fresh(state);

	while (!atomic_load(&over)) {
		uint64_t r = rnd(&state);

		steer(r >> 8);
		look();
		if (r % 4 == 0 && hakmem_purge((enum hakmem_purge_level)(r >> 16) % 3 + 1, &bytes))
			die("hakmem_purge");
		if (r % 16 == 0)
			malloc_trim(0);
	}
	drop(own);
	return arg;
}

/* The child frees the blocks that no thread had in hands, and some of its own. */
static void fork_one(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		for (unsigned int i = 0; i < SHARED; i++)
			drop(atomic_exchange(&shared[i], NULL));
		for (uint64_t i = 1; i < 2000; i++)
			drop(fresh(i * 0x9e3779b97f4a7c15));
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		die("a child failed");
	atomic_fetch_add(&forks, 1);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
	const struct timespec tick = { 0, 50000000 };
	pthread_t thread[THREADS + 1];

	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	for (uintptr_t i = 0; i <= THREADS; i++)
		if (pthread_create(&thread[i], NULL, i ? lives : observe, (void *)i))
			die("pthread_create");
	while (time(NULL) < end) {
		fork_one();
		nanosleep(&tick, NULL);
	}
	atomic_store(&over, true);
	for (unsigned int i = 0; i <= THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < SHARED; i++)
		drop(atomic_exchange(&shared[i], NULL));
	printf("%u forks\n", atomic_load(&forks));
	return 0;
}
