/* SPDX-License-Identifier: MIT */
/*
 * For map.test: a process with a segment (fake.h) and a heap that are made up. Its structures have
 * another layout than those of the library, which hakmemctl map has to read by the rows.
 *
 *	mapliar none	tells no layout
 *	mapliar version	another version of the layout
 *	mapliar names	other rows
 *	mapliar outside	a member outside of its structure
 *	mapliar wide	a member that is larger than a number
 *	mapliar long	records of slices that make a window far larger than it is
 *	mapliar nowhere	a list of extents that is not mapped
 *	mapliar empty	a heap without anything
 *	mapliar loop	a list of extents that is a ring
 *	mapliar chain	a long list of extents that are nowhere
 *	mapliar slabs	a good slab, and four that contradict themselves
 *	mapliar large	a slab of a class whose blocks are larger than a slab
 *	mapliar crowd N	good slabs in N windows of 4 GiB
 *	mapliar ends N	the last slices of kept regions there
 *	mapliar secret	a slab of resident pages that no other process can read; ends with 77 where
 *			the kernel has no such memory
 *	mapliar regions	a good region, and five that contradict themselves
 *	mapliar windows	an address map that is full
 *	mapliar flood	the same, with slabs that contradict themselves
 *	mapliar random SEED	random bytes
 * Prints "ready", and waits for the end of stdin.
 */
#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/missing.h"
#include "tests/control/fake.h"

enum { UNIT = 4096, SLICE = 65536, EXTENT = 2 << 20, LEAF_SLICES = 65536, LEAVES = 256 };
enum { FOREIGN, SLAB, RUNS, WHALE, KEPT };

struct slice {
	uint32_t kind, unused;
	uint64_t word;
};
struct slab {
	uint32_t cls, state;
	uint16_t carved, capacity, free, dropped, holes;
	uint64_t used, remote, base;
};
struct extent {
	uint8_t start[512], used[64], dirty[64];
	uint64_t next, base;
	uint32_t kind;
};
struct extents {
	uint32_t count, unused;
	uint64_t all;
};
struct region {
	uint64_t requested, bytes, base;
	uint32_t state, in_use;
};

static const uint64_t at = (uint64_t)7 << 32; /* where the heap is said to be */
static struct hak_structs structs = { .magic = HAK_STRUCTS_MAGIC,
				      .version = HAK_STRUCTS_VERSION,
				      .bytes = sizeof(structs),
				      .names =
#include "control/abi/structs.def"
};
static struct extents extents;
static struct extent extent[2];
static struct region region[6];
static uint64_t leaves[LEAVES];
static struct leaf {
	struct slice slice[LEAF_SLICES];
	struct slab slab[LEAF_SLICES];
} * leaf;

