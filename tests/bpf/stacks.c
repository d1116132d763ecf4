/* SPDX-License-Identifier: MIT */
/*
 * A profile of a process that returns to another address each time. The process decides how many
 * stacks, addresses and names there are; taking or showing them must not take longer for that. Sums
 * stay true, and samples without room for their stack are counted. Names that take long are given
 * up. The test plays the process, its files and the sampler.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/mapped.h"
#include "hakmemctl/profile/profile.h"
#include "tests/check.h"

/* The limits of profile_stacks.c. */
enum { STACKS = 32768, FRAMES = 524288, PLACES = 65536 };
enum { SAMPLES = 400000, DEPTH = 12 };

static unsigned shape; /* of the stacks: see hak_symbols_unwind() */
static size_t depth = DEPTH;
static unsigned naming_us; /* time that a name takes */
static char names[1 << 20][16];

/* -- what is made up --------------------------------------------------------------------------- */
/* 0: all addresses are new; 1: ever new stacks of few addresses; 2: few stacks. */
size_t hak_symbols_unwind(struct hak_symbols *s, const struct hak_site_event *site,
			  uint64_t ret[HAK_FRAMES_MAX])
{
	uint64_t number = site->head.d;

	for (size_t i = 0; i < depth; i++) {
		if (shape == 1)
			ret[i] = 4 * i + (i < 16 ? number >> 2 * i & 3 : 0);
		else
			ret[i] = (shape == 0 ? number : number % 100) * depth + i;
	}
	return depth;
}

int hak_symbols_covers(const struct hak_symbols *s, uint64_t address)
{
	return 1;
}

int hak_symbols_refresh(struct hak_symbols *s)
{
	return 0;
}

void hak_symbols_close(struct hak_symbols *s)
{
}

bool hak_symbols_missing(const struct hak_symbols *s, char why[HAK_WHY_TEXT])
{
	return false;
}

void hak_symbols_spell(const char *function, char *out, size_t bytes)
{
	snprintf(out, bytes, "%s", function);
}

/* Each address its own module as well. */
void hak_symbols_locate(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret)
{
	char *name = names[address % (1 << 20)];

	snprintf(name, sizeof(names[0]), "/f%llx", (unsigned long long)address);
	*ret = (struct hak_symbol){ .address = address, .module = name, .module_offset = 1 };
}

void hak_symbols_find(const struct hak_symbols *s, uint64_t address, struct hak_symbol *ret)
{
	hak_symbols_locate(s, address, ret);
	ret->function = ret->module + 1;
	if (naming_us)
		usleep(naming_us);
}

int hak_same_mapped(const char *mapped, const char *path)
{
	return 0;
}

void hak_sampler_each_live(const struct hak_sampler *s, void (*see)(uint64_t number, void *arg),
			   void *arg)
{
}

int hak_sampler_totals(const struct hak_sampler *s, struct hak_profile_totals *ret)
{
	return 0;
}

/* -- profiles ---------------------------------------------------------------------------------- */
static void take(struct profile *p, uint64_t samples)
{
	struct hak_site_event *e = calloc(1, sizeof(*e));

	*p = (struct profile){ .what = PROFILE_ALLOC, .rate = 1 };
	for (uint64_t i = 0; i < samples; i++) {
		e->head.b = 16;
		e->head.c = 100;
		e->head.d = i;
		profile_take(e, p);
	}
	free(e);
	profile_add_up(p, NULL);
	EXPECT(!p->failed, "out of memory");
	EXPECT(p->sums[PROFILE_ALLOC].bytes == 100. * (double)samples, "%.0f bytes",
	       p->sums[PROFILE_ALLOC].bytes);
}

/* Returns how many bytes a way of showing the profile writes. */
static size_t show(const struct profile *p, int (*way)(const struct profile *p, FILE *to))
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	EXPECT(to && way(p, to) == 0 && fclose(to) == 0, "it cannot be shown");
	free(text);
	return bytes;
}

static int as_json(const struct profile *p, FILE *to)
{
	struct json_object *o = profile_document(p);

	fputs(json_object_to_json_string(o), to);
	json_object_put(o);
	return 0;
}

static void check(unsigned what, size_t frames, uint64_t stacks, uint64_t left_out)
{
	double bytes = 0;
	struct profile p;

	shape = what;
	depth = frames;
	take(&p, SAMPLES);
	EXPECT(p.stacks == stacks, "shape %u: %zu stacks", what, p.stacks);
	EXPECT(p.left_out == left_out, "shape %u: %llu left out", what,
	       (unsigned long long)p.left_out);
	for (size_t i = 0; i < p.stacks; i++)
		bytes += p.stack[i].sums[PROFILE_ALLOC].bytes;
	EXPECT(bytes == p.sums[PROFILE_ALLOC].bytes, "shape %u: stacks have %.0f", what, bytes);
	EXPECT(show(&p, profile_write_pprof) > 100, "no pprof");
	EXPECT(show(&p, profile_write_folded) > 100, "no folded stacks");
	EXPECT(show(&p, profile_write_svg) > 100, "no picture");
	EXPECT(show(&p, as_json) > 100, "no document");
	EXPECT(p.places->unnamed == 0, "names were given up");
	profile_free(&p);
}

/* A name takes 0.1 s: thousands would take hours. */
static void check_naming(void)
{
	struct profile p;

	shape = 0;
	depth = DEPTH;
	take(&p, 2000);
	naming_us = 100000;
	p.places->named_ns = 29000000000;
	EXPECT(show(&p, profile_write_pprof) > 100, "no pprof");
	EXPECT(p.places->unnamed > 2000 * DEPTH - 20, "%zu without names", p.places->unnamed);
	EXPECT(p.places->unnamed < 2000 * DEPTH, "no names at all");
	naming_us = 0;
	profile_free(&p);
}

static void two_for_each(void)
{
	check(2, DEPTH, 100, 0);
}

/* With too many stacks, frames or addresses, one more stack stands for all others. */
static void too_many_stacks(void)
{
	check(1, DEPTH, STACKS + 1, SAMPLES - STACKS);
}

static void too_many_frames(void)
{
	check(1, HAK_FRAMES_MAX, FRAMES / HAK_FRAMES_MAX + 1, SAMPLES - FRAMES / HAK_FRAMES_MAX);
}

static void too_many_addresses(void)
{
	check(0, DEPTH, PLACES / DEPTH + 1, SAMPLES - PLACES / DEPTH);
}

static const struct tcase cases[] = {
	{ "two_for_each", two_for_each },
	{ "too_many_stacks", too_many_stacks },
	{ "too_many_frames", too_many_frames },
	{ "too_many_addresses", too_many_addresses },
	{ "naming", check_naming },
};

CASES(cases)
