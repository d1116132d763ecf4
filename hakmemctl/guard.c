/* SPDX-License-Identifier: MIT */
/*
 * stderr, made fit for a terminal. What enters is escaped where it enters, but an argument has to
 * stay as it was typed, as files are opened and processes found by it, and libraries and getopt
 * complain by themselves: so everything that is written to stderr is escaped once more. Only the
 * end of a message may be the end of a line: a line end amid one is of a text that was put in.
 *
 * Where a message ends its writer alone knows: stdio hands it on in pieces as it likes, which can
 * end anywhere in the text. ctl_complain() takes a message as a whole, and what getopt says is
 * gathered until it returns. Of others, who print no text of a stranger's, what is written last
 * tells: a line that has ended is passed on, and the rest at the next message or at exit.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/escape.h"
#include "hakmemctl/ctl.h"

/* What others have written, to be passed on. */
static struct {
	char *text;
	size_t n;
	bool gathering;
} held;

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

/* One message. An error of stderr itself cannot be reported. */
static void pass(const char *text, size_t n)
{
	bool ends = n && text[n - 1] == '\n';
	char *escaped = malloc(4 * n + 2);
	size_t used;

	if (!escaped)
		return;
	used = hak_escape_bytes(text, n - ends, escaped, 4 * n + 1);
	if (ends)
		escaped[used++] = '\n';
	write_all(escaped, used);
	free(escaped);
}

static void pass_held(void)
{
	pass(held.text, held.n);
	held.n = 0;
}

static ssize_t put(void *unused, const char *text, size_t n)
{
	char *more = realloc(held.text, held.n + n + 1);

	(void)unused;
	if (!more)
		return (ssize_t)n;
	held.text = more;
	memcpy(held.text + held.n, text, n);
	held.n += n;
	if (!held.gathering && n && text[n - 1] == '\n')
		pass_held();
	return (ssize_t)n;
}

void ctl_guard_stderr(void)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = put });

	if (!f)
		return;
	setvbuf(f, NULL, _IONBF, 0);
	stderr = f;
	atexit(pass_held);
}

void ctl_gather_stderr(bool gather)
{
	held.gathering = gather;
	if (!gather)
		pass_held();
}

void ctl_complain_v(const char *format, va_list args)
{
	char *text;
	int n = vasprintf(&text, format, args);

	pass_held();
	if (n < 0)
		return;
	pass(text, (size_t)n);
	free(text);
}

void ctl_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ctl_complain_v(format, args);
	va_end(args);
}
