/* SPDX-License-Identifier: MIT */
/*
 * One process as JSON, see report.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cgroup.h"
#include "control/proc.h"
#include "control/purgestate.h"
#include "control/reader.h"
#include "control/report.h"
#include "control/resident.h"
#include "control/snapshot.h"

static const char *const words[] = {
	[HAK_REPORT_LIST] = "list",	    [HAK_REPORT_STATS] = "stats",
	[HAK_REPORT_CLASSES] = "classes",   [HAK_REPORT_VALUES] = "values",
	[HAK_REPORT_TUNABLES] = "tunables",
};
#define WORDS (sizeof(words) / sizeof(words[0]))

const char *hak_report_word(enum hak_report what)
{
	return words[what];
}

int hak_report_of(const char *word, enum hak_report *ret)
{
	for (size_t i = 0; i < WORDS; i++) {
		if (strcmp(words[i], word) != 0)
			continue;
		*ret = (enum hak_report)i;
		return 0;
	}
	return -EINVAL;
}

struct json_object *hak_report_process(const struct hak_segment *seg)
{
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "pid", (uint64_t)seg->pid);
	hak_json_text(o, "comm", seg->comm);
	hak_json_number(o, "uid", seg->uid);
	return o;
}

static const char *library_word(enum hak_library_state state)
{
	static const char *const library[] = { "ok", "deleted", "replaced" };

	return library[state];
}

/* -- list -------------------------------------------------------------------------------------- */
static uint64_t count_changed(const struct hak_segment *seg)
{
	struct hak_tunable_state *states;
	uint64_t changed = 0;

	if (hak_tunables_read(seg, &states) < 0)
		return 0;
	for (uint32_t i = 0; i < seg->header.tunables; i++)
		changed += states[i].ack.origin != HAK_ORIGIN_DEFAULT;
	free(states);
	return changed;
}

static void json_number_if(struct json_object *o, const char *key, uint64_t value, bool known)
{
	if (known)
		hak_json_number(o, key, value);
	else
		hak_json_null(o, key);
}

static const char *const note_words[HAK_LIST_NOTES] = {
	[HAK_NOTE_LOCKED] = "locked",
	[HAK_NOTE_DEBUG] = "debug",
	[HAK_NOTE_LIBRARY_DELETED] = "library deleted",
	[HAK_NOTE_LIBRARY_REPLACED] = "library replaced",
	[HAK_NOTE_AGENT_FAILED] = "agent failed",
	[HAK_NOTE_PURGE_PENDING] = "purge pending",
	[HAK_NOTE_LIMIT_UNMET] = "limit unmet",
};

const char *hak_note_word(enum hak_list_note note)
{
	return note_words[note];
}

/* Writes the most important facts for an administrator; "" for nothing. The last one is left to the
 * program that knows the policies. */
static void note_of(const struct hak_segment *seg, char *out, size_t bytes)
{
	bool is[HAK_LIST_NOTES] = { false };
	struct hak_purge_state purges;
	size_t used = 0;

	hak_purge_state(seg, &purges);
	is[HAK_NOTE_LOCKED] = seg->header.locked;
	is[HAK_NOTE_DEBUG] = seg->header.debug;
	is[HAK_NOTE_LIBRARY_DELETED] = seg->library_state == HAK_LIBRARY_DELETED;
	is[HAK_NOTE_LIBRARY_REPLACED] = seg->library_state == HAK_LIBRARY_REPLACED;
	is[HAK_NOTE_AGENT_FAILED] = purges.agent_error && !purges.agent;
	is[HAK_NOTE_PURGE_PENDING] = purges.open && !purges.locked;
	out[0] = '\0';
	for (unsigned i = 0; i < HAK_LIST_NOTES; i++)
		if (is[i] && used < bytes)
			used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "",
						 note_words[i]);
}

