/* SPDX-License-Identifier: MIT */
/*
 * Text without stdio and without allocation. The functions put lines together in a buffer of the
 * caller, and convert values of tunables from and to the text that users type. The grammar of
 * values is that of control/abi/grammar.h.
 *
 * All are pure functions of their arguments, callable before constructors and in signal handlers.
 */
#ifndef HAK_TEXT_H
#define HAK_TEXT_H

#include "control/abi/abi.h"
#include "hak.h"

/* `at` counts all bytes put, also those beyond `max`. The buffer is terminated if max > 0. */
struct hak_text {
	char *buf;
	size_t max, at;
};

void hak_text_put(struct hak_text *t, const char *s);
void hak_text_put_number(struct hak_text *t, uint64_t n);
/* Puts '?' for bytes that are not printable ASCII, since names and values may come from outside. */
void hak_text_put_escaped(struct hak_text *t, const char *s, size_t bytes);
/* Writes the text to stderr by one write, cut off at `max`, with a newline added. */
void hak_text_say(struct hak_text *t);

/* Returns 0; -EINVAL: not a value of this tunable's type; -ERANGE: outside of min and max. */
int hak_text_parse(const struct hak_tunable_desc *d, const char *s, size_t bytes, uint64_t *ret);
/* Puts the text that parses back to `value`. */
void hak_text_put_value(struct hak_text *t, const struct hak_tunable_desc *d, uint64_t value);
/* Puts what the tunable accepts: "on or off", "one of a|b", "a size from 0 to 8G". */
void hak_text_put_accepted(struct hak_text *t, const struct hak_tunable_desc *d);

#endif
