/* SPDX-License-Identifier: MIT */
/* The counters of heaps, shared or private. See slots.h. */
#include "slots.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/sys.h"
#include "shared.h"
#include "system/os.h"

unsigned int hak_slots_writable;
_Atomic bool hak_slots_leaving;

int hak_slots_enable(unsigned int first, unsigned int count)
{
	size_t from = hak_align_up((size_t)first * HAK_HEAP_STRIDE, hak_page);
	size_t to = hak_align_up((size_t)(first + count) * HAK_HEAP_STRIDE, hak_page);
	int r = from < to ? hak_os_enable(hak_slots_base() + from, to - from) : 0;

	if (!r)
		hak_slots_writable = first + count;
	return r;
}

#if HAK_CONTROL

static uint8_t still_shared[HAK_MAX_HEAPS]; /* slots whose thread has not moved them yet */

/* Slots [first, first + count), which are the pages [from, to). */
static int populate(unsigned int first, unsigned int count, size_t from, size_t to)
{
	int r = 0;

	if (hak_slots_part(first) == HAK_HEAP_STRIDE)
		return hak_shared_populate(hak_slots_base() + from, to - from);
	for (unsigned int i = first; !r && i < first + count; i++)
		r = hak_shared_populate(hak_slots_base() + (size_t)i * HAK_HEAP_STRIDE,
					hak_slots_part(i));
	return r;
}

int hak_slots_populate(unsigned int first, unsigned int count)
{
	size_t from = hak_align_up((size_t)first * HAK_HEAP_STRIDE, hak_page);
	size_t to = hak_align_up((size_t)(first + count) * HAK_HEAP_STRIDE, hak_page);
	char *p = hak_slots_base() + from;
	int r = 0;

	if (from < to)
		r = (int)hak_sys(SYS_mprotect, (long)p, (long)(to - from), PROT_READ | PROT_WRITE,
				 0, 0, 0);
	if (!r && from < to)
		r = populate(first, count, from, to);
	if (!r)
		hak_os_dump(p, to - from, true);
	if (r) {
		r = hak_shared_cover(p, to - from, PROT_READ | PROT_WRITE);
		if (r)
			return r;
		hak_slots_writable = first + count;
		return 1;
	}
	hak_slots_writable = first + count;
	return 0;
}

int hak_slots_map(int fd, size_t offset)
{
	size_t used = hak_align_up((size_t)hak_slots_writable * HAK_HEAP_STRIDE, hak_page);
	char *base = hak_slots_base();

	/* The unused part comes first: if this fails, nothing has changed yet. */
	if (used < hak_slots_bytes() &&
	    !hak_shared_map(base + used, hak_slots_bytes() - used, PROT_NONE, fd, offset + used))
		return -ENOMEM;
	/* a reader of a memfd's holes, such as a dump, has them filled */
	hak_os_dump(base + used, hak_slots_bytes() - used, false);
	if (!used || hak_shared_map(base, used, PROT_READ | PROT_WRITE, fd, offset))
		return 0;
	hak_shared_cover(base + used, hak_slots_bytes() - used, PROT_NONE);
	return -ENOMEM;
}

/*
 * Handles `part` bytes of each slot [first, last), which share no page with others. A lost count
 * would make the lengths of bins wrong.
 */
static int unshare(unsigned int first, unsigned int last, size_t part)
{
	return hak_shared_copy_parts(hak_slots_base() + (size_t)first * HAK_HEAP_STRIDE,
				     hak_align_up((size_t)(last - first) * HAK_HEAP_STRIDE,
						  hak_page),
				     HAK_HEAP_STRIDE, part);
}

/* What the slot's own heap counts. Other threads may count in the tallies of the slot. */
static int unshare_own(unsigned int slot)
{
	char *p = hak_slots_base() + (size_t)slot * HAK_HEAP_STRIDE;

	if (hak_page > HAK_HEAP_HALF || slot >= HAK_TALLY_BLOCKS)
		return unshare(slot, slot + 1, hak_slots_part(slot));
	return hak_shared_copy(p, HAK_HEAP_HALF);
}

/* Returns true if some stay where they are, in memory that no reader expects any more. */
static bool unshare_tallies(void)
{
	bool left = false;

	for (unsigned int i = 0; i < hak_slots_writable && i < HAK_TALLY_BLOCKS; i++)
		if (hak_page <= HAK_HEAP_HALF)
			left |= hak_shared_recount((uint64_t *)(hak_slots_base() +
								(size_t)i * HAK_HEAP_STRIDE +
								HAK_HEAP_HALF),
						   HAK_HEAP_HALF) != 0;
	return left;
}

int hak_slots_unshare(void)
{
	unsigned int n = hak_slots_writable, tallies = n < HAK_TALLY_BLOCKS ? n : HAK_TALLY_BLOCKS;
	int r;

	if (hak_page > HAK_HEAP_HALF)
		return unshare(0, n, HAK_HEAP_STRIDE);
	r = tallies ? unshare(0, tallies, HAK_HEAP_STRIDE) : 0;
	return r || n == tallies ? r : unshare(tallies, n, HAK_HEAP_HALF);
}

void hak_slots_unshare_unused(void)
{
	size_t used = hak_align_up((size_t)hak_slots_writable * HAK_HEAP_STRIDE, hak_page);

	if (used < hak_slots_bytes())
		hak_shared_cover(hak_slots_base() + used, hak_slots_bytes() - used, PROT_NONE);
}

/*
 * A slot that no running thread owns is moved by the dropping thread, under the locks of the
 */
static bool is_mine(unsigned int slot)
{
	const struct hak_heap_block *b = hak_heap_block_at(slot);
	struct hak_cache *shared = hak_heap_shared();

	return b->state != HAK_HEAP_LIVE || b == hak_counters(hak_self) ||
	       (shared && b == hak_counters(shared));
}

void hak_slots_drop(void)
{
	bool left;

	hak_lock(HAK_LOCK_SHARED);
	hak_lock(HAK_LOCK_REGISTRY);
	hak_slots_unshare_unused();
	if (hak_slots_alone()) {
		left = hak_slots_unshare();
		__builtin_memset(still_shared, left, hak_slots_writable);
	} else {
		left = unshare_tallies();
		for (unsigned int i = 0; i < hak_slots_writable; i++) {
			still_shared[i] = !is_mine(i) || unshare_own(i);
			left |= still_shared[i];
		}
	}
	hak_unlock(HAK_LOCK_REGISTRY);
	hak_unlock(HAK_LOCK_SHARED);
	/* release: pairs with hak_slots_settle(), which reads the table */
	atomic_store_explicit(&hak_slots_leaving, left, memory_order_release);
}

void hak_slots_settle(struct hak_cache *c)
{
	unsigned int slot = (unsigned int)((size_t)((char *)c - hak_heap_base()) / HAK_HEAP_STRIDE);

	/* acquire: pairs with hak_slots_drop() */
	if (!atomic_load_explicit(&hak_slots_leaving, memory_order_acquire) || !still_shared[slot])
		return;
	still_shared[slot] = unshare_own(slot) != 0;
}

void hak_slots_cover(void)
{
	size_t used = hak_align_up((size_t)hak_slots_writable * HAK_HEAP_STRIDE, hak_page);

	hak_slots_unshare_unused();
	hak_shared_cover(hak_slots_base(), used, PROT_READ | PROT_WRITE);
}

void hak_slots_forget(void)
{
	__builtin_memset(still_shared, 0, sizeof(still_shared));
}

#else

void hak_slots_settle(struct hak_cache *c)
{
	(void)c;
}

#endif