/* The most of the free memory that can be resident, by state and in all. */
static void free_resident_json(struct json_object *o, const struct hak_resident *r,
			       const struct hak_memory *most)
{
	const struct {
		const char *key;
		uint64_t bytes;
	} states[] = {
		{ "thread_cached_resident", most->thread_cached },
		{ "slab_free_resident", most->slab_free },
		{ "dirty_resident", most->dirty },
		{ "lazy_resident", most->lazy },
		{ "free_resident", hak_resident_free(r, most) },
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		json_number_if(o, states[i].key, states[i].bytes, r->source);
}

/* The figures that a walk over the page tables makes. */
static void shares_json(struct json_object *o, const struct hak_resident *r)
{
	const bool summed = r->source >= HAK_RESIDENT_SUMMED;

	json_number_if(o, "pss", r->pss, summed);
	json_number_if(o, "private", r->private, summed);
	json_number_if(o, "huge", r->huge, summed);
	json_number_if(o, "swap", r->swap, summed);
}

static int report_list(const struct hak_segment *seg, bool exact, struct json_object **ret)
{
	struct hak_resident resident;
	struct hak_snapshot snap;
	struct hak_memory memory, most;
	struct json_object *o;
	char text[96];
	int r = hak_snapshot_take(seg, &snap);

	if (r < 0)
		return r;
	memory = hak_memory_of(seg, &snap);
	hak_resident_read(seg, exact ? HAK_RESIDENT_SUMMED : HAK_RESIDENT_COUNTED, &resident);
	most = hak_resident_bound(&resident, &memory);
	o = hak_report_process(seg);
	hak_json_text(o, "version", seg->header.version);
	snprintf(text, sizeof(text), "%u.%u", seg->header.abi_major, seg->header.abi_minor);
	hak_json_text(o, "abi", text);
	hak_json_number(o, "heaps", hak_total(seg, &snap, HAK_ID_HEAPS_LIVE));
	hak_json_number(o, "rss", resident.rss);
	hak_json_number(o, "in_use", memory.in_use);
	hak_json_number(o, "thread_cached", memory.thread_cached);
	hak_json_number(o, "dirty", memory.dirty);
	hak_json_number(o, "lazy", memory.lazy);
	free_resident_json(o, &resident, &most);
	shares_json(o, &resident);
	hak_json_bool(o, "agent", snap.agent);
	hak_json_bool(o, "locked", seg->header.locked);
	hak_json_bool(o, "debug", seg->header.debug);
	hak_json_number(o, "changed", count_changed(seg));
	hak_json_text(o, "library", seg->library[0] ? seg->library : NULL);
	hak_json_text(o, "library_state", library_word(seg->library_state));
	hak_json_null(o, "problem");
	note_of(seg, text, sizeof(text));
	hak_json_text(o, "note", text);
	hak_snapshot_free(&snap);
	*ret = o;
	return 0;
}

/* -- stats ------------------------------------------------------------------------------------- */
static struct json_object *counters_json(const struct hak_segment *seg,
					 const struct hak_snapshot *snap)
{
	struct json_object *o = json_object_new_object();

	for (uint32_t i = 0; i < snap->counters; i++)
		hak_json_number(o, seg->counter[i].name, snap->total[i]);
	return o;
}

/* Writes where the resident memory is. malloc + other + stack + files + shared = rss. */
static struct json_object *resident_json(const struct hak_resident *r,
					 const struct hak_memory *most)
{
	const bool split = r->source == HAK_RESIDENT_SPLIT;
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "rss", r->rss);
	hak_json_number(o, "anonymous", r->anonymous);
	hak_json_number(o, "malloc", most->mapped);
	hak_json_number(o, "other", r->anonymous - most->mapped - r->stack);
	json_number_if(o, "stack", r->stack, split);
	json_number_if(o, "files", r->files, split);
	json_number_if(o, "shared", r->shared, split);
	shares_json(o, r);
	return o;
}

static struct json_object *memory_json(const struct hak_memory *memory,
				       const struct hak_resident *r, const struct hak_memory *most)
{
	const struct hak_memory m = *memory;
	struct json_object *o = json_object_new_object();

	hak_json_number(o, "in_use", m.in_use);
	hak_json_number(o, "requested", m.requested);
	hak_json_bool(o, "requested_exact", false);
	hak_json_number(o, "thread_cached", m.thread_cached);
	hak_json_number(o, "slab_free", m.slab_free);
	hak_json_number(o, "dirty", m.dirty);
	hak_json_number(o, "lazy", m.lazy);
	hak_json_number(o, "clean", m.clean);
	hak_json_number(o, "reserved", m.reserved);
	hak_json_number(o, "mapped", m.mapped);
	hak_json_number(o, "metadata", m.metadata);
	hak_json_number(o, "rss", r->rss);
	json_number_if(o, "in_use_resident", most->in_use, r->source);
	free_resident_json(o, r, most);
	json_number_if(o, "metadata_resident", most->metadata, r->source);
	return o;
}

