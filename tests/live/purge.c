// SPDX-License-Identifier: MIT
/*
 * Purge requests from outside: the answer belongs to the request and is true, which thread answers
 * and when, what happens to requests while threads end or free, and the effect of a controller that
 * can page out.
 */
#include "peer.h"

#include <pthread.h>

static struct peer p;

enum { WHALES = 24, WHALE_BYTES = 2 << 20 }; /* less than goes back by amount */
static char *whale[WHALES];

/* Frees whales of which every page of the first `touched` bytes was written. */
static void leave_garbage(size_t touched)
{
	for (int i = 0; i < WHALES; i++) {
		whale[i] = launder(malloc(opaque(WHALE_BYTES)));
		CHECK(whale[i]);
		memset(whale[i], 1, touched);
	}
	for (int i = 0; i < WHALES; i++)
		free(whale[i]);
}

static struct hak_purge_answer purge(unsigned level)
{
	uint64_t id = peer_purge(&p, level);
	struct hak_purge_answer a;

	WAIT_FOR(poked() && (a = peer_answer(&p, id)).id == id);
	return a;
}

static void answers_with_the_fall_of_rss(void)
{
	const long touched = 1 << 20, all = WHALES * (touched / 1024);
	struct hak_purge_answer a;
	long before, after, fall;

	peer_open(&p, getpid());
	poke();
	purge(HAK_PURGE_ALL);
	leave_garbage(touched);
	before = rss_kib();
	a = purge(HAK_PURGE_DIRTY);
	after = rss_kib();
	fall = before - after;
	CHECK(fall >= all * 9 / 10, "RSS fell by %ld of %ld KiB", fall, all);
	/* Pages that were never touched do not count: half of each whale. */
	CHECK((long)(a.bytes / 1024) >= fall * 9 / 10 && (long)(a.bytes / 1024) <= fall * 11 / 10,
	      "answered %lu KiB, RSS fell by %ld", a.bytes / 1024, fall);
	CHECK(a.level == HAK_PURGE_DIRTY && a.status == 0 && a.ns > 0);
	a = purge(HAK_PURGE_DIRTY);
	CHECK(a.bytes < 1 << 20, "%lu bytes again", a.bytes);
}

static void all_unmaps_the_ring(void)
{
	uint64_t mapped;

	peer_open(&p, getpid());
	leave_garbage(4096);
	CHECK(peer_counter(&p, "ring.bytes") >= WHALES * (uint64_t)WHALE_BYTES);
	purge(HAK_PURGE_DIRTY);
	CHECK(peer_counter(&p, "ring.bytes") >= WHALES * (uint64_t)WHALE_BYTES);
	mapped = peer_counter(&p, "mem.mapped");
	purge(HAK_PURGE_ALL);
	CHECK(peer_counter(&p, "mem.mapped") < mapped - WHALES / 2 * (uint64_t)WHALE_BYTES,
	      "%lu mapped before, %lu after", mapped, peer_counter(&p, "mem.mapped"));
}

static void unknown_levels_are_refused(void)
{
	struct hak_purge_answer a;

	peer_open(&p, getpid());
	a = purge(0);
	CHECK(a.status == EINVAL && a.bytes == 0 && a.level == 0);
	a = purge(255);
	CHECK(a.status == EINVAL && a.bytes == 0 && a.level == 255);
	CHECK(purge(HAK_PURGE_CACHE).status == 0);
}

/* There are fewer places for answers than requests. */
static void every_request_gets_its_answer(void)
{
	peer_open(&p, getpid());
	for (int i = 0; i < 100; i++) {
		uint64_t id = peer_purge(&p, 1 + i % 3);
		struct hak_purge_answer a;

		WAIT_FOR(poked() && (a = peer_answer(&p, id)).id == id);
		CHECK(a.level == 1u + i % 3);
	}
	CHECK(peer_counter(&p, "purge.requests") == 100);
}

static void later_request_covers_earlier(void)
{
	uint64_t first, second;

	peer_open(&p, getpid());
	first = peer_purge(&p, HAK_PURGE_CACHE);
	second = peer_purge(&p, HAK_PURGE_ALL);
	WAIT_FOR(poked() && peer_answer(&p, second).id == second);
	CHECK(peer_answer(&p, first).id != first);
	CHECK(peer_counter(&p, "purge.requests") == 1);
}

/* ---- a process that cannot hear ---- */

static void with_agent(int from, int to)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, sleeps_for_ever, NULL) == 0);
	tell(to);
	hear(from);
}

