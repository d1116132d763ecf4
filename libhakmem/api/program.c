/* SPDX-License-Identifier: MIT */
/* hakmem.h: what a program can ask of its own allocator. The file has no state; no lock is held. */
#include "base/hak.h"
#include "base/text.h"
#include "cache/purge.h"
#include "hakmem.h"
#include "process/attach.h"
#include "share/totals.h"
#include "share/tune.h"

#include <errno.h>
#include <string.h>

_Static_assert((int)HAKMEM_PURGE_CACHE == HAK_PURGE_CACHE && (int)HAKMEM_PURGE_ALL == HAK_PURGE_ALL,
	       "levels are the same inside and out");

const char *hakmem_version(void)
{
	return PACKAGE_VERSION;
}

/* ---- tunables ---- */

static int find(const char *name, enum hak_tunable *ret)
{
	enum hak_tunable t = hak_tunable_find(name, strlen(name));

	if (t == HAK_TUNABLES)
		return -ENOENT;
	*ret = t;
	return 0;
}

int hakmem_get(const char *name, uint64_t *value)
{
	enum hak_tunable t;
	int r = find(name, &t);

	if (!r)
		*value = hak_tun(t);
	return r;
}

int hakmem_set(const char *name, uint64_t value)
{
	enum hak_tunable t;
	int r = find(name, &t);

	return r ? r : hak_tune_program(t, value);
}

int hakmem_get_text(const char *name, char *text, size_t bytes)
{
	struct hak_text out = { text, text ? bytes : 0, 0 };
	enum hak_tunable t;
	int r = find(name, &t);

	if (r)
		return r;
	hak_text_put_value(&out, &hak_tunable_desc[t], hak_tun(t));
	return (int)out.at;
}

int hakmem_set_text(const char *name, const char *text)
{
	enum hak_tunable t;
	uint64_t value;
	int r = find(name, &t);

	if (!r)
		r = hak_text_parse(&hak_tunable_desc[t], text, strlen(text), &value);
	return r ? r : hak_tune_program(t, value);
}

/* ---- counters ---- */

#if HAK_CONTROL

/* The place of a counter in struct hak_totals, by scope. */
struct place {
	char name[HAK_NAME_BYTES];
	uint8_t scope;
	uint16_t index;
};

enum { INDEX_ALLOCS, INDEX_FREES };
#define INDEX_HOT(sym)	 INDEX_##sym
#define INDEX_CLASS(sym) HAK_C_##sym
#define INDEX_HEAP(sym)	 HAK_C_##sym
#define INDEX_PROC(sym)	 HAK_C_##sym
static const struct place places[] = {
#define COUNTER(id, scope_, sym, name_, ...) \
	{ .name = name_, .scope = HAK_SCOPE_##scope_, .index = INDEX_##scope_(sym) },
#include "control/abi/counters.def"
#undef COUNTER
};

static uint64_t sum_classes(const struct hak_totals *t, const struct place *p)
{
	uint64_t sum = 0;

	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		if (p->scope == HAK_SCOPE_CLASS)
			sum += t->cls[k].cls[p->index];
		else
			sum += p->index == INDEX_ALLOCS ? t->cls[k].allocs : t->cls[k].frees;
	}
	return sum;
}

int hakmem_counter(const char *name, uint64_t *value)
{
	struct hak_totals t;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct place *p = &places[i];

		if (strcmp(p->name, name))
			continue;
		hak_stats_totals(&t);
		if (p->scope == HAK_SCOPE_PROC)
			*value = t.proc[p->index];
		else if (p->scope == HAK_SCOPE_HEAP)
			*value = t.heap[p->index];
		else
			*value = sum_classes(&t, p);
		return 0;
	}
	return -ENOENT;
}

static void fill_stats(struct hakmem_stats *s)
{
	struct hak_totals t;

	hak_stats_totals(&t);
	s->in_use = t.in_use_bytes;
	s->cached = t.cached_bytes;
	s->mapped = t.proc[HAK_C_MEM_MAPPED];
	s->dirty = t.proc[HAK_C_MEM_DIRTY];
	s->lazy = t.proc[HAK_C_MEM_LAZY];
	s->clean = t.proc[HAK_C_MEM_CLEAN];
	s->metadata = t.proc[HAK_C_MEM_META];
	s->alloc_count = t.heap[HAK_C_WHALE_ALLOCS];
	s->free_count = t.heap[HAK_C_WHALE_FREES];
	for (unsigned int k = 0; k < HAK_CLASSES; k++) {
		s->alloc_count += t.cls[k].allocs;
		s->free_count += t.cls[k].frees;
	}
	s->purge_count = t.proc[HAK_C_PURGES];
	s->purged = t.proc[HAK_C_PURGE_BYTES];
}

int hakmem_stats(struct hakmem_stats *stats)
{
	struct hakmem_stats s = { 0 };
	size_t size = stats->size;

	if (size < offsetof(struct hakmem_stats, cached))
		return -EINVAL;
	fill_stats(&s);
	s.size = size < sizeof(s) ? size : sizeof(s);
	memset(stats, 0, size);
	memcpy(stats, &s, s.size);
	return 0;
}

#else

int hakmem_counter(const char *name, uint64_t *value)
{
	(void)name, (void)value;
	return -EOPNOTSUPP;
}

int hakmem_stats(struct hakmem_stats *stats)
{
	(void)stats;
	return -EOPNOTSUPP;
}

#endif

int hakmem_purge(enum hakmem_purge_level level, uint64_t *bytes)
{
	struct hak_purged p;

	if (level < HAKMEM_PURGE_CACHE || level > HAKMEM_PURGE_ALL)
		return -EINVAL;
	hak_attach_copy();
	hak_purge((enum hak_purge_level)level, &p);
	if (bytes)
		*bytes = p.bytes;
	return 0;
}
