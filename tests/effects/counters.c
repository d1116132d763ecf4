// SPDX-License-Identifier: MIT
/*
 * Counters against books that the subject keeps itself, exactly: what it requested and got, by
 * class, from one thread, from several that end, and in a fork child. The figures compared are
 * those that `hakmemctl stats PID --json=short --classes` prints.
 *
 * The books lie in memory that both processes share (descriptor BOOKS_FD) and are kept by the
 * public meaning of the calls alone. A block's class is the smallest whose size is enough. A
 * realloc that moves is an allocation and a free. A whale that stays in place, or stays as large as
 * a whale, is the same whale. The kernel moves no whale that lies in two of its mappings; such a
 * whale is copied, which makes one copy, one allocation and one free more than the books have.
 */
#include "effects.h"

#include <pthread.h>

enum {
	BOOKS_FD = 51,
	CHILD_FD = 52,
	CLASSES = HAK_CLASSES,
	SLOTS = 3000,
	THREADS = 4,
};
static const size_t whale_min = MIB, slab_max = 16384;

struct tally {
	uint64_t allocs[CLASSES], frees[CLASSES];
	uint64_t whale_allocs, whale_frees, whale_bytes, whale_requested;
	uint64_t null_frees, copies, resized;
};

static struct books {
	size_t size[CLASSES]; /* the outside process writes it, from the JSON */
	struct tally t;
} * books;

/* ---- the subject ---- */

struct block {
	void *p;
	size_t requested, align;
	int whale;
};
static struct block block[THREADS][SLOTS];

static void add(uint64_t *to, uint64_t n)
{
	__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

/*
 * Returns the last class that is just large enough: of two classes of one size the first is not
 * used.
 */
static unsigned class_for(size_t n)
{
	unsigned c = 0;

	while (books->size[c] < n)
		c++;
	while (c + 1 < CLASSES && books->size[c + 1] == books->size[c])
		c++;
	return c;
}

/* Adds a block of `usable` bytes to the books, or takes it off them. */
static void book(const struct block *b, size_t usable, int in)
{
	if (b->whale) {
		add(in ? &books->t.whale_allocs : &books->t.whale_frees, 1);
		add(&books->t.whale_bytes, in ? usable : -usable);
		add(&books->t.whale_requested, in ? b->requested : -b->requested);
		return;
	}
	add(in ? &books->t.allocs[class_for(usable)] : &books->t.frees[class_for(usable)], 1);
}

/* Books a new block; what it must be follows from the request. */
static void book_new(struct block *b)
{
	size_t usable = malloc_usable_size(b->p);

	b->whale = b->requested >= whale_min || b->align > MIB;
	if (!b->whale && b->align <= 16)
		CHECK(usable == books->size[class_for(b->requested)], "%zu usable of %zu", usable,
		      b->requested);
	book(b, usable, 1);
}

static size_t some_size(uint64_t *s)
{
	static const size_t most[] = { 64, 300, 1024, 5000, 16384, 100000, 1000000, 4 << 20 };
	uint64_t x = rnd(s) % 64;

	return rnd(s) % most[x < 56 ? x % 5 : x < 61 ? 5 : x < 63 ? 6 : 7];
}

static void allocate(struct block *b, uint64_t *s)
{
	b->requested = some_size(s);
	b->align = 16;
	switch (rnd(s) % 8) {
	case 0:
		b->p = calloc(1, opaque(b->requested));
		break;
	case 1:
		b->align = (size_t)16 << rnd(s) % (rnd(s) % 16 ? 9 : 18);
		b->p = aligned_alloc(b->align, opaque(b->requested));
		break;
	case 2:
		b->p = realloc(NULL, opaque(b->requested));
		break;
	default:
		b->p = malloc(opaque(b->requested));
	}
	CHECK(b->p);
	book_new(b);
}

static void release(struct block *b)
{
	book(b, malloc_usable_size(b->p), 0);
	free(launder(b->p));
	b->p = NULL;
}

static void resize(struct block *b, uint64_t *s)
{
	struct block was = *b;
	size_t old = malloc_usable_size(b->p);
	uintptr_t p = (uintptr_t)b->p;
	int in_place;

	b->requested = some_size(s) + 1;
	b->align = 16;
	b->p = realloc(b->p, opaque(b->requested));
	CHECK(b->p);
	in_place = (uintptr_t)b->p == p;
	if (was.whale && (in_place || b->requested >= whale_min)) {
		add(&books->t.whale_bytes, malloc_usable_size(b->p) - old);
		add(&books->t.whale_requested, b->requested - was.requested);
	} else if (was.whale || !in_place) {
		add(&books->t.copies, 1);
		book(&was, old, 0);
		book_new(b);
	} else if (malloc_usable_size(b->p) != old) { /* a run, of another class now */
		CHECK(old > slab_max && b->requested > slab_max, "%zu bytes instead of %zu",
		      b->requested, old);
		add(&books->t.resized, 1);
		book(&was, old, 0);
		book_new(b);
	}
}

static long churn(long seed, long ops)
{
	struct block *mine = block[seed % THREADS];
	uint64_t s = (uint64_t)seed;

	for (; ops > 0; ops--) {
		struct block *b = &mine[rnd(&s) % SLOTS];

		if (!b->p)
			allocate(b, &s);
		else if (rnd(&s) % 4 == 0)
			resize(b, &s);
		else
			release(b);
		if (rnd(&s) % 16 == 0) {
			add(&books->t.null_frees, 1);
			free(launder(NULL));
		}
	}
	return 0;
}

static long release_all(long a, long b)
{
	(void)a;
	(void)b;
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < SLOTS; k++)
			if (block[i][k].p)
				release(&block[i][k]);
	return 0;
}

