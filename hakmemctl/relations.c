/* SPDX-License-Identifier: MIT */
/* The figures of a process, and the relations between them that always hold. See relations.h. */
#include "hakmemctl/relations.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/abi/schema.h"
#include "control/proc.h"

enum { EXTENT_BYTES = 2 << 20 }; /* as counters.def describes superslab.live and similar counters */

/* -- the figures of a process, read three times ------------------------------------------------ */
static void pause_ns(long ns)
{
	const struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

static int read_ack(const struct hak_segment *seg, struct hak_ack *ret)
{
	return hak_segment_read(seg, seg->header.ack_off, ret, sizeof(*ret));
}

void ctl_view_free(struct ctl_view *v)
{
	for (int i = 0; i < READINGS; i++)
		hak_snapshot_free(&v->snap[i]);
}

/* Returns 0, or -errno and nothing to free. */
int ctl_view_take(const struct hak_segment *seg, long pause, struct ctl_view *ret)
{
	int r;

	*ret = (struct ctl_view){ .seg = seg };
	r = read_ack(seg, &ret->ack[0]);
	for (int i = 0; r == 0 && i < READINGS; i++) {
		if (i)
			pause_ns(pause);
		r = hak_snapshot_take(seg, &ret->snap[i]);
		if (i == BETWEEN)
			ret->has_lazy = hak_segment_read_lazy(seg, &ret->lazy) == 0;
	}
	if (r == 0)
		r = read_ack(seg, &ret->ack[1]);
	if (r < 0)
		ctl_view_free(ret);
	ret->has_tune = r == 0 && hak_segment_read_tune(seg, &ret->tune) == 0;
	return r;
}

/* -- relations between counters ---------------------------------------------------------------- */
enum { TOTAL = -1 };

static uint64_t plus(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/*
 * Gauges are read between the two readings of counters. A counter only grows, so it has its least
 * value in the first reading and its largest in the last.
 */
static uint64_t figure(const struct ctl_view *v, int i, enum when when, int cls)
{
	const struct hak_snapshot *s =
		&v->snap[v->seg->counter[i].kind == HAK_KIND_COUNTER ? when : BETWEEN];

	return cls == TOTAL ? s->cell[i] : s->by_class[(size_t)i * s->classes + (uint32_t)cls];
}

static uint64_t one(const struct ctl_view *v, uint16_t id, enum when when, int cls)
{
	int i = hak_segment_counter(v->seg, id);

	return i < 0 ? 0 : figure(v, i, when, cls);
}

static uint64_t sum(const struct ctl_view *v, const uint16_t ids[6], enum when when, int cls)
{
	uint64_t all = 0;

	for (int i = 0; i < 6 && ids[i]; i++)
		all = plus(all, one(v, ids[i], when, cls));
	return all;
}

static bool has_all(const struct ctl_view *v, const uint16_t ids[6])
{
	for (int i = 0; i < 6 && ids[i]; i++)
		if (hak_segment_counter(v->seg, ids[i]) < 0)
			return false;
	return true;
}

/* "whale.allocs + whale.inherited" */
static const char *names(const struct ctl_view *v, const uint16_t ids[6], char text[6 * 64])
{
	size_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < 6 && ids[i]; i++)
		at += (size_t)snprintf(text + at, 64, "%s%.40s", i ? " + " : "",
				       v->seg->counter[hak_segment_counter(v->seg, ids[i])].name);
	return text;
}

static void say(const struct ctl_view *v, const struct ctl_relation *c, int cls,
		const uint64_t side[2], char found[HAK_WHY_TEXT])
{
	char small[6 * 64], large[6 * 64], of[64] = "";

	if (cls != TOTAL)
		snprintf(of, sizeof(of), "class %d (%u bytes): ", cls, v->seg->class_size[cls]);
	snprintf(found, HAK_WHY_TEXT, "%s%s is %" PRIu64 ", %s is %" PRIu64, of,
		 names(v, c->small, small), side[0], names(v, c->large, large), side[1]);
}

static enum verdict compare(const struct ctl_view *v, const struct ctl_relation *c, int cls,
			    char found[HAK_WHY_TEXT])
{
	uint64_t lag = c->per_heap ? v->snap[AFTER].heaps : 0;
	uint64_t side[2] = { sum(v, c->small, BEFORE, cls), sum(v, c->large, AFTER, cls) };

	if (side[0] <= plus(side[1], lag))
		return HOLDS;
	say(v, c, cls, side, found);
	return BROKEN;
}

static enum verdict totals(const struct ctl_view *v, const struct ctl_relation *c,
			   char found[HAK_WHY_TEXT])
{
	if (!has_all(v, c->small) || !has_all(v, c->large))
		return UNKNOWN;
	return compare(v, c, TOTAL, found);
}

static enum verdict classes(const struct ctl_view *v, const struct ctl_relation *c,
			    char found[HAK_WHY_TEXT])
{
	enum verdict verdict = HOLDS;

	if (!has_all(v, c->small) || !has_all(v, c->large))
		return UNKNOWN;
	for (uint32_t i = 0; verdict == HOLDS && i < v->seg->header.classes; i++)
		verdict = compare(v, c, (int)i, found);
	return verdict;
}

/* The larger side counts requests, and each request returns at most one block. */
static enum verdict requests(const struct ctl_view *v, const struct ctl_relation *c,
			     char found[HAK_WHY_TEXT])
{
	if (!has_all(v, c->small) || !has_all(v, c->large))
		return UNKNOWN;
	for (uint32_t i = 0; i < v->seg->header.classes; i++) {
		uint64_t side[2] = { sum(v, c->small, BEFORE, (int)i),
				     sum(v, c->large, AFTER, (int)i) };

		if (side[0] <= times(side[1], v->seg->class_size[i]))
			continue;
		say(v, c, (int)i, side, found);
		return BROKEN;
	}
	return HOLDS;
}

/* The smaller side counts the classes of runs only. */
static enum verdict runs(const struct ctl_view *v, const struct ctl_relation *c,
			 char found[HAK_WHY_TEXT])
{
	uint64_t side[2] = { 0, sum(v, c->large, AFTER, TOTAL) };

	if (!has_all(v, c->small) || !has_all(v, c->large))
		return UNKNOWN;
	for (uint32_t i = v->seg->header.slab_classes; i < v->seg->header.classes; i++)
		side[0] = plus(side[0], sum(v, c->small, BEFORE, (int)i));
	if (side[0] <= side[1])
		return HOLDS;
	say(v, c, TOTAL, side, found);
	return BROKEN;
}

/* The smaller side counts extents, and the larger side bytes. */
static enum verdict extents(const struct ctl_view *v, const struct ctl_relation *c,
			    char found[HAK_WHY_TEXT])
{
	uint64_t side[2] = { sum(v, c->small, BEFORE, TOTAL), sum(v, c->large, AFTER, TOTAL) };

	if (!has_all(v, c->small) || !has_all(v, c->large))
		return UNKNOWN;
	if (times(side[0], EXTENT_BYTES) <= side[1])
		return HOLDS;
	say(v, c, TOTAL, side, found);
	return BROKEN;
}

/* Compares the blocks that left slabs and runs, in use or in caches, with the bytes of slabs and
 * runs. */
static enum verdict blocks_fit(const struct ctl_view *v, const struct ctl_relation *c,
			       char found[HAK_WHY_TEXT])
{
	static const uint16_t out[6] = { HAK_ID_REFILLED, HAK_ID_INHERITED };
	static const uint16_t back[6] = { HAK_ID_FLUSHED };
	uint64_t bytes = 0, held = sum(v, c->large, AFTER, TOTAL);

	if (!has_all(v, out) || !has_all(v, back) || !has_all(v, c->large))
		return UNKNOWN;
	for (uint32_t i = 0; i < v->seg->header.classes; i++) {
		uint64_t n = sum(v, out, BEFORE, (int)i), gone = sum(v, back, AFTER, (int)i);

		if (n > gone)
			bytes = plus(bytes, times(n - gone, v->seg->class_size[i]));
	}
	if (bytes <= held)
		return HOLDS;
	snprintf(found, HAK_WHY_TEXT,
		 "blocks in use and in caches are %" PRIu64
		 " bytes, mem.slab + mem.run is %" PRIu64,
		 bytes, held);
	return BROKEN;
}

static enum verdict fell(const struct ctl_view *v, int i, int cls, char found[HAK_WHY_TEXT])
{
	uint64_t before = figure(v, i, BEFORE, cls), after = figure(v, i, AFTER, cls);

	if (before <= after)
		return HOLDS;
	snprintf(found, HAK_WHY_TEXT, "%.40s fell from %" PRIu64 " to %" PRIu64,
		 v->seg->counter[i].name, before, after);
	return BROKEN;
}

static enum verdict grows(const struct ctl_view *v, const struct ctl_relation *c,
			  char found[HAK_WHY_TEXT])
{
	const struct hak_stats_header *h = &v->seg->header;
	enum verdict verdict = HOLDS;

	(void)c;
	for (int i = 0; verdict == HOLDS && i < (int)h->counters; i++) {
		const struct hak_counter_desc *d = &v->seg->counter[i];
		bool by_class = d->scope == HAK_SCOPE_HOT || d->scope == HAK_SCOPE_CLASS;

		if (d->kind != HAK_KIND_COUNTER)
			continue;
		verdict = fell(v, i, TOTAL, found);
		for (int k = 0; by_class && verdict == HOLDS && k < (int)h->classes; k++)
			verdict = fell(v, i, k, found);
	}
	return verdict;
}

/* -- other relations --------------------------------------------------------------------------- */
static enum verdict heaps(const struct ctl_view *v, const struct ctl_relation *c,
			  char found[HAK_WHY_TEXT])
{
	(void)c;
	if (v->ack[1].heaps_populated <= v->seg->header.heaps_max)
		return HOLDS;
	snprintf(found, HAK_WHY_TEXT, "%u heaps are published, of %u", v->ack[1].heaps_populated,
		 v->seg->header.heaps_max);
	return BROKEN;
}

static enum verdict generation(const struct ctl_view *v, const struct ctl_relation *c,
			       char found[HAK_WHY_TEXT])
{
	uint64_t applied = v->ack[1].applied, written = v->tune.generation_seq;

	(void)c;
	if (!v->has_tune)
		return UNKNOWN;
	if (applied % 2 == 0 && (int64_t)(written - applied) >= 0)
		return HOLDS;
	snprintf(found, HAK_WHY_TEXT, "generation %" PRIu64 " is applied, %" PRIu64 " is written",
		 applied, written);
	return BROKEN;
}

static enum verdict answers(const struct ctl_view *v, const struct ctl_relation *c,
			    char found[HAK_WHY_TEXT])
{
	uint64_t asked = v->tune.purge_request >> 8;

	(void)c;
	if (!v->has_tune)
		return UNKNOWN;
	for (unsigned i = 0; i < HAK_ANSWERS; i++) {
		const struct hak_purge_answer *a = &v->ack[1].answer[i];

		if (memcmp(a, &v->ack[0].answer[i], sizeof(*a)) != 0 || a->seq % 2 || a->id == 0 ||
		    (a->id <= asked && a->id % HAK_ANSWERS == i))
			continue;
		snprintf(found, HAK_WHY_TEXT,
			 "answer %u is to request %" PRIu64 ", the last one is %" PRIu64, i, a->id,
			 asked);
		return BROKEN;
	}
	return HOLDS;
}

/* Whether the value was not written during the reading. */
static bool stable(const struct ctl_view *v, uint32_t i)
{
	return memcmp(&v->ack[0].value[i], &v->ack[1].value[i], sizeof(v->ack[0].value[i])) == 0;
}

static enum verdict ranges(const struct ctl_view *v, const struct ctl_relation *c,
			   char found[HAK_WHY_TEXT])
{
	(void)c;
	for (uint32_t i = 0; i < v->seg->header.tunables; i++) {
		const struct hak_tunable_desc *d = &v->seg->tunable[i];
		uint64_t value = v->ack[1].value[i].value;

		if (value >= d->min && value <= d->max)
			continue;
		snprintf(found, HAK_WHY_TEXT,
			 "%.40s is %" PRIu64 ", its range is %" PRIu64 " to %" PRIu64, d->name,
			 value, d->min, d->max);
		return BROKEN;
	}
	return HOLDS;
}

static unsigned highest(uint32_t set)
{
	return set ? 31u - (unsigned)__builtin_clz(set) : HAK_ORIGINS;
}

static enum verdict origins(const struct ctl_view *v, const struct ctl_relation *c,
			    char found[HAK_WHY_TEXT])
{
	(void)c;
	for (uint32_t i = 0; i < v->seg->header.tunables; i++) {
		const struct hak_ack_value *a = &v->ack[1].value[i];

		if (!stable(v, i) || (a->origin < HAK_ORIGINS && a->origin == highest(a->set)))
			continue;
		snprintf(found, HAK_WHY_TEXT,
			 "%.40s comes from layer %u (%s), the layers that are set are %#x",
			 v->seg->tunable[i].name, a->origin, hak_origin_word(a->origin), a->set);
		return BROKEN;
	}
	return HOLDS;
}

/* The value of the layer in force. False if it is being changed. */
static bool layer_value(const struct ctl_view *v, uint32_t i, uint64_t *ret)
{
	const struct hak_ack_value *a = &v->ack[1].value[i];
	uint64_t applied = v->ack[1].applied;

	if (!stable(v, i) || a->origin >= HAK_ORIGINS)
		return false;
	*ret = a->origin == HAK_ORIGIN_DEFAULT ? v->seg->tunable[i].dflt : a->layer[a->origin];
	if (a->origin < HAK_ORIGIN_POLICY)
		return true;
	*ret = a->origin == HAK_ORIGIN_POLICY ? v->tune.slot[i].policy.value
					      : v->tune.slot[i].admin.value;
	return v->has_tune && v->ack[0].applied == applied && v->tune.generation_seq == applied;
}

static enum verdict values(const struct ctl_view *v, const struct ctl_relation *c,
			   char found[HAK_WHY_TEXT])
{
	(void)c;
	for (uint32_t i = 0; i < v->seg->header.tunables; i++) {
		const struct hak_ack_value *a = &v->ack[1].value[i];
		const struct hak_tunable_desc *d = &v->seg->tunable[i];
		uint64_t layer, clamped;

		if (!layer_value(v, i, &layer))
			continue;
		clamped = layer < d->min ? d->min : layer > d->max ? d->max : layer;
		if (a->asked == layer && a->value == clamped)
			continue;
		snprintf(found, HAK_WHY_TEXT,
			 "%.40s is %" PRIu64 " for %" PRIu64 ", layer %s holds %" PRIu64, d->name,
			 a->value, a->asked, hak_origin_word(a->origin), layer);
		return BROKEN;
	}
	return HOLDS;
}

static enum verdict lazy_bytes(const struct ctl_view *v, const struct ctl_relation *c,
			       char found[HAK_WHY_TEXT])
{
	uint64_t bytes = 0, all = sum(v, c->large, AFTER, TOTAL);

	if (!v->has_lazy || !has_all(v, c->large))
		return UNKNOWN;
	for (uint32_t i = 0; i < v->lazy.count && i < HAK_LAZY_RANGES; i++)
		bytes = plus(bytes, v->lazy.range[i].bytes);
	if (v->lazy.count <= v->seg->header.lazy_ranges && bytes <= all)
		return HOLDS;
	snprintf(found, HAK_WHY_TEXT,
		 "%u ranges of %" PRIu64 " bytes, in a table of %u; mem.lazy is %" PRIu64,
		 v->lazy.count, bytes, v->seg->header.lazy_ranges, all);
	return BROKEN;
}

struct covered {
	const struct hak_lazy_table *lazy;
	uint32_t n;
	uint64_t bytes[HAK_LAZY_RANGES]; /* of each range that is mapped */
};

static int cover(const struct hak_mapping *map, void *arg)
{
	struct covered *c = arg;

	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t start = c->lazy->range[i].addr;
		uint64_t end = plus(start, c->lazy->range[i].bytes);

		start = start > map->start ? start : map->start;
		end = end < map->end ? end : map->end;
		c->bytes[i] += end > start ? end - start : 0;
	}
	return 0;
}