static void use_json(struct json_object *o, const struct hak_use *use)
{
	hak_json_number(o, "in_use", use->in_use);
	hak_json_number(o, "in_use_bytes", use->in_use_bytes);
	hak_json_number(o, "cached", use->cached);
	hak_json_number(o, "cached_bytes", use->cached_bytes);
}

static struct json_object *tiers_json(const struct hak_segment *seg,
				      const struct hak_snapshot *snap)
{
	struct json_object *tiers = json_object_new_array();

	for (enum hak_tier tier = 0; tier < HAK_TIERS; tier++) {
		struct hak_use use = hak_tier_use(seg, snap, tier);
		struct json_object *o = json_object_new_object();

		hak_json_text(o, "tier", hak_tier_word(tier));
		hak_json_number(o, "allocs", use.allocs);
		hak_json_number(o, "frees", use.frees);
		use_json(o, &use);
		hak_json_number(o, "requested_bytes", use.requested_bytes);
		hak_json_bool(o, "requested_exact", tier == HAK_TIER_WHALE);
		hak_json_number(o, "alloc_bytes", use.alloc_bytes);
		hak_json_number(o, "free_bytes", use.free_bytes);
		json_object_array_add(tiers, o);
	}
	return tiers;
}

static struct json_object *classes_json(const struct hak_segment *seg,
					const struct hak_snapshot *snap)
{
	static const struct {
		const char *key;
		uint16_t id;
	} keys[] = {
		{ "allocs", HAK_ID_ALLOCS },
		{ "frees", HAK_ID_FREES },
		{ "refilled", HAK_ID_REFILLED },
		{ "flushed", HAK_ID_FLUSHED },
		{ "flushed_remote", HAK_ID_FLUSHED_REMOTE },
		{ "requested_samples", HAK_ID_REQ_SAMPLES },
		{ "requested_bytes", HAK_ID_REQ_BYTES },
		{ "inherited", HAK_ID_INHERITED },
	};
	struct json_object *classes = json_object_new_array();

	for (uint32_t c = 0; c < snap->classes; c++) {
		struct hak_use use = hak_class_use(seg, snap, c);
		struct json_object *o = json_object_new_object();

		hak_json_number(o, "class", c);
		hak_json_number(o, "size", seg->class_size[c]);
		hak_json_text(o, "tier", hak_tier_word(hak_tier_of(seg->class_size[c])));
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			hak_json_number(o, keys[i].key, hak_of_class(seg, snap, keys[i].id, c));
		use_json(o, &use);
		json_object_array_add(classes, o);
	}
	return classes;
}

static struct json_object *whale_json(const struct hak_segment *seg,
				      const struct hak_snapshot *snap)
{
	struct json_object *o = json_object_new_object();
	uint64_t hits = hak_total(seg, snap, HAK_ID_WHALE_HITS);

	hak_json_part(o, "hit_ratio", hits, hits + hak_total(seg, snap, HAK_ID_WHALE_MISSES));
	hak_json_part(o, "get_cycles", hak_total(seg, snap, HAK_ID_WHALE_GET_CYCLES),
		      hak_total(seg, snap, HAK_ID_WHALE_GET_SAMPLES));
	hak_json_part(o, "put_cycles", hak_total(seg, snap, HAK_ID_WHALE_PUT_CYCLES),
		      hak_total(seg, snap, HAK_ID_WHALE_PUT_SAMPLES));
	return o;
}

/* The unit and the control group, and the control group with the memory controller, of which
 * purge.limit_bytes may be the limit. */
static void add_groups(const struct hak_segment *seg, struct json_object *o)
{
	char path[HAK_CGROUP_BYTES], unit[HAK_UNIT_NAME_BYTES];
	struct hak_cgroups groups;

	if (hak_cgroup_read(seg->procfd, &groups) < 0)
		return;
	hak_cgroup_memory_path(&groups, path);
	if (*path)
		hak_json_text(o, "memory_cgroup", path);
	hak_cgroup_path(&groups, path);
	if (!*path)
		return;
	hak_json_text(o, "cgroup", path);
	if (hak_cgroup_unit(path, unit))
		hak_json_text(o, "unit", unit);
}