static long open_books(long a, long b)
{
	(void)a;
	(void)b;
	books = mmap(NULL, sizeof(*books), PROT_READ | PROT_WRITE, MAP_SHARED, BOOKS_FD, 0);
	return books != MAP_FAILED;
}

static long thread_ops;

static void *churns(void *arg)
{
	churn((long)(intptr_t)arg, thread_ops);
	return NULL;
}

/*
 * Threads that work at once and end. A call without operations makes the C library allocate, and
 * keep, what it needs for the stacks of the later threads.
 */
static long threads(long seed, long ops)
{
	pthread_t t[THREADS];

	thread_ops = ops;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, churns, (void *)(intptr_t)(seed + i)) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	return 0;
}

/* The child serves on the other socket; its answer to this command is its greeting there. */
static long fork_job(long a, long b)
{
	pid_t pid = fork();

	(void)a;
	(void)b;
	if (pid == 0) {
		if (dup2(CHILD_FD, SUBJECT_FD) < 0)
			_exit(126);
		return getpid();
	}
	return pid;
}

/* ---- the outsider ---- */

struct figures {
	uint64_t allocs[CLASSES], frees[CLASSES], in_use[CLASSES], inherited[CLASSES];
	uint64_t bytes[CLASSES], size[CLASSES];
	uint64_t whale_allocs, whale_frees, whale_bytes, whale_requested, whales;
	uint64_t hits, misses, puts, unkept, null_frees, copies;
};

static const char *at(const char *json, const char *word)
{
	const char *s = strstr(json, word);

	CHECK(s, "no %s in %.200s", word, json);
	return s + strlen(word);
}

static uint64_t number(const char *json, const char *name)
{
	char key[64];

	snprintf(key, sizeof(key), "\"%s\":", name);
	return strtoull(at(json, key), NULL, 10);
}

static void read_class(const char *json, unsigned k, struct figures *f)
{
	char key[32];

	snprintf(key, sizeof(key), "{\"class\":%u,", k);
	json = at(json, key);
	f->size[k] = number(json, "size");
	f->allocs[k] = number(json, "allocs");
	f->frees[k] = number(json, "frees");
	f->in_use[k] = number(json, "in_use");
	f->inherited[k] = number(json, "inherited");
	f->bytes[k] = number(json, "in_use_bytes");
}

