/* SPDX-License-Identifier: MIT */
/* Takes, carves and releases slabs. See slab.h. */
#include "slab.h"

#include <string.h>

#include "base/lock.h"
#include "base/probe.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/values.h"
#include "epoch.h"
#include "system/os.h"
#include "units.h"

bool hak_slab_is_block(const struct hak_slab *s, const void *p)
{
	size_t offset = (size_t)((const char *)p - s->base);

	/* the rest behind the last block is no block */
	return offset + hak_class_size(s->cls) <= HAK_SLAB_BYTES &&
	       hak_class_divides(s->cls, (uint32_t)offset);
}

#if HAK_DEBUG

static bool on_hole(const struct hak_slab *s, size_t offset)
{
	size_t first = offset / HAK_UNIT;
	size_t last = (offset + hak_class_size(s->cls) - 1) / HAK_UNIT;

	return s->holes & ((2u << last) - (1u << first));
}

static void check_list(const struct hak_slab *s)
{
	unsigned int n = 0;

	for (void *p = s->free; p; p = *(void **)p, n++) {
		size_t offset = (size_t)((char *)p - s->base);

		hak_assert(hak_slab_is_block(s, p));
		hak_assert(offset / hak_class_size(s->cls) < s->carved);
		hak_assert(!on_hole(s, offset));
		hak_assert(n < s->nfree);
	}
	hak_assert(n == s->nfree);
}

/* A hole is a page that only carved blocks fill. */
static void check_holes(const struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls);
	unsigned int dropped = 0;

	hak_assert(!(s->holes >> s->carved * size / HAK_UNIT));
	for (size_t i = 0; s->holes && i < s->carved; i++)
		dropped += on_hole(s, i * size);
	hak_assert(dropped == s->dropped);
}

/* Blocks that other threads push meanwhile count as used, so their number is at most `used`. */
static void check_remote(const struct hak_slab *s)
{
	uint64_t w = atomic_load_explicit(&s->remote, memory_order_relaxed);
	uint32_t first = HAK_REMOTE_FIRST(w);

	hak_assert(!first == !HAK_REMOTE_COUNT(w));
	hak_assert(!first || (w & HAK_REMOTE_QUEUED));
	hak_assert(!(w >> 33));
	hak_assert(HAK_REMOTE_COUNT(w) <= s->used);
	hak_assert(!first || hak_slab_is_block(s, s->base + ((size_t)(first - 1) << 4)));
}

void hak_slab_check(const struct hak_slab *s)
{
	hak_assert(s->base && !((uintptr_t)s->base & (HAK_SLAB_BYTES - 1)));
	hak_assert(hak_slab_of(s->base) == s);
	hak_assert(s->state > HAK_SLAB_NONE && s->state <= HAK_SLAB_POOLED_FULL);
	hak_assert(s->cls < HAK_SLAB_CLASSES);
	hak_assert(s->capacity == HAK_SLAB_BYTES / hak_class_size(s->cls));
	hak_assert(s->used + s->nfree + s->dropped == s->carved && s->carved <= s->capacity);
	hak_assert(hak_slice_kind(hak_slab_slice(s)) == HAK_SLAB);
	hak_assert(hak_slab_slice(s)->cls == s->cls);
	hak_assert(hak_slice_tag(s->base) == s->cls + 1u);
	hak_assert(!s->extent ||
		   (char *)hak_align_down((size_t)s->base, HAK_EXTENT) == s->extent->base);
	check_list(s);
	check_holes(s);
	check_remote(s);
}

#endif

bool hak_slab_idle(const struct hak_slab *s)
{
	/*
	 * acquire: the last write of another thread into its block comes before the slab's next use
	 */
	return !s->used && !atomic_load_explicit(&s->remote, memory_order_acquire);
}

/* Single slabs that munmap refused to take, linked through next; HAK_LOCK_POOL. */
static struct hak_slab *kept_singles;

static char *kept_single(void)
{
	struct hak_slab *s;

	if (hak_likely(!__atomic_load_n(&kept_singles, __ATOMIC_RELAXED)))
		return NULL;
	hak_lock(HAK_LOCK_POOL);
	s = kept_singles;
	if (s)
		kept_singles = s->next;
	hak_unlock(HAK_LOCK_POOL);
	if (!s)
		return NULL;
	hak_count(HAK_C_MEM_CLEAN, -(int64_t)HAK_SLAB_BYTES);
	hak_count(HAK_C_SLABS_SINGLE, 1);
	return s->base;
}

static char *map_single(bool *ret_zero)
{
	char *p = kept_single();

	if (hak_unlikely(p != NULL)) {
		*ret_zero = false; /* its pages may have stayed */
		return p;
	}
	*ret_zero = true;
	p = hak_os_map(HAK_SLAB_BYTES, HAK_SLICE);
	if (!p)
		return NULL;
	if (hak_slice_prepare(p, HAK_SLAB_BYTES, true)) {
		hak_os_unmap(p, HAK_SLAB_BYTES);
		return NULL;
	}
	hak_count(HAK_C_SLABS_SINGLE, 1);
	hak_mapped_extent(HAK_SLAB_BYTES);
	return p;
}

