// SPDX-License-Identifier: MIT
/*
 * libhakmem/heap/ and cache/: the budget of a cache whose blocks are lost. In debug builds also
 * what the checks find. A heap has slabs in all states, blocks in its bins and on their way, and
 * slabs in the pool. Then, in one child after the other, one field is corrupted, and the check must
 * report the rule that does not hold.
 *
 * This process's own blocks are of other classes.
 */
#include "../../libhakmem/heap/pool.c"

#include <pthread.h>

#include "libhakmem/base/lock.h"
#include "libhakmem/base/values.h"
#include "libhakmem/cache/bin.h"
#include "libhakmem/cache/cache.h"
#include "libhakmem/heap/heap.h"
#include "libhakmem/heap/slablist.h"
#include "libhakmem/cache/purge.h"
#include "libhakmem/process/attach.h"
#include "libhakmem/share/totals.h"
#include "libhakmem/system/os.h"
#include "unit.h"

static struct hak_cache *cache;

/* ---- the budget ---- */

enum { RUN_BYTES = 64 << 10 };

static int64_t whole_budget(void)
{
	return (int64_t)hak_tun(HAK_T_CACHE_THREAD_BYTES);
}

/* A run in the bin, and the budget without it. */
static void cache_a_run(void)
{
	void *volatile p;

	cache = hak_heap_attach();
	hak_cache_flush(cache);
	p = malloc(RUN_BYTES);
	free(p);
	CHECK(cache->heap->budget == whole_budget() - RUN_BYTES, "%" PRId64, cache->heap->budget);
}

static void lost_runs_leave_the_budget(void)
{
	enum { CHECK_OFF = 2 };

	atomic_store(&hak_tun_values[HAK_T_CHECK_FREE], CHECK_OFF);
	cache_a_run();
	hak_cache_broken(cache, hak_class_of_run(RUN_BYTES));
	EXPECT(cache->heap->budget == whole_budget(), "%" PRId64, cache->heap->budget);
}

/* A copy of the process without fork handlers has an empty cache. */
static void copy_has_the_whole_budget(void)
{
	void *volatile p;
	int status = -1;
	pid_t pid;

	cache_a_run();
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!pid) {
		p = malloc(RUN_BYTES);
		CHECK(p && hak_self == cache, "another cache");
		EXPECT(cache->heap->budget == whole_budget(), "%" PRId64, cache->heap->budget);
		_exit(expectations_failed);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status, "status %#x", status);
}

static void child_has_the_budget(void)
{
	int status = -1;
	pid_t pid;

	cache_a_run();
	pid = fork();
	if (!pid) {
		EXPECT(cache->heap->budget == whole_budget() - RUN_BYTES, "%" PRId64,
		       cache->heap->budget);
		_exit(expectations_failed);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status, "status %#x", status);
}

/* ---- slots of ended threads ---- */

static struct hak_heap *ended;

static void *takes_a_block(void *arg)
{
	void *volatile p = malloc(100);

	free(p);
	ended = hak_self->heap;
	CHECK(ended->index && ended->cache == hak_self, "slot %" PRIu32, ended->index);
	return arg;
}

static void run_thread(void)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, takes_a_block, NULL) && !pthread_join(t, NULL),
	      "no thread");
}

static size_t resident_slot(const struct hak_heap *h)
{
	char *slot = hak_heap_base() + (size_t)(h - hak_heaps) * HAK_HEAP_STRIDE;

	return hak_os_resident_bytes(slot, HAK_HEAP_STRIDE);
}

