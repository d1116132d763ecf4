// SPDX-License-Identifier: MIT
/*
 * The cache of a thread is taken over while the thread runs (hazard 43): the owner is held inside
 * the allocator while another thread purges, the taker is held while the owner calls, and the owner
 * is stopped behind each instruction of malloc and free while a takeover begins or ends.
 *
 * The heap of the case's own thread is the first, the owner's the second: a purge comes to them in
 * this order.
 */
#include "hazard.h"

#include <stdbool.h>
#include <sys/prctl.h>
#include <ucontext.h>

enum { N = 24, SIZE = 1024, OWNER = 1 /* takeovers before the owner's */ };

static struct actor owner, taker;
static struct blocks kept, more, given;

static void purge_all(void *arg)
{
	(void)arg;
	purge(HAKMEM_PURGE_ALL);
}

static uint64_t held(void)
{
	return counter("purge.held");
}

static uint64_t takeovers(void)
{
	return counter("purge.takeovers");
}

/* Blocks that stay, and as many in the owner's bin. */
static void fill_cache(void *arg)
{
	(void)arg;
	blocks_take(&more);
	blocks_give_some(&more, 0, more.n);
}

static void begin(void)
{
	hazard_begin();
	kept = (struct blocks){ .size = SIZE, .n = N, .seed = 1000 };
	more = (struct blocks){ .size = SIZE, .n = N, .seed = 2000 };
	given = (struct blocks){ .size = SIZE, .n = N, .seed = 3000 };
	actor_start(&owner);
	actor_do(&owner, blocks_take, &kept);
	actor_start(&taker);
	actor_do(&taker, churn, NULL);
	taker.slot = 1;
}

static void end(void)
{
	uint64_t allocs, frees;

	blocks_check(&kept);
	blocks_check(&more);
	if (owner.t)
		actor_end(&owner);
	actor_end(&taker);
	blocks_give(&kept);
	blocks_give(&more);
	blocks_give(&given);
	purge(HAKMEM_PURGE_CACHE);
	purge(HAKMEM_PURGE_ALL);
	allocs = counter("class.allocs");
	frees = counter("class.frees");
	check_books();
	/* what is in caches, that of threads without a heap included */
	CHECK(counter("class.refilled") - counter("class.flushed") == allocs - frees,
	      "%lu refilled, %lu flushed, %lu allocs, %lu frees", counter("class.refilled"),
	      counter("class.flushed"), allocs, frees);
}

static uint64_t cached(void)
{
	return counter("class.refilled") + counter("class.frees") - counter("class.allocs") -
	       counter("class.flushed");
}

/* ---- the owner is held ---- */

static struct blocks foreign; /* another thread's, which wait in the owner's two lists */

static void work(void *arg)
{
	(void)arg;
	blocks_give_some(&foreign, 0, foreign.n);
	for (int round = 0; round < 4; round++) {
		blocks_take(&more);
		blocks_give(&more);
		exercise_all_tiers((uint64_t)round);
	}
	blocks_take(&more);
}

static void work_and_exit(void *arg)
{
	work(arg);
	pthread_exit(NULL);
}

/* The purge ends, says that the owner keeps its cache, and touches nothing of it. */
static void purge_around(const char *stop)
{
	uint64_t before;

	begin();
	foreign = (struct blocks){ .size = SIZE, .n = N, .seed = 4000 };
	blocks_take(&foreign);
	actor_hold(&owner, stop, work, NULL);
	before = held();
	purge(HAKMEM_PURGE_ALL);
	CHECK(held() == before + 1, "%lu threads kept their cache", held() - before);
	actor_do(&taker, purge_all, NULL);
	CHECK(held() == before + 2, "%lu threads kept their cache", held() - before);
	blocks_check(&kept);
	actor_release(&owner);
	blocks_check(&more);
	purge(HAKMEM_PURGE_ALL);
	CHECK(held() == before + 2, "the owner is outside, and keeps its cache");
	end();
}

