/* SPDX-License-Identifier: MIT */
/*
 * The rules of hakmemctl advise. For each rule: figures for which it and no other gives advice, the
 * value that it advises, and changes of one figure each that silence it. Also: impossible figures,
 * for which only silence or a value in range is allowed; and ids.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "control/abi/schema.h"
#include "hakmemctl/advise/advise.h"
#include "tests/check.h"

#define M	 ((uint64_t)1 << 20)
#define AT(name) offsetof(struct advice_figures, name)
#define SETTING(sym)                                \
	(offsetof(struct advice_figures, setting) + \
	 HAK_TID_##sym * sizeof(struct advice_setting) + offsetof(struct advice_setting, value))

struct one {
	size_t at; /* 0 ends a list, because span_ns is first and belongs to none */
	uint64_t value;
};

/* Differences from calm(). */
static const struct {
	const char *rule, *tunable; /* "": a purge */
	uint64_t value;
	struct one speaks[12], silent[12];
} situations[] = {
	{ "ring-slots",
	  "whale.ring_slots",
	  256,
	  { { AT(whale_allocs), 1000 },
	    { AT(whale_bytes), 2000 * M },
	    { AT(whale_misses), 500 },
	    { AT(whales_dropped), 480 },
	    { AT(faults), 100000 },
	    { AT(ring_bytes_most), 256 * M } },
	  { { AT(whale_misses), 99 },
	    { AT(whales_dropped), 249 },
	    { AT(cpu_ns), 1000000000000 },
	    { AT(whale_allocs), 5001 },
	    { SETTING(WHALE_RING_SLOTS), 1024 } } },
	{ "ring-bytes",
	  "whale.ring_bytes",
	  32768 * M,
	  { { AT(whale_allocs), 1000 },
	    { AT(whale_bytes), 2000 * M },
	    { AT(whale_misses), 500 },
	    { AT(whales_dropped), 480 },
	    { AT(faults), 100000 },
	    { AT(ring_bytes_most), 16383 * M },
	    { SETTING(WHALE_RING_BYTES), 16384 * M } },
	  { { AT(whale_misses), 99 },
	    { AT(whales_dropped), 249 },
	    { SETTING(WHALE_RING_BYTES), 17592186044416 } } },
	{ "evicted-too-soon",
	  "region.evict_bytes",
	  512 * M,
	  { { AT(traced), 1 },
	    { AT(returned), 1000 * M },
	    { AT(refilled_bytes), 600 * M },
	    { AT(kernel_ns), 200000000 },
	    { AT(distance_ns), 50000000 },
	    { AT(evictions), 500 },
	    { AT(evicted_bytes), 1000 * M } },
	  { { AT(refilled_bytes), 499 * M },
	    { AT(kernel_ns), 9000000 },
	    { AT(returned), 3 * M },
	    { AT(evicted_bytes), 499 * M },
	    { SETTING(REGION_EVICT_BYTES), 17592186044416 } } },
	{ "purged-too-soon",
	  "purge.delay_ms",
	  4050,
	  { { AT(traced), 1 },
	    { AT(returned), 1000 * M },
	    { AT(refilled_bytes), 600 * M },
	    { AT(kernel_ns), 200000000 },
	    { AT(distance_ns), 1524000000 },
	    { AT(evicted_bytes), 1000 * M },
	    { AT(purged_bytes), 1000 * M } },
	  { { AT(refilled_bytes), 499 * M },
	    { AT(kernel_ns), 9000000 },
	    { AT(evicted_bytes), 1500 * M },
	    { SETTING(PURGE_DELAY_MS), 600000 },
	    { SETTING(PURGE_DELAY_MS), 86400000 } } },
	{ "purged-too-soon",
	  "purge.delay_ms",
	  1000,
	  { { AT(traced), 1 },
	    { AT(returned), 1000 * M },
	    { AT(refilled_bytes), 600 * M },
	    { AT(kernel_ns), 200000000 },
	    { AT(evicted_bytes), 1000 * M },
	    { SETTING(PURGE_DELAY_MS), 0 } },
	  { { SETTING(PURGE_DELAY_MS), 1 } } },
	{ "kept-too-long",
	  "purge.delay_ms",
	  5000,
	  { { AT(dirty_least), 300 * M }, { SETTING(PURGE_DELAY_MS), 60000 } },
	  { { SETTING(PURGE_DELAY_MS), 5000 },
	    { AT(slow), 0 },
	    { AT(dirty_least), 149 * M },
	    { AT(rss), 1001 * M } } },
	{ "idle",
	  "",
	  0,
	  { { AT(dirty_least), 300 * M }, { AT(slow), 0 }, { AT(agent), 1 } },
	  { { AT(dirty_least), 149 * M }, { AT(slow), 1 }, { AT(agent), 0 } } },
	{ "small-caches",
	  "cache.thread_bytes",
	  8 * M,
	  { { AT(refilled), 700000 }, { AT(flushed), 600000 }, { AT(cached_most), 8 * M } },
	  { { AT(refilled), 15000 },
	    { AT(flushed), 15000 },
	    { AT(cached_most), 3 * M },
	    { AT(allocs), 12000001 },
	    { AT(flushed), 499999 },
	    { SETTING(CACHE_THREAD_BYTES), 268435456 } } },
	{ "small-batches",
	  "region.evict_batch",
	  64,
	  { { AT(traced), 1 },
	    { AT(returned), 10000 * M },
	    { AT(evictions), 100000 },
	    { AT(evicted_bytes), 10000 * M },
	    { AT(madvise_calls), 90000 } },
	  { { AT(madvise_calls), 49000 },
	    { AT(evictions), 44000 },
	    { SETTING(REGION_EVICT_BATCH), 256 } } },
	{ "few-extents",
	  "superslab.retain",
	  4,
	  { { AT(extent_maps), 20000 },
	    { AT(extent_unmaps), 19000 },
	    { SETTING(SUPERSLAB_RETAIN), 1 } },
	  { { AT(extent_maps), 15 },
	    { AT(extent_unmaps), 15 },
	    { SETTING(SUPERSLAB_ENABLE), 0 },
	    { SETTING(SUPERSLAB_RETAIN), 1024 } } },
	{ "large-caches",
	  "cache.thread_bytes",
	  2 * M,
	  { { AT(cached_least), 200 * M }, { AT(heaps), 50 } },
	  { { AT(cached_least), 149 * M },
	    { AT(heaps), 0 },
	    { AT(heaps), 24 },
	    { AT(allocs), 100000 },
	    { AT(limit), 199 * M },
	    { SETTING(CACHE_THREAD_BYTES), 2 * M } } },
	{ "policy-limit",
	  "cache.thread_bytes",
	  65536,
	  { { AT(cached_least), 40 * M }, { AT(limit), 8 * M }, { AT(heaps), 50 } },
	  { { AT(limit), 0 },
	    { AT(limit), 40 * M },
	    { AT(cached_least), 8 * M },
	    { SETTING(CACHE_THREAD_BYTES), 131071 } } },
	{ "policy-limit",
	  "cache.thread_bytes",
	  M,
	  { { AT(cached_least), 16 * M }, { AT(limit), 8 * M } },
	  { { AT(heaps), 0 } } },
	{ "dead-heaps",
	  "",
	  0,
	  { { AT(heaps_dead), 200 }, { AT(slab_free_least), 200 * M }, { AT(agent), 0 } },
	  { { AT(heaps_dead), 15 },
	    { AT(heaps), 201 },
	    { AT(slow), 0 },
	    { AT(slab_free_least), 149 * M } } },
	{ "huge-pages",
	  "thp.mode",
	  1,
	  { { AT(huge_extents), 100 }, { AT(slab_free_least), 200 * M }, { SETTING(THP_MODE), 2 } },
	  { { AT(huge_extents), 0 },
	    { AT(slab_free_least), 149 * M },
	    { AT(heaps_dead), 200 },
	    { SETTING(THP_MODE), 0 } } },
	{ "huge-pages",
	  "thp.mode",
	  0,
	  { { AT(huge_extents), 100 }, { AT(slab_free_least), 200 * M }, { SETTING(THP_MODE), 1 } },
	  { { SETTING(THP_MODE), 0 } } },
	{ "group-limit",
	  "purge.limit_share",
	  50,
	  { { AT(group_obeyed), 1000 }, { AT(group_limit), 600 * M }, { AT(faults), 100000 } },
	  { { AT(group_obeyed), 15 }, { AT(faults), 1000 }, { SETTING(PURGE_LIMIT_SHARE), 75 } } },
	{ "group-limit",
	  "purge.limit_share",
	  75,
	  { { AT(group_obeyed), 1000 },
	    { AT(group_limit), 600 * M },
	    { AT(faults), 100000 },
	    { SETTING(PURGE_LIMIT_SHARE), 40 } },
	  { { AT(group_obeyed), 0 } } },
};

