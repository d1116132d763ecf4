/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl map: what its files share. map.c has the command line. memory.c reads the memory of the
 * process, structs.c the layout that its library tells, heap.c the extents, slabs, runs and
 * regions, and blocks.c which blocks of a slab are in use. sums.c adds up. document.c, draw.c and
 * terminal.c show the result.
 *
 * The memory of the process is hostile input. Each address that is found in it is only passed to
 * the kernel as a place in the same memory. Each number is checked before it is used, each list and
 * each table has a limit, and no text is read. The process goes on running: a structure that
 * contradicts itself is left out and counted, and the counters of the process tell whether it
 * called malloc meanwhile.
 *
 * A page that is not resident is not read, apart from pages of the library's own tables that were
 * swapped out: so the process has the same pages afterwards.
 */
#ifndef HAK_CTL_MAP_H
#define HAK_CTL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/segment.h"
#include "control/snapshot.h"
#include "hakmemctl/ctl.h"

/* -- memory.c ---------------------------------------------------------------------------------- */
#define MAP_BLOCK 4096u /* the part of a page that is kept */

struct map_memory {
	int mem, pagemap;
	uint32_t page_bytes;
	uint64_t read_bytes;
	uint64_t kept_at; /* 0: none */
	char kept[MAP_BLOCK];
};

enum map_page { MAP_RESIDENT = 1, MAP_SWAPPED = 2 };

/* Return 0, or -errno; of map_memory_open() perhaps with a sentence in `why`. */
int map_memory_open(struct map_memory *m, const struct hak_segment *seg, char why[HAK_WHY_TEXT]);
void map_memory_close(struct map_memory *m);
/* The page of the last call is kept: one structure after the other costs one read a page. */
int map_memory_read(struct map_memory *m, uint64_t address, void *buf, size_t bytes);
/* Not kept, for much at once. */
int map_memory_read_all(struct map_memory *m, uint64_t address, void *buf, size_t bytes);
/* Stores a set of enum map_page for each of the pages from the one of `address` on. */
int map_memory_pages(struct map_memory *m, uint64_t address, size_t pages, uint8_t *ret);

/* -- structs.c --------------------------------------------------------------------------------- */
/* Reads and checks the layout. Returns 0, or -EPROTONOSUPPORT with a sentence in `why`. */
int map_structs_read(struct map_memory *m, const struct hak_segment *seg, struct hak_structs *ret,
		     char why[HAK_WHY_TEXT]);

static inline uint32_t map_value(const struct hak_structs *s, enum hak_struct_row row)
{
	return s->row[row].at;
}

/* Returns a member, of up to eight bytes, of a structure that was read whole. */
uint64_t map_field(const struct hak_structs *s, enum hak_struct_row row, const void *structure);

/* -- the heap ---------------------------------------------------------------------------------- */
#define MAP_STRUCT_MOST 4096u /* bytes of a structure of the library */
#define MAP_UNITS_MOST	4096u /* units of an extent */
#define MAP_SLAB_UNITS	16u
#define MAP_CELLS	64u /* parts of a region of which the resident share is known */

/* What a unit is: 4 KiB of an extent, or of a slab that was mapped alone. */
enum map_kind {
	MAP_CLEAN,   /* free, no page */
	MAP_DIRTY,   /* free, kept for reuse */
	MAP_SLAB,    /* of a slab */
	MAP_HOLE,    /* of a slab, given back: each block on it is free */
	MAP_RUN,     /* of a run in use */
	MAP_CACHED,  /* of a run in a thread cache */
	MAP_UNKNOWN, /* of a structure that was changing */
	MAP_KINDS
};

struct map_unit {
	uint8_t kind;
	uint8_t page;  /* enum map_page */
	bool pinned;   /* see blocks.c */
	uint16_t live; /* SLAB: blocks in use that touch it */
	uint32_t part; /* SLAB, HOLE, RUN, CACHED: index of the slab or run */
};

enum map_extent_kind { MAP_EXTENT_FREE, MAP_EXTENT_SLABS, MAP_EXTENT_RUNS, MAP_EXTENT_SINGLE };

struct map_extent {
	uint64_t base;
	uint8_t kind;
	uint32_t units;
	struct map_unit *unit;
};

struct map_slab {
	uint64_t base, resident;
	uint32_t cls, capacity, carved;
	uint32_t in_use, cached, remote, free, dropped; /* blocks; their sum is `carved` */
	uint32_t holes, pinned;				/* pages */
	uint64_t pinned_free; /* bytes of the pinned pages that are free */
	bool pooled;
};