static struct figures figures(pid_t pid)
{
	static char json[1 << 18];
	char command[512];
	struct figures f;
	const char *s;
	size_t n;
	FILE *out;

	snprintf(command, sizeof(command), "LD_PRELOAD= '%s' stats %d --json=short --classes",
		 getenv("HAKMEMCTL"), pid);
	out = popen(command, "re");
	CHECK(out);
	n = fread(json, 1, sizeof(json) - 1, out);
	json[n] = '\0';
	CHECK(pclose(out) == 0, "%s: %.200s", command, json);
	s = at(json, "\"counters\":{");
	f.whale_allocs = number(s, "whale.allocs");
	f.whale_frees = number(s, "whale.frees");
	f.hits = number(s, "whale.hits");
	f.misses = number(s, "whale.misses");
	f.puts = number(s, "whale.puts");
	f.unkept = number(s, "whale.unkept");
	f.null_frees = number(s, "free.null");
	f.copies = number(s, "realloc.copy");
	s = at(json, "\"tier\":\"whale\"");
	f.whales = number(s, "in_use");
	f.whale_bytes = number(s, "in_use_bytes");
	f.whale_requested = number(s, "requested_bytes");
	s = at(json, "\"classes\":[");
	for (unsigned k = 0; k < CLASSES; k++)
		read_class(s, k, &f);
	return f;
}

static struct remote r, child;

static void begin(const char *hakmem)
{
	int pair[2], fd;

	if (!getenv("HAKMEMCTL") || access(getenv("HAKMEMCTL"), X_OK))
		SKIP("built without hakmemctl");
	fd = memfd_create("books", 0);
	CHECK(fd >= 0 && ftruncate(fd, sizeof(*books)) == 0 && dup2(fd, BOOKS_FD) == BOOKS_FD);
	close(fd);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(dup2(pair[1], CHILD_FD) == CHILD_FD);
	close(pair[1]);
	child.fd = pair[0];
	start(&r, hakmem);
	CHECK(open_books(0, 0) && ask(&r, open_books, 0, 0));
}

/* Compares what the counters say has changed since `was`, and what exists, with the books. */
static void compare(const struct figures *was, const struct figures *is)
{
	const struct tally *t = &books->t;
	uint64_t copied = is->copies - was->copies - t->copies; /* whales */
	uint64_t allocs = t->whale_allocs + copied, frees = t->whale_frees + copied;

	CHECK(copied <= t->whale_allocs, "%lu copies, not %lu", is->copies - was->copies,
	      t->copies);
	for (unsigned k = 0; k < CLASSES; k++) {
		uint64_t live = was->in_use[k] + t->allocs[k] - t->frees[k];

		CHECK(is->allocs[k] - was->allocs[k] == t->allocs[k], "class %u: %lu, not %lu", k,
		      is->allocs[k] - was->allocs[k], t->allocs[k]);
		CHECK(is->frees[k] - was->frees[k] == t->frees[k], "class %u: %lu, not %lu", k,
		      is->frees[k] - was->frees[k], t->frees[k]);
		CHECK(is->in_use[k] == live, "class %u: %lu in use, not %lu", k, is->in_use[k],
		      live);
		CHECK(is->bytes[k] == live * books->size[k]);
	}
	CHECK(is->whale_allocs - was->whale_allocs == allocs, "%lu, not %lu",
	      is->whale_allocs - was->whale_allocs, allocs);
	CHECK(is->whale_frees - was->whale_frees == frees, "%lu, not %lu",
	      is->whale_frees - was->whale_frees, frees);
	CHECK(is->whales == was->whales + allocs - frees);
	CHECK(is->whale_bytes - was->whale_bytes == t->whale_bytes, "%lu, not %lu",
	      is->whale_bytes - was->whale_bytes, t->whale_bytes);
	CHECK(is->whale_requested - was->whale_requested == t->whale_requested, "%lu, not %lu",
	      is->whale_requested - was->whale_requested, t->whale_requested);
	CHECK(is->hits + is->misses - was->hits - was->misses == allocs);
	CHECK(is->puts + is->unkept - was->puts - was->unkept == frees);
	/* The C library frees NULL, too, when a thread ends. */
	CHECK(is->null_frees - was->null_frees >= t->null_frees, "%lu, not %lu",
	      is->null_frees - was->null_frees, t->null_frees);
}

