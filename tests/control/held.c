/* SPDX-License-Identifier: MIT */
/*
 * control/reader.h: a call that never returns costs a bounded time, and delays no other process. A
 * FIFO stands for a file of a process that holds its lock: opening it sleeps until it is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/missing.h"
#include "control/proc.h"
#include "control/reader.h"
#include "control/segment.h"
#include "tests/check.h"

#define MS    1000000
#define LINES 3000u /* of maps: several pieces */

static int held, ours; /* folders: one in which no open returns; this process's in /proc */

static int count(const struct hak_mapping *map, void *arg)
{
	++*(unsigned *)arg;
	return map->start == 0;
}

static void check_each(const char *when)
{
	char text[64];
	unsigned n = 0;

	EXPECT(hak_each_mapping(held, count, &n) == -ETIME && n == 0, "maps, %s", when);
	EXPECT(hak_maybe_segment(held, ".") == -ETIME, "whether there is a segment, %s", when);
	EXPECT(hak_reader_text(held, "smaps_rollup", text, sizeof(text)) == -ETIME && !text[0],
	       "a text, %s", when);
	EXPECT(hak_reader_open(held, "mem", O_RDONLY) == -ETIME, "opening, %s", when);
}

/* Checks that other processes can be asked meanwhile. */
static void check_ours(const char *when)
{
	static const char word[] = "a word in our memory";
	char copy[sizeof(word)] = "", text[1024];
	unsigned n = 0;
	int fd;

	EXPECT(hak_each_mapping(ours, count, &n) == 0 && n > 5, "%u mappings, %s", n, when);
	EXPECT(hak_maybe_segment(ours, ".") == 0, "no segment, %s", when);
	EXPECT(hak_reader_text(ours, "smaps_rollup", text, sizeof(text)) > 0 &&
		       strstr(text, "\nRss:"),
	       "a text, %s", when);
	fd = hak_reader_open(ours, "mem", O_RDONLY);
	EXPECT(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "memory, %s", when);
	EXPECT(hak_reader_at(fd, copy, sizeof(copy), (uintptr_t)word) == sizeof(word) &&
		       strcmp(copy, word) == 0,
	       "what is in it, %s", when);
	close(fd);
	EXPECT(hak_reader_open(ours, "map_files/1-2", O_PATH) == -ENOENT, "no such file, %s", when);
}

static void check_budget(void)
{
	struct hak_budget budget;
	struct hak_shares *s = calloc(1, sizeof(*s));
	struct hak_turn turn = { 0 };
	int64_t before = hak_processor_ns();

	hak_budget_enter(&budget, 1000000ll * MS);
	EXPECT(!hak_budget_spent(), "a budget that is larger than a wait");
	check_each("with a budget");
	EXPECT(hak_budget_leave(&budget), "the piece was put off");
	/* One call was waited for; those behind it were not even made. */
	EXPECT(hak_processor_ns() - before >= 100 * MS, "%lld ns were charged",
	       (long long)(hak_processor_ns() - before));

	s->pass_ns = 300 * MS, s->user_ns = 50 * MS, s->piece_ns = 40 * MS;
	hak_shares_begin(s);
	EXPECT(hak_share_enter(s, 4001000, &turn), "a first piece");
	EXPECT(hak_maybe_segment(held, ".") == -ETIME, "one wait in a share");
	EXPECT(hak_share_leave(s, &turn) && s->put_off == 1, "it was put off, and counted");
	for (unsigned uid = 4002000; uid < 4002010; uid++) {
		if (!hak_share_enter(s, uid, NULL))
			continue;
		check_ours("of another user");
		EXPECT(!hak_share_leave(s, NULL), "that was not put off");
		break;
	}
	EXPECT(!hak_share_enter(s, 4001000, NULL) && s->waits, "the user owes the wait");
	free(s);
}

