/* SPDX-License-Identifier: MIT */
/*
 * A process with a segment of the test's own (fake.h). Its figures agree with each other, except
 * for one relation, which hakmemctl check must find.
 *
 * 	spoiled		prints the names of all relations, a line each
 * 	spoiled NAME	breaks that relation, or none if NAME is "none"; prints "ready" and waits
 * 			for the end of stdin
 * With a second argument the process also looks like a child of fork().
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/control/fake.h"

enum { MIB = 1 << 20, RUNS = HAK_SLAB_CLASSES, PENDING = HAK_T_WHALE_RING_SLOTS };

#define HOT(k)	      fake_heap(f, 0)->hot[k]
#define CLASS(sym, k) fake_heap(f, 0)->cls[HAK_C_##sym][k]
#define HEAP(sym)     fake_heap(f, 0)->heap[HAK_C_##sym]
#define PROC(sym)     f->proc[HAK_C_##sym]
#define VALUE(sym)    f->ack->value[HAK_T_##sym]

static void sound_blocks(struct fake *f)
{
	HOT(0).allocs = 10, HOT(0).frees = 4;
	CLASS(REFILLED, 0) = 20, CLASS(FLUSHED, 0) = 8, CLASS(FLUSHED_REMOTE, 0) = 2;
	CLASS(REQ_SAMPLES, 0) = 3, CLASS(REQ_BYTES, 0) = 3 * f->class_size[0];
	HOT(RUNS).allocs = 3, HOT(RUNS).frees = 1;
	CLASS(REFILLED, RUNS) = 3, CLASS(FLUSHED, RUNS) = 1;
	HEAP(REFILL_RUN) = 3;
	HEAP(FREE_REMOTE) = 2;
	HEAP(REMOTE_PUSH) = HEAP(REMOTE_QUEUE) = 1;
	HEAP(REMOTE_DRAIN) = HEAP(POOL_PUT) = HEAP(REFILL_POOL) = 1;
	HEAP(REFILL_OWN) = HEAP(REFILL_CARVE) = 1, HEAP(REFILL_REMOTE) = 1;
	HEAP(REFILL_NEW_SLAB) = HEAP(REFILL_NEW_SUPERSLAB) = 1;
	HEAP(SLOW_FREE) = 9, HEAP(FREE_LOADER) = 1, HEAP(FREE_TRIP) = HEAP(FREE_FLUSH) = 2;
	HEAP(REALLOC_COPY) = 2, HEAP(REALLOC_COPY_BYTES) = 2, HEAP(CALLOC_SKIP) = 1;
	HEAP(REALLOC_REMAP) = PROC(MREMAP_CALLS) = 1;
	HEAP(PROFILE_SAMPLES) = 2, HEAP(PROFILE_FREES) = 1, HEAP(PROFILE_BYTES) = 2;
}

static void sound_whales(struct fake *f)
{
	HEAP(WHALE_ALLOCS) = 5, HEAP(WHALE_HITS) = 4, HEAP(WHALE_MISSES) = 1;
	HEAP(WHALE_FREES) = 3, HEAP(WHALE_PUTS) = 2, HEAP(WHALE_UNKEPT) = 1;
	HEAP(WHALE_ALLOC_BYTES) = 10 * MIB, HEAP(WHALE_FREE_BYTES) = 6 * MIB;
	HEAP(WHALE_REQ_ALLOC) = 9 * MIB, HEAP(WHALE_REQ_FREE) = 5 * MIB;
	HEAP(WHALE_GET_SAMPLES) = HEAP(WHALE_PUT_SAMPLES) = 1;
	PROC(RING_SPLITS) = 5, PROC(RING_MERGES) = PROC(RING_UNMAPS) = 1;
}

static void sound_memory(struct fake *f)
{
	PROC(RING_REGIONS) = 4, PROC(RING_BYTES) = 8 * MIB, PROC(RING_DIRTY) = 6 * MIB;
	PROC(MEM_MAPPED) = 12 * MIB;
	PROC(MEM_DIRTY) = 7 * MIB, PROC(MEM_LAZY) = MIB, PROC(MEM_CLEAN) = 2 * MIB;
	PROC(MEM_SLAB) = PROC(MEM_RUN) = 65536;
	PROC(SUPERSLABS) = PROC(SUPERSLABS_THP) = PROC(EXTENTS) = 1;
	PROC(SLABS) = 2, PROC(SLABS_SINGLE) = PROC(SLABS_POOLED) = 1;
	PROC(HEAPS_LIVE) = 1;
	f->lazy->count = 1;
	f->lazy->range[0].addr = (uintptr_t)f->map;
	f->lazy->range[0].bytes = 4096;
}

/* One value from an administrator, and the answer to one request. */
static void sound_control(struct fake *f)
{
	f->tune->slot[PENDING].admin = (struct hak_tune_slot){ .value = 7, .set = 1 };
	f->tune->generation_seq = 4;
	f->tune->purge_request = 9 << 8 | HAK_PURGE_DIRTY;
	if (!fake_apply(f) || !fake_answer(f, 1, 1))
		errx(99, "the segment does not obey");
}

