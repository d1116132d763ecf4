/* SPDX-License-Identifier: MIT */
/* Samples, added up by stack, see profile.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/mapped.h"
#include "control/escape.h"
#include "control/grow.h"
#include "hakmemctl/profile.h"

#define STRAYS_MAX  16	      /* times that we look for files mapped meanwhile */
#define SAMPLES_MAX (1 << 26) /* their numbers come from a map that others could write */

static uint64_t hash(const uint64_t *frame, size_t n)
{
	uint64_t h = n;

	for (size_t i = 0; i < n; i++)
		h = (h ^ frame[i]) * 0x9e3779b97f4a7c15u, h ^= h >> 32;
	return h;
}

static bool same(const struct profile_stack *s, const uint64_t *frame, size_t n)
{
	return s->frames == n && memcmp(s->frame, frame, n * sizeof(*frame)) == 0;
}

/* Twice as many buckets, all stacks put in anew. 0 or -ENOMEM. */
static int rehash(struct profile *p)
{
	size_t n = p->buckets ? 2 * p->buckets : 1024;
	uint32_t *bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		return -1;
	for (size_t i = 0; i < p->stacks; i++) {
		size_t at = hash(p->stack[i].frame, p->stack[i].frames) % n;

		while (bucket[at])
			at = (at + 1) % n;
		bucket[at] = (uint32_t)i + 1;
	}
	free(p->bucket);
	p->bucket = bucket;
	p->buckets = n;
	return 0;
}

/* Index of the stack, added if it is new; -1: out of memory. */
static ssize_t find(struct profile *p, const uint64_t *frame, size_t n)
{
	struct profile_stack *grown;
	size_t at;

	if (2 * p->stacks >= p->buckets && rehash(p) < 0)
		return -1;
	for (at = hash(frame, n) % p->buckets; p->bucket[at]; at = (at + 1) % p->buckets)
		if (same(&p->stack[p->bucket[at] - 1], frame, n))
			return (ssize_t)p->bucket[at] - 1;
	grown = hak_grow(p->stack, p->stacks, &p->stacks_room, sizeof(*p->stack));
	if (!grown)
		return -1;
	p->stack = grown;
	p->stack[p->stacks] = (struct profile_stack){ .frames = n };
	memcpy(p->stack[p->stacks].frame, frame, n * sizeof(*frame));
	p->bucket[at] = (uint32_t)++p->stacks;
	return (ssize_t)p->stacks - 1;
}

/* The library's own frames are not what anybody looks for: malloc, and what is behind it. */
static size_t inner_frames(const struct profile *p, const uint64_t *frame, size_t n)
{
	size_t i = 0;

	while (i < n) {
		struct hak_symbol symbol;

		hak_symbols_find(p->symbols, frame[i], &symbol);
		if (!symbol.module || !hak_same_mapped(symbol.module, p->library))
			break;
		i++;
	}
	return i < n ? i : 0;
}

static int room_for(struct profile *p, uint64_t number)
{
	size_t room = p->samples_room ? p->samples_room : 1024;
	void *more;

	if (number >= SAMPLES_MAX)
		return -1;
	while (room <= number)
		room *= 2;
	if (room == p->samples_room)
		return 0;
	more = reallocarray(p->sample, room, sizeof(*p->sample));
	if (!more)
		return -1;
	p->sample = more;
	memset(p->sample + p->samples_room, 0, (room - p->samples_room) * sizeof(*p->sample));
	p->samples_room = room;
	return 0;
}

void profile_take(const struct hak_site_event *e, void *arg)
{
	uint64_t frame[HAK_FRAMES_MAX], number = e->head.d;
	struct profile *p = arg;
	size_t n, inner;
	ssize_t stack;

	n = hak_symbols_unwind(p->symbols, e, frame);
	/* a file mapped since the last look */
	if (n && !hak_symbols_covers(p->symbols, frame[n - 1]) && n < HAK_FRAMES_MAX &&
	    ++p->strays <= STRAYS_MAX && hak_symbols_refresh(p->symbols) == 0)
		n = hak_symbols_unwind(p->symbols, e, frame);
	inner = inner_frames(p, frame, n);
	stack = find(p, frame + inner, n - inner);
	if (stack < 0 || room_for(p, number) < 0) {
		p->failed = true;
		return;
	}
	p->sample[number] = (struct profile_sample){ .stack = (uint32_t)stack,
						     .weight = e->head.c,
						     .bytes = e->head.b };
	if (number >= p->samples)
		p->samples = number + 1;
}

/* -- sums -------------------------------------------------------------------------------------- */
static void add(struct profile *p, uint64_t number, enum profile_what what)
{
	const struct profile_sample *s = &p->sample[number];
	struct profile_sums *sums;

	if (number >= p->samples || !s->weight || !s->bytes)
		return;
	sums = &p->stack[s->stack].sums[what];
	sums->bytes += (double)s->weight;
	sums->blocks += (double)s->weight / (double)s->bytes;
	p->sums[what].bytes += (double)s->weight;
	p->sums[what].blocks += (double)s->weight / (double)s->bytes;
}

static void add_live(uint64_t number, void *arg)
{
	add(arg, number, PROFILE_LIVE);
}

static int by_falling(const void *a, const void *b, void *arg)
{
	const struct profile_stack *x = a, *y = b;
	enum profile_what what = *(enum profile_what *)arg;

	return (x->sums[what].bytes < y->sums[what].bytes) -
	       (x->sums[what].bytes > y->sums[what].bytes);
}

void profile_add_up(struct profile *p, const struct hak_sampler *sampler)
{
	for (uint64_t i = 0; i < p->samples; i++)
		add(p, i, PROFILE_ALLOC);
	hak_sampler_each_live(sampler, add_live, p);
	hak_sampler_totals(sampler, &p->totals);
	if (p->stacks)
		qsort_r(p->stack, p->stacks, sizeof(*p->stack), by_falling, &p->what);
}

void profile_free(struct profile *p)
{
	hak_symbols_close(p->symbols);
	free(p->stack);
	free(p->bucket);
	free(p->sample);
}

void profile_plain_name(const struct profile *p, uint64_t address, char *out, size_t bytes)
{
	struct hak_symbol symbol;
	const char *file;

	hak_symbols_find(p->symbols, address, &symbol);
	file = symbol.module ? strrchr(symbol.module, '/') : NULL;
	if (symbol.function)
		hak_symbols_spell(symbol.function, out, bytes);
	else if (symbol.module)
		snprintf(out, bytes, "%s+0x%llx", file ? file + 1 : symbol.module,
			 (unsigned long long)symbol.module_offset);
	else
		snprintf(out, bytes, "0x%llx", (unsigned long long)address);
}

void profile_name(const struct profile *p, uint64_t address, char *out, size_t bytes)
{
	char text[1024];

	profile_plain_name(p, address, text, sizeof(text));
	hak_escape(text, out, bytes);
}
