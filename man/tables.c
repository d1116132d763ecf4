/* SPDX-License-Identifier: MIT */
/*
 * Writes hakmem-tunables(7) or hakmem-counters(7), whichever the argument ends in, to stdout. Runs
 * while building.
 */
#include <stdio.h>
#include <string.h>

#include "control/abi/schema.h"
#include "control/value.h"

/* Text as troff takes it literally. */
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
	printf(".\\\" Written from control/%s.def; do not edit.\n", name + strlen("hakmem-"));
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
	head("hakmem-tunables", "what can be changed in a running process");
	puts(".SH DESCRIPTION\n"
	     "Each tunable can be set, from lowest to highest, by the program\n"
	     ".RB ( hakmem_set (3),\n.BR mallopt (3)),\n"
	     "by the environment\n.RB ( HAKMEM= \\fINAME\\fB=\\fIVALUE\\fB,\\fR...),\n"
	     "by policy and by the administrator\n.RB ( \"hakmemctl set\" ).\n"
	     "The highest that is set wins;\n.B hakmemctl get\nshows it with its origin.\n"
	     "A value of an administrator outside of the range is clamped to it; policies, HAKMEM\n"
	     "and\n.BR hakmem_set (3)\nrefuse one.\n.PP\n"
	     "Sizes are IEC: K is 1024 bytes. A bare number counts bytes, or milliseconds.\n.SH "
	     "TUNABLES");
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
	head("hakmem-counters", "what hakmem counts");
	puts(".SH DESCRIPTION\n"
	     "A\n.I counter\nonly grows; a\n.I gauge\nis an amount at the moment.\n"
	     "Those kept per class are summed over size classes and heaps where one figure is "
	     "shown, those kept\n"
	     "per heap over heaps.\n.B hakmemctl stats\nshows them, all of them with\n.BR "
	     "\\-\\-json .\n"
	     "They are exact while the process does not allocate.\n.SH COUNTERS");
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
