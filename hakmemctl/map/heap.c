/* SPDX-License-Identifier: MIT */
/*
 * Reads the heap: the list of extents with their units and runs, then the address map with slabs
 * and regions. See map.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/grow.h"
#include "hakmemctl/map/map.h"

/* Limits, of 256 GiB in extents and of 16 TiB in windows of the address map. */
#define UNITS_MOST	    (1u << 26)
#define EXTENTS_MOST	    (1u << 20) /* with slabs outside of extents, which have few units */
#define SLABS_MOST	    (1u << 22)
#define RUNS_MOST	    (1u << 22)
#define REGIONS_MOST	    (1u << 20)
#define CONTRADICTIONS_MOST (1u << 16) /* more than a heap that changes has */
#define LEAVES_MOST	    4096u
#define ADDRESS_END	    ((uint64_t)1 << 57)
#define REGION_PAGES	    ((uint64_t)1 << 28) /* looked at, of all regions */
#define PAGES_AT_ONCE	    4096u
#define ROUNDS		    3
#define WAIT_BYTES	    ((uint64_t)1 << 30) /* from which on the user is told to wait */
#define ROUND_AGAIN_NS	    1000000000u

static uint32_t value(const struct map *map, enum hak_struct_row row)
{
	return map_value(&map->structs, row);
}

static uint64_t field(const struct map *map, enum hak_struct_row row, const void *structure)
{
	return map_field(&map->structs, row, structure);
}

static uint64_t extent_bytes(const struct map *map)
{
	return (uint64_t)map->extent_units * map->unit_bytes;
}

static uint64_t slab_bytes(const struct map *map)
{
	return (uint64_t)map->slab_units * map->unit_bytes;
}

static int too_much(char why[HAK_WHY_TEXT], const char *what)
{
	snprintf(why, HAK_WHY_TEXT, "it has more %s than a map shows", what);
	return -E2BIG;
}

/* -- extents ----------------------------------------------------------------------------------- */
/* Adds an extent of so many units, all of them clean, with their pages. */
static int add_extent(struct map *map, uint64_t base, enum map_extent_kind kind, uint32_t units,
		      struct map_extent **ret, char why[HAK_WHY_TEXT])
{
	struct map_extent *grown =
		hak_grow(map->extent, map->extents, &map->extents_room, sizeof(*grown));
	const uint32_t per_page = map->memory.page_bytes / map->unit_bytes;
	uint8_t page[MAP_UNITS_MOST];
	struct map_unit *unit;
	int r;

	if (!grown)
		return -ENOMEM;
	map->extent = grown;
	if (map->extents >= EXTENTS_MOST || units > UNITS_MOST - map->units)
		return too_much(why, "extents");
	r = map_memory_pages(&map->memory, base, (units + per_page - 1) / per_page, page);
	if (r < 0)
		return r;
	unit = calloc(units, sizeof(*unit));
	if (!unit)
		return -ENOMEM;
	for (uint32_t i = 0; i < units; i++)
		unit[i] = (struct map_unit){ .kind = MAP_CLEAN, .page = page[i / per_page] };
	map->units += units;
	*ret = &map->extent[map->extents++];
	**ret = (struct map_extent){
		.base = base, .kind = (uint8_t)kind, .units = units, .unit = unit
	};
	return 0;
}

static bool is_set(const struct map *map, enum hak_struct_row row, const char *extent, uint32_t i)
{
	uint64_t word;

	memcpy(&word, extent + map->structs.row[row].at + i / 64 * 8, sizeof(word));
	return word >> (i % 64) & 1;
}