struct map_run {
	uint64_t base, resident;
	uint32_t cls, units;
	bool cached, sampled;
};

enum map_state { MAP_IN_USE, MAP_KEPT_DIRTY, MAP_KEPT_LAZY, MAP_KEPT_CLEAN };

struct map_region {
	uint64_t base, bytes, requested;
	uint64_t resident, swapped;
	uint8_t state; /* enum map_state */
	bool hot;      /* kept by its last thread */
	bool known;    /* resident, swapped and cell */
	uint32_t cells;
	uint8_t cell[MAP_CELLS]; /* resident share, 255: all */
};

struct map_row {
	uint64_t bytes, resident, swapped;
};

/* The same figures as in `hakmemctl stats`, and what only a map has. */
struct map_sums {
	struct hak_memory memory;
	struct map_row unit[MAP_KINDS], region[MAP_KEPT_CLEAN + 1];
	uint64_t pinned_pages, pinned_free;
};

struct map_class {
	uint32_t slabs, runs;
	uint64_t capacity, in_use, cached, remote, free, dropped;
	uint64_t resident, pinned, pinned_free;
};

struct map {
	const struct hak_segment *seg;
	struct hak_structs structs;
	struct map_memory memory;
	uint32_t unit_bytes, slab_units, extent_units;
	struct map_extent *extent; /* by address */
	size_t extents, extents_room;
	size_t units;  /* read, in all extents */
	size_t sorted; /* of these extents, while slabs outside of extents are added behind */
	struct map_slab *slab;
	size_t slabs, slabs_room;
	struct map_run *run;
	size_t runs, runs_room;
	struct map_region *region; /* by address */
	size_t regions, regions_room;
	size_t region_ends;	 /* slices that are the last ones of kept regions */
	uint64_t contradictions; /* structures left out */
	uint64_t ns;
	bool changed;		/* malloc or free was called meanwhile */
	struct hak_memory told; /* by the counters */
	struct map_sums sums;
	struct map_class *classes; /* [seg->header.classes] */
};

/* Returns 0, or -errno with a sentence in `why`. The map needs map_free() in any case. */
int map_read(struct map *map, const struct hak_segment *seg, char why[HAK_WHY_TEXT]);
void map_free(struct map *map);

/* -- blocks.c ---------------------------------------------------------------------------------- */
/* Finds the blocks in use of a slab, whose units have their pages already. Returns 0 or -errno. */
int map_blocks(struct map *map, struct map_slab *slab, struct map_unit *unit, uint32_t holes);

/* -- sums.c ------------------------------------------------------------------------------------ */
int map_add_up(struct map *map);
extern const char *const map_kind_words[MAP_KINDS];
extern const char *const map_extent_words[];
extern const char *const map_state_words[];

/* -- cells.c ----------------------------------------------------------------------------------- */
/* How extents are drawn: each cell stands for so many units, row by row. */
struct map_scale {
	uint32_t units, columns;
};

struct map_cell {
	uint8_t kind;	  /* enum map_kind of most of its units */
	uint8_t cls;	  /* SLAB: of the slab */
	uint8_t occupied; /* SLAB: share of its blocks that is in use, 255: all */
	bool resident;	  /* most of its units are */
	bool pinned;
};

/* Returns the finest scale with not many more cells than `most`. */
struct map_scale map_scale_of(const struct map *map, uint64_t most);
static inline uint32_t map_cells(const struct map_extent *e, const struct map_scale *scale)
{
	return (e->units + scale->units - 1) / scale->units;
}

struct map_cell map_cell_at(const struct map *map, const struct map_extent *e,
			    const struct map_scale *scale, uint32_t cell);
/* The colour as 0xRRGGBB, without the mark of a pinned page. */
uint32_t map_cell_colour(const struct map *map, const struct map_cell *cell);
uint32_t map_state_colour(enum map_state state);
#define MAP_PINNED_COLOUR 0xd00000u

/* Of one extent, slab or run: a sentence without an end. */
#define MAP_LABEL_BYTES 256
void map_extent_label(const struct map *map, const struct map_extent *e, char out[MAP_LABEL_BYTES]);
void map_part_label(const struct map *map, const struct map_unit *unit, char out[MAP_LABEL_BYTES]);
void map_region_label(const struct map_region *region, char out[MAP_LABEL_BYTES]);

/* -- document.c, draw.c, terminal.c ------------------------------------------------------------ */
struct json_object *map_document(const struct map *map);
void map_draw(const struct map *map, FILE *to);
void map_print(const struct map *map, FILE *to, bool color);

#endif