static void owner_at(void)
{
	purge_around(strchr(case_name, ':') + 1);
}

/* The heap has an owner until it is a dead one. */
static void owner_exits(void)
{
	begin();
	actor_hold(&owner, "exit.before_give", work_and_exit, NULL);
	purge(HAKMEM_PURGE_ALL);
	actor_do(&taker, purge_all, NULL);
	stop_go(&stops->slot[owner.slot]);
	CHECK(!pthread_join(owner.t, NULL));
	owner.t = 0;
	purge(HAKMEM_PURGE_ALL);
	end();
}

/* Live, and its thread is inside. */
static void owner_adopts(void)
{
	begin();
	actor_end(&owner);
	actor_start(&owner);
	actor_hold(&owner, "adopt.inside", work, NULL);
	purge(HAKMEM_PURGE_ALL);
	actor_do(&taker, purge_all, NULL);
	actor_release(&owner);
	end();
}

/* Threads without a heap of their own share one, which no thread takes and no purge counts. */
static void heapless_is_no_sleeper(void)
{
	uint64_t before;

	begin();
	heapless();
	before = held();
	actor_do(&taker, purge_all, NULL);
	CHECK(held() == before, "%lu threads kept their cache", held() - before);
	end();
}

/* ---- by age ---- */

/* No thread asks: the owner's cache goes when an epoch ends that the owner slept through. */
static void emptied_by_age(void (*look)(void))
{
	uint64_t before;
	unsigned int rounds = 0;

	begin();
	actor_do(&owner, fill_cache, NULL);
	before = takeovers();
	while (takeovers() == before) {
		atomic_fetch_add(&stops->clock_ms, 1000);
		look();
		rounds++;
	}
	CHECK(rounds > 1, "emptied although it was not asleep for an epoch");
	blocks_check(&kept);
	actor_do(&owner, blocks_take, &more);
	end();
}

static void look_by_itself(void)
{
	for (int i = 0; i < 20; i++)
		free(launder(malloc(opaque(3 * MIB))));
}

static void look_of_the_agent(void)
{
	const struct timespec t = { 0, 100000000 };

	nanosleep(&t, NULL);
}

static void by_age(void)
{
	emptied_by_age(look_by_itself);
}

static void by_age_and_agent(void)
{
	emptied_by_age(look_of_the_agent);
}

/* And so does what threads without a heap left in theirs. */
static void heapless_by_age(void)
{
	uint64_t before, now;
	unsigned int rounds = 0;

	begin();
	purge(HAKMEM_PURGE_ALL);
	before = cached();
	heapless();
	now = cached();
	CHECK(now > 2 * before + N, "%lu blocks in caches, were %lu", now, before);
	while (cached() > 2 * before + N) {
		atomic_fetch_add(&stops->clock_ms, 1000);
		look_by_itself();
		rounds++;
	}
	CHECK(rounds > 1, "emptied although it was not asleep for an epoch");
	end();
}

/* ---- the taker is held ---- */

static void one_malloc(void *arg)
{
	(void)arg;
	given.p[0] = launder(malloc(opaque(SIZE)));
	CHECK(given.p[0]);
	fill(given.p[0], malloc_usable_size(given.p[0]), given.seed);
}

static void one_free(void *arg)
{
	(void)arg;
	blocks_give_some(&kept, 0, 1);
}

static void one_calloc(void *arg)
{
	(void)arg;
	free(take_zeroed(SIZE));
	free(take_zeroed(40000));
}

static void one_realloc(void *arg)
{
	unsigned char *p = kept.p[1];

	(void)arg;
	kept.p[1] = NULL;
	p = launder(realloc(p, opaque(40000)));
	CHECK(p);
	check_block(p, SIZE, kept.seed + 1);
	free(p);
}

static void one_whale(void *arg)
{
	(void)arg;
	free(launder(malloc(opaque(3 * MIB))));
}

static void one_exit(void *arg)
{
	(void)arg;
	pthread_exit(NULL);
}

