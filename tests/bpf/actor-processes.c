/* SPDX-License-Identifier: MIT */
/*
 * Acts in which more than one thread or process takes part: see actor.c.
 */
#include "tests/bpf/actor.h"

enum { THREADS = 4, ROUNDS = 30, THREAD_PAGES = 20 };
static char *area[THREADS];

static void *perform(void *arg)
{
	char *p = arg;

	for (int i = 0; i < ROUNDS; i++) {
		must(madvise(p, THREAD_PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
		touch(p, THREAD_PAGES);
	}
	return NULL;
}

/* The areas of the threads lie in one block, so they change the same words. */
void act_threads(void)
{
	static char stacks[THREADS][1 << 16] __attribute__((aligned(64)));
	pthread_t thread[THREADS];
	pthread_attr_t attr;
	char *p = map(THREADS * THREAD_PAGES * PAGE);

	touch(p, THREADS * THREAD_PAGES);
	pthread_attr_init(&attr);
	for (int i = 0; i < THREADS; i++) {
		area[i] = p + (size_t)i * THREAD_PAGES * PAGE;
		pthread_attr_setstack(&attr, stacks[i], sizeof(stacks[i]));
		must(pthread_create(&thread[i], &attr, perform, area[i]) == 0, "pthread_create");
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	note("calls/madvise(DONTNEED)/calls = %d\n", THREADS * ROUNDS);
	note("calls/madvise(DONTNEED)/given_bytes = %lu\nrefilled/bytes = %lu\n",
	     THREADS * ROUNDS * THREAD_PAGES * PAGE, THREADS * ROUNDS * THREAD_PAGES * PAGE);
}

/* Returns how often processors had to forget addresses, by the kernel's count for all. */
static unsigned long shootdowns(void)
{
	static char text[1 << 18];
	int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
	unsigned long sum = 0;
	size_t n = 0;
	ssize_t got;
	char *p;

	must(fd >= 0, "/proc/interrupts");
	while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	text[n] = '\0';
	p = strstr(text, "TLB:");
	if (!p)
		lacks("this machine does not count TLB shootdowns\n");
	for (p += 4; *(p += strspn(p, " ")) >= '0' && *p <= '9';)
		sum += strtoul(p, &p, 10);
	return sum;
}

static atomic_ulong turns;
static atomic_bool enough;

static void *spin(void *arg)
{
	must(sched_setaffinity(0, sizeof(cpu_set_t), arg) == 0, "sched_setaffinity");
	while (!enough)
		turns++;
	return NULL;
}

/*
 * Pages go while a thread of the same process runs on another processor, which has to forget them.
 * The thread may be interrupted between the check that it runs and madvise, though rarely.
 */
void act_shootdowns(void)
{
	static char stack[1 << 16] __attribute__((aligned(64)));
	enum { N = 200, PAGES = 5 };
	cpu_set_t all, one[2];
	int cpus = 0;
	unsigned long before, seen, sent;
	pthread_t thread;
	pthread_attr_t attr;
	char *p = map(PAGES * PAGE);

	must(sched_getaffinity(0, sizeof(all), &all) == 0, "sched_getaffinity");
	for (int i = 0; i < CPU_SETSIZE && cpus < 2; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_ZERO(&one[cpus]);
		CPU_SET(i, &one[cpus++]);
	}
	if (cpus < 2)
		lacks("there is one processor only\n");
	before = shootdowns();
	must(sched_setaffinity(0, sizeof(one[0]), &one[0]) == 0, "sched_setaffinity");
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	must(pthread_create(&thread, &attr, spin, &one[1]) == 0, "pthread_create");
	for (int i = 0; i < N; i++) {
		touch(p, PAGES);
		for (seen = turns; turns == seen;)
			;
		must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
	}
	enough = true;
	pthread_join(thread, NULL);
	sent = shootdowns() - before;
	/* While another process runs on the other processor, no request to it is needed. */
	if (sent < N / 2)
		lacks("this machine sends hardly any TLB shootdowns just now\n");
	note("tlb/shootdowns >= %d\ntlb/shootdowns <= %d\n", N / 8, N + N / 2);
	note("tlb/shootdown_pages >= %d\n", N / 8 * PAGES);
	note("tlb/interrupts >= %d\ntlb/interrupts <= %lu\n", N / 8, sent + 16);
}

/* Pages that the parent gave back are not refilled by the child, nor the other way round. */
void act_fork(void)
{
	enum { PAGES = 50 };
	char *p = map(2 * PAGES * PAGE);
	struct rusage child;
	pid_t pid;
	int status;

	touch(p, 2 * PAGES);
	must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
	pid = fork();
	if (pid == 0) {
		touch(p, 2 * PAGES);
		must(madvise(p, PAGES * PAGE, MADV_DONTNEED) == 0, "madvise");
		touch(p, PAGES / 2);
		_exit(0);
	}
	must(waitpid(pid, &status, 0) == pid && status == 0, "child");
	touch(p, 2 * PAGES);
	getrusage(RUSAGE_CHILDREN, &child);
	from.ru_minflt -= child.ru_minflt;
	note("given_back/bytes = %lu\nrefilled/bytes = %lu\n", 2 * PAGES * PAGE,
	     PAGES * PAGE + PAGES / 2 * PAGE);
	note("processes/0/given_bytes = %lu\nprocesses/1/given_bytes = %lu\n", PAGES * PAGE,
	     PAGES * PAGE);
	note("processes/0/refilled_bytes = %lu\nprocesses/1/refilled_bytes = %lu\n", PAGES * PAGE,
	     PAGES / 2 * PAGE);
	note("processes/1/born = forked\nprocesses/1/pid = %d\nprocesses/1/ended = true\n", pid);
}

/* Children that give back by one path: there is one site, for many short-lived processes. */
void act_crowd(void)
{
	enum { N = 60, PAGES = 8 };

	for (int i = 0; i < N; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			char *p = map(PAGES * PAGE);

			touch(p, PAGES);
			must(munmap(p, PAGES * PAGE) == 0, "munmap");
			_exit(0);
		}
		must(waitpid(pid, &status, 0) == pid && status == 0, "child");
	}
	note("sites_found = 1\nsites/0/calls = %d\nsites/0/bytes = %lu\nframe act_crowd\n", N,
	     N * PAGES * PAGE);
}

/* More processes than there is room for sums: those without are counted. */
void act_throng(void)
{
	enum { N = 4200, ROOM = 4096 };

	for (int i = 0; i < N; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(0);
		must(waitpid(pid, &status, 0) == pid && status == 0, "child");
	}
	note("lost/processes >= %d\n", N - ROOM);
}

/* What a vfork child gives back of the shared address space, its parent takes again. */
void act_vfork(void)
{
	enum { N = 20, PAGES = 50 };
	char *p = map(PAGES * PAGE);

	touch(p, PAGES);
	for (int i = 0; i < N; i++) {
		pid_t pid = vfork();
		int status;

		if (pid == 0)
			_exit(madvise(p, PAGES * PAGE, MADV_DONTNEED) != 0);
		must(waitpid(pid, &status, 0) == pid && status == 0, "child");
		touch(p, PAGES);
	}
	note("given_back/bytes = %lu\nrefilled/bytes = %lu\n", N * PAGES * PAGE, N * PAGES * PAGE);
	note("processes/0/given_bytes = %lu\nprocesses/0/refilled_bytes = %lu\n", N * PAGES * PAGE,
	     N * PAGES * PAGE);
}
