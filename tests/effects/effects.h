/* SPDX-License-Identifier: MIT */
/*
 * Tests of the effects of hakmem on a process, seen from another one. Each case starts subjects:
 * this program, executed afresh, which serves commands from a socket. Otherwise the subject keeps
 * still: no stdio, and only the allocations requested. The case is the outside process. It reads
 * the subject's segment (peer.h), /proc and, where a case says so, hakmemctl's JSON; it writes the
 * subject's tune page. A subject sleeps between commands and has no agent by default. While the
 * case waits for a change to be applied, or for an answer, it makes the subject take its slow path
 * (nudge()).
 *
 * A command is a function of this program, sent as its distance from serve(): both sides run the
 * same file, at different addresses.
 */
#ifndef HAK_TEST_EFFECTS_H
#define HAK_TEST_EFFECTS_H

#include "../live/peer.h"

#include <sys/socket.h>

enum { SUBJECT_FD = 50 };

struct remote {
	pid_t pid; /* of the subject, not of a tracer around it */
	int fd;
	struct peer p;
};

typedef long (*job)(long a, long b);

struct command {
	ptrdiff_t fn;
	long a, b;
};

/* ---- the subject ---- */

static inline int serve(void)
{
	struct command c;
	long r = getpid();

	if (write(SUBJECT_FD, &r, sizeof(r)) != sizeof(r))
		return 1;
	while (read(SUBJECT_FD, &c, sizeof(c)) == sizeof(c)) {
		r = ((job)((char *)serve + c.fn))(c.a, c.b);
		if (write(SUBJECT_FD, &r, sizeof(r)) != sizeof(r))
			return 1;
	}
	return 0;
}

#define EFFECTS_MAIN(cases)                                                                 \
	int main(int argc, char **argv)                                                     \
	{                                                                                   \
		if (argc == 2 && strcmp(argv[1], "--serve") == 0)                           \
			return serve();                                                     \
		return control_main(argc, argv, cases, sizeof(cases) / sizeof((cases)[0])); \
	}

static void *kept[1 << 19];
static long kept_n;

/* Allocates b blocks of a bytes and writes all of each. */
static inline long take(long a, long b)
{
	for (; b > 0; b--) {
		char *p = malloc((size_t)a);

		if (!p || kept_n == (long)(sizeof(kept) / sizeof(kept[0])))
			_exit(1);
		memset(p, 1, (size_t)a);
		kept[kept_n++] = launder(p);
	}
	return kept_n;
}

/* Does the same without writing. The allocator itself writes blocks of slabs. */
static inline long take_bare(long a, long b)
{
	for (; b > 0; b--) {
		kept[kept_n] = launder(malloc(opaque((size_t)a)));
		if (!kept[kept_n++])
			_exit(1);
	}
	return kept_n;
}

/* Frees every b-th kept block from a on; the others stay in place. */
static inline long drop(long a, long b)
{
	for (long i = a; i < kept_n; i += b) {
		free(kept[i]);
		kept[i] = NULL;
	}
	while (kept_n && !kept[kept_n - 1])
		kept_n--;
	return kept_n;
}

static inline long address(long a, long b)
{
	(void)b;
	return (long)kept[a];
}

/* Fills and frees a whale of a bytes, b times one after the other. Returns the last. */
static inline long whales(long a, long b)
{
	char *p = NULL;

	for (; b > 0; b--) {
		p = launder(malloc(opaque((size_t)a)));
		if (!p)
			_exit(1);
		memset(p, 1, (size_t)a);
		free(p);
	}
	return (long)(uintptr_t)p;
}

/*
 * Takes the slow path often enough for the library to look at its clock and its tune page. Uses
 * blocks of slabs, so that the region cache, which most cases look at, stays unchanged.
 */
static inline long nudge_job(long a, long b)
{
	static void *block[60];
	const int n = sizeof(block) / sizeof(block[0]);

	(void)a;
	(void)b;
	for (int i = 0; i < n; i++)
		block[i] = launder(malloc(opaque(8192)));
	for (int i = 0; i < n; i++)
		free(block[i]);
	return 0;
}

/* ---- the outsider ---- */

static inline long ask(struct remote *r, job fn, long a, long b)
{
	struct command c = { (char *)fn - (char *)serve, a, b };
	long answer;

	CHECK(write(r->fd, &c, sizeof(c)) == sizeof(c));
	CHECK(read(r->fd, &answer, sizeof(answer)) == sizeof(answer), "the subject is gone");
	return answer;
}