/* Until read_runs() `part` of a unit is the byte that tells whether a run begins there. */
static int read_extent(struct map *map, const char *structure, char why[HAK_WHY_TEXT])
{
	const uint64_t base = field(map, HAK_S_EXTENT_BASE, structure);
	const uint64_t kind = field(map, HAK_S_EXTENT_KIND, structure);
	const char *start = structure + map->structs.row[HAK_S_EXTENT_START].at;
	enum map_extent_kind ours = MAP_EXTENT_FREE;
	struct map_extent *e;
	int r;

	if (!base || base % extent_bytes(map) || base > ADDRESS_END) {
		map->contradictions++;
		return 0;
	}
	if (kind == value(map, HAK_S_EXTENT_SLABS))
		ours = MAP_EXTENT_SLABS;
	else if (kind == value(map, HAK_S_EXTENT_RUNS))
		ours = MAP_EXTENT_RUNS;
	r = add_extent(map, base, ours, map->extent_units, &e, why);
	for (uint32_t i = 0; r == 0 && i < e->units; i++) {
		if (is_set(map, HAK_S_EXTENT_USED, structure, i))
			e->unit[i].kind = MAP_UNKNOWN;
		else if (is_set(map, HAK_S_EXTENT_DIRTY, structure, i))
			e->unit[i].kind = MAP_DIRTY;
		e->unit[i].part = (uint8_t)start[i];
	}
	return r;
}

static int by_base(const void *a, const void *b)
{
	const struct map_extent *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

/* An extent that is moved on the list meanwhile may be met twice. */
static void sort_extents(struct map *map)
{
	size_t n = 0;

	if (map->extents)
		qsort(map->extent, map->extents, sizeof(map->extent[0]), by_base);
	for (size_t i = 0; i < map->extents; i++) {
		const struct map_extent *last = n ? &map->extent[n - 1] : NULL;

		if (last &&
		    map->extent[i].base < last->base + (uint64_t)last->units * map->unit_bytes) {
			map->contradictions++;
			free(map->extent[i].unit);
			continue;
		}
		map->extent[n++] = map->extent[i];
	}
	map->extents = map->sorted = n;
}

/*
 * Walks the list of all extents. A list that ends nowhere is found by Brent's method: a place is
 * kept for 1, 2, 4, ... steps, and met again.
 */
static int read_extents(struct map *map, char why[HAK_WHY_TEXT])
{
	char structure[MAP_STRUCT_MOST];
	uint64_t at, place = 0, steps = 0, limit = 1;
	int r = map_memory_read(&map->memory, map->seg->header.extents, structure,
				value(map, HAK_S_EXTENTS));

	if (r < 0)
		return r;
	at = field(map, HAK_S_EXTENTS_ALL, structure);
	while (at && r == 0) {
		if (at == place || map->contradictions > CONTRADICTIONS_MOST)
			return -EAGAIN;
		if (++steps == limit)
			place = at, steps = 0, limit *= 2;
		r = map_memory_read(&map->memory, at, structure, value(map, HAK_S_EXTENT));
		if (r == 0)
			r = read_extent(map, structure, why);
		at = field(map, HAK_S_EXTENT_NEXT, structure);
	}
	sort_extents(map);
	return r;
}

/* Returns the unit at the address in an extent of that kind; NULL: there is none. */
static struct map_unit *unit_at(struct map *map, uint64_t address, enum map_extent_kind kind)
{
	size_t low = 0, high = map->sorted;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct map_extent *e = &map->extent[middle];

		if (address < e->base)
			high = middle;
		else if (address - e->base >= (uint64_t)e->units * map->unit_bytes)
			low = middle + 1;
		else
			return e->kind == kind ? &e->unit[(address - e->base) / map->unit_bytes]
					       : NULL;
	}
	return NULL;
}

/* -- runs -------------------------------------------------------------------------------------- */
/* Returns the units of a run of the class, 0 if there is no such class. */
static uint32_t run_units(const struct map *map, uint32_t cls)
{
	uint32_t size = cls < map->seg->header.classes ? map->seg->class_size[cls] : 0;

	return size > extent_bytes(map) ? 0 : (size + map->unit_bytes - 1) / map->unit_bytes;
}

