/* SPDX-License-Identifier: MIT */
/*
 * The map as SVG: a tile for each extent, in the order of addresses, and a bar for each region. A
 * cell of a tile is a page, or several pages where the heap is large. The words about a part show
 * while the pointer is over it. See map.h.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "hakmemctl/map/map.h"
#include "hakmemctl/svg.h"

#define WIDTH	     960
#define MARGIN	     20
#define CELL	     5
#define GAP	     5
#define TOP	     176
#define BAR_HEIGHT   14
#define BAR_MOST     600.
#define BAR_LEAST    20.
#define ROW_HEIGHT   20
#define CELLS_MOST   100000u
#define REGIONS_MOST 1000u /* bars; the rest is in the JSON */

static const char outline[] = "stroke=\"#000\" stroke-width=\".5\"";

static void fill_of(uint32_t colour, char out[8])
{
	snprintf(out, 8, "#%06" PRIx32, colour & 0xffffff);
}

static void put_box(FILE *to, double x, double y, double width, double height, uint32_t colour,
		    const char *more)
{
	const struct svg_box box = { x, y, width, height };
	char fill[8];

	fill_of(colour, fill);
	svg_rect(to, &box, fill, more);
}

/* -- extents ----------------------------------------------------------------------------------- */
struct tiles {
	const struct map *map;
	FILE *to;
	struct map_scale scale;
	double width; /* of a tile */
};

static bool is_same(const struct map_cell *a, const struct map_cell *b)
{
	return a->kind == b->kind && a->cls == b->cls && a->occupied == b->occupied &&
	       a->resident == b->resident;
}

static bool holds_pages(const struct map_cell *c)
{
	return c->kind == MAP_SLAB || c->kind == MAP_RUN || c->kind == MAP_CACHED;
}

/* Draws cells [first, end) of one row. Neighbours that look the same are one rectangle. */
static void draw_cells(const struct tiles *t, const struct map_extent *e, uint32_t first,
		       uint32_t end, double x, double y)
{
	while (first < end) {
		struct map_cell c = map_cell_at(t->map, e, &t->scale, first), next = c;
		uint32_t n = 0, at = first;

		for (; first < end && is_same(&c, &next); n++, first++)
			if (first + 1 < end)
				next = map_cell_at(t->map, e, &t->scale, first + 1);
		put_box(t->to, x + at % t->scale.columns * CELL, y, n * CELL, CELL,
			map_cell_colour(t->map, &c),
			holds_pages(&c) && !c.resident ? "fill-opacity=\".4\"" : NULL);
	}
}

static void draw_pins(const struct tiles *t, const struct map_extent *e, uint32_t first,
		      uint32_t end, double x, double y)
{
	for (; first < end; first++)
		if (map_cell_at(t->map, e, &t->scale, first).pinned)
			put_box(t->to, x + first % t->scale.columns * CELL + 1.5, y + 1.5, CELL - 3,
				CELL - 3, MAP_PINNED_COLOUR, NULL);
}

/* Draws the cells of one row, in groups that have one slab each where a cell is a page. */
static void draw_row(const struct tiles *t, const struct map_extent *e, uint32_t row, double x,
		     double y)
{
	const uint32_t cells = map_cells(e, &t->scale), columns = t->scale.columns;
	const uint32_t end = (row + 1) * columns < cells ? (row + 1) * columns : cells;
	const uint32_t step = t->scale.units == 1 ? t->map->slab_units : columns;
	char label[MAP_LABEL_BYTES];

	for (uint32_t first = row * columns; first < end; first += step) {
		uint32_t stop = first + step < end ? first + step : end;
		bool labelled = t->scale.units == 1 && e->kind != MAP_EXTENT_FREE;

		label[0] = '\0';
		if (labelled)
			map_part_label(t->map, &e->unit[first], label);
		if (label[0]) {
			svg_group(t->to);
			svg_title(t->to, "%s", label);
		}
		draw_cells(t, e, first, stop, x, y);
		draw_pins(t, e, first, stop, x, y);
		if (label[0])
			svg_group_end(t->to);
	}
}