/* Pieces of the text end within lines. */
static void check_long(const char *folder)
{
	char path[64], line[128];
	unsigned n = 0, bytes = 0;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/maps", folder);
	f = fopen(path, "we");
	for (unsigned i = 1; f && i <= LINES; i++)
		bytes += (unsigned)fprintf(f, "%x000-%x000 rw-p 00000000 00:00 0 %.*s\n", i, i + 1,
					   (int)(i % 40),
					   "[anon:a name of which there is some here]");
	if (!f || fclose(f) != 0 || bytes < 3 * HAK_READER_BYTES)
		EXPECT(0, "%s cannot be written", path);
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	EXPECT(hak_each_mapping(fd, count, &n) == 0 && n == LINES, "%u lines of %u", n, LINES);
	EXPECT(hak_maybe_segment(fd, ".") == 0, "no segment in them");
	f = fopen(path, "ae");
	snprintf(line, sizeof(line), "f000-10000 r--s 00000000 00:01 7 /memfd:%s (deleted)\n",
		 HAK_STATS_NAME);
	if (!f || fputs(line, f) < 0 || fclose(f) != 0)
		EXPECT(0, "%s cannot be written", path);
	EXPECT(hak_maybe_segment(fd, ".") == 1, "one at the end");
	close(fd);
}

/* Returns the child that was made last, because an earlier one may be ending. 0: there is none. */
static pid_t last_child(pid_t of)
{
	char path[64], text[128], *at = text, *end;
	pid_t child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)of, (int)of);
	hak_proc_read(AT_FDCWD, path, text, sizeof(text));
	for (long n = strtol(at, &end, 10); end != at; n = strtol(at, &end, 10))
		child = (pid_t)n, at = end;
	return child;
}

#define SHORT_SLEEPS 200u
#define SHORT_JUDGED 10u
#define SHORT_NS     (2 * MS)

static void name_short(unsigned i, char ret[16])
{
	snprintf(ret, 16, "short.%u", i);
}

/* Lets the reader, when it has opened a FIFO, sleep in it for SHORT_NS; one after another. */
static void hold_shortly(int dir, pid_t reader)
{
	const struct timespec tick = { .tv_nsec = MS / 10 }, held_for = { .tv_nsec = SHORT_NS };
	char path[32], name[16], stat[HAK_STAT_BYTES];
	int procfd, fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)reader);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < SHORT_SLEEPS; i++) {
		name_short(i, name);
		while ((fd = openat(dir, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
			nanosleep(&tick, NULL);
		/* Our open() has made it run. */
		while (hak_proc_read(procfd, "stat", stat, sizeof(stat)) > 0 &&
		       hak_proc_state(stat) != 'S')
			nanosleep(&tick, NULL);
		nanosleep(&held_for, NULL);
		close(fd);
	}
	_exit(0);
}

/* Returns how long the process waited for a processor until now. */
static int64_t run_delay_ns(pid_t pid)
{
	long long ran, delay = 0;
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "re");
	EXPECT(f && fscanf(f, "%lld %lld", &ran, &delay) == 2, "%s", path);
	if (f)
		fclose(f);
	return delay;
}

/* Reads a FIFO that is held shortly. Returns whether that was judged: on a busy machine the time
 * that the reader waits for a processor, since its last answer, may cover the sleep. */
static bool judge_short(int dir, const char *name, pid_t reader)
{
	static int64_t delay;
	int64_t last = delay, before = hak_processor_ns();
	char text[64];

	EXPECT(hak_reader_text(dir, name, text, sizeof(text)) == 0, "%s", name);
	before = hak_processor_ns() - before;
	delay = run_delay_ns(reader) + run_delay_ns(getpid());
	if (!last || delay - last > SHORT_NS / 8)
		return false;
	EXPECT(before >= SHORT_NS / 2, "%lld ns were charged", (long long)before);
	return true;
}

/* What is far below the limit is charged as well. */
static void check_short(const char *folder)
{
	pid_t reader = last_child(last_child(getpid())), holder;
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned judged = 0;
	char name[16];

	EXPECT(reader > 0, "a reader");
	for (unsigned i = 0; i < SHORT_SLEEPS; i++) {
		name_short(i, name);
		EXPECT(mkfifoat(dir, name, 0600) == 0, "%s", name);
	}
	holder = fork();
	if (holder == 0)
		hold_shortly(dir, reader);
	for (unsigned i = 0; i < SHORT_SLEEPS && judged < SHORT_JUDGED; i++) {
		name_short(i, name);
		judged += judge_short(dir, name, reader);
	}
	EXPECT(judged > 0, "the machine is too busy for one short sleep in %u", SHORT_SLEEPS);
	kill(holder, SIGKILL);
	EXPECT(waitpid(holder, NULL, 0) == holder, "the holder");
	close(dir);
}

static void wait_for_end(pid_t pid)
{
	const struct timespec tick = { .tv_nsec = MS };
	char path[32], stat[HAK_STAT_BYTES], state;
	int procfd;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (hak_proc_read(procfd, "stat", stat, sizeof(stat)) > 0 &&
	       (state = hak_proc_state(stat)) && state != 'Z' && state != 'X')
		nanosleep(&tick, NULL);
	close(procfd);
}

/* Reader and keeper are killed from outside, as for want of memory. */
static void check_killed(void)
{
	pid_t keeper = last_child(getpid()), reader = last_child(keeper);
	unsigned n = 0;

	EXPECT(keeper > 0 && reader > 0, "a keeper and a reader");
	if (keeper <= 0 || reader <= 0)
		return;
	kill(reader, SIGKILL);
	EXPECT(hak_each_mapping(ours, count, &n) == -ETIME, "by a killed reader");
	check_ours("after that");
	/* The reader ends with its keeper. */
	reader = last_child(keeper);
	kill(keeper, SIGKILL);
	wait_for_end(reader);
	n = 0;
	EXPECT(hak_each_mapping(ours, count, &n) == -ETIME, "by a reader without a keeper");
	check_ours("after that, too");
}

/* Parent and child ask at the same time. */
static void check_fork(void)
{
	int failures = expectations_failed, status;
	pid_t child = fork();

	for (unsigned i = 0; i < 100; i++)
		check_ours(child ? "in the parent" : "in the child");
	if (child == 0)
		_exit(expectations_failed != failures);
	EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0, "the child failed");
}

