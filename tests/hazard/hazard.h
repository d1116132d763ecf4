/* SPDX-License-Identifier: MIT */
/*
 * Shared by the tests of this folder: threads that follow orders, the library's named stops and
 * faults (libhakmem/base/stop.h), and its books.
 *
 * A case holds a thread at a stop and lets other threads do what would be wrong at that moment if a
 * rule were broken. Then it releases the thread, and checks contents and books. Only debug builds
 * have stops; other builds skip these programs. There is no agent, and nothing ages by itself. The
 * case's own thread allocates nothing while a stop is armed that it must not take. The contents of
 * all of a block are checked.
 */
#ifndef HAK_TEST_HAZARD_H
#define HAK_TEST_HAZARD_H

#include "../live/peer.h"

#include <pthread.h>
#include <semaphore.h>

#include "libhakmem/hakmem.h"

/* For tcase.hakmem. */
#define QUIET "control.agent=off,purge.delay_ms=86400000"

#define HAZARD_MAIN(cases)                                                               \
	int main(int argc, char **argv)                                                  \
	{                                                                                \
		const char *config = getenv("HAK_CONFIG");                               \
                                                                                         \
		if (!config || !strstr(config, "debug") || !strstr(config, "control"))   \
			return skip_all("named stops are in debug builds only");         \
		return run_cases(argc, argv, cases, sizeof(cases) / sizeof((cases)[0])); \
	}

static struct hak_stops *stops;

/* Called first in every case; stops_prepare is in its table. */
static inline void hazard_begin(void)
{
	stops = stops_map();
	free(launder(malloc(opaque(3 * MIB))));
	CHECK(atomic_load(&stops->fault[HAK_FAULT_MMAP].calls), "the library maps no stops");
}

/* ---- the library's books ---- */

static inline uint64_t counter(const char *name)
{
	uint64_t n;

	CHECK(!HAKMEM(hakmem_counter, hakmem_get_fn)(name, &n), "no counter %s", name);
	return n;
}

static inline void set(const char *tunable, const char *value)
{
	int r = HAKMEM(hakmem_set_text, hakmem_set_text_fn)(tunable, value);

	CHECK(!r, "%s=%s: %s", tunable, value, strerror(-r));
}

static inline void purge(enum hakmem_purge_level level)
{
	CHECK(!HAKMEM(hakmem_purge, int (*)(int, uint64_t *))(level, NULL));
}

static inline uint64_t whales_in_use(void)
{
	return counter("whale.inherited_bytes") + counter("whale.alloc_bytes") -
	       counter("whale.free_bytes");
}

/*
 * Empties the calling thread's cache, and nothing more. hakmem_purge() would serve the requests of
 * several threads one after the other, and so wait for a thread that is held. When a tunable
 * changes every thread empties its cache, this one at once.
 */
static inline void flush_cache(void)
{
	static _Atomic uint64_t n;
	uint64_t batch = 1 + atomic_fetch_add(&n, 1) % 200;

	CHECK(!HAKMEM(hakmem_set, hakmem_set_fn)("region.evict_batch", batch));
	free(launder(malloc(opaque(3 * MIB))));
}

/* Checks that every byte of address space is in one state. */
static inline void check_books(void)
{
	uint64_t mapped = counter("mem.mapped"), slab = counter("mem.slab"),
		 run = counter("mem.run"), whale = whales_in_use(), dirty = counter("mem.dirty"),
		 lazy = counter("mem.lazy"), clean = counter("mem.clean");

	CHECK(mapped == slab + run + whale + dirty + lazy + clean,
	      "%lu mapped, %lu slabs, %lu runs, %lu whales, %lu dirty, %lu lazy, %lu clean", mapped,
	      slab, run, whale, dirty, lazy, clean);
}

/* ---- threads that do as they are told ---- */

struct actor {
	pthread_t t;
	sem_t go, done;
	void (*fn)(void *);
	void *arg;
	unsigned int slot; /* of struct hak_stops */
	uint32_t skip;	   /* arrivals at the stop to let pass */
	int to_be_held;
	pid_t tid;
	_Atomic int busy; /* set and cleared by the thread itself */
};

