/* SPDX-License-Identifier: MIT */
/* Symbol tables of ELF objects in memory. See symbol.h. */
#include "symbol.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "hak.h"

struct object {
	uintptr_t load, low, high;
	const ElfW(Sym) * symbols;
	const char *strings;
	const uint32_t *hash, *gnu_hash; /* at least one is set */
	const ElfW(Half) * versions;	 /* NULL: none */
	const ElfW(Verdef) * definitions;
};

static bool lies_in(const struct object *o, const void *p, size_t bytes)
{
	return (uintptr_t)p >= o->low && (uintptr_t)p <= o->high && o->high - (uintptr_t)p >= bytes;
}

#define READABLE(o, p) lies_in(o, p, sizeof(*(p)))

static bool says(const struct object *o, size_t at, const char *what)
{
	const char *s = o->strings + at;

	for (;; s++, what++) {
		if (!READABLE(o, s) || *s != *what)
			return false;
		if (!*s)
			return true;
	}
}

/*
 * Addresses in the vDSO's tables are offsets. Where the loader relocated a table, they are
 * addresses.
 */
static const void *table(const struct object *o, ElfW(Addr) at)
{
	return (const void *)(at >= o->load ? at : o->load + at);
}

static bool open_object(struct object *o, const ElfW(Dyn) * d)
{
	for (; READABLE(o, d) && d->d_tag != DT_NULL; d++) {
		const void *at = table(o, d->d_un.d_ptr);

		if (d->d_tag == DT_SYMTAB)
			o->symbols = at;
		else if (d->d_tag == DT_STRTAB)
			o->strings = at;
		else if (d->d_tag == DT_HASH)
			o->hash = at;
		else if (d->d_tag == DT_GNU_HASH)
			o->gnu_hash = at;
		else if (d->d_tag == DT_VERSYM)
			o->versions = at;
		else if (d->d_tag == DT_VERDEF)
			o->definitions = at;
	}
	return READABLE(o, d) && o->symbols && o->strings && (o->hash || o->gnu_hash);
}

static bool has_version(const struct object *o, uint32_t symbol, const char *version)
{
	const ElfW(Half) *number = o->versions + symbol;
	const ElfW(Verdef) *def = o->definitions;

	if (!o->versions)
		return true;
	if (!READABLE(o, number))
		return false;
	if (!version)
		return !(*number & 0x8000); /* hidden: not the default one */
	while (def && READABLE(o, def)) {
		const ElfW(Verdaux) *aux = (const void *)((const char *)def + def->vd_aux);

		if ((def->vd_ndx & 0x7fff) == (*number & 0x7fff))
			return READABLE(o, aux) && says(o, aux->vda_name, version);
		def = def->vd_next ? (const void *)((const char *)def + def->vd_next) : NULL;
	}
	return false;
}

static void *match(const struct object *o, uint32_t i, const char *name, const char *version)
{
	const ElfW(Sym) *s = o->symbols + i;

	if (!READABLE(o, s) || (s->st_info & 15) != STT_FUNC || s->st_shndx == SHN_UNDEF ||
	    (s->st_info >> 4 != STB_GLOBAL && s->st_info >> 4 != STB_WEAK) ||
	    !says(o, s->st_name, name) || !has_version(o, i, version) ||
	    !lies_in(o, (const char *)o->load + s->st_value, 1))
		return NULL;
	return (char *)o->load + s->st_value;
}

/* The hash table serves only to tell the number of symbols; a vDSO has about a dozen. */
static void *find_in_all(const struct object *o, const char *name, const char *version)
{
	void *f = NULL;

	if (!lies_in(o, o->hash, 2 * sizeof(*o->hash)))
		return NULL;
	for (uint32_t i = 1; i < o->hash[1] && !f; i++)
		f = match(o, i, name, version);
	return f;
}

static void *find_by_hash(const struct object *o, const char *name, const char *version)
{
	const uint32_t *head = o->gnu_hash, *buckets, *chain;
	uint32_t hash = 5381, i;

	for (const char *s = name; *s; s++)
		hash = hash * 33 + (unsigned char)*s;
	if (!lies_in(o, head, 4 * sizeof(*head)) || !head[0])
		return NULL;
	buckets = head + 4 + (size_t)head[2] * (sizeof(ElfW(Addr)) / sizeof(*head));
	chain = buckets + head[0];
	if (!READABLE(o, buckets + hash % head[0]))
		return NULL;
	i = buckets[hash % head[0]];
	for (; i >= head[1] && READABLE(o, chain + (i - head[1])); i++) {
		uint32_t has = chain[i - head[1]];
		void *f = (has | 1) == (hash | 1) ? match(o, i, name, version) : NULL;

		if (f)
			return f;
		if (has & 1)
			break;
	}
	return NULL;
}

void *hak_symbol_find(uintptr_t load, const ElfW(Dyn) * dynamic, uintptr_t low, uintptr_t high,
		      const char *name, const char *version)
{
	struct object o = { .load = load, .low = low, .high = high };

	if (!open_object(&o, dynamic))
		return NULL;
	return o.gnu_hash ? find_by_hash(&o, name, version) : find_in_all(&o, name, version);
}

/* Absent in a program that is linked statically. */
extern const ElfW(Dyn) hak_dynamic[] __asm__("_DYNAMIC") HAK_HIDDEN __attribute__((weak));

void *hak_symbol_next(const char *name)
{
	const struct link_map *m = _r_debug.r_map;
	void *f = NULL;

	while (m && m->l_ld != hak_dynamic)
		m = m->l_next;
	for (m = m ? m->l_next : NULL; m && !f; m = m->l_next)
		f = hak_symbol_find(m->l_addr, m->l_ld, 0, UINTPTR_MAX, name, NULL);
	return f;
}
