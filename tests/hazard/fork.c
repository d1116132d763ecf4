// SPDX-License-Identifier: MIT
/*
 * Forks while another thread stands at a stop of the library, at each stop in turn (hazards 5 and
 * 6). The child checks and frees all blocks that it can reach, starts threads that adopt what the
 * others left, and ends; the parent goes on. Where the stop lies under a lock, fork waits for the
 * lock, and the thread is released once fork is seen to wait.
 */
#include "hazard.h"

/* ---- workloads: what leads to which stop ---- */

static const size_t sizes[] = { 16, 112, 1000, 5000, 16000, 40000, 300000, MIB, 3 * MIB };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static struct actor worker, other, monitor, newcomer;
/* Blocks of the case, of the worker, of the thread beside it, and of children. */
static struct blocks kept[SIZES], own[SIZES], others, fresh[SIZES];
static struct peer self;

static void all_take(void *arg)
{
	struct blocks *b = arg;

	for (unsigned int i = 0; i < SIZES; i++)
		blocks_take(&b[i]);
}

static void all_check(void *arg)
{
	struct blocks *b = arg;

	for (unsigned int i = 0; i < SIZES; i++)
		blocks_check(&b[i]);
}

static void all_give(void *arg)
{
	struct blocks *b = arg;

	for (unsigned int i = 0; i < SIZES; i++)
		blocks_give_some(&b[i], 0, b[i].n);
	purge(HAKMEM_PURGE_CACHE);
}

static void all_begin(struct blocks *b, uint64_t seed)
{
	for (unsigned int i = 0; i < SIZES; i++)
		b[i] = (struct blocks){ .size = sizes[i],
					.n = sizes[i] >= MIB	? 2
					     : sizes[i] > 16384 ? 8
								: 200,
					.seed = seed + 1000 * i };
}

static void blocks(void)
{
	for (int round = 0; round < 2; round++) {
		all_take(own);
		for (unsigned int i = 0; i < SIZES; i++)
			blocks_give_some(&own[i], 0, own[i].n);
		all_take(own);
		all_give(own);
		purge(HAKMEM_PURGE_DIRTY);
	}
}

static void remote(void)
{
	others.size = 1024;
	others.n = 160;
	actor_start(&other);
	actor_do(&other, blocks_take, &others);
	blocks_give_some(&others, 0, 100);
	purge(HAKMEM_PURGE_CACHE);
	actor_do(&other, churn, NULL);
	actor_end(&other);
	purge(HAKMEM_PURGE_CACHE);
	own[2].size = 1024;
	blocks_take(&own[2]);
	blocks_give(&others);
	blocks_give(&own[2]);
}

static void threads(void)
{
	for (int round = 0; round < 3; round++) {
		actor_start(&other);
		actor_do(&other, blocks_take, &own[1]);
		actor_end(&other);
		blocks_give(&own[1]);
	}
}

/* Whose slots are emptied, and taken by the next ones. */
static void threads_emptied(void)
{
	for (int round = 0; round < 3; round++) {
		actor_start(&other);
		actor_do(&other, blocks_take, &own[1]);
		actor_end(&other);
		blocks_give(&own[1]);
		purge(HAKMEM_PURGE_DIRTY);
	}
}

static void holes(void)
{
	for (int round = 0; round < 2; round++) {
		own[2].n = own[3].n = 250;
		blocks_take(&own[2]);
		blocks_take(&own[3]);
		blocks_give_some(&own[2], 3, 247);
		blocks_give_some(&own[3], 3, 247);
		purge(HAKMEM_PURGE_DIRTY);
		blocks_take(&fresh[2]);
		blocks_take(&fresh[3]);
		all_give(fresh);
		all_give(own);
	}
}

/* Grows a whale whose way is blocked, and which fits into no kept region, so that it is moved. */
static void grow_blocked(void)
{
	size_t n;
	char *p, *wall;

	purge(HAKMEM_PURGE_ALL);
	p = launder(malloc(opaque(2 * MIB)));
	n = malloc_usable_size(p);
	fill(p, n, 5);
	/* if the address is taken already, that blocks the way as well */
	wall = mmap(p + n, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0);
	p = launder(realloc(p, 8 * MIB));
	CHECK(p);
	check_block(p, n, 5);
	free(p);
	if (wall != MAP_FAILED)
		munmap(wall, 4096);
}