static enum verdict lazy_mapped(const struct ctl_view *v, const struct ctl_relation *c,
				char found[HAK_WHY_TEXT])
{
	struct covered covered = { .lazy = &v->lazy };

	(void)c;
	covered.n = v->lazy.count < HAK_LAZY_RANGES ? v->lazy.count : HAK_LAZY_RANGES;
	if (!v->has_lazy || v->seg->procfd < 0)
		return UNKNOWN;
	if (covered.n && hak_each_mapping(v->seg->procfd, cover, &covered) < 0)
		return UNKNOWN;
	for (uint32_t i = 0; i < covered.n; i++) {
		if (covered.bytes[i] == v->lazy.range[i].bytes)
			continue;
		snprintf(found, HAK_WHY_TEXT,
			 "of %" PRIu64 " bytes at %#" PRIx64 " %" PRIu64 " are mapped",
			 v->lazy.range[i].bytes, v->lazy.range[i].addr, covered.bytes[i]);
		return BROKEN;
	}
	return HOLDS;
}

/* Threads without a heap of their own share one, which no gauge counts. */
static bool hides_heaps(const struct ctl_view *v)
{
	uint64_t shared = one(v, HAK_ID_HEAPS_UNPUBLISHED, AFTER, TOTAL) ||
			  one(v, HAK_ID_FREE_SHARED, AFTER, TOTAL);
	uint64_t used = plus(one(v, HAK_ID_HEAPS_LIVE, AFTER, TOTAL),
			     plus(one(v, HAK_ID_HEAPS_DEAD, AFTER, TOTAL), shared));

	return used > v->snap[AFTER].heaps;
}