static struct figures first_figures(void)
{
	struct figures f = figures(r.pid);

	for (unsigned k = 0; k < CLASSES; k++)
		books->size[k] = f.size[k];
	memset(&books->t, 0, sizeof(books->t));
	return f;
}

static void one_thread(void)
{
	struct figures was, is;
	uint64_t blocks = 0;

	begin(NULL);
	was = first_figures();
	for (int i = 0; i < 5; i++) {
		ask(&r, churn, 4 * i, 20000);
		is = figures(r.pid);
		compare(&was, &is);
	}
	for (unsigned k = 0; k < CLASSES; k++)
		blocks += books->t.allocs[k];
	CHECK(blocks > 40000 && books->t.whale_allocs > 100, "%lu blocks, %lu whales", blocks,
	      books->t.whale_allocs);
	CHECK(books->t.resized > 20, "only %lu runs were resized in place", books->t.resized);
	ask(&r, release_all, 0, 0);
	is = figures(r.pid);
	compare(&was, &is);
	CHECK(is.null_frees - was.null_frees == books->t.null_frees);
	CHECK(is.whales == was.whales && memcmp(is.in_use, was.in_use, sizeof(is.in_use)) == 0);
	finish(&r);
}

static void threads_that_end(void)
{
	struct figures was, is;

	begin("control.agent=off");
	ask(&r, threads, 1, 0);
	was = first_figures();
	for (int i = 0; i < 3; i++) {
		ask(&r, threads, 4 * i, 20000);
		is = figures(r.pid);
		compare(&was, &is);
	}
	/* A thread frees them that allocated none of them. */
	ask(&r, release_all, 0, 0);
	is = figures(r.pid);
	compare(&was, &is);
	CHECK(is.whales == was.whales && memcmp(is.in_use, was.in_use, sizeof(is.in_use)) == 0);
	finish(&r);
}

/* The child's counters begin with what it inherited; its parent's do not change. */
static void fork_child(void)
{
	struct figures was, parent, is;
	long pid;

	begin(NULL);
	was = first_figures();
	ask(&r, threads, 4, 20000);
	ask(&r, churn, 4, 20000);
	parent = figures(r.pid);
	pid = ask(&r, fork_job, 0, 0);
	CHECK(read(child.fd, &pid, sizeof(pid)) == sizeof(pid));
	child.pid = (pid_t)pid;
	is = figures(child.pid);
	for (unsigned k = 0; k < CLASSES; k++)
		CHECK(is.in_use[k] == parent.in_use[k] &&
			      is.in_use[k] == is.inherited[k] + is.allocs[k] - is.frees[k],
		      "class %u: %lu in use, %lu inherited, %lu in the parent", k, is.in_use[k],
		      is.inherited[k], parent.in_use[k]);
	CHECK(is.whales == parent.whales && is.whale_bytes == parent.whale_bytes,
	      "%lu whales of %lu bytes, not %lu of %lu", is.whales, is.whale_bytes, parent.whales,
	      parent.whale_bytes);
	/*
	 * The child works on, and frees what it inherited, and all of that is counted in the child.
	 */
	was = is;
	memset(&books->t, 0, sizeof(books->t));
	ask(&child, churn, 8, 20000);
	is = figures(child.pid);
	compare(&was, &is);
	ask(&child, release_all, 0, 0);
	is = figures(child.pid);
	compare(&was, &is);
	CHECK(is.whales == 0);
	is = figures(r.pid);
	CHECK(memcmp(&is, &parent, sizeof(is)) == 0);
}