/* A process that works and needs nothing: defaults, five seconds, a fifth of a processor. */
static struct advice_figures calm(void)
{
	struct advice_figures f = {
		.span_ns = 5000000000,
		.samples = 20,
		.cpu_ns = 1000000000,
		.faults = 1000,
		.rss = 500 * M,
		.heaps = 4,
		.allocs = 8000000,
		.slow = 1000,
		.refilled = 10000,
		.flushed = 9000,
		.cached_most = M,
		.dirty_least = 10 * M,
		.cached_least = M / 2,
		.free_least = 11 * M,
		.slab_free_least = 20 * M,
		.in_use = 400 * M,
		.owned = 440 * M,
		.agent = 1,
		.prices = { .minor_fault_ns = 500, .map_ns = 1500 },
	};

	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		f.setting[hak_tunable_rows[i].id].known = true;
		f.setting[hak_tunable_rows[i].id].value = hak_tunable_rows[i].dflt;
	}
	return f;
}

static void set(struct advice_figures *f, const struct one *one)
{
	memcpy((char *)f + one->at, &one->value, sizeof(one->value));
}

/* Returns the rules that give advice, a bit each; *ret is the advice of the last. */
static unsigned who_speaks(const struct advice_figures *f, struct advice *ret)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < advice_rules_n; i++) {
		struct advice a = { 0 };

		if ((advice_rules[i].needs_trace && !f->traced) || !advice_rules[i].look(f, &a))
			continue;
		mask |= 1u << i;
		*ret = a;
	}
	return mask;
}

