/* SPDX-License-Identifier: MIT */
/* Dead heaps. See dead.h. */
#include "dead.h"

#include "base/lock.h"
#include "page/epoch.h"
#include "slablist.h"
#include "system/os.h"

static struct hak_heap *dead;
static _Atomic unsigned int holders; /* the number of these that still hold slabs */

/* Sets of slots. */
#define WORD_BITS 64u
#define WORDS	  (HAK_MAX_HEAPS / WORD_BITS)
static uint64_t empty[WORDS];

static bool has(const uint64_t *set, unsigned int slot)
{
	return set[slot / WORD_BITS] >> slot % WORD_BITS & 1;
}

static void flip(uint64_t *set, unsigned int slot)
{
	set[slot / WORD_BITS] ^= (uint64_t)1 << slot % WORD_BITS;
}

static void forget_slabs(struct hak_heap *h)
{
	if (h->holds_slabs)
		atomic_fetch_sub_explicit(&holders, 1, memory_order_relaxed);
	h->holds_slabs = false;
}

void hak_dead_add(struct hak_heap *h)
{
	hak_heap_set_state(h, HAK_HEAP_DEAD);
	h->holds_slabs = true;
	h->died = hak_purge_epoch();
	h->next_dead = dead;
	dead = h;
	atomic_fetch_add_explicit(&holders, 1, memory_order_relaxed);
}

/* The lowest one, so that the others lie side by side. */
static struct hak_heap *take_empty(void)
{
	unsigned int i = 0;
	struct hak_heap *h;

	while (i < WORDS && !empty[i])
		i++;
	if (i == WORDS)
		return NULL;
	i = i * WORD_BITS + (unsigned int)__builtin_ctzll(empty[i]);
	flip(empty, i);
	h = &hak_heaps[i];
	h->index = i;
	h->cache = hak_heap_cache_at(i);
	return h;
}

struct hak_heap *hak_dead_take(void)
{
	struct hak_heap *h = dead;

	if (!h)
		return take_empty();
	dead = h->next_dead;
	hak_stop("adopt.off_list");
	forget_slabs(h);
	return h;
}

unsigned int hak_dead_forget(void)
{
	unsigned int n = 0;

	dead = NULL;
	atomic_store_explicit(&holders, 0, memory_order_relaxed);
	for (unsigned int i = 0; i < WORDS; i++)
		n += (unsigned int)__builtin_popcountll(empty[i]);
	return n;
}

/* ---- invariants ---- */

#if HAK_DEBUG

static void check_dead(const struct hak_heap *h)
{
	hak_assert(h->state == HAK_HEAP_DEAD);
	hak_assert(h == &hak_heaps[h->index] && h->index < hak_heap_count());
	hak_assert(h != hak_table.shared);
	hak_assert((int32_t)(hak_purge_epoch() - h->died) >= 0);
	hak_assert(!atomic_load_explicit(&h->hot_region.region, memory_order_relaxed) &&
		   !atomic_load_explicit(&h->hot_region.most, memory_order_relaxed));
}

static void check_empty(void)
{
	hak_assert(!has(empty, 0));
	for (unsigned int i = 1; i < HAK_MAX_HEAPS; i++)
		hak_assert(!has(empty, i) ||
			   (i < hak_heap_count() && hak_heaps[i].state == HAK_HEAP_UNUSED));
}

void hak_dead_check(void)
{
	unsigned int n = 0, with_slabs = 0, in_table = 0;

	for (unsigned int i = 0; i < hak_heap_count(); i++)
		in_table += hak_heaps[i].state == HAK_HEAP_DEAD;
	for (const struct hak_heap *h = dead; h; h = h->next_dead) {
		hak_assert(++n <= in_table); /* otherwise the list is a circle */
		check_dead(h);
		with_slabs += h->holds_slabs;
	}
	hak_assert(n == in_table);
	hak_assert(with_slabs == atomic_load_explicit(&holders, memory_order_relaxed));
	check_empty();
}

#endif

static void leave(void)
{
	hak_dead_check();
	hak_unlock(HAK_LOCK_REGISTRY);
}

void hak_dead_drain(uint32_t age)
{
	uint32_t now = hak_purge_epoch();

	hak_lock(HAK_LOCK_REGISTRY);
	for (struct hak_heap *h = dead; h; h = h->next_dead)
		if ((h->holds_slabs && now - h->died >= age) ||
		    atomic_load_explicit(&h->remote.head, memory_order_relaxed)) {
			forget_slabs(h);
			hak_slablist_retire(h->cache);
		}
	leave();
}

/* Gives the whole pages in the range back. */
static uint64_t clear(char *from, char *to)
{
	char *first = (char *)hak_align_up((uintptr_t)from, hak_page);
	char *last = (char *)((uintptr_t)to & ~(uintptr_t)(hak_page - 1));
	uint64_t bytes;

	if (first >= last)
		return 0;
	bytes = hak_purge_count(first, (uint64_t)(last - first));
	return hak_os_clear(first, (size_t)(last - first)) ? 0 : bytes;
}

/* Slots [from, to), and the pages that they share with empty neighbours. */
static uint64_t clear_slots(unsigned int from, unsigned int to)
{
	unsigned int n = hak_heap_count(), most = (unsigned int)(hak_page / sizeof(*dead)) + 1;

	for (unsigned int i = 0; i < most && from && has(empty, from - 1); i++)
		from--;
	for (unsigned int i = 0; i < most && to < n && has(empty, to); i++)
		to++;
	return clear((char *)hak_heap_cache_at(from) - HAK_CACHE_OFFSET,
		     (char *)hak_heap_cache_at(to) - HAK_CACHE_OFFSET) +
	       clear((char *)&hak_heaps[from], (char *)&hak_heaps[to]);
}

static uint64_t clear_set(const uint64_t *set)
{
	unsigned int n = hak_heap_count(), from = 0;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i <= n; i++) {
		if (i < n && has(set, i))
			continue;
		if (from < i)
			bytes += clear_slots(from, i);
		from = i + 1;
	}
	return bytes;
}

uint64_t hak_dead_empty(uint32_t age, bool *ret_more)
{
	uint64_t emptied[WORDS] = { 0 }, bytes;
	uint32_t now = hak_purge_epoch();
	struct hak_heap **link = &dead, *h;

	*ret_more = false;
	hak_lock(HAK_LOCK_REGISTRY);
	while ((h = *link)) {
		bool young = now - h->died < age;

		if (!h->index || (!h->holds_slabs && !hak_slablist_is_empty(h))) {
			link = &h->next_dead;
			continue;
		}
		if (young || h->holds_slabs) {
			*ret_more = true;
			link = &h->next_dead;
			continue;
		}
		*link = h->next_dead;
		hak_heap_set_state(h, HAK_HEAP_UNUSED);
		hak_hot_forget(&h->hot_region);
		hak_stop("empty.off_list");
		flip(empty, h->index);
		flip(emptied, h->index);
	}
	bytes = clear_set(emptied);
	leave();
	return bytes;
}

bool hak_dead_scavenge(void)
{
	struct hak_heap *h;

	if (hak_likely(!atomic_load_explicit(&holders, memory_order_relaxed)))
		return false;
	hak_lock(HAK_LOCK_REGISTRY);
	for (h = dead; h && !h->holds_slabs; h = h->next_dead)
		;
	if (h) {
		forget_slabs(h);
		hak_slablist_retire(h->cache);
	}
	leave();
	return h;
}