/* -- one relation each ------------------------------------------------------------------------- */
static void fall(struct fake *f)
{
	HEAP(FREE_NULL) = 1ull << 62;
}

static void blocks_in_use(struct fake *f)
{
	HOT(0).frees = 11;
}

static void blocks_in_caches(struct fake *f)
{
	CLASS(FLUSHED, 0) = 15;
}

static void blocks_of_others(struct fake *f)
{
	CLASS(FLUSHED_REMOTE, 0) = HEAP(FREE_REMOTE) = 9;
}

static void remote_buffer(struct fake *f)
{
	HEAP(FREE_REMOTE) = 1;
}

static void remote_queue(struct fake *f)
{
	HEAP(REMOTE_QUEUE) = 2;
}

static void requested_sizes(struct fake *f)
{
	CLASS(REQ_BYTES, 0)++;
}

static void runs(struct fake *f)
{
	HEAP(REFILL_RUN) = 2;
}

static void bytes_in_blocks(struct fake *f)
{
	PROC(MEM_RUN) = 0;
}

static void remote_drain(struct fake *f)
{
	HEAP(REMOTE_DRAIN) = 1 + f->ack->heaps_populated + 1;
}

static void pool(struct fake *f)
{
	HEAP(REFILL_POOL) = 1 + f->ack->heaps_populated + 1;
}

static void refills(struct fake *f)
{
	HEAP(REFILL_OWN) = 3;
}

static void sources_of_refills(struct fake *f)
{
	CLASS(REQ_SAMPLES, 0) = 6 + f->ack->heaps_populated + 1;
}

static void new_slabs(struct fake *f)
{
	HEAP(REFILL_NEW_SUPERSLAB) = 2;
}

static void slow_frees(struct fake *f)
{
	HEAP(FREE_LOADER) = 7;
}

static void full_bins(struct fake *f)
{
	HEAP(FREE_TRIP) = 10;
}

static void flushes(struct fake *f)
{
	HEAP(FREE_FLUSH) = 3;
}

static void copies(struct fake *f)
{
	HEAP(CALLOC_SKIP) = 17;
}

static void bytes_copied(struct fake *f)
{
	HEAP(REALLOC_COPY) = 2 + f->ack->heaps_populated + 1;
}

static void moves(struct fake *f)
{
	HEAP(REALLOC_REMAP) = 2;
}

static void regions_gone(struct fake *f)
{
	PROC(RING_MERGES) = 5;
}

static void weights(struct fake *f)
{
	HEAP(PROFILE_SAMPLES) = 2 + f->ack->heaps_populated + 1;
}

static void whales_in_use(struct fake *f)
{
	HEAP(WHALE_FREES) = 6, HEAP(WHALE_UNKEPT) = 4;
}

static void whale_bytes_in_use(struct fake *f)
{
	HEAP(WHALE_FREE_BYTES) = 10 * MIB + 1;
}

static void whale_bytes_requested(struct fake *f)
{
	HEAP(WHALE_REQ_FREE) = 9 * MIB + 1;
}

static void whales_served(struct fake *f)
{
	HEAP(WHALE_ALLOCS) = 6;
}

static void whales_found(struct fake *f)
{
	HEAP(WHALE_HITS) = 4 + f->ack->heaps_populated + 1;
}

static void whales_put(struct fake *f)
{
	HEAP(WHALE_PUTS) = 3;
}

static void whales_freed(struct fake *f)
{
	HEAP(WHALE_PUTS) = HEAP(WHALE_UNKEPT) = HEAP(WHALE_PUT_SAMPLES) = 0;
}

static void timed_gets(struct fake *f)
{
	HEAP(WHALE_GET_SAMPLES) = 4 + f->ack->heaps_populated + 1;
}

static void timed_puts(struct fake *f)
{
	HEAP(WHALE_PUT_SAMPLES) = 3;
}

static void regions_in_use(struct fake *f)
{
	PROC(RING_REGIONS) = 1;
}

static void region_bytes_in_use(struct fake *f)
{
	HEAP(WHALE_ALLOC_BYTES) = 14 * MIB + 1;
}

static void region_bytes(struct fake *f)
{
	PROC(RING_BYTES) = 12 * MIB + 1;
}

static void dirty_regions(struct fake *f)
{
	PROC(RING_DIRTY) = PROC(MEM_DIRTY) = 8 * MIB + 1;
}

static void dirty_bytes(struct fake *f)
{
	PROC(MEM_DIRTY) = 6 * MIB - 1;
}

static void memory_by_state(struct fake *f)
{
	PROC(MEM_CLEAN) = 4 * MIB;
}

