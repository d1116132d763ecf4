/* SPDX-License-Identifier: MIT */
/*
 * What the picture in SVG and the one in a terminal have in common: the cells of which an extent is
 * drawn, their colours, and the words about a part of the heap. See map.h.
 */
#include <inttypes.h>
#include <string.h>

#include "control/value.h"
#include "hakmemctl/map/map.h"

/* Classes go from green to magenta by size. Yellow to red is for what is wrong. */
#define HUE_FIRST  100u
#define HUE_LAST   320u
#define LIGHT_FULL 40u /* percent */
#define LIGHT_FREE 90u

static const struct map_scale scales[] = { { 1, 32 }, { 4, 16 }, { 16, 8 }, { 64, 4 }, { 512, 1 } };
#define SCALES (sizeof(scales) / sizeof(scales[0]))

static const uint32_t kind_colours[MAP_KINDS] = {
	[MAP_CLEAN] = 0xf1f3f6, [MAP_DIRTY] = 0xf0a030,	 [MAP_HOLE] = 0xccd3df,
	[MAP_RUN] = 0x3b4a6b,	[MAP_CACHED] = 0xa9b6d3, [MAP_UNKNOWN] = 0x777777,
};
static const uint32_t state_colours[] = {
	[MAP_IN_USE] = 0x3b4a6b,
	[MAP_KEPT_DIRTY] = 0xf0a030,
	[MAP_KEPT_LAZY] = 0xf5dca0,
	[MAP_KEPT_CLEAN] = 0xf1f3f6,
};

struct map_scale map_scale_of(const struct map *map, uint64_t most)
{
	size_t i = 0;

	while (i + 1 < SCALES &&
	       (uint64_t)map->extents * map->extent_units / scales[i].units > most)
		i++;
	return scales[i];
}

/* A slab has one class and one occupancy, so the first unit of the kind tells them. */
struct map_cell map_cell_at(const struct map *map, const struct map_extent *e,
			    const struct map_scale *scale, uint32_t cell)
{
	const uint32_t first = cell * scale->units;
	const uint32_t end = first + scale->units < e->units ? first + scale->units : e->units;
	uint32_t count[MAP_KINDS] = { 0 }, resident = 0, pinned = 0;
	struct map_cell c = { 0 };

	for (uint32_t i = first; i < end; i++) {
		count[e->unit[i].kind]++;
		resident += e->unit[i].page & MAP_RESIDENT;
		pinned += e->unit[i].pinned;
	}
	for (uint8_t kind = 0; kind < MAP_KINDS; kind++)
		if (count[kind] > count[c.kind])
			c.kind = kind;
	c.resident = 2 * resident >= end - first;
	c.pinned = 4 * pinned >= end - first;
	for (uint32_t i = first; c.kind == MAP_SLAB && i < end; i++) {
		const struct map_slab *slab;

		if (e->unit[i].kind != MAP_SLAB)
			continue;
		slab = &map->slab[e->unit[i].part];
		c.cls = (uint8_t)slab->cls;
		c.occupied = (uint8_t)(slab->in_use * 255 / slab->capacity);
		break;
	}
	return c;
}

/* Of hue (degrees) and lightness (percent), at a saturation of two thirds. */
static uint32_t rgb_of(uint32_t hue, uint32_t light)
{
	const double l = light / 100.0, c = (l < 0.5 ? 2 * l : 2 - 2 * l) * 0.66, low = l - c / 2;
	const double part = hue % 120 < 60 ? hue % 60 / 60.0 : 1 - hue % 60 / 60.0;
	static const uint8_t order[6][3] = { { 2, 1, 0 }, { 1, 2, 0 }, { 0, 2, 1 },
					     { 0, 1, 2 }, { 1, 0, 2 }, { 2, 0, 1 } };
	const double level[3] = { low, low + c * part, low + c };
	uint32_t rgb = 0;

	for (int i = 0; i < 3; i++)
		rgb = rgb << 8 | (uint32_t)(level[order[hue / 60 % 6][i]] * 255 + 0.5);
	return rgb;
}

