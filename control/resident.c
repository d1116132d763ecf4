/* SPDX-License-Identifier: MIT */
/*
 * Resident memory, see resident.h. smaps and smaps_rollup have the same lines; smaps has them once
 * for each mapping, behind the line that maps has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/reader.h"
#include "control/resident.h"

/* One read of smaps_rollup, which cannot be stopped, takes longer the more pages a process has. */
#define EXACT_MAX_BYTES (4ull << 30)
/* Less than this is not worth that read. */
#define LAZY_BYTES (1ull << 20)

struct split {
	struct hak_resident sum;
	uint64_t rss, anonymous; /* of the mapping at work */
	enum { FILES, SHARED, STACK, UNNAMED } kind;
};

/* -- what the kernel counts -------------------------------------------------------------------- */
static void count(const struct hak_segment *seg, struct hak_resident *ret)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned long long resident, shared;
	char buf[256];

	if (hak_reader_text(seg->procfd, "statm", buf, sizeof(buf)) <= 0 ||
	    sscanf(buf, "%*u %llu %llu", &resident, &shared) != 2)
		return;
	ret->source = HAK_RESIDENT_COUNTED;
	ret->rss = resident * page;
	ret->anonymous = resident > shared ? (resident - shared) * page : 0;
	ret->unnamed = ret->anonymous;
}

/* -- smaps ------------------------------------------------------------------------------------- */
/* Adds a line "Name:    123 kB" to the figure that has this name. */
static void add_line(struct split *s, const char *line)
{
	const struct {
		const char *name;
		uint64_t *to;
	} figures[] = {
		{ "Rss:", &s->rss },
		{ "Pss:", &s->sum.pss },
		{ "Private_Clean:", &s->sum.private },
		{ "Private_Dirty:", &s->sum.private },
		{ "Anonymous:", &s->anonymous },
		{ "LazyFree:", &s->sum.lazy_free },
		{ "AnonHugePages:", &s->sum.huge },
		{ "Swap:", &s->sum.swap },
	};

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		size_t n = strlen(figures[i].name);

		if (strncmp(line, figures[i].name, n) != 0)
			continue;
		*figures[i].to += strtoull(line + n, NULL, 10) << 10;
		return;
	}
}

static void end_mapping(struct split *s)
{
	uint64_t backed = s->rss > s->anonymous ? s->rss - s->anonymous : 0;

	s->sum.rss += s->rss;
	s->sum.anonymous += s->anonymous;
	if (s->kind == SHARED)
		s->sum.shared += backed;
	else
		s->sum.files += backed;
	if (s->kind == STACK)
		s->sum.stack += s->anonymous;
	if (s->kind == UNNAMED)
		s->sum.unnamed += s->anonymous;
	s->rss = s->anonymous = 0;
}

static void begin_mapping(struct split *s, const struct hak_mapping *map)
{
	s->kind = FILES;
	if (strcmp(map->path, "[stack]") == 0)
		s->kind = STACK;
	else if (!map->ino && !*map->path)
		s->kind = UNNAMED;
	else if (map->ino && (hak_is_memfd_device(map->major, map->minor) ||
			      strncmp(map->path, "/dev/shm/", 9) == 0))
		s->kind = SHARED;
}

/* The names of figures begin with a capital letter, and addresses have none. */
static int see_line(char *line, void *arg)
{
	struct hak_mapping map;
	struct split *s = arg;

	if (*line >= 'A' && *line <= 'Z') {
		add_line(s, line);
	} else if (hak_parse_mapping(line, &map)) {
		end_mapping(s);
		begin_mapping(s, &map);
	}
	return 0;
}

/* Leaves *ret as it is if the file cannot be read to its end. */
static bool sum_up(const struct hak_segment *seg, const char *file, enum hak_resident_source source,
		   struct hak_resident *ret)
{
	struct split s = { .sum.source = source };

	if (hak_each_line(seg->procfd, file, see_line, &s) < 0)
		return false;
	end_mapping(&s);
	if (s.sum.rss == 0) /* a process that ended has no lines */
		return false;
	if (source != HAK_RESIDENT_SPLIT)
		s.sum.unnamed = s.sum.anonymous;
	*ret = s.sum;
	return true;
}

void hak_resident_read(const struct hak_segment *seg, enum hak_resident_source wanted,
		       struct hak_resident *ret)
{
	*ret = (struct hak_resident){ 0 };
	count(seg, ret);
	if (ret->source == HAK_RESIDENT_UNKNOWN || wanted <= HAK_RESIDENT_COUNTED ||
	    (hak_budget_is_set() && ret->rss > EXACT_MAX_BYTES))
		return;
	if (wanted == HAK_RESIDENT_SPLIT && sum_up(seg, "smaps", HAK_RESIDENT_SPLIT, ret))
		return;
	sum_up(seg, "smaps_rollup", HAK_RESIDENT_SUMMED, ret);
}

uint64_t hak_segment_rss(const struct hak_segment *seg, bool exact)
{
	struct hak_resident r;

	hak_resident_read(seg, exact ? HAK_RESIDENT_SUMMED : HAK_RESIDENT_COUNTED, &r);
	return r.rss;
}

/* -- what of malloc's memory can be resident --------------------------------------------------- */
static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

struct hak_memory hak_resident_bound(const struct hak_resident *r, const struct hak_memory *m)
{
	/* Pages that are lazily freed are not dirty, and belong to no other state. */
	const uint64_t plain = r->unnamed - least(r->lazy_free, r->unnamed);
	struct hak_memory most = {
		.in_use = least(m->in_use, plain),
		.requested = least(m->requested, plain),
		.thread_cached = least(m->thread_cached, plain),
		.slab_free = least(m->slab_free, plain),
		.dirty = least(m->dirty, plain),
		.lazy = r->source >= HAK_RESIDENT_SUMMED ? least(m->lazy, r->lazy_free)
							 : least(m->lazy, r->unnamed),
		/* Only a huge page brings pages that were not touched. */
		.clean = least(m->clean, r->huge),
		.reserved = least(m->reserved, r->huge),
		.metadata = least(m->metadata, plain),
	};

	most.mapped =
		least(most.in_use + most.thread_cached + most.slab_free + most.dirty + most.lazy +
			      most.metadata + least(most.clean + most.reserved, r->huge),
		      r->unnamed);
	return most;
}

uint64_t hak_resident_cached(const struct hak_segment *seg, const struct hak_memory *m)
{
	const uint64_t cached = hak_memory_cached(m);
	struct hak_resident r;
	struct hak_memory most;

	hak_resident_read(seg, m->lazy < LAZY_BYTES ? HAK_RESIDENT_COUNTED : HAK_RESIDENT_SUMMED,
			  &r);
	if (r.source == HAK_RESIDENT_UNKNOWN)
		return cached;
	most = hak_resident_bound(&r, m);
	return least(hak_memory_cached(&most), r.unnamed);
}

uint64_t hak_resident_free(const struct hak_resident *r, const struct hak_memory *most)
{
	return least(most->thread_cached + most->slab_free + most->dirty + most->lazy, r->unnamed);
}
