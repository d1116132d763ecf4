/* SPDX-License-Identifier: MIT */
/*
 * A thread is not borrowed in another program than the one whose segment was opened. The segment is
 * forged (fake.h), and the program that its process executes is cat, which may as well be one with
 * more rights.
 */
#include <fcntl.h>
#include <stdint.h>

#include "control/segment.h"
#include "hakmemctl/borrow.h"
#include "tests/check.h"
#include "tests/control/fake.h"

#define CALL_NS	 1000000000ull /* for code that does not come to an end */
#define UNTIL_NS 60000000000ull

struct process {
	pid_t pid;
	int to, from;
	struct hak_segment *seg;
};

static void execute(void)
{
	execlp("cat", "cat", (char *)NULL);
	_exit(1);
}

/* In the process: reports, and executes cat when there is a byte. */
static void play(uint64_t call)
{
	struct fake f;
	char byte;

	fake_create(&f);
	f.header->call = call;
	f.header->code = (uintptr_t)execute;
	fake_seal(&f);
	if (write(STDOUT_FILENO, "r", 1) == 1 && read(STDIN_FILENO, &byte, 1) == 1)
		execute();
	_exit(1);
}

static void begin(struct process *p, uint64_t call)
{
	char why[HAK_WHY_TEXT], byte;
	int in[2], out[2];

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	p->pid = fork();
	CHECK(p->pid >= 0);
	if (p->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		play(call);
	}
	close(in[0]);
	close(out[1]);
	p->to = in[1], p->from = out[0];
	CHECK(read(p->from, &byte, 1) == 1);
	CHECK(hak_segment_open(p->pid, 0, &p->seg, why) == 0, "%s", why);
}

/* Borrows the thread in a process that does nothing else. Returns the error. */
static int borrow(const struct process *p, uint64_t ns)
{
	pid_t child = fork();
	int status, r;

	if (child == 0) {
		r = ctl_borrow(p->seg, p->pid, hak_monotonic_ns() + ns);
		if (r == -ENOSYS)
			SKIP("not for this architecture");
		_exit(r < 0 && r > -CASE_SKIP ? -r : 0);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status), "it was killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

/* The process is cat, and as it was: it copies, and ends well at the end of its input. */
static void check_cat(const struct process *p)
{
	char byte = 0;
	int status;

	EXPECT(write(p->to, "b", 1) == 1 && read(p->from, &byte, 1) == 1 && byte == 'b',
	       "cat does not copy");
	close(p->to);
	CHECK(waitpid(p->pid, &status, 0) == p->pid);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "its status is %#x", status);
	hak_segment_close(p->seg);
}

/* A program is executed after the segment was opened, and before the thread is stopped. */
static void executed_before(void)
{
	struct process p;
	char byte;
	int r;

	begin(&p, (uintptr_t)execute);
	CHECK(write(p.to, "xa", 2) == 2);
	CHECK(read(p.from, &byte, 1) == 1 && byte == 'a');
	r = borrow(&p, UNTIL_NS);
	EXPECT(r == ESRCH, "%s", strerror(r));
	check_cat(&p);
}

/* The code itself executes a program, whose system calls are not the code's. */
static void executed_by_the_code(void)
{
	struct process p;
	int r;

	begin(&p, (uintptr_t)execute);
	r = borrow(&p, CALL_NS);
	EXPECT(r == ESRCH, "%s", strerror(r));
	check_cat(&p);
}

static void code_elsewhere(void)
{
	struct process p;
	int r;

	begin(&p, (uintptr_t)getpid);
	r = borrow(&p, UNTIL_NS);
	EXPECT(r == EBADMSG, "%s", strerror(r));
	CHECK(write(p.to, "x", 1) == 1);
	check_cat(&p);
}

static const struct tcase cases[] = {
	{ "executed_before", executed_before },
	{ "executed_by_the_code", executed_by_the_code },
	{ "code_elsewhere", code_elsewhere },
};

CASES(cases)
