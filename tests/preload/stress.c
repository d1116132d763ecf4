// SPDX-License-Identifier: MIT
/*
 * A seeded, replayable stress test of any malloc from outside.
 *
 * 	stress [--seed N] [--threads T] [--ops N] [--max-size S] [--fork] [--rounds N]
 *
 * Each thread draws its operations from a stream of its own that depends on the seed and the
 * thread's number alone; timing decides only which threads exchange blocks. Every block carries a
 * content of its own. A map of the whole address space, one bit per 16 bytes, independent of the
 * allocator, notes what is handed out. So two owners of one byte are found at the hand-out, and
 * late writes at the next look at a block. Blocks change hands through mailboxes (cross-thread
 * frees and reallocs). Threads end with live blocks that their successors take over. With --fork
 * children check and free all that they inherited in the middle of the work.
 *
 * The work runs in a child of a supervisor, which prints the command that replays it when the child
 * fails, crashes or hangs. All bookkeeping lies in mappings of its own, never in the memory under
 * test.
 */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

enum {
	SLOTS = 1024, /* blocks of one thread */
	MAILBOXES = 512,
	MAX_THREADS = 64,
	LIVES = 6,	     /* successions of each thread */
	LEAF_BITS = 26,	     /* 1 GiB of addresses in 16-byte units */
	ROOT_SIZE = 1 << 17, /* 47 bits of address */
};

enum state { EMPTY, LIVE, BUSY };

struct block {
	char *p;
	size_t n, stamped;
	uint64_t seed;
	volatile int state;
};

struct worker {
	struct block slot[SLOTS];
	uint64_t rng;
	uint64_t op;
	unsigned int id;
	pthread_t thread;
};

struct mailbox {
	volatile char lock;
	struct block block;
};

static struct {
	uint64_t seed, ops;
	size_t max_size;
	unsigned int threads, rounds;
	int fork;
} opt = { 1, 60000, 4 * MIB, 4, 1, 0 };

static struct worker *workers;
static struct mailbox *mailboxes;
static uint64_t *volatile *root;
static __thread struct worker *me;
static volatile int in_fork_child;

__attribute__((noreturn, format(printf, 1, 2))) static void bad(const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	say("stress: seed %llu, thread %u, operation %llu%s: %s\n", (unsigned long long)opt.seed,
	    me ? me->id : 0, (unsigned long long)(me ? me->op : 0),
	    in_fork_child ? ", in a fork child" : "", why);
	_exit(1);
}

static void *map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		bad("mmap of %zu bytes for the bookkeeping: %s", n, strerror(errno));
	return p;
}

/* -- the map of owned bytes ------------------------------------------------- */

