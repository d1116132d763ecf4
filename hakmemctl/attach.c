/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl purge --attach: has a thread of a process that sleeps carry out the request. Chooses
 * the thread, and finds the reasons for which it must not be borrowed (borrow.h).
 *
 * A child makes the attempt and ends: its end lets the thread go, whatever state the attempt is in.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/proc.h"
#include "control/reader.h"
#include "hakmemctl/borrow.h"
#include "hakmemctl/ctl.h"

#define THREADS_MOST 256u      /* that are tried */
#define GRACE_NS     600000000 /* for a thread that does not stop; borrow.c gives up before */
#define AGAIN_MS     20

__attribute__((format(printf, 3, 4))) static int refuse(char why[HAK_WHY_TEXT], int error,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, HAK_WHY_TEXT, format, args);
	va_end(args);
	return error;
}

/* -- what forbids it --------------------------------------------------------------------------- */
static unsigned long number_of(const char *status, const char *key)
{
	const char *p = hak_proc_status(status, key);

	return p ? strtoul(p, NULL, 10) : 0;
}

static bool is_stopped(const char *status)
{
	const char *p = hak_proc_status(status, "\nState:\t");

	return p && *p == 'T';
}

/* Returns 0, -EAGAIN: another thread may do; or an error that holds for all threads. */
static int check_thread(const struct hak_segment *seg, pid_t tid, char why[HAK_WHY_TEXT])
{
	char path[48], status[HAK_PROC_STATUS_BYTES];
	unsigned long tracer;
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/status", (int)tid);
	n = hak_reader_text(seg->procfd, path, status, sizeof(status));
	if (n <= 0)
		return refuse(why, -EAGAIN, "its thread %d ended", (int)tid);
	tracer = number_of(status, "\nTracerPid:");
	if (tracer)
		return refuse(why, -EBUSY, "process %lu traces it already", tracer);
	if (is_stopped(status))
		return refuse(why, -EBUSY, "it is stopped, and stays so");
	/* Groups come before it: of a process with too many of them it is not known. */
	if (number_of(status, "\nSeccomp:") || n == sizeof(status) - 1)
		return refuse(why, -EAGAIN,
			      "a seccomp filter may kill its thread %d for what a purge calls",
			      (int)tid);
	return 0;
}

/* -- one attempt ------------------------------------------------------------------------------- */
/* Signals from a terminal do not end an attempt half-way. */
static void run_child(const struct hak_segment *seg, pid_t tid, uint64_t until_ns, int to)
{
	int r;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (seg->tune_fd >= 0)
		close(seg->tune_fd); /* with the locks on it (pageout.h) */
	r = ctl_borrow(seg, tid, until_ns);
	_exit(write(to, &r, sizeof(r)) != sizeof(r));
}

static int wait_child(int from, uint64_t until_ns)
{
	uint64_t now = hak_monotonic_ns(), end = until_ns + GRACE_NS;
	struct pollfd fd = { .fd = from, .events = POLLIN };
	int r;

	if (poll(&fd, 1, end > now ? (int)((end - now) / 1000000) + 1 : 0) <= 0)
		return -EINPROGRESS;
	return read(from, &r, sizeof(r)) == sizeof(r) ? r : -EINPROGRESS;
}

static int attempt(const struct hak_segment *seg, pid_t tid, uint64_t until_ns)
{
	int ends[2], r;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		run_child(seg, tid, until_ns, ends[1]);
	close(ends[1]);
	if (child > 0) {
		r = wait_child(ends[0], until_ns);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	} else {
		r = -ENOMEM;
	}
	close(ends[0]);
	return r;
}

/* Returns -EAGAIN where another thread, or the same one later, may do. */
static int judge(int r, pid_t tid, char why[HAK_WHY_TEXT])
{
	switch (-r) {
	case 0:
		return 0;
	case EBUSY:
		return refuse(why, -EAGAIN, "its thread %d is inside the allocator", (int)tid);
	case EDEADLK:
		return refuse(why, -EAGAIN, "its thread %d is on its signal stack", (int)tid);
	case EALREADY:
		return refuse(why, -EAGAIN, "its thread %d is in a restartable sequence", (int)tid);
	case EADDRNOTAVAIL:
		return refuse(why, -EAGAIN, "the stack of its thread %d has no room", (int)tid);
	case ETIMEDOUT:
		return refuse(why, -EAGAIN, "its thread %d does not stop", (int)tid);
	case ESRCH:
		return refuse(why, -EAGAIN, "its thread %d ended, or executes another program",
			      (int)tid);
	case EBADMSG:
		return refuse(why, r, "the code that it names is not its library's");
	case EINPROGRESS:
		return refuse(why, r, "its thread %d is still at it", (int)tid);
	case ECANCELED:
		return refuse(why, r, "it was stopped meanwhile, and stays so");
	case EPERM:
	case EACCES:
		return refuse(why, r,
			      "the kernel does not let this user trace it "
			      "(kernel.yama.ptrace_scope, user namespaces)");
	case EOPNOTSUPP:
		return refuse(why, r, "it is in a sandbox");
	case ENOEXEC:
		return refuse(why, r, "it runs code of another architecture");
	case ENOSYS:
		return refuse(why, r, "--attach is for x86-64 only");
	default:
		return refuse(why, r, "its thread %d: %s", (int)tid, strerror(-r));
	}
}

/* -- all threads ------------------------------------------------------------------------------- */
static int list_threads(const struct hak_segment *seg, pid_t *ret, unsigned *ret_n)
{
	int fd = openat(seg->procfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	*ret_n = 0;
	if (!d) {
		if (fd >= 0)
			close(fd);
		return -ESRCH;
	}
	while (*ret_n < THREADS_MOST && (entry = readdir(d)))
		if (isdigit((unsigned char)entry->d_name[0]))
			ret[(*ret_n)++] = (pid_t)strtoul(entry->d_name, NULL, 10);
	closedir(d);
	return *ret_n ? 0 : -ESRCH;
}

static int try_threads(const struct hak_segment *seg, uint64_t until_ns, char why[HAK_WHY_TEXT])
{
	pid_t tids[THREADS_MOST];
	unsigned n;
	int r = list_threads(seg, tids, &n);

	if (r < 0)
		return refuse(why, r, "the process ended");
	r = -EAGAIN;
	for (unsigned i = 0; r == -EAGAIN && i < n; i++) {
		if (i && hak_monotonic_ns() > until_ns)
			break;
		r = check_thread(seg, tids[i], why);
		if (r == 0)
			r = judge(attempt(seg, tids[i], until_ns), tids[i], why);
	}
	return r;
}

int ctl_attach(const struct hak_segment *seg, uint64_t until_ns, char why[HAK_WHY_TEXT])
{
	int r;

	if (!seg->header.call)
		return refuse(why, -EOPNOTSUPP, "its hakmem has no code for --attach");
	for (;;) {
		r = try_threads(seg, until_ns, why);
		if (r != -EAGAIN || hak_monotonic_ns() > until_ns)
			return r;
		poll(NULL, 0, AGAIN_MS);
	}
}
