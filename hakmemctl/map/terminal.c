/* SPDX-License-Identifier: MIT */
/*
 * The map in a terminal: the sums, the classes, and the extents as tiles. With colours a character
 * is two cells, one above the other (half blocks); without them it is one cell, as a letter. See
 * map.h.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hakmemctl/map/map.h"

#define WIDTH_LEAST   20u
#define WIDTH_MOST    1000u
#define WIDTH_DEFAULT 80u
#define ROWS_MOST     100u /* of cells, about; coarser cells for a larger heap */
#define REGIONS_MOST  100u

enum depth { LETTERS, CUBE, FULL };

struct screen {
	const struct map *map;
	FILE *to;
	enum depth depth;
	struct map_scale scale;
	uint32_t width;
};

/* -- the terminal ------------------------------------------------------------------------------ */
static enum depth depth_of(bool color)
{
	const char *term = getenv("TERM"), *colors = getenv("COLORTERM");

	if (!color || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		return LETTERS;
	if (colors && (strcmp(colors, "truecolor") == 0 || strcmp(colors, "24bit") == 0))
		return FULL;
	return term && strstr(term, "256") ? CUBE : LETTERS;
}

static uint32_t width_of(void)
{
	const char *columns = getenv("COLUMNS");
	unsigned long width = columns ? strtoul(columns, NULL, 10) : 0;
	struct winsize size;

	if (!width && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	if (!width)
		width = WIDTH_DEFAULT;
	return width < WIDTH_LEAST  ? WIDTH_LEAST
	       : width > WIDTH_MOST ? WIDTH_MOST
				    : (uint32_t)width;
}

/* The nearest colour of the cube of 6 levels a channel. */
static unsigned cube_of(uint32_t rgb)
{
	unsigned index = 0;

	for (int shift = 16; shift >= 0; shift -= 8)
		index = 6 * index + ((rgb >> shift & 255) * 5 + 127) / 255;
	return 16 + index;
}

static void put_colour(const struct screen *s, bool ground, uint32_t rgb)
{
	if (s->depth == FULL)
		fprintf(s->to, "\033[%d;2;%u;%u;%um", ground ? 48 : 38, (unsigned)(rgb >> 16 & 255),
			(unsigned)(rgb >> 8 & 255), (unsigned)(rgb & 255));
	else
		fprintf(s->to, "\033[%d;5;%um", ground ? 48 : 38, cube_of(rgb));
}

/* -- cells ------------------------------------------------------------------------------------- */
static char letter_of(const struct map_cell *c)
{
	static const char letters[MAP_KINDS] = ".~ _#+?";

	if (c->pinned)
		return '!';
	return c->kind == MAP_SLAB ? (char)('0' + c->occupied * 9 / 255) : letters[c->kind];
}

static uint32_t colour_of(const struct screen *s, const struct map_cell *c)
{
	return c->pinned ? MAP_PINNED_COLOUR : map_cell_colour(s->map, c);
}

/* Draws the cells at x of two rows, the lower of which may not be there. */
static void put_pair(const struct screen *s, const struct map_extent *e, uint32_t upper)
{
	const uint32_t lower = upper + s->scale.columns;
	struct map_cell c = map_cell_at(s->map, e, &s->scale, upper);

	put_colour(s, false, colour_of(s, &c));
	if (lower < map_cells(e, &s->scale)) {
		c = map_cell_at(s->map, e, &s->scale, lower);
		put_colour(s, true, colour_of(s, &c));
	} else {
		fputs("\033[49m", s->to);
	}
	fputs("\342\226\200", s->to); /* U+2580, the upper half */
}

static void put_row(const struct screen *s, const struct map_extent *e, uint32_t row)
{
	const uint32_t columns = s->scale.columns, cells = map_cells(e, &s->scale);

	for (uint32_t x = 0; x < columns; x++) {
		uint32_t cell = row * columns + x;
		struct map_cell c;

		if (cell >= cells) {
			fputc(' ', s->to);
		} else if (s->depth == LETTERS) {
			c = map_cell_at(s->map, e, &s->scale, cell);
			fputc(letter_of(&c), s->to);
		} else {
			put_pair(s, e, cell);
		}
		if (s->depth != LETTERS && (x + 1 == columns || cell + 1 >= cells))
			fputs("\033[0m", s->to);
	}
}

static void print_extents(const struct screen *s)
{
	const uint32_t columns = s->scale.columns, step = s->depth == LETTERS ? 1 : 2;
	const uint32_t rows = s->map->extent_units / s->scale.units / columns;
	const size_t fit = s->width + 1 > columns + 1 ? (s->width + 1) / (columns + 1) : 1;

	for (size_t first = 0; first < s->map->extents; first += fit) {
		for (uint32_t row = 0; row < (rows ? rows : 1); row += step) {
			for (size_t i = first; i < first + fit && i < s->map->extents; i++) {
				if (i > first)
					fputc(' ', s->to);
				put_row(s, &s->map->extent[i], row);
			}
			fputc('\n', s->to);
		}
		if (columns > 1)
			fputc('\n', s->to);
	}
}

/* -- words ------------------------------------------------------------------------------------- */
static void print_sums(const struct map *map, FILE *to)
{
	const struct hak_memory *m = &map->sums.memory;
	const struct {
		const char *label;
		uint64_t bytes;
	} lines[] = {
		{ "in use", m->in_use },	   { "in thread caches", m->thread_cached },
		{ "free in slabs", m->slab_free }, { "dirty", m->dirty },
		{ "lazily freed", m->lazy },	   { "without pages", m->clean },
		{ "mapped", m->mapped },
	};
	char text[HAK_VALUE_TEXT];

	fprintf(to, "%s (%d), hakmem %s: %zu extents, %zu slabs, %zu runs, %zu regions\n",
		map->seg->comm, (int)map->seg->pid, map->seg->header.version, map->extents,
		map->slabs, map->runs, map->regions);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		hak_bytes_format(lines[i].bytes, text);
		fprintf(to, "  %-18s %8s\n", lines[i].label, text);
	}
	hak_bytes_format(map->sums.pinned_free, text);
	fprintf(to, "  %" PRIu64 " pages are pinned by one block each; %s of them is free\n",
		map->sums.pinned_pages, text);
}

static void print_classes(const struct map *map, FILE *to)
{
	fprintf(to, "\n%8s %8s %8s %10s %10s %10s %6s %8s\n", "SIZE", "SLABS", "RUNS", "CAPACITY",
		"IN-USE", "CACHED", "FULL", "PINNED");
	for (uint32_t i = 0; i < map->seg->header.classes; i++) {
		const struct map_class *c = &map->classes[i];

		if (!c->capacity)
			continue;
		fprintf(to,
			"%8" PRIu32 " %8" PRIu32 " %8" PRIu32 " %10" PRIu64 " %10" PRIu64
			" %10" PRIu64 " %4" PRIu64 " %% %8" PRIu64 "\n",
			map->seg->class_size[i], c->slabs, c->runs, c->capacity, c->in_use,
			c->cached, c->in_use * 100 / c->capacity, c->pinned);
	}
}

static void print_regions(const struct map *map, FILE *to)
{
	char label[MAP_LABEL_BYTES];

	for (size_t i = 0; i < map->regions && i < REGIONS_MOST; i++) {
		map_region_label(&map->region[i], label);
		fprintf(to, "%s\n", label);
	}
	if (map->regions > REGIONS_MOST)
		fprintf(to, "and %zu more regions\n", map->regions - REGIONS_MOST);
}

static void print_legend(const struct screen *s)
{
	static const struct {
		struct map_cell cell;
		const char *label;
	} kinds[] = {
		{ { MAP_SLAB, 0, 255, true, false }, "full slab" },
		{ { MAP_SLAB, 0, 0, true, false }, "free slab" },
		{ { MAP_SLAB, 0, 0, true, true }, "pinned page" },
		{ { MAP_RUN, 0, 0, true, false }, "run" },
		{ { MAP_CACHED, 0, 0, true, false }, "cached run" },
		{ { MAP_DIRTY, 0, 0, true, false }, "dirty" },
		{ { MAP_CLEAN, 0, 0, true, false }, "clean" },
		{ { MAP_HOLE, 0, 0, true, false }, "hole" },
	};

	fprintf(s->to, "\nEach cell is %" PRIu32 " KiB of an extent of 2 MiB:",
		s->scale.units * s->map->unit_bytes / 1024);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		fputs("  ", s->to);
		if (s->depth == LETTERS) {
			fputc(letter_of(&kinds[i].cell), s->to);
		} else {
			put_colour(s, false, colour_of(s, &kinds[i].cell));
			fputs("\342\226\210\033[0m", s->to); /* U+2588, a whole block */
		}
		fprintf(s->to, " %s", kinds[i].label);
	}
	fputs("\n\n", s->to);
}

void map_print(const struct map *map, FILE *to, bool color)
{
	struct screen s = { .map = map, .to = to, .depth = depth_of(color), .width = width_of() };

	s.scale = map_scale_of(map, (uint64_t)s.width * ROWS_MOST);
	print_sums(map, to);
	print_classes(map, to);
	print_legend(&s);
	print_extents(&s);
	print_regions(map, to);
}
