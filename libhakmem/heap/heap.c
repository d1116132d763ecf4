/* SPDX-License-Identifier: MIT */
/* The table of heaps. See heap.h. */
#include "heap.h"

#include "base/lock.h"
#include "system/filter.h"
#include "system/os.h"

/*
 * There is one slot for each 256th of RLIMIT_AS that the two mappings of a slot would fill. Further
 * threads use the shared heap.
 */
#define LIMIT_PER_SLOT (256 * 2 * (size_t)HAK_HEAP_STRIDE)
#define FEWEST_SLOTS   64u

struct hak_cache hak_cache_none, hak_cache_shared;
__thread struct hak_cache *hak_self HAK_TLS = &hak_cache_none;

struct hak_heap *hak_heaps;
struct hak_table hak_table;

struct hak_mpsc *hak_owner_queue(void *owner)
{
	return &hak_heap_of(owner)->remote;
}

char *hak_heap_base(void)
{
	return hak_table.base;
}

unsigned int hak_heap_count(void)
{
	return atomic_load_explicit(&hak_table.used, memory_order_acquire);
}

unsigned int hak_heap_live(void)
{
	return atomic_load_explicit(&hak_table.live, memory_order_acquire);
}

struct hak_heap_block *hak_heap_block_at(unsigned int i)
{
	return hak_counters(hak_heap_cache_at(i));
}

unsigned int hak_heap_max(void)
{
	return hak_table.slots;
}

struct hak_cache *hak_heap_shared(void)
{
	return hak_table.shared ? hak_table.shared->cache : NULL;
}

void hak_heap_set_state(struct hak_heap *h, enum hak_heap_state state)
{
	__atomic_store_n(&h->state, state,
			 __ATOMIC_RELAXED); /* sleepers.c looks without the lock */
#if HAK_CONTROL
	hak_counters(h->cache)->state = state;
#endif
}

/*
 * The first word of the memory that fork wipes. Unlike caches it is never written again, so it is
 * zero in a copy of the process in which no fork handlers have run yet.
 */
static uint64_t *mark(void)
{
	return (uint64_t *)hak_table.base;
}

void hak_heap_set_mark(void)
{
	__atomic_store_n(mark(), HAK_CACHE_MAGIC, __ATOMIC_RELAXED);
}

bool hak_heap_is_copy(void)
{
	return hak_heap_count() && __atomic_load_n(mark(), __ATOMIC_RELAXED) != HAK_CACHE_MAGIC;
}

/* Reserves caches and counters, HAK_HEAP_DELTA apart. */
static char *reserve_pair(size_t bytes)
{
	char *high, *low;

	if (bytes == HAK_HEAP_REGION)
		return hak_os_reserve(2 * HAK_HEAP_REGION, false);
	/*
	 * the kernel maps top-down: there is room below the address that it returns, but not above
	 */
	high = hak_os_reserve(bytes, false);
	if (!high)
		return NULL;
	low = hak_os_reserve_at(high - HAK_HEAP_DELTA, bytes);
	if (!low)
		hak_os_unmap(high, bytes);
	return low;
}

static unsigned int slots_under(size_t limit)
{
	size_t n = limit / LIMIT_PER_SLOT / HAK_HEAP_CHUNK * HAK_HEAP_CHUNK;

	if (n < FEWEST_SLOTS)
		return FEWEST_SLOTS;
	return n < HAK_MAX_HEAPS ? (unsigned int)n : HAK_MAX_HEAPS;
}

bool hak_heap_reserve(void)
{
	unsigned int n;

	if (hak_table.base)
		return true;
	hak_os_init();
	hak_filter_look();
	n = slots_under(hak_os_address_limit());
	hak_heaps = hak_os_reserve(sizeof(struct hak_heap) * n, false);
	hak_table.base = hak_heaps ? reserve_pair((size_t)n * HAK_HEAP_STRIDE) : NULL;
	if (!hak_table.base)
		return false;
	/* all slots at once, because a sandbox might forbid it later */
	hak_os_wipe_on_fork(hak_table.base, (size_t)n * HAK_HEAP_STRIDE);
	hak_table.slots = n;
	return true;
}

void hak_heap_fit(void)
{
	unsigned int n = slots_under(hak_os_address_limit());
	size_t records, bytes;

	hak_lock(HAK_LOCK_REGISTRY);
	if (n < hak_table.enabled)
		n = hak_table.enabled < FEWEST_SLOTS ? FEWEST_SLOTS : hak_table.enabled;
	if (hak_table.base && n < hak_table.slots) {
		records = hak_align_up(sizeof(struct hak_heap) * n, hak_page);
		bytes = (size_t)(hak_table.slots - n) * HAK_HEAP_STRIDE;
		hak_os_unmap((char *)hak_heaps + records,
			     hak_align_up(sizeof(struct hak_heap) * hak_table.slots, hak_page) -
				     records);
		hak_os_unmap(hak_table.base + (size_t)n * HAK_HEAP_STRIDE, bytes);
		hak_os_unmap(hak_table.base + (size_t)n * HAK_HEAP_STRIDE + HAK_HEAP_DELTA, bytes);
		hak_table.slots = n;
	}
	hak_unlock(HAK_LOCK_REGISTRY);
}

void hak_heap_keep_on_fork(bool keep)
{
	if (hak_table.base)
		hak_os_keep_on_fork(hak_table.base, (size_t)hak_table.slots * HAK_HEAP_STRIDE,
				    keep);
}

void hak_heap_poke(void)
{
	unsigned int n = hak_heap_count();

	for (unsigned int i = 0; i < n; i++) {
		struct hak_cache *c = hak_heap_cache_at(i);

		/* the pages of a slot that was emptied stay away */
		if (__atomic_load_n(&hak_heaps[i].state, __ATOMIC_RELAXED) != HAK_HEAP_LIVE)
			continue;
		__atomic_store_n(&c->ticks, UINT32_MAX - 1, __ATOMIC_RELAXED);
		for (unsigned int k = 0; k < HAK_CLASSES; k++)
			__atomic_store_n(&c->bin[k].room, HAK_ROOM_LOOK, __ATOMIC_RELAXED);
	}
}

#if HAK_DEBUG
void hak_heap_check(void)
{
	unsigned int used = hak_heap_count();

	hak_assert(used <= hak_table.enabled && hak_table.enabled <= hak_table.slots);
	hak_assert(hak_table.slots <= HAK_MAX_HEAPS && hak_heap_live() <= used);
	for (unsigned int i = 0; i < used; i++) {
		const struct hak_heap *h = &hak_heaps[i];

		if (h->state == HAK_HEAP_UNUSED)
			continue;
		hak_assert(h->index == i && h->cache == hak_heap_cache_at(i));
		hak_assert(!h->holds_slabs || h->state == HAK_HEAP_DEAD);
	}
}
#endif