static inline int nudge(struct remote *r)
{
	ask(r, nudge_job, 0, 0);
	return 1;
}

/* argv: what to execute; NULL: this program. `err`: its stderr, or -1 for this program's. */
static inline void start_as(struct remote *r, const char *hakmem, char *const *argv, int err)
{
	char *const self[] = { self_path, (char *)"--serve", NULL };
	int pair[2];
	long pid;

	need_hakmem();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (hakmem)
			setenv("HAKMEM", hakmem, 1);
		if (dup2(pair[1], SUBJECT_FD) < 0 || (err >= 0 && dup2(err, 2) < 0))
			_exit(126);
		execvp(argv ? argv[0] : self_path, argv ? argv : self);
		_exit(127);
	}
	close(pair[1]);
	r->fd = pair[0];
	CHECK(read(r->fd, &pid, sizeof(pid)) == sizeof(pid), "the subject did not start");
	r->pid = (pid_t)pid;
	peer_open(&r->p, r->pid);
}

static inline void start(struct remote *r, const char *hakmem)
{
	start_as(r, hakmem, NULL, -1);
}

/* For a subject that is a child of this process. */
static inline void finish(struct remote *r)
{
	close(r->fd);
	reap(r->pid, "the subject");
	peer_close(&r->p);
}

static inline void set(struct remote *r, const char *name, uint64_t value)
{
	uint64_t g = peer_set(&r->p, name, value);

	WAIT_FOR(nudge(r) && peer_has_applied(&r->p, g));
	CHECK(peer_value(&r->p, name) == value, "%s is %lu, not %lu", name, peer_value(&r->p, name),
	      value);
}

static inline void reset(struct remote *r, const char *name)
{
	uint64_t g = peer_reset(&r->p, name);

	WAIT_FOR(nudge(r) && peer_has_applied(&r->p, g));
}

static inline uint64_t count(struct remote *r, const char *counter)
{
	return peer_counter(&r->p, counter);
}

/* Returns by how much a counter grew, and stores its present value. */
static inline uint64_t grew(struct remote *r, const char *name, uint64_t *was)
{
	uint64_t now = count(r, name), more = now - *was;

	*was = now;
	return more;
}

/*
 * Requests a purge and returns the answer. Makes the subject take its slow path until it answers.
 */
static inline struct hak_purge_answer purge(struct remote *r, unsigned level)
{
	uint64_t id = peer_purge(&r->p, level);
	struct hak_purge_answer a;

	WAIT_FOR(nudge(r) && (a = peer_answer(&r->p, id)).id == id);
	CHECK(a.status == 0 && a.level == level, "status %u", a.status);
	return a;
}

/* ---- /proc ---- */

/* Returns a field of /proc/PID/smaps_rollup, in KiB. */
static inline long smaps_kib(struct remote *r, const char *field)
{
	char path[64], name[64];
	long kib;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", r->pid);
	snprintf(name, sizeof(name), "\n%s:", field);
	kib = proc_kib(path, name);
	if (kib < 0)
		SKIP("no %s in smaps_rollup", field);
	return kib;
}

/* Returns the bytes of [p, p + bytes) that are mapped. */
static inline uint64_t mapped_bytes(struct remote *r, uint64_t p, uint64_t bytes)
{
	char path[64], line[512];
	uint64_t sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", r->pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		from = from < p ? p : from;
		to = to > p + bytes ? p + bytes : to;
		if (from < to)
			sum += to - from;
	}
	fclose(f);
	return sum;
}

/* Returns the bytes of [p, p + bytes) that are in memory or in swap. */
static inline uint64_t present_bytes(struct remote *r, uint64_t p, uint64_t bytes)
{
	static uint64_t entry[4096];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), present = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", r->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	for (uint64_t at = p / page, end = (p + bytes) / page; at < end;) {
		size_t n = end - at < 4096 ? end - at : 4096;
		ssize_t got = pread(fd, entry, n * 8, (off_t)(at * 8));

		CHECK(got > 0 && got % 8 == 0);
		for (ssize_t i = 0; i < got / 8; i++)
			present += (entry[i] >> 62 != 0) * page;
		at += (uint64_t)got / 8;
	}
	close(fd);
	return present;
}

#endif
