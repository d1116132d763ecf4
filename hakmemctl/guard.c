/* SPDX-License-Identifier: MIT */
/*
 * Escapes all output on standard error for a terminal. Foreign text is escaped where it enters, but
 * an argument must stay as it was typed, because it names files and processes, and libraries and
 * getopt print messages of their own. Everything that is written to standard error is therefore
 * escaped once more. Only the end of a message may be the end of a line. A line end inside a
 * message is part of an inserted text, and is escaped.
 *
 * Only the writer knows where a message ends, because stdio passes a message on in pieces that may
 * end anywhere. ctl_complain() takes a whole message, and the output of getopt is gathered until
 * getopt returns. Other writers print no foreign text: a line of theirs is passed on when it is
 * complete, and the rest with the next message or at exit.
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

/* Output of other writers that was not passed on yet. */
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

/* -- progress ---------------------------------------------------------------------------------- */
#define PROGRESS_NS 100000000u

/* The line of progress that stands on the terminal. */
static struct {
	const char *what;
	size_t columns; /* 0: none */
	uint64_t shown_ns;
} progress;

void ctl_progress(const char *what, uint64_t done_ns, uint64_t whole_ns)
{
	char line[80 + 2 * HAK_VALUE_TEXT], at[HAK_VALUE_TEXT], whole[HAK_VALUE_TEXT];
	uint64_t now = hak_monotonic_ns();
	size_t columns;

	if (what == progress.what && now - progress.shown_ns < PROGRESS_NS)
		return;
	if (!isatty(STDERR_FILENO))
		return;
	hak_ns_format(done_ns, at);
	hak_ns_format(whole_ns, whole);
	if (whole_ns)
		snprintf(line, sizeof(line), "\rhakmemctl: %.60s: %s of %s", what, at, whole);
	else
		snprintf(line, sizeof(line), "\rhakmemctl: %.60s", what);
	columns = strlen(line);
	write_all(line, columns);
	for (size_t i = columns; i < progress.columns; i++)
		write_all(" ", 1);
	if (progress.columns < columns)
		progress.columns = columns;
	progress.what = what;
	progress.shown_ns = now;
}

void ctl_progress_end(void)
{
	if (!progress.columns)
		return;
	write_all("\r", 1);
	for (size_t i = 1; i < progress.columns; i++)
		write_all(" ", 1);
	write_all("\r", 1);
	progress.columns = 0;
	progress.what = NULL;
}

/* -- messages ---------------------------------------------------------------------------------- */
/* Where messages go instead; NULL: to standard error. */
static char *kept;
static size_t kept_bytes;

void ctl_hold_messages(char *text, size_t bytes)
{
	kept = text;
	kept_bytes = bytes;
}

/* Keeps the last message, without the name of this program and its line end. */
static void keep(const char *text, size_t n)
{
	static const char name[] = "hakmemctl: ";
	size_t skip = n > strlen(name) && memcmp(text, name, strlen(name)) == 0 ? strlen(name) : 0;

	n -= n && text[n - 1] == '\n';
	snprintf(kept, kept_bytes, "%.*s", (int)(n - skip < kept_bytes ? n - skip : kept_bytes),
		 text + skip);
}

/* Writes one message. An error of standard error itself cannot be reported. */
static void pass(const char *text, size_t n)
{
	bool ends = n && text[n - 1] == '\n';
	char *escaped;
	size_t used;

	if (kept) {
		if (n)
			keep(text, n);
		return;
	}
	escaped = malloc(4 * n + 2);
	if (!escaped)
		return;
	ctl_progress_end();
	used = hak_escape_bytes(text, n - ends, escaped, 4 * n + 1);
	if (ends)
		escaped[used++] = '\n';
	write_all(escaped, used);
	free(escaped);
}

static void pass_held(void)
{
	if (held.n)
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

/* A program that ends while messages are kept says the last one now. */
static void pass_all(void)
{
	char *text = kept;

	kept = NULL;
	if (text && *text)
		ctl_complain("hakmemctl: %s\n", text);
	pass_held();
}

void ctl_guard_stderr(void)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = put });

	if (!f)
		return;
	setvbuf(f, NULL, _IONBF, 0);
	stderr = f;
	atexit(pass_all);
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
