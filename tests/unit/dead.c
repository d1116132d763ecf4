// SPDX-License-Identifier: MIT
/*
 * libhakmem/heap/dead.c: a thread gets the heap that died last, or else the lowest empty slot. In
 * debug builds its check finds what is corrupted.
 */
#include "../../libhakmem/heap/dead.c"

#include <pthread.h>

#include "libhakmem/cache/purge.h"
#include "libhakmem/process/attach.h"
#include "unit.h"

enum { MOST = 4 };

static struct ended {
	pthread_t thread;
	struct hak_heap *heap;
	pthread_barrier_t end;
} ended[MOST];
static pthread_barrier_t all_live;

static void *takes_a_block(void *arg)
{
	struct ended *e = arg;
	void *volatile p = malloc(100);

	free(p);
	e->heap = hak_self->heap;
	pthread_barrier_wait(&all_live);
	pthread_barrier_wait(&e->end);
	return NULL;
}

/* n threads at a time, which end in this order. */
static void run_threads(unsigned int n)
{
	CHECK(!pthread_barrier_init(&all_live, NULL, n + 1), "no barrier");
	for (unsigned int i = 0; i < n; i++)
		CHECK(!pthread_barrier_init(&ended[i].end, NULL, 2) &&
			      !pthread_create(&ended[i].thread, NULL, takes_a_block, &ended[i]),
		      "no thread");
	pthread_barrier_wait(&all_live);
	for (unsigned int i = 0; i < n; i++) {
		pthread_barrier_wait(&ended[i].end);
		CHECK(!pthread_join(ended[i].thread, NULL), "no end");
	}
}

/* Slots 1 and 2 are dead in either order, 3 and 4 empty. */
static void two_dead_two_empty(void)
{
	struct hak_purged p;

	hak_heap_attach();
	run_threads(4);
	hak_purge(HAK_PURGE_DIRTY, &p);
	CHECK(!dead, "slot %" PRIu32 " is not emptied", dead->index);
	run_threads(2);
	CHECK(dead == ended[1].heap && dead->next_dead == ended[0].heap &&
		      !ended[0].heap->next_dead,
	      "another list");
	hak_dead_check();
}

static void the_last_is_taken_first(void)
{
	two_dead_two_empty();
	hak_lock(HAK_LOCK_REGISTRY);
	EXPECT(hak_dead_take() == ended[1].heap, "not the last");
	EXPECT(hak_dead_take() == ended[0].heap, "not the first");
	EXPECT(hak_dead_take() == &hak_heaps[3] && hak_dead_take() == &hak_heaps[4] &&
		       !hak_dead_take(),
	       "not the empty slots");
	for (unsigned int i = 0; i < 2; i++)
		hak_dead_add(ended[i].heap);
	EXPECT(dead == ended[1].heap && !hak_dead_forget(), "empty slots");
	hak_unlock(HAK_LOCK_REGISTRY);
}

#if HAK_DEBUG

#define DEAD_FINDS(text, ...) FINDS(text, hak_dead_check(), __VA_ARGS__)

static void corruption_of_the_list_is_found(void)
{
	two_dead_two_empty();
	DEAD_FINDS("h->state == HAK_HEAP_DEAD", dead->state = HAK_HEAP_LIVE);
	DEAD_FINDS("h == &hak_heaps[h->index] && ", dead->index++);
	DEAD_FINDS("h != hak_table.shared", hak_table.shared = dead);
	DEAD_FINDS("(int32_t)(hak_purge_epoch() - h->died)", dead->died = hak_purge_epoch() + 1);
	DEAD_FINDS("!atomic_load_explicit(&h->hot_region.region",
		   dead->hot_region.region = (void *)dead);
	DEAD_FINDS("!atomic_load_explicit(&h->hot_region.region", dead->hot_region.most = 1);
	DEAD_FINDS("++n <= in_table", dead->next_dead->next_dead = dead);
	DEAD_FINDS("n == in_table", dead = dead->next_dead);
	DEAD_FINDS("n == in_table", hak_heaps[0].state = HAK_HEAP_DEAD);
	DEAD_FINDS("with_slabs == ", holders++);
	DEAD_FINDS("with_slabs == ", dead->holds_slabs = !dead->holds_slabs);
	hak_dead_check();
}

static void corruption_of_the_set_is_found(void)
{
	two_dead_two_empty();
	DEAD_FINDS("!has(empty, 0)", flip(empty, 0));
	DEAD_FINDS("!has(empty, i) || ", flip(empty, 1));
	DEAD_FINDS("!has(empty, i) || ", flip(empty, HAK_MAX_HEAPS - 1));
	DEAD_FINDS("!has(empty, i) || ", hak_heaps[3].state = HAK_HEAP_LIVE);
	hak_dead_check();
}

#endif

static const struct tcase cases[] = {
	{ "the_last_is_taken_first", the_last_is_taken_first },
#if HAK_DEBUG
	{ "corruption_of_the_list_is_found", corruption_of_the_list_is_found },
	{ "corruption_of_the_set_is_found", corruption_of_the_set_is_found },
#endif
};

CASES(cases)
