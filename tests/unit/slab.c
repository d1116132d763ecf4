// SPDX-License-Identifier: MIT
/*
 * libhakmem/heap/holes.c, slab.c and remote.c: one slab of each class. Its blocks are carved,
 * handed out, given back by other threads, and put on holes at random, beside a model that knows
 * where each block is. A block in use keeps its contents whichever pages are given back; every
 * other block is handed out again.
 */
#include "../../libhakmem/heap/holes.c"

#include <string.h>

#include "libhakmem/page/extent.h"
#include "libhakmem/process/attach.h"
#include "libhakmem/heap/heap.h"
#include "libhakmem/heap/remote.h"
#include "unit.h"

enum { STEPS = 600, BLOCKS = HAK_SLAB_BYTES / 16 };
enum { FRESH, TAKEN, ON_ITS_WAY, BACK };

static struct hak_cache *cache;
static struct hak_slab *slab;
static size_t size;
static uint8_t state[BLOCKS];
static unsigned int count[4];

/* ---- arithmetic ---- */

static void blocks_and_pages(unsigned int cls)
{
	struct hak_slab s = { .base = (char *)HAK_SLAB_BYTES, .cls = (uint8_t)cls };
	size_t bytes = hak_class_size(cls);

	for (uint32_t offset = 0; offset < HAK_SLAB_BYTES; offset++) {
		CHECK(index_of(&s, offset) == offset / bytes, "class %u, offset %u", cls, offset);
		CHECK(hak_slab_is_block(&s, s.base + offset) ==
			      (offset % bytes == 0 && offset + bytes <= HAK_SLAB_BYTES),
		      "class %u, offset %u", cls, offset);
	}
	for (uint32_t offset = 0; offset + bytes <= HAK_SLAB_BYTES; offset += bytes) {
		unsigned int pages = 0;

		for (unsigned int page = 0; page < HAK_SLAB_UNITS; page++)
			if (offset < (page + 1) * HAK_UNIT && offset + bytes > page * HAK_UNIT)
				pages |= 1u << page;
		CHECK(pages_of(offset, bytes) == pages, "class %u, offset %u", cls, offset);
	}
}

/* ---- the model ---- */

static uint32_t number_of(const void *p)
{
	size_t offset = (size_t)((const char *)p - slab->base);

	CHECK(offset < HAK_SLAB_BYTES && offset % size == 0, "%zu", offset);
	return (uint32_t)(offset / size);
}

static void become(uint32_t i, unsigned int from, unsigned int to)
{
	CHECK(state[i] == from, "block %u of %zu: %u, not %u", i, size, state[i], from);
	state[i] = (uint8_t)to;
	count[from]--;
	count[to]++;
}

static uint64_t word_of(uint32_t i, size_t at)
{
	return i * 0x9e3779b97f4a7c15u + at + 1;
}

static void hand_out(void *p, unsigned int from)
{
	uint32_t i = number_of(p);

	become(i, from, TAKEN);
	for (size_t at = 0; at < size; at += 8)
		((uint64_t *)p)[at / 8] = word_of(i, at);
}

static void check(void)
{
	unsigned int listed = 0, dropped = 0, holes = 0;
	uint8_t seen[BLOCKS] = { 0 };

	CHECK(slab->carved == slab->capacity - count[FRESH], "%u carved", slab->carved);
	CHECK(slab->used == count[TAKEN] + count[ON_ITS_WAY], "%u used, not %u", slab->used,
	      count[TAKEN]);
	for (void *p = slab->free; p; p = *(void **)p, listed++) {
		CHECK(state[number_of(p)] == BACK && !seen[number_of(p)]++, "block %u listed",
		      number_of(p));
		CHECK(!hak_holes_has(slab, p), "block %u on a hole", number_of(p));
	}
	for (uint32_t i = 0; i < slab->capacity; i++) {
		bool in_hole = hak_holes_has(slab, slab->base + i * size);

		CHECK(!in_hole || state[i] == BACK, "a hole under block %u: %u", i, state[i]);
		dropped += in_hole;
	}
	CHECK(slab->nfree == listed && slab->dropped == dropped, "%u listed, %u dropped", listed,
	      dropped);
	CHECK(listed + dropped == count[BACK], "%u listed, %u dropped, %u", listed, dropped,
	      count[BACK]);
	for (unsigned int page = 0; page < HAK_SLAB_UNITS; page++)
		holes += slab->holes >> page & 1;
#if HAK_CONTROL
	CHECK(hak_proc_read(HAK_C_MEM_SLAB) % HAK_SLAB_BYTES == -holes * HAK_UNIT % HAK_SLAB_BYTES,
	      "%u holes", holes);
#endif
	hak_slab_check(slab);
}

/* ---- what happens to it ---- */

static void take(void)
{
	struct hak_chain chain;

	if (!slab->free && !hak_holes_untrim(slab)) {
		uint32_t n = hak_slab_carve(slab, 1 + random_below(8), &chain);
		char *p = n ? chain.head : NULL, *next;

		for (; n; n--, p = next) {
			next = *(char **)p;
			CHECK(hak_key_is_free(p) && !next == (n == 1), "carved");
			hand_out(p, FRESH);
		}
		return;
	}
	for (unsigned int n = 1 + random_below(8); n && slab->free; n--) {
		void *p = slab->free;

		slab->free = *(void **)p;
		slab->nfree--;
		slab->used++;
		hand_out(p, BACK);
	}
}

