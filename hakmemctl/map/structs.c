/* SPDX-License-Identifier: MIT */
/*
 * The layout that the library of the process tells, see control/abi/structs.def. A library whose
 * rows are others is refused. Offsets and sizes are taken from the library, and only checked here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hakmemctl/map/map.h"

static const char names[] =
#include "control/abi/structs.def"
	;
_Static_assert(sizeof(names) <= sizeof(((struct hak_structs *)0)->names), "the names fit");

/* The row with the size of the structure, for each member. */
enum {
	OF_slice = HAK_S_SLICE,
	OF_slab = HAK_S_SLAB,
	OF_extent = HAK_S_EXTENT,
	OF_extents = HAK_S_EXTENTS,
	OF_region = HAK_S_REGION,
};
static const struct {
	enum hak_struct_row row, size;
} members[] = {
#define FIELD(sym, name, member) { HAK_S_##sym, (enum hak_struct_row)OF_##name },
#define SIZE(sym, ...)
#define VALUE(sym, ...)
#include "control/abi/structs.def"
};

uint64_t map_field(const struct hak_structs *s, enum hak_struct_row row, const void *structure)
{
	const void *at = (const char *)structure + s->row[row].at;
	uint64_t eight;
	uint32_t four;
	uint16_t two;

	switch (s->row[row].bytes) {
	case 8:
		memcpy(&eight, at, 8);
		return eight;
	case 4:
		memcpy(&four, at, 4);
		return four;
	case 2:
		memcpy(&two, at, 2);
		return two;
	default:
		return *(const uint8_t *)at;
	}
}

static bool is_power(uint32_t n, uint32_t least, uint32_t most)
{
	return n >= least && n <= most && !(n & (n - 1));
}

#define WINDOW_MOST (1u << 22) /* bytes that are read of a window of 4 GiB */

/* The members that are arrays have a byte or a bit for each unit. */
static bool has_width(const struct hak_structs *s, enum hak_struct_row row)
{
	const uint32_t bytes = s->row[row].bytes, units = map_value(s, HAK_S_EXTENT_UNITS);

	if (row == HAK_S_EXTENT_START)
		return bytes == units;
	if (row == HAK_S_EXTENT_USED || row == HAK_S_EXTENT_DIRTY)
		return bytes == units / 8;
	return is_power(bytes, 1, 8);
}

static bool are_members_inside(const struct hak_structs *s)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const struct hak_struct_place *p = &s->row[members[i].row];
		const uint32_t size = map_value(s, members[i].size);

		if (size > MAP_STRUCT_MOST || !has_width(s, members[i].row) || p->bytes > size ||
		    p->at > size - p->bytes)
			return false;
	}
	return true;
}

static bool are_values_sane(const struct hak_structs *s)
{
	const uint64_t slice = map_value(s, HAK_S_SLICE_BYTES);
	const uint32_t unit = map_value(s, HAK_S_UNIT_BYTES);
	const uint32_t slab_units = map_value(s, HAK_S_SLAB_UNITS);
	const uint32_t extent_units = map_value(s, HAK_S_EXTENT_UNITS);

	return unit == MAP_BLOCK && is_power(slab_units, 1, MAP_SLAB_UNITS) &&
	       is_power(extent_units, 64, MAP_UNITS_MOST) && extent_units >= slab_units &&
	       slice == (uint64_t)unit * slab_units &&
	       (uint64_t)map_value(s, HAK_S_LEAF_SLICES) * slice == (uint64_t)1 << 32 &&
	       map_value(s, HAK_S_LEAVES) <= 1u << 20 && map_value(s, HAK_S_REMOTE_SHIFT) < 48 &&
	       map_value(s, HAK_S_KEY_BITS) >= 32 && map_value(s, HAK_S_KEY_BITS) <= 64 &&
	       (uint64_t)map_value(s, HAK_S_LEAF_SLICES) * map_value(s, HAK_S_SLICE) <=
		       WINDOW_MOST &&
	       map_value(s, HAK_S_SLICE) && map_value(s, HAK_S_SLAB) &&
	       s->row[HAK_S_SLICE_WORD].bytes == 8 && s->row[HAK_S_SLAB_REMOTE].bytes == 8;
}

int map_structs_read(struct map_memory *m, const struct hak_segment *seg, struct hak_structs *ret,
		     char why[HAK_WHY_TEXT])
{
	const struct hak_stats_header *h = &seg->header;
	int r;

	if (!h->structs) {
		snprintf(why, HAK_WHY_TEXT,
			 "its libhakmem %s does not tell the layout of its heap: it is older than "
			 "this hakmemctl",
			 h->version);
		return -EPROTONOSUPPORT;
	}
	snprintf(why, HAK_WHY_TEXT,
		 "its libhakmem %s lays its heap out in another way than this hakmemctl knows: "
		 "use the hakmemctl that was installed with it",
		 h->version);
	r = map_memory_read(m, h->structs, ret, sizeof(*ret));
	if (r == -EIO || r == -EFAULT)
		return -EPROTONOSUPPORT;
	if (r < 0) {
		why[0] = '\0';
		return r;
	}
	if (memcmp(ret->magic, HAK_STRUCTS_MAGIC, sizeof(ret->magic)) != 0 ||
	    ret->version != HAK_STRUCTS_VERSION || ret->bytes != sizeof(*ret) ||
	    memcmp(ret->names, names, sizeof(names)) != 0 || !are_values_sane(ret) ||
	    !are_members_inside(ret))
		return -EPROTONOSUPPORT;
	why[0] = '\0';
	return 0;
}
