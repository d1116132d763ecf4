/* SPDX-License-Identifier: MIT */
/*
 * The harness of the black-box tests: code shared by every program in this folder, without any
 * knowledge of the library's inside. Assertions and cases are those of tests/check.h.
 *
 * The process of a case is forked and then executed afresh, so that a case starts with the heap of
 * a real program. `hakmem` in a row of the table is HAKMEM= for that case, and `prep` runs in the
 * child before the exec.
 *
 * With HAKMEM_LIB=FILE (or HAK_LIB, make's name for it) in the environment the program preloads
 * that file into itself and then insists (HAK_EXPECT=hakmem) that malloc comes from it. Otherwise
 * the tests run on the malloc that is there; cases about promises that only hakmem makes then skip.
 * HAK_SLOW=1 selects the long variants, HAK_ROUNDS=N N times the rounds of the short ones.
 */
#ifndef HAK_TEST_HARNESS_H
#define HAK_TEST_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"

enum { LOG_FD_FLOOR = 40 };

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static char self_path[4096]; /* for exec without /proc or after chroot */

static inline int on_hakmem(void)
{
	return dlsym(RTLD_DEFAULT, "hakmem_version") != NULL;
}

static inline void need_hakmem(void)
{
	if (!on_hakmem())
		SKIP("only hakmem promises this");
}

static inline void need_root(void)
{
	if (geteuid() != 0)
		SKIP("needs root");
}

static inline int slow(void)
{
	const char *s = getenv("HAK_SLOW");

	return s && *s && strcmp(s, "0") != 0;
}

/* The number of rounds of a loop: `quick`, HAK_ROUNDS times `quick`, or `slow_count`. */
static inline size_t scale(size_t quick, size_t slow_count)
{
	const char *rounds = getenv("HAK_ROUNDS");

	if (slow())
		return slow_count;
	return rounds ? quick * strtoul(rounds, NULL, 10) : quick;
}

/* Keeps the compiler from knowing the value of a pointer or a number. */
static inline void *launder(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static inline size_t opaque(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

/* splitmix64: the random numbers of a test, the same in every run. */
static inline uint64_t mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline uint64_t rnd(uint64_t *state)
{
	return mix64((*state)++);
}

/* A content that depends on the seed and on each offset, not on n. */
static inline void fill(void *block, size_t n, uint64_t seed)
{
	unsigned char *p = block;
	size_t i;

	for (i = 0; i < n; i += 8) {
		uint64_t w = (seed ^ i) * 0x9e3779b97f4a7c15u;

		__builtin_memcpy(p + i, &w, n - i < 8 ? n - i : 8);
	}
}

/* Returns the offset of the first word that differs from fill(), or n. */
static inline size_t fill_differs(const void *block, size_t n, uint64_t seed)
{
	const unsigned char *p = block;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t w = (seed ^ i) * 0x9e3779b97f4a7c15u, got;

		__builtin_memcpy(&got, p + i, 8);
		if (got != w)
			return i;
	}
	if (i < n) {
		uint64_t w = (seed ^ i) * 0x9e3779b97f4a7c15u;

		if (memcmp(p + i, &w, n - i) != 0)
			return i;
	}
	return n;
}

static inline size_t nonzero_at(const void *block, size_t n)
{
	const unsigned char *p = block;
	size_t i;

	if (n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0))
		return n;
	for (i = 0; i < n && p[i] == 0; i++)
		;
	return i;
}

static inline int aligned_to(const void *p, size_t align)
{
	return ((uintptr_t)p & (align - 1)) == 0;
}

