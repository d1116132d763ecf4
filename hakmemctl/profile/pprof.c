/* SPDX-License-Identifier: MIT */
/*
 * Writes a profile in the format of pprof: a gzipped protocol buffer (github.com/google/pprof,
 * profile.proto), with the four values that heap profiles of other programs have.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "control/grow.h"
#include "hakmemctl/profile/profile.h"

/* A message that is being built. */
struct bytes {
	unsigned char *p;
	size_t n, room;
	bool failed;
};

/* Strings, functions, locations and mappings, numbered from 1 (strings from 0). Locations and
 * functions have the order of the profile's places. */
struct tables {
	const struct profile *profile;
	struct bytes out;
	char **string;
	size_t strings, strings_room;
	struct hak_index by_string;
	bool *located; /* which of the profile's places are locations already */
	char **module; /* the path of each mapping */
	size_t modules, modules_room;
	struct hak_index by_module;
	bool failed;
};

/* -- protocol buffers -------------------------------------------------------------------------- */
static void put(struct bytes *b, const void *data, size_t n)
{
	if (b->n + n > b->room) {
		size_t room = 2 * (b->n + n) + 64;
		void *more = realloc(b->p, room);

		if (!more) {
			b->failed = true;
			return;
		}
		b->p = more;
		b->room = room;
	}
	if (n)
		memcpy(b->p + b->n, data, n);
	b->n += n;
}

static void put_varint(struct bytes *b, uint64_t v)
{
	unsigned char byte;

	for (; v >= 0x80; v >>= 7) {
		byte = (unsigned char)(v | 0x80);
		put(b, &byte, 1);
	}
	byte = (unsigned char)v;
	put(b, &byte, 1);
}

static void put_number(struct bytes *b, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_varint(b, field << 3);
	put_varint(b, v);
}

static void put_block(struct bytes *b, unsigned field, const void *data, size_t n)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, n);
	put(b, data, n);
}

/* Adds `m` as a field, and empties it. */
static void put_message(struct bytes *b, unsigned field, struct bytes *m)
{
	put_block(b, field, m->p, m->n);
	b->failed |= m->failed;
	m->n = 0;
}

/* -- tables ------------------------------------------------------------------------------------ */
static bool keep(const char *text, char ***list, size_t n, size_t *room)
{
	char **grown = hak_grow(*list, n, room, sizeof(*grown));

	if (!grown)
		return false;
	*list = grown;
	grown[n] = strdup(text);
	return grown[n];
}

struct key {
	char **list;
	const char *text;
};

static bool is_text(size_t number, const void *arg)
{
	const struct key *key = arg;

	return strcmp(key->list[number], key->text) == 0;
}

/* The number of a text in the list, which is added if it is new: *ret_new. */
static size_t number_of(struct tables *t, const char *text, char ***list, size_t *n, size_t *room,
			struct hak_index *index, bool *ret_new)
{
	uint32_t hash = hak_index_hash(text, strlen(text), 0);
	ssize_t found = hak_index_find(index, hash, is_text, &(struct key){ *list, text });

	*ret_new = found < 0;
	if (found >= 0)
		return (size_t)found;
	if (!keep(text, list, *n, room) || hak_index_add(index, hash, *n) < 0) {
		t->failed = true;
		return 0;
	}
	return (*n)++;
}

static uint64_t string(struct tables *t, const char *text)
{
	bool is_new;

	return number_of(t, text, &t->string, &t->strings, &t->strings_room, &t->by_string,
			 &is_new);
}

static uint64_t mapping(struct tables *t, const struct hak_symbol *symbol)
{
	struct bytes m = { NULL };
	char id[2 * sizeof(symbol->build_id) + 1] = "";
	uint64_t number;
	bool is_new;

	if (!symbol->module)
		return 0;
	number = 1 + number_of(t, symbol->module, &t->module, &t->modules, &t->modules_room,
			       &t->by_module, &is_new);
	if (!is_new || t->failed)
		return number;
	for (size_t i = 0; i < symbol->build_id_bytes; i++)
		sprintf(id + 2 * i, "%02x", symbol->build_id[i]);
	put_number(&m, 1, number);
	/* where the file's address 0 is; the exact end is not needed */
	put_number(&m, 2, symbol->address - symbol->module_offset);
	put_number(&m, 3, symbol->address - symbol->module_offset + (1u << 31));
	put_number(&m, 5, string(t, symbol->module));
	put_number(&m, 6, string(t, id));
	put_number(&m, 7, 1);
	put_number(&m, 8, 1);
	put_number(&m, 9, 1);
	put_message(&t->out, 3, &m);
	free(m.p);
	return number;
}

