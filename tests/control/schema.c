/* SPDX-License-Identifier: MIT */
/* Properties of the tables that the compiler cannot see: the content of their strings. */
#include <string.h>

#include "control/abi/schema.h"
#include "tests/check.h"

/* lower.case_words.with_dots; other names would need quoting somewhere. */
static int is_name(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") == strlen(name) &&
	       strchr(name, '.') && name[0] != '.' && name[strlen(name) - 1] != '.';
}

static int is_sentence(const char *doc)
{
	size_t n = strlen(doc);

	return n > 2 && doc[n - 1] == '.' && !strstr(doc, "  ") && doc[0] != ' ';
}

static void check_values(const struct hak_tunable_row *row)
{
	const char *values = row->values;

	EXPECT(hak_values_count(values) == row->max - row->min + 1 && row->min == 0,
	       "%s: names %s, range %llu to %llu", row->name, values, (unsigned long long)row->min,
	       (unsigned long long)row->max);
	EXPECT(strspn(values, "abcdefghijklmnopqrstuvwxyz|") == strlen(values), "%s: %s", row->name,
	       values);
	EXPECT(!strstr(values, "||") && values[0] != '|' && values[strlen(values) - 1] != '|',
	       "%s: %s", row->name, values);
}

static void tunables(void)
{
	for (size_t i = 0; i < hak_tunable_rows_n; i++) {
		const struct hak_tunable_row *row = &hak_tunable_rows[i];

		EXPECT(is_name(row->name), "tunable %s", row->name);
		EXPECT(is_sentence(row->doc), "%s: %s", row->name, row->doc);
		EXPECT(hak_tunable_row_find(row->name) == row, "two tunables are named %s",
		       row->name);
		EXPECT(!hak_counter_row_find(row->name) || strcmp(row->name, "control.agent") == 0,
		       "a counter is named like the tunable %s", row->name);
		if (row->type == HAK_TYPE_ENUM)
			check_values(row);
	}
	EXPECT(hak_tunable_rows_n == HAK_TUNABLES, "rows and enumeration differ");
	EXPECT(hak_tunable_row_find("no.such") == NULL, "found what is not there");
}

static void counters(void)
{
	unsigned hot = 0;

	for (size_t i = 0; i < hak_counter_rows_n; i++) {
		const struct hak_counter_row *row = &hak_counter_rows[i];

		EXPECT(is_name(row->name), "counter %s", row->name);
		EXPECT(is_sentence(row->doc), "%s: %s", row->name, row->doc);
		EXPECT(hak_counter_row_find(row->name) == row, "two counters are named %s",
		       row->name);
		hot += row->scope == HAK_SCOPE_HOT;
	}
	EXPECT(hot == 2, "%u counters on the hot path", hot);
	EXPECT(hak_counter_row_find("") == NULL, "found what is not there");
}

static void words(void)
{
	EXPECT(hak_purge_level_of("dirty") == HAK_PURGE_DIRTY && hak_purge_level_of("none") == 0,
	       "purge levels");
	EXPECT(strcmp(hak_origin_word(HAK_ORIGIN_ADMIN), "admin") == 0 &&
		       strcmp(hak_origin_word(99), "?") == 0,
	       "words of origins");
}

static const struct tcase cases[] = {
	{ "tunables", tunables },
	{ "counters", counters },
	{ "words", words },
};

CASES(cases)
