/* SPDX-License-Identifier: MIT */
/*
 * The reader and its keeper, see reader.h. One socket joins program and keeper, another one program
 * and reader. All messages have a fixed size, apart from the data behind an answer. Neither child
 * allocates memory, or has a descriptor besides its socket and that of the current request.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/missing.h"
#include "control/proc.h"
#include "control/reader.h"
#include "control/segment.h"

/* How long a reader may sleep, and how often in a row it may be found running instead. */
#define SLEEP_MS       100
#define SLEEP_NAMED_MS 2000
#define RUNS	       10u
/* Shorter sleeps are a processor's that wakes up. */
#define SLEEP_LEAST_NS 500000
/* The one at work, and those that were killed and are still in a system call. */
#define READERS 32u

enum op { OPEN, FIRST, MORE, AT, ADVISE };

struct request {
	enum op op;
	int flags;
	uint32_t bytes;
	uint64_t offset;
	char path[64];
	struct iovec part[HAK_READER_PARTS];
};

/* What an answer begins with. */
struct answer {
	int64_t result;
	int64_t ran_ns; /* on a processor, since the answer before */
};

struct wish {
	bool reader; /* a new reader replaces the one before; otherwise only the answer is wanted */
};

struct grant {
	pid_t reader;  /* or -errno */
	unsigned left; /* earlier readers that are not dead */
};

