/* SPDX-License-Identifier: MIT */
/*
 * Strings of strangers, made fit for a terminal, a log or JSON: process names, paths, and whatever
 * a segment claims.
 */
#ifndef HAK_ESCAPE_H
#define HAK_ESCAPE_H

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

/* One byte as XML text or as part of an attribute's value. */
void hak_put_xml(FILE *to, char c);

#endif
