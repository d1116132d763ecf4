/* SPDX-License-Identifier: MIT */
/*
 * Series of metrics: invented names do not keep other processes from having a series, making room
 * loses no count, and saved series are read back within the same bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"
#include "tests/check.h"

static struct hak_metrics *m;

static struct hak_figures one(void)
{
	return (struct hak_figures){ .value = {
					     [HAK_FIGURE_PROCESSES] = 1, [HAK_FIGURE_ASKED] = 1 } };
}

/* One more process, which purged once. */
static struct hak_series *begin(const char *unit, const char *command)
{
	const struct hak_labels labels = { .unit = unit, .command = command };
	struct hak_series *s = hak_metrics_series(m, &labels);
	struct hak_figures f = one();

	EXPECT(s, "a series");
	hak_series_move(s, NULL, &f);
	return s;
}

static void end(struct hak_series *s)
{
	struct hak_figures f = one();

	hak_series_retire(s, &f);
}

static char *text(void)
{
	const struct hak_metrics_daemon daemon = { 0 };
	char *out = NULL;
	size_t bytes;
	FILE *to = open_memstream(&out, &bytes);

	EXPECT(to && hak_metrics_write(m, HAK_METRICS_OPENMETRICS, &daemon, to) == 0, "written");
	fclose(to);
	return out;
}

/* Returns the sum of that sample over all series whose labels begin so; *n is their number. */
static unsigned long sum(const char *sample, const char *unit, const char *command, size_t *n)
{
	char head[256], *all = text(), *rest = all, *line;
	unsigned long total = 0;

	snprintf(head, sizeof(head), "%s{unit=\"%s%s%s%s", sample, unit ? unit : "",
		 unit ? "\",command=\"" : "", command ? command : "", command ? "\"," : "");
	*n = 0;
	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, head, strlen(head)) != 0)
			continue;
		total += strtoul(strrchr(line, ' '), NULL, 10);
		++*n;
	}
	free(all);
	return total;
}

#define PURGES	  "hakmem_daemon_purges_total"
#define PROCESSES "hakmem_processes"

static void sum_is(const char *what, const char *unit, const char *command, unsigned long want)
{
	size_t n;
	unsigned long got = sum(what, unit, command, &n);

	EXPECT(got == want, "%s of \"%s\" \"%s\": %lu, not %lu", what, unit ? unit : "(all)",
	       command ? command : "(all)", got, want);
}

static void at_most(const char *unit, size_t most)
{
	size_t n;

	sum(PURGES, unit, NULL, &n);
	EXPECT(n <= most, "%zu series of \"%s\", more than %zu", n, unit ? unit : "(all)", most);
}

/* Processes that begin and end, each with a name of its own. */
static void check_ended_names(void)
{
	char name[32];

	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		end(begin("", name));
	}
	at_most("", HAK_SERIES_OF_UNIT + 1);
	sum_is(PURGES, "", NULL, 5000);
	sum_is(PROCESSES, "", NULL, 0);
	sum_is(PURGES, "", "x4999", 1);
	begin("web.service", "web");
	sum_is(PROCESSES, "web.service", "web", 1);
}

/* The same, but all stay alive. */
static void check_living_names(void)
{
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "y%u", i);
		begin("user.service", name);
	}
	at_most("user.service", HAK_SERIES_OF_UNIT + 1);
	sum_is(PROCESSES, "user.service", NULL, 1000);
	sum_is(PROCESSES, "user.service", "other", 1000 - HAK_SERIES_OF_UNIT);
	begin("web2.service", "web");
	sum_is(PROCESSES, "web2.service", "web", 1);
}

/* Units that come and go, and units that stay. */
static void check_units(void)
{
	char name[32];
	size_t n;

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "session-%u.scope", i);
		end(begin(name, "shell"));
	}
	at_most(NULL, HAK_SERIES_MAX + 1);
	sum_is(PURGES, NULL, NULL, 5000 + 1 + 1000 + 1 + 2000);
	begin("web3.service", "web");
	sum_is(PROCESSES, "web3.service", "web", 1);
	sum_is(PROCESSES, "web.service", "web", 1);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "s%u.service", i);
		begin(name, "s");
	}
	at_most(NULL, HAK_SERIES_MAX + 1);
	sum_is(PROCESSES, NULL, NULL, 1 + 1000 + 1 + 1 + 2000);
	sum_is(PROCESSES, "s0.service", "s", 1);
	EXPECT(sum(PROCESSES, "", "other", &n) > 1000, "what has no place is other");
}

/* The label is the unit's own name, as other sources have it; in a label a backslash is doubled. */
static void check_names(void)
{
	begin("w\\x2dx.service", "a\nb");
	sum_is(PROCESSES, "w\\\\x2dx.service", "a\\\\x0ab", 1);
}

/* More series of a unit than there are places, as an older version may have saved them. */
static void check_load(void)
{
	struct hak_figures *to = NULL;
	char line[64];

	for (unsigned i = 0; i < 600; i++) {
		snprintf(line, sizeof(line), "series\t\tz%u\t", i);
		EXPECT(hak_series_load(m, line, &to) && to, "%s", line);
		EXPECT(hak_figures_load(to, "hakmem_daemon_purges\t0\t1"), "a figure");
	}
	at_most("", HAK_SERIES_OF_UNIT + 1);
	sum_is(PURGES, "", NULL, 600);
}

/* Processes follow each other: each counts on from what the one before it left. */
static void sums_over_a_life(void)
{
	check_ended_names();
	check_living_names();
	check_units();
}

static const struct tcase cases[] = {
	{ "sums_over_a_life", sums_over_a_life },
	{ "names", check_names },
	{ "load", check_load },
};

int main(int argc, char **argv)
{
	CHECK(hak_metrics_new(HAK_METRICS_DAEMON, &m) == 0, "new");
	return RUN(argc, argv, cases);
}