static void stopped_processes_answer_late_35(void)
{
	int to, from, status;
	uint64_t first, second, g;
	pid_t pid = subject(with_agent, &to, &from);

	hear(from);
	peer_open(&p, pid);
	WAIT_FOR(peer_agent(&p) == 1);
	CHECK(kill(pid, SIGSTOP) == 0 && waitpid(pid, &status, WUNTRACED) == pid);
	first = peer_purge(&p, HAK_PURGE_CACHE);
	g = peer_set(&p, "whale.ring_slots", 8);
	CHECK(peer_answer(&p, first).id != first && !peer_has_applied(&p, g));
	second = peer_purge(&p, HAK_PURGE_DIRTY);
	CHECK(kill(pid, SIGCONT) == 0);
	WAIT_FOR(peer_answer(&p, second).id == second && peer_has_applied(&p, g));
	CHECK(peer_answer(&p, second).level == HAK_PURGE_DIRTY);
	CHECK(peer_value(&p, "whale.ring_slots") == 8);
	tell(to);
	reap(pid, "the stopped one");
}

/* ---- threads that have given up their heap ---- */

static pthread_key_t late_key;
static _Thread_local int rounds;
static _Atomic int late, enough;

/* glibc makes four rounds; by the last one the heap has been given up. */
static void frees_late(void *arg)
{
	static void *block[400];

	if (++rounds < 4) {
		pthread_setspecific(late_key, arg);
		return;
	}
	atomic_store(&late, 1);
	WAIT_FOR(atomic_load(&late) == 2);
	do {
		for (int i = 0; i < 400; i++)
			block[i] = launder(malloc(opaque(64)));
		for (int i = 0; i < 400; i++)
			free(block[i]);
	} while (!atomic_load(&enough));
}

static void *ends_late(void *arg)
{
	free(launder(malloc(opaque(10))));
	pthread_setspecific(late_key, arg);
	return NULL;
}

static pthread_t start_late(void)
{
	pthread_t t;

	peer_open(&p, getpid());
	CHECK(pthread_key_create(&late_key, frees_late) == 0);
	CHECK(pthread_create(&t, NULL, ends_late, &late_key) == 0);
	WAIT_FOR(atomic_load(&late) == 1);
	return t;
}

static uint64_t late_frees(void)
{
	uint64_t n;

	CHECK(HAKMEM(hakmem_counter, hakmem_get_fn)("free.shared", &n) == 0);
	return n;
}

/* The ending threads hold a lock while they free, and must not obey requests to the process. */
static void dropped_while_a_thread_ends(void)
{
	pthread_t t = start_late();
	uint64_t g = peer_set(&p, "control.segment", 0), before = late_frees();

	atomic_store(&late, 2);
	WAIT_FOR(late_frees() >= before + 100000);
	WAIT_FOR(poked() && peer_has_applied(&p, g));
	atomic_store(&enough, 1);
	pthread_join(t, NULL);
	peer_close(&p);
	WAIT_FOR(poked() && !peer_mapped(getpid(), "/memfd:hakmem-"));
}

static void purged_and_forked_while_a_thread_ends(void)
{
	pthread_t t = start_late();
	uint64_t before = late_frees(), id;
	pid_t pid;

	atomic_store(&late, 2);
	for (int i = 0; i < 100; i++) {
		id = peer_purge(&p, 1 + i % 3);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			_exit(0);
		reap(pid, "the child");
		WAIT_FOR(late_frees() >= before + 1000 * (i + 1));
		WAIT_FOR(poked() && peer_answer(&p, id).id == id);
	}
	atomic_store(&enough, 1);
	pthread_join(t, NULL);
}

/* ---- while others take their slow paths ---- */

static _Atomic int offered, quit;

/* Fills its cache, then takes its slow path again and again. */
static void *offers(void *arg)
{
	static void *block[12];

	for (int round = 0; !atomic_load(&quit); round++) {
		for (size_t size = 20000; size < 300000; size += size / 9) {
			for (int i = 0; i < 12; i++)
				block[i] = launder(malloc(opaque(size)));
			for (int i = 0; i < 12; i++)
				free(block[i]);
		}
		atomic_store(&offered, round);
		while (atomic_load(&offered) == round && !atomic_load(&quit))
			free(launder(malloc(opaque(3 << 20))));
	}
	return arg;
}

/*
 * Blocks that a thread flushes while another one purges go as well, at the thread's next slow path.
 */
