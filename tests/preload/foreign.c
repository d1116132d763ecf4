// SPDX-License-Identifier: MIT
/*
 * Other libraries in the process. Each function that the allocator does not bring itself may be
 * another library's, which allocates in it, sleeps, fails, or has been torn down when the process
 * exits (plug_foreign.c; libfaketime is a real one).
 */
#include "harness.h"

#include <pthread.h>

static void put_beside(char path[4200], const char *name)
{
	snprintf(path, 4200, "%s", self_path);
	snprintf(strrchr(path, '/') + 1, 100, "%s", name);
}

/*
 * In LD_PRELOAD, libraries in between are torn down before plug_early.so, which frees after that.
 */
static void preload(const char *foreign, int first, const char *how)
{
	static char list[16384];
	char early[4200], beside[4200];
	const char *lib = library();

	put_beside(early, "plug_early.so");
	if (*foreign != '/') {
		put_beside(beside, foreign);
		foreign = beside;
	}
	if (!lib)
		SKIP("on the system's malloc");
	snprintf(list, sizeof(list), "%s %s %s", first ? foreign : lib, first ? lib : foreign,
		 early);
	setenv("PLUG_FOREIGN", how, 1);
	setenv("PLUG_EARLY_FORK", "1", 1);
	setenv("LD_PRELOAD", list, 1);
}

#define PREPARE(how)                                 \
	static void how##_before(void)               \
	{                                            \
		preload("plug_foreign.so", 1, #how); \
	}                                            \
	static void how##_behind(void)               \
	{                                            \
		preload("plug_foreign.so", 0, #how); \
	}
PREPARE(malloc)
PREPARE(yield)
PREPARE(fail)
PREPARE(gone)
static void still_before(void)
{
	preload("plug_foreign.so", 1, "still");
}

static const char *faketime(void)
{
	static const char *const places[] = {
		"/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
		"/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
		"/usr/lib64/faketime/libfaketime.so.1",
		"/usr/lib/faketime/libfaketime.so.1",
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], R_OK) == 0)
			return places[i];
	SKIP("libfaketime is not installed");
}

static void faketime_before(void)
{
	preload(faketime(), 1, "-");
	setenv("FAKETIME", "-1d i2,0", 1);
}

static void faketime_behind(void)
{
	preload(faketime(), 0, "-");
	setenv("FAKETIME", "-1d i2,0", 1);
}

static void faketime_frozen(void)
{
	preload(faketime(), 1, "-");
	setenv("FAKETIME", "2025-01-01 00:00:00", 1);
}

/* ---- work, wherever a program may allocate ---- */

static void churn(void)
{
	static const size_t sizes[] = { 1, 100, 1000, 20000, 100000, 1500000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = calloc(1, sizes[i]), *q = NULL;

		CHECK(p && nonzero_at((unsigned char *)p, sizes[i]) == sizes[i]);
		p[0] = 'x';
		p = realloc(p, sizes[i] * 5);
		CHECK(p && p[0] == 'x');
		CHECK(posix_memalign((void **)&q, 4096, sizes[i]) == 0);
		free(q);
		free(p);
	}
}

static int started;

__attribute__((constructor)) static void start(void)
{
	churn();
	started = 1;
}

__attribute__((destructor)) static void end(void)
{
	churn();
}

static void on_signal(int number)
{
	(void)number;
	churn();
}

static void of_thread(void *arg)
{
	churn();
	free(arg);
}

static pthread_key_t own;

static void *thread(void *arg)
{
	churn();
	CHECK(pthread_setspecific(own, malloc(500)) == 0);
	return arg;
}

static void in_threads(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, thread, NULL) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
}

static void in_child(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		churn();
		in_threads();
		exit(0);
	}
	reap(pid, "a child");
}

static void return_from(int number)
{
	(void)number;
}

static void abort_again(int number)
{
	(void)number;
	free((char *)malloc(10000) + 8);
}

/* A wrong free ends the process by SIGABRT, whichever function abort() is. */
static void wrong(void *arg)
{
	signal(SIGABRT, arg);
	free(malloc(16));
	free((char *)malloc(10000) + 8);
}

static void dies(sighandler_t handler)
{
	struct outcome o;

	run_captured(wrong, (void *)handler, &o);
	CHECK(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGABRT, "status %#x: %s", o.status,
	      o.err);
	CHECK(strstr(o.err, "hakmem: "), "%s", o.err);
}

static void work(void)
{
	unsigned long *calls = dlsym(RTLD_DEFAULT, "plug_foreign_calls");

	CHECK(started);
	CHECK(pthread_key_create(&own, of_thread) == 0);
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 3; i++) {
		churn();
		in_threads();
		raise(SIGUSR1);
		in_child();
	}
	if (on_hakmem()) {
		dies(SIG_DFL);
		dies(return_from);
		dies(abort_again);
	}
	/* earlier calls: the first malloc(), in the loader, and the key */
	CHECK(!calls || *calls > 100);
	exit(0);
}

/* By the clock of the kernel, though it stands still for the program. */
static void given_back(void)
{
	enum { BLOCKS = 3000, BYTES = 100000 };
	static void *p[BLOCKS];
	long full;

	for (int i = 0; i < BLOCKS; i++) {
		CHECK((p[i] = malloc(BYTES)) != NULL);
		memset(p[i], 1, BYTES);
	}
	full = rss_kib();
	for (int i = 0; i < BLOCKS; i++)
		free(p[i]);
	/* The watchdog ends this. */
	while (rss_kib() > full / 2) {
		for (size_t n = 300; n < 2300; n++)
			free(malloc(n));
		free(malloc(1500000));
		usleep(10000);
	}
}

static const struct tcase cases[] = {
	{ "malloc_before", work, 0, NULL, malloc_before },
	{ "malloc_behind", work, 0, NULL, malloc_behind },
	{ "yield_before", work, 0, NULL, yield_before },
	{ "yield_behind", work, 0, NULL, yield_behind },
	{ "fail_before", work, 0, NULL, fail_before },
	{ "fail_behind", work, 0, NULL, fail_behind },
	{ "gone_before", work, 0, NULL, gone_before },
	{ "gone_behind", work, 0, NULL, gone_behind },
	{ "still_given_back", given_back, 0, NULL, still_before },
	{ "faketime_before", work, 0, NULL, faketime_before },
	{ "faketime_behind", work, 0, NULL, faketime_behind },
	{ "faketime_given_back", given_back, 0, NULL, faketime_frozen },
};

MAIN(cases)