static uint64_t *leaf_of(uintptr_t unit)
{
	uint64_t *volatile *at = &root[unit >> LEAF_BITS];
	uint64_t *leaf = __atomic_load_n(at, __ATOMIC_ACQUIRE), *fresh, *none = NULL;

	if (leaf)
		return leaf;
	fresh = map(((size_t)1 << LEAF_BITS) / 8);
	if (__atomic_compare_exchange_n(at, &none, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh;
	munmap(fresh, ((size_t)1 << LEAF_BITS) / 8);
	return none;
}

static uint64_t bits_between(uintptr_t unit, uintptr_t end)
{
	size_t from = unit % 64, count = end - unit;

	if (count >= 64 - from)
		return ~(uint64_t)0 << from;
	return (((uint64_t)1 << count) - 1) << from;
}

/* Marks or unmarks p's bytes, all of which must have had the other state. */
static void own(const char *p, size_t n, int take)
{
	uintptr_t unit = (uintptr_t)p / 16, end = ((uintptr_t)p + n + 15) / 16;

	if ((uintptr_t)p >> 47)
		bad("%p lies beyond 47 bits", (void *)p);
	while (unit < end) {
		uint64_t *word = &leaf_of(unit)[unit % ((uintptr_t)1 << LEAF_BITS) / 64];
		uint64_t bits = bits_between(unit, end), was;

		was = take ? __atomic_fetch_or(word, bits, __ATOMIC_ACQ_REL)
			   : __atomic_fetch_and(word, ~bits, __ATOMIC_ACQ_REL);
		if ((take ? was & bits : ~was & bits) != 0)
			bad("%p of %zu bytes %s near %p", (void *)p, n,
			    take ? "overlaps a live block" : "was owned in part only",
			    (void *)(unit * 16));
		unit = (unit | 63) + 1;
	}
}

/* -- contents --------------------------------------------------------------- */

/* All of a small block; of large blocks the ends and a piece of each page or, one time in eight,
 * all. */
static int in_full(const struct block *b)
{
	return b->stamped <= 4096 || (b->seed & 7) == 0;
}

static void stamp(struct block *b)
{
	size_t at;

	if (in_full(b)) {
		fill(b->p, b->stamped, b->seed);
		return;
	}
	for (at = 0; at + 64 <= b->stamped; at += 4096)
		fill(b->p + at, 64, b->seed + at);
	fill(b->p + b->stamped - 48, 48, ~b->seed);
}

/* Checks the first n bytes of the stamped content. */
static void verify_front(const struct block *b, size_t n, const char *when)
{
	size_t at, wrong;

	if (in_full(b)) {
		wrong = fill_differs(b->p, n, b->seed);
		if (wrong != n)
			bad("%p of %zu bytes changed at offset %zu (%s)", (void *)b->p, b->n, wrong,
			    when);
		return;
	}
	for (at = 0; at + 64 <= n; at += 4096)
		/* The tail's stamp may lie over the last page's. */
		if (at + 64 <= b->stamped - 48 && fill_differs(b->p + at, 64, b->seed + at) != 64)
			bad("%p of %zu bytes changed near offset %zu (%s)", (void *)b->p, b->n, at,
			    when);
}

static void verify(const struct block *b, const char *when)
{
	verify_front(b, b->stamped, when);
	if (!in_full(b) && fill_differs(b->p + b->stamped - 48, 48, ~b->seed) != 48)
		bad("%p of %zu bytes changed at its end (%s)", (void *)b->p, b->n, when);
}

/* -- operations ------------------------------------------------------------- */

static size_t draw_size(uint64_t r)
{
	static const size_t top[16] = {
		64,   64,   64,	   256,	  256,	 512,	1024, 1024,
		2048, 4096, 16384, 16384, 65536, 65536, MIB,  4 * MIB,
	};
	size_t most = top[r & 15];

	/* Large ones rarely: they cost time, and show little more. */
	if (most >= MIB && (r >> 4) % 8)
		most = 1024;
	if (most == 4 * MIB)
		most = opt.max_size;
	if (most > opt.max_size)
		most = opt.max_size;
	return (r >> 8) % (most + 1);
}

/* Checks and notes a block that was handed out; b->n is the requested size. */
static void receive(struct block *b, void *p, size_t align, const char *by)
{
	size_t usable;

	if (!p)
		bad("%s(%zu): %s", by, b->n, strerror(errno));
	if (!aligned_to(p, align < 16 ? 16 : align))
		bad("%s(%zu) gave %p, which is not aligned to %zu", by, b->n, p,
		    align < 16 ? (size_t)16 : align);
	usable = malloc_usable_size(p);
	if (usable < b->n)
		bad("%s(%zu) gave %p with %zu usable bytes", by, b->n, p, usable);
	b->p = p;
	b->seed = rnd(&me->rng);
	b->stamped = (b->seed >> 8) % 4 == 0 ? usable : b->n;
	own(p, usable, 1);
}

static void let_go(struct block *b, const char *when)
{
	verify(b, when);
	b->state = BUSY;
	own(b->p, malloc_usable_size(b->p), 0);
}

static void op_allocate(struct block *b, uint64_t r)
{
	size_t align = (size_t)16 << (r >> 40) % 13;
	void *p = NULL;

	b->state = BUSY;
	b->n = draw_size(r);
	if ((r >> 56) % 64 == 0)
		align <<= 6;
	switch ((r >> 32) % 16) {
	default:
		receive(b, malloc(b->n), 16, "malloc");
		break;
	case 10:
	case 11:
	case 12:
		receive(b, calloc(1, b->n), 16, "calloc");
		if (nonzero_at(b->p, b->n) != b->n)
			bad("calloc(%zu) gave %p, not zero at offset %zu", b->n, (void *)b->p,
			    nonzero_at(b->p, b->n));
		break;
	case 13:
		receive(b, memalign(align, b->n), align, "memalign");
		break;
	case 14:
		if (posix_memalign(&p, align, b->n) != 0)
			bad("posix_memalign(%zu, %zu)", align, b->n);
		receive(b, p, align, "posix_memalign");
		break;
	case 15:
		receive(b, aligned_alloc(align, b->n), align, "aligned_alloc");
		break;
	}
	stamp(b);
	b->state = LIVE;
}

static void op_free(struct block *b)
{
	let_go(b, "before free");
	free(b->p);
	b->p = NULL;
	b->state = EMPTY;
}

static void op_realloc(struct block *b, uint64_t r)
{
	struct block old = *b;
	size_t kept, want = (r >> 36) % 4 == 0 ? old.n + (r >> 48) % 256 : draw_size(r);
	void *p;

	if (want == 0)
		want = 1;
	let_go(b, "before realloc");
	p = realloc(b->p, want);
	if (!p)
		bad("realloc(%p, %zu): %s", (void *)old.p, want, strerror(errno));
	old.p = p;
	kept = want < old.stamped ? want : old.stamped;
	verify_front(&old, kept, "after realloc");
	b->n = want;
	receive(b, p, 16, "realloc");
	stamp(b);
	b->state = LIVE;
}

/* Gives a block away and takes over the block that lay there. */
static void op_exchange(struct block *b, uint64_t r)
{
	struct mailbox *m = &mailboxes[(r >> 20) % MAILBOXES];
	struct block mine = *b;

	while (__atomic_test_and_set(&m->lock, __ATOMIC_ACQUIRE))
		sched_yield();
	b->state = BUSY;
	b->p = m->block.p;
	b->n = m->block.n;
	b->stamped = m->block.stamped;
	b->seed = m->block.seed;
	mine.state = mine.p ? LIVE : EMPTY;
	m->block = mine;
	b->state = b->p ? LIVE : EMPTY;
	__atomic_clear(&m->lock, __ATOMIC_RELEASE);
	if (b->p)
		verify(b, "taken over from another thread");
}

static void one_operation(struct worker *w)
{
	uint64_t r = rnd(&w->rng);
	struct block *b = &w->slot[(r >> 44) % SLOTS];

	w->op++;
	r = mix64(r);
	switch (r % 16) {
	case 0:
	case 1:
		op_exchange(b, mix64(r));
		break;
	case 2:
	case 3:
	case 4:
		if (b->p) {
			op_realloc(b, mix64(r));
			break;
		}
		__attribute__((fallthrough));
	default:
		if (b->p)
			op_free(b);
		else
			op_allocate(b, mix64(r));
		break;
	case 5:
		if (b->p)
			verify(b, "a look in between");
		break;
	}
	if (w->op % 20011 == 0)
		malloc_trim(0);
}

/* -- forks ------------------------------------------------------------------ */

/* Blocks that other threads were working on at the fork belong to no thread here. */
static void inherit_blocks(struct block *b, size_t count, size_t *seen)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (b[i].state != LIVE || !b[i].p) {
			b[i].p = NULL;
			b[i].state = EMPTY;
			continue;
		}
		own(b[i].p, malloc_usable_size(b[i].p), 1);
		verify(&b[i], "inherited over fork");
		(*seen)++;
	}
}