static void take_into(unsigned char **to, size_t n)
{
	unsigned char *p = launder(malloc(opaque(n)));

	CHECK(p);
	fill(p, malloc_usable_size(p), own[8].seed);
	*to = launder(p);
}

static void whales(void)
{
	own[7].n = own[8].n = 4;
	for (int round = 0; round < 2; round++) {
		blocks_take(&own[7]);
		blocks_take(&own[8]);
		blocks_give(&own[7]);
		blocks_give(&own[8]);
		purge(HAKMEM_PURGE_DIRTY);
		blocks_take(&own[8]);
		blocks_give(&own[8]);
		set("whale.ring_slots", "1");
		set("whale.ring_slots", "64");
		grow_blocked();
	}
}

/*
 * Grows a whale of a mebibyte where a larger region is kept: into the rest of the region that it
 * was taken from, or, if it was there before, by a copy.
 */
static void grow_beside(int before)
{
	char *p = NULL, *q;
	size_t n;

	purge(HAKMEM_PURGE_ALL);
	if (before)
		p = launder(malloc(opaque(MIB)));
	q = launder(malloc(opaque(3 * MIB)));
	CHECK(q);
	fill(q, 3 * MIB, 6);
	free(q);
	if (!before)
		p = launder(malloc(opaque(MIB)));
	CHECK(p);
	n = malloc_usable_size(p);
	fill(p, n, 7);
	p = launder(realloc(p, opaque(MIB + MIB / 2)));
	CHECK(p);
	check_block(p, n, 7);
	free(p);
}

static void whales_in_kept(void)
{
	for (int round = 0; round < 2; round++) {
		grow_beside(0);
		grow_beside(1);
	}
}

/* Whales of one size in turn, until the thread has a hot region, and beyond. */
static void fronts(void)
{
	for (int i = 0; i < 200; i++) {
		take_into(&own[8].p[0], 3 * MIB);
		blocks_give_some(&own[8], 0, 1);
	}
	purge(HAKMEM_PURGE_DIRTY);
}

/* As if time had passed, and a controller had written to the tune page. */
static void look(void)
{
	atomic_fetch_add(&stops->clock_ms, 1000);
	peer_wake(&self);
	poke();
}

static void segment(void)
{
	set("whale.ring_slots", "32");
	look();
	look();
}

static void lazy(void)
{
	look();
	set("region.evict_bytes", "0");
	for (int round = 0; round < 2; round++) {
		blocks_take(&own[8]);
		blocks_give(&own[8]);
		blocks_take(&own[7]);
		blocks_give(&own[7]);
	}
}

static void no_retain(void)
{
	set("superslab.retain", "0");
	blocks();
}

static void single(void)
{
	set("superslab.enable", "off");
	blocks();
}

/* The cache of the case's own thread, which waits. */
static void sleepers(void)
{
	for (int round = 0; round < 10; round++) {
		blocks_take(&own[2]);
		purge(HAKMEM_PURGE_ALL);
		blocks_give(&own[2]);
		purge(HAKMEM_PURGE_CACHE);
	}
}

static void drop_segment(void)
{
	blocks();
	set("control.segment", "off");
	blocks();
}

static const struct {
	const char *name;
	void (*work)(void);
} stop[] = {
#define STOP(name, work) { name, work },
#include "stops.def"
#undef STOP
};
enum { STOPS = sizeof(stop) / sizeof(stop[0]) };

/* ---- the child ---- */

