/* SPDX-License-Identifier: MIT */
/*
 * Escaping, see escape.h. No locale is asked: what is well-formed UTF-8 does not depend on it.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "control/escape.h"

/* Bytes of the printable UTF-8 sequence that `p` begins with, 0 if there is none. */
static size_t utf8_length(const unsigned char *p)
{
	uint32_t c;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2, c = p[0] & 0x1f;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3, c = p[0] & 0x0f;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4, c = p[0] & 0x07;
	else
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	/* C1 controls, surrogates, marks that turn or hide text, non-characters. */
	if (c < 0xa0 || (c >= 0xd800 && c <= 0xdfff) || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	    (c & 0xfffe) == 0xfffe || (c >= 0xfff0 && c <= 0xfffb))
		return 0;
	return n;
}

void hak_escape(const char *text, char *out, size_t bytes)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t used = 0;

	while (*p) {
		size_t n = utf8_length(p);
		char piece[8];

		if (n) {
			memcpy(piece, p, n);
			piece[n] = '\0';
		} else {
			n = 1;
			snprintf(piece, sizeof(piece),
				 *p >= 0x20 && *p < 0x7f ? "%c" : "\\x%02x", *p);
		}
		if (used + strlen(piece) >= bytes)
			break;
		strcpy(out + used, piece);
		used += strlen(piece);
		p += n;
	}
	out[used] = '\0';
}

void hak_put_xml(FILE *to, char c)
{
	switch (c) {
	case '&': fputs("&amp;", to); break;
	case '<': fputs("&lt;", to); break;
	case '>': fputs("&gt;", to); break;
	case '"': fputs("&quot;", to); break;
	case '\'': fputs("&#39;", to); break;
	default: fputc(c, to);
	}
}
