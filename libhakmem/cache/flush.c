/* SPDX-License-Identifier: MIT */
/* Giving lists of free blocks back. See flush.h. */
#include "flush.h"

#include "heap/holes.h"
#include "heap/misuse.h"
#include "heap/remote.h"
#include "heap/slablist.h"
#include "page/run.h"

static void give_local(struct hak_cache *c, struct hak_slab *s, struct hak_chain *ch)
{
	*(void **)ch->tail = s->free;
	s->free = ch->head;
	hak_stop("flush.local_half");
	s->nfree += (uint16_t)ch->n;
	s->used -= (uint16_t)ch->n;
	if (s->used <= s->capacity / 16 && c->heap->sparse < HAK_SPARSE_MANY)
		c->heap->sparse++;
	hak_slablist_settle(c, s);
}

static void push_remote(struct hak_cache *c, unsigned int i)
{
	struct hak_slab *s = c->remote[i].slab;
	struct hak_chain ch = c->remote[i].chain;

	c->remote[i].slab = NULL;
	hak_stop("flush.before_push");
	hak_heap_count1(c, REMOTE_PUSH);
	if (hak_remote_push(s, &ch))
		hak_heap_count1(c, REMOTE_QUEUE);
}

static void push_all_remote(struct hak_cache *c)
{
	for (unsigned int i = 0; i < HAK_REMOTE_SLOTS; i++)
		if (c->remote[i].slab)
			push_remote(c, i);
}

/*
 * Gathers blocks of one slab, hashed by slab, because fewer pushes mean fewer atomics on cache
 * lines of other threads.
 */
static void give_remote(struct hak_cache *c, struct hak_slab *s, struct hak_chain *ch)
{
	unsigned int i = (unsigned int)((uintptr_t)s / sizeof(*s)) % HAK_REMOTE_SLOTS;
	struct hak_chain *to = &c->remote[i].chain;

	hak_heap_count_n(c, FREE_REMOTE, ch->n);
	if (c->remote[i].slab != s) {
		if (c->remote[i].slab)
			push_remote(c, i);
		c->remote[i].slab = s;
		*to = *ch;
	} else {
		*(void **)ch->tail = to->head;
		to->head = ch->head;
		to->n += ch->n;
	}
}

/* Returns the number of blocks that go to another heap. */
static uint32_t give(struct hak_cache *c, struct hak_slab *s, struct hak_chain *ch)
{
	bool mine = hak_slab_owner(s) == c;
	uint32_t n = ch->n;

	hak_stop("free.after_owner");
	if (mine)
		give_local(c, s, ch);
	else
		give_remote(c, s, ch);
	return mine ? 0 : n;
}

static bool on_list(const void *p, const void *q, uint32_t n)
{
	for (; q && n; q = *(void *const *)q, n--)
		if (q == p)
			return true;
	return false;
}

void hak_flush_begin(struct hak_cache *c)
{
	c->heap->sparse = 0;
	c->heap->serial += 1 + (c->heap->serial == HAK_KEY_SERIALS);
}

/*
 * Returns whether p is free already. Either p lies on a hole, or this flush put p on a list before.
 * Such a block bears the serial number of the flush. The number alone could stem from 65,535
 * flushes ago, so the block must also be found on the chain at hand or in its slab's own list.
 */
static bool seen_before(struct hak_cache *c, const uintptr_t *p, struct hak_slab *s,
			const struct hak_chain *ch)
{
	if (hak_unlikely(hak_holes_has(s, p)))
		return true;
	if (hak_likely(p[1] != hak_key_of(p, c->heap->serial)))
		return false;
	return on_list(p, ch->head, ch->n) ||
	       (hak_slab_owner(s) == c && on_list(p, s->free, s->nfree));
}

void hak_flush_list(struct hak_cache *c, unsigned int cls, void *p, uint32_t n)
{
	struct hak_slab *s = NULL;
	struct hak_chain ch = { NULL, NULL, 0 };
	uint32_t remote = 0;

	hak_class_count_n(c, FLUSHED, cls, n);
	for (; n; n--) {
		void *next = *(void **)p;
		struct hak_slab *of;

		of = hak_key_is_free(p) ? hak_slab_of(p) : NULL;
		if (hak_unlikely(!of || seen_before(c, p, of, &ch) || !next != (n == 1))) {
			hak_misuse("double free(), or memory written after free():", p);
			break;
		}
		((uintptr_t *)p)[1] = hak_key_of(p, c->heap->serial);
		if (hak_unlikely(!hak_slab_is_block(of, p))) {
			hak_misuse("free() of a pointer inside a block:", p);
			p = next;
			continue;
		}
		if (of != s) {
			if (ch.n)
				remote += give(c, s, &ch);
			s = of;
			ch = (struct hak_chain){ p, p, 0 };
		}
		*(void **)ch.tail = p;
		ch.tail = p;
		ch.n++;
		p = next;
	}
	if (ch.n)
		remote += give(c, s, &ch);
	if (remote)
		hak_class_tally_n(c, FLUSHED_REMOTE, cls, remote);
	push_all_remote(c);
}

bool hak_flush_own(struct hak_cache *c, unsigned int cls, void *p)
{
	struct hak_slab *s = hak_slab_of(p);
	struct hak_chain ch = { p, p, 1 };

	if (hak_slab_owner(s) != c || !hak_slab_is_block(s, p) || hak_holes_has(s, p))
		return false;
	((uintptr_t *)p)[1] = hak_key_of(p, 0);
	hak_bin_count_given(c, cls);
	give_local(c, s, &ch);
	return true;
}

uint32_t hak_flush_runs(struct hak_cache *c, unsigned int cls, void *p, uint32_t all)
{
	uint32_t n = 0;

	while (p) {
		void *next;

		if (hak_unlikely(!hak_run_is_cached(p, cls))) {
			hak_misuse("double free(), or memory written after free():", p);
			n = all; /* the rest is lost */
			break;
		}
		next = *(void **)p;
		hak_run_release(p);
		p = next;
		n++;
	}
	hak_class_count_n(c, FLUSHED, cls, n);
	return n;
}

void hak_cache_flush_remote(struct hak_cache *c)
{
	hak_heap_busy(c);
	push_all_remote(c);
	hak_heap_idle(c);
}
