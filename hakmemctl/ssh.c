/* SPDX-License-Identifier: MIT */
/*
 * The system bus of another host, by ssh (-H). The standard error of ssh contains text that the
 * other host chooses, so a child of this program escapes it and passes it on. ssh asks for
 * passwords on the terminal itself, which does not pass through here.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"

#define WAIT_MS	  2000
#define WORDS_MAX 65536u /* the number of bytes passed on */

static void pass_on(int from)
{
	FILE *f = fdopen(from, "r");
	char piece[1024];
	size_t bytes = 0;

	signal(SIGPIPE, SIG_DFL);
	/* The rest is read and dropped, because ssh must not wait for the reader. */
	while (f && fgets(piece, sizeof(piece), f)) {
		if (bytes <= WORDS_MAX && (bytes += strlen(piece)) > WORDS_MAX)
			ctl_complain("hakmemctl: ssh has more to say, which is left out\n");
		else if (bytes <= WORDS_MAX)
			ctl_complain("%s", piece);
	}
	_exit(0);
}

/* A connection that ssh keeps for other commands keeps the pipe open. The child is then not
 * awaited. */
void ctl_ssh_end(struct ctl *ctl)
{
	for (int ms = 0; ctl->ssh_words > 0 && ms < WAIT_MS; ms += 10) {
		pid_t ended = waitpid(ctl->ssh_words, NULL, WNOHANG);

		if (ended == ctl->ssh_words || (ended < 0 && errno != EINTR))
			break;
		usleep(10000);
	}
	ctl->ssh_words = 0;
}

/* Standard error is the pipe only while sd-bus starts ssh. */
int ctl_ssh_open(struct ctl *ctl)
{
	int fds[2], own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), r;

	if (own < 0)
		return -errno;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		r = -errno;
		close(own);
		return r;
	}
	fflush(stdout);
	ctl->ssh_words = fork();
	if (ctl->ssh_words == 0) {
		close(fds[1]);
		pass_on(fds[0]);
	}
	r = ctl->ssh_words < 0 || dup2(fds[1], STDERR_FILENO) < 0 ? -errno : 0;
	close(fds[0]);
	close(fds[1]);
	if (r == 0)
		r = sd_bus_open_system_remote(&ctl->bus, ctl->host);
	dup2(own, STDERR_FILENO);
	close(own);
	return r;
}