static unsigned bit_of(const char *rule)
{
	for (unsigned i = 0; i < advice_rules_n; i++)
		if (strcmp(advice_rules[i].name, rule) == 0)
			return 1u << i;
	return 0;
}

static void check_cases(void)
{
	unsigned all = 0;
	struct advice a = { 0 };

	for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++) {
		unsigned bit = bit_of(situations[i].rule), mask;
		const struct hak_tunable_row *row;
		struct advice_figures f = calm();

		for (const struct one *o = situations[i].speaks; o->at; o++)
			set(&f, o);
		mask = who_speaks(&f, &a);
		EXPECT(bit && mask == bit, "%s: %#x speak", situations[i].rule, mask);
		EXPECT(a.value == situations[i].value, "%s: value %llu", situations[i].rule,
		       (unsigned long long)a.value);
		row = bit ? advice_tunable(&advice_rules[__builtin_ctz(bit)]) : NULL;
		EXPECT(strcmp(row ? row->name : "", situations[i].tunable) == 0, "%s: of %s",
		       situations[i].rule, row ? row->name : "no tunable");
		EXPECT(a.why[0] && a.cpu_how && a.rss_how, "%s: says not why", situations[i].rule);
		EXPECT(a.cpu <= 0, "%s: costs %f", situations[i].rule, a.cpu);
		for (const struct one *o = situations[i].silent; o->at; o++) {
			struct advice_figures g = f;

			set(&g, o);
			EXPECT(!(who_speaks(&g, &a) & bit), "%s speaks though figure %zu is %llu",
			       situations[i].rule, o->at / 8, (unsigned long long)o->value);
		}
		all |= bit;
	}
	EXPECT(all == (1u << advice_rules_n) - 1, "a rule without a case: %#x", all);
}