/* Requested bytes are exact for whales, in a child as in its parent, and 0 without any. */
static void fork_child_knows_what_was_asked_for(void)
{
	struct figures parent, is;
	long pid;

	begin(NULL);
	first_figures();
	ask(&r, take_bare, 2 * MIB + 100, 10);
	parent = figures(r.pid);
	CHECK(parent.whale_requested == 10 * (2 * MIB + 100), "%lu", parent.whale_requested);
	pid = ask(&r, fork_job, 0, 0);
	CHECK(read(child.fd, &pid, sizeof(pid)) == sizeof(pid));
	child.pid = (pid_t)pid;
	is = figures(child.pid);
	CHECK(is.whale_requested == parent.whale_requested, "%lu asked for, %lu in the parent",
	      is.whale_requested, parent.whale_requested);
	ask(&child, drop, 0, 1);
	is = figures(child.pid);
	CHECK(is.whales == 0 && is.whale_requested == 0, "%lu whales, %lu bytes asked for",
	      is.whales, is.whale_requested);
}

/* A block that is a whale by its alignment alone, resized in place. */
static long aligned_resize(long a, long b)
{
	char *p = aligned_alloc(2 * MIB, opaque((size_t)a));

	kept[kept_n++] = p ? launder(realloc(p, opaque((size_t)b))) : NULL;
	return kept[kept_n - 1] == p;
}

static void aligned_whales(void)
{
	struct figures was, is;

	begin(NULL);
	was = first_figures();
	CHECK(ask(&r, aligned_resize, 65000, 50000));
	is = figures(r.pid);
	CHECK(is.whales == was.whales + 1 && is.whale_requested == was.whale_requested + 50000,
	      "%lu asked for, not 50000", is.whale_requested - was.whale_requested);
	ask(&r, drop, 0, 1);
	is = figures(r.pid);
	CHECK(is.whales == was.whales && is.whale_requested == was.whale_requested);
	finish(&r);
}

/* A refused mapping maps nothing, and leaves nothing behind. */
static long refused_map(long a, long b)
{
	(void)b;
	return !malloc(opaque((size_t)a));
}

/* Under a limit that leaves room for tables: `a` bytes do not fit. */
static long refused_grow(long a, long b)
{
	struct rlimit most = { 64 * GIB, 64 * GIB };
	void *p = malloc(2 * MIB);

	(void)b;
	CHECK(p && setrlimit(RLIMIT_AS, &most) == 0);
	kept[kept_n++] = p;
	return !realloc(p, opaque((size_t)a));
}

