// SPDX-License-Identifier: MIT
/*
 * Processes that are refused what they ask for: address space and data limits from before the start
 * (hazard 22), no files, no descriptors, little stack. Allocation then fails with ENOMEM and has no
 * other effect; free never fails.
 */
#include "limits.h"

#include <pthread.h>
#include <sys/personality.h>

/* -- address space and data ------------------------------------------------- */

static void as_32m(void)
{
	limit(RLIMIT_AS, 32 * MIB);
}

static void as_64m(void)
{
	limit(RLIMIT_AS, 64 * MIB);
}

static void as_256m(void)
{
	limit(RLIMIT_AS, 256 * MIB);
}

static void as_1g(void)
{
	limit(RLIMIT_AS, GIB);
}

static void data_8m(void)
{
	limit(RLIMIT_DATA, 8 * MIB);
}

static void data_32m(void)
{
	limit(RLIMIT_DATA, 32 * MIB);
}

static void data_256m(void)
{
	limit(RLIMIT_DATA, 256 * MIB);
}

static void to_the_limit_22(size_t share_of_limit)
{
	static const size_t sizes[] = { 4000, 100, 60000, 300000, 1048576, 3000000 };
	size_t i, round, first[6] = { 0 };

	for (round = 0; round < scale(2, 3); round++) {
		for (i = 0; i < 6; i++) {
			size_t got = until_refused(sizes[i]);

			if (round == 0)
				first[i] = got;
			CHECK(got >= share_of_limit, "only %zu bytes in blocks of %zu", got,
			      sizes[i]);
			/* Memory that was freed in one size comes back for another. */
			CHECK(got >= first[i] / 2, "%zu bytes at first, then %zu, in blocks of %zu",
			      first[i], got, sizes[i]);
			malloc_trim(0);
		}
	}
}

/*
 * What is left beside this program's own 4 MiB of data and the library's tables, which are one more
 * where chance lays them across a border of 32 GiB; in whole extents of 2 MiB, less what blocks of
 * 4000 bytes waste.
 */
static void runs_in_32m_22(void)
{
	to_the_limit_22(3 * MIB);
}

static void runs_in_64m_22(void)
{
	to_the_limit_22(24 * MIB);
}

static void runs_in_256m_22(void)
{
	to_the_limit_22(160 * MIB);
}

static void runs_in_1g_22(void)
{
	to_the_limit_22(700 * MIB);
}

static void runs_with_data_8m_22(void)
{
	to_the_limit_22(3 * MIB / 2);
}

static void runs_with_data_32m_22(void)
{
	to_the_limit_22(20 * MIB);
}

static void runs_with_data_256m_22(void)
{
	to_the_limit_22(180 * MIB);
}

/* Threads come and go although no heap can be had for them. */
static void *until_refused_thread(void *arg)
{
	size_t i;

	for (i = 0; i < 5; i++)
		until_refused((size_t)arg);
	return NULL;
}

static void threads_at_the_limit_22(void)
{
	static const size_t sizes[] = { 100, 5000, 100000, 2000000 };
	pthread_attr_t attr;
	pthread_t t[4];
	size_t i, n, round;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (round = 0; round < scale(2, 5); round++) {
		for (n = 0; n < 4; n++) /* a stack may be refused, too */
			if (pthread_create(&t[n], &attr, until_refused_thread, (void *)sizes[n]) !=
			    0)
				break;
		CHECK(n > 0);
		for (i = 0; i < n; i++)
			pthread_join(t[i], NULL);
	}
	until_refused(1000);
}

/* Programs do not check what a shrinking realloc returns, so it does not fail. */
static void shrinking_at_the_limit_22(void)
{
	static const size_t from[] = { 900, 5000, 16384, 20000, 200000, 900000, 3000000 };
	static const size_t to[] = { 8, 100, 3000, 17000, 150000 };
	enum { FROM = sizeof(from) / sizeof(from[0]), TO = sizeof(to) / sizeof(to[0]) };
	char *p[FROM][TO];
	size_t i, k, n;

	for (i = 0; i < FROM; i++)
		for (k = 0; k < TO; k++) {
			CHECK((p[i][k] = malloc(from[i])) != NULL);
			fill(p[i][k], from[i], i);
		}
	for (n = 64 * MIB; n >= 16; n /= 2)
		while (launder(malloc(n)))
			;
	for (i = 0; i < FROM; i++)
		for (k = 0; k < TO; k++) {
			char *q;

			if (to[k] >= from[i])
				continue;
			errno = 4242;
			q = realloc(p[i][k], to[k]);
			CHECK(q && errno == 4242, "%zu to %zu bytes: errno %d", from[i], to[k],
			      errno);
			check_block(q, to[k], i);
			/* Uses up again what that gave back. */
			while (launder(malloc(from[0])))
				;
			while (launder(malloc(16)))
				;
		}
}

static void fork_at_the_limit_22(void)
{
	void **last = NULL, **p;
	size_t i;
	pid_t pid;

	while ((p = malloc(20000)) != NULL) {
		*p = last;
		last = p;
	}
	pid = fork();
	if (pid < 0 && errno == ENOMEM)
		SKIP("fork itself is refused");
	CHECK(pid >= 0);
	while (last) {
		p = *last;
		free(last);
		last = p;
	}
	for (i = 0; i < 3; i++)
		until_refused(5000);
	if (pid == 0)
		_exit(0);
	reap(pid, "child at the limit");
}