static double tile_height(const struct tiles *t)
{
	return (double)(t->map->extent_units / t->scale.units / t->scale.columns) * CELL;
}

static void draw_extent(const struct tiles *t, const struct map_extent *e, double x, double y)
{
	const uint32_t columns = t->scale.columns, cells = map_cells(e, &t->scale);
	const uint32_t rows = (cells + columns - 1) / columns;
	const struct svg_box frame = { x, y, (cells < columns ? cells : columns) * CELL,
				       rows * CELL };
	char label[MAP_LABEL_BYTES];

	map_extent_label(t->map, e, label);
	svg_group(t->to);
	svg_title(t->to, "%s", label);
	for (uint32_t row = 0; row < rows; row++)
		draw_row(t, e, row, x, y + row * CELL);
	svg_rect(t->to, &frame, "none", outline);
	svg_group_end(t->to);
}

static size_t tiles_per_row(const struct tiles *t)
{
	return (size_t)((WIDTH - 2 * MARGIN + GAP) / (t->width + GAP));
}

static double extents_height(const struct tiles *t)
{
	size_t rows = (t->map->extents + tiles_per_row(t) - 1) / tiles_per_row(t);

	return (double)rows * (tile_height(t) + GAP);
}

static void draw_extents(const struct tiles *t, double y)
{
	for (size_t i = 0; i < t->map->extents; i++)
		draw_extent(t, &t->map->extent[i],
			    MARGIN + (double)(i % tiles_per_row(t)) * (t->width + GAP),
			    y + (double)(i / tiles_per_row(t)) * (tile_height(t) + GAP));
}

/* -- regions ----------------------------------------------------------------------------------- */
/* The length follows the logarithm of the size, so that small and large ones can both be seen. */
static double bar_width(const struct map *map, const struct map_region *region)
{
	uint64_t most = 1;

	for (size_t i = 0; i < map->regions; i++)
		most = map->region[i].bytes > most ? map->region[i].bytes : most;
	return BAR_LEAST +
	       (BAR_MOST - BAR_LEAST) * log2((double)region->bytes) / log2((double)most + 1);
}

/* The frame is the region, and what is filled in it is resident. */
static void draw_region(const struct map *map, const struct map_region *region, FILE *to, double y)
{
	const double width = bar_width(map, region), x = WIDTH - MARGIN - BAR_MOST;
	const uint32_t colour = map_state_colour((enum map_state)region->state);
	char label[MAP_LABEL_BYTES];

	map_region_label(region, label);
	svg_group(to);
	svg_title(to, "%s", label);
	svg_text_within(to, MARGIN, y + BAR_HEIGHT - 3, "small",
			(size_t)((WIDTH - 2 * MARGIN - BAR_MOST) / SVG_LETTER), label);
	put_box(to, x, y, width, BAR_HEIGHT, colour, "fill-opacity=\".25\"");
	for (uint32_t i = 0, n; region->known && i < region->cells; i += n) {
		double height = region->cell[i] * (double)BAR_HEIGHT / 255;

		for (n = 1; i + n < region->cells && region->cell[i + n] == region->cell[i]; n++)
			;
		if (height > 0)
			put_box(to, x + width * i / region->cells, y + BAR_HEIGHT - height,
				width * n / region->cells, height, colour, NULL);
	}
	svg_rect(to, &(struct svg_box){ x, y, width, BAR_HEIGHT }, "none", outline);
	svg_group_end(to);
}

static size_t regions_shown(const struct map *map)
{
	return map->regions < REGIONS_MOST ? map->regions : REGIONS_MOST;
}

static void draw_regions(const struct map *map, FILE *to, double y)
{
	for (size_t i = 0; i < regions_shown(map); i++)
		draw_region(map, &map->region[i], to, y + (double)i * ROW_HEIGHT);
	if (map->regions > REGIONS_MOST)
		svg_text(to, MARGIN, y + (double)REGIONS_MOST * ROW_HEIGHT + 12, "small",
			 "and %zu more regions", map->regions - REGIONS_MOST);
}