static void child(void)
{
	struct actor heir[2];

	all_check(kept);
	all_check(own);
	all_begin(fresh, 90000);
	all_take(fresh);
	exercise_all_tiers(1);
	for (int i = 0; i < 2; i++) {
		memset(&heir[i], 0, sizeof(heir[i]));
		actor_start(&heir[i]);
		actor_do(&heir[i], churn, NULL);
	}
	all_check(fresh);
	all_check(kept);
	all_check(own);
	blocks_check(&others);
	actor_do(&heir[0], all_give, kept);
	all_give(own);
	blocks_give(&others);
	/* the child collects the blocks that came back to its threads' slabs */
	actor_do(&heir[0], churn, NULL);
	actor_do(&heir[1], churn, NULL);
	actor_do(&heir[1], all_take, kept);
	all_check(fresh);
	all_check(kept);
	purge(HAKMEM_PURGE_ALL);
	all_take(own);
	all_check(fresh);
	all_check(kept);
	all_check(own);
	actor_end(&heir[0]);
	actor_end(&heir[1]);
	all_give(fresh);
	all_give(kept);
	all_give(own);
	purge(HAKMEM_PURGE_ALL);
	_exit(0);
}

/* ---- the parent ---- */

enum { NOT_YET, FORKING, FORKED };
static _Atomic int phase;
static pid_t main_tid;
static int fork_waited;

/* Releases the held thread as soon as fork is seen to wait for it. Allocates nothing. */
static void watch(void *arg)
{
	(void)arg;
	fork_waited = 0;
	while (atomic_load(&phase) == FORKING) {
		if (!thread_sleeps(main_tid) || atomic_load(&phase) != FORKING) {
			sched_yield();
			continue;
		}
		fork_waited = 1;
		stop_go(&stops->slot[0]);
		return;
	}
}

static void work(void *fn)
{
	((void (*)(void))fn)();
}

/* Returns false if there was no such arrival. */
static int fork_held(const char *name, void (*fn)(void), uint32_t skip)
{
	pid_t pid;

	all_begin(own, 50000);
	worker.skip = skip;
	if (!actor_try_hold(&worker, name, work, fn))
		return 0;
	atomic_store(&phase, FORKING);
	actor_begin(&monitor, watch, NULL);
	pid = fork();
	if (pid == 0)
		child();
	atomic_store(&phase, FORKED);
	CHECK(pid > 0);
	actor_finish(&monitor);
	if (!fork_waited)
		stop_go(&stops->slot[0]);
	reap(pid, "the child");
	actor_finish(&worker);
	all_check(kept);
	return 1;
}

static void lock_for_pageout(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1 };

	CHECK(fcntl(self.tune_fd, F_OFD_SETLK, &l) == 0);
}

/* Prepares the stop named in the case's name, and all that its workload needs. */
static unsigned int prepare(void)
{
	const char *name = strchr(case_name, ':') + 1;
	unsigned int i = 0;

	hazard_begin();
	while (i < STOPS && strcmp(stop[i].name, name))
		i++;
	CHECK(i < STOPS);
	peer_open(&self, getpid());
	if (stop[i].work == lazy)
		lock_for_pageout();
	main_tid = (pid_t)syscall(SYS_gettid);
	all_begin(kept, 10000);
	all_begin(fresh, 30000);
	all_take(kept);
	actor_start(&worker);
	actor_start(&monitor);
	return i;
}

static void finish(void)
{
	actor_end(&worker);
	actor_end(&monitor);
	churn(NULL);
	all_check(kept);
	all_give(kept);
	check_books();
}

static void fork_at(void)
{
	unsigned int i = prepare();
	const char *name = stop[i].name;

	CHECK(fork_held(name, stop[i].work, 0), "the workload does not come to the stop");
	CHECK(fork_waited || strncmp(name, "lock.", 5), "fork did not wait for the lock");
	/* And in the middle of a later call. */
	fork_held(name, stop[i].work, 2);
	fork_held(name, stop[i].work, 7);
	finish();
}

/* ---- a signal handler that forks ---- */