static void child_of_a_fork(struct worker *w)
{
	size_t i, j, seen = 0;

	alarm(120);
	in_fork_child = 1;
	root = map(ROOT_SIZE * sizeof(*root));
	for (i = 0; i < opt.threads; i++)
		inherit_blocks(workers[i].slot, SLOTS, &seen);
	for (i = 0; i < MAILBOXES; i++) {
		/* A thread that does not exist here holds it: leave the block alone. */
		if (__atomic_test_and_set(&mailboxes[i].lock, __ATOMIC_ACQUIRE))
			mailboxes[i].block.state = EMPTY;
		inherit_blocks(&mailboxes[i].block, 1, &seen);
		__atomic_clear(&mailboxes[i].lock, __ATOMIC_RELEASE);
	}
	for (i = 0; i < 3000; i++)
		one_operation(w);
	for (i = 0; i < opt.threads; i++)
		for (j = 0; j < SLOTS; j++)
			if (workers[i].slot[j].p)
				op_free(&workers[i].slot[j]);
	for (i = 0; i < 1000; i++)
		one_operation(w);
	_exit(seen ? 0 : 1);
}

static void op_fork(struct worker *w)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		bad("fork: %s", strerror(errno));
	if (pid == 0)
		child_of_a_fork(w);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		bad("a fork child ended with status %#x", status);
}