/* The location of an address, with a function of the same number. */
static uint64_t location(struct tables *t, uint64_t address)
{
	struct bytes m = { NULL }, line = { NULL };
	size_t place = profile_place(t->profile, address);
	struct hak_symbol symbol = t->profile->places->place[place].symbol;
	uint64_t number = place + 1, name, map;
	char text[2048];

	if (t->located[place])
		return number;
	t->located[place] = true;
	profile_name(t->profile, address, text, sizeof(text));
	name = string(t, text);
	map = mapping(t, &symbol);

	put_number(&m, 1, number);
	put_number(&m, 2, name);
	/* and the symbol name, by which other tools find the symbol */
	put_number(&m, 3, symbol.function ? string(t, symbol.function) : name);
	put_number(&m, 4, string(t, symbol.source ? symbol.source : ""));
	put_message(&t->out, 5, &m);

	put_number(&line, 1, number);
	put_number(&line, 2, symbol.source && symbol.line > 0 ? (uint64_t)symbol.line : 0);
	put_number(&m, 1, number);
	put_number(&m, 2, map);
	put_number(&m, 3, address);
	put_message(&m, 4, &line);
	put_message(&t->out, 4, &m);
	free(m.p);
	free(line.p);
	return number;
}

static void value_type(struct tables *t, unsigned field, const char *type, const char *unit)
{
	struct bytes m = { NULL };

	put_number(&m, 1, string(t, type));
	put_number(&m, 2, string(t, unit));
	put_message(&t->out, field, &m);
	free(m.p);
}

static void add_stack(struct tables *t, const struct profile_stack *s)
{
	struct bytes m = { NULL }, packed = { NULL };

	for (size_t i = 0; i < s->frames; i++)
		put_varint(&packed, location(t, s->frame[i]));
	put_message(&m, 1, &packed);
	for (int what = 0; what < PROFILE_WHATS; what++) {
		put_varint(&packed, (uint64_t)(s->sums[what].blocks + .5));
		put_varint(&packed, (uint64_t)(s->sums[what].bytes + .5));
	}
	put_message(&m, 2, &packed);
	put_message(&t->out, 2, &m);
	free(m.p);
	free(packed.p);
}

static void compose(struct tables *t)
{
	const struct profile *p = t->profile;

	string(t, "");
	value_type(t, 1, "alloc_objects", "count");
	value_type(t, 1, "alloc_space", "bytes");
	value_type(t, 1, "inuse_objects", "count");
	value_type(t, 1, "inuse_space", "bytes");
	for (size_t i = 0; i < p->stacks; i++)
		add_stack(t, &p->stack[i]);
	put_number(&t->out, 9, (uint64_t)p->began * 1000000000);
	put_number(&t->out, 10, p->ns);
	value_type(t, 11, "space", "bytes");
	put_number(&t->out, 12, p->rate);
	put_number(&t->out, 14, string(t, p->what == PROFILE_LIVE ? "inuse_space" : "alloc_space"));
	for (size_t i = 0; i < t->strings; i++)
		put_block(&t->out, 6, t->string[i], strlen(t->string[i]));
	t->failed |= t->out.failed;
}

static int write_gzip(const struct bytes *b, FILE *to)
{
	enum { GZIP = 15 + 16, MEMORY = 8 }; /* zlib.h, deflateInit2() */
	z_stream z = { .next_in = (void *)b->p };
	unsigned char *out;
	uLong room;
	int r = 0;

	if (b->n > UINT32_MAX / 2)
		return -EFBIG;
	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP, MEMORY, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	room = deflateBound(&z, b->n);
	out = malloc(room);
	z.avail_in = (unsigned)b->n;
	z.next_out = out;
	z.avail_out = (unsigned)room;
	if (!out || deflate(&z, Z_FINISH) != Z_STREAM_END)
		r = -ENOMEM;
	else if (fwrite(out, 1, z.total_out, to) != z.total_out)
		r = errno ? -errno : -EIO;
	deflateEnd(&z);
	free(out);
	return r;
}

int profile_write_pprof(const struct profile *p, FILE *to)
{
	struct tables t = { .profile = p };
	int r;

	t.located = calloc(p->places ? p->places->n : 1, sizeof(*t.located));
	if (t.located)
		compose(&t);
	r = !t.located || t.failed ? -ENOMEM : write_gzip(&t.out, to);
	for (size_t i = 0; i < t.strings; i++)
		free(t.string[i]);
	for (size_t i = 0; i < t.modules; i++)
		free(t.module[i]);
	free(t.string);
	free(t.module);
	hak_index_free(&t.by_string);
	hak_index_free(&t.by_module);
	free(t.located);
	free(t.out.p);
	return r;
}