static void one_purge(void *arg)
{
	purge_all(arg);
}

static void live_as_copy(bool purges)
{
	blocks_check(&kept);
	exercise_all_tiers(1);
	blocks_give_some(&kept, 0, kept.n);
	if (purges)
		purge(HAKMEM_PURGE_ALL);
	exercise_all_tiers(2);
	_exit(0);
}

static void one_fork(void *arg)
{
	pid_t pid = fork();

	(void)arg;
	CHECK(pid >= 0);
	if (pid == 0)
		live_as_copy(true);
	reap(pid, "the child");
}

/* A copy that ran no handlers: what it inherits is empty, and whole. */
static void one_clone(void *arg)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	(void)arg;
	CHECK(pid >= 0);
	if (pid == 0)
		live_as_copy(false);
	reap(pid, "the copy");
}

static const struct {
	const char *name;
	void (*fn)(void *arg);
	bool waits;	   /* for the taker, */
	bool waits_to_end; /* also when the cache is open to free again */
} call[] = {
	{ "malloc", one_malloc, true, true }, { "free", one_free, true, false },
	{ "calloc", one_calloc, true, true }, { "realloc", one_realloc, true, true },
	{ "whale", one_whale, true, true },   { "exit", one_exit, true, true },
	{ "purge", one_purge, true, true },   { "fork", one_fork, true, true },
	{ "clone", one_clone, false, false },
};
enum { CALLS = sizeof(call) / sizeof(call[0]) };

/* At the owner's heap: the first of two, or the one whose cache is not empty. */
static void hold_taker(const char *stop)
{
	taker.skip = strncmp(stop, "takeover.", 9) ? 0 : OWNER;
	actor_hold(&taker, stop, purge_all, NULL);
}

static void call_at(const char *stop, unsigned int i)
{
	bool waits = strcmp(stop, "takeover.opened") ? call[i].waits : call[i].waits_to_end;
	uint64_t before;

	begin();
	actor_do(&taker, purge_all, NULL);
	actor_do(&owner, fill_cache, NULL);
	before = takeovers();
	hold_taker(stop);
	if (waits)
		actor_block(&owner, call[i].fn, NULL);
	else
		actor_do(&owner, call[i].fn, NULL);
	actor_release(&taker);
	if (call[i].fn == one_exit) {
		CHECK(!pthread_join(owner.t, NULL));
		owner.t = 0;
	} else if (waits) {
		actor_finish(&owner);
	}
	CHECK(takeovers() > before, "no cache was taken over");
	if (given.p[0])
		check_block(given.p[0], malloc_usable_size(given.p[0]), given.seed);
	end();
}

/* "taker:STOP/CALL" */
static void taker_at(void)
{
	char stop[64];
	const char *name = strchr(case_name, '/') + 1;
	unsigned int i = 0;

	snprintf(stop, sizeof(stop), "%s", strchr(case_name, ':') + 1);
	*strchr(stop, '/') = '\0';
	while (i < CALLS && strcmp(call[i].name, name))
		i++;
	CHECK(i < CALLS);
	call_at(stop, i);
}

/* Takes TUNE, outside. */
static void announce_sandbox(void *arg)
{
	pid_t parent = getpid();

	(void)arg;
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (getpid() == parent)
		return;
	for (int round = 0; round < 3; round++)
		exercise_all_tiers((uint64_t)round);
	blocks_take(&more);
	blocks_check(&kept);
	blocks_give_some(&kept, 0, kept.n);
	blocks_give(&more);
	purge(HAKMEM_PURGE_ALL);
	exercise_all_tiers(3);
	_exit(0);
}

/*
 * A signal handler forks while the thread has a lock, so that no fork handler waits, and while the
 * taker is in the middle of its lists. The child leaks that heap.
 */
