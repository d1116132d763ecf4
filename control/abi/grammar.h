/* SPDX-License-Identifier: MIT */
/*
 * The grammar of values: numbers with units, switches, and names of choices, as people type them.
 * The library reads HAKMEM and hakmem_set() by it, the programs command lines and files.
 *
 * For: base/text.c of the library, control/value.c. Pure functions of their arguments. They call
 * nothing, because the library cannot call libc here. Parsing is exact: 128-bit integers, no
 * floating point, so that 17592186044416 and 0.1K mean what they say, and no locale.
 */
#ifndef HAK_GRAMMAR_H
#define HAK_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/abi/abi.h"

struct hak_suffix {
	char word[4];
	uint64_t times; /* 0: the end of a table */
};

/*
 * From large to small, because a formatter takes the first suffix that divides its value, or, of a
 * time, each in turn. Sizes are IEC: K is 1024.
 */
static const struct hak_suffix hak_byte_suffixes[] = {
	{ "E", 1ull << 60 },
	{ "P", 1ull << 50 },
	{ "T", 1ull << 40 },
	{ "G", 1ull << 30 },
	{ "M", 1ull << 20 },
	{ "K", 1ull << 10 },
	{ "", 1 },
	{ "B", 1 },
	{ "EiB", 1ull << 60 },
	{ "PiB", 1ull << 50 },
	{ "TiB", 1ull << 40 },
	{ "GiB", 1ull << 30 },
	{ "MiB", 1ull << 20 },
	{ "KiB", 1ull << 10 },
	{ "", 0 },
};
static const struct hak_suffix hak_ms_suffixes[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 }, { "ms", 1 },
	{ "", 1 },	   { "m", 60000 },   { "sec", 1000 },  { "", 0 },
};
static const struct hak_suffix hak_no_suffixes[] = { { "", 1 }, { "", 0 } };

static inline const struct hak_suffix *hak_suffixes_of(unsigned int unit)
{
	return unit == HAK_UNIT_BYTES ? hak_byte_suffixes
	       : unit == HAK_UNIT_MS  ? hak_ms_suffixes
				      : hak_no_suffixes;
}

static inline char hak_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Returns whether s is that word, in any case. */
static inline bool hak_is_word(const char *s, size_t bytes, const char *word)
{
	size_t i = 0;

	while (i < bytes && word[i] && hak_lower(s[i]) == hak_lower(word[i]))
		i++;
	return i == bytes && !word[i];
}

enum hak_fault {
	HAK_NO_FAULT,
	HAK_NOT_A_NUMBER,
	HAK_TOO_LARGE,
	HAK_UNKNOWN_UNIT,
	HAK_NOT_WHOLE,
};

/* Parses DIGITS[.DIGITS] to *number / *scale; *at is the end. */
static inline enum hak_fault hak_parse_digits(const char *s, size_t bytes, size_t *at,
					      unsigned __int128 *number, unsigned __int128 *scale)
{
	size_t i = 0, first = 0;
	bool fraction = false;

	*number = 0;
	*scale = 1;
	for (; i < bytes && ((s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && !fraction)); i++) {
		if (s[i] == '.') {
			if (i == 0)
				return HAK_NOT_A_NUMBER;
			fraction = true;
			first = i + 1;
			continue;
		}
		if (fraction && *scale >= 1000000000000) /* finer than a byte of a TiB */
			continue;
		*number = *number * 10 + (unsigned int)(s[i] - '0');
		*scale = fraction ? *scale * 10 : 1;
		if (*number / *scale > UINT64_MAX)
			return HAK_TOO_LARGE;
	}
	*at = i;
	return i == first ? HAK_NOT_A_NUMBER : HAK_NO_FAULT;
}

/* Times have several parts, such as 2min 5s. Tables of times begin with days. */
static inline bool hak_is_time(const struct hak_suffix *suffix)
{
	return suffix->word[0] == 'd';
}

/*
 * Parses DIGITS[.DIGITS][SUFFIX]. Fractions are rounded down to a whole unit, but not to none, and
 * need a unit above the smallest. *ret is untouched in case of a fault.
 */
