/* SPDX-License-Identifier: MIT */
/*
 * The rows of `hakmemctl top` as lines of text of a given width, for the screen and for a pipe.
 *
 * For hakmemctl/top/ and tests. Knows no terminal, and has no state. A line holds only characters
 * that are printable in the current locale: others become "?", whatever the text was.
 */
#ifndef HAK_TOP_TEXT_H
#define HAK_TOP_TEXT_H

#include "control/value.h"
#include "hakmemctl/top/model.h"

/* Enough for a line of 1000 columns. */
#define TOP_LINE_BYTES	 4096
#define TOP_LINE_COLUMNS 1000

/* Returns the word for a column, as --sort takes it: a figure or TOP_BY_. */
const char *top_sort_word(int sort);
/* Returns the column of that name, -1 if there is none. */
int top_sort_of(const char *word);

/* Copies text and fills it up with blanks to exactly `columns` columns; what is too long is cut,
 * and ends in "+". Returns the bytes written without the NUL. */
size_t top_cut(const char *text, size_t columns, char *out, size_t bytes);

/* Writes a figure in at most six columns: "48.0M", "1.2k"; "-" if it is not known. */
void top_value_text(enum top_figure figure, double value, char out[HAK_VALUE_TEXT]);

/* Draws the last values of a figure in `columns` columns, the newest on the right, between their
 * smallest and their largest one. */
void top_trend(const struct top_row *row, enum top_figure figure, size_t columns, char *out,
	       size_t bytes);

/* The figure of which the trend is drawn. */
enum top_figure top_trend_figure(const struct top_model *m);

/* Write the heading and one row, in exactly `columns` columns, from 20 on. */
void top_heading(const struct top_model *m, size_t columns, char out[TOP_LINE_BYTES]);
void top_line(const struct top_model *m, const struct top_row *row, size_t columns,
	      char out[TOP_LINE_BYTES]);

/* Writes the sums of all processes. */
void top_summary(const struct top_model *m, size_t columns, char out[TOP_LINE_BYTES]);

#endif