#define PLACE(sym, type, member)                                                            \
	structs.row[HAK_S_##sym] = (struct hak_struct_place)                                \
	{                                                                                   \
		offsetof(struct type, member), (uint32_t)sizeof(((struct type *)0)->member) \
	}
#define NUMBER(sym, number) structs.row[HAK_S_##sym].at = (uint32_t)(number)

static void describe(void)
{
	NUMBER(LEAVES, LEAVES);
	NUMBER(LEAF_SLICES, LEAF_SLICES);
	NUMBER(LEAF_FIRST_SLICE, 0);
	NUMBER(LEAF_FIRST_SLAB, offsetof(struct leaf, slab));
	NUMBER(SLICE_BYTES, SLICE);
	NUMBER(SLICE, sizeof(struct slice));
	PLACE(SLICE_WORD, slice, word);
	PLACE(SLICE_KIND, slice, kind);
	NUMBER(KIND_SLAB, SLAB);
	NUMBER(KIND_RUNS, RUNS);
	NUMBER(KIND_WHALE, WHALE);
	NUMBER(KIND_KEPT, KEPT);
	NUMBER(UNIT_BYTES, UNIT);
	NUMBER(SLAB_UNITS, 16);
	NUMBER(SLAB, sizeof(struct slab));
	PLACE(SLAB_BASE, slab, base);
	PLACE(SLAB_USED, slab, used);
	PLACE(SLAB_FREE, slab, free);
	PLACE(SLAB_DROPPED, slab, dropped);
	PLACE(SLAB_CARVED, slab, carved);
	PLACE(SLAB_CAPACITY, slab, capacity);
	PLACE(SLAB_CLASS, slab, cls);
	PLACE(SLAB_HOLES, slab, holes);
	PLACE(SLAB_STATE, slab, state);
	PLACE(SLAB_REMOTE, slab, remote);
	NUMBER(REMOTE_SHIFT, 16);
	NUMBER(STATE_POOLED, 3);
	NUMBER(STATE_POOLED_FULL, 4);
	NUMBER(KEY_BITS, 48);
	NUMBER(EXTENT_UNITS, 512);
	NUMBER(EXTENT, sizeof(struct extent));
	PLACE(EXTENT_BASE, extent, base);
	PLACE(EXTENT_NEXT, extent, next);
	PLACE(EXTENT_KIND, extent, kind);
	PLACE(EXTENT_USED, extent, used);
	PLACE(EXTENT_DIRTY, extent, dirty);
	PLACE(EXTENT_START, extent, start);
	NUMBER(EXTENTS, sizeof(struct extents));
	PLACE(EXTENTS_ALL, extents, all);
	PLACE(EXTENTS_COUNT, extents, count);
	NUMBER(EXTENT_FREE, 0);
	NUMBER(EXTENT_SLABS, 1);
	NUMBER(EXTENT_RUNS, 2);
	NUMBER(RUN_CACHED, 0x80);
	NUMBER(REGION, sizeof(struct region));
	PLACE(REGION_BASE, region, base);
	PLACE(REGION_BYTES, region, bytes);
	PLACE(REGION_REQUESTED, region, requested);
	PLACE(REGION_STATE, region, state);
	PLACE(REGION_IN_USE, region, in_use);
	NUMBER(REGION_DIRTY, 0);
	NUMBER(REGION_LAZY, 1);
	NUMBER(REGION_CLEAN, 2);
}

static void name(uint32_t i, uint32_t kind, const void *owner)
{
	leaf->slice[i] = (struct slice){ kind, 0, owner ? (uintptr_t)owner : 1 };
}

/* Slabs of class 3, 64 bytes. The first one is good, and was not touched. */
static void slabs(void)
{
	for (uint32_t i = 0; i < 5; i++) {
		name(i, SLAB, NULL);
		leaf->slab[i] = (struct slab){ .base = at + i * SLICE, .cls = 3, .capacity = 1024 };
		leaf->slab[i].carved = leaf->slab[i].used = 9;
	}
	leaf->slab[1].cls = 200;
	leaf->slab[2].carved = leaf->slab[2].used = 2000;
	leaf->slab[3].base = 0;
	leaf->slab[4].used = (uint64_t)9 - 10; /* the sum is right */
	leaf->slab[4].free = 10;
}

static void *new_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	return memory;
}

static void chain(void)
{
	enum { LINKS = 70000 };
	struct extent *e = new_memory(LINKS * sizeof(*e));

	leaves[at >> 32] = 0;
	extents.all = (uintptr_t)e;
	for (int i = 0; i + 1 < LINKS; i++)
		e[i].next = (uintptr_t)&e[i + 1];
}

/* Fills windows with good slabs, or with the last slices of kept regions. */
static void crowd(uint32_t windows, uint32_t kind)
{
	for (uint32_t w = 0; w < windows; w++) {
		struct leaf *l = new_memory(sizeof(*l));
		struct region *r = new_memory(LEAF_SLICES * sizeof(*r));

		leaves[7 + w] = (uintptr_t)l;
		for (uint32_t i = 0; i < LEAF_SLICES; i++) {
			const uint64_t base = at + ((uint64_t)w << 32) + (uint64_t)i * SLICE;

			l->slice[i] = (struct slice){ kind, 0, (uintptr_t)&r[i] };
			if (kind == SLAB)
				l->slab[i] =
					(struct slab){ .base = base, .cls = 3, .capacity = 1024 };
			else
				r[i] = (struct region){ .base = base - SLICE, .bytes = 2 * SLICE };
		}
	}
}

static void large(struct fake *f)
{
	f->class_size[3] = 1 << 20;
	name(0, SLAB, NULL);
	leaf->slab[0] = (struct slab){ .base = at, .cls = 3 };
}

/* The place is in no memory that the address sanitizer knows. */
__attribute__((no_sanitize_address)) static void secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);
	volatile char *memory;

	if (fd < 0)
		exit(77);
	memory = mmap((void *)(uintptr_t)at, SLICE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		      fd, 0);
	if (ftruncate(fd, SLICE) < 0 || memory == MAP_FAILED)
		exit(77);
	for (int i = 0; i < SLICE; i += UNIT)
		memory[i] = 1;
	name(0, SLAB, NULL);
	leaf->slab[0] = (struct slab){ .base = at, .cls = 3, .capacity = 1024 };
	leaf->slab[0].carved = leaf->slab[0].used = 9;
}