static void fork_of_a_cut_heap(void)
{
	begin();
	signal(SIGUSR1, fork_and_return);
	actor_do(&taker, purge_all, NULL);
	actor_do(&owner, fill_cache, NULL);
	actor_hold(&owner, "lock.TUNE", announce_sandbox, NULL);
	hold_taker("flush.local_half");
	CHECK(!syscall(SYS_tgkill, getpid(), owner.tid, SIGUSR1));
	WAIT_FOR(atomic_load(&copy));
	actor_release(&owner);
	reap(copy, "the copy that went on");
	actor_release(&taker);
	end();
}

/* ---- the owner is stopped behind each instruction ---- */

#if defined(__x86_64__)
static struct {
	unsigned int at; /* the instruction behind which the owner stops; the others pass */
	unsigned int seen;
	bool is_held; /* the taker, before */
	_Atomic int started, released, purged;
} step;

static void purge_and_say(void *arg)
{
	purge_all(arg);
	atomic_store(&step.purged, 1);
}

/* By the owner at its instruction, or where the owner waits for the taker before it comes there. */
static void release_taker(void)
{
	if (!atomic_exchange(&step.released, 1))
		stop_go(&stops->slot[taker.slot]);
}

/* A purge from its beginning to its end, or what is left of it; or to a lock that the owner has. */
static void stopped(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig, (void)info;
	if (++step.seen != step.at)
		return;
	uc->uc_mcontext.gregs[REG_EFL] &= ~0x100;
	if (step.is_held)
		release_taker();
	else
		actor_begin(&taker, purge_and_say, NULL);
	while (!atomic_load(&step.purged) &&
	       (atomic_load(&stops->slot[taker.slot].state) != HAK_STOP_FREE ||
		!atomic_load(&taker.busy) || !thread_sleeps(taker.tid)))
		sched_yield();
}

static inline void set_trap(void)
{
	__asm__ volatile("sub $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
			 "add $128, %%rsp" ::
				 : "memory", "cc");
}

static inline void clear_trap(void)
{
	__asm__ volatile("sub $128, %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
			 "add $128, %%rsp" ::
				 : "memory", "cc");
}

static void stepped_malloc(void *arg)
{
	size_t size = (uintptr_t)arg;
	void *p;

	step.seen = 0;
	atomic_store(&step.started, 1);
	set_trap();
	p = malloc(size);
	clear_trap();
	CHECK(p);
	given.p[0] = p;
	fill(p, malloc_usable_size(p), given.seed);
}

static void stepped_free(void *arg)
{
	unsigned char *p = given.p[0];

	(void)arg;
	given.p[0] = NULL;
	step.seen = 0;
	atomic_store(&step.started, 1);
	set_trap();
	free(p);
	clear_trap();
}

/* False: the call has fewer instructions, or comes to wait for the taker before. */
static bool step_to(unsigned int at, bool is_held, void (*fn)(void *), void *arg)
{
	step.at = at;
	step.is_held = is_held;
	atomic_store(&step.purged, 0);
	atomic_store(&step.started, 0);
	atomic_store(&step.released, 0);
	taker.skip = OWNER;
	if (is_held)
		actor_hold(&taker, "takeover.judged", purge_and_say, NULL);
	actor_begin(&owner, fn, arg);
	while (is_held && !atomic_load(&step.released)) {
		if (atomic_load(&step.started) && thread_sleeps(owner.tid) &&
		    !atomic_load(&step.released)) {
			step.at = UINT32_MAX;
			release_taker();
		}
		sched_yield();
	}
	actor_finish(&owner);
	if (is_held || step.seen >= at)
		actor_finish(&taker);
	return step.seen >= step.at;
}

/*
 * malloc and free in their fast paths with a full cache, in their slow ones with an empty one. A
 * bin of one slab, which is unmapped when its blocks are back.
 */
