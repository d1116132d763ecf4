/* SPDX-License-Identifier: MIT */
/* Adds samples up by stack, see profile.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/mapped.h"
#include "control/escape.h"
#include "control/grow.h"
#include "hakmemctl/profile/profile.h"

#define STRAYS_MAX 16 /* the number of searches for files that were mapped meanwhile */
/* Sample numbers come from a BPF map, which other processes could write. */
#define SAMPLES_MAX (1 << 26)

/* Limits on what the process decides: the number of stacks, their depth, and the time to resolve
 * names. */
#define STACKS_MAX (1 << 15)
#define FRAMES_MAX (1 << 19)
#define PLACES_MAX (1 << 16)
#define NAMING_NS  30000000000u

/* -- places ------------------------------------------------------------------------------------ */
static bool is_address(size_t number, const void *arg)
{
	const struct profile *p = ((const void *const *)arg)[0];

	return p->places->place[number].address == *((const uint64_t *const *)arg)[1];
}

static ssize_t find_place(const struct profile *p, uint64_t address, uint32_t *ret_hash)
{
	const void *arg[] = { p, &address };

	*ret_hash = hak_index_hash(&address, sizeof(address), 0);
	return hak_index_find(&p->places->index, *ret_hash, is_address, arg);
}

/* Returns 0, -ENOMEM, or -ENOSPC at the limit. */
static int add_place(struct profile *p, uint64_t address)
{
	struct profile_places *all = p->places;
	struct profile_place *grown;
	uint32_t hash;

	if (!all && !(all = p->places = calloc(1, sizeof(*all))))
		return -ENOMEM;
	if (find_place(p, address, &hash) >= 0)
		return 0;
	if (all->n == PLACES_MAX)
		return -ENOSPC;
	grown = hak_grow(all->place, all->n, &all->room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	all->place = grown;
	all->place[all->n] = (struct profile_place){ .address = address };
	return hak_index_add(&all->index, hash, all->n) < 0 ? -ENOMEM : (all->n++, 0);
}

static void compose_name(const struct hak_symbol *symbol, char *out, size_t bytes)
{
	const char *file = symbol->module ? strrchr(symbol->module, '/') : NULL;

	if (symbol->plain)
		snprintf(out, bytes, "%s", symbol->function);
	else if (symbol->function)
		hak_symbols_spell(symbol->function, out, bytes);
	else if (symbol->module)
		snprintf(out, bytes, "%s+0x%llx", file ? file + 1 : symbol->module,
			 (unsigned long long)symbol->module_offset);
	else
		snprintf(out, bytes, "0x%llx", (unsigned long long)symbol->address);
}

size_t profile_place(const struct profile *p, uint64_t address)
{
	struct profile_places *all = p->places;
	uint64_t from = hak_monotonic_ns();
	struct profile_place *place;
	char text[1024];
	uint32_t hash;
	ssize_t number = find_place(p, address, &hash);

	place = &all->place[number];
	if (place->name)
		return (size_t)number;
	if (all->named_ns < NAMING_NS) {
		hak_symbols_find(p->symbols, address, &place->symbol);
	} else {
		hak_symbols_locate(p->symbols, address, &place->symbol);
		all->unnamed++;
	}
	compose_name(&place->symbol, text, sizeof(text));
	place->name = strdup(text);
	all->named_ns += hak_monotonic_ns() - from;
	return (size_t)number;
}

/* -- stacks ------------------------------------------------------------------------------------ */
struct key {
	const struct profile *p;
	const uint64_t *frame;
	size_t n;
};

static bool is_stack(size_t number, const void *arg)
{
	const struct key *key = arg;
	const struct profile_stack *s = &key->p->stack[number];

	return s->frames == key->n && memcmp(s->frame, key->frame, key->n * sizeof(*s->frame)) == 0;
}

/* Returns 0, -ENOMEM or -ENOSPC. */
static int add_stack(struct profile *p, const struct key *key, uint32_t hash)
{
	struct profile_stack *grown;
	int r = 0;

	if (key->n && (p->stacks >= STACKS_MAX || p->frames + key->n > FRAMES_MAX))
		return -ENOSPC;
	for (size_t i = 0; i < key->n && r == 0; i++)
		r = add_place(p, key->frame[i]);
	if (r < 0)
		return r;
	grown = hak_grow(p->stack, p->stacks, &p->stacks_room, sizeof(*p->stack));
	if (!grown)
		return -ENOMEM;
	p->stack = grown;
	p->stack[p->stacks] = (struct profile_stack){ .frames = key->n };
	memcpy(p->stack[p->stacks].frame, key->frame, key->n * sizeof(*key->frame));
	if (hak_index_add(&p->by_frames, hash, p->stacks) < 0)
		return -ENOMEM;
	p->stacks++;
	p->frames += key->n;
	return 0;
}

/* The index of the stack, which is added if it is new. At the limit, the index of the empty stack.
 * -1: out of memory. */
static ssize_t find(struct profile *p, const uint64_t *frame, size_t n)
{
	const struct key key = { p, frame, n };
	uint32_t hash = hak_index_hash(frame, n * sizeof(*frame), 0);
	ssize_t found = hak_index_find(&p->by_frames, hash, is_stack, &key);
	int r;

	if (found >= 0)
		return found;
	r = add_stack(p, &key, hash);
	if (r == 0)
		return (ssize_t)p->stacks - 1;
	if (r != -ENOSPC)
		return -1;
	p->left_out++;
	return find(p, frame, 0);
}

/* The number of the library's own frames, malloc and the functions it calls, which are left out. */
static size_t inner_frames(const struct profile *p, const uint64_t *frame, size_t n)
{
	size_t i = 0;

	while (i < n) {
		struct hak_symbol symbol;

		hak_symbols_locate(p->symbols, frame[i], &symbol);
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
	/* the file was mapped since the last search */
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
	for (size_t i = 0; p->places && i < p->places->n; i++)
		free(p->places->place[i].name);
	if (p->places) {
		hak_index_free(&p->places->index);
		free(p->places->place);
	}
	free(p->places);
	hak_symbols_close(p->symbols);
	hak_index_free(&p->by_frames);
	free(p->stack);
	free(p->sample);
}

void profile_plain_name(const struct profile *p, uint64_t address, char *out, size_t bytes)
{
	const char *name = p->places->place[profile_place(p, address)].name;

	snprintf(out, bytes, "%s", name ? name : "");
}

void profile_name(const struct profile *p, uint64_t address, char *out, size_t bytes)
{
	const char *name = p->places->place[profile_place(p, address)].name;

	hak_escape(name ? name : "", out, bytes);
}
