/* SPDX-License-Identifier: MIT */
/*
 * A controller in a test: finds the segment of a process, reads it, writes its tune page. It is
 * written against abi.h alone and not against the readers in control/, so that a mistake made both
 * there and in the library does not cancel out. It trusts the process, so it does not serve tests
 * of hostile segments.
 *
 * Also what a subject of these tests needs: hakmem's functions by name (the programs link nothing),
 * a way to make the library take its slow path, and the other end of its named stops.
 */
#ifndef HAK_TEST_PEER_H
#define HAK_TEST_PEER_H

#include "../preload/harness.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "control/abi/abi.h"
#include "libhakmem/base/stop.h"

struct peer {
	pid_t pid;
	int stats_fd, tune_fd;
	int by_memory; /* stats_fd is the memory of the process; otherwise its memfd */
	unsigned pieces;
	struct {
		size_t start, end, offset;
	} piece[16];
	ino_t stats_ino, tune_ino;
	struct hak_stats_header h;
	struct hak_counter_desc counter[HAK_MAX_COUNTERS];
	struct hak_tunable_desc tunable[HAK_MAX_TUNABLES];
	struct hak_tune *tune;
};

/* Waits for a condition. If it never holds, the watchdog ends the case and prints it. */
#define WAIT_FOR(cond)                                        \
	do {                                                  \
		const struct timespec tick_ = { 0, 1000000 }; \
		while (!(cond))                               \
			nanosleep(&tick_, NULL);              \
	} while (0)

/* main() of these programs. A library without control has nothing to test. */
static inline int control_main(int argc, char **argv, const struct tcase *cases, size_t n)
{
	const char *config = getenv("HAK_CONFIG");

	if (config && !strstr(config, "control")) {
		puts("built with --disable-control");
		return CASE_SKIP;
	}
	return run_cases(argc, argv, cases, n);
}

#define CONTROL_MAIN(cases)                                                                 \
	int main(int argc, char **argv)                                                     \
	{                                                                                   \
		return control_main(argc, argv, cases, sizeof(cases) / sizeof((cases)[0])); \
	}

/* ---- finding ---- */

/* Returns the inode behind NAME among the writable mappings of the process, or 0. */
static inline ino_t peer_mapped(pid_t pid, const char *name)
{
	char path[64], line[512];
	unsigned long ino = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (!ino && fgets(line, sizeof(line), f))
		if (strstr(line, name) && sscanf(line, "%*s %*s %*s %*s %lu", &ino) != 1)
			ino = 0;
	fclose(f);
	return ino;
}

/* Opens the memfd through its mapping, which only root may do; -1 on failure. */
static inline int peer_open_mapped(pid_t pid, ino_t ino, int flags)
{
	char path[96], line[512], range[64];
	unsigned long its;
	int fd = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && fd < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %*s %*s %*s %lu", range, &its) != 2 || its != ino ||
		    !strstr(line, "/memfd:"))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%s", pid, range);
		fd = open(path, flags | O_CLOEXEC);
	}
	if (f)
		fclose(f);
	return fd;
}

/*
 * Opens the memfd by the descriptor that the process keeps, otherwise through its mapping; -1 on
 * failure.
 */
static inline int peer_open_inode(pid_t pid, ino_t ino, int flags)
{
	char path[64];
	struct stat st;

	for (int n = 3; n < 1000; n++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, n);
		if (stat(path, &st) == 0 && st.st_ino == ino && S_ISREG(st.st_mode))
			return open(path, flags | O_CLOEXEC);
	}
	return peer_open_mapped(pid, ino, flags);
}

