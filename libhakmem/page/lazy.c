/* SPDX-License-Identifier: MIT */
/*
 * The table of lazily freed ranges, which a controller may page out while the process sleeps. One
 * thread at a time writes it (HAK_LOCK_RCACHE); readers outside use the seqlock
 * (tests/models/lazy.pml). A range is in the table from the moment it was freed lazily until just
 * before it is handed out.
 */
#include "lazy.h"

#include <stdatomic.h>

#include "base/stats.h"
#include "base/stop.h"
#include "system/os.h"

/*
 * NULL: there is no table, or its pages do not exist. Set under HAK_LOCK_TUNE, read under
 * HAK_LOCK_RCACHE.
 */
static _Atomic(struct hak_lazy_table *) table;

void hak_lazy_use(struct hak_lazy_table *t)
{
	atomic_store_explicit(&table, t, memory_order_release);
}

static void begin(struct hak_lazy_table *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
	/*
	 * release fence: the odd number before any of the changes; pairs with the reader's acquire
	 */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end(struct hak_lazy_table *t)
{
	__atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
}

static void set(struct hak_lazy_table *t, unsigned int i, uint64_t addr, uint64_t bytes)
{
	__atomic_store_n(&t->range[i].addr, addr, __ATOMIC_RELAXED);
	__atomic_store_n(&t->range[i].bytes, bytes, __ATOMIC_RELAXED);
}

/* Inserts with the largest first. A full table forgets its smallest range. */
static bool insert(struct hak_lazy_table *t, void *p, size_t bytes)
{
	unsigned int n = t->count, i;

	if (n == HAK_LAZY_RANGES) {
		hak_count(HAK_C_LAZY_OVERFLOW, 1);
		__atomic_store_n(&t->overflow, t->overflow + 1, __ATOMIC_RELAXED);
		if (t->range[n - 1].bytes >= bytes)
			return false;
		n--;
	}
	for (i = n; i > 0 && t->range[i - 1].bytes < bytes; i--)
		set(t, i, t->range[i - 1].addr, t->range[i - 1].bytes);
	set(t, i, (uintptr_t)p, bytes);
	__atomic_store_n(&t->count, n + 1, __ATOMIC_RELAXED);
	return true;
}

bool hak_lazy_add(void *p, size_t bytes)
{
	struct hak_lazy_table *t = atomic_load_explicit(&table, memory_order_acquire);
	bool added;

	if (!t)
		return false;
	begin(t);
	hak_stop("lazy.adding");
	added = insert(t, p, bytes);
	end(t);
	hak_stop("lazy.added");
	return added;
}

void hak_lazy_remove(void *p, size_t bytes)
{
	struct hak_lazy_table *t = atomic_load_explicit(&table, memory_order_acquire);
	unsigned int i = 0, n = t ? t->count : 0;

	(void)bytes;
	while (i < n && t->range[i].addr != (uintptr_t)p)
		i++;
	if (i == n)
		return;
	begin(t);
	hak_stop("lazy.removing");
	for (; i + 1 < n; i++)
		set(t, i, t->range[i + 1].addr, t->range[i + 1].bytes);
	__atomic_store_n(&t->count, n - 1, __ATOMIC_RELAXED);
	if (n == 1)
		__atomic_store_n(&t->overflow, 0, __ATOMIC_RELAXED);
	end(t);
}

#if HAK_DEBUG
const struct hak_lazy_table *hak_lazy_check(void)
{
	const struct hak_lazy_table *t = atomic_load_explicit(&table, memory_order_acquire);

	if (!t)
		return NULL;
	hak_assert(!(t->seq & 1));
	hak_assert(t->count <= HAK_LAZY_RANGES);
	for (unsigned int i = 0; i < t->count; i++) {
		uint64_t addr = t->range[i].addr, bytes = t->range[i].bytes;

		hak_assert(addr && bytes && !((addr | bytes) & (HAK_SLICE - 1)));
		hak_assert(!i || t->range[i - 1].bytes >= bytes);
		for (unsigned int k = 0; k < i; k++)
			hak_assert(addr + bytes <= t->range[k].addr ||
				   t->range[k].addr + t->range[k].bytes <= addr);
	}
	return t;
}
#endif

static _Atomic bool pageout;

bool hak_lazy_pageout_attached(void)
{
	return atomic_load_explicit(&pageout, memory_order_relaxed);
}

void hak_lazy_set_pageout(bool attached)
{
	atomic_store_explicit(&pageout, attached, memory_order_relaxed);
}