unsigned ctl_view_kind(const struct ctl_view *v, const char *why[8])
{
	unsigned kind = 0;

	if (one(v, HAK_ID_INHERITED, AFTER, TOTAL) || one(v, HAK_ID_WHALE_INHERITED, AFTER, TOTAL))
		kind |= NOT_FORKED;
	if (hak_segment_stopped(v->seg))
		kind |= NOT_STOPPED;
	if (hides_heaps(v))
		kind |= NOT_HIDDEN;
	why[NOT_FORKED] = "not tried: what a fork copies is not exact";
	why[NOT_STOPPED] = "not tried: the process is stopped";
	why[NOT_HIDDEN] = "not tried: some heaps are not published";
	return kind;
}

/* -- the table --------------------------------------------------------------------------------- */
#define ID(sym) HAK_ID_##sym
const struct ctl_relation ctl_relations[] = {
	{ "counters", "a counter never falls", grows },
	{ "blocks in use", "no more blocks are freed than were handed out or inherited", classes,
	  NOT_FORKED | NOT_HIDDEN, .small = { ID(FREES) }, .large = { ID(ALLOCS), ID(INHERITED) } },
	{ "blocks in caches", "no more blocks leave a cache than come into it", classes,
	  NOT_FORKED | NOT_STOPPED, .small = { ID(ALLOCS), ID(FLUSHED) },
	  .large = { ID(REFILLED), ID(FREES) } },
	{ "blocks of others", "blocks flushed to other heaps are among the blocks flushed", classes,
	  .small = { ID(FLUSHED_REMOTE) }, .large = { ID(FLUSHED) } },
	{ "remote buffer", "blocks flushed to other heaps pass the remote buffer", totals,
	  .small = { ID(FLUSHED_REMOTE) }, .large = { ID(FREE_REMOTE) } },
	{ "remote queue", "a slab is queued by a push only", totals, .small = { ID(REMOTE_QUEUE) },
	  .large = { ID(REMOTE_PUSH) } },
	{ "remote drain", "a slab is taken off a queue that it was put on", totals,
	  NOT_FORKED | NOT_HIDDEN, .per_heap = true, .small = { ID(REMOTE_DRAIN) },
	  .large = { ID(REMOTE_QUEUE) } },
	{ "pool", "a slab is taken from the pool that was put there", totals,
	  NOT_FORKED | NOT_HIDDEN, .per_heap = true, .small = { ID(REFILL_POOL) },
	  .large = { ID(POOL_PUT) } },
	{ "requested sizes", "no request is larger than the block of its class", requests,
	  .small = { ID(REQ_BYTES) }, .large = { ID(REQ_SAMPLES) } },
	{ "refills", "a refill of a bin has one source, or fails", totals,
	  .small = { ID(REFILL_SPARE), ID(REFILL_OWN), ID(REFILL_CARVE), ID(REFILL_FAILED) },
	  .large = { ID(REQ_SAMPLES) } },
	{ "sources of refills", "a refill has a source, but for one in each heap", totals,
	  .per_heap = true, .small = { ID(REQ_SAMPLES) },
	  .large = { ID(REFILL_SPARE), ID(REFILL_OWN), ID(REFILL_CARVE), ID(REFILL_REMOTE),
		     ID(REFILL_RUN), ID(REFILL_FAILED) } },
	{ "new slabs", "a new superslab is mapped for a new slab", totals,
	  .small = { ID(REFILL_NEW_SUPERSLAB) }, .large = { ID(REFILL_NEW_SLAB) } },
	{ "slow frees", "frees of whales and of the loader's blocks leave the fast path", totals,
	  .small = { ID(WHALE_FREES), ID(FREE_LOADER) },
	  .large = { ID(SLOW_FREE), ID(FREE_SHARED) } },
	{ "full bins", "a free that finds no room leaves the fast path", totals,
	  .small = { ID(FREE_TRIP) }, .large = { ID(SLOW_FREE), ID(FREE_SHARED) } },
	{ "flushes", "a list is flushed by a free that finds no room", totals,
	  .small = { ID(FREE_FLUSH) }, .large = { ID(FREE_TRIP) } },
	{ "copies", "a realloc that copies allocates, and so does a calloc", totals,
	  .small = { ID(REALLOC_COPY), ID(CALLOC_SKIP), ID(CALLOC_CLEAR) },
	  .large = { ID(ALLOCS), ID(WHALE_ALLOCS) } },
	{ "bytes copied", "a realloc that copies copies a byte, but for one in each heap", totals,
	  .per_heap = true, .small = { ID(REALLOC_COPY) }, .large = { ID(REALLOC_COPY_BYTES) } },
	{ "moves", "a realloc that moves pages calls mremap", totals,
	  .small = { ID(REALLOC_REMAP) }, .large = { ID(MREMAP_CALLS) } },
	{ "runs", "runs that came into caches were taken from extents", runs, NOT_FORKED,
	  .small = { ID(REFILLED) }, .large = { ID(REFILL_RUN) } },
	{ "bytes in blocks", "blocks in use and in caches lie in slabs and runs", blocks_fit,
	  NOT_FORKED | NOT_STOPPED | NOT_HIDDEN, .large = { ID(MEM_SLAB), ID(MEM_RUN) } },

	{ "whales in use", "no more whales are freed than were handed out or inherited", totals,
	  NOT_FORKED | NOT_HIDDEN, .small = { ID(WHALE_FREES) },
	  .large = { ID(WHALE_ALLOCS), ID(WHALE_INHERITED) } },
	{ "whale bytes in use", "no more bytes are freed than were handed out or inherited", totals,
	  NOT_FORKED | NOT_HIDDEN, .small = { ID(WHALE_FREE_BYTES) },
	  .large = { ID(WHALE_ALLOC_BYTES), ID(WHALE_INHERITED_BYTES) } },
	{ "whale bytes requested", "no more bytes are freed than were requested or inherited",
	  totals, NOT_FORKED | NOT_HIDDEN, .small = { ID(WHALE_REQ_FREE) },
	  .large = { ID(WHALE_REQ_ALLOC), ID(WHALE_INHERITED_REQ) } },
	{ "whales served", "a whale handed out is a hit or a miss", totals,
	  .small = { ID(WHALE_ALLOCS) }, .large = { ID(WHALE_HITS), ID(WHALE_MISSES) } },
	{ "whales found", "a hit or a miss is a whale handed out, but for one in each heap", totals,
	  .per_heap = true, .small = { ID(WHALE_HITS), ID(WHALE_MISSES) },
	  .large = { ID(WHALE_ALLOCS) } },
	{ "whales put", "a whale that is kept or unmapped was freed", totals,
	  .small = { ID(WHALE_PUTS), ID(WHALE_UNKEPT) }, .large = { ID(WHALE_FREES) } },
	{ "whales freed", "a whale freed is kept or unmapped, but for one in each heap", totals,
	  .per_heap = true, .small = { ID(WHALE_FREES) },
	  .large = { ID(WHALE_PUTS), ID(WHALE_UNKEPT) } },
	{ "timed gets", "no more gets are timed than whales were found, but for one in each heap",
	  totals, .per_heap = true, .small = { ID(WHALE_GET_SAMPLES) },
	  .large = { ID(WHALE_HITS) } },
	{ "timed puts", "no more puts are timed than whales were kept", totals,
	  .small = { ID(WHALE_PUT_SAMPLES) }, .large = { ID(WHALE_PUTS) } },
	{ "regions in use", "each whale in use is a region", totals,
	  NOT_FORKED | NOT_STOPPED | NOT_HIDDEN, .small = { ID(WHALE_ALLOCS), ID(WHALE_INHERITED) },
	  .large = { ID(WHALE_FREES), ID(RING_REGIONS) } },
	{ "region bytes in use", "the bytes of each whale in use are a region's", totals,
	  NOT_FORKED | NOT_STOPPED | NOT_HIDDEN,
	  .small = { ID(WHALE_ALLOC_BYTES), ID(WHALE_INHERITED_BYTES) },
	  .large = { ID(WHALE_FREE_BYTES), ID(RING_BYTES) } },

	{ "regions gone", "a region that is joined or unmapped was mapped or split off", totals,
	  NOT_FORKED | NOT_STOPPED | NOT_HIDDEN,
	  .small = { ID(RING_MERGES), ID(RING_UNMAPS), ID(WHALE_UNKEPT) },
	  .large = { ID(WHALE_MISSES), ID(RING_SPLITS), ID(UNMAP_KEPT) } },

	{ "region bytes", "regions are mapped", totals, NOT_FORKED | NOT_STOPPED,
	  .small = { ID(RING_BYTES) }, .large = { ID(MEM_MAPPED) } },
	{ "dirty regions", "dirty bytes of regions are bytes of regions", totals,
	  NOT_FORKED | NOT_STOPPED, .small = { ID(RING_DIRTY) }, .large = { ID(RING_BYTES) } },
	{ "dirty bytes", "dirty bytes of regions are among all dirty bytes", totals,
	  NOT_FORKED | NOT_STOPPED, .small = { ID(RING_DIRTY) }, .large = { ID(MEM_DIRTY) } },
	{ "memory by state", "memory has one state, and is mapped", totals,
	  NOT_FORKED | NOT_STOPPED,
	  .small = { ID(MEM_DIRTY), ID(MEM_LAZY), ID(MEM_CLEAN), ID(MEM_SLAB), ID(MEM_RUN) },
	  .large = { ID(MEM_MAPPED) } },
	{ "extents", "extents are mapped, 2 MiB each", extents, NOT_FORKED | NOT_STOPPED,
	  .small = { ID(SUPERSLABS), ID(SUPERSLABS_FREE), ID(EXTENTS) },
	  .large = { ID(MEM_MAPPED) } },
	{ "superslabs", "superslabs for huge pages are among the superslabs", totals,
	  NOT_FORKED | NOT_STOPPED, .small = { ID(SUPERSLABS_THP) }, .large = { ID(SUPERSLABS) } },
	{ "single slabs", "slabs mapped one by one are among the slabs", totals,
	  NOT_FORKED | NOT_STOPPED, .small = { ID(SLABS_SINGLE) }, .large = { ID(SLABS) } },
	{ "pooled slabs", "slabs in the pool are among the slabs", totals, NOT_FORKED | NOT_STOPPED,
	  .small = { ID(SLABS_POOLED) }, .large = { ID(SLABS) } },
	{ "lazy ranges", "the ranges fit their table and are among mem.lazy", lazy_bytes,
	  NOT_FORKED | NOT_STOPPED, .large = { ID(MEM_LAZY) } },
	{ "lazy mappings", "lazily freed ranges are mapped", lazy_mapped, NOT_STOPPED },

	{ "profile", "no more samples are freed than were taken", totals, NOT_FORKED | NOT_HIDDEN,
	  .small = { ID(PROFILE_FREES) }, .large = { ID(PROFILE_SAMPLES) } },
	{ "weights", "a sample stands for a byte at least, but for one in each heap", totals,
	  .per_heap = true, .small = { ID(PROFILE_SAMPLES) }, .large = { ID(PROFILE_BYTES) } },
	{ "heaps", "no more heaps are published than there is room for", heaps },
	{ "generation", "no generation is applied before it is written", generation },
	{ "limit", "memory that goes back because of a limit is a purge", totals,
	  .small = { ID(LIMIT_OBEYED) }, .large = { ID(PURGES) } },
	{ "purge answers", "no request is answered before it is made", answers },
	{ "ranges", "each value is in its range", ranges },
	{ "origins", "each value comes from the highest layer that is set", origins, NOT_STOPPED },
	{ "values", "each value is what its layer holds, clamped to its range", values,
	  NOT_STOPPED },
};
_Static_assert(sizeof(ctl_relations) / sizeof(ctl_relations[0]) == CTL_RELATIONS, "its rows");