/* What the kernel counts of the process: its start, which is unique together with the PID, and its
 * page faults. */
static void add_kernel_counts(const struct hak_segment *seg, struct json_object *o)
{
	static const struct {
		const char *key;
		unsigned field;
	} counts[] = {
		{ "start_ticks", 22 },
		{ "minor_faults", 10 },
		{ "major_faults", 12 },
	};
	char stat[HAK_STAT_BYTES];
	bool known = hak_reader_text(seg->procfd, "stat", stat, sizeof(stat)) > 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t n = 0;
		bool found = known && hak_proc_field(stat, counts[i].field, &n) == 0;

		json_number_if(o, counts[i].key, n, found);
	}
}

static void add_faults(const struct hak_segment *seg, struct json_object *o)
{
	uint64_t minor = 0, major = 0;
	bool known = hak_reader_stat(seg->procfd, 10, &minor) == 0;

	json_number_if(o, "minor_faults", minor, known);
	known = hak_reader_stat(seg->procfd, 12, &major) == 0;
	json_number_if(o, "major_faults", major, known);
}

static int report_stats(const struct hak_segment *seg, bool exact, bool classes,
			struct json_object **ret)
{
	struct hak_resident resident;
	struct hak_memory memory, most;
	struct hak_snapshot snap;
	struct json_object *o;
	char abi[32];
	int r = hak_snapshot_take(seg, &snap);

	if (r < 0)
		return r;
	memory = hak_memory_of(seg, &snap);
	hak_resident_read(seg, exact ? HAK_RESIDENT_SPLIT : HAK_RESIDENT_COUNTED, &resident);
	most = hak_resident_bound(&resident, &memory);
	o = hak_report_process(seg);
	snprintf(abi, sizeof(abi), "%u.%u", seg->header.abi_major, seg->header.abi_minor);
	hak_json_text(o, "version", seg->header.version);
	hak_json_text(o, "abi", abi);
	hak_json_text(o, "library_state", library_word(seg->library_state));
	hak_json_null(o, "problem");
	hak_json_number(o, "time_ns", snap.time_ns);
	hak_json_number(o, "created_ns", seg->header.created_ns);
	add_faults(seg, o);
	hak_json_number(o, "heaps", hak_total(seg, &snap, HAK_ID_HEAPS_LIVE));
	hak_json_bool(o, "agent", snap.agent);
	add_groups(seg, o);
	add_kernel_counts(seg, o);
	json_object_object_add(o, "memory", memory_json(&memory, &resident, &most));
	if (resident.source)
		json_object_object_add(o, "resident", resident_json(&resident, &most));
	json_object_object_add(o, "tiers", tiers_json(seg, &snap));
	json_object_object_add(o, "whale", whale_json(seg, &snap));
	json_object_object_add(o, "counters", counters_json(seg, &snap));
	if (classes)
		json_object_object_add(o, "classes", classes_json(seg, &snap));
	hak_snapshot_free(&snap);
	*ret = o;
	return 0;
}

/* -- values ------------------------------------------------------------------------------------ */
static struct json_object *layers_json(const struct hak_tunable_desc *desc,
				       const struct hak_tunable_state *s)
{
	struct json_object *o = json_object_new_object();

	for (unsigned origin = 0; origin < HAK_ORIGINS; origin++) {
		const char *word = hak_origin_word(origin);

		if (origin == HAK_ORIGIN_DEFAULT)
			hak_json_number(o, word, desc->dflt);
		else if (!(s->ack.set & 1u << origin))
			hak_json_null(o, word);
		else if (origin >= HAK_ORIGIN_POLICY)
			hak_json_number(o, word, s->slot[origin].value);
		else
			hak_json_number(o, word, s->ack.layer[origin]);
	}
	return o;
}

static const char *note_of_value(const struct hak_tunable_state *s)
{
	if (s->pending)
		return "a change is pending";
	if (s->ack.refused)
		return "a change was refused";
	return s->ack.clamped ? "clamped to its range" : "";
}

