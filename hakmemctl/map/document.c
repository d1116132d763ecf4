/* SPDX-License-Identifier: MIT */
/* The map as JSON: every figure of the pictures. hakmem-map(1) explains the keys. See map.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "control/report.h"
#include "hakmemctl/map/map.h"

static void add_memory(struct json_object *o, const char *key, const struct hak_memory *m)
{
	struct json_object *inner = json_object_new_object();

	hak_json_number(inner, "in_use", m->in_use);
	hak_json_number(inner, "thread_cached", m->thread_cached);
	hak_json_number(inner, "slab_free", m->slab_free);
	hak_json_number(inner, "dirty", m->dirty);
	hak_json_number(inner, "lazy", m->lazy);
	hak_json_number(inner, "clean", m->clean);
	hak_json_number(inner, "mapped", m->mapped);
	json_object_object_add(o, key, inner);
}

/* As text: many readers of JSON keep no numbers above 2^53. In hexadecimal, as in maps. */
static void add_address(struct json_object *o, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIx64, address);
	hak_json_text(o, "address", text);
}

static void add_state(struct json_object *rows, const char *what, const char *state,
		      const struct map_row *row)
{
	struct json_object *o = json_object_new_object();

	hak_json_text(o, "of", what);
	hak_json_text(o, "state", state);
	hak_json_number(o, "bytes", row->bytes);
	hak_json_number(o, "resident", row->resident);
	hak_json_number(o, "swapped", row->swapped);
	json_object_array_add(rows, o);
}

static struct json_object *states(const struct map *map)
{
	struct json_object *rows = json_object_new_array();

	for (int i = 0; i < MAP_KINDS; i++)
		add_state(rows, "extents", map_kind_words[i], &map->sums.unit[i]);
	for (int i = 0; i <= MAP_KEPT_CLEAN; i++)
		add_state(rows, "regions", map_state_words[i], &map->sums.region[i]);
	return rows;
}

static struct json_object *classes(const struct map *map)
{
	struct json_object *rows = json_object_new_array();

	for (uint32_t i = 0; i < map->seg->header.classes; i++) {
		const struct map_class *c = &map->classes[i];
		struct json_object *o;

		if (!c->slabs && !c->runs)
			continue;
		o = json_object_new_object();
		hak_json_number(o, "class", i);
		hak_json_number(o, "size", map->seg->class_size[i]);
		hak_json_number(o, "slabs", c->slabs);
		hak_json_number(o, "runs", c->runs);
		hak_json_number(o, "capacity", c->capacity);
		hak_json_number(o, "in_use", c->in_use);
		hak_json_number(o, "cached", c->cached);
		hak_json_number(o, "remote", c->remote);
		hak_json_number(o, "free", c->free);
		hak_json_number(o, "dropped", c->dropped);
		hak_json_number(o, "resident", c->resident);
		hak_json_number(o, "pinned_pages", c->pinned);
		hak_json_number(o, "pinned_free", c->pinned_free);
		json_object_array_add(rows, o);
	}
	return rows;
}

static char letter_of(const struct map_unit *unit)
{
	static const char letters[MAP_KINDS] = "cdshrq?";

	return unit->pinned ? 'p' : letters[unit->kind];
}

static struct json_object *extents(const struct map *map)
{
	struct json_object *rows = json_object_new_array();
	char kinds[MAP_UNITS_MOST + 1], pages[MAP_UNITS_MOST + 1];

	for (size_t n = 0; n < map->extents; n++) {
		const struct map_extent *e = &map->extent[n];
		struct json_object *o = json_object_new_object();

		for (uint32_t i = 0; i < e->units; i++) {
			kinds[i] = letter_of(&e->unit[i]);
			pages[i] = e->unit[i].page & MAP_RESIDENT  ? '1'
				   : e->unit[i].page & MAP_SWAPPED ? 's'
								   : '0';
		}
		kinds[e->units] = pages[e->units] = '\0';
		add_address(o, e->base);
		hak_json_text(o, "kind", map_extent_words[e->kind]);
		hak_json_number(o, "bytes", (uint64_t)e->units * map->unit_bytes);
		hak_json_text(o, "units", kinds);
		hak_json_text(o, "resident", pages);
		json_object_array_add(rows, o);
	}
	return rows;
}