static void slot_is_emptied_and_taken(void)
{
	struct hak_totals before, after;
	struct hak_purged p;
	struct hak_heap *slot;

	cache = hak_heap_attach();
	run_thread();
	slot = ended;
	CHECK(slot != cache->heap && resident_slot(slot), "no slot of its own");
	hak_stats_totals(&before);
	hak_purge(HAK_PURGE_CACHE, &p);
	CHECK(slot->state == HAK_HEAP_DEAD && resident_slot(slot), "emptied by a small purge");
	hak_purge(HAK_PURGE_DIRTY, &p);
	CHECK(slot->state == HAK_HEAP_UNUSED && !resident_slot(slot), "not emptied");
	CHECK(!hak_heap_is_copy() && resident_slot(cache->heap), "the first slot is emptied");
	hak_heap_poke();
	CHECK(!resident_slot(slot), "touched");
	hak_stats_totals(&after);
	for (unsigned int k = 0; k < HAK_CLASSES; k++)
		CHECK(after.cls[k].allocs == before.cls[k].allocs, "class %u", k);
	run_thread();
	CHECK(ended == slot && slot->state == HAK_HEAP_DEAD, "another slot");
	hak_purge(HAK_PURGE_DIRTY, &p);
	hak_heap_check();
}

static int taken_by_a_child(pid_t pid)
{
	const struct hak_heap *slot = ended;
	int status;

	if (!pid) {
		CHECK(hak_heap_attach() == cache, "another cache");
		run_thread();
		EXPECT(ended == slot, "another slot");
		EXPECT(hak_proc_read(HAK_C_HEAPS_DEAD) == 1, "%" PRIu64 " dead",
		       hak_proc_read(HAK_C_HEAPS_DEAD));
		_exit(expectations_failed);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* With and without fork handlers. */
static void emptied_slot_serves_children(void)
{
	struct hak_purged p;

	cache = hak_heap_attach();
	run_thread();
	hak_purge(HAK_PURGE_DIRTY, &p);
	CHECK(ended->state == HAK_HEAP_UNUSED, "not emptied");
	CHECK(!taken_by_a_child(fork()), "a child");
	CHECK(!taken_by_a_child((pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)), "a copy");
}

/* ---- the cap on all caches ---- */

enum { WAITERS = 3, CACHED = 200 };

static struct waiter {
	pthread_t thread;
	struct hak_heap *heap;
} waiter[WAITERS];
static pthread_barrier_t caches_filled, end;

static void *fills_its_cache(void *arg)
{
	struct waiter *w = arg;
	void *volatile p[CACHED];

	for (unsigned int i = 0; i < CACHED; i++)
		p[i] = malloc(64);
	for (unsigned int i = 0; i < CACHED; i++)
		free(p[i]);
	w->heap = hak_self->heap;
	pthread_barrier_wait(&caches_filled);
	pthread_barrier_wait(&end);
	return NULL;
}

static uint32_t cached_by(const struct waiter *w)
{
	return hak_bin_length(w->heap->cache, hak_class_of_tiny(64)) +
	       w->heap->cls[hak_class_of_tiny(64)].spare_n;
}

static void cap_to(uint64_t bytes)
{
	hak_lock(HAK_LOCK_PURGE);
	hak_sleepers_cap(bytes);
	hak_unlock(HAK_LOCK_PURGE);
}

static void cap_takes_the_oldest(void)
{
	static const uint32_t age[WAITERS] = { 2, 9, 4 };
	struct hak_totals t;

	cache = hak_heap_attach();
	CHECK(!pthread_barrier_init(&caches_filled, NULL, WAITERS + 1), "no barrier");
	CHECK(!pthread_barrier_init(&end, NULL, WAITERS + 1), "no barrier");
	for (unsigned int i = 0; i < WAITERS; i++)
		CHECK(!pthread_create(&waiter[i].thread, NULL, fills_its_cache, &waiter[i]),
		      "no thread");
	pthread_barrier_wait(&caches_filled);
	for (unsigned int i = 0; i < WAITERS; i++)
		waiter[i].heap->asleep.since = hak_purge_epoch() - age[i];
	hak_stats_totals(&t);
	cap_to(t.cached_bytes);
	CHECK(cached_by(&waiter[0]) && cached_by(&waiter[1]) && cached_by(&waiter[2]), "too early");
	cap_to(t.cached_bytes - 1);
	CHECK(!cached_by(&waiter[1]), "the oldest is not emptied");
	CHECK(cached_by(&waiter[0]) && cached_by(&waiter[2]), "more than the oldest");
	hak_stats_totals(&t);
	cap_to(t.cached_bytes - 1);
	CHECK(!cached_by(&waiter[2]) && cached_by(&waiter[0]), "not the oldest of two");
	cap_to(0);
	CHECK(!cached_by(&waiter[0]), "the last is not emptied");
	pthread_barrier_wait(&end);
	for (unsigned int i = 0; i < WAITERS; i++)
		CHECK(!pthread_join(waiter[i].thread, NULL), "no end");
}

/* ---- blocks that go straight to their slabs ---- */

enum { DIRECT = 16384, OURS = 3 /* hak_class_of_tiny(64) */ };
static void *direct[DIRECT];

static void take_direct(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		direct[i] = malloc(64);
		CHECK(direct[i], "no memory");
	}
}

/* So that neighbours are of different slabs; n is a power of two. */
static void give_direct(unsigned int from, unsigned int n)
{
	for (unsigned int i = from; i < n; i++)
		free(direct[i * 1021 & (n - 1)]);
}

static uint64_t flushed(void)
{
	return hak_counters(cache)->cls[HAK_C_FLUSHED][OURS];
}

static int64_t cached_by_counters(void)
{
	const struct hak_heap_block *b = hak_counters(cache);

	return (int64_t)(b->cls[HAK_C_REFILLED][OURS] + b->hot[OURS].frees - b->hot[OURS].allocs -
			 b->cls[HAK_C_FLUSHED][OURS]);
}

/* No block in a bin keeps a slab, whatever the order is in which the program frees. */
static void bin_follows_to_the_slabs(void)
{
	uint64_t slabs;

	CHECK(hak_class_of_tiny(64) == OURS, "class %u", hak_class_of_tiny(64));
	cache = hak_heap_attach();
	hak_cache_flush(cache);
	slabs = hak_proc_read(HAK_C_SLABS);
	for (int round = 0; round < 3; round++) {
		take_direct(DIRECT);
		CHECK(hak_proc_read(HAK_C_SLABS) >= slabs + 3, "in few slabs");
		give_direct(0, DIRECT);
		CHECK(cache->heap->cls[OURS].direct && !cache->bin[OURS].head, "a bin");
		CHECK(!hak_bin_length(cache, OURS) && !cached_by_counters(), "%u blocks counted",
		      hak_bin_length(cache, OURS));
		/* the current one is kept */
		CHECK(hak_proc_read(HAK_C_SLABS) <= slabs + 1, "%lu slabs of %lu",
		      hak_proc_read(HAK_C_SLABS), slabs);
		hak_bin_check(cache, OURS);
	}
}

/* What a longer bin can hold stays in it after a few rounds. */
static void bin_grows_by_need(void)
{
	uint64_t before = 0;

	cache = hak_heap_attach();
	hak_cache_flush(cache);
	for (int round = 0; round < 20; round++) {
		before = flushed();
		take_direct(DIRECT / 4);
		give_direct(0, DIRECT / 4);
	}
	CHECK(flushed() == before, "%lu blocks flushed", flushed() - before);
	CHECK(cached_by_counters() >= DIRECT / 4, "%ld in the bin", cached_by_counters());
	hak_cache_flush(cache);
	CHECK(!cached_by_counters(), "%ld left", cached_by_counters());
}

/* free looks at requests although blocks go past the bin. */
static void direct_free_looks(void)
{
	unsigned int at = DIRECT - 2000;
	uint64_t trips;

	cache = hak_heap_attach();
	hak_cache_flush(cache);
	take_direct(DIRECT);
	for (unsigned int i = 0; i < at; i++)
		free(direct[i]);
	CHECK(cache->heap->cls[OURS].direct, "not in direct mode");
	hak_heap_poke();
	free(direct[at++]);
	CHECK(cache->ticks < 1000, "no look after a poke");
	trips = hak_counters(cache)->heap[HAK_C_FREE_TRIP];
	for (; at < DIRECT; at++)
		free(direct[at]);
	trips = hak_counters(cache)->heap[HAK_C_FREE_TRIP] - trips;
	CHECK(trips >= 1999 / HAK_DIRECT_MOST - 2 && trips < 100, "%lu looks", trips);
	CHECK(!cached_by_counters(), "%ld left", cached_by_counters());
}

/* ---- what the checks find ---- */

#if HAK_DEBUG

enum { CLS = 37, SIZE = 1792 };

/* A slab of the heap's with `used` blocks in use, on no list. */
static struct hak_slab *new_slab(uint32_t used)
{
	struct hak_chain chain;
	struct hak_slab *s;
	bool fresh;

	s = hak_slab_new(cache, CLS, &fresh);
	CHECK(s && hak_class_size(CLS) == SIZE, "class of %zu", hak_class_size(CLS));
	CHECK(hak_slab_carve(s, used, &chain) == used, "no memory");
	return s;
}

static struct hak_slab *room[2], *full;

static void three_in_the_pool(void)
{
	struct hak_chain chain;
	void *p;

	cache = hak_heap_attach();
	room[0] = new_slab(3);
	room[1] = new_slab(5);
	full = new_slab(HAK_SLAB_BYTES / SIZE);
	CHECK(hak_pool_put(room[0]) && hak_pool_put(room[1]) && hak_pool_put(full), "not pooled");
	/* and one of them in the pool's queue */
	p = room[0]->base;
	chain = (struct hak_chain){ p, p, 1 };
	CHECK(hak_remote_push(room[0], &chain), "not queued");
	CHECK(pool[CLS].room == room[1] && room[1]->next == room[0] && pool[CLS].full == full,
	      "another order");
	hak_pool_check();
}

#define POOL_FINDS(text, ...) FINDS(text, hak_pool_check(), __VA_ARGS__)

static void corruption_of_the_pool_is_found(void)
{
	three_in_the_pool();
	POOL_FINDS("s->prev == before", room[0]->prev = NULL);
	POOL_FINDS("s->cls == cls && s->state == state", room[0]->cls++);
	POOL_FINDS("s->cls == cls && s->state == state", room[0]->state = HAK_SLAB_PARTIAL);
	POOL_FINDS("s->cls == cls && s->state == state", full->state = HAK_SLAB_POOLED);
	POOL_FINDS("(s->used == s->capacity) == ", full->used--);
	POOL_FINDS("(s->used == s->capacity) == ", room[0]->used = room[0]->capacity);
	POOL_FINDS("s->life == pool_life", full->life++);
	POOL_FINDS("hak_slab_owner(s) == &hak_pool", hak_slab_set_owner(full, cache));
	POOL_FINDS("!hak_slab_idle(s)", room[1]->used = 0);
	POOL_FINDS("s->used + s->nfree", room[1]->carved++); /* hak_slab_check() */
	POOL_FINDS("atomic_load_explicit(&s->remote", room[0]->remote = 0);
	POOL_FINDS("hak_slab_owner(s) == owner", full->mpsc_next = NULL;
		   hak_slab_set_owner(full, cache); full->remote = HAK_REMOTE_QUEUED;
		   room[0]->mpsc_next = full; pool[CLS].full = NULL);
	hak_pool_check();
}

/* ---- a heap's lists of slabs ---- */

static struct hak_heap_class *lists;
static struct hak_slab *current, *partial[2], *filled;

static struct hak_slab *list_slab(struct hak_slab_list *l, uint32_t used, unsigned int state)
{
	struct hak_slab *s = new_slab(used);

	s->state = (uint8_t)state;
	hak_slablist_push(l, s);
	return s;
}

static void slabs_in_all_lists(void)
{
	struct hak_chain chain;
	void *p;

	cache = hak_heap_attach();
	lists = &cache->heap->cls[CLS];
	CHECK(!lists->current && !lists->partial.head && !lists->full.head, "others' blocks");
	current = lists->current = new_slab(1);
	partial[0] = list_slab(&lists->partial, 2, HAK_SLAB_PARTIAL);
	partial[1] = list_slab(&lists->partial, 3, HAK_SLAB_PARTIAL);
	filled = list_slab(&lists->full, HAK_SLAB_BYTES / SIZE, HAK_SLAB_FULL);
	p = partial[0]->base;
	chain = (struct hak_chain){ p, p, 1 };
	CHECK(hak_remote_push(partial[0], &chain), "not queued");
	hak_cache_check(cache);
}

#define HEAP_FINDS(text, ...) FINDS(text, hak_cache_check(cache), __VA_ARGS__)

static void corruption_of_lists_is_found(void)
{
	slabs_in_all_lists();
	HEAP_FINDS("!hc->current->prev && !hc->current->next", current->next = filled);
	HEAP_FINDS("s->cls == cls && s->state == state", current->state = HAK_SLAB_PARTIAL);
	HEAP_FINDS("s->cls == cls && s->state == state", current->cls++);
	HEAP_FINDS("s->cls == cls && s->state == state", filled->state = HAK_SLAB_PARTIAL);
	HEAP_FINDS("hak_slab_owner(s) == c", hak_slab_set_owner(filled, (void *)&hak_pool));
	HEAP_FINDS("state != HAK_SLAB_PARTIAL || ", partial[1]->used = 0);
	HEAP_FINDS("state != HAK_SLAB_FULL || ", filled->nfree = 1);
	HEAP_FINDS("s->prev == before", partial[0]->prev = NULL);
	HEAP_FINDS("s->used + s->nfree", partial[0]->carved++); /* hak_slab_check() */
	HEAP_FINDS("atomic_load_explicit(&s->remote", partial[0]->remote = 0);
	hak_cache_check(cache);
}

/* ---- a cache ---- */

enum { IN_BIN = 6, IN_SPARE = 3, RUN = HAK_SLAB_CLASSES + 15 };
static struct hak_bin *bin;

/* Blocks of one class in the bin and its second list, and two runs. */
static void cache_with_blocks(void)
{
	void *volatile p[IN_BIN + IN_SPARE], *volatile run[2];
	void **last;

	cache = hak_heap_attach();
	hak_cache_flush(cache);
	lists = &cache->heap->cls[CLS];
	bin = &cache->bin[CLS];
	for (unsigned int i = 0; i < IN_BIN + IN_SPARE; i++)
		p[i] = malloc(SIZE);
	hak_cache_flush(cache);
	for (unsigned int i = 0; i < 2; i++)
		run[i] = malloc(hak_class_size(RUN));
	lists->limit = 16; /* beyond the first limit blocks would go to their slab */
	cache->heap->budget -= 8 * SIZE;
	for (unsigned int i = 0; i < IN_BIN + IN_SPARE; i++)
		free(p[i]);
	for (unsigned int i = 0; i < 2; i++)
		free(run[i]);
	/* the oldest ones */
	last = (void **)p[IN_SPARE];
	lists->spare = *last;
	*last = NULL;
	lists->spare_n = IN_SPARE;
	lists->base -= IN_SPARE;
	CHECK(hak_bin_length(cache, CLS) && hak_bin_length(cache, RUN) == 2, "not as planned");
	hak_cache_check(cache);
}

static void corruption_of_a_cache_is_found(void)
{
	static struct hak_slab other;
	uint32_t *first;

	cache_with_blocks();
	first = &cache->heap->index;
	HEAP_FINDS("c->magic == HAK_CACHE_MAGIC", cache->magic = 0);
	HEAP_FINDS("c->heap == h && ", ++*first);
	HEAP_FINDS("h->state == HAK_HEAP_LIVE && ", cache->heap->state = HAK_HEAP_DEAD);
	HEAP_FINDS("h->state == HAK_HEAP_LIVE && ", cache->heap->holds_slabs = true);
	HEAP_FINDS("!c->remote[i].slab", cache->remote[5].slab = &other);
	HEAP_FINDS("!sample->bytes || ", cache->heap->sample.bytes = 1000;
		   cache->heap->sample.cls[3].rest = 0);
	HEAP_FINDS("c->heap->budget + spent == ", cache->heap->budget++);
	hak_cache_check(cache);
}

#define TABLE_FINDS(text, ...) FINDS(text, hak_heap_check(), __VA_ARGS__)

static void corruption_of_the_table_is_found(void)
{
	cache = hak_heap_attach();
	hak_heap_check();
	TABLE_FINDS("used <= hak_table.enabled && ", hak_table.enabled = 0);
	TABLE_FINDS("used <= hak_table.enabled && ", hak_table.slots = 0);
	TABLE_FINDS("hak_table.slots <= HAK_MAX_HEAPS && ", hak_table.slots = HAK_MAX_HEAPS + 1);
	TABLE_FINDS("hak_table.slots <= HAK_MAX_HEAPS && ", hak_table.live += 100);
	TABLE_FINDS("h->index == i && ", cache->heap->index++);
	TABLE_FINDS("h->index == i && ", cache->heap->cache++);
	TABLE_FINDS("!h->holds_slabs || ", cache->heap->holds_slabs = true);
	hak_heap_check();
}

static void corruption_of_bins_is_found(void)
{
	void **head;

	cache_with_blocks();
	head = bin->head;
	HEAP_FINDS("n == length", lists->base++);
	HEAP_FINDS("!p || !is_intact(p, cls) || ", lists->base--);
	HEAP_FINDS("n == length", *head = NULL);
	HEAP_FINDS("n == length", lists->spare_n++);
	HEAP_FINDS("n == length", ++*hak_bin_base(cache->heap, RUN));
	HEAP_FINDS("tag == cls + 1", void **p = (void **)(current = new_slab(1))->base;
		   hak_slice_set_tag(p, CLS); *p = *head; *head = p;
		   p[1] = (void *)hak_key_of(p, 0); lists->base++);
	HEAP_FINDS("b->inverse == hak_class_inverse[cls]", bin->inverse++);
	HEAP_FINDS("!b->inverse", cache->bin[RUN].inverse++);
	HEAP_FINDS("b->room <= ", cache->bin[RUN].room = 17);
	HEAP_FINDS("room <= ", bin->room = 10000);
	HEAP_FINDS("!hc->limit || (hc->limit >= first", lists->limit = 1);
	HEAP_FINDS("!hc->limit || (hc->limit >= first", lists->limit = 10000);
	HEAP_FINDS("!hc->limit || !(hc->limit % first)", lists->limit = 9);
	HEAP_FINDS("!hc->spare == !hc->spare_n", lists->spare = NULL);
	HEAP_FINDS("hc->carve * hak_class_size(cls) < ", lists->carve = 40);
	hak_cache_check(cache);
}

/* What the program did wrong is left to malloc and free. */
static void programs_faults_are_not(void)
{
	void **head, *old, *last;

	cache_with_blocks();
	head = bin->head;
	old = *head;
	*head = &head; /* written after it was freed */
	hak_cache_check(cache);
	head[1] = NULL;
	hak_cache_check(cache);
	*head = old;
	head[1] = (void *)hak_key_of(head, 0);
	/* freed twice: in a circle, or in both lists */
	last = *(void **)old;
	old = *(void **)last;
	*(void **)last = head;
	hak_cache_check(cache);
	*(void **)last = old;
	last = lists->spare;
	*(void **)last = bin->head;
	bin->head = last;
	lists->base++;
	hak_cache_check(cache);
}

#endif

static const struct tcase cases[] = {
	{ "lost_runs_leave_the_budget", lost_runs_leave_the_budget },
	{ "copy_has_the_whole_budget", copy_has_the_whole_budget },
	{ "child_has_the_budget", child_has_the_budget },
	{ "slot_is_emptied_and_taken", slot_is_emptied_and_taken },
	{ "cap_takes_the_oldest", cap_takes_the_oldest },
	{ "emptied_slot_serves_children", emptied_slot_serves_children },
	{ "bin_follows_to_the_slabs", bin_follows_to_the_slabs },
	{ "bin_grows_by_need", bin_grows_by_need },
	{ "direct_free_looks", direct_free_looks },
#if HAK_DEBUG
	{ "corruption_of_the_pool_is_found", corruption_of_the_pool_is_found },
	{ "corruption_of_lists_is_found", corruption_of_lists_is_found },
	{ "corruption_of_a_cache_is_found", corruption_of_a_cache_is_found },
	{ "corruption_of_the_table_is_found", corruption_of_the_table_is_found },
	{ "corruption_of_bins_is_found", corruption_of_bins_is_found },
	{ "programs_faults_are_not", programs_faults_are_not },
#endif
};

CASES(cases)
