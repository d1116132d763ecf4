/* SPDX-License-Identifier: MIT */
/*
 * Escaping, see escape.h. The code does not use the locale, because well-formed UTF-8 does not
 * depend on it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "control/escape.h"

/*
 * Characters beyond ASCII that are not shown as themselves: Unicode's controls (Cc), format
 * characters (Cf: bidi controls, zero-width marks, soft hyphens, tags), line and paragraph
 * separators (Zl, Zp), surrogates (Cs), non-characters, and letters and marks that fonts show as
 * nothing (Default_Ignorable_Code_Point). The last two characters of each plane are non-characters,
 * too.
 */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{ 0x80, 0x9f },	      { 0xad, 0xad },	    { 0x34f, 0x34f },	  { 0x600, 0x605 },
	{ 0x61c, 0x61c },     { 0x6dd, 0x6dd },	    { 0x70f, 0x70f },	  { 0x890, 0x891 },
	{ 0x8e2, 0x8e2 },     { 0x115f, 0x1160 },   { 0x17b4, 0x17b5 },	  { 0x180b, 0x180f },
	{ 0x200b, 0x200f },   { 0x2028, 0x202e },   { 0x2060, 0x206f },	  { 0x3164, 0x3164 },
	{ 0xd800, 0xdfff },   { 0xfdd0, 0xfdef },   { 0xfe00, 0xfe0f },	  { 0xfeff, 0xfeff },
	{ 0xffa0, 0xffa0 },   { 0xfff0, 0xfffb },   { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd },
	{ 0x13430, 0x1343f }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
};

static bool is_hidden(uint32_t c)
{
	if ((c & 0xfffe) == 0xfffe)
		return true;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]) && c >= hidden[i].first; i++)
		if (c <= hidden[i].last)
			return true;
	return false;
}

/*
 * Returns the bytes of the printable character with which the `left` bytes at `p` begin, 0 if there
 * is none.
 */
static size_t printable(const unsigned char *p, size_t left)
{
	uint32_t c;
	size_t n;

	if (p[0] >= 0x20 && p[0] < 0x7f)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2, c = p[0] & 0x1f;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3, c = p[0] & 0x0f;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4, c = p[0] & 0x07;
	else
		return 0;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return is_hidden(c) ? 0 : n;
}

size_t hak_escape_bytes(const char *text, size_t n, char *out, size_t room)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t used = 0;

	while (n) {
		size_t length = printable(p, n), bytes = length ? length : 4;
		char piece[5];

		if (used + bytes >= room)
			break;
		if (length)
			memcpy(out + used, p, length);
		else
			snprintf(piece, sizeof(piece), "\\x%02x", *p), memcpy(out + used, piece, 4);
		used += bytes;
		p += length ? length : 1;
		n -= length ? length : 1;
	}
	out[used] = '\0';
	return used;
}

void hak_escape(const char *text, char *out, size_t bytes)
{
	hak_escape_bytes(text, strlen(text), out, bytes);
}

void hak_escape_in_place(char *text, size_t bytes)
{
	char raw[HAK_ESCAPE_MAX];
	size_t n = strnlen(text, bytes < sizeof(raw) ? bytes : sizeof(raw));

	memcpy(raw, text, n);
	hak_escape_bytes(raw, n, text, bytes);
}

bool hak_is_printable(const char *text)
{
	for (size_t left = strlen(text), n; left; text += n, left -= n) {
		n = printable((const unsigned char *)text, left);
		if (!n)
			return false;
	}
	return true;
}

void hak_put_lines(FILE *to, const char *text, size_t n)
{
	while (n) {
		size_t length = printable((const unsigned char *)text, n);

		if (length || *text == '\n' || *text == '\t')
			fwrite(text, 1, length = length ? length : 1, to);
		else
			fprintf(to, "\\x%02x", (unsigned char)*text), length = 1;
		text += length;
		n -= length;
	}
}

void hak_put_xml(FILE *to, char c)
{
	switch (c) {
	case '&':
		fputs("&amp;", to);
		break;
	case '<':
		fputs("&lt;", to);
		break;
	case '>':
		fputs("&gt;", to);
		break;
	case '"':
		fputs("&quot;", to);
		break;
	case '\'':
		fputs("&#39;", to);
		break;
	default:
		fputc(c, to);
	}
}