static void flushed_meanwhile_goes_too(void)
{
	hakmem_get_fn get = HAKMEM(hakmem_counter, hakmem_get_fn);
	int (*purge_now)(int, uint64_t *) = HAKMEM(hakmem_purge, int (*)(int, uint64_t *));
	const size_t busy = 48 << 20;
	uint64_t runs, dirty, base;
	pthread_t t;

	CHECK(purge_now(HAK_PURGE_ALL, NULL) == 0 && get("mem.run", &base) == 0);
	atomic_store(&offered, -1);
	CHECK(pthread_create(&t, NULL, offers, NULL) == 0);
	for (int i = 0; i < 4; i++) {
		char *large = launder(malloc(busy));

		CHECK(large);
		memset(large, 1, busy);
		free(large);
		WAIT_FOR(atomic_load(&offered) == i);
		CHECK(get("mem.run", &runs) == 0 && runs > base + (1 << 20));
		CHECK(purge_now(HAK_PURGE_ALL, NULL) == 0);
		/* 4 MiB: the whale that keeps the purge busy. */
		WAIT_FOR(get("mem.run", &runs) == 0 && runs <= base &&
			 get("mem.dirty", &dirty) == 0 && dirty <= 4 << 20);
		atomic_store(&offered, -1);
	}
	atomic_store(&quit, 1);
	pthread_join(t, NULL);
}

/* ---- a controller that can page out ---- */

static uint64_t lazy_ranges(struct hak_lazy_table *t)
{
	uint64_t before, after;

	do {
		peer_read(&p, &before, 8, p.h.lazy_off);
		peer_read(&p, t, sizeof(*t), p.h.lazy_off);
		peer_read(&p, &after, 8, p.h.lazy_off);
	} while (before != after || (before & 1));
	return t->count;
}

static int lock_byte(int type)
{
	struct flock l = { .l_type = type, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1 };

	return fcntl(p.tune_fd, F_OFD_SETLK, &l);
}

static int frees_lazily(void)
{
	uint64_t before = peer_counter(&p, "sys.free.calls");

	leave_garbage(65536);
	purge(HAK_PURGE_DIRTY);
	return peer_counter(&p, "sys.free.calls") > before;
}

/*
 * While the lock is held, memory is freed lazily, published, and paged out from outside. After that
 * it is given back at once.
 */
static void lazy_while_byte_1_is_locked(void)
{
	static struct hak_lazy_table t;
	uint64_t bytes = 0;

	peer_open(&p, getpid());
	CHECK(!frees_lazily() && lazy_ranges(&t) == 0);
	CHECK(lock_byte(F_WRLCK) == 0);
	peer_wake(&p);
	WAIT_FOR(frees_lazily());
	CHECK(lazy_ranges(&t) > 0 && t.count <= HAK_LAZY_RANGES);
	for (unsigned i = 0; i < t.count; i++) {
		bytes += t.range[i].bytes;
		CHECK(i == 0 || t.range[i].bytes <= t.range[i - 1].bytes);
		CHECK(t.range[i].addr && t.range[i].addr % 4096 == 0);
	}
	CHECK(bytes == peer_counter(&p, "mem.lazy"), "%lu published, %lu lazy", bytes,
	      peer_counter(&p, "mem.lazy"));
	CHECK(lock_byte(F_UNLCK) == 0);
	WAIT_FOR(!frees_lazily());
}

/* The kernel drops the lock of a controller that is killed; no timeout is needed. */
static void lazy_until_the_controller_is_killed(void)
{
	int ready[2], status;
	pid_t pid;

	peer_open(&p, getpid());
	CHECK(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		char path[64];
		struct flock l = { .l_type = F_WRLCK, .l_start = HAK_LOCK_PAGEOUT, .l_len = 1 };
		int fd;

		/* An open description of its own, as a controller has. */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p.tune_fd);
		fd = open(path, O_RDWR);
		CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &l) == 0);
		tell(ready[1]);
		for (;;)
			pause();
	}
	hear(ready[0]);
	peer_wake(&p);
	WAIT_FOR(frees_lazily());
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	WAIT_FOR(!frees_lazily());
}

static int published(const struct hak_lazy_table *t, const void *block, size_t bytes)
{
	uint64_t at = (uintptr_t)block;

	for (unsigned i = 0; i < t->count; i++)
		if (t->range[i].addr < at + bytes && at < t->range[i].addr + t->range[i].bytes)
			return 1;
	return 0;
}

/*
 * Regions of many sizes that lie apart: the largest are published first, and each is removed when
 * it is used.
 */