static struct json_object *value_row(const struct hak_segment *seg, uint32_t i,
				     const struct hak_tunable_state *s)
{
	const struct hak_tunable_desc *desc = &seg->tunable[i];
	struct hak_spec spec = hak_spec_of_desc(desc);
	struct json_object *o = hak_report_process(seg);
	char text[HAK_VALUE_TEXT];

	hak_json_text(o, "name", desc->name);
	hak_json_number(o, "value", s->ack.value);
	hak_value_format(&spec, s->ack.value, text);
	hak_json_text(o, "text", text);
	hak_json_text(o, "origin", hak_origin_word(s->ack.origin));
	hak_json_bool(o, "clamped", s->ack.clamped);
	hak_json_bool(o, "refused", s->ack.refused);
	hak_json_bool(o, "pending", s->pending);
	if (s->expires_ns)
		hak_json_number(o, "expires_ns", s->expires_ns);
	else
		hak_json_null(o, "expires_ns");
	hak_value_format(&spec, desc->dflt, text);
	hak_json_text(o, "default", text);
	json_object_object_add(o, "layers", layers_json(desc, s));
	hak_json_text(o, "note", note_of_value(s));
	return o;
}

static int report_values(const struct hak_segment *seg, struct json_object **ret)
{
	struct hak_tunable_state *states;
	int r = hak_tunables_read(seg, &states);

	if (r < 0)
		return r;
	*ret = json_object_new_array();
	for (uint32_t i = 0; i < seg->header.tunables; i++)
		json_object_array_add(*ret, value_row(seg, i, &states[i]));
	free(states);
	return 0;
}

/* -- tunables ---------------------------------------------------------------------------------- */
static void range_of(const struct hak_spec *spec, char *out, size_t bytes)
{
	char min[HAK_VALUE_TEXT], max[HAK_VALUE_TEXT];

	if (spec->type == HAK_TYPE_BOOL) {
		snprintf(out, bytes, "off|on");
	} else if (spec->type == HAK_TYPE_ENUM) {
		snprintf(out, bytes, "%s", spec->values);
	} else {
		hak_value_format(spec, spec->min, min);
		hak_value_format(spec, spec->max, max);
		snprintf(out, bytes, "%s to %s", min, max);
	}
}

struct json_object *hak_report_tunable(struct json_object *o, uint16_t id,
				       const struct hak_spec *spec, uint64_t dflt, unsigned when)
{
	char text[HAK_WHY_TEXT], value[HAK_VALUE_TEXT];

	hak_json_number(o, "id", id);
	hak_json_text(o, "name", spec->name);
	hak_json_text(o, "type", hak_type_word(spec->type));
	hak_json_text(o, "unit", hak_unit_word(spec->unit));
	hak_json_text(o, "when", hak_when_word(when));
	hak_json_text(o, "effect", hak_effect_text(when));
	hak_json_number(o, "default", dflt);
	hak_value_format(spec, dflt, value);
	hak_json_text(o, "default_text", value);
	hak_json_number(o, "min", spec->min);
	hak_json_number(o, "max", spec->max);
	hak_json_text(o, "values", spec->values);
	range_of(spec, text, sizeof(text));
	hak_json_text(o, "range", text);
	return o;
}

static struct json_object *report_tunables(const struct hak_segment *seg)
{
	struct json_object *rows = json_object_new_array();

	for (uint32_t i = 0; i < seg->header.tunables; i++) {
		const struct hak_tunable_desc *d = &seg->tunable[i];
		struct hak_spec spec = hak_spec_of_desc(d);

		json_object_array_add(rows, hak_report_tunable(hak_report_process(seg), d->id,
							       &spec, d->dflt, d->when));
	}
	return rows;
}

int hak_report_make(const struct hak_segment *seg, enum hak_report what, bool exact,
		    struct json_object **ret)
{
	struct json_object *o = NULL;
	int r = 0;

	switch (what) {
	case HAK_REPORT_LIST:
		r = report_list(seg, exact, &o);
		break;
	case HAK_REPORT_STATS:
	case HAK_REPORT_CLASSES:
		r = report_stats(seg, exact, what == HAK_REPORT_CLASSES, &o);
		break;
	case HAK_REPORT_VALUES:
		r = report_values(seg, &o);
		break;
	case HAK_REPORT_TUNABLES:
		o = report_tunables(seg);
		break;
	}
	if (r == 0)
		r = hak_segment_alive(seg);
	if (r < 0) {
		json_object_put(o);
		return r;
	}
	*ret = o;
	return 0;
}