static inline void sem_wait_always(sem_t *s)
{
	while (sem_wait(s))
		;
}

/* Tells a waiter for an arrival that there is none: GO, which no held thread leaves behind. */
static inline void stop_missed(struct hak_stop_slot *slot)
{
	uint32_t armed = HAK_STOP_ARMED;

	if (atomic_compare_exchange_strong(&slot->state, &armed, HAK_STOP_GO))
		syscall(SYS_futex, &slot->state, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static inline void *actor_main(void *arg)
{
	struct actor *a = arg;

	a->tid = (pid_t)syscall(SYS_gettid);
	/* The thread has no heap before it allocates. */
	for (;;) {
		sem_wait_always(&a->go);
		if (!a->fn)
			return NULL;
		atomic_store(&a->busy, 1);
		a->fn(a->arg);
		atomic_store(&a->busy, 0);
		if (a->to_be_held)
			stop_missed(&stops->slot[a->slot]);
		sem_post(&a->done);
	}
}

static inline void actor_start(struct actor *a)
{
	CHECK(!sem_init(&a->go, 0, 0) && !sem_init(&a->done, 0, 0));
	CHECK(!pthread_create(&a->t, NULL, actor_main, a));
}

/* Begins, and does not wait. */
static inline void actor_begin(struct actor *a, void (*fn)(void *), void *arg)
{
	a->fn = fn;
	a->arg = arg;
	sem_post(&a->go);
}

static inline void actor_finish(struct actor *a)
{
	sem_wait_always(&a->done);
}

static inline void actor_do(struct actor *a, void (*fn)(void *), void *arg)
{
	actor_begin(a, fn, arg);
	actor_finish(a);
}

/*
 * Begins, and returns when the actor or a thread that it started stands at the stop. Returns false
 * if none came there, and the actor is done.
 */
static inline int actor_try_hold(struct actor *a, const char *stop, void (*fn)(void *), void *arg)
{
	struct hak_stop_slot *slot = &stops->slot[a->slot];
	uint32_t s;

	stop_arm(slot, stop, a->skip);
	a->to_be_held = 1;
	actor_begin(a, fn, arg);
	while ((s = atomic_load(&slot->state)) != HAK_STOP_REACHED && s != HAK_STOP_GO)
		syscall(SYS_futex, &slot->state, FUTEX_WAIT, s, NULL, NULL, 0);
	a->to_be_held = 0;
	if (s == HAK_STOP_REACHED)
		return 1;
	actor_finish(a);
	return 0;
}

static inline void actor_hold(struct actor *a, const char *stop, void (*fn)(void *), void *arg)
{
	CHECK(actor_try_hold(a, stop, fn, arg), "nobody came to %s", stop);
}

static inline void actor_release(struct actor *a)
{
	stop_go(&stops->slot[a->slot]);
	actor_finish(a);
}

static inline int thread_sleeps(pid_t tid)
{
	char path[64], line[512], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	CHECK(n > 0);
	line[n] = '\0';
	at = strrchr(line, ')');
	return at && at[2] == 'S';
}

/* Begins, and returns when the actor waits for a lock inside of its work. */
static inline void actor_block(struct actor *a, void (*fn)(void *), void *arg)
{
	actor_begin(a, fn, arg);
	WAIT_FOR(atomic_load(&a->busy) && thread_sleeps(a->tid));
}

static inline void actor_end(struct actor *a)
{
	actor_begin(a, NULL, NULL);
	CHECK(!pthread_join(a->t, NULL));
}

/* ---- copies by signal handlers ---- */

__attribute__((unused)) static _Atomic pid_t copy;

/* Both processes go on where they were interrupted. */
__attribute__((unused)) static void fork_and_return(int sig)
{
	pid_t pid = fork();

	(void)sig;
	if (pid)
		atomic_store(&copy, pid);
}

/*
 * ---- blocks with contents ----
 *
 * The contents of p are whole at any moment, because a fork child may check and free what another
 * thread of its parent took.
 */

struct blocks {
	size_t size;
	unsigned int n;
	uint64_t seed;
	unsigned char *p[256];
};

static inline void blocks_take(void *arg)
{
	struct blocks *b = arg;

	for (unsigned int i = 0; i < b->n; i++) {
		unsigned char *p = launder(malloc(opaque(b->size)));

		CHECK(p);
		fill(p, malloc_usable_size(p), b->seed + i);
		b->p[i] = launder(p);
	}
}

static inline void blocks_check(void *arg)
{
	struct blocks *b = arg;

	for (unsigned int i = 0; i < b->n; i++)
		if (b->p[i])
			check_block(b->p[i], malloc_usable_size(b->p[i]), b->seed + i);
}

/* Checks and frees the blocks [from, to). */
static inline void blocks_give_some(struct blocks *b, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		unsigned char *p = b->p[i];

		if (!p)
			continue;
		check_block(p, malloc_usable_size(p), b->seed + i);
		b->p[i] = NULL;
		free(launder(p));
	}
}

/* Gives all of them, and empties the cache to which they went. */
static inline void blocks_give(void *arg)
{
	struct blocks *b = arg;

	blocks_give_some(b, 0, b->n);
	flush_cache();
}

static inline void churn(void *arg)
{
	(void)arg;
	for (uint64_t round = 0; round < 3; round++) {
		exercise_all_tiers(round);
		flush_cache();
	}
}

static pthread_key_t heapless_key;

static inline void again_and_again(void *arg)
{
	uintptr_t round = (uintptr_t)arg;

	exercise_all_tiers(round);
	if (round < 4)
		pthread_setspecific(heapless_key, (void *)(round + 1));
}

static inline void *has_heapless_key(void *arg)
{
	pthread_setspecific(heapless_key, (void *)1);
	return arg;
}

/* A thread that allocates after its heap was given up. */
static inline void heapless(void)
{
	pthread_t t;

	CHECK(!pthread_key_create(&heapless_key, again_and_again));
	CHECK(!pthread_create(&t, NULL, has_heapless_key, NULL) && !pthread_join(t, NULL));
}

/* ---- faults ---- */

/* The values of region.evict, except "keep". */
static const char *const modes[] = { "dontneed", "free", "remap", "munmap" };

/*
 * With one call failing, memory may be refused once. The allocator then gives up what it keeps, and
 * a second try finds more.
 */
static inline void *take(size_t n)
{
	void *p = launder(malloc(opaque(n)));

	if (!p) {
		CHECK(errno == ENOMEM);
		p = launder(malloc(opaque(n)));
	}
	CHECK(p, "malloc(%zu) twice: %s", n, strerror(errno));
	return p;
}

static inline void *take_zeroed(size_t n)
{
	unsigned char *p = launder(calloc(1, opaque(n)));
	size_t usable, at;

	if (!p)
		p = launder(calloc(1, opaque(n)));
	CHECK(p, "calloc(%zu) twice: %s", n, strerror(errno));
	usable = malloc_usable_size(p);
	at = nonzero_at(p, usable);
	CHECK(at == usable, "calloc(%zu): %p is not zero at %zu", n, (void *)p, at);
	memset(p, 0xa5, usable);
	return p;
}

static inline void fault_arm(enum hak_fault kind, uint32_t skip, uint32_t times, int err)
{
	struct hak_stop_fault *f = &stops->fault[kind];

	atomic_store(&f->skip, skip);
	atomic_store(&f->err, err);
	atomic_store(&f->times, times);
}

/* Returns the failures that did not happen. */
static inline uint32_t fault_disarm(enum hak_fault kind)
{
	return atomic_exchange(&stops->fault[kind].times, 0);
}

static inline uint32_t calls(enum hak_fault kind)
{
	return atomic_load(&stops->fault[kind].calls);
}

#endif