static void table_follows_the_ring_36(void)
{
	enum { N = 24 };
	static struct hak_lazy_table t;
	static char *apart[N];
	size_t size[N];
	unsigned sizes = 0;
	/* so much may stay free beside this that nothing goes back before it is asked for */
	char *ballast = launder(malloc((size_t)200 << 20));

	peer_open(&p, getpid());
	CHECK(lock_byte(F_WRLCK) == 0);
	peer_wake(&p);
	WAIT_FOR(frees_lazily());
	CHECK(ballast);
	purge(HAK_PURGE_ALL);
	for (int i = 0; i < N; i++) {
		size[i] = (2 + (size_t)i * 7 % 11) << 20;
		whale[i] = launder(malloc(size[i]));
		apart[i] = launder(malloc(1 << 20));
		CHECK(whale[i] && apart[i]);
		memset(whale[i], 1, 65536);
	}
	for (int i = 0; i < N; i++)
		free(whale[i]);
	purge(HAK_PURGE_DIRTY);
	CHECK(lazy_ranges(&t) >= N / 2, "%u ranges", t.count);
	for (unsigned i = 1; i < t.count; i++) {
		CHECK(t.range[i].bytes <= t.range[i - 1].bytes);
		sizes += t.range[i].bytes < t.range[i - 1].bytes;
	}
	CHECK(sizes >= 5, "%u sizes", sizes);
	for (int i = 0; i < N; i++) {
		whale[i] = launder(malloc(size[i]));
		lazy_ranges(&t);
		CHECK(!published(&t, whale[i], size[i]), "whale %d of %zu bytes", i, size[i]);
	}
	for (int i = 0; i < N; i++) {
		free(whale[i]);
		free(apart[i]);
	}
	WAIT_FOR(poked() && purge(HAK_PURGE_ALL).status == 0);
	CHECK(lazy_ranges(&t) <= 2, "%u ranges in an empty ring", t.count);
}

static void pages_out_what_is_published(void)
{
	static struct hak_lazy_table t;
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	long before, after;
	uint64_t bytes = 0;

	need_root();
	if (pidfd < 0 || syscall(440, -1, NULL, 0, 21, 0) == 0 || errno == ENOSYS)
		SKIP("no process_madvise");
	peer_open(&p, getpid());
	CHECK(lock_byte(F_WRLCK) == 0);
	peer_wake(&p);
	WAIT_FOR(frees_lazily());
	leave_garbage(WHALE_BYTES);
	purge(HAK_PURGE_DIRTY);
	CHECK(lazy_ranges(&t) > 0);
	before = rss_kib();
	for (unsigned i = 0; i < t.count; i++) {
		struct {
			void *at;
			size_t bytes;
		} part = { (void *)t.range[i].addr, t.range[i].bytes };

		if (syscall(440, pidfd, &part, 1, 21 /* MADV_PAGEOUT */, 0) < 0)
			SKIP("process_madvise: %s", strerror(errno));
		bytes += part.bytes;
	}
	after = rss_kib();
	CHECK((before - after) * 1024 > (long)bytes / 2, "RSS %ld to %ld KiB of %lu published",
	      before, after, bytes / 1024);
}

static const struct tcase cases[] = {
	{ "answers_with_the_fall_of_rss", answers_with_the_fall_of_rss, 0, "purge.delay_ms=1d" },
	{ "all_unmaps_the_ring", all_unmaps_the_ring, 0, "purge.delay_ms=1d" },
	{ "unknown_levels_are_refused", unknown_levels_are_refused },
	{ "every_request_gets_its_answer", every_request_gets_its_answer },
	{ "later_request_covers_earlier", later_request_covers_earlier },
	{ "stopped_processes_answer_late_35", stopped_processes_answer_late_35 },
	{ "dropped_while_a_thread_ends_16", dropped_while_a_thread_ends, 0, "control.agent=off" },
	{ "purged_and_forked_while_a_thread_ends_16", purged_and_forked_while_a_thread_ends, 0,
	  "control.agent=off" },
	{ "flushed_meanwhile_goes_too", flushed_meanwhile_goes_too, 0,
	  "purge.delay_ms=1d,control.agent=off" },
	{ "lazy_while_byte_1_is_locked_37", lazy_while_byte_1_is_locked, 0, "purge.delay_ms=1d" },
	{ "lazy_until_the_controller_is_killed_37", lazy_until_the_controller_is_killed, 0,
	  "purge.delay_ms=1d" },
	{ "table_follows_the_ring_36", table_follows_the_ring_36, 0, "purge.delay_ms=1d" },
	{ "pages_out_what_is_published", pages_out_what_is_published, 0, "purge.delay_ms=1d" },
};

CONTROL_MAIN(cases)