/* Inside the allocator: a child that allocates there may end in any way, but must end. */
static void fork_and_allocate(int sig)
{
	int status;
	pid_t pid;

	(void)sig;
	pid = fork();
	if (pid == 0) {
		exercise_all_tiers(1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(1);
}

static void work_as_either(void *fn)
{
	pid_t parent = getpid();

	work(fn);
	if (getpid() == parent)
		return;
	CHECK(!counter("process.forks"), "the copy did not become a process of its own");
	child();
}

/*
 * Both processes go on where the handler interrupted them, the parent first: what it does then
 * changes memory that both processes share until the copy has its own.
 */
static void fork_and_go_on(struct actor *a, const char *name, void (*fn)(void), uint32_t skip)
{
	struct hak_stop_slot *copied = &stops->slot[1];

	all_begin(own, 50000);
	a->skip = skip;
	atomic_store(&copy, 0);
	if (!actor_try_hold(a, name, work_as_either, fn)) {
		CHECK(skip, "the workload does not come to the stop");
		return;
	}
	stop_arm(copied, "fork.copied", 0);
	CHECK(!syscall(SYS_tgkill, getpid(), stops->slot[0].tid, SIGUSR1));
	while (!atomic_load(&copy))
		sched_yield();
	actor_release(a);
	CHECK(copy > 0);
	stop_await(copied);
	stop_go(copied);
	reap(copy, "the copy that went on");
}

/* ---- a thread that ends ---- */

static pthread_key_t leaver_key;
static pid_t parent_pid;
enum { ROUNDS = 4 }; /* of destructors, in glibc */

/* After the library's own key: in the copy, the heap of the thread is given up. */
static void check_copy(void *arg)
{
	uintptr_t round = (uintptr_t)arg;

	if (getpid() != parent_pid) {
		CHECK(!counter("process.forks"), "the copy did not become a process of its own");
		child();
	}
	if (round < ROUNDS)
		pthread_setspecific(leaver_key, (void *)(round + 1));
}

static void leave(void *arg)
{
	all_take(arg);
	pthread_setspecific(leaver_key, (void *)1);
	pthread_exit(NULL);
}

/* The copy gives up the heap that its parent was giving up. */
static void fork_at_end(const char *name)
{
	parent_pid = getpid();
	CHECK(!pthread_key_create(&leaver_key, check_copy));
	signal(SIGUSR1, fork_and_return);
	all_begin(own, 50000);
	actor_start(&newcomer);
	actor_hold(&newcomer, name, leave, own);
	atomic_store(&copy, 0);
	CHECK(!syscall(SYS_tgkill, getpid(), stops->slot[0].tid, SIGUSR1));
	while (!atomic_load(&copy))
		sched_yield();
	stop_go(&stops->slot[0]);
	CHECK(!pthread_join(newcomer.t, NULL));
	CHECK(copy > 0);
	reap(copy, "the copy that went on");
	all_check(own);
	all_give(own);
}

/* The held thread itself forks, with or without a lock held; the child is then that thread. */
static void fork_inside(void)
{
	unsigned int i = prepare();
	void (*fn)(void) = stop[i].work;
	struct hak_stop_slot *slot = &stops->slot[0];

	signal(SIGUSR1, fork_and_allocate);
	all_begin(own, 50000);
	actor_hold(&worker, stop[i].name, work, fn);
	CHECK(!syscall(SYS_tgkill, getpid(), slot->tid, SIGUSR1));
	actor_release(&worker);
	all_check(kept);
	/*
	 * The work of these waits for other threads, which the child does not have; a segment is
	 * dropped once.
	 */
	if (fn != remote && fn != threads && fn != threads_emptied && fn != heapless &&
	    fn != drop_segment) {
		signal(SIGUSR1, fork_and_return);
		fork_and_go_on(&worker, stop[i].name, fn, 0);
		/* And with blocks in the bins. */
		fork_and_go_on(&worker, stop[i].name, fn, 7);
	}
	if (!strncmp(stop[i].name, "adopt.", 6)) {
		/* the first allocation of a thread, which is alone in the copy */
		signal(SIGUSR1, fork_and_return);
		actor_start(&newcomer);
		fork_and_go_on(&newcomer, stop[i].name, blocks, 0);
		actor_end(&newcomer);
	}
	if (!strncmp(stop[i].name, "exit.", 5))
		fork_at_end(stop[i].name);
	finish();
}

static const struct tcase cases[] = {
#define STOP(name, work) { "at:" name, fork_at, 60, QUIET, stops_prepare },
#include "stops.def"
#undef STOP
#define STOP(name, work) { "inside:" name, fork_inside, 60, QUIET, stops_prepare },
#include "stops.def"
#undef STOP
};

HAZARD_MAIN(cases)
