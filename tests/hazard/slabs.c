// SPDX-License-Identifier: MIT
/*
 * Slabs whose blocks are freed by other threads while their owner changes (hazards 1 to 4). A
 * thread is held inside the protocol of slab.h, the others go on, and afterwards every block exists
 * once.
 *
 * Each case runs its scenario without a stop first, which brings the caches of libc and the library
 * into their final state. A slab that is left over afterwards is one that lost a block.
 */
#include "hazard.h"

enum { N = 64, SIZE = 1024 }; /* one slab */

static struct actor owner, freer, heir, third;
static struct blocks a, b, c;

static void same_slab(const struct blocks *s)
{
	for (unsigned int i = 1; i < s->n; i++)
		CHECK((uintptr_t)s->p[i] >> 16 == (uintptr_t)s->p[0] >> 16, "block %u of %p: %p", i,
		      (void *)s->p[0], (void *)s->p[i]);
}

static int in_slab(const struct blocks *s, const void *p)
{
	return (uintptr_t)p >> 16 == (uintptr_t)s->p[N - 1] >> 16;
}

/*
 * Checks that no two blocks are one, or overlap: their contents would differ from what was written.
 */
static void check_all(void)
{
	blocks_check(&a);
	blocks_check(&b);
	blocks_check(&c);
}

static void begin(void)
{
	a = (struct blocks){ .size = SIZE, .n = N, .seed = 1000 };
	b = (struct blocks){ .size = SIZE, .n = N, .seed = 2000 };
	c = (struct blocks){ .size = SIZE, .n = N, .seed = 3000 };
}

static void give_half(void *arg)
{
	struct blocks *s = arg;

	blocks_give_some(s, 0, s->n / 2);
	flush_cache();
}

static void give_quarter(void *arg)
{
	struct blocks *s = arg;

	blocks_give_some(s, s->n / 2, s->n * 3 / 4);
	flush_cache();
}

static void flush(void *arg)
{
	(void)arg;
	flush_cache();
}

/* Slabs of dead heaps go to the pool. */
static void retire(void *arg)
{
	(void)arg;
	purge(HAKMEM_PURGE_CACHE);
}

/* Gives everything back; returns the slabs that are left. */
static uint64_t end(void)
{
	struct actor *all[] = { &owner, &freer, &heir, &third };

	for (unsigned int i = 0; i < 4; i++) {
		if (all[i]->t)
			actor_end(all[i]);
		all[i]->t = 0;
	}
	blocks_give(&a);
	blocks_give(&b);
	blocks_give(&c);
	/* Twice: the first purge leaves what it finds queued to the second. */
	purge(HAKMEM_PURGE_CACHE);
	purge(HAKMEM_PURGE_ALL);
	check_books();
	return counter("slab.live");
}

/* Runs a scenario unarmed, then armed. */
static void compare(void (*scenario)(const char *), const char *stop)
{
	uint64_t before, after;

	hazard_begin();
	scenario(NULL);
	before = end();
	scenario(stop);
	after = end();
	CHECK(after == before, "%lu slabs before, %lu after", before, after);
	CHECK(counter("slab.pooled") == 0);
}

static void hold_or_do(struct actor *who, const char *stop, void (*fn)(void *), void *arg)
{
	if (stop)
		actor_hold(who, stop, fn, arg);
	else
		actor_do(who, fn, arg);
}

static void release(struct actor *who, const char *stop)
{
	if (stop)
		actor_release(who);
}

/* ---- a freer held; what becomes of the owner meanwhile ---- */

/* A new thread adopts the heap, empties it and goes on. */
static void owner_is_replaced(const char *stop)
{
	uint64_t adopted = counter("heap.adopted");

	begin();
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	same_slab(&a);
	hold_or_do(&freer, stop, give_half, &a);
	actor_end(&owner);
	owner.t = 0;
	actor_start(&heir);
	actor_do(&heir, blocks_take, &b);
	CHECK(counter("heap.adopted") > adopted);
	check_all();
	actor_do(&heir, blocks_give, &b);
	actor_do(&heir, churn, NULL);
	actor_do(&heir, blocks_take, &c);
	check_all();
	release(&freer, stop);
	actor_do(&freer, churn, NULL);
	check_all();
	actor_do(&heir, blocks_give, &c);
	actor_do(&heir, churn, NULL);
	actor_do(&heir, blocks_take, &b);
	check_all();
}

static void give_most(void *arg)
{
	struct blocks *s = arg;

	blocks_give_some(s, 0, s->n - 2);
	flush_cache();
}

/*
 * All of the slab's blocks come home, the last two through the held thread. An owner that ignored
 * QUEUED would release the slab while that thread uses it.
 */