/* Reads the run that begins at unit i. Returns its units, 0: it contradicts itself; or -errno. */
static int read_run(struct map *map, struct map_extent *e, uint32_t i, char why[HAK_WHY_TEXT])
{
	const uint32_t mark = value(map, HAK_S_RUN_CACHED), start = e->unit[i].part;
	const uint32_t cls = (start & ~mark) - 1, units = run_units(map, cls);
	struct map_run *grown, *run;

	if (!units || units > e->units - i)
		return 0;
	for (uint32_t k = 0; k < units; k++)
		if (e->unit[i + k].kind != MAP_UNKNOWN)
			return 0;
	grown = hak_grow(map->run, map->runs, &map->runs_room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	map->run = grown;
	if (map->runs >= RUNS_MOST)
		return too_much(why, "runs");
	run = &map->run[map->runs];
	*run = (struct map_run){ .base = e->base + (uint64_t)i * map->unit_bytes,
				 .cls = cls,
				 .units = units,
				 .cached = start & mark };
	run->sampled = !run->cached &&
		       (cls < map->seg->header.slab_classes || (units > 1 && e->unit[i + 1].part));
	for (uint32_t k = 0; k < units; k++) {
		e->unit[i + k].kind = run->cached ? MAP_CACHED : MAP_RUN;
		e->unit[i + k].part = (uint32_t)map->runs;
		run->resident += e->unit[i + k].page & MAP_RESIDENT ? map->unit_bytes : 0;
	}
	map->runs++;
	return (int)units;
}

static int read_runs(struct map *map, char why[HAK_WHY_TEXT])
{
	for (size_t n = 0; n < map->extents; n++) {
		struct map_extent *e = &map->extent[n];

		for (uint32_t i = 0; e->kind == MAP_EXTENT_RUNS && i < e->units;) {
			int r = e->unit[i].part ? read_run(map, e, i, why) : 1;

			if (r < 0)
				return r;
			map->contradictions += r == 0;
			i += r ? (uint32_t)r : 1;
		}
	}
	return 0;
}

/* -- slabs ------------------------------------------------------------------------------------- */
static bool read_slab_numbers(const struct map *map, const char *structure, struct map_slab *s)
{
	const uint64_t used = field(map, HAK_S_SLAB_USED, structure);
	const uint64_t state = field(map, HAK_S_SLAB_STATE, structure);
	uint32_t size;

	s->cls = (uint32_t)field(map, HAK_S_SLAB_CLASS, structure);
	s->free = (uint32_t)field(map, HAK_S_SLAB_FREE, structure);
	s->dropped = (uint32_t)field(map, HAK_S_SLAB_DROPPED, structure);
	s->carved = (uint32_t)field(map, HAK_S_SLAB_CARVED, structure);
	s->capacity = (uint32_t)field(map, HAK_S_SLAB_CAPACITY, structure);
	s->remote = (uint32_t)(field(map, HAK_S_SLAB_REMOTE, structure) >>
				       value(map, HAK_S_REMOTE_SHIFT) &
			       UINT16_MAX);
	s->pooled = state == value(map, HAK_S_STATE_POOLED) ||
		    state == value(map, HAK_S_STATE_POOLED_FULL);
	if (s->cls >= map->seg->header.slab_classes || s->cls >= map->seg->header.classes)
		return false;
	size = map->seg->class_size[s->cls];
	s->cached = (uint32_t)used; /* until the blocks in use are known */
	return field(map, HAK_S_SLAB_BASE, structure) == s->base && size >= 16 && s->capacity &&
	       s->capacity == slab_bytes(map) / size && s->carved <= s->capacity &&
	       used <= s->carved && used + s->free + s->dropped == s->carved && s->remote <= used;
}

/* Returns the slab's units. A slab outside of all extents becomes one of its own. */
static int units_of(struct map *map, uint64_t base, struct map_unit **ret, char why[HAK_WHY_TEXT])
{
	struct map_extent *e;
	int r;

	*ret = unit_at(map, base, MAP_EXTENT_SLABS);
	if (*ret)
		return 0;
	r = add_extent(map, base, MAP_EXTENT_SINGLE, map->slab_units, &e, why);
	if (r == 0)
		*ret = e->unit;
	return r;
}

static int read_slab(struct map *map, uint64_t base, uint64_t at, char why[HAK_WHY_TEXT])
{
	struct map_slab *grown = hak_grow(map->slab, map->slabs, &map->slabs_room, sizeof(*grown));
	char structure[MAP_STRUCT_MOST];
	struct map_slab s = { .base = base };
	struct map_unit *unit;
	uint32_t holes;
	int r;

	if (!grown)
		return -ENOMEM;
	map->slab = grown;
	if (map->slabs >= SLABS_MOST)
		return too_much(why, "slabs");
	r = map_memory_read(&map->memory, at, structure, value(map, HAK_S_SLAB));
	if (r < 0)
		return r;
	if (!read_slab_numbers(map, structure, &s)) {
		map->contradictions++;
		return 0;
	}
	r = units_of(map, base, &unit, why);
	if (r < 0)
		return r;
	holes = (uint32_t)field(map, HAK_S_SLAB_HOLES, structure);
	for (uint32_t i = 0; i < map->slab_units; i++) {
		unit[i].kind = holes >> i & 1 ? MAP_HOLE : MAP_SLAB;
		unit[i].part = (uint32_t)map->slabs;
		unit[i].live = 0;
	}
	r = map_blocks(map, &s, unit, holes);
	if (r == 0)
		map->slab[map->slabs++] = s;
	/* what cannot be read may go on without this slab, so no unit may name it */
	for (uint32_t i = 0; r < 0 && i < map->slab_units; i++)
		unit[i].kind = MAP_UNKNOWN;
	return r;
}

/* -- regions ----------------------------------------------------------------------------------- */
/* Counts the resident pages, of the region and of each of its parts. */
static int read_region_pages(struct map *map, struct map_region *region, uint64_t *left)
{
	const uint32_t page_bytes = map->memory.page_bytes;
	const uint64_t pages = region->bytes / page_bytes;
	uint64_t resident[MAP_CELLS] = { 0 };
	uint8_t page[PAGES_AT_ONCE];

	region->known = pages <= *left;
	if (!region->known)
		return 0;
	*left -= pages;
	region->cells = pages < MAP_CELLS ? (uint32_t)pages : MAP_CELLS;
	for (uint64_t at = 0; at < pages; at += PAGES_AT_ONCE) {
		size_t n = pages - at < PAGES_AT_ONCE ? (size_t)(pages - at) : PAGES_AT_ONCE;
		int r = map_memory_pages(&map->memory, region->base + at * page_bytes, n, page);

		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			region->swapped += page[i] & MAP_SWAPPED ? page_bytes : 0;
			resident[(at + i) * region->cells / pages] += page[i] & MAP_RESIDENT;
		}
	}
	for (uint32_t i = 0; i < region->cells; i++) {
		/* the pages p of cell i have p * cells / pages == i */
		uint64_t first = (i * pages + region->cells - 1) / region->cells;
		uint64_t end = ((i + 1) * pages + region->cells - 1) / region->cells;

		region->resident += resident[i] * page_bytes;
		region->cell[i] = (uint8_t)(end > first ? resident[i] * 255 / (end - first) : 0);
	}
	return 0;
}