/* Opens the memfd, which only root may do, otherwise the memory where it is mapped. */
static inline int peer_open_stats(struct peer *p)
{
	char path[96], line[512];
	unsigned long ino;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f) && p->pieces < 16)
		if (sscanf(line, "%zx-%zx %*s %zx %*s %lu", &p->piece[p->pieces].start,
			   &p->piece[p->pieces].end, &p->piece[p->pieces].offset, &ino) == 4 &&
		    ino == p->stats_ino && strstr(line, "/memfd:" HAK_STATS_NAME))
			p->pieces++;
	if (f)
		fclose(f);
	for (unsigned i = 0; i < p->pieces; i++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/map_files/%zx-%zx", p->pid,
			 p->piece[i].start, p->piece[i].end);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	p->by_memory = 1;
	snprintf(path, sizeof(path), "/proc/%d/mem", p->pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static inline ssize_t peer_pread(struct peer *p, void *to, size_t bytes, size_t offset)
{
	if (!p->by_memory)
		return pread(p->stats_fd, to, bytes, offset);
	for (unsigned i = 0; i < p->pieces; i++) {
		size_t length = p->piece[i].end - p->piece[i].start;
		size_t into = offset - p->piece[i].offset;

		if (offset >= p->piece[i].offset && into < length)
			return pread(p->stats_fd, to, bytes, p->piece[i].start + into);
	}
	return -1;
}

/*
 * Returns false if the process has no segment of its own. A child's mapping of its parent's does
 * not count.
 */
static inline int peer_try_open(struct peer *p, pid_t pid)
{
	memset(p, 0, sizeof(*p));
	p->pid = pid;
	p->stats_fd = p->tune_fd = -1;
	p->stats_ino = peer_mapped(pid, "/memfd:" HAK_STATS_NAME);
	if (!p->stats_ino)
		return 0;
	p->stats_fd = peer_open_stats(p);
	if (p->stats_fd < 0 || peer_pread(p, &p->h, sizeof(p->h), 0) != sizeof(p->h) ||
	    p->h.pid != (uint32_t)pid)
		return 0;
	/*
	 * Not taken from the mappings, because a child of a controller maps its parent's target,
	 * too.
	 */
	p->tune_ino = p->h.tune_ino;
	p->tune_fd = peer_open_inode(pid, p->tune_ino, O_RDWR);
	if (p->tune_fd < 0)
		return 0;
	CHECK(p->h.counters <= HAK_MAX_COUNTERS && p->h.tunables <= HAK_MAX_TUNABLES);
	CHECK(peer_pread(p, p->counter, p->h.counters * sizeof(p->counter[0]), p->h.counters_off) ==
	      (ssize_t)(p->h.counters * sizeof(p->counter[0])));
	CHECK(peer_pread(p, p->tunable, p->h.tunables * sizeof(p->tunable[0]), p->h.tunables_off) ==
	      (ssize_t)(p->h.tunables * sizeof(p->tunable[0])));
	p->tune = mmap(NULL, sizeof(*p->tune), PROT_READ | PROT_WRITE, MAP_SHARED, p->tune_fd, 0);
	CHECK(p->tune != MAP_FAILED);
	return 1;
}

static inline void peer_open(struct peer *p, pid_t pid)
{
	CHECK(peer_try_open(p, pid), "process %d has no segment", pid);
}

static inline void peer_close(struct peer *p)
{
	if (p->tune && p->tune != MAP_FAILED)
		munmap(p->tune, sizeof(*p->tune));
	if (p->stats_fd >= 0)
		close(p->stats_fd);
	if (p->tune_fd >= 0)
		close(p->tune_fd);
}

/* ---- reading ---- */

static inline void peer_read(struct peer *p, void *to, size_t bytes, size_t offset)
{
	CHECK(peer_pread(p, to, bytes, offset) == (ssize_t)bytes);
}

static inline int peer_index(struct peer *p, const char *tunable)
{
	for (unsigned i = 0; i < p->h.tunables; i++)
		if (strcmp(p->tunable[i].name, tunable) == 0)
			return (int)i;
	fail_at(__FILE__, __LINE__, "tunable exists", ": %s", tunable);
}

static inline struct hak_ack_value peer_ack(struct peer *p, const char *tunable)
{
	struct hak_ack_value v;
	size_t at = offsetof(struct hak_ack, value) + peer_index(p, tunable) * sizeof(v);

	peer_read(p, &v, sizeof(v), p->h.ack_off + at);
	return v;
}

static inline uint64_t peer_value(struct peer *p, const char *tunable)
{
	return peer_ack(p, tunable).value;
}

static inline uint64_t peer_applied(struct peer *p)
{
	uint64_t g;

	peer_read(p, &g, sizeof(g), p->h.ack_off + offsetof(struct hak_ack, applied));
	return g;
}

static inline uint32_t peer_agent(struct peer *p)
{
	uint32_t a;

	peer_read(p, &a, sizeof(a), p->h.ack_off + offsetof(struct hak_ack, agent));
	return a;
}

static inline uint32_t peer_heaps(struct peer *p)
{
	uint32_t n;

	peer_read(p, &n, sizeof(n), p->h.ack_off + offsetof(struct hak_ack, heaps_populated));
	return n;
}

/* Returns one counter, summed over heaps and classes. */
static inline uint64_t peer_counter(struct peer *p, const char *name);

/* Returns the whales in use, or their bytes, which a reader subtracts from a GROSS gauge. */
static inline uint64_t peer_whales(struct peer *p, int bytes)
{
	const char *const in = bytes ? "whale.alloc_bytes" : "whale.allocs";
	const char *const out = bytes ? "whale.free_bytes" : "whale.frees";
	const char *const inherited = bytes ? "whale.inherited_bytes" : "whale.inherited";

	return peer_counter(p, in) + peer_counter(p, inherited) - peer_counter(p, out);
}

static inline uint64_t peer_counter(struct peer *p, const char *name)
{
	const struct hak_counter_desc *d = NULL;
	uint64_t sum = 0, n;

	for (unsigned i = 0; i < p->h.counters && !d; i++)
		if (strcmp(p->counter[i].name, name) == 0)
			d = &p->counter[i];
	CHECK(d, "no counter %s", name);
	if (d->scope == HAK_SCOPE_PROC) {
		peer_read(p, &n, 8, p->h.proc_off + d->offset);
		if (d->kind == HAK_KIND_GROSS)
			n -= peer_whales(p, d->unit == HAK_UNIT_BYTES);
		return n;
	}
	for (unsigned i = 0, heaps = peer_heaps(p); i < heaps; i++)
		for (unsigned k = 0; k < (d->scope == HAK_SCOPE_HEAP ? 1 : p->h.classes); k++) {
			peer_read(p, &n, 8,
				  p->h.heaps_off + (size_t)i * p->h.heap_stride + d->offset +
					  (size_t)k * d->stride);
			sum += n;
		}
	return sum;
}

/* ---- writing, by the protocol of abi.h ---- */

static inline void peer_wake(struct peer *p)
{
	__atomic_fetch_add(&p->tune->wake, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &p->tune->wake, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static inline struct hak_tune_slot *peer_slot(struct peer *p, const char *tunable,
					      enum hak_origin who)
{
	int i = peer_index(p, tunable);

	return who == HAK_ORIGIN_ADMIN ? &p->tune->slot[i].admin : &p->tune->slot[i].policy;
}

static inline uint64_t peer_write(struct peer *p, const char *tunable, enum hak_origin who, int set,
				  uint64_t value, uint64_t deadline_ns)
{
	struct hak_tune_slot *s = peer_slot(p, tunable, who);
	uint64_t g = p->tune->generation_seq | 1;

	__atomic_store_n(&p->tune->generation_seq, g, __ATOMIC_SEQ_CST);
	s->set = 0;
	s->value = value;
	s->deadline_ns = deadline_ns;
	s->writer_pid = (uint32_t)getpid();
	s->set = set;
	__atomic_store_n(&p->tune->generation_seq, g + 1, __ATOMIC_SEQ_CST);
	peer_wake(p);
	return g + 1;
}

static inline uint64_t peer_set(struct peer *p, const char *tunable, uint64_t value)
{
	return peer_write(p, tunable, HAK_ORIGIN_ADMIN, 1, value, 0);
}

static inline uint64_t peer_reset(struct peer *p, const char *tunable)
{
	return peer_write(p, tunable, HAK_ORIGIN_ADMIN, 0, 0, 0);
}

static inline int peer_has_applied(struct peer *p, uint64_t generation)
{
	return (int64_t)(peer_applied(p) - generation) >= 0;
}

static inline uint64_t peer_purge(struct peer *p, unsigned level)
{
	uint64_t id = (p->tune->purge_request >> 8) + 1;

	__atomic_store_n(&p->tune->purge_request, id << 8 | level, __ATOMIC_SEQ_CST);
	peer_wake(p);
	return id;
}

/* Returns the answer in the place for this request; torn answers are read again. */
static inline struct hak_purge_answer peer_answer(struct peer *p, uint64_t id)
{
	size_t at = p->h.ack_off + offsetof(struct hak_ack, answer) +
		    id % HAK_ANSWERS * sizeof(struct hak_purge_answer);
	struct hak_purge_answer a;
	uint64_t before, after;

	do {
		peer_read(p, &before, 8, at);
		peer_read(p, &a, sizeof(a), at);
		peer_read(p, &after, 8, at);
	} while (before != after || (before & 1));
	return a;
}

/* ---- the subject ---- */

/* A function of hakmem.h in this process. */
#define HAKMEM(fn, type) ((type)dlsym(RTLD_DEFAULT, #fn))
typedef int (*hakmem_get_fn)(const char *, uint64_t *);
typedef int (*hakmem_set_fn)(const char *, uint64_t);
typedef int (*hakmem_text_fn)(const char *, char *, size_t);
typedef int (*hakmem_set_text_fn)(const char *, const char *);

/* Frees and allocates sizes that no cache holds, so that the slow path looks at the clock. */
static inline void poke(void)
{
	for (int i = 0; i < 40; i++)
		free(launder(malloc(opaque((3 << 20) + 65536 * (i % 8)))));
}

/* For waiting on effects of the calling thread's own slow path. */
static inline int poked(void)
{
	poke();
	return 1;
}

/* A thread that takes a heap, and then sleeps. */
static inline void *sleeps_for_ever(void *arg)
{
	free(launder(malloc(opaque(100))));
	for (;;)
		pause();
	return arg;
}

/*
 * Forks a process that runs `fn` with its ends of two pipes, then ends by _exit(0). Returns its
 * pid; *to and *from are the caller's ends.
 */
static inline pid_t subject(void (*fn)(int from, int to), int *to, int *from)
{
	int in[2], out[2];
	pid_t pid;

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(in[1]);
		close(out[0]);
		fn(in[0], out[1]);
		_exit(0);
	}
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];
	return pid;
}

static inline void tell(int fd)
{
	CHECK(write(fd, "x", 1) == 1);
}

static inline void hear(int fd)
{
	char c;

	CHECK(read(fd, &c, 1) == 1, "the other side is gone");
}

/* Returns the threads of a process. */
static inline int tasks_of(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return stat(path, &st) == 0 ? (int)st.st_nlink - 2 : -1;
}

/* ---- named stops of debug builds, see libhakmem/base/stop.h ---- */

/* Called in a case's prep: makes the page that the library will map after the exec. */
static inline void stops_prepare(void)
{
	char number[16];
	int fd = memfd_create("stops", 0);

	if (fd < 0 || ftruncate(fd, 4096) || dup2(fd, 60) < 0)
		_exit(126);
	close(fd);
	snprintf(number, sizeof(number), "%d", 60);
	setenv("HAKMEM_STOPS", number, 1);
}

static inline struct hak_stops *stops_map(void)
{
	struct hak_stops *s;

	if (!getenv("HAK_CONFIG") || !strstr(getenv("HAK_CONFIG"), "debug"))
		SKIP("named stops are in debug builds only");
	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 60, 0);
	CHECK(s != MAP_FAILED);
	return s;
}

static inline void stop_arm(struct hak_stop_slot *slot, const char *name, uint32_t skip)
{
	strcpy(slot->name, name);
	atomic_store(&slot->skip, skip);
	atomic_store(&slot->state, HAK_STOP_ARMED);
}

static inline void stop_await(struct hak_stop_slot *slot)
{
	uint32_t s;

	while ((s = atomic_load(&slot->state)) != HAK_STOP_REACHED)
		syscall(SYS_futex, &slot->state, FUTEX_WAIT, s, NULL, NULL, 0);
}

static inline void stop_go(struct hak_stop_slot *slot)
{
	atomic_store(&slot->state, HAK_STOP_GO);
	syscall(SYS_futex, &slot->state, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

#endif