static void extents(struct fake *f)
{
	PROC(SUPERSLABS_FREE) = 5;
}

static void superslabs(struct fake *f)
{
	PROC(SUPERSLABS_THP) = 2;
}

static void single_slabs(struct fake *f)
{
	PROC(SLABS_SINGLE) = 3;
}

static void pooled_slabs(struct fake *f)
{
	PROC(SLABS_POOLED) = 3;
}

static void lazy_ranges(struct fake *f)
{
	PROC(MEM_LAZY) = 4095;
}

static void lazy_mappings(struct fake *f)
{
	f->lazy->range[0].addr = 0;
}

static void profile(struct fake *f)
{
	HEAP(PROFILE_FREES) = 3;
}

static void heaps(struct fake *f)
{
	f->ack->heaps_populated = FAKE_HEAPS + 1;
}

static void generation(struct fake *f)
{
	f->ack->applied = 6;
}

static void limit(struct fake *f)
{
	PROC(LIMIT_OBEYED) = PROC(PURGES) + 1;
}

static void purge_answers(struct fake *f)
{
	f->ack->answer[1].id = 17;
}

/* A value is in force while another is requested: the value of its layer is unknown. */
static void ranges(struct fake *f)
{
	f->ack->value[PENDING].value = f->tunable[PENDING].max + 1;
	f->tune->generation_seq = 6;
}

static void origins(struct fake *f)
{
	VALUE(PURGE_DELAY_MS).set |= 1u << HAK_ORIGIN_ENVIRONMENT;
}

static void values(struct fake *f)
{
	f->ack->value[PENDING].value = 8;
}

static const struct {
	const char *name;
	void (*spoil)(struct fake *f);
} relations[] = {
	{ "counters", fall },
	{ "blocks in use", blocks_in_use },
	{ "blocks in caches", blocks_in_caches },
	{ "blocks of others", blocks_of_others },
	{ "remote buffer", remote_buffer },
	{ "remote queue", remote_queue },
	{ "remote drain", remote_drain },
	{ "pool", pool },
	{ "requested sizes", requested_sizes },
	{ "refills", refills },
	{ "sources of refills", sources_of_refills },
	{ "new slabs", new_slabs },
	{ "slow frees", slow_frees },
	{ "full bins", full_bins },
	{ "flushes", flushes },
	{ "copies", copies },
	{ "bytes copied", bytes_copied },
	{ "moves", moves },
	{ "runs", runs },
	{ "bytes in blocks", bytes_in_blocks },
	{ "whales in use", whales_in_use },
	{ "whale bytes in use", whale_bytes_in_use },
	{ "whale bytes requested", whale_bytes_requested },
	{ "whales served", whales_served },
	{ "whales found", whales_found },
	{ "whales put", whales_put },
	{ "whales freed", whales_freed },
	{ "timed gets", timed_gets },
	{ "timed puts", timed_puts },
	{ "regions in use", regions_in_use },
	{ "region bytes in use", region_bytes_in_use },
	{ "regions gone", regions_gone },
	{ "region bytes", region_bytes },
	{ "dirty regions", dirty_regions },
	{ "dirty bytes", dirty_bytes },
	{ "memory by state", memory_by_state },
	{ "extents", extents },
	{ "superslabs", superslabs },
	{ "single slabs", single_slabs },
	{ "pooled slabs", pooled_slabs },
	{ "lazy ranges", lazy_ranges },
	{ "lazy mappings", lazy_mappings },
	{ "profile", profile },
	{ "weights", weights },
	{ "heaps", heaps },
	{ "generation", generation },
	{ "limit", limit },
	{ "purge answers", purge_answers },
	{ "ranges", ranges },
	{ "origins", origins },
	{ "values", values },
};

/* -- the process ------------------------------------------------------------------------------- */
static void spoil(struct fake *f, const char *name)
{
	for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++)
		if (strcmp(relations[i].name, name) == 0) {
			relations[i].spoil(f);
			return;
		}
	if (strcmp(name, "none") != 0)
		errx(2, "there is no relation \"%s\"", name);
}

/* A counter that must fall does so until the end of stdin. */
static void wait_for_end(struct fake *f)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	while (poll(&in, 1, HEAP(FREE_NULL) ? 0 : -1) == 0)
		__atomic_fetch_sub(&HEAP(FREE_NULL), 1, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	struct fake fake, *f = &fake;

	for (size_t i = 0; argc == 1 && i < sizeof(relations) / sizeof(relations[0]); i++)
		puts(relations[i].name);
	if (argc == 1)
		return 0;
	fake_create(f);
	sound_blocks(f);
	sound_whales(f);
	sound_memory(f);
	sound_control(f);
	CLASS(INHERITED, 5) = argc > 2;
	spoil(f, argv[1]);
	fake_seal(f);
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	wait_for_end(f);
	return 0;
}