/* Gives a chain of blocks in use to the owner, of blocks close together or anywhere. */
static void give(void)
{
	struct hak_chain chain = { 0 };
	uint32_t i = random_below(slab->capacity), step = 1 + random_below(3);
	bool queued = HAK_REMOTE_QUEUED & atomic_load(&slab->remote);

	for (unsigned int n = 1 + random_below(24); n && i < slab->capacity; n--, i += step) {
		char *p = slab->base + i * size;

		if (state[i] != TAKEN)
			continue;
		for (size_t at = 0; at < size; at += 8)
			CHECK(((uint64_t *)p)[at / 8] == word_of(i, at), "block %u of %zu, at %zu",
			      i, size, at);
		become(i, TAKEN, ON_ITS_WAY);
		*(void **)p = chain.head;
		((uintptr_t *)p)[1] = hak_key_of(p, 0);
		chain.head = p;
		if (!chain.n++)
			chain.tail = p;
	}
	if (!chain.n)
		return;
	CHECK(hak_remote_push(slab, &chain) == !queued, "queued %d", queued);
	CHECK(HAK_REMOTE_COUNT(atomic_load(&slab->remote)) == count[ON_ITS_WAY], "count");
}

static void came_home(uint32_t blocks)
{
	CHECK(blocks == count[ON_ITS_WAY], "%u of %u", blocks, count[ON_ITS_WAY]);
	for (uint32_t i = 0; i < slab->capacity; i++)
		if (state[i] == ON_ITS_WAY)
			become(i, ON_ITS_WAY, BACK);
}

static void collect(void)
{
	bool queued = HAK_REMOTE_QUEUED & atomic_load(&slab->remote);
	struct hak_slab *s;
	uint32_t n = 0;

	if (random_below(2)) {
		came_home(hak_remote_take(slab));
		CHECK(queued == !!(HAK_REMOTE_QUEUED & atomic_load(&slab->remote)), "QUEUED");
		return;
	}
	s = hak_mpsc_take(&cache->heap->remote);
	CHECK(s == (queued ? slab : NULL), "queued %d", queued);
	if (!s)
		return;
	CHECK(!hak_remote_drain(s, &n) && !atomic_load(&slab->remote), "drained");
	came_home(n);
}

/* Afterwards every page that no block in use needs is a hole, if trimming is worth it. */
static void trim(void)
{
	bool worth = slab->nfree * size >= HAK_UNIT && hak_page == HAK_UNIT;
	size_t carved = slab->carved * size;

	hak_holes_trim(slab);
	check();
	for (size_t page = 0; worth && (page + 1) * HAK_UNIT <= carved; page++) {
		uint32_t i = (uint32_t)(page * HAK_UNIT / size);
		bool used = false;

		for (; i < slab->carved && i * size < (page + 1) * HAK_UNIT; i++)
			used |= state[i] != BACK;
		CHECK(used != (slab->holes >> page & 1), "class of %zu, page %zu", size, page);
	}
}

static void one_slab(unsigned int cls)
{
	bool fresh;

	slab = hak_slab_new(cache, cls, &fresh);
	size = hak_class_size(cls);
	CHECK(slab && slab->capacity == HAK_SLAB_BYTES / size, "class %u", cls);
	memset(state, FRESH, sizeof(state));
	memset(count, 0, sizeof(count));
	count[FRESH] = slab->capacity;
	for (unsigned int i = 0; i < STEPS; i++) {
		unsigned int what = random_below(100), full = (i / 100) % 2 ? 25 : 60;

		if (what < full)
			take();
		else if (what < 85)
			give();
		else if (what < 95)
			collect();
		else
			trim();
		if (i % 8 == 0)
			check();
	}
	while (count[TAKEN])
		give();
	while (count[ON_ITS_WAY] || atomic_load(&slab->remote))
		collect();
	check();
	CHECK(hak_slab_idle(slab), "not idle");
	/* the slab is wholly free: all carved pages become holes, and come back */
	trim();
	CHECK(hak_page != HAK_UNIT || slab->holes == (1u << slab->carved * size / HAK_UNIT) - 1,
	      "class %u: holes %#x", cls, slab->holes);
	while (cls % 2 && count[BACK])
		take();
	CHECK(!(cls % 2) || (!slab->holes && !slab->dropped), "lost");
	while (count[TAKEN])
		give();
	while (count[ON_ITS_WAY] || atomic_load(&slab->remote))
		collect();
	hak_slab_release(slab);
#if HAK_CONTROL
	CHECK(hak_proc_read(HAK_C_MEM_SLAB) % HAK_SLAB_BYTES == 0, "class %u", cls);
#endif
	CHECK(!hak_slice_kind(hak_slice(slab->base)) && !hak_slice_tag(slab->base), "mark");
}