/* Returns a "Name:   123 kB" value of /proc/self/FILE in KiB, or -1. */
static inline long proc_kib(const char *file, const char *field)
{
	static char buf[1 << 16];
	size_t len = 0;
	ssize_t n;
	char *at;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while (len < sizeof(buf) - 1 && (n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = '\0';
	at = strstr(buf, field);
	return at ? strtol(at + strlen(field), NULL, 10) : -1;
}

static inline long rss_kib(void)
{
	long kib = proc_kib("/proc/self/smaps_rollup", "\nRss:");

	return kib >= 0 ? kib : proc_kib("/proc/self/status", "\nVmRSS:");
}

/* Returns how many mappings of this process have `text` in their line. */
static inline size_t mappings_with(const char *text)
{
	static char line[4096];
	FILE *f = fopen("/proc/self/maps", "r");
	size_t n = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

static inline long elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* Waits for one child; a child that did not exit 0 fails the case. */
static inline void reap(pid_t pid, const char *what)
{
	int status;
	pid_t r;

	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	CHECK(r == pid, "waitpid(%s): %s", what, strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_SKIP)
		_exit(CASE_SKIP);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s ended with status %#x", what,
	      status);
}

/* The status and the stderr of a child that was allowed to fail. */
struct outcome {
	int status;
	size_t len;
	char err[4096];
};

static inline void run_captured(void (*fn)(void *), void *arg, struct outcome *o)
{
	int fds[2];
	ssize_t n;
	pid_t pid;

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		fn(arg);
		_exit(0);
	}
	close(fds[1]);
	o->len = 0;
	while (o->len < sizeof(o->err) - 1 &&
	       (n = read(fds[0], o->err + o->len, sizeof(o->err) - 1 - o->len)) > 0)
		o->len += n;
	o->err[o->len] = '\0';
	close(fds[0]);
	while (waitpid(pid, &o->status, 0) < 0 && errno == EINTR)
		;
}

/* Blocks of every tier, for cases that need "some live memory". */
static const size_t tier_sizes[] = {
	1,     16,    24,    100,   256,    1000,   1024,    1025,    3000,    4096,	16384,
	16385, 40000, 65536, 65537, 200000, 524288, 1048575, 1048576, 2097152, 3145729, 8388608,
};
enum { TIER_SIZES = sizeof(tier_sizes) / sizeof(tier_sizes[0]) };

static inline void check_block(void *p, size_t n, uint64_t seed)
{
	size_t at = fill_differs(p, n, seed);

	CHECK(at == n, "block %p of %zu bytes changed at offset %zu", p, n, at);
}

/* Returns the bytes of a block that exercise_all_tiers() uses: all, or both ends. */
static inline size_t front(size_t n)
{
	return n < 32768 ? n : 32768;
}

static inline char *back(void *p, size_t n)
{
	return (char *)p + n - front(n) / 8;
}

/* Allocates, fills, reallocs, checks and frees one block of every tier. */
static inline void exercise_all_tiers(uint64_t seed)
{
	void *p[TIER_SIZES];
	size_t i;

	for (i = 0; i < TIER_SIZES; i++) {
		size_t n = tier_sizes[i];

		p[i] = malloc(n);
		CHECK(p[i], "malloc(%zu): %s", n, strerror(errno));
		memset(back(p[i], n), (int)i, front(n) / 8);
		fill(p[i], front(n / 2), seed + i);
	}
	for (i = 0; i < TIER_SIZES; i++) {
		size_t n = tier_sizes[i];
		unsigned char *c;

		CHECK(n < 8 || *back(p[i], n) == (char)i);
		p[i] = realloc(p[i], n / 2 + 1);
		CHECK(p[i]);
		c = calloc(1, n);
		CHECK(c && nonzero_at(c, front(n)) == front(n));
		CHECK(nonzero_at(back(c, n), front(n) / 8) == front(n) / 8);
		memset(c, 0xa5, front(n));
		memset(back(c, n), 0xa5, front(n) / 8);
		free(c);
	}
	for (i = 0; i < TIER_SIZES; i++) {
		check_block(p[i], front(tier_sizes[i] / 2), seed + i);
		free(p[i]);
	}
}

/* Does the same several times, beside thousands of blocks; each time free memory is given back. */
static inline void hard_work(void)
{
	static void *p[3000];
	size_t i, round;

	for (round = 0; round < 6; round++) {
		exercise_all_tiers(round);
		for (i = 0; i < 3000; i++) {
			CHECK((p[i] = malloc(i % 100 == 0 ? 1500000 + i : 16 + i * 5)) != NULL);
			memset(p[i], 1, 16);
		}
		for (i = 0; i < 3000; i++)
			free(p[i]);
		malloc_trim(0);
	}
}

static inline const char *library(void)
{
	const char *lib = getenv("HAKMEM_LIB");

	return lib ? lib : getenv("HAK_LIB");
}

static inline void harness_preload(char **argv)
{
	const char *lib = library(), *have = getenv("LD_PRELOAD");
	static char list[8192];

	if (!lib || !*lib || (have && strstr(have, lib)))
		return;
	snprintf(list, sizeof(list), "%s%s%s", lib, have ? ":" : "", have ? have : "");
	setenv("LD_PRELOAD", list, 1);
	setenv("HAK_EXPECT", "hakmem", 0);
	execv(self_path, argv);
	perror("cannot execute myself");
	exit(1);
}

static inline void harness_expect(void)
{
	const char *expect = getenv("HAK_EXPECT");
	void *version = dlsym(RTLD_DEFAULT, "hakmem_version");
	Dl_info ours, theirs, own;

	if (!expect || strcmp(expect, "hakmem") != 0)
		return;
	if (!version) {
		say("Bail out! HAK_EXPECT=hakmem, but hakmem_version is not there\n");
		exit(1);
	}
	/* A program at fixed addresses has a PLT entry by that name. */
	dladdr((void *)harness_expect, &own);
	if (!dladdr(version, &ours) || !dladdr((void *)malloc, &theirs) ||
	    (theirs.dli_fbase == own.dli_fbase && !dladdr(dlsym(RTLD_NEXT, "malloc"), &theirs)) ||
	    ours.dli_fbase != theirs.dli_fbase) {
		say("Bail out! malloc is not the one beside hakmem_version\n");
		exit(1);
	}
}

static inline pid_t case_start(const struct tcase *t)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	if (t->hakmem)
		setenv("HAKMEM", t->hakmem, 1);
	case_name = t->name;
	if (t->prep)
		t->prep();
	execl(self_path, self_path, "--one", t->name, (char *)NULL);
	/* The prep function gave up being root, and the tree lies in a folder of root's. */
	if (errno == EACCES && geteuid() != 0)
		SKIP("the build folder is closed to other users");
	_exit(126);
}