/* On a busy machine a reader may be given up although nothing holds it. */
static ssize_t advise(int pidfd, struct iovec *part, size_t n)
{
	const struct timespec tick = { .tv_nsec = 10 * MS };
	ssize_t r;

	for (unsigned i = 0; i < 500; i++) {
		r = hak_reader_advise(pidfd, part, n, MADV_COLD);
		if (r != -ETIME)
			break;
		nanosleep(&tick, NULL);
	}
	return r;
}

static void check_advise(void)
{
	const size_t bytes = 1u << 20;
	struct iovec part = { .iov_len = bytes };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	ssize_t n;

	part.iov_base =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(part.iov_base, 1, bytes);
	n = advise(pidfd, &part, 1);
	EXPECT(n == (ssize_t)bytes, "advice: %zd", n);
	part.iov_base = (char *)part.iov_base + 1;
	EXPECT(advise(pidfd, &part, 1) == -EINVAL, "bad advice");
	EXPECT(advise(pidfd, &part, HAK_READER_PARTS + 1) == -EINVAL, "too many parts");
	close(pidfd);
}

static void held_files(void)
{
	static const char *const files[] = { "maps", "smaps_rollup", "mem" };
	const char *tmp = getenv("HAK_TMP");
	char folder[256], text[256], path[300];

	snprintf(folder, sizeof(folder), "%s/held", tmp ? tmp : ".");
	mkdir(folder, 0700);
	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		EXPECT(mkfifo(path, 0600) == 0, "%s", path);
	}
	held = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ours = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	check_ours("at first");
	check_each("for one that was asked for");
	check_ours("afterwards");
	check_short(folder);
	check_budget();
	check_advise();
	check_killed();
	check_fork();
	snprintf(text, sizeof(text), "%s/long", tmp ? tmp : ".");
	mkdir(text, 0700);
	EXPECT(chdir(text) == 0, "%s", text);
	check_long(".");
}

static const struct tcase cases[] = {
	{ "held_files", held_files, 200 },
};

CASES(cases)
