// SPDX-License-Identifier: MIT
/*
 * Holds a program at its very end, so that its segment can still be read. The destructor of this
 * library, preloaded with the one under test, writes the process id to $HAK_HOLD/pid and waits
 * until $HAK_HOLD/go can be read. Only the first process is held whose command line has
 * $HAK_HOLD_FOR in it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int wanted(const char *part)
{
	char line[8192];
	ssize_t n, i;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	for (i = 0; i < n; i++)
		if (!line[i])
			line[i] = ' ';
	line[n] = '\0';
	return strstr(line, part) != NULL;
}

static char dir[4096];
static int chosen;

/* Leaves the process id where the test looks, whole at once, unless another process was first. */
static int announce(void)
{
	char draft[4200], final[4200], text[32];
	int fd, n, linked;

	snprintf(draft, sizeof(draft), "%s/pid.%d", dir, (int)getpid());
	snprintf(final, sizeof(final), "%s/pid", dir);
	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return 0;
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	linked = write(fd, text, n) == n && link(draft, final) == 0;
	close(fd);
	unlink(draft);
	return linked;
}

/* At its end the program may have changed its environment and its title. */
__attribute__((constructor)) static void choose(void)
{
	const char *where = getenv("HAK_HOLD"), *part = getenv("HAK_HOLD_FOR");

	if (!where || !part || !wanted(part))
		return;
	snprintf(dir, sizeof(dir), "%s", where);
	chosen = 1;
}

__attribute__((destructor)) static void hold(void)
{
	char go[4200];
	int fd;

	if (!chosen || !announce())
		return;
	snprintf(go, sizeof(go), "%s/go", dir);
	fd = open(go, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while (read(fd, go, sizeof(go)) > 0)
		;
	close(fd);
}
