// SPDX-License-Identifier: MIT
/*
 * hakmemd/program.c on processes that stay, execute another program, execute the same one again,
 * and end; with a descriptor and without.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hakmemd/program.h"
#include "tests/check.h"

static int to, from; /* the child's standard input and output, this side's ends */

/* Prints that it is there. Each letter makes it execute itself or another program, or end. */
static int child(void)
{
	char c;

	if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &c, 1) != 1)
		return 1;
	if (c == 's')
		execl("/proc/self/exe", "program", "child", NULL);
	if (c == 'o')
		execl("/bin/sh", "sh", "-c", "printf r; read -r line", NULL);
	return c != 'e';
}

static void wait_ready(void)
{
	char c = 0;

	if (read(from, &c, 1) != 1 || c != 'r') {
		puts("the child is not ready");
		exit(1);
	}
}

static pid_t begin(char path[32])
{
	int in[2], out[2];
	pid_t pid;

	if (pipe(in) < 0 || pipe(out) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[0]), close(in[1]), close(out[0]), close(out[1]);
		exit(child());
	}
	close(in[0]), close(out[1]);
	to = in[1], from = out[0];
	snprintf(path, 32, "/proc/%d", (int)pid);
	wait_ready();
	return pid;
}

static void tell(char letter)
{
	if (write(to, &letter, 1) != 1)
		exit(1);
}

static void check_watched(void)
{
	struct hak_program program, second;
	char path[32];
	pid_t pid = begin(path);

	EXPECT(hak_program_open(-1, path, &program) == 0 && program.fd >= 0, "%s opens", path);
	EXPECT(hak_program_runs(&program), "it waits");
	EXPECT(hak_program_runs(&program), "it still waits");
	tell('s');
	wait_ready();
	EXPECT(!hak_program_runs(&program), "it executed itself");
	EXPECT(hak_program_open(-1, path, &second) == 0 && second.fd >= 0, "%s opens again", path);
	EXPECT(hak_program_runs(&second), "it waits again");
	tell('o');
	wait_ready();
	EXPECT(!hak_program_runs(&second), "it executed a shell");
	hak_program_close(&second);
	EXPECT(second.fd == -1, "closed");
	EXPECT(hak_program_open(-1, path, &second) == 0, "%s opens once more", path);
	tell('\n');
	EXPECT(waitpid(pid, NULL, 0) == pid, "it ends");
	EXPECT(!hak_program_runs(&second), "it ended");
	hak_program_close(&program);
	hak_program_close(&second);
	close(to), close(from);
	EXPECT(hak_program_open(-1, path, &second) == -ENOENT, "%s is gone", path);
}

/* Without descriptors to spare: by the executable. */
static void check_unwatched(void)
{
	struct rlimit limit, few;
	struct hak_program program;
	char path[32];
	pid_t pid = begin(path);
	int next = dup(0);

	close(next);
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = (rlim_t)(2 * next);
	setrlimit(RLIMIT_NOFILE, &few);
	EXPECT(hak_program_open(-1, path, &program) == 0, "%s opens", path);
	EXPECT(program.fd == -1, "half of %d descriptors stay free, not %d", 2 * next, program.fd);
	EXPECT(dup(0) == next && close(next) == 0, "none was left open");
	setrlimit(RLIMIT_NOFILE, &limit);
	EXPECT(hak_program_same_exe(-1, path, &program), "it waits");
	tell('o');
	wait_ready();
	EXPECT(!hak_program_same_exe(-1, path, &program), "it executed a shell");
	tell('\n');
	EXPECT(waitpid(pid, NULL, 0) == pid, "it ends");
	close(to), close(from);
}

/* A process that is not reaped yet exists, and has no memory. */
static void check_zombie(void)
{
	struct hak_program program;
	char path[32];
	siginfo_t info;
	pid_t pid = begin(path);

	tell('e');
	EXPECT(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0, "it ends");
	EXPECT(hak_program_open(-1, path, &program) == 0 && program.fd == -1, "a zombie");
	EXPECT(hak_program_same_exe(-1, path, &program), "it has no executable");
	EXPECT(waitpid(pid, NULL, 0) == pid, "it is reaped");
	close(to), close(from);
}

static const struct tcase cases[] = {
	{ "watched", check_watched },
	{ "unwatched", check_unwatched },
	{ "zombie", check_zombie },
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "child") == 0)
		return child();
	if (access("/proc/self/pagemap", R_OK) < 0)
		return skip_all("no /proc/self/pagemap (CONFIG_PROC_PAGE_MONITOR)");
	return RUN(argc, argv, cases);
}