static int mappings(pid_t pid)
{
	char path[64];
	int n = 0, c;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	CHECK(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void refused_calls_leave_nothing(void)
{
	uint64_t bytes, tables;
	int vmas;

	begin("purge.delay_ms=1d");
	ask(&r, take_bare, 2 * MIB, 1);
	bytes = count(&r, "sys.mmap.bytes");
	CHECK(ask(&r, refused_map, 1l << 46, 0));
	CHECK(count(&r, "sys.mmap.bytes") - bytes < GIB, "%lu bytes mapped by a refused call",
	      count(&r, "sys.mmap.bytes") - bytes);
	tables = count(&r, "mem.metadata");
	vmas = mappings(r.pid);
	CHECK(ask(&r, refused_grow, 1l << 39, 0));
	CHECK(count(&r, "mem.metadata") - tables < MIB, "%lu bytes of tables more",
	      count(&r, "mem.metadata") - tables);
	CHECK(mappings(r.pid) <= vmas + 2, "%d mappings, were %d", mappings(r.pid), vmas);
	finish(&r);
}

/* ---- caches that a fork child takes over ---- */

static pthread_barrier_t filled;

static void *foreign[20000];

/* By blocks of another heap, because its own would go to their slabs. */
static void *fills_its_cache(void *arg)
{
	for (int k = 0; k < 20000; k++)
		free(foreign[k]);
	pthread_barrier_wait(&filled);
	for (;;)
		pause();
	return arg;
}

static long cache_in_thread(long a, long b)
{
	pthread_t t;

	(void)a;
	(void)b;
	for (int k = 0; k < 20000; k++)
		CHECK((foreign[k] = launder(malloc(opaque(64)))) != NULL);
	CHECK(pthread_barrier_init(&filled, NULL, 2) == 0);
	CHECK(pthread_create(&t, NULL, fills_its_cache, NULL) == 0);
	pthread_barrier_wait(&filled);
	return 0;
}

static void *takes(void *arg)
{
	take_bare(64, (long)(intptr_t)arg);
	return NULL;
}

static long take_in_thread(long a, long b)
{
	pthread_t t;

	(void)b;
	CHECK(pthread_create(&t, NULL, takes, (void *)(intptr_t)a) == 0);
	CHECK(pthread_join(t, NULL) == 0);
	return 0;
}

/* By the segment's own figures: readers would show 0 where more left the caches than came in. */
static int64_t cached_blocks(struct remote *s)
{
	return (int64_t)(count(s, "class.refilled") + count(s, "class.frees") -
			 count(s, "class.flushed") - count(s, "class.allocs"));
}

static void fork_child_counts_caches_it_adopts(void)
{
	uint64_t spares;
	long pid;

	begin("purge.delay_ms=1d,control.agent=off");
	ask(&r, cache_in_thread, 0, 0);
	pid = ask(&r, fork_job, 0, 0);
	CHECK(read(child.fd, &pid, sizeof(pid)) == sizeof(pid));
	child.pid = (pid_t)pid;
	peer_open(&child.p, child.pid);
	CHECK(cached_blocks(&child) >= 0, "%ld", (long)cached_blocks(&child));
	spares = count(&child, "refill.spare");
	ask(&child, take_in_thread, 400, 0);
	CHECK(count(&child, "heap.adopted") == 1 && count(&child, "refill.spare") > spares);
	CHECK(cached_blocks(&child) >= 0, "%ld", (long)cached_blocks(&child));
	kill(r.pid, SIGKILL);
}

static pthread_key_t late_key;

/* In the last of glibc's four rounds the shared heap serves the thread. */
static void frees_late(void *arg)
{
	static __thread int rounds;

	if (++rounds < 4) {
		pthread_setspecific(late_key, arg);
		return;
	}
	for (int k = 0; k < 20000; k++)
		free(foreign[k]);
}

static void *ends_late(void *arg)
{
	free(launder(malloc(opaque(64))));
	pthread_setspecific(late_key, arg);
	return NULL;
}

static long cache_without_a_heap(long a, long b)
{
	pthread_t t;

	(void)a;
	(void)b;
	for (int k = 0; k < 20000; k++)
		CHECK((foreign[k] = launder(malloc(opaque(64)))) != NULL);
	CHECK(pthread_key_create(&late_key, frees_late) == 0);
	CHECK(pthread_create(&t, NULL, ends_late, &late_key) == 0);
	return pthread_join(t, NULL);
}

static long empty_caches(long a, long b)
{
	(void)a;
	(void)b;
	return HAKMEM(hakmem_purge, int (*)(int, uint64_t *))(HAK_PURGE_CACHE, NULL);
}

static void fork_child_counts_the_shared_cache(void)
{
	long pid;

	begin("purge.delay_ms=1d,control.agent=off");
	CHECK(ask(&r, cache_without_a_heap, 0, 0) == 0);
	CHECK(count(&r, "free.shared") >= 20000);
	pid = ask(&r, fork_job, 0, 0);
	CHECK(read(child.fd, &pid, sizeof(pid)) == sizeof(pid));
	child.pid = (pid_t)pid;
	peer_open(&child.p, child.pid);
	CHECK(cached_blocks(&child) > 0, "%ld", (long)cached_blocks(&child));
	CHECK(ask(&child, empty_caches, 0, 0) == 0);
	CHECK(cached_blocks(&child) == 0, "%ld", (long)cached_blocks(&child));
	kill(r.pid, SIGKILL);
}

/* Grows a whale that finds room in a kept region alone, b times. */
static long grow_into_kept(long a, long b)
{
	for (; b > 0; b--) {
		char *p = launder(malloc(opaque((size_t)a)));
		char *q = launder(malloc(opaque((size_t)(3 * a))));

		if (!p || !q)
			_exit(1);
		memset(q, 1, (size_t)(3 * a));
		free(q);
		p = launder(realloc(p, opaque((size_t)(a + a / 2))));
		if (!p)
			_exit(1);
		free(p);
	}
	return 0;
}

/* A copy to a kept region is an allocation and a free for slow paths as well. */
static void whales_copied_are_freed_slowly(void)
{
	uint64_t copies, allocs, frees, slow_allocs, slow_frees;

	begin("purge.delay_ms=1d,control.agent=off");
	copies = count(&r, "realloc.copy");
	allocs = count(&r, "whale.allocs");
	frees = count(&r, "whale.frees");
	slow_allocs = count(&r, "slow.malloc");
	slow_frees = count(&r, "slow.free");
	ask(&r, grow_into_kept, MIB, 20);
	CHECK(count(&r, "realloc.copy") - copies > 10, "%lu copies",
	      count(&r, "realloc.copy") - copies);
	CHECK(count(&r, "slow.malloc") - slow_allocs >= count(&r, "whale.allocs") - allocs);
	CHECK(count(&r, "slow.free") - slow_frees >= count(&r, "whale.frees") - frees);
	finish(&r);
}

/* A whale of `a` bytes at the front of a larger kept region, grown by b bytes. */
static long grow_at_front(long a, long b)
{
	void *p = launder(malloc(opaque((size_t)(a + a / 4))));

	free(p);
	p = launder(malloc(opaque((size_t)a)));
	kept[kept_n++] = launder(realloc(p, opaque((size_t)(a + b))));
	return kept[kept_n - 1] == p;
}

/* A whale that is too large for a copy is to stay in one mapping. */
static void large_whales_grow_by_mremap(void)
{
	begin("purge.delay_ms=1d,control.agent=off");
	CHECK(ask(&r, grow_at_front, 31 * MIB, MIB) == 1);
	CHECK(count(&r, "sys.mremap.calls") == 0);
	CHECK(ask(&r, grow_at_front, 100 * MIB, MIB) == 0);
	CHECK(count(&r, "sys.mremap.calls") > 0 && count(&r, "realloc.remap") == 1);
	CHECK(count(&r, "realloc.copy") == 0);
	finish(&r);
}

/* One mapping serves all whales of one size that follow each other. */
static void one_mapping_for_a_thousand(void)
{
	uint64_t mmaps, munmaps;
	struct figures was, is;

	begin("purge.delay_ms=1d");
	was = first_figures();
	mmaps = count(&r, "sys.mmap.calls");
	munmaps = count(&r, "sys.munmap.calls");
	ask(&r, whales, 2 * MIB, 1000);
	is = figures(r.pid);
	CHECK(is.hits - was.hits == 999 && is.misses - was.misses == 1);
	CHECK(is.puts - was.puts == 1000 && is.unkept == was.unkept);
	CHECK(count(&r, "sys.mmap.calls") == mmaps + 1);
	CHECK(count(&r, "sys.munmap.calls") == munmaps);
	CHECK(count(&r, "whale.alloc_bytes") == 2000 * MIB &&
	      count(&r, "whale.free_bytes") == 2000 * MIB);
	finish(&r);
}

static const struct tcase cases[] = {
	{ "one_thread", one_thread, 60 },
	{ "threads_that_end", threads_that_end, 60 },
	{ "fork_child", fork_child, 60 },
	{ "fork_child_knows_what_was_asked_for", fork_child_knows_what_was_asked_for },
	{ "aligned_whales", aligned_whales },
	{ "refused_calls_leave_nothing", refused_calls_leave_nothing },
	{ "fork_child_counts_caches_it_adopts", fork_child_counts_caches_it_adopts },
	{ "fork_child_counts_the_shared_cache", fork_child_counts_the_shared_cache },
	{ "whales_copied_are_freed_slowly", whales_copied_are_freed_slowly },
	{ "large_whales_grow_by_mremap", large_whales_grow_by_mremap },
	{ "one_mapping_for_a_thousand", one_mapping_for_a_thousand },
};

EFFECTS_MAIN(cases)
