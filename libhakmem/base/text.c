/* SPDX-License-Identifier: MIT */
/* Lines and values as text. See text.h. */
#include "text.h"

#include <errno.h>

#include "sys.h"

/* ---- putting together ---- */

static void put_n(struct hak_text *t, const char *s, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++, t->at++)
		if (t->at + 1 < t->max)
			t->buf[t->at] = s[i];
	if (t->max)
		t->buf[t->at < t->max ? t->at : t->max - 1] = '\0';
}

void hak_text_put(struct hak_text *t, const char *s)
{
	put_n(t, s, __builtin_strlen(s));
}

void hak_text_put_number(struct hak_text *t, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	put_n(t, digits + at, sizeof(digits) - at);
}

void hak_text_put_escaped(struct hak_text *t, const char *s, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		char c = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';

		put_n(t, &c, 1);
	}
}

void hak_text_say(struct hak_text *t)
{
	size_t n = t->at < t->max ? t->at : t->max - 1;

	t->buf[n] = '\n';
	hak_sys(SYS_write, 2, (long)t->buf, (long)n + 1, 0, 0, 0);
}

/* ---- values ---- */

struct suffix {
	char word[4];
	uint64_t times;
};

/* From large to small, because the formatter takes the first suffix that divides its value. */
static const struct suffix byte_suffixes[] = {
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
static const struct suffix ms_suffixes[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },  { "s", 1000 }, { "ms", 1 },
	{ "", 1 },	   { "min", 60000 }, { "sec", 1000 }, { "", 0 },
};
static const struct suffix no_suffixes[] = { { "", 1 }, { "", 0 } };

static const struct suffix *suffixes_of(const struct hak_tunable_desc *d)
{
	if (d->type != HAK_TYPE_UINT)
		return no_suffixes;
	return d->unit == HAK_UNIT_BYTES ? byte_suffixes
	       : d->unit == HAK_UNIT_MS	 ? ms_suffixes
					 : no_suffixes;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same_word(const char *s, size_t bytes, const char *word)
{
	size_t i = 0;

	while (i < bytes && word[i] && lower(s[i]) == lower(word[i]))
		i++;
	return i == bytes && !word[i];
}

/*
 * Parses DIGITS[.DIGITS][SUFFIX]. A fraction is rounded down to a whole unit, but not to none, and
 * needs a unit above the smallest.
 */
static int parse_number(const struct suffix *suffix, const char *s, size_t bytes, uint64_t *ret)
{
	unsigned __int128 number = 0, scale = 1, total;
	size_t i = 0, first = 0;
	bool fraction = false;

	for (; i < bytes && ((s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && !fraction)); i++) {
		if (s[i] == '.') {
			fraction = true;
			first = i + 1;
			if (i == 0)
				return -EINVAL;
			continue;
		}
		if (fraction && scale >= 1000000000000) /* finer than a byte of a TiB */
			continue;
		number = number * 10 + (unsigned int)(s[i] - '0');
		scale = fraction ? scale * 10 : 1;
		if (number / scale > UINT64_MAX)
			return -ERANGE;
	}
	if (i == first)
		return -EINVAL;
	while (suffix->times && !same_word(s + i, bytes - i, suffix->word))
		suffix++;
	if (!suffix->times || (scale > 1 && suffix->times == 1))
		return -EINVAL;
	/*
	 * Whole part and fraction are multiplied apart: the product of both with the suffix would
	 * exceed 128 bits.
	 */
	total = number / scale * suffix->times + number % scale * suffix->times / scale;
	if (total > UINT64_MAX)
		return -ERANGE;
	if (number && !total) /* 0 has a meaning of its own, which the text does not ask for */
		return -EINVAL;
	*ret = (uint64_t)total;
	return 0;
}

static int parse_switch(const char *s, size_t bytes, uint64_t *ret)
{
	static const char words[][6] = { "off", "on", "no", "yes", "false", "true", "0", "1" };

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (same_word(s, bytes, words[i])) {
			*ret = i & 1;
			return 0;
		}
	return -EINVAL;
}

/* Returns the i-th word of "a|b|c" and its length; NULL beyond the last. */
static const char *choice(const char *values, uint64_t i, size_t *ret_bytes)
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

static int parse_choice(const char *values, const char *s, size_t bytes, uint64_t *ret)
{
	const char *name;
	size_t n;

	for (uint64_t i = 0; (name = choice(values, i, &n)); i++)
		if (n && n == bytes && !__builtin_memcmp(name, s, n)) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

int hak_text_parse(const struct hak_tunable_desc *d, const char *s, size_t bytes, uint64_t *ret)
{
	uint64_t value = 0;
	int r;

	if (d->type == HAK_TYPE_BOOL)
		r = parse_switch(s, bytes, &value);
	else if (d->type == HAK_TYPE_ENUM)
		r = parse_choice(d->values, s, bytes, &value);
	else
		r = parse_number(suffixes_of(d), s, bytes, &value);
	if (r)
		return r;
	if (value < d->min || value > d->max)
		return -ERANGE;
	*ret = value;
	return 0;
}

void hak_text_put_value(struct hak_text *t, const struct hak_tunable_desc *d, uint64_t value)
{
	const struct suffix *suffix = value ? suffixes_of(d) : no_suffixes;
	const char *name;
	size_t n;

	if (d->type == HAK_TYPE_BOOL && value <= 1) {
		hak_text_put(t, value ? "on" : "off");
		return;
	}
	if (d->type == HAK_TYPE_ENUM && (name = choice(d->values, value, &n))) {
		put_n(t, name, n);
		return;
	}
	while (value % suffix->times)
		suffix++;
	hak_text_put_number(t, value / suffix->times);
	hak_text_put(t, suffix->word);
}

void hak_text_put_accepted(struct hak_text *t, const struct hak_tunable_desc *d)
{
	if (d->type == HAK_TYPE_BOOL) {
		hak_text_put(t, "on or off");
		return;
	}
	if (d->type == HAK_TYPE_ENUM) {
		hak_text_put(t, "one of ");
		hak_text_put(t, d->values);
		return;
	}
	hak_text_put(t, d->unit == HAK_UNIT_BYTES ? "a size"
			: d->unit == HAK_UNIT_MS  ? "a time"
						  : "a number");
	hak_text_put(t, " from ");
	hak_text_put_value(t, d, d->min);
	hak_text_put(t, " to ");
	hak_text_put_value(t, d, d->max);
}