uint32_t map_cell_colour(const struct map *map, const struct map_cell *cell)
{
	const uint32_t classes = map->seg->header.slab_classes;
	uint32_t hue, light;

	if (cell->kind != MAP_SLAB)
		return kind_colours[cell->kind];
	hue = HUE_FIRST + (HUE_LAST - HUE_FIRST) * cell->cls / (classes ? classes : 1);
	light = LIGHT_FREE - (LIGHT_FREE - LIGHT_FULL) * cell->occupied / 255;
	return rgb_of(hue, light);
}

uint32_t map_state_colour(enum map_state state)
{
	return state_colours[state];
}

/* -- words ------------------------------------------------------------------------------------- */
void map_extent_label(const struct map *map, const struct map_extent *e, char out[MAP_LABEL_BYTES])
{
	static const char *const words[] = {
		[MAP_EXTENT_FREE] = "free extent",
		[MAP_EXTENT_SLABS] = "extent of slabs",
		[MAP_EXTENT_RUNS] = "extent of runs",
		[MAP_EXTENT_SINGLE] = "slab mapped alone",
	};
	uint64_t count[MAP_KINDS] = { 0 }, resident = 0;
	char all[HAK_VALUE_TEXT], free_[HAK_VALUE_TEXT], dirty[HAK_VALUE_TEXT];

	for (uint32_t i = 0; i < e->units; i++) {
		count[e->unit[i].kind]++;
		resident += e->unit[i].page & MAP_RESIDENT;
	}
	hak_bytes_format(resident * map->unit_bytes, all);
	hak_bytes_format(count[MAP_CLEAN] * map->unit_bytes, free_);
	hak_bytes_format(count[MAP_DIRTY] * map->unit_bytes, dirty);
	snprintf(out, MAP_LABEL_BYTES, "%012" PRIx64 " %s: %s resident, %s dirty, %s free", e->base,
		 words[e->kind], all, dirty, free_);
}

void map_part_label(const struct map *map, const struct map_unit *unit, char out[MAP_LABEL_BYTES])
{
	char size[HAK_VALUE_TEXT];

	out[0] = '\0';
	if (unit->kind == MAP_SLAB || unit->kind == MAP_HOLE) {
		const struct map_slab *s = &map->slab[unit->part];

		snprintf(out, MAP_LABEL_BYTES,
			 "%012" PRIx64 " slab of %" PRIu32 " bytes: %" PRIu32 " of %" PRIu32
			 " blocks in use, %" PRIu32 " in thread caches, %" PRIu32 " pages pinned",
			 s->base, map->seg->class_size[s->cls], s->in_use, s->capacity, s->cached,
			 s->pinned);
	} else if (unit->kind == MAP_RUN || unit->kind == MAP_CACHED) {
		const struct map_run *run = &map->run[unit->part];

		hak_bytes_format(map->seg->class_size[run->cls], size);
		snprintf(out, MAP_LABEL_BYTES, "%012" PRIx64 " run of %s, %s", run->base, size,
			 run->cached ? "in a thread cache" : "in use");
	}
}

void map_region_label(const struct map_region *region, char out[MAP_LABEL_BYTES])
{
	static const char *const words[] = {
		[MAP_IN_USE] = "in use",
		[MAP_KEPT_DIRTY] = "kept, dirty",
		[MAP_KEPT_LAZY] = "kept, lazily freed",
		[MAP_KEPT_CLEAN] = "kept, given back",
	};
	char bytes[HAK_VALUE_TEXT], resident[HAK_VALUE_TEXT] = "an unknown part";

	hak_bytes_format(region->bytes, bytes);
	if (region->known)
		hak_bytes_format(region->resident, resident);
	snprintf(out, MAP_LABEL_BYTES, "%012" PRIx64 " %s %s%s: %s resident", region->base, bytes,
		 words[region->state], region->hot ? " by its last thread" : "", resident);
}
