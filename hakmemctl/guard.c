/* SPDX-License-Identifier: MIT */
/*
 * stderr, made fit for a terminal. What enters is escaped where it enters, but an argument has to
 * stay as it was typed, as files are opened and processes found by it, and libraries and getopt
 * complain by themselves: so everything that is written to stderr is escaped once more. Only the
 * end of a piece may be the end of a line: a line end amid one is of a text that was put in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/escape.h"
#include "hakmemctl/ctl.h"

static void write_all(const char *text, size_t n)
{
	while (n) {
		ssize_t done = write(STDERR_FILENO, text, n);

		if (done < 0 && errno != EINTR)
			return;
		text += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
}

/* An error of stderr itself cannot be reported. */
static ssize_t put(void *unused, const char *text, size_t n)
{
	bool ends = n && text[n - 1] == '\n';
	char *escaped = malloc(4 * n + 2);
	size_t used;

	(void)unused;
	if (!escaped)
		return (ssize_t)n;
	used = hak_escape_bytes(text, n - ends, escaped, 4 * n + 1);
	if (ends)
		escaped[used++] = '\n';
	write_all(escaped, used);
	free(escaped);
	return (ssize_t)n;
}

void ctl_guard_stderr(void)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = put });

	if (!f)
		return;
	/* One printf() is one piece then. */
	setvbuf(f, NULL, _IONBF, 0);
	stderr = f;
}
