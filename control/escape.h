/* SPDX-License-Identifier: MIT */
/*
 * Makes text that did not come from this program fit for a terminal, a log or JSON: names of
 * processes, paths, the content of a segment, messages of a bus.
 *
 * Such text is escaped where it enters, and all later code takes it for printable. Text that must
 * stay unchanged, because a file is opened or a name compared by it, is escaped where it is shown;
 * its declaration says "raw". hakmemctl's stderr escapes all output once more.
 */
#ifndef HAK_ESCAPE_H
#define HAK_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Copies `text` and writes all but printable ASCII and well-formed printable UTF-8 as \xNN.
 * Printable text stays unchanged, so a name with a backslash, as systemd-escape(1) makes them, is
 * the same everywhere, and escaping twice changes nothing. Writes at most `bytes` with the NUL, cut
 * between characters; four bytes for each byte of `text` are always enough.
 */
void hak_escape(const char *text, char *out, size_t bytes);

/* Does the same for `n` bytes, among which may be NULs; returns the length of the output. */
size_t hak_escape_bytes(const char *text, size_t n, char *out, size_t room);

/* Does the same in place, in `bytes` bytes. Text that does not fit any more is cut. */
#define HAK_ESCAPE_MAX 1024 /* bytes; longer text is cut as well */
void hak_escape_in_place(char *text, size_t bytes);

/* Returns true if hak_escape() would change nothing. */
bool hak_is_printable(const char *text);

/* Writes escaped text of many lines to a file; line ends and tabs stay. */
void hak_put_lines(FILE *to, const char *text, size_t n);

/* Writes one byte as XML text or as part of an attribute's value. */
void hak_put_xml(FILE *to, char c);

#endif