static void slab_empties(const char *stop)
{
	begin();
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	same_slab(&a);
	actor_do(&freer, give_most, &a);
	actor_do(&owner, flush, NULL);
	hold_or_do(&freer, stop, blocks_give, &a);
	/* takes the blocks in the slab's word, and gives them all back */
	actor_do(&owner, blocks_take, &b);
	actor_do(&owner, blocks_give, &b);
	actor_do(&owner, churn, NULL);
	actor_end(&owner);
	owner.t = 0;
	purge(HAKMEM_PURGE_ALL);
	c.size = 3000;
	actor_start(&heir);
	actor_do(&heir, blocks_take, &c);
	actor_do(&heir, blocks_take, &b);
	check_all();
	release(&freer, stop);
	actor_do(&freer, churn, NULL);
	check_all();
}

/* The slab goes to the pool, and from there to a thread that never used it. */
static void owner_is_retired(const char *stop)
{
	begin();
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&third);
	actor_do(&third, churn, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	same_slab(&a);
	actor_do(&third, give_quarter, &a);
	actor_do(&owner, flush, NULL);
	hold_or_do(&freer, stop, give_half, &a);
	actor_end(&owner);
	owner.t = 0;
	purge(HAKMEM_PURGE_CACHE);
	actor_do(&third, blocks_take, &b);
	check_all();
	actor_do(&third, blocks_give, &b);
	actor_do(&third, churn, NULL);
	actor_do(&third, blocks_take, &c);
	release(&freer, stop);
	purge(HAKMEM_PURGE_CACHE);
	actor_do(&freer, churn, NULL);
	check_all();
	actor_do(&third, blocks_give, &c);
	actor_do(&third, blocks_take, &b);
	check_all();
}

static void freer_at(const char *stop)
{
	compare(owner_is_replaced, stop);
	compare(owner_is_retired, stop);
	compare(slab_empties, stop);
}

static void freer_before_cas(void)
{
	freer_at("remote.before_cas");
}

static void freer_after_cas(void)
{
	freer_at("remote.after_cas");
}

static void freer_before_link(void)
{
	freer_at("remote.before_link");
}

static void freer_after_owner(void)
{
	freer_at("free.after_owner");
}

static void freer_before_push(void)
{
	freer_at("flush.before_push");
}

/* ---- an owner held while it collects ---- */

static struct blocks d; /* of a second slab, queued before the first */

/* Two slabs are queued; while the owner collects one, more blocks come back to both. */
static void owner_collects(const char *stop)
{
	begin();
	d = (struct blocks){ .size = SIZE * 2, .n = N / 2, .seed = 4000 };
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&third);
	actor_do(&third, flush, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	actor_do(&owner, blocks_take, &d);
	same_slab(&a);
	same_slab(&d);
	actor_do(&freer, give_half, &d);
	actor_do(&freer, give_half, &a);
	hold_or_do(&owner, stop, flush, NULL);
	actor_do(&third, give_quarter, &a);
	actor_do(&third, give_quarter, &d);
	release(&owner, stop);
	actor_do(&owner, blocks_take, &b);
	check_all();
	blocks_check(&d);
	/* collected: three quarters of the first slab are handed out again before any other */
	{
		unsigned int here = 0;

		for (unsigned int i = 0; i < N; i++)
			here += in_slab(&a, b.p[i]);
		CHECK(here == N * 3 / 4, "%u of %u blocks", here, N * 3 / 4);
	}
	blocks_give(&d);
}

static void owner_before_xchg(void)
{
	compare(owner_collects, "drain.before_xchg");
}

static void owner_after_xchg(void)
{
	compare(owner_collects, "drain.after_xchg");
}

/*
 * Refill takes the blocks of its current slab from the word while other threads push. A freeing
 * thread is held before it links the slab, because otherwise they would come by the queue.
 */
static void owner_refills(const char *stop)
{
	begin();
	owner.slot = 1;
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&third);
	actor_do(&third, flush, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	same_slab(&a);
	b.n = N / 4;
	if (stop) {
		actor_hold(&freer, "remote.after_cas", give_half, &a);
		actor_hold(&owner, stop, blocks_take, &b);
		actor_do(&third, give_quarter, &a);
		actor_release(&owner);
		actor_release(&freer);
	} else {
		actor_do(&freer, give_half, &a);
		actor_do(&owner, blocks_take, &b);
		actor_do(&third, give_quarter, &a);
	}
	owner.slot = 0;
	check_all();
}

static void owner_before_take(void)
{
	compare(owner_refills, "remote.before_take");
}

/* ---- the pool ---- */

