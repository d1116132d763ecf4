/* SPDX-License-Identifier: MIT */
/* Writes SVG, see svg.h. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "hakmemctl/svg.h"

/* -- parts ------------------------------------------------------------------------------------- */
/* printf would write the decimal comma of the user's locale, which is no number in SVG. */
static void put_number(FILE *to, double value)
{
	long tenths = lround(value * 10);

	fprintf(to, "%s%ld", tenths < 0 ? "-" : "", labs(tenths) / 10);
	if (tenths % 10)
		fprintf(to, ".%ld", labs(tenths) % 10);
}

static void put_attribute(FILE *to, const char *name, double value)
{
	fprintf(to, " %s=\"", name);
	put_number(to, value);
	fputc('"', to);
}

static void put_xml(FILE *to, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		hak_put_xml(to, text[i]);
}

static void put_format(FILE *to, const char *format, va_list args)
{
	char raw[SVG_TEXT_BYTES], plain[4 * SVG_TEXT_BYTES];

	vsnprintf(raw, sizeof(raw), format, args);
	hak_escape(raw, plain, sizeof(plain));
	put_xml(to, plain, strlen(plain));
}

static void begin_text(FILE *to, double x, double y, const char *style)
{
	fputs("<text", to);
	put_attribute(to, "x", x);
	put_attribute(to, "y", y);
	if (style)
		fprintf(to, " class=\"%s\"", style);
	fputc('>', to);
}

/* -- the picture ------------------------------------------------------------------------------- */
void svg_begin(FILE *to, double width, double height, const char *defs)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	      "<svg xmlns=\"http://www.w3.org/2000/svg\"",
	      to);
	put_attribute(to, "width", width);
	put_attribute(to, "height", height);
	fputs(" viewBox=\"0 0 ", to);
	put_number(to, width);
	fputc(' ', to);
	put_number(to, height);
	fputs("\">\n"
	      "<style>text{font:12px monospace}.small{font-size:11px}"
	      ".title{font-size:16px}</style>\n"
	      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
	      to);
	if (defs)
		fprintf(to, "<defs>\n%s</defs>\n", defs);
}

void svg_end(FILE *to)
{
	fputs("</svg>\n", to);
}

void svg_group(FILE *to)
{
	fputs("<g>", to);
}

void svg_group_end(FILE *to)
{
	fputs("</g>\n", to);
}

void svg_title(FILE *to, const char *format, ...)
{
	va_list args;

	fputs("<title>", to);
	va_start(args, format);
	put_format(to, format, args);
	va_end(args);
	fputs("</title>\n", to);
}

void svg_text(FILE *to, double x, double y, const char *style, const char *format, ...)
{
	va_list args;

	begin_text(to, x, y, style);
	va_start(args, format);
	put_format(to, format, args);
	va_end(args);
	fputs("</text>\n", to);
}

/* Cuts the text between characters. */
void svg_text_within(FILE *to, double x, double y, const char *style, size_t letters,
		     const char *text)
{
	char plain[4 * SVG_TEXT_BYTES];
	size_t n, shown;

	hak_escape(text, plain, sizeof(plain));
	n = strlen(plain);
	shown = n <= letters ? n : letters > 2 ? letters - 2 : 0;
	while (shown < n && shown && (plain[shown] & 0xc0) == 0x80)
		shown--;
	begin_text(to, x, y, style);
	put_xml(to, plain, shown);
	fputs(shown < n ? "..</text>\n" : "</text>\n", to);
}

void svg_rect(FILE *to, const struct svg_box *box, const char *fill, const char *more)
{
	fputs("<rect", to);
	put_attribute(to, "x", box->x);
	put_attribute(to, "y", box->y);
	put_attribute(to, "width", box->width);
	put_attribute(to, "height", box->height);
	fprintf(to, " fill=\"%s\"%s%s/>\n", fill, more ? " " : "", more ? more : "");
}

void svg_line(FILE *to, double x, double y, double width)
{
	fputs("<path d=\"M", to);
	put_number(to, x);
	fputc(' ', to);
	put_number(to, y);
	fputc('h', to);
	put_number(to, width);
	fputs("\" stroke=\"#000\"/>\n", to);
}
