// SPDX-License-Identifier: MIT
/*
 * Descriptors belong to the program (hazard 31). It closes all of them, puts its own files on every
 * number, starts without 0, 1 and 2, and never finds a byte that the allocator wrote, a descriptor
 * below 3, or one that leaked into a child.
 */
#include "harness.h"

#include <sys/stat.h>

enum { TOP = 1024 };

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void busy(void)
{
	size_t i;

	for (i = 0; i < 5; i++) {
		exercise_all_tiers(i);
		malloc_trim(0);
	}
}

static void busy_child(const char *what)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		busy();
		_exit(0);
	}
	reap(pid, what);
}

static void few_high_close_on_exec(void)
{
	int fd, ours = 0, first_free;
	struct rlimit r = { TOP, TOP };

	busy();
	first_free = open("/dev/null", O_RDONLY);
	for (fd = 0; fd < TOP; fd++) {
		char link[64], to[256] = "";

		if (!is_open(fd))
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, to, sizeof(to) - 1) < 0)
			continue;
		if (!strstr(to, "memfd:hakmem"))
			continue;
		ours++;
		CHECK(fd >= 256 && fd <= 999, "descriptor %d is %s", fd, to);
		CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d survives exec", fd);
	}
	CHECK(ours <= 1, "%d descriptors", ours);
	CHECK(first_free >= 3 && first_free < 20, "the next descriptor is %d", first_free);
	setrlimit(RLIMIT_NOFILE, &r);
}

/*
 * CPython's test_close_fds_when_max_fd_is_lowered and test_pass_fds_redirected list descriptors so.
 */
static void none_among_the_programs(void)
{
	char link[64], to[256];
	int fd;

	busy();
	for (fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		CHECK(!strstr(to, "hakmem"), "descriptor %d is %s", fd, to);
	}
	busy_child("child of a process with a low limit");
}

static void limit_to_40(void)
{
	struct rlimit r = { 40, 4096 };

	setrlimit(RLIMIT_NOFILE, &r);
}

static void limit_to_256(void)
{
	struct rlimit r = { 256, 4096 };

	setrlimit(RLIMIT_NOFILE, &r);
}

static void close_everything(void)
{
	int fd;

	for (fd = 3; fd < 20000; fd++)
		if (fd != log_fd)
			close(fd);
}

static void closefrom_31(void)
{
	busy();
	close_everything();
	busy();
	busy_child("child after closefrom");
	exercise_all_tiers(31);
	close(0);
	close(1);
	close(2);
	busy();
	busy_child("child without stdio");
}

/* The program has a file of its own on every number that the allocator might take for its own. */
static void files_on_all_numbers_31(void)
{
	enum { SIZE = 65536 };
	static char want[SIZE], got[SIZE];
	char path[] = "/tmp/hakmem-fds.XXXXXX";
	int file = mkstemp(path), fd;
	struct stat before, after;

	CHECK(file >= 0);
	unlink(path);
	fill(want, SIZE, 31);
	CHECK(write(file, want, SIZE) == SIZE && fstat(file, &before) == 0);
	busy();
	for (fd = 3; fd < TOP; fd++)
		if (fd != log_fd && fd != file)
			CHECK(dup2(file, fd) == fd || errno == EBADF);
	busy();
	busy_child("child with files everywhere");
	busy();
	CHECK(fstat(file, &after) == 0);
	CHECK(after.st_size == before.st_size, "size %ld", (long)after.st_size);
	CHECK(after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
	      after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
	CHECK(pread(file, got, SIZE, 0) == SIZE && memcmp(want, got, SIZE) == 0);
	for (fd = 3; fd < 256; fd++)
		CHECK(is_open(fd), "descriptor %d was closed", fd);
	for (fd = 256; fd < TOP; fd++) {
		struct stat st;

		if (dup2(file, fd) != fd)
			break;
		CHECK(fstat(fd, &st) == 0 && st.st_ino == before.st_ino);
	}
}

/* The files that the program put there must stay open in the child, too. */
static void child_keeps_the_programs_files_31(void)
{
	int file = open("/dev/null", O_RDWR), fd;
	pid_t pid;

	CHECK(file >= 0);
	busy();
	for (fd = 3; fd < TOP; fd++)
		if (fd != log_fd && fd != file)
			CHECK(dup2(file, fd) == fd || errno == EBADF);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		busy();
		for (fd = 3; fd < TOP; fd++)
			CHECK(is_open(fd), "descriptor %d was closed in the child", fd);
		_exit(0);
	}
	reap(pid, "the child");
}

static void close_stdio(void)
{
	close(0);
	close(1);
	close(2);
}

static void started_without_stdio(void)
{
	int i;

	for (i = 0; i < 3; i++)
		CHECK(!is_open(i), "descriptor %d is open", i);
	busy();
	for (i = 0; i < 3; i++)
		CHECK(open("/dev/null", O_RDWR) == i, "descriptor %d was taken", i);
	busy_child("child of a process without stdio");
}

/* Broken pipes, full devices: nothing is written without a request. */
static void silent(void *arg)
{
	(void)arg;
	busy();
}

static void nothing_on_stderr(void)
{
	struct outcome o;

	run_captured(silent, NULL, &o);
	CHECK(o.status == 0 && o.len == 0, "status %#x: %s", o.status, o.err);
}

static int count_descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < TOP; fd++)
		n += is_open(fd);
	return n;
}

/* Forks from child to child neither accumulate descriptors nor use them up. */
static void descriptors_do_not_pile_up_31(void)
{
	int depth, here;

	busy();
	here = count_descriptors();
	for (depth = 0; depth < 10; depth++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid) {
			reap(pid, "the next generation");
			CHECK(count_descriptors() <= here, "%d descriptors, then %d", here,
			      count_descriptors());
			if (depth)
				_exit(0);
			return;
		}
		busy();
		CHECK(count_descriptors() <= here, "%d descriptors, then %d in the child", here,
		      count_descriptors());
	}
}

/* A program that a child executes inherits no descriptor of the library. */
static void nothing_inherited_by_exec(void)
{
	char line[512];
	FILE *f;

	busy();
	unsetenv("LD_PRELOAD");
	f = popen("ls -l /proc/self/fd; cat /proc/self/maps", "r");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		CHECK(!strstr(line, "memfd:hakmem-"), "the child has %s", line);
	CHECK(pclose(f) == 0);
}

static const struct tcase cases[] = {
	{ "few_high_close_on_exec", few_high_close_on_exec },
	{ "none_among_the_programs", none_among_the_programs },
	{ "none_under_a_limit_of_40", none_among_the_programs, 0, NULL, limit_to_40 },
	{ "none_under_a_limit_of_256", none_among_the_programs, 0, NULL, limit_to_256 },
	{ "closefrom_31", closefrom_31 },
	{ "closefrom_agent_31", closefrom_31, 0, "control.agent=on" },
	{ "files_on_all_numbers_31", files_on_all_numbers_31 },
	{ "child_keeps_the_programs_files_31", child_keeps_the_programs_files_31 },
	{ "started_without_stdio", started_without_stdio, 0, NULL, close_stdio },
	{ "nothing_on_stderr", nothing_on_stderr },
	{ "descriptors_do_not_pile_up_31", descriptors_do_not_pile_up_31 },
	{ "nothing_inherited_by_exec", nothing_inherited_by_exec },
};

MAIN(cases)