static bool read_state(const struct map *map, const char *structure, bool kept,
		       struct map_region *region)
{
	const uint64_t state = field(map, HAK_S_REGION_STATE, structure);

	if (field(map, HAK_S_REGION_IN_USE, structure)) {
		region->state = MAP_IN_USE;
		return !kept;
	}
	region->hot = !kept;
	if (state == value(map, HAK_S_REGION_DIRTY))
		region->state = MAP_KEPT_DIRTY;
	else if (state == value(map, HAK_S_REGION_LAZY))
		region->state = MAP_KEPT_LAZY;
	else
		region->state = MAP_KEPT_CLEAN;
	return region->state != MAP_KEPT_CLEAN || state == value(map, HAK_S_REGION_CLEAN);
}

/* Reads the region that the slice at `address` names. A kept one is named by its last slice too. */
static int read_region(struct map *map, uint64_t address, uint64_t at, bool kept,
		       char why[HAK_WHY_TEXT])
{
	struct map_region *grown =
		hak_grow(map->region, map->regions, &map->regions_room, sizeof(*grown));
	char structure[MAP_STRUCT_MOST];
	struct map_region region = { 0 };
	int r;

	if (!grown)
		return -ENOMEM;
	map->region = grown;
	if (map->regions >= REGIONS_MOST)
		return too_much(why, "regions");
	r = map_memory_read(&map->memory, at, structure, value(map, HAK_S_REGION));
	if (r < 0)
		return r;
	region.base = field(map, HAK_S_REGION_BASE, structure);
	region.bytes = field(map, HAK_S_REGION_BYTES, structure);
	region.requested = field(map, HAK_S_REGION_REQUESTED, structure);
	if (kept && region.base != address &&
	    address - region.base == region.bytes - slab_bytes(map))
		return ++map->region_ends > REGIONS_MOST ? too_much(why, "regions") : 0;
	if (region.base != address || !region.bytes || region.bytes % slab_bytes(map) ||
	    region.bytes > ADDRESS_END || !read_state(map, structure, kept, &region)) {
		map->contradictions++;
		return 0;
	}
	map->region[map->regions++] = region;
	return 0;
}