static inline enum hak_fault hak_parse_part(const struct hak_suffix *suffix, const char *s,
					    size_t bytes, uint64_t *ret)
{
	unsigned __int128 number, scale, total;
	enum hak_fault fault;
	size_t at;

	fault = hak_parse_digits(s, bytes, &at, &number, &scale);
	if (fault)
		return fault;
	while (suffix->times && !hak_is_word(s + at, bytes - at, suffix->word))
		suffix++;
	if (!suffix->times)
		return HAK_UNKNOWN_UNIT;
	if (scale > 1 && suffix->times == 1)
		return HAK_NOT_WHOLE;
	/*
	 * Whole part and fraction are multiplied apart: the product of both with the suffix would
	 * exceed 128 bits.
	 */
	total = number / scale * suffix->times + number % scale * suffix->times / scale;
	if (total > UINT64_MAX)
		return HAK_TOO_LARGE;
	if (number && !total) /* 0 has a meaning of its own, which the text does not ask for */
		return HAK_NOT_WHOLE;
	*ret = (uint64_t)total;
	return HAK_NO_FAULT;
}

/* Returns the length of the number that s begins with, and of the word behind it. */
static inline size_t hak_part_bytes(const char *s, size_t bytes)
{
	size_t i = 0;

	while (i < bytes && ((s[i] >= '0' && s[i] <= '9') || s[i] == '.'))
		i++;
	while (i < bytes && s[i] != ' ' && !(s[i] >= '0' && s[i] <= '9'))
		i++;
	return i;
}

/*
 * Parses a number with its suffix, and of a time the sum of several, with or without blanks between
 * them: 2min 5s, 1h30min. Each of several needs a suffix. *ret is untouched in case of a fault.
 */
static inline enum hak_fault hak_parse_number(const struct hak_suffix *suffix, const char *s,
					      size_t bytes, uint64_t *ret)
{
	uint64_t total = 0, value;
	size_t at = 0, part = hak_is_time(suffix) ? hak_part_bytes(s, bytes) : bytes;
	enum hak_fault fault;

	if (part == bytes)
		return hak_parse_part(suffix, s, bytes, ret);
	while (at < bytes) {
		part = hak_part_bytes(s + at, bytes - at);
		if (part && s[at + part - 1] >= '0' && s[at + part - 1] <= '9')
			return HAK_UNKNOWN_UNIT;
		fault = hak_parse_part(suffix, s + at, part, &value);
		if (fault)
			return fault;
		if (__builtin_add_overflow(total, value, &total))
			return HAK_TOO_LARGE;
		at += part;
		if (at < bytes && s[at] == ' ' && ++at == bytes)
			return HAK_UNKNOWN_UNIT;
	}
	*ret = total;
	return HAK_NO_FAULT;
}

/*
 * Takes the first part off a value that is to be printed: returns its number and its unit, and
 * leaves the rest in *value, which is not 0 before and 0 after the last part. Only times have more
 * than one.
 */
static inline uint64_t hak_next_part(const struct hak_suffix *suffix, uint64_t *value,
				     const char **ret_unit)
{
	bool time = hak_is_time(suffix);
	uint64_t number;

	while (time ? *value < suffix->times : *value % suffix->times)
		suffix++;
	number = *value / suffix->times;
	*value %= suffix->times;
	*ret_unit = suffix->word;
	return number;
}

static inline bool hak_parse_switch(const char *s, size_t bytes, uint64_t *ret)
{
	static const char words[][6] = { "off", "on", "no", "yes", "false", "true", "0", "1" };

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (hak_is_word(s, bytes, words[i])) {
			*ret = i & 1;
			return true;
		}
	return false;
}

/* Returns the i-th word of "a|b|c" and its length; NULL beyond the last. */
static inline const char *hak_nth_choice(const char *values, uint64_t i, size_t *ret_bytes)
{
	for (;; i--) {
		size_t n = 0;

		while (values[n] && values[n] != '|')
			n++;
		*ret_bytes = n;
		if (i == 0)
			return values;
		if (!values[n])
			return NULL;
		values += n + 1;
	}
}

static inline bool hak_parse_choice(const char *values, const char *s, size_t bytes, uint64_t *ret)
{
	const char *name;
	size_t n;

	for (uint64_t i = 0; (name = hak_nth_choice(values, i, &n)); i++)
		if (n && n == bytes && !__builtin_memcmp(name, s, n)) {
			*ret = i;
			return true;
		}
	return false;
}

#endif