/* The owner gives some of a slab's blocks back and ends; its slab is in the pool. */
static void pool_one(void (*give)(void *arg))
{
	actor_start(&third);
	actor_do(&third, flush, NULL);
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	same_slab(&a);
	actor_do(&owner, give, &a);
	actor_end(&owner);
	owner.t = 0;
	purge(HAKMEM_PURGE_CACHE);
	CHECK(counter("slab.pooled") > 0);
}

/*
 * A thread that takes a slab from the pool is held. Blocks of that slab come back, and another
 * thread wants the slab as well.
 */
static void pool_is_contended(const char *stop)
{
	begin();
	actor_start(&heir);
	actor_do(&heir, flush, NULL);
	pool_one(give_half);
	c.n = b.n = N / 4;
	hold_or_do(&heir, stop, blocks_take, &b);
	if (stop) {
		actor_do(&freer, give_quarter, &a);
		actor_block(&third, blocks_take, &c);
		actor_release(&heir);
		actor_finish(&third);
	} else {
		actor_do(&freer, give_quarter, &a);
		actor_do(&third, blocks_take, &c);
	}
	check_all();
	actor_do(&heir, churn, NULL);
	check_all();
}

static void pool_pop(void)
{
	compare(pool_is_contended, "pool.pop");
}

static void pool_get_claimed(void)
{
	compare(pool_is_contended, "pool.get_claimed");
}

/* A dead heap's slab is on its way to the pool while blocks of it come back. */
static void slab_is_pooled(const char *stop)
{
	begin();
	purge(HAKMEM_PURGE_ALL);
	actor_start(&third);
	actor_do(&third, flush, NULL);
	actor_start(&freer);
	actor_do(&freer, flush, NULL);
	actor_start(&owner);
	actor_do(&owner, blocks_take, &a);
	same_slab(&a);
	actor_end(&owner);
	owner.t = 0;
	if (stop && actor_try_hold(&third, stop, retire, NULL)) {
		actor_do(&freer, give_half, &a);
		actor_release(&third);
	} else {
		if (!stop)
			actor_do(&third, retire, NULL);
		actor_do(&freer, give_half, &a);
	}
	actor_do(&third, blocks_take, &b);
	check_all();
}

/* The heap may have slabs of other classes. */
static void pool_put_claimed(void)
{
	for (third.skip = 0; third.skip < 4; third.skip++)
		compare(slab_is_pooled, "pool.put_claimed");
}

static void give_three_quarters(void *arg)
{
	blocks_give_some(arg, 0, N * 3 / 4);
	flush_cache();
}

static void give_some(void *arg)
{
	blocks_give_some(arg, N * 3 / 4, N * 7 / 8);
	flush_cache();
}

static void purge_dirty(void *arg)
{
	(void)arg;
	purge(HAKMEM_PURGE_DIRTY);
}

/*
 * The pages of a pooled slab are given back; blocks of it come home meanwhile, and directly after.
 */
static void pool_is_trimmed(const char *stop)
{
	begin();
	pool_one(give_three_quarters);
	hold_or_do(&third, stop, purge_dirty, NULL);
	actor_do(&freer, give_some, &a);
	release(&third, stop);
	/* before any thread looks into the pool's queue */
	actor_do(&freer, blocks_give, &a);
	purge(HAKMEM_PURGE_CACHE);
	actor_do(&third, blocks_take, &b);
	actor_do(&freer, blocks_take, &c);
	check_all();
}

static void pool_trimmed(void)
{
	compare(pool_is_trimmed, "holes.dropped");
	compare(pool_is_trimmed, "purge.before_madvise.holes");
}

static const struct tcase cases[] = {
	{ "freer_before_cas_4", freer_before_cas, 60, QUIET, stops_prepare },
	{ "freer_after_cas_1", freer_after_cas, 60, QUIET, stops_prepare },
	{ "freer_before_link_1", freer_before_link, 60, QUIET, stops_prepare },
	{ "freer_after_owner_4", freer_after_owner, 60, QUIET, stops_prepare },
	{ "freer_before_push_4", freer_before_push, 60, QUIET, stops_prepare },
	{ "owner_before_xchg_2", owner_before_xchg, 60, QUIET, stops_prepare },
	{ "owner_after_xchg_2", owner_after_xchg, 60, QUIET, stops_prepare },
	{ "owner_before_take_2", owner_before_take, 60, QUIET, stops_prepare },
	{ "pool_pop_3", pool_pop, 60, QUIET, stops_prepare },
	{ "pool_get_claimed_3", pool_get_claimed, 60, QUIET, stops_prepare },
	{ "pool_put_claimed_3", pool_put_claimed, 60, QUIET, stops_prepare },
	{ "pool_trimmed_3", pool_trimmed, 60, QUIET, stops_prepare },
};

HAZARD_MAIN(cases)