static void each_step(bool is_held, bool full)
{
	struct sigaction sa = { .sa_sigaction = stopped, .sa_flags = SA_SIGINFO };
	unsigned int at, frees = 0;

	begin();
	kept.size = 2 * SIZE; /* what is left of them is in other slabs */
	blocks_give(&kept);
	actor_do(&owner, blocks_take, &kept);
	sigaction(SIGTRAP, &sa, NULL);
	for (at = 1;; at++) {
		bool more_steps;

		actor_do(&owner, full ? fill_cache : purge_all, NULL);
		more_steps = step_to(at, is_held, stepped_malloc, (void *)(uintptr_t)SIZE);
		blocks_check(&kept);
		check_block(given.p[0], malloc_usable_size(given.p[0]), given.seed);
		actor_do(&owner, full ? fill_cache : purge_all, NULL);
		check_block(given.p[0], malloc_usable_size(given.p[0]), given.seed);
		frees += step_to(at, is_held, stepped_free, NULL);
		blocks_check(&kept);
		if (!more_steps)
			break;
	}
	say("# %u instructions of malloc, %u of free\n", at - 1, frees);
	CHECK(at > 10 && frees > 5);
	end();
}
#else
static void each_step(bool is_held, bool full)
{
	(void)is_held, (void)full;
	SKIP("no single steps on this machine");
}
#endif

static void steps_purge_full(void)
{
	each_step(false, true);
}

static void steps_purge_empty(void)
{
	each_step(false, false);
}

static void steps_end_full(void)
{
	each_step(true, true);
}

static void steps_end_empty(void)
{
	each_step(true, false);
}

#define OWNER_AT(stop)                                            \
	{                                                         \
		"owner:" stop, owner_at, 60, QUIET, stops_prepare \
	}
#define TAKER_AT(stop, call)                                               \
	{                                                                  \
		"taker:" stop "/" call, taker_at, 60, QUIET, stops_prepare \
	}
#define TAKER_CALLS(stop)                                                                   \
	TAKER_AT(stop, "malloc"), TAKER_AT(stop, "free"), TAKER_AT(stop, "calloc"),         \
		TAKER_AT(stop, "realloc"), TAKER_AT(stop, "whale"), TAKER_AT(stop, "exit"), \
		TAKER_AT(stop, "purge"), TAKER_AT(stop, "fork"), TAKER_AT(stop, "clone")
#define UNMAPS QUIET ",superslab.enable=off"

static const struct tcase cases[] = {
	OWNER_AT("refill.half"),
	OWNER_AT("refill.taken"),
	OWNER_AT("flush.swapped"),
	OWNER_AT("flush.local_half"),
	OWNER_AT("flush.runs_cut"),
	OWNER_AT("free.after_owner"),
	{ "owner_exits", owner_exits, 60, QUIET, stops_prepare },
	{ "owner_adopts", owner_adopts, 60, QUIET, stops_prepare },
	{ "heapless_is_no_sleeper", heapless_is_no_sleeper, 60, QUIET, stops_prepare },
	{ "heapless_by_age", heapless_by_age, 60, "control.agent=off,purge.delay_ms=1000",
	  stops_prepare },
	{ "by_age", by_age, 60, "control.agent=off,purge.delay_ms=1000", stops_prepare },
	{ "by_age_and_agent", by_age_and_agent, 60, "purge.delay_ms=1000", stops_prepare },
	TAKER_CALLS("takeover.taken"),
	TAKER_CALLS("takeover.judged"),
	TAKER_CALLS("takeover.opened"),
	TAKER_AT("flush.local_half", "clone"),
	TAKER_AT("flush.local_half", "malloc"),
	TAKER_AT("flush.local_half", "fork"),
	{ "fork_of_a_cut_heap", fork_of_a_cut_heap, 60, QUIET, stops_prepare },
	{ "steps_purge_full", steps_purge_full, 120, UNMAPS, stops_prepare },
	{ "steps_purge_empty", steps_purge_empty, 120, UNMAPS, stops_prepare },
	{ "steps_end_full", steps_end_full, 120, UNMAPS, stops_prepare },
	{ "steps_end_empty", steps_end_empty, 120, UNMAPS, stops_prepare },
};

HAZARD_MAIN(cases)