/* A process may publish any counts, and any numbers as its tunables. */
static void check_nonsense(void)
{
	static const uint64_t odd[] = { 0, 1, 1000, 1ull << 32, 1ull << 63, UINT64_MAX };
	uint64_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct advice_figures f;
		uint64_t words[sizeof(f) / sizeof(uint64_t)];

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			words[i] = odd[(seed >> 33) % 6];
		}
		memcpy(&f, words, sizeof(f));
		f.span_ns = round % 2 ? 5000000000 : 1000000; /* by hakmemctl's own clock */
		for (unsigned i = 0; i < ADVICE_SETTINGS; i++)
			f.setting[i] =
				(struct advice_setting){ true, false, f.setting[i].value, 0 };
		for (unsigned i = 0; i < advice_rules_n; i++) {
			const struct hak_tunable_row *row = advice_tunable(&advice_rules[i]);
			struct advice a = { 0 };

			advice_rules[i].figure(&f);
			if (!advice_rules[i].look(&f, &a) || !row)
				continue;
			EXPECT(a.value >= row->min && a.value <= row->max, "%s: %llu of %s",
			       advice_rules[i].name, (unsigned long long)a.value, row->name);
		}
	}
}

static void check_ids(void)
{
	char id[ADVICE_ID_BYTES], other[ADVICE_ID_BYTES];

	for (size_t i = 0; i < advice_rules_n; i++) {
		advice_id(&advice_rules[i], "web.service", id);
		EXPECT(strlen(id) == 8, "id \"%s\"", id);
		advice_id(&advice_rules[i], "mail.service", other);
		EXPECT(strcmp(id, other) != 0, "%s: the same for all", advice_rules[i].name);
		for (size_t j = 0; j < i; j++) {
			advice_id(&advice_rules[j], "web.service", other);
			EXPECT(strcmp(id, other) != 0, "%s and %s are one", advice_rules[i].name,
			       advice_rules[j].name);
		}
	}
	/* Users write ids down, so they must stay the same. */
	advice_id(&advice_rules[0], "web.service", id);
	EXPECT(strcmp(id, "8f59677b") == 0, "the id is %s", id);
}

/* For each note: figures that make it, what it says, and changes of one figure that silence it. */
static const struct {
	const char *note, *says;
	struct one speaks[8], silent[4];
} noted[] = {
	{ "no-agent",
	  "could not be started: Resource temporarily unavailable. A higher TasksMax=",
	  { { AT(agent), 0 }, { AT(agent_error), 11 } },
	  { { AT(agent), 1 }, { AT(heaps), 1 } } },
	{ "no-agent",
	  "could not be started: unknown error",
	  { { AT(agent), 0 }, { AT(agent_error), UINT64_MAX } },
	  { { AT(agent), 1 } } },
	{ "no-agent",
	  "control.agent is off",
	  { { AT(agent), 0 }, { SETTING(CONTROL_AGENT), 2 } },
	  { { AT(agent), 1 } } },
	{ "no-agent", "4 threads and no agent", { { AT(agent), 0 } }, { { AT(heaps), 1 } } },
	{ "not-malloc",
	  "200M of 500M resident are not malloc's",
	  { { AT(owned), 300 * M } },
	  { { AT(owned), 351 * M }, { AT(rss), 299 * M } } },
	{ "limit-unmet",
	  "CachedMax=8.0M is not met: always 11.0M free, 512K of it in caches of "
	  "threads; the process frees more",
	  { { AT(limit), 8 * M } },
	  { { AT(limit), 0 }, { AT(limit), 11 * M } } },
	{ "limit-unmet",
	  "9.0M of it in caches of threads; a thread may keep its cache",
	  { { AT(limit), 8 * M }, { AT(cached_least), 9 * M } },
	  { { AT(free_least), 8 * M } } },
};

