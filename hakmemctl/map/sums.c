/* SPDX-License-Identifier: MIT */
/* Adds up what was found in the heap, by state and by class. See map.h. */
#include <errno.h>
#include <stdlib.h>

#include "hakmemctl/map/map.h"

const char *const map_kind_words[MAP_KINDS] = {
	[MAP_CLEAN] = "clean",	   [MAP_DIRTY] = "dirty", [MAP_SLAB] = "slab",
	[MAP_HOLE] = "hole",	   [MAP_RUN] = "run",	  [MAP_CACHED] = "run_cached",
	[MAP_UNKNOWN] = "unknown",
};
const char *const map_extent_words[] = {
	[MAP_EXTENT_FREE] = "free",
	[MAP_EXTENT_SLABS] = "slabs",
	[MAP_EXTENT_RUNS] = "runs",
	[MAP_EXTENT_SINGLE] = "single",
};
const char *const map_state_words[] = {
	[MAP_IN_USE] = "in_use",
	[MAP_KEPT_DIRTY] = "dirty",
	[MAP_KEPT_LAZY] = "lazy",
	[MAP_KEPT_CLEAN] = "clean",
};

static void add_units(struct map *map)
{
	for (size_t n = 0; n < map->extents; n++) {
		const struct map_extent *e = &map->extent[n];

		for (uint32_t i = 0; i < e->units; i++) {
			struct map_row *row = &map->sums.unit[e->unit[i].kind];

			row->bytes += map->unit_bytes;
			row->resident += e->unit[i].page & MAP_RESIDENT ? map->unit_bytes : 0;
			row->swapped += e->unit[i].page & MAP_SWAPPED ? map->unit_bytes : 0;
		}
	}
}

static void add_slabs(struct map *map, struct hak_memory *m)
{
	for (size_t i = 0; i < map->slabs; i++) {
		const struct map_slab *s = &map->slab[i];
		const uint64_t size = map->seg->class_size[s->cls];
		struct map_class *c = &map->classes[s->cls];

		c->slabs++;
		c->capacity += s->capacity;
		c->in_use += s->in_use;
		c->cached += s->cached;
		c->remote += s->remote;
		c->free += s->free;
		c->dropped += s->dropped;
		c->resident += s->resident;
		c->pinned += s->pinned;
		c->pinned_free += s->pinned_free;
		map->sums.pinned_pages += s->pinned;
		map->sums.pinned_free += s->pinned_free;
		m->in_use += size * s->in_use;
		m->thread_cached += size * s->cached;
	}
}

static void add_runs(struct map *map, struct hak_memory *m)
{
	for (size_t i = 0; i < map->runs; i++) {
		const struct map_run *run = &map->run[i];
		const uint64_t size = map->seg->class_size[run->cls];
		struct map_class *c = &map->classes[run->cls];

		c->runs++;
		c->capacity++;
		c->in_use += !run->cached;
		c->cached += run->cached;
		c->resident += run->resident;
		*(run->cached ? &m->thread_cached : &m->in_use) += size;
	}
}

static void add_regions(struct map *map, struct hak_memory *m)
{
	uint64_t *const state[] = {
		[MAP_IN_USE] = &m->in_use,
		[MAP_KEPT_DIRTY] = &m->dirty,
		[MAP_KEPT_LAZY] = &m->lazy,
		[MAP_KEPT_CLEAN] = &m->clean,
	};

	for (size_t i = 0; i < map->regions; i++) {
		const struct map_region *region = &map->region[i];
		struct map_row *row = &map->sums.region[region->state];

		*state[region->state] += region->bytes;
		m->mapped += region->bytes;
		row->bytes += region->bytes;
		row->resident += region->resident;
		row->swapped += region->swapped;
	}
}

int map_add_up(struct map *map)
{
	struct hak_memory *m = &map->sums.memory;
	const struct map_row *unit = map->sums.unit;
	uint64_t held, blocks;

	map->sums = (struct map_sums){ 0 };
	map->classes = calloc(map->seg->header.classes + 1, sizeof(*map->classes));
	if (!map->classes)
		return -ENOMEM;
	add_units(map);
	add_slabs(map, m);
	add_runs(map, m);
	blocks = m->in_use + m->thread_cached;
	held = unit[MAP_SLAB].bytes + unit[MAP_RUN].bytes + unit[MAP_CACHED].bytes;
	m->slab_free = held > blocks ? held - blocks : 0;
	m->dirty = unit[MAP_DIRTY].bytes;
	m->clean = unit[MAP_CLEAN].bytes + unit[MAP_HOLE].bytes;
	for (int i = 0; i < MAP_KINDS; i++)
		m->mapped += unit[i].bytes;
	add_regions(map, m);
	return 0;
}