/* -- threads ---------------------------------------------------------------- */

static void *life(void *arg)
{
	struct worker *w = arg;
	uint64_t end = w->op + opt.ops / LIVES + 1, fork_at = 0;

	me = w;
	if (opt.fork)
		fork_at = w->op + 1 + mix64(opt.seed ^ w->op ^ w->id) % (opt.ops / LIVES + 1);
	while (w->op < end) {
		one_operation(w);
		if (w->op == fork_at)
			op_fork(w);
	}
	return NULL;
}

static void clear_all(void)
{
	size_t i, j;

	me = &workers[0];
	for (i = 0; i < opt.threads; i++)
		for (j = 0; j < SLOTS; j++)
			if (workers[i].slot[j].p)
				op_free(&workers[i].slot[j]);
	for (i = 0; i < MAILBOXES; i++)
		if (mailboxes[i].block.p)
			op_free(&mailboxes[i].block);
}

static void work(void)
{
	size_t i, l;

	workers = map(MAX_THREADS * sizeof(*workers));
	mailboxes = map(MAILBOXES * sizeof(*mailboxes));
	root = map(ROOT_SIZE * sizeof(*root));
	for (i = 0; i < opt.threads; i++) {
		workers[i].id = i;
		workers[i].rng = mix64(opt.seed * 1000003 + i);
	}
	for (l = 0; l < LIVES; l++) {
		for (i = 0; i < opt.threads; i++)
			if (pthread_create(&workers[i].thread, NULL, life, &workers[i]) != 0)
				bad("pthread_create");
		for (i = 0; i < opt.threads; i++)
			pthread_join(workers[i].thread, NULL);
	}
	clear_all();
}

static int supervise(const char *self)
{
	unsigned int secs = 120 + (unsigned int)(opt.ops * opt.threads / 5000);
	int status;
	pid_t pid = fork();

	if (pid < 0) {
		say("stress: fork: %s\n", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		alarm(secs);
		work();
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status == 0)
		return 0;
	if (WIFSIGNALED(status))
		say("stress: ended by signal %d%s\n", WTERMSIG(status),
		    WTERMSIG(status) == SIGALRM ? " (hung)" : "");
	say("stress: replay with: %s --seed %llu --threads %u --ops %llu --max-size %zu%s\n", self,
	    (unsigned long long)opt.seed, opt.threads, (unsigned long long)opt.ops, opt.max_size,
	    opt.fork ? " --fork" : "");
	return 1;
}

static uint64_t number(const char *name, const char *s, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = s ? strtoull(s, &end, 0) : 0;
	if (!s || errno || *end || end == s || n < least || n > most) {
		say("stress: %s needs a number from %llu to %llu\n", name,
		    (unsigned long long)least, (unsigned long long)most);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (strcmp(a, "--fork") == 0)
			opt.fork = 1;
		else if (strcmp(a, "--seed") == 0)
			opt.seed = number(a, argv[++i], 0, UINT64_MAX);
		else if (strcmp(a, "--threads") == 0)
			opt.threads = number(a, argv[++i], 1, MAX_THREADS);
		else if (strcmp(a, "--ops") == 0)
			opt.ops = number(a, argv[++i], 1, (uint64_t)1 << 40);
		else if (strcmp(a, "--max-size") == 0)
			opt.max_size = number(a, argv[++i], 1, GIB);
		else if (strcmp(a, "--rounds") == 0)
			opt.rounds = number(a, argv[++i], 1, 1000000);
		else {
			say("usage: stress [--seed N] [--threads T] [--ops N] [--max-size S] "
			    "[--fork] [--rounds N]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		return 1;
	harness_preload(argv);
	harness_expect();
	if (argc == 1) { /* as make check runs it */
		opt.fork = 1;
		opt.rounds = (unsigned int)scale(1, 200);
		opt.ops = slow() ? 1000000 : 60000;
	}
	parse(argc, argv);
	for (i = 0; i < opt.rounds; i++, opt.seed++) {
		if (supervise(argv[0]) != 0)
			return 1;
	}
	say("stress: %u rounds of %llu operations in %u threads up to seed %llu: ok\n", opt.rounds,
	    (unsigned long long)opt.ops, opt.threads, (unsigned long long)opt.seed - 1);
	return 0;
}