static unsigned notes_of(const struct advice_figures *f, char why[HAK_WHY_TEXT])
{
	char text[HAK_WHY_TEXT];
	unsigned mask = 0;

	for (unsigned i = 0; i < advice_notes_n; i++) {
		if (!advice_notes[i].look(f, text))
			continue;
		mask |= 1u << i;
		memcpy(why, text, sizeof(text));
	}
	return mask;
}

static unsigned note_bit(const char *name)
{
	for (unsigned i = 0; i < advice_notes_n; i++)
		if (strcmp(advice_notes[i].name, name) == 0)
			return 1u << i;
	return 0;
}

static void check_notes(void)
{
	struct advice_figures f = calm();
	char why[HAK_WHY_TEXT] = "";
	unsigned all = 0;

	EXPECT(notes_of(&f, why) == 0, "a note on a calm process: %s", why);
	for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++) {
		unsigned bit = note_bit(noted[i].note), mask;

		f = calm();
		for (const struct one *o = noted[i].speaks; o->at; o++)
			set(&f, o);
		mask = notes_of(&f, why);
		EXPECT(bit && mask == bit, "%s: %#x", noted[i].note, mask);
		EXPECT(strstr(why, noted[i].says), "%s says: %s", noted[i].note, why);
		for (const struct one *o = noted[i].silent; o->at; o++) {
			struct advice_figures g = f;

			set(&g, o);
			EXPECT(!(notes_of(&g, why) & bit), "%s speaks though figure %zu is %llu",
			       noted[i].note, o->at / 8, (unsigned long long)o->value);
		}
		all |= bit;
	}
	EXPECT(all == (1u << advice_notes_n) - 1, "a note without a case: %#x", all);
}

/* Where there is no advice, the figures that were looked at are named. */
static void check_looked_at(void)
{
	struct advice_figures f = calm();
	char why[HAK_WHY_TEXT];

	f.slow = 80000;
	f.whale_allocs = 200;
	f.whale_misses = 3;
	advice_looked_at(&f, why);
	EXPECT(strcmp(why, "11.0M of 500M resident were always free; 8000000 allocations, and "
			   "80000 calls of malloc and free that a thread's cache could not serve; "
			   "of 200 blocks of 1 MiB and more 1.5 % needed a new mapping; 1000 page "
			   "faults") == 0,
	       "it says: %s", why);
	advice_next(&f, 7, why);
	EXPECT(strstr(why, "hakmemctl profile 7 "), "next: %s", why);
	f.allocs = f.slow = 0;
	advice_looked_at(&f, why);
	EXPECT(strcmp(why, "the process allocated nothing in this time, so there was nothing to "
			   "measure; 11.0M of 500M resident were always free") == 0,
	       "it says: %s", why);
	advice_next(&f, 7, why);
	EXPECT(strstr(why, "hakmemctl stats 7 --watch "), "next: %s", why);
}

static void a_calm_process(void)
{
	struct advice_figures f = calm();
	struct advice a;

	EXPECT(who_speaks(&f, &a) == 0, "rules speak of a calm process");
	f.traced = 1;
	EXPECT(who_speaks(&f, &a) == 0, "rules speak of a calm process that was traced");
}

static const struct tcase cases[] = {
	{ "a_calm_process", a_calm_process },
	{ "cases", check_cases },
	{ "nonsense", check_nonsense },
	{ "ids", check_ids },
	{ "notes", check_notes },
	{ "looked_at", check_looked_at },
};

CASES(cases)