/* -- files, descriptors, stack, processes ----------------------------------- */

static void *allocates(void *arg)
{
	exercise_all_tiers((size_t)arg);
	return NULL;
}

static void fsize_0(void)
{
	signal(SIGXFSZ, SIG_DFL);
	limit(RLIMIT_FSIZE, 0);
}

static void nofile_3(void)
{
	limit(RLIMIT_NOFILE, 4); /* ld.so needs one */
}

static void nofile_20(void)
{
	limit(RLIMIT_NOFILE, 20);
}

static void nofile_101(void)
{
	limit(RLIMIT_NOFILE, 101);
}

static void stack_64k(void)
{
	limit(RLIMIT_STACK, 131072);
}

static void stack_unlimited(void)
{
	struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_STACK, &r) != 0)
		_exit(CASE_SKIP);
}

static void nproc_0(void)
{
	if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		_exit(CASE_SKIP);
	limit(RLIMIT_NPROC, 0);
}

static void memlock_0(void)
{
	limit(RLIMIT_MEMLOCK, 0);
}

static void no_randomness(void)
{
	personality(ADDR_NO_RANDOMIZE);
}

static void compat_layout(void)
{
	personality(ADDR_COMPAT_LAYOUT | ADDR_NO_RANDOMIZE);
}

static void read_implies_exec(void)
{
	personality(READ_IMPLIES_EXEC);
}

static void just_works(void)
{
	pthread_t t;
	size_t i;

	for (i = 0; i < 10; i++)
		exercise_all_tiers(i);
	malloc_trim(0);
	if (pthread_create(&t, NULL, allocates, NULL) == 0)
		pthread_join(t, NULL);
	exercise_all_tiers(11);
}

static void fork_works_too(void)
{
	pid_t pid;

	just_works();
	pid = fork();
	if (pid == 0) {
		just_works();
		_exit(0);
	}
	if (pid > 0)
		reap(pid, "the child");
	just_works();
}

/* The limit falls while the process runs. */
static void file_size_limit_falls_later(void)
{
	exercise_all_tiers(1);
	fsize_0();
	fork_works_too();
}

static void descriptor_limit_falls_later(void)
{
	exercise_all_tiers(1);
	limit(RLIMIT_NOFILE, 0);
	fork_works_too();
}

static void all_descriptors_taken(void)
{
	int fd = 0, last = -1;

	while (fd >= 0) {
		fd = open("/dev/null", O_RDONLY);
		last = fd >= 0 ? fd : last;
	}
	CHECK(last > 0);
	fork_works_too();
}

static const struct tcase cases[] = {
	{ "runs_in_32m_22", runs_in_32m_22, 60, NULL, as_32m },
	{ "runs_in_64m_22", runs_in_64m_22, 60, NULL, as_64m },
	{ "runs_in_256m_22", runs_in_256m_22, 60, NULL, as_256m },
	{ "runs_in_1g_22", runs_in_1g_22, 90, NULL, as_1g },
	{ "runs_with_data_8m_22", runs_with_data_8m_22, 60, NULL, data_8m },
	{ "runs_with_data_32m_22", runs_with_data_32m_22, 60, NULL, data_32m },
	{ "runs_with_data_256m_22", runs_with_data_256m_22, 60, NULL, data_256m },
	{ "threads_at_the_limit_22", threads_at_the_limit_22, 60, NULL, as_256m },
	{ "threads_at_the_data_limit_22", threads_at_the_limit_22, 60, NULL, data_32m },
	{ "shrinking_at_the_limit_22", shrinking_at_the_limit_22, 60, NULL, as_256m },
	{ "fork_at_the_limit_22", fork_at_the_limit_22, 60, NULL, as_64m },
	{ "no_file_may_grow", fork_works_too, 0, NULL, fsize_0 },
	{ "file_size_limit_falls_later", file_size_limit_falls_later },
	{ "hardly_a_descriptor", fork_works_too, 0, NULL, nofile_3 },
	{ "twenty_descriptors", fork_works_too, 0, NULL, nofile_20 },
	{ "a_hundred_and_one_descriptors", fork_works_too, 0, NULL, nofile_101 },
	{ "descriptor_limit_falls_later", descriptor_limit_falls_later },
	{ "all_descriptors_taken", all_descriptors_taken },
	{ "small_main_stack", fork_works_too, 0, NULL, stack_64k },
	{ "unlimited_stack", fork_works_too, 0, NULL, stack_unlimited },
	{ "no_processes_allowed", just_works, 0, NULL, nproc_0 },
	{ "nothing_may_be_locked", fork_works_too, 0, NULL, memlock_0 },
	{ "no_address_randomness", fork_works_too, 0, NULL, no_randomness },
	{ "compat_layout", fork_works_too, 0, NULL, compat_layout },
	{ "read_implies_exec", fork_works_too, 0, NULL, read_implies_exec },
};

MAIN(cases)