/* Adds the number of blocks in use on each page of each slab. */
static void add_live(const struct map *map, struct json_object **slab)
{
	for (size_t n = 0; n < map->extents; n++) {
		const struct map_extent *e = &map->extent[n];

		for (uint32_t i = 0; i < e->units; i++) {
			const struct map_unit *unit = &e->unit[i];
			struct json_object *live;

			if (unit->kind != MAP_SLAB && unit->kind != MAP_HOLE)
				continue;
			live = hak_json_member(slab[unit->part], "live");
			json_object_array_add(live, json_object_new_int(unit->live));
		}
	}
}

static struct json_object *slabs(const struct map *map)
{
	struct json_object *rows = json_object_new_array();
	struct json_object **all = calloc(map->slabs + 1, sizeof(struct json_object *));

	for (size_t i = 0; all && i < map->slabs; i++) {
		const struct map_slab *s = &map->slab[i];
		struct json_object *o = json_object_new_object();

		add_address(o, s->base);
		hak_json_number(o, "class", s->cls);
		hak_json_number(o, "size", map->seg->class_size[s->cls]);
		hak_json_bool(o, "pooled", s->pooled);
		hak_json_number(o, "capacity", s->capacity);
		hak_json_number(o, "carved", s->carved);
		hak_json_number(o, "in_use", s->in_use);
		hak_json_number(o, "cached", s->cached);
		hak_json_number(o, "remote", s->remote);
		hak_json_number(o, "free", s->free);
		hak_json_number(o, "dropped", s->dropped);
		hak_json_number(o, "resident", s->resident);
		hak_json_number(o, "holes", s->holes);
		hak_json_number(o, "pinned_pages", s->pinned);
		hak_json_number(o, "pinned_free", s->pinned_free);
		json_object_object_add(o, "live", json_object_new_array());
		json_object_array_add(rows, o);
		all[i] = o;
	}
	if (all)
		add_live(map, all);
	free(all);
	return rows;
}

static struct json_object *runs(const struct map *map)
{
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < map->runs; i++) {
		const struct map_run *run = &map->run[i];
		struct json_object *o = json_object_new_object();

		add_address(o, run->base);
		hak_json_number(o, "class", run->cls);
		hak_json_number(o, "size", map->seg->class_size[run->cls]);
		hak_json_number(o, "bytes", (uint64_t)run->units * map->unit_bytes);
		hak_json_text(o, "state", run->cached ? "cached" : "in_use");
		hak_json_bool(o, "sampled", run->sampled);
		hak_json_number(o, "resident", run->resident);
		json_object_array_add(rows, o);
	}
	return rows;
}

static struct json_object *regions(const struct map *map)
{
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < map->regions; i++) {
		const struct map_region *region = &map->region[i];
		struct json_object *o = json_object_new_object();

		add_address(o, region->base);
		hak_json_number(o, "bytes", region->bytes);
		hak_json_number(o, "requested",
				region->state == MAP_IN_USE ? region->requested : 0);
		hak_json_text(o, "state", map_state_words[region->state]);
		hak_json_bool(o, "thread", region->hot);
		if (region->known) {
			hak_json_number(o, "resident", region->resident);
			hak_json_number(o, "swapped", region->swapped);
		} else {
			hak_json_null(o, "resident");
			hak_json_null(o, "swapped");
		}
		json_object_array_add(rows, o);
	}
	return rows;
}

struct json_object *map_document(const struct map *map)
{
	struct json_object *o = hak_json_document("map"), *process, *pinned;

	process = hak_report_process(map->seg);
	hak_json_text(process, "version", map->seg->header.version);
	json_object_object_add(o, "process", process);
	hak_json_bool(o, "changed", map->changed);
	hak_json_number(o, "contradictions", map->contradictions);
	hak_json_number(o, "ns", map->ns);
	hak_json_number(o, "read_bytes", map->memory.read_bytes);
	hak_json_number(o, "unit_bytes", map->unit_bytes);
	add_memory(o, "memory", &map->sums.memory);
	add_memory(o, "counters", &map->told);
	json_object_object_add(o, "states", states(map));
	pinned = json_object_new_object();
	hak_json_number(pinned, "pages", map->sums.pinned_pages);
	hak_json_number(pinned, "bytes", map->sums.pinned_pages * map->unit_bytes);
	hak_json_number(pinned, "free", map->sums.pinned_free);
	json_object_object_add(o, "pinned", pinned);
	json_object_object_add(o, "classes", classes(map));
	json_object_object_add(o, "extents", extents(map));
	json_object_object_add(o, "slabs", slabs(map));
	json_object_object_add(o, "runs", runs(map));
	json_object_object_add(o, "regions", regions(map));
	return o;
}