static int by_region(const void *a, const void *b)
{
	const struct map_region *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

static int finish_regions(struct map *map)
{
	uint64_t left = REGION_PAGES, end = 0;
	size_t n = 0;
	int r = 0;

	if (map->regions)
		qsort(map->region, map->regions, sizeof(map->region[0]), by_region);
	for (size_t i = 0; r == 0 && i < map->regions; i++) {
		struct map_region region = map->region[i];

		if (region.base < end) {
			map->contradictions++;
			continue;
		}
		end = region.base + region.bytes;
		r = read_region_pages(map, &region, &left);
		map->region[n++] = region;
	}
	map->regions = n;
	return r;
}

/* -- the address map --------------------------------------------------------------------------- */
/* Reads a table of the library of which most pages were never touched: these are zeros. */
static int read_sparse(struct map *map, uint64_t address, char *buf, size_t bytes)
{
	const uint32_t page_bytes = map->memory.page_bytes;
	uint64_t first = address & ~(uint64_t)(page_bytes - 1);
	uint8_t page[PAGES_AT_ONCE];
	size_t pages = (size_t)((address + bytes - first + page_bytes - 1) / page_bytes);
	int r = pages > PAGES_AT_ONCE ? -E2BIG
				      : map_memory_pages(&map->memory, address, pages, page);

	memset(buf, 0, bytes);
	for (size_t i = 0; r == 0 && i < pages; i++) {
		uint64_t from = first + (uint64_t)i * page_bytes, to = from + page_bytes;

		if (!page[i])
			continue;
		while (i + 1 < pages && page[i + 1])
			i++, to += page_bytes;
		from = from < address ? address : from;
		to = to > address + bytes ? address + bytes : to;
		r = map_memory_read_all(&map->memory, from, buf + (from - address),
					(size_t)(to - from));
	}
	return r;
}

static int read_slice(struct map *map, uint64_t leaf, uint64_t address, uint32_t i,
		      const char *slice, char why[HAK_WHY_TEXT])
{
	const uint64_t kind = field(map, HAK_S_SLICE_KIND, slice);
	const uint64_t word = field(map, HAK_S_SLICE_WORD, slice);

	if (kind == value(map, HAK_S_KIND_SLAB))
		return read_slab(map, address,
				 leaf + value(map, HAK_S_LEAF_FIRST_SLAB) +
					 (uint64_t)i * value(map, HAK_S_SLAB),
				 why);
	if (kind == value(map, HAK_S_KIND_WHALE) || kind == value(map, HAK_S_KIND_KEPT))
		return read_region(map, address, word, kind == value(map, HAK_S_KIND_KEPT), why);
	if (kind == value(map, HAK_S_KIND_RUNS) && !unit_at(map, address, MAP_EXTENT_RUNS))
		map->contradictions++;
	return 0;
}

static int read_leaf(struct map *map, size_t index, uint64_t leaf, char *buf,
		     char why[HAK_WHY_TEXT])
{
	const uint32_t slices = value(map, HAK_S_LEAF_SLICES), bytes = value(map, HAK_S_SLICE);
	int r = read_sparse(map, leaf + value(map, HAK_S_LEAF_FIRST_SLICE), buf,
			    (size_t)slices * bytes);

	for (uint32_t i = 0; r == 0 && i < slices; i++) {
		const char *slice = buf + (size_t)i * bytes;

		if (field(map, HAK_S_SLICE_WORD, slice))
			r = read_slice(map, leaf, ((uint64_t)index << 32) + i * slab_bytes(map), i,
				       slice, why);
		if (r == -EIO || r == -EFAULT) {
			/* what the slice names was unmapped since */
			map->contradictions++;
			r = 0;
		}
		if (map->contradictions > CONTRADICTIONS_MOST)
			return -EAGAIN;
	}
	return r;
}

static int read_address_map(struct map *map, char why[HAK_WHY_TEXT])
{
	const size_t leaves = value(map, HAK_S_LEAVES);
	uint64_t *leaf = calloc(leaves + 1, sizeof(*leaf));
	char *buf = malloc((size_t)value(map, HAK_S_LEAF_SLICES) * value(map, HAK_S_SLICE));
	uint32_t found = 0;
	int r = -ENOMEM;

	if (leaf && buf)
		r = read_sparse(map, map->seg->header.leaves, (char *)leaf, leaves * sizeof(*leaf));
	for (size_t i = 0; r == 0 && i < leaves; i++) {
		if (!leaf[i])
			continue;
		r = ++found > LEAVES_MOST ? too_much(why, "windows of 4 GiB")
					  : read_leaf(map, i, leaf[i], buf, why);
	}
	free(leaf);
	free(buf);
	return r;
}

/* -- the whole --------------------------------------------------------------------------------- */
static void clear(struct map *map)
{
	for (size_t i = 0; i < map->extents; i++)
		free(map->extent[i].unit);
	map->extents = map->sorted = map->units = map->slabs = map->runs = map->regions = 0;
	map->region_ends = 0;
	map->contradictions = 0;
	map->memory.kept_at = 0;
}

static int read_once(struct map *map, char why[HAK_WHY_TEXT])
{
	int r = read_extents(map, why);

	if (r == 0)
		r = read_runs(map, why);
	if (r == 0)
		r = read_address_map(map, why);
	if (r == 0)
		r = finish_regions(map);
	if (r == 0)
		sort_extents(map);
	return r;
}

static void say_wait(uint64_t bytes)
{
	char text[HAK_VALUE_TEXT];

	if (bytes < WAIT_BYTES || !isatty(STDERR_FILENO))
		return;
	hak_bytes_format(bytes, text);
	ctl_complain("hakmemctl: reading a heap of %s; Ctrl-C ends it\n", text);
}

/* Reads the heap between two looks at the counters, which tell whether it changed meanwhile. */
static int read_round(struct map *map, bool first, char why[HAK_WHY_TEXT])
{
	const struct hak_segment *seg = map->seg;
	struct hak_snapshot before, after;
	uint64_t began = hak_monotonic_ns();
	int r = hak_snapshot_take(seg, &before);

	if (r < 0)
		return r;
	if (first)
		say_wait(hak_memory_of(seg, &before).mapped);
	r = read_once(map, why);
	if (r == 0)
		r = hak_snapshot_take(seg, &after);
	if (r == 0) {
		map->changed = memcmp(before.total, after.total,
				      before.counters * sizeof(before.total[0])) != 0;
		map->told = hak_memory_of(seg, &after);
		hak_snapshot_free(&after);
	}
	hak_snapshot_free(&before);
	map->ns = hak_monotonic_ns() - began;
	return r;
}

int map_read(struct map *map, const struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	bool torn = false;
	int r;

	*map = (struct map){ .seg = seg, .memory = { .mem = -1, .pagemap = -1 } };
	why[0] = '\0';
	r = map_memory_open(&map->memory, seg, why);
	if (r == 0)
		r = map_structs_read(&map->memory, seg, &map->structs, why);
	if (r < 0)
		return r;
	map->unit_bytes = value(map, HAK_S_UNIT_BYTES);
	map->slab_units = value(map, HAK_S_SLAB_UNITS);
	map->extent_units = value(map, HAK_S_EXTENT_UNITS);
	for (int i = 0; r == 0 && i < ROUNDS; i++) {
		clear(map);
		r = read_round(map, i == 0, why);
		torn = r == -EAGAIN || r == -EIO || r == -EFAULT;
		if (torn)
			r = 0;
		else if (!map->changed || map->ns > ROUND_AGAIN_NS)
			break;
	}
	if (torn)
		snprintf(why, HAK_WHY_TEXT, "its lists contradict themselves, or change too fast");
	return r ? r : torn ? -EAGAIN : map_add_up(map);
}

void map_free(struct map *map)
{
	clear(map);
	free(map->extent);
	free(map->slab);
	free(map->run);
	free(map->region);
	free(map->classes);
	map_memory_close(&map->memory);
}
