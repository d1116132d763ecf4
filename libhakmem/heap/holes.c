/* SPDX-License-Identifier: MIT */
/* Holes in partly used slabs. See holes.h. */
#include "holes.h"

#include "base/stop.h"
#include "misuse.h"
#include "page/epoch.h"
#include "system/os.h"

static uint32_t index_of(const struct hak_slab *s, size_t offset)
{
	return (uint32_t)((uint64_t)offset * hak_class_inverse[s->cls] >> 32);
}

/* Returns the pages that a block touches, a bit each. */
static unsigned int pages_of(size_t offset, size_t size)
{
	unsigned int first = (unsigned int)(offset / HAK_UNIT);
	unsigned int last = (unsigned int)((offset + size - 1) / HAK_UNIT);

	return ((2u << last) - 1) & ~((1u << first) - 1);
}

struct block_map {
	uint64_t free[HAK_SLAB_BYTES / 16 / 64];
};

static bool all_free(const struct block_map *m, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		if (!(m->free[i / 64] >> (i % 64) & 1))
			return false;
	return true;
}

/* Called by the owner. Atomic for hak_holes_has(). */
static void set_holes(struct hak_slab *s, unsigned int holes)
{
	__atomic_store_n(&s->holes, (uint16_t)holes, __ATOMIC_RELAXED);
}

/*
 * Maps the blocks on the list. Returns NULL, or a block that was freed again or written while it
 * lay there: such a block comes twice, or its link leads nowhere or elsewhere. One block too many
 * is no fault: in a copy of the process made inside the allocator the number may lag behind.
 */
static const void *map_list(const struct hak_slab *s, struct block_map *m)
{
	const char *p = s->free, *last = p;

	for (uint32_t n = 0; n < s->nfree; n++) {
		uint32_t i;

		if (hak_unlikely(!p || !hak_slab_is_block(s, p)))
			return last;
		i = index_of(s, (size_t)(p - s->base));
		if (hak_unlikely(m->free[i / 64] >> (i % 64) & 1))
			return p;
		m->free[i / 64] |= (uint64_t)1 << (i % 64);
		last = p;
		p = *(char *const *)p;
	}
	return NULL;
}

/* Returns the pages that were carved whole, are no holes, and hold no block in use. */
static unsigned int find_holes(struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls), carved = s->carved * size;
	struct block_map m = { { 0 } };
	const void *broken = map_list(s, &m);
	unsigned int found = 0;
	uint32_t i;

	if (hak_unlikely(broken)) {
		hak_misuse("double free(), or memory written after free():", broken);
		/* the links cannot be trusted, so the blocks on the list are lost */
		s->used += s->nfree;
		s->nfree = 0;
		s->free = NULL;
		return 0;
	}
	for (i = 0; s->dropped && i < s->carved; i++)
		if (pages_of(i * size, size) & s->holes)
			m.free[i / 64] |= (uint64_t)1 << (i % 64);
	for (unsigned int page = 0; (page + 1) * HAK_UNIT <= carved; page++)
		if (all_free(&m, index_of(s, page * HAK_UNIT),
			     index_of(s, (page + 1) * HAK_UNIT - 1)))
			found |= 1u << page;
	return found & ~s->holes;
}

/* Takes blocks on holes off the list, before their links go with the pages. */
static void drop_blocks(struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls);
	void **link = &s->free;
	uint32_t n = s->nfree;

	for (char *p = s->free; p && n; n--) {
		char *next = *(char **)p;

		if (pages_of((size_t)(p - s->base), size) & s->holes) {
			/* zeros, as the page will read; a later write to the block is detected */
			((uintptr_t *)p)[0] = ((uintptr_t *)p)[1] = 0;
			s->nfree--;
			s->dropped++;
		} else {
			*link = p;
			link = (void **)p;
		}
		p = next;
	}
	*link = NULL;
}

uint64_t hak_holes_trim(struct hak_slab *s)
{
	unsigned int found;
	uint64_t bytes = 0;

	s->trimmed = true;
	/* a hole is one page */
	if (hak_page != HAK_UNIT || s->nfree * hak_class_size(s->cls) < HAK_UNIT)
		return 0;
	found = find_holes(s);
	if (!found)
		return 0;
	set_holes(s, s->holes | found);
	drop_blocks(s);
	hak_stop("holes.dropped");
	hak_slab_count_holes(found, 1);
	while (found) {
		unsigned int first = (unsigned int)__builtin_ctz(found);
		unsigned int n = (unsigned int)__builtin_ctz(~(found >> first));
		char *p = s->base + first * HAK_UNIT;
		uint64_t resident = hak_purge_count(p, n * HAK_UNIT);

		hak_stop("purge.before_madvise.holes");
		/*
		 * on failure (locked memory) the pages stay resident, and count as free as before
		 */
		if (!hak_os_dontneed(p, n * HAK_UNIT))
			bytes += resident;
		found &= ~(((1u << n) - 1) << first);
	}
	hak_slab_check(s);
	return bytes;
}

bool hak_holes_has(const struct hak_slab *s, const void *p)
{
	size_t offset = (size_t)((const char *)p - s->base);
	/* relaxed: the owner neither makes nor ends a hole under a block in use */
	unsigned int holes = __atomic_load_n(&s->holes, __ATOMIC_RELAXED);

	return hak_unlikely(holes) && (pages_of(offset, hak_class_size(s->cls)) & holes);
}

bool hak_holes_untrim(struct hak_slab *s)
{
	size_t size = hak_class_size(s->cls);

	while (s->holes && !s->nfree) {
		unsigned int page = (unsigned int)__builtin_ctz(s->holes);
		uint32_t i = index_of(s, page * HAK_UNIT),
			 last = index_of(s, (page + 1) * HAK_UNIT - 1);

		set_holes(s, s->holes & ~(1u << page));
		hak_slab_count_holes(1, -1);
		for (; i <= last && i < s->carved; i++) {
			char *p = s->base + i * size;

			/* a block that reaches into the next hole waits for that hole */
			if (pages_of(i * size, size) & s->holes)
				continue;
			s->dropped--;
			if (hak_unlikely(((uintptr_t *)p)[0] || ((uintptr_t *)p)[1])) {
				hak_misuse("double free(), or memory written after free():", p);
				s->used++; /* the block is left out for good */
				continue;
			}
			*(void **)p = s->free;
			((uintptr_t *)p)[1] = hak_key_of(p, 0);
			s->free = p;
			s->nfree++;
		}
	}
	hak_slab_check(s);
	return s->nfree;
}