/* -- words ------------------------------------------------------------------------------------- */
static void draw_legend(const struct map *map, FILE *to, double y)
{
	const struct {
		struct map_cell cell;
		const char *label;
	} kinds[] = {
		{ { MAP_SLAB, 0, 255, true, false }, "slab of small blocks, full" },
		{ { MAP_SLAB, 0, 25, true, false }, "nearly free" },
		{ { MAP_SLAB, 63, 255, true, false }, "slab of large blocks" },
		{ { MAP_SLAB, 0, 25, true, true }, "page that one block pins" },
		{ { MAP_RUN, 0, 0, true, false }, "run or region in use" },
		{ { MAP_CACHED, 0, 0, true, false }, "run in a thread cache" },
		{ { MAP_DIRTY, 0, 0, true, false }, "dirty" },
		{ { MAP_CLEAN, 0, 0, true, false }, "given back, never used" },
		{ { MAP_HOLE, 0, 0, true, false }, "hole in a slab" },
	};
	double x = MARGIN;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		double width = 30 + SVG_LETTER * (double)strlen(kinds[i].label);

		if (x + width > WIDTH - MARGIN)
			x = MARGIN, y += 22;
		put_box(to, x, y, 14, 14, map_cell_colour(map, &kinds[i].cell), outline);
		if (kinds[i].cell.pinned)
			put_box(to, x + 4, y + 4, 6, 6, MAP_PINNED_COLOUR, NULL);
		svg_text(to, x + 18, y + 11, "small", "%s", kinds[i].label);
		x += width + 6;
	}
}

static void draw_figures(const struct map *map, FILE *to)
{
	const struct hak_memory *m = &map->sums.memory;
	const uint64_t bytes[] = { m->mapped, m->in_use, m->thread_cached, m->slab_free,
				   m->dirty,  m->lazy,	 m->clean,	   map->sums.pinned_free };
	char text[sizeof(bytes) / sizeof(bytes[0])][HAK_VALUE_TEXT];

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		hak_bytes_format(bytes[i], text[i]);
	svg_text(to, MARGIN, 54, NULL,
		 "%s mapped: %s in use, %s in thread caches, %s free in slabs, %s dirty, %s lazily "
		 "freed, %s without pages",
		 text[0], text[1], text[2], text[3], text[4], text[5], text[6]);
	svg_text(to, MARGIN, 72, NULL,
		 "%" PRIu64 " pages are pinned by one block each; %s of them is free",
		 map->sums.pinned_pages, text[7]);
	if (map->changed || map->contradictions)
		svg_text(to, MARGIN, 90, NULL,
			 "%s; %" PRIu64 " parts contradict themselves and are left out",
			 map->changed ? "the heap changed while it was read"
				      : "the heap did not change while it was read",
			 map->contradictions);
}

void map_draw(const struct map *map, FILE *to)
{
	struct tiles t = { .map = map, .to = to, .scale = map_scale_of(map, CELLS_MOST) };
	double regions = TOP, height;

	t.width = t.scale.columns * CELL;
	regions += extents_height(&t) + 24;
	height = regions + (double)(regions_shown(map) + 1) * ROW_HEIGHT;
	svg_begin(to, WIDTH, height, NULL);
	svg_text(to, MARGIN, 30, "title", "Heap of %d %s, hakmem %s", (int)map->seg->pid,
		 map->seg->comm, map->seg->header.version);
	draw_figures(map, to);
	draw_legend(map, to, 100);
	svg_text(to, MARGIN, TOP - 8, "small",
		 "%zu extents of 2 MiB by address; each cell is %" PRIu32 " KiB", map->extents,
		 t.scale.units * map->unit_bytes / 1024);
	draw_extents(&t, TOP);
	if (map->regions)
		svg_text(to, MARGIN, regions - 8, "small",
			 "%zu regions: whales in use, and memory kept for the next ones",
			 map->regions);
	draw_regions(map, to, regions);
	svg_end(to);
}
