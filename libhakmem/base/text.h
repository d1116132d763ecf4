/* SPDX-License-Identifier: MIT */
/*
 * Text without stdio and without allocation: lines put together in a buffer of the caller's, and
 * the values of tunables from and to what people type. The grammar of values is that of
 * control/value.h, which cannot be linked here because it needs libc.
 *
 * Pure functions of their arguments; callable before constructors and in signal handlers.
 */
#ifndef HAK_TEXT_H
#define HAK_TEXT_H

#include "control/abi/abi.h"
#include "hak.h"

/*
 * `at` counts what was asked for, also beyond `max`; the buffer is terminated as long as max >
 * 0.
 */
struct hak_text {
	char *buf;
	size_t max, at;
};

void hak_text_put(struct hak_text *t, const char *s);
void hak_text_put_number(struct hak_text *t, uint64_t n);
/* Bytes that are not printable ASCII as '?': names and values of strangers. */
void hak_text_put_escaped(struct hak_text *t, const char *s, size_t bytes);
/* To stderr by one write, cut off at `max`, a newline added. */
void hak_text_say(struct hak_text *t);

/* 0; -EINVAL (not a value of this tunable's type), -ERANGE (outside of min and max). */
int hak_text_parse(const struct hak_tunable_desc *d, const char *s, size_t bytes, uint64_t *ret);
/* The text that parses back to `value`. */
void hak_text_put_value(struct hak_text *t, const struct hak_tunable_desc *d, uint64_t value);
/* "on or off", "one of a|b", "a size from 0 to 8G". */
void hak_text_put_accepted(struct hak_text *t, const struct hak_tunable_desc *d);

#endif
