/* SPDX-License-Identifier: MIT */
/*
 * SVG, for all pictures of hakmemctl: the header with the styles, texts, titles, rectangles, lines.
 * A picture has no script and no external part. Text may come from another process: it is escaped
 * here, for a terminal as well as for XML. Numbers have a point and at most one decimal in every
 * locale.
 *
 * A picture is written from the top: svg_begin(), elements in any order, svg_end(). Errors of
 * writing are left to the caller's ferror().
 */
#ifndef HAK_SVG_H
#define HAK_SVG_H

#include <stdio.h>

/* Longer text is cut. */
#define SVG_TEXT_BYTES 2048

/* Width of a letter of the style "small", about. */
#define SVG_LETTER 6.8

struct svg_box {
	double x, y, width, height;
};

/*
 * Begins a picture with a white ground. `defs` are the patterns that it uses, as SVG; NULL: none.
 * Texts have the style NULL (12 pixels), "small" (11) or "title" (16).
 */
void svg_begin(FILE *to, double width, double height, const char *defs);
void svg_end(FILE *to);

/* A group shows the title that it begins with while the pointer is over one of its elements. */
void svg_group(FILE *to);
void svg_group_end(FILE *to);
void svg_title(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* x and y are those of the left end of the base line. */
void svg_text(FILE *to, double x, double y, const char *style, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* Shows at most so many letters, of which the last two are ".." if the text is longer. */
void svg_text_within(FILE *to, double x, double y, const char *style, size_t letters,
		     const char *text);

/* `fill` is a colour or "url(#PATTERN)"; `more` are further attributes, or NULL. */
void svg_rect(FILE *to, const struct svg_box *box, const char *fill, const char *more);
/* A black line to the right. */
void svg_line(FILE *to, double x, double y, double width);

#endif