struct hak_slab *hak_slab_new(void *owner, unsigned int cls, bool *ret_extent)
{
	struct hak_extent *e = NULL;
	struct hak_slab *s;
	bool zero = true;
	char *p;

	*ret_extent = false;
	if (hak_tun(HAK_T_SUPERSLAB_ENABLE))
		p = hak_units_take(HAK_EXTENT_SLABS, HAK_SLAB_UNITS, HAK_SLAB_UNITS,
				   hak_class_size(cls), &e, &zero, ret_extent);
	else
		p = map_single(&zero);
	if (!p)
		return NULL;
	s = hak_slab_of(p);
	hak_assert(s->state == HAK_SLAB_NONE &&
		   !atomic_load_explicit(&s->remote, memory_order_relaxed));
	s->free = NULL;
	s->base = p;
	s->prev = s->next = NULL;
	s->extent = e;
	s->used = s->nfree = s->carved = s->dropped = s->holes = 0;
	s->capacity = (uint16_t)(HAK_SLAB_BYTES / hak_class_size(cls));
	s->cls = (uint8_t)cls;
	s->dirty = !zero;
	s->state = HAK_SLAB_CURRENT;
	hak_slab_slice(s)->cls = (uint8_t)cls;
	hak_slice_set(hak_slab_slice(s), HAK_SLAB, owner);
	hak_slice_set_tag(p, cls + 1);
	hak_count(HAK_C_SLABS, 1);
	hak_count(HAK_C_MEM_SLAB, HAK_SLAB_BYTES);
	if (*ret_extent)
		hak_probe(hakmem, superslab_new, (uintptr_t)p, hak_class_size(cls), 0);
	return s;
}

void hak_slab_abandon(void)
{
	kept_singles = NULL;
}

/*
 * Unmaps a single slab. If munmap refuses (max_map_count), the pages go and the address space waits
 * for the next slab.
 */
static void unmap_single(struct hak_slab *s)
{
	char *p = s->base;

	hak_count(HAK_C_SLABS_SINGLE, -1);
	hak_purge_note(p, HAK_SLAB_BYTES);
	if (hak_os_unmap(p, HAK_SLAB_BYTES)) {
		hak_count(HAK_C_UNMAP_KEPT, 1);
		hak_os_dontneed(p, HAK_SLAB_BYTES);
		hak_count(HAK_C_MEM_CLEAN, HAK_SLAB_BYTES);
		hak_lock(HAK_LOCK_POOL);
		s->next = kept_singles;
		kept_singles = s;
		hak_unlock(HAK_LOCK_POOL);
		return;
	}
	hak_stop("map.after_munmap.slab");
	hak_mapped_extent(-(int64_t)HAK_SLAB_BYTES);
}

void hak_slab_count_holes(unsigned int holes, int sign)
{
	int64_t bytes = sign * (int64_t)__builtin_popcount(holes) * (int64_t)HAK_UNIT;

	hak_count(HAK_C_MEM_SLAB, -bytes);
	hak_count(HAK_C_MEM_CLEAN, bytes);
}

void hak_slab_release(struct hak_slab *s)
{
	/* the part behind the carved blocks is as it was taken */
	size_t touched = s->dirty ? HAK_SLAB_UNITS
				  : (s->carved * hak_class_size(s->cls) + HAK_UNIT - 1) / HAK_UNIT;
	struct hak_extent *e = s->extent;
	char *p = s->base;

	hak_assert(hak_slab_idle(s));
	hak_slab_count_holes(s->holes, -1);
	hak_slice_set_tag(p, 0);
	hak_slice_clear(hak_slab_slice(s));
	s->state = HAK_SLAB_NONE;
	hak_count(HAK_C_SLABS, -1);
	hak_count(HAK_C_MEM_SLAB, -(int64_t)HAK_SLAB_BYTES);
	if (e)
		hak_units_give(e, p, HAK_SLAB_UNITS, (unsigned int)touched);
	else
		unmap_single(s);
}

uint32_t hak_slab_carve(struct hak_slab *s, uint32_t n, struct hak_chain *ret)
{
	size_t size = hak_class_size(s->cls);
	uint32_t left = (uint32_t)(s->capacity - s->carved);
	char *p = s->base + s->carved * size;

	if (n > left)
		n = left;
	if (!n || (s->extent && !hak_extent_make(s->extent, p, n * size)))
		return 0;
	ret->head = p;
	ret->n = n;
	for (uint32_t i = 1; i < n; i++, p += size) {
		*(void **)p = p + size;
		((uintptr_t *)p)[1] = hak_key_of(p, 0);
	}
	*(void **)p = NULL;
	((uintptr_t *)p)[1] = hak_key_of(p, 0);
	ret->tail = p;
	s->carved += (uint16_t)n;
	s->used += (uint16_t)n;
	return n;
}
