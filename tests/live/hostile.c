// SPDX-License-Identifier: MIT
/*
 * A tune page that a hostile or careless process writes (hazards 32, 34): random bytes, holes, a
 * page without its magic. The subject goes on allocating with every value within its range, and
 * obeys again when the page is valid.
 */
#include "peer.h"

#include <pthread.h>

#ifndef FALLOC_FL_PUNCH_HOLE
#define FALLOC_FL_KEEP_SIZE  1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

static struct peer p;

static void values_are_within_range(void)
{
	for (unsigned i = 0; i < p.h.tunables; i++) {
		uint64_t v;

		CHECK(HAKMEM(hakmem_get, hakmem_get_fn)(p.tunable[i].name, &v) == 0);
		CHECK(v >= p.tunable[i].min && v <= p.tunable[i].max, "%s is %lu",
		      p.tunable[i].name, v);
	}
}

static _Atomic int stop;

static void *churns(void *seed)
{
	uint64_t state = (uintptr_t)seed;
	void *kept[64] = { 0 };

	while (!atomic_load(&stop)) {
		unsigned i = rnd(&state) % 64;
		size_t n = rnd(&state) % 8 ? rnd(&state) % 5000 : rnd(&state) % (4 << 20);

		if (kept[i])
			CHECK(((unsigned char *)kept[i])[0] == (unsigned char)i);
		free(kept[i]);
		kept[i] = malloc(n + 1);
		CHECK(kept[i]);
		*(unsigned char *)kept[i] = (unsigned char)i;
	}
	for (int i = 0; i < 64; i++)
		free(kept[i]);
	return NULL;
}

/* Writes words anywhere in the page except the switch that would end the test. */
static void scribble(uint64_t *state)
{
	uint64_t *word = (uint64_t *)p.tune;
	size_t words = sizeof(*p.tune) / 8, off = peer_index(&p, "control.segment");
	size_t i = rnd(state) % words, from, to;
	uint64_t v = rnd(state);

	from = ((char *)&p.tune->slot[off] - (char *)p.tune) / 8;
	to = from + sizeof(p.tune->slot[0]) / 8;
	if (i >= from && i < to)
		return;
	if (rnd(state) % 2)
		v = rnd(state) % 3 ? rnd(state) % 64 : ~0ull << rnd(state) % 64;
	__atomic_store_n(&word[i], v, __ATOMIC_RELAXED);
	/* From time to time the page is valid, so that its content is applied. */
	if (rnd(state) % 4 == 0) {
		memcpy(p.tune->magic, HAK_TUNE_MAGIC, 8);
		__atomic_fetch_and(&p.tune->generation_seq, ~1ull, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&p.tune->generation_seq, 2, __ATOMIC_SEQ_CST);
		for (unsigned k = 0; k < HAK_MAX_TUNABLES; k++)
			p.tune->slot[k].admin.set = k != off && rnd(state) % 2;
	}
	if (rnd(state) % 2)
		peer_wake(&p);
}

static void random_writer_34(void)
{
	const size_t rounds = scale(60000, 3000000);
	uint64_t state = 20250101;
	pthread_t t[2];

	peer_open(&p, getpid());
	for (uintptr_t i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, churns, (void *)(i + 1)) == 0);
	/* Until enough of the writes were applied, too. */
	for (size_t i = 0; i < rounds || peer_counter(&p, "control.applied") < 50; i++) {
		scribble(&state);
		if (i % 64 == 0)
			values_are_within_range();
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	exercise_all_tiers(7);
}

static void hole_in_the_tune_page_34(void)
{
	uint64_t g, v;
	char back[sizeof(struct hak_tune)];

	peer_open(&p, getpid());
	g = peer_set(&p, "whale.ring_slots", 9);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	memcpy(back, p.tune, sizeof(back));
	CHECK(fallocate(p.tune_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0);
	CHECK(p.tune->magic[0] == 0);
	exercise_all_tiers(1);
	poke();
	CHECK(HAKMEM(hakmem_get, hakmem_get_fn)("whale.ring_slots", &v) == 0);
	CHECK(v == 9, "a hole set whale.ring_slots to %lu", v);
	/* Without its magic nothing is applied; with it, all works again. */
	g = peer_set(&p, "whale.ring_slots", 10);
	exercise_all_tiers(1);
	poke();
	CHECK(HAKMEM(hakmem_get, hakmem_get_fn)("whale.ring_slots", &v) == 0 && v == 9);
	CHECK(peer_purge(&p, HAK_PURGE_ALL) && poked() && peer_counter(&p, "purge.requests") == 0);
	memcpy(p.tune->magic, back, 8);
	g = peer_set(&p, "whale.ring_slots", 11);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	CHECK(peer_value(&p, "whale.ring_slots") == 11);
}

/* Increments only the wake word, as fast as possible: costs slow paths, changes nothing. */
static void wake_without_news(void)
{
	uint64_t applied;

	peer_open(&p, getpid());
	applied = peer_applied(&p);
	for (int i = 0; i < 20000; i++) {
		peer_wake(&p);
		free(launder(malloc(opaque(2 << 20))));
	}
	CHECK(peer_applied(&p) == applied && peer_counter(&p, "control.applied") == 0);
}

/* Generations that run backwards or wrap are as good as others: they are compared by !=. */
static void generations_may_wrap_34(void)
{
	static const uint64_t at[] = { ~0ull - 1, 0, 2, 1ull << 63, 40, 2 };
	uint64_t v;

	peer_open(&p, getpid());
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct hak_tune_slot *s = peer_slot(&p, "whale.ring_slots", HAK_ORIGIN_ADMIN);

		s->value = 100 + i;
		s->set = 1;
		__atomic_store_n(&p.tune->generation_seq, at[i], __ATOMIC_SEQ_CST);
		peer_wake(&p);
		WAIT_FOR(poked() && peer_applied(&p) == at[i]);
		CHECK(HAKMEM(hakmem_get, hakmem_get_fn)("whale.ring_slots", &v) == 0);
		CHECK(v == 100 + i, "generation %lx", at[i]);
	}
}

static const struct tcase cases[] = {
	{ "random_writer_34", random_writer_34, 120 },
	{ "random_writer_free_34", random_writer_34, 120, "region.evict=free" },
	{ "hole_in_the_tune_page_34", hole_in_the_tune_page_34 },
	{ "wake_without_news", wake_without_news },
	{ "generations_may_wrap_34", generations_may_wrap_34 },
};

CONTROL_MAIN(cases)
