/* SPDX-License-Identifier: MIT */
/*
 * Starts pkttyagent(1), so that polkit can ask for a password on the terminal, as systemctl does.
 * The agent of a desktop takes precedence (--fallback).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"

static void become_agent(pid_t parent, int ready)
{
	char pid[16], fd[16];

	snprintf(pid, sizeof(pid), "%d", (int)parent);
	snprintf(fd, sizeof(fd), "%d", ready);
	fcntl(ready, F_SETFD, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		execlp("pkttyagent", "pkttyagent", "--process", pid, "--notify-fd", fd,
		       "--fallback", NULL);
	_exit(127);
}

void ctl_agent_begin(struct ctl *ctl)
{
	pid_t self = getpid();
	int fds[2];
	ssize_t n;

	if (ctl->agent || ctl->host || ctl->machine || !isatty(STDIN_FILENO) ||
	    !isatty(STDERR_FILENO))
		return;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	ctl->agent = fork();
	if (ctl->agent == 0)
		become_agent(self, fds[1]);
	close(fds[1]);
	/* The agent closes its end of the pipe when it is ready. If it ends, the pipe is closed as
	 * well. */
	do
		n = read(fds[0], &(char){ 0 }, 1);
	while (n > 0 || (n < 0 && errno == EINTR));
	close(fds[0]);
}

void ctl_agent_end(struct ctl *ctl)
{
	if (ctl->agent <= 0)
		return;
	kill(ctl->agent, SIGTERM);
	kill(ctl->agent, SIGCONT);
	while (waitpid(ctl->agent, NULL, 0) < 0 && errno == EINTR)
		;
	ctl->agent = 0;
}