/* The first one is good; the second overlaps it. */
static void regions(void)
{
	for (uint32_t i = 0; i < 6; i++) {
		region[i] =
			(struct region){ .base = at + i * SLICE, .bytes = 2 * SLICE, .in_use = 1 };
		name(i, WHALE, &region[i]);
	}
	region[2].bytes = 0;
	region[3].bytes = (uint64_t)1 << 60;
	region[4].base = 12345;
	name(5, KEPT, (void *)4096);
}

static void randomize(unsigned seed)
{
	srandom(seed);
	for (uint32_t i = 0; i < LEAF_SLICES; i++) {
		struct slab *s = &leaf->slab[i];

		for (size_t k = 0; k < sizeof(*s) && i < 512; k++)
			((unsigned char *)s)[k] = (unsigned char)random();
		if (i < 512 && random() % 4) {
			s->base = at + i * SLICE;
			s->cls %= 70;
			s->capacity = (uint16_t)(SLICE / (16 * (s->cls + 1)));
			s->carved = (uint16_t)(s->carved % (s->capacity + 1));
			s->used = s->carved;
			s->free = s->dropped = 0;
		}
		if (i < 512 || random() % 1000 == 0)
			name(i, (uint32_t)random() % 6, &region[random() % 6]);
	}
	for (size_t k = 0; k < sizeof(extent); k++)
		((unsigned char *)extent)[k] = (unsigned char)random();
	extent[0].base = at + (uint64_t)(random() % 3) * EXTENT;
	extent[1].base = at + EXTENT;
	extent[0].kind = 2;
	extent[1].kind = (uint32_t)random() % 4;
	extent[0].next = (uintptr_t)&extent[1];
	extent[1].next = 0;
	extents.all = (uintptr_t)&extent[0];
	for (uint32_t i = 0; i < 6; i++)
		region[i] = (struct region){ .base = at + (uint64_t)(random() % 600) * SLICE,
					     .bytes = (uint64_t)(random() % 9) * SLICE,
					     .state = (uint32_t)random() % 4,
					     .in_use = (uint32_t)random() % 2 };
}

static void lie(const char *what, const char *number)
{
	const struct {
		const char *word;
		enum hak_struct_row row;
	} rows[] = { { "outside", HAK_S_EXTENT_NEXT }, { "wide", HAK_S_SLAB_USED } };

	if (strcmp(what, "version") == 0)
		structs.version++;
	if (strcmp(what, "names") == 0)
		structs.names[3] ^= 1;
	if (strcmp(what, rows[0].word) == 0)
		structs.row[rows[0].row].at = sizeof(struct extent) - 4;
	if (strcmp(what, rows[1].word) == 0)
		structs.row[rows[1].row].bytes = 16;
	if (strcmp(what, "long") == 0)
		NUMBER(SLICE, 4096);
	if (strcmp(what, "loop") == 0) {
		extents.all = extent[0].next = (uintptr_t)&extent[1];
		extent[1].next = (uintptr_t)&extent[0];
		extent[0].base = extent[1].base = at;
	}
	if (strcmp(what, "slabs") == 0)
		slabs();
	if (strcmp(what, "chain") == 0)
		chain();
	if (strcmp(what, "crowd") == 0)
		crowd((uint32_t)atoi(number), SLAB);
	if (strcmp(what, "ends") == 0)
		crowd((uint32_t)atoi(number), KEPT);
	if (strcmp(what, "secret") == 0)
		secret();
	if (strcmp(what, "regions") == 0)
		regions();
	for (uint32_t i = 0; strcmp(what, "flood") == 0 && i < LEAF_SLICES; i++)
		name(i, SLAB, NULL);
	for (int i = 0; (strcmp(what, "windows") == 0 || strcmp(what, "flood") == 0) && i < LEAVES;
	     i++)
		leaves[i] = (uintptr_t)leaf;
	if (strcmp(what, "random") == 0)
		randomize((unsigned)atoi(number));
}

int main(int argc, char **argv)
{
	struct fake f;
	char byte;

	if (argc < 2)
		return 2;
	leaf = new_memory(sizeof(*leaf));
	describe();
	leaves[at >> 32] = (uintptr_t)leaf;
	lie(argv[1], argc > 2 ? argv[2] : "0");
	fake_create(&f);
	f.header->structs = strcmp(argv[1], "none") == 0 ? 0 : (uintptr_t)&structs;
	if (strcmp(argv[1], "large") == 0)
		large(&f);
	f.header->leaves = (uintptr_t)leaves;
	f.header->extents = strcmp(argv[1], "nowhere") == 0 ? 4096 : (uintptr_t)&extents;
	fake_seal(&f);
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	return read(STDIN_FILENO, &byte, 1) != 0;
}
