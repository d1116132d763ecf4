/* SPDX-License-Identifier: MIT */
/* Lines and values as text. See text.h. */
#include "text.h"

#include <errno.h>

#include "control/abi/grammar.h"
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

int hak_text_parse(const struct hak_tunable_desc *d, const char *s, size_t bytes, uint64_t *ret)
{
	uint64_t value = 0;
	enum hak_fault fault;

	if (d->type == HAK_TYPE_BOOL)
		fault = hak_parse_switch(s, bytes, &value) ? HAK_NO_FAULT : HAK_NOT_A_NUMBER;
	else if (d->type == HAK_TYPE_ENUM)
		fault = hak_parse_choice(d->values, s, bytes, &value) ? HAK_NO_FAULT
								      : HAK_NOT_A_NUMBER;
	else
		fault = hak_parse_number(hak_suffixes_of(d->unit), s, bytes, &value);
	if (fault)
		return fault == HAK_TOO_LARGE ? -ERANGE : -EINVAL;
	if (value < d->min || value > d->max)
		return -ERANGE;
	*ret = value;
	return 0;
}

void hak_text_put_value(struct hak_text *t, const struct hak_tunable_desc *d, uint64_t value)
{
	const char *name, *unit = "";
	bool first = true;
	size_t n;

	if (d->type == HAK_TYPE_BOOL && value <= 1) {
		hak_text_put(t, value ? "on" : "off");
		return;
	}
	if (d->type == HAK_TYPE_ENUM && (name = hak_nth_choice(d->values, value, &n))) {
		put_n(t, name, n);
		return;
	}
	do {
		uint64_t part = value ? hak_next_part(hak_suffixes_of(d->unit), &value, &unit) : 0;

		hak_text_put(t, first ? "" : " ");
		hak_text_put_number(t, part);
		hak_text_put(t, unit);
		first = false;
	} while (value);
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
