/* SPDX-License-Identifier: MIT */
/*
 * The words that stats and list print, for describe: heads of columns, lines, tiers, notes and
 * headings. The words come from the tables by which list.c and stats.c print them, and
 * control/report.c for the notes; words.c adds what they mean. tests/hakmemctl/describe.test asks
 * for each printed word.
 */
#ifndef HAK_WORDS_H
#define HAK_WORDS_H

#include "control/emit.h"

/* The places in which a word can stand. */
enum ctl_word_place {
	CTL_WORD_LIST,
	CTL_WORD_MEMORY,
	CTL_WORD_RESIDENT,
	CTL_WORD_TIERS,
	CTL_WORD_CLASSES,
	CTL_WORD_CALLS,
	CTL_WORD_TIER,
	CTL_WORD_NOTE,
	CTL_WORD_HEADING,
	CTL_WORD_PLACES
};

struct ctl_word {
	const char *word, *where, *doc;
};
typedef void (*ctl_see_word)(const struct ctl_word *word, void *arg);

/* Calls `see` for each word, once for each place. */
void ctl_words(ctl_see_word see, void *arg);

/* -- for the files that print ------------------------------------------------------------------ */
void ctl_list_words(ctl_see_word see, void *arg);
void ctl_stats_words(ctl_see_word see, void *arg);
/* The heads of a table. */
void ctl_column_words(enum ctl_word_place place, const struct hak_column *columns, size_t n,
		      ctl_see_word see, void *arg);
/* The label of a line. It is described by the remark behind it, and what words.c adds. */
void ctl_line_word(enum ctl_word_place place, const char *label, const char *remark,
		   ctl_see_word see, void *arg);

#endif