static void even_classes(void)
{
	cache = hak_heap_attach();
	for (unsigned int cls = 0; cls < HAK_SLAB_CLASSES; cls += 2) {
		blocks_and_pages(cls);
		one_slab(cls);
	}
}

static void odd_classes(void)
{
	cache = hak_heap_attach();
	for (unsigned int cls = 1; cls < HAK_SLAB_CLASSES; cls += 2) {
		blocks_and_pages(cls);
		one_slab(cls);
	}
}

#if HAK_DEBUG
/* A block's page is a hole, some blocks are on the list, one is on its way. */
static void slab_in_all_states(void)
{
	enum { CLS = 7, PER_PAGE = HAK_UNIT / 128 };
	struct hak_chain chain;
	bool fresh;
	char *p;

	cache = hak_heap_attach();
	slab = hak_slab_new(cache, CLS, &fresh);
	size = hak_class_size(CLS);
	CHECK(slab && size == HAK_UNIT / PER_PAGE, "class of %zu", size);
	for (unsigned int n = 0; n < 3 * PER_PAGE; n += chain.n)
		CHECK(hak_slab_carve(slab, 3 * PER_PAGE - n, &chain), "no memory");
	for (unsigned int i = 0; i < 2 * PER_PAGE; i++) {
		p = slab->base + i * size;
		*(void **)p = i ? p - size : NULL;
	}
	chain = (struct hak_chain){ p - size, slab->base, 2 * PER_PAGE - 1 };
	slab->free = chain.head;
	slab->nfree = (uint16_t)chain.n;
	slab->used -= (uint16_t)chain.n;
	chain = (struct hak_chain){ p, p, 1 };
	hak_remote_push(slab, &chain);
	hak_holes_trim(slab);
	CHECK(slab->nfree && slab->used == PER_PAGE + 1, "%u free, %u used", slab->nfree,
	      slab->used);
	hak_slab_check(slab);
}

#define SLAB_FINDS(text, ...) FINDS(text, hak_slab_check(slab), __VA_ARGS__)

static void corruption_is_found(void)
{
	slab_in_all_states();
	SLAB_FINDS("s->base && ", slab->base += size);
	SLAB_FINDS("hak_slab_of(s->base) == s", slab->base += HAK_EXTENT);
	SLAB_FINDS("s->state > HAK_SLAB_NONE && ", slab->state = HAK_SLAB_NONE);
	SLAB_FINDS("s->state > HAK_SLAB_NONE && ", slab->state = HAK_SLAB_POOLED_FULL + 1);
	SLAB_FINDS("s->cls < HAK_SLAB_CLASSES", slab->cls = HAK_SLAB_CLASSES);
	SLAB_FINDS("s->capacity == ", slab->capacity--);
	SLAB_FINDS("s->used + s->nfree + s->dropped == s->carved", slab->used++);
	SLAB_FINDS("s->used + s->nfree + s->dropped == s->carved", slab->used += 1000;
		   slab->carved += 1000);
	SLAB_FINDS("hak_slice_kind(hak_slab_slice(s)) == HAK_SLAB",
		   hak_slice_clear(hak_slab_slice(slab)));
	SLAB_FINDS("hak_slab_slice(s)->cls == s->cls", hak_slab_slice(slab)->cls++);
	SLAB_FINDS("hak_slice_tag(s->base) == ", hak_slice_set_tag(slab->base, 1));
	SLAB_FINDS("!s->extent || ", slab->extent->base += HAK_EXTENT);
	SLAB_FINDS("hak_slab_is_block(s, p)", slab->free = (char *)slab->free + 16);
	SLAB_FINDS("offset / hak_class_size(s->cls) < s->carved",
		   slab->free = slab->base + slab->carved * size);
	SLAB_FINDS("n < s->nfree", *(void **)slab->free = slab->free);
	SLAB_FINDS("n == s->nfree", *(void **)slab->free = NULL);
	SLAB_FINDS("!first == !HAK_REMOTE_COUNT(w)", slab->remote &= ~0xffffull);
	SLAB_FINDS("!first || (w & HAK_REMOTE_QUEUED)", slab->remote &= ~HAK_REMOTE_QUEUED);
	SLAB_FINDS("!(w >> 33)", slab->remote |= 1ull << 40);
	SLAB_FINDS("HAK_REMOTE_COUNT(w) <= s->used", slab->remote += 100ull << 16);
	SLAB_FINDS("!first || hak_slab_is_block", slab->remote++);
	if (hak_page == HAK_UNIT) {
		CHECK(slab->holes == 1, "holes %#x", slab->holes);
		SLAB_FINDS("!on_hole(s, offset)", slab->free = slab->base);
		SLAB_FINDS("!(s->holes >> ", slab->holes |= 1u << 3);
		SLAB_FINDS("dropped == s->dropped", slab->dropped--; slab->used++);
		SLAB_FINDS("dropped == s->dropped", slab->holes = 0);
	}
	hak_slab_check(slab);
}
#endif

static const struct tcase cases[] = {
	{ "even_classes", even_classes },
	{ "odd_classes", odd_classes },
#if HAK_DEBUG
	{ "corruption_is_found", corruption_is_found },
#endif
};

CASES(cases)
