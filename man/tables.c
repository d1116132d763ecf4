/* SPDX-License-Identifier: MIT */
/*
 * Writes hakmem-tunables(7) to standard output if the argument contains "tunables", and
 * hakmem-counters(7) otherwise. The build runs this program.
 */
#include <stdio.h>
#include <string.h>

#include "control/abi/schema.h"
#include "control/value.h"

/* Prints a text, escaped so that troff changes nothing in it. */
static void text(const char *s)
{
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else if ((*s == '.' || *s == '\'') && s[-1] == '\n')
			printf("\\&%c", *s);
		else
			putchar(*s);
	}
}

static void macro(const char *name, const char *argument)
{
	printf("%s ", name);
	text(argument);
	putchar('\n');
}

static void head(const char *name, const char *what)
{
	printf(".\\\" Written from control/abi/%s.def; do not edit.\n", name + strlen("hakmem-"));
	printf(".TH %s 7 \"\" \"hakmem %s\" \"Miscellaneous\"\n.SH NAME\n", name, PACKAGE_VERSION);
	text(name);
	printf(" \\- %s\n", what);
}

static void tunable(const struct hak_tunable_row *row)
{
	static const char *const effect[] = {
		[HAK_WHEN_LIVE] = "Takes effect at once.",
		[HAK_WHEN_NEXT] = "Takes effect for what is created from then on.",
		[HAK_WHEN_START] = "Takes effect at start only.",
	};
	struct hak_spec spec = hak_spec_of_row(row);
	char accepts[HAK_WHY_TEXT], dflt[HAK_VALUE_TEXT];

	hak_spec_accepts(&spec, accepts);
	hak_value_format(&spec, row->dflt, dflt);
	puts(".TP");
	macro(".B", row->name);
	text(row->doc);
	printf("\n.br\n%s\nTakes ", effect[row->when]);
	text(accepts);
	puts(".\nDefault:");
	printf(".BR ");
	text(dflt);
	puts(" .");
}

static void tunables(void)
{
	head("hakmem-tunables", "settings of hakmem in a running process");
	puts(".SH DESCRIPTION\n"
	     "The value of a tunable has a layer for each origin. From the lowest to the highest,\n"
	     "these are the default, the program\n"
	     ".RB ( hakmem_set (3),\n.BR mallopt (3)),\n"
	     "the environment\n.RB ( HAKMEM= \\fINAME\\fB=\\fIVALUE\\fB,\\fR...),\n"
	     "policy\n.RB ( hakmem.policy (5)),\n"
	     "and the administrator\n.RB ( \"hakmemctl set\" ).\n"
	     "The highest layer that is set is in force.\n"
	     ".B hakmemctl get\nshows the value in force and its origin.\n"
	     "A value of an administrator that is out of range is clamped to the range. Policies,\n"
	     "HAKMEM and\n.BR hakmem_set (3)\nrefuse such a value.\n.PP\n"
	     "The suffixes of sizes are powers of 1024. A number without a suffix is in bytes, or\n"
	     "in milliseconds for a time.\n.SH TUNABLES");
	for (size_t i = 0; i < hak_tunable_rows_n; i++)
		tunable(&hak_tunable_rows[i]);
	puts(".SH SEE ALSO\n.BR hakmemctl (1),\n.BR hakmem (7),\n.BR hakmem\\-counters (7)");
}

static void counter(const struct hak_counter_row *row)
{
	puts(".TP");
	macro(".B", row->name);
	text(row->doc);
	printf("\n.br\n%s, %s, per %s.\n", row->kind == HAK_KIND_COUNTER ? "Counter" : "Gauge",
	       hak_unit_word(row->unit), hak_scope_word(row->scope));
}

static void counters(void)
{
	head("hakmem-counters", "counters of hakmem in a running process");
	puts(".SH DESCRIPTION\n"
	     "A\n.I counter\nonly grows, and a\n.I gauge\nis a current amount.\n"
	     "Where one figure is shown, the counters per class are summed over size classes and\n"
	     "heaps, and the counters per heap over heaps.\n"
	     ".B hakmemctl stats\nshows the most important counters, and all of them with\n.BR "
	     "\\-\\-json .\n"
	     "The figures are exact while the process does not allocate.\n.SH COUNTERS");
	for (size_t i = 0; i < hak_counter_rows_n; i++)
		counter(&hak_counter_rows[i]);
	puts(".SH SEE ALSO\n.BR hakmemctl (1),\n.BR hakmem (7),\n.BR hakmem\\-tunables (7)");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	if (strstr(argv[1], "tunables"))
		tunables();
	else
		counters();
	return fflush(stdout) != 0 || ferror(stdout);
}
