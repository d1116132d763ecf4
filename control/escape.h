/* SPDX-License-Identifier: MIT */
/*
 * Text that did not come from this program, made fit for a terminal, a log or JSON: names of
 * processes, paths, what a segment holds, what arrives by a bus.
 *
 * Such text is escaped where it enters, and everything behind that takes it for printable. What has
 * to stay as it is, since a file is opened or a name compared by it, is escaped where it is shown;
 * its declaration says "raw". hakmemctl's stderr escapes once more whatever is written to it.
 */
#ifndef HAK_ESCAPE_H
#define HAK_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Copies `text` with everything but printable ASCII and well-formed printable UTF-8 written as
 * \xNN. What is printable stays as it is, so that a name with a backslash, as systemd-escape(1)
 * makes them, is the same everywhere, and what was escaped once is not changed by another time. At
 * most `bytes` with the NUL, cut between characters; four bytes for each of `text` are always
 * enough.
 */
void hak_escape(const char *text, char *out, size_t bytes);

/* The same of `n` bytes, among which may be NULs; the length of what it wrote. */
size_t hak_escape_bytes(const char *text, size_t n, char *out, size_t room);

/* The same in the `bytes` that the text is in: what does not fit any more is cut. */
#define HAK_ESCAPE_MAX 1024 /* bytes; more are cut as well */
void hak_escape_in_place(char *text, size_t bytes);

/* True if hak_escape() would change nothing. */
bool hak_is_printable(const char *text);

/* The same into a file for text of many lines: line ends and tabs stay. */
void hak_put_lines(FILE *to, const char *text, size_t n);

/* One byte as XML text or as part of an attribute's value. */
void hak_put_xml(FILE *to, char c);

#endif