/* -- messages ---------------------------------------------------------------------------------- */
union rights {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* Sends a descriptor as well, unless it is -1. Returns 0 or -errno. */
static int send_message(int sock, struct iovec *part, unsigned parts, int fd)
{
	union rights rights = { .header = { .cmsg_level = SOL_SOCKET,
					    .cmsg_type = SCM_RIGHTS,
					    .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct msghdr message = { .msg_iov = part, .msg_iovlen = parts };
	ssize_t n;

	if (fd >= 0) {
		memcpy(CMSG_DATA(&rights.header), &fd, sizeof(fd));
		message.msg_control = &rights;
		message.msg_controllen = sizeof(rights.room);
	}
	do
		n = sendmsg(sock, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * *ret_fd is -1 if no descriptor came, -EMFILE if one did not fit in. Returns the bytes, or -errno.
 */
static ssize_t receive_message(int sock, struct iovec *part, unsigned parts, int *ret_fd)
{
	union rights rights;
	struct msghdr message = { .msg_iov = part,
				  .msg_iovlen = parts,
				  .msg_control = &rights,
				  .msg_controllen = sizeof(rights.room) };
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*ret_fd = -1;
	if (n < 0)
		return -errno;
	if (message.msg_flags & MSG_CTRUNC)
		*ret_fd = -EMFILE;
	c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return n;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* -- the reader -------------------------------------------------------------------------------- */
static char data[HAK_READER_BYTES];

/* The kernel returns one page at a time. */
static ssize_t fill(int file, size_t bytes)
{
	size_t have = 0;

	while (have < bytes) {
		ssize_t n = read(file, data + have, bytes - have);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static ssize_t result_of(ssize_t r)
{
	return r < 0 ? -errno : r;
}

/* Returns the result. *ret_fd is the descriptor that goes with it. */
static ssize_t serve(const struct request *q, int fd, int *file, int *ret_fd)
{
	const int dir = fd >= 0 ? fd : AT_FDCWD;
	ssize_t r;

	switch (q->op) {
	case OPEN:
		*ret_fd = openat(dir, q->path, q->flags | O_CLOEXEC);
		return *ret_fd < 0 ? -errno : 0;
	case FIRST:
		drop(file);
		*file = openat(dir, q->path, O_RDONLY | O_CLOEXEC);
		if (*file < 0)
			return -errno;
		__attribute__((fallthrough));
	case MORE:
		r = *file < 0 ? -EBADF : fill(*file, q->bytes);
		if (r < (ssize_t)q->bytes)
			drop(file);
		return r;
	case AT:
		return result_of(pread(fd, data, q->bytes, (off_t)q->offset));
	case ADVISE:
		return result_of(
			syscall(SYS_process_madvise, fd, q->part, (size_t)q->bytes, q->flags, 0));
	}
	return -EINVAL;
}

static int64_t processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void read_for(int sock)
{
	int64_t told_ns = processor_ns();
	int file = -1, fd;

	for (;;) {
		struct request q;
		struct iovec in = { &q, sizeof(q) };
		struct answer answer;
		struct iovec out[2] = { { &answer, sizeof(answer) }, { data, 0 } };
		int answer_fd = -1;

		if (receive_message(sock, &in, 1, &fd) != sizeof(q))
			return;
		answer.result = fd == -EMFILE ? -EMFILE : serve(&q, fd, &file, &answer_fd);
		if (answer.result > 0 && q.op != ADVISE)
			out[1].iov_len = (size_t)answer.result;
		answer.ran_ns = processor_ns() - told_ns;
		told_ns += answer.ran_ns;
		if (send_message(sock, out, 2, answer_fd) < 0)
			return;
		drop(&answer_fd);
		drop(&fd);
	}
}

/* -- the keeper -------------------------------------------------------------------------------- */
/* A new process keeps its socket, as 0, and no other descriptor of its parent. */
static void leave_parent(int sock)
{
	if (sock != 0)
		dup2(sock, 0);
	syscall(SYS_close_range, 1, ~0u, 0);
	prctl(PR_SET_NAME, "hakmem-reader");
}

/* Returns the parent's end of the socket. *ret is the process, or -errno. */
static int fork_with_socket(void (*run)(int sock), pid_t *ret)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		*ret = -errno;
		return -1;
	}
	*ret = fork();
	if (*ret == 0) {
		leave_parent(pair[1]);
		run(0);
		_exit(0);
	}
	if (*ret < 0) {
		*ret = -errno;
		drop(&pair[0]);
	}
	close(pair[1]);
	return pair[0];
}

static void read_until_killed(int sock)
{
	/*
	 * Also takes effect within a system call, which the end of the socket does not interrupt.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	read_for(sock);
}

static void keep(int sock)
{
	pid_t reader[READERS];
	unsigned n = 0;
	sigset_t all;

	/*
	 * Only the end of the program ends this process. Signals of a terminal are meant for the
	 * program.
	 */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;) {
		struct wish wish;
		struct iovec in = { &wish, sizeof(wish) };
		struct grant grant = { .reader = -EAGAIN };
		struct iovec out = { &grant, sizeof(grant) };
		int fd;

		if (receive_message(sock, &in, 1, &fd) != sizeof(wish))
			return;
		for (unsigned i = 0; wish.reader && i < n; i++)
			kill(reader[i], SIGKILL);
		for (unsigned i = n; i-- > 0;)
			if (waitpid(reader[i], NULL, WNOHANG) != 0)
				reader[i] = reader[--n];
		grant.left = n;
		fd = -1;
		if (wish.reader && n < READERS) {
			fd = fork_with_socket(read_until_killed, &grant.reader);
			if (fd >= 0)
				reader[n++] = grant.reader;
		}
		if (send_message(sock, &out, 1, fd) < 0)
			return;
		drop(&fd);
	}
}

/* -- the program ------------------------------------------------------------------------------- */
static struct {
	pid_t program, keeper;
	int keeper_sock;
	int sock;   /* to the reader */
	int procfd; /* the reader's folder in /proc */
	int pidfd;
	int schedstat;	    /* of that */
	bool given_up;	    /* a reader that was given up may still be in a system call */
	uint64_t waited_ns; /* for a processor, as of the last answer */
	int64_t slept_ns;   /* in the file that is read */
	/* Readers that were given up, and the accounts for which they worked. */
	struct stuck {
		bool is_set;
		int pidfd;
		uid_t account;
	} stuck[READERS];
} r_ = { .keeper_sock = -1, .sock = -1, .procfd = -1, .pidfd = -1, .schedstat = -1 };

static void drop_reader(void)
{
	drop(&r_.sock);
	drop(&r_.procfd);
	drop(&r_.pidfd);
	drop(&r_.schedstat);
}

/* A child of the program needs a reader of its own: answers for one would reach the other. */
static void note_fork(void)
{
	if (r_.program == getpid())
		return;
	r_.program = getpid();
	drop_reader();
	drop(&r_.keeper_sock);
	r_.given_up = false;
}

static int start_keeper(void)
{
	sigset_t all, before;
	pid_t pid;

	if (r_.keeper_sock >= 0)
		return 0;
	/* No signal handler of the program runs in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	r_.keeper_sock = fork_with_socket(keep, &pid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	r_.keeper = pid;
	return r_.keeper_sock < 0 ? (int)pid : 0;
}

/* Asks the keeper, or a new keeper if the old one is gone. */
static int ask_keeper(bool reader, struct grant *ret, int *ret_fd)
{
	struct wish wish = { .reader = reader };
	struct iovec out = { &wish, sizeof(wish) }, in = { ret, sizeof(*ret) };
	int r = -EPIPE;

	for (unsigned i = 0; i < 2; i++) {
		r = start_keeper();
		if (r < 0)
			return r;
		r = send_message(r_.keeper_sock, &out, 1, -1);
		if (r == 0 && receive_message(r_.keeper_sock, &in, 1, ret_fd) == sizeof(*ret))
			return 0;
		drop(&r_.keeper_sock);
		waitpid(r_.keeper, NULL, 0);
	}
	return r < 0 ? r : -EPIPE;
}

/* So long the reader waited for a processor, since it began. Without CONFIG_SCHED_INFO the time is
 * unknown, and counts as sleep. */
static uint64_t read_waited(void)
{
	char text[80];
	ssize_t n = r_.schedstat < 0 ? -1 : pread(r_.schedstat, text, sizeof(text) - 1, 0);
	unsigned long long waited;

	if (n <= 0)
		return r_.waited_ns;
	text[n] = '\0';
	return sscanf(text, "%*u %llu", &waited) == 1 ? waited : r_.waited_ns;
}

static int start_reader(void)
{
	struct grant grant;
	char path[32];
	int r, fd;

	if (r_.sock >= 0)
		return 0;
	r = ask_keeper(true, &grant, &fd);
	if (r < 0)
		return r;
	if (grant.reader < 0 || fd < 0) {
		drop(&fd);
		/* All of them are in system calls that cannot be killed. */
		if (grant.left == READERS)
			return -ETIME;
		return grant.reader < 0 ? (int)grant.reader : -EMFILE;
	}
	r_.sock = fd;
	snprintf(path, sizeof(path), "/proc/%d", (int)grant.reader);
	r_.procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r_.pidfd = (int)syscall(SYS_pidfd_open, grant.reader, 0);
	r_.schedstat = openat(r_.procfd, "schedstat", O_RDONLY | O_CLOEXEC);
	r_.waited_ns = 0;
	r_.waited_ns = read_waited();
	return 0;
}

static int64_t sleep_limit_ms(void)
{
	return hak_budget_is_set() ? SLEEP_MS : SLEEP_NAMED_MS;
}

/* Returns whether the reader answers within the limit. On a busy machine a reader that is found
 * running has slept for less. */
static bool answers(void)
{
	const int64_t limit_ms = sleep_limit_ms();
	char stat[HAK_STAT_BYTES];

	for (unsigned i = 0; i < RUNS; i++) {
		int64_t end_ms = (int64_t)(hak_monotonic_ns() / 1000000) + limit_ms, left_ms;
		struct pollfd p = { .fd = r_.sock, .events = POLLIN };
		int n;

		do {
			left_ms = end_ms - (int64_t)(hak_monotonic_ns() / 1000000);
			n = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
		} while (n < 0 && errno == EINTR);
		if (n != 0)
			return true;
		if (hak_proc_read(r_.procfd, "stat", stat, sizeof(stat)) <= 0 ||
		    hak_proc_state(stat) != 'R')
			return false;
	}
	return false;
}

/* Charges what happened since the program had slept for `before_ns`. On a busy machine both reader
 * and program wait for a processor. */
static void charge(int64_t before_ns, int64_t ran_ns)
{
	uint64_t waited = read_waited();
	int64_t took_ns = hak_slept_ns() - before_ns, waited_ns = (int64_t)(waited - r_.waited_ns);
	int64_t slept_ns = took_ns - ran_ns - waited_ns;

	r_.waited_ns = waited;
	if (slept_ns < SLEEP_LEAST_NS)
		slept_ns = 0;
	r_.slept_ns += slept_ns;
	hak_budget_charge(ran_ns + slept_ns, waited_ns);
}

static ssize_t exchange(const struct request *q, int fd, void *buf, size_t bytes, int *ret_fd)
{
	const int64_t before_ns = hak_slept_ns();
	struct answer answer;
	struct iovec out = { (void *)q, sizeof(*q) };
	struct iovec in[2] = { { &answer, sizeof(answer) }, { buf, bytes } };
	ssize_t n;
	int r = send_message(r_.sock, &out, 1, fd);

	if (r < 0)
		return r;
	if (!answers()) {
		r_.given_up = true;
		return -ETIME;
	}
	n = receive_message(r_.sock, in, 2, ret_fd);
	if (n < (ssize_t)sizeof(answer))
		return -EPIPE;
	charge(before_ns, answer.ran_ns);
	return (ssize_t)answer.result;
}

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return pidfd < 0 || poll(&p, 1, 0) != 0;
}

/* Returns whether a reader that was given up for the account at work still lives. Root's processes
 * belong to the machine and do not count. */
static bool is_stuck(void)
{
	bool found = false;
	uid_t account;

	if (!hak_share_account(&account) || account == 0)
		return false;
	for (struct stuck *s = r_.stuck; s < r_.stuck + READERS; s++) {
		if (s->is_set && has_ended(s->pidfd)) {
			drop(&s->pidfd);
			s->is_set = false;
		}
		found = found || (s->is_set && s->account == account);
	}
	return found;
}

static void note_stuck(void)
{
	uid_t account;

	if (!hak_share_account(&account))
		return;
	for (struct stuck *s = r_.stuck; s < r_.stuck + READERS; s++)
		if (!s->is_set) {
			*s = (struct stuck){ true, r_.pidfd, account };
			r_.pidfd = -1;
			return;
		}
}

/*
 * Returns the answer of the reader. A reader that does not answer is killed at once, before any
 * other request.
 */
static ssize_t ask(const struct request *q, int fd, void *buf, size_t bytes, int *ret_fd)
{
	uint64_t begun_ns = hak_monotonic_ns();
	int r, got = -1;
	ssize_t n;

	if (hak_budget_spent())
		return -ETIME;
	note_fork();
	if (is_stuck()) {
		hak_budget_give_up();
		return -ETIME;
	}
	r = start_reader();
	if (r < 0)
		return r;
	n = exchange(q, fd, buf, bytes, &got);
	if (n == -EPIPE) /* the reader was killed from outside */
		n = -ETIME;
	if (n == -ETIME) {
		note_stuck();
		drop_reader();
		hak_budget_charge((int64_t)(hak_monotonic_ns() - begun_ns), 0);
		hak_budget_give_up();
		start_reader();
	}
	if (ret_fd)
		*ret_fd = got;
	else
		drop(&got);
	return n;
}

static int set_path(struct request *q, const char *path)
{
	size_t n = strlen(path);

	if (n >= sizeof(q->path))
		return -ENAMETOOLONG;
	memcpy(q->path, path, n + 1);
	return 0;
}

int hak_reader_open(int dir, const char *path, int flags)
{
	struct request q = { .op = OPEN, .flags = flags };
	int r = set_path(&q, path), fd;

	if (r == 0)
		r = (int)ask(&q, dir, NULL, 0, &fd);
	if (r < 0)
		return r;
	return fd == -1 ? -EMFILE : fd;
}

static ssize_t read_file(struct request *q, int dir, void *buf, size_t bytes)
{
	q->bytes = bytes < HAK_READER_BYTES ? (uint32_t)bytes : HAK_READER_BYTES;
	return ask(q, dir, buf, q->bytes, NULL);
}

ssize_t hak_reader_first(int dir, const char *path, void *buf, size_t bytes)
{
	struct request q = { .op = FIRST };
	int r = set_path(&q, path);

	r_.slept_ns = 0;
	return r < 0 ? r : read_file(&q, dir, buf, bytes);
}

ssize_t hak_reader_more(void *buf, size_t bytes)
{
	struct request q = { .op = MORE };

	if (r_.slept_ns > sleep_limit_ms() * 1000000)
		return -ETIME;
	return read_file(&q, -1, buf, bytes);
}

ssize_t hak_reader_text(int dir, const char *path, char *buf, size_t bytes)
{
	ssize_t n = hak_reader_first(dir, path, buf, bytes - 1);

	buf[n < 0 ? 0 : n] = '\0';
	return n;
}

int hak_reader_stat(int procfd, unsigned field, uint64_t *ret)
{
	char text[HAK_STAT_BYTES];
	ssize_t n = hak_reader_text(procfd, "stat", text, sizeof(text));

	return n < 0 ? (int)n : hak_proc_field(text, field, ret);
}

char hak_reader_state(int procfd)
{
	char text[HAK_STAT_BYTES];

	return hak_reader_text(procfd, "stat", text, sizeof(text)) > 0 ? hak_proc_state(text)
								       : '\0';
}

ssize_t hak_reader_at(int fd, void *buf, size_t bytes, uint64_t offset)
{
	struct request q = { .op = AT, .offset = offset };

	return read_file(&q, fd, buf, bytes);
}

ssize_t hak_reader_advise(int pidfd, const struct iovec *part, unsigned parts, int advice)
{
	struct request q = { .op = ADVISE, .flags = advice, .bytes = parts };
	struct grant grant;
	int fd;

	if (parts > HAK_READER_PARTS)
		return -EINVAL;
	note_fork();
	if (r_.given_up && ask_keeper(false, &grant, &fd) == 0) {
		r_.given_up = grant.left > (r_.sock >= 0);
		if (r_.given_up)
			return -ETIME;
	}
	memcpy(q.part, part, parts * sizeof(*part));
	return ask(&q, pidfd, NULL, 0, NULL);
}
