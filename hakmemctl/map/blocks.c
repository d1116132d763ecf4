/* SPDX-License-Identifier: MIT */
/*
 * Which blocks of a slab are in use. A free block, wherever it waits, holds a key in its second
 * word (slab.h in libhakmem), which is its own address exclusive-or that of the address map. Blocks
 * that were carved, lie on no hole and hold no key are in use. Nothing else of a block is looked
 * at, and only resident pages are read: a block whose word is in no page was handed out, and its
 * page was given back by the program, or is swapped out.
 *
 * A page is pinned when one block in use touches it, and at least half of the page is free: the
 * page would go back to the kernel with this block.
 */
#include <errno.h>
#include <string.h>

#include "hakmemctl/map/map.h"

#define SLAB_MOST (MAP_SLAB_UNITS * MAP_BLOCK)

/* Reads the resident units of a slab, neighbours by one call. */
static int read_units(struct map *map, const struct map_slab *slab, const struct map_unit *unit,
		      char *content)
{
	const uint32_t bytes = map->unit_bytes;
	int r = 0;

	for (uint32_t i = 0, n; r == 0 && i < map->slab_units; i += n) {
		for (n = 0; i + n < map->slab_units && unit[i + n].page & MAP_RESIDENT; n++)
			;
		if (n)
			r = map_memory_read_all(&map->memory, slab->base + (uint64_t)i * bytes,
						content + i * bytes, (size_t)n * bytes);
		else
			n = 1;
	}
	return r;
}

static bool has_key(const struct map *map, const struct map_slab *slab, const struct map_unit *unit,
		    const char *content, uint32_t offset)
{
	const uint32_t shift = 64 - map_value(&map->structs, HAK_S_KEY_BITS);
	const uint32_t second = offset + (uint32_t)sizeof(uint64_t);
	uint64_t word;

	if (!(unit[second / map->unit_bytes].page & MAP_RESIDENT))
		return false;
	memcpy(&word, content + second, sizeof(word));
	return !((word ^ map->seg->header.leaves ^ (slab->base + offset)) << shift);
}

static bool on_hole(uint32_t holes, uint32_t first, uint32_t last)
{
	return holes & ((2u << last) - (1u << first));
}

static void find_pinned(struct map *map, struct map_slab *slab, struct map_unit *unit,
			const uint32_t *live_bytes)
{
	for (uint32_t i = 0; i < map->slab_units; i++) {
		unit[i].pinned = unit[i].live == 1 && unit[i].page & MAP_RESIDENT &&
				 live_bytes[i] <= map->unit_bytes / 2;
		slab->resident += unit[i].page & MAP_RESIDENT ? map->unit_bytes : 0;
		slab->holes += unit[i].kind == MAP_HOLE;
		slab->pinned += unit[i].pinned;
		slab->pinned_free += unit[i].pinned ? map->unit_bytes - live_bytes[i] : 0;
	}
}

int map_blocks(struct map *map, struct map_slab *slab, struct map_unit *unit, uint32_t holes)
{
	const uint32_t size = map->seg->class_size[slab->cls], bytes = map->unit_bytes;
	uint32_t live_bytes[MAP_SLAB_UNITS] = { 0 }, used = slab->cached;
	static char content[SLAB_MOST];
	int r = used ? read_units(map, slab, unit, content) : 0;

	if (r < 0)
		return r;
	for (uint32_t i = 0; used && i < slab->carved; i++) {
		const uint32_t from = i * size, to = from + size;
		const uint32_t first = from / bytes, last = (to - 1) / bytes;

		if (on_hole(holes, first, last) || has_key(map, slab, unit, content, from))
			continue;
		slab->in_use++;
		for (uint32_t k = first; k <= last; k++) {
			uint32_t begin = k * bytes > from ? k * bytes : from;
			uint32_t end = (k + 1) * bytes < to ? (k + 1) * bytes : to;

			unit[k].live++;
			live_bytes[k] += end - begin;
		}
	}
	/* while the process runs, the blocks may be later than the numbers */
	if (slab->in_use + slab->remote > used) {
		map->contradictions++;
		slab->in_use = used - slab->remote;
	}
	slab->cached = used - slab->in_use - slab->remote;
	find_pinned(map, slab, unit, live_bytes);
	return 0;
}