static inline int case_run_one(const struct tcase *t, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(t[i].name, name) != 0)
			continue;
		case_run(&t[i]);
	}
	return 2;
}

static inline int run_cases(int argc, char **argv, const struct tcase *t, size_t n)
{
	const char *fd = getenv("HAKT_LOG_FD");

	if (fd)
		log_fd = atoi(fd);
	if (argc > 0 && argv[0][0] == '/')
		snprintf(self_path, sizeof(self_path), "%s", argv[0]);
	else if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		return 1;
	if (argc == 3 && strcmp(argv[1], "--one") == 0) {
		harness_expect();
		return case_run_one(t, n, argv[2]);
	}
	harness_preload(argv);
	harness_expect();
	log_fd = fcntl(1, F_DUPFD, LOG_FD_FLOOR);
	if (log_fd < 0)
		log_fd = 1;
	if (!fd) {
		static char number[16];

		snprintf(number, sizeof(number), "%d", log_fd);
		setenv("HAKT_LOG_FD", number, 1);
	}
	return cases_run(argc, argv, t, n, case_start);
}

#define MAIN(cases)                                                                      \
	int main(int argc, char **argv)                                                  \
	{                                                                                \
		return run_cases(argc, argv, cases, sizeof(cases) / sizeof((cases)[0])); \
	}

#endif
