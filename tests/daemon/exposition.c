/* SPDX-License-Identifier: MIT */
/*
 * hakmemd/exposition.c with processes, clocks and a store of the test's own: what is saved is
 * bounded, and not saved too often; after a restart nothing is counted twice.
 */
#define hak_monotonic_ns  clock_now
#define hak_snapshot_take take_nothing
#define hak_snapshot_free free_nothing
#define hak_figures_take  take_figures
#define hak_resident_read take_resident
#include "hakmemd/exposition.c"
#include "tests/check.h"

#define SECOND 1000000000ull
enum { ACCOUNTS = 6, EACH = 600, ALL = ACCOUNTS * EACH };

static uint64_t now_ns = 1000 * SECOND;
static char *stored; /* by the last save */
static unsigned saves;
static struct hak_manager m;
static struct hak_process process[ALL];
static struct hak_segment segment[ALL];
static uint64_t counted[ALL];		  /* by each of its counters */
static int64_t processor_ns = 1, cost_ns; /* the cost of reading one process */

/* -- what exposition.c needs of the others ----------------------------------------------------- */
uint64_t clock_now(void)
{
	return now_ns;
}

int take_nothing(const struct hak_segment *seg, struct hak_snapshot *ret)
{
	return 0;
}

void free_nothing(struct hak_snapshot *snap)
{
}

static struct hak_resident resident = { .source = HAK_RESIDENT_SUMMED };
static unsigned walks;
static int64_t walk_ns;

void take_resident(const struct hak_segment *seg, enum hak_resident_source wanted,
		   struct hak_resident *ret)
{
	*ret = resident;
	ret->source = wanted;
	walks += wanted > HAK_RESIDENT_COUNTED;
	processor_ns += wanted > HAK_RESIDENT_COUNTED ? walk_ns : 0;
}

static struct hak_resident taken;

void take_figures(const struct hak_segment *seg, const struct hak_snapshot *snap,
		  const struct hak_resident *of, struct hak_figures *ret)
{
	processor_ns += cost_ns;
	taken = *of;
	*ret = (struct hak_figures){ .value = { [HAK_FIGURE_PROCESSES] = 1 } };
	for (unsigned i = 0; i < HAK_COUNTER_FIGURES; i++)
		ret->value[i] = counted[seg - segment];
}

int hak_store_open(const char *name, struct hak_store **ret, char **ret_text)
{
	*ret = (struct hak_store *)&m;
	*ret_text = stored ? strdup(stored) : NULL;
	return 0;
}

int hak_store_save(struct hak_store *store, void (*write)(FILE *to, void *arg), void *arg)
{
	size_t bytes;
	FILE *to;

	free(stored);
	stored = NULL;
	saves++;
	to = open_memstream(&stored, &bytes);
	if (!to)
		exit(1);
	write(to, arg);
	return fclose(to);
}

void hak_store_close(struct hak_store *store)
{
}

int hak_scrapes_start(sd_event *event, const char *path, hak_scrape_text *make, void *arg,
		      struct hak_scrapes **ret)
{
	return 0;
}

void hak_scrapes_stop(struct hak_scrapes *s)
{
}

int hak_processes_observe(struct hak_manager *manager, const struct hak_observer *o, void *arg)
{
	return 0;
}

uint64_t hak_look_put_off(const struct hak_manager *manager)
{
	return 0;
}

void hak_log(int level, const char *format, ...)
{
}

/* -- the tests --------------------------------------------------------------------------------- */
static int64_t processor(void)
{
	return processor_ns;
}

/* A busy machine would charge the shares otherwise. */
static int64_t no_sleep(void)
{
	return 0;
}

/* A run of the daemon that finds all processes. */
static struct hak_exposition *start(void)
{
	struct hak_exposition *e = NULL;

	EXPECT(hak_exposition_start(&m, "/", &e) == 0, "starts");
	for (unsigned i = 0; i < ALL; i++)
		on_added(&process[i], e);
	return e;
}

/* Returns the sum over all processes in a scrape. */
static uint64_t total(struct hak_exposition *e)
{
	const char name[] = "\nhakmem_whale_allocs_total{";
	uint64_t sum = 0;
	size_t bytes;
	char *made, *at;

	now_ns += SECOND;
	EXPECT(text(HAK_METRICS_PROMETHEUS, e, &made, &bytes) == 0, "a text");
	for (at = strstr(made, name); at; at = strstr(at, name)) {
		at = strchr(at, '}');
		sum += strtoull(at + 1, &at, 10);
	}
	free(made);
	return sum;
}

static unsigned records(const char *kind)
{
	unsigned n = 0;

	for (const char *at = strstr(stored, kind); at; at = strstr(at + 1, kind))
		n++;
	return n;
}

/* A bounded number of processes of each account, and of all, is saved whole; the others by name. */
static void test_bounds(void)
{
	struct hak_exposition *e;
	unsigned longest = 0;
	uint64_t before;

	free(stored);
	stored = NULL;
	for (unsigned i = 0; i < ALL; i++)
		counted[i] = i < 2 * EACH + 1 ? 7 : 0;
	e = start();
	EXPECT(total(e) == 7 * (2 * EACH + 1), "%u are counted", (unsigned)total(e));
	hak_exposition_stop(e);
	EXPECT(records("\nprocess\t") == 2 * SAVED_OF_ACCOUNT + 1, "%u of two accounts are saved",
	       records("\nprocess\t"));
	EXPECT(records("\nknown\t") == 2 * (EACH - SAVED_OF_ACCOUNT), "%u are known",
	       records("\nknown\t"));

	free(stored);
	stored = NULL;
	for (unsigned i = 0; i < ALL; i++)
		counted[i] = 1000000;
	e = start();
	total(e);
	hak_exposition_stop(e);
	EXPECT(records("\nprocess\t") == SAVED_MAX, "%u of all are saved", records("\nprocess\t"));
	EXPECT(records("\nknown\t") == ALL - SAVED_MAX, "%u are known", records("\nknown\t"));
	EXPECT(strlen(stored) < 6000 * SAVED_MAX + 60 * ALL, "%zu bytes", strlen(stored));

	/* All have counted 5 more when the next run first reads them, and 1 more later. */
	e = NULL;
	EXPECT(hak_exposition_start(&m, "/", &e) == 0, "starts");
	for (unsigned i = 0; i < UNCLAIMED_PLACES; i++) {
		unsigned n = 0;

		for (struct hak_part *part = e->unclaimed[i]; part; part = part->next)
			n++;
		longest = n > longest ? n : longest;
	}
	EXPECT(longest < 32, "%u unclaimed ones are in one place", longest);
	before = total(e);
	EXPECT(before == 1000000ull * ALL, "%llu before", (unsigned long long)before);
	for (unsigned i = 0; i < ALL; i++) {
		counted[i] += 5;
		on_added(&process[i], e);
	}
	EXPECT(total(e) == before + 5 * SAVED_MAX, "%lld more", (long long)(total(e) - before));
	for (unsigned i = 0; i < ALL; i++)
		counted[i]++;
	EXPECT(total(e) == before + 5 * SAVED_MAX + ALL, "%lld more",
	       (long long)(total(e) - before));
	hak_exposition_stop(e);
}

/* Ends and scrapes are saved, but not more often than every ten seconds, and at the end. */
static void test_saves(void)
{
	struct hak_exposition *e = start();

	on_tick(&m, e);
	saves = 0;
	for (unsigned i = 0; i < 100; i++) {
		now_ns += SECOND;
		total(e);
		on_removed(&process[i], e);
		on_tick(&m, e);
	}
	EXPECT(saves >= 9 && saves <= 20, "%u saves in 200 seconds", saves);
	saves = 0;
	hak_exposition_stop(e);
	EXPECT(saves == 1, "%u saves at the end", saves);
}

/* Processes that a user ends in one second are read within that user's share of time. */
static void test_ends(void)
{
	struct hak_exposition *e = start();
	uint64_t put_off = m.reads_put_off;
	int64_t before;

	on_tick(&m, e);
	cost_ns = READ_USER_NS / 10;
	before = processor_ns;
	for (unsigned i = 0; i < EACH; i++)
		on_removed(&process[i], e);
	EXPECT(processor_ns - before == READ_USER_NS, "%lld ns for one user's",
	       (long long)(processor_ns - before));
	EXPECT(m.reads_put_off - put_off == EACH - 10, "%llu were not read",
	       (unsigned long long)(m.reads_put_off - put_off));
	before = processor_ns;
	on_removed(&process[EACH], e);
	EXPECT(processor_ns - before == cost_ns, "another user's is read");
	on_tick(&m, e);
	on_removed(&process[EACH + 1], e);
	before = processor_ns;
	on_removed(&process[EACH + 2], e);
	EXPECT(processor_ns - before == cost_ns, "so is one that ends in the next second");
	cost_ns = 0;
	hak_exposition_stop(e);
}

/* Returns the sum of the samples of one gauge. */
static unsigned gauge(struct hak_exposition *e, const char *name)
{
	unsigned sum = 0;
	size_t bytes, n = strlen(name);
	char *made;

	now_ns += SECOND;
	EXPECT(text(HAK_METRICS_PROMETHEUS, e, &made, &bytes) == 0, "a text");
	for (char *at = strstr(made, name); at; at = strstr(at + n, name))
		if (at[-1] == '\n' && at[n] == '{')
			sum += (unsigned)strtoul(strchr(at, '}') + 1, NULL, 10);
	free(made);
	return sum;
}

/* What processes do not do is counted for as long as it lasts. */
static void test_unmet(void)
{
	struct hak_exposition *e = start();

	process[0].unmet.limit = process[1].unmet.limit = true;
	process[2].unmet.answer = true;
	EXPECT(gauge(e, "hakmem_limits_unmet") == 2, "two limits");
	EXPECT(gauge(e, "hakmem_purges_unanswered") == 1, "one purge");
	process[0].unmet.limit = process[2].unmet.answer = false;
	EXPECT(gauge(e, "hakmem_limits_unmet") == 1, "one limit");
	EXPECT(gauge(e, "hakmem_purges_unanswered") == 0, "no purge");
	process[1].unmet.limit = false;
	hak_exposition_stop(e);
}

/* Page tables are walked once a minute. A sample says no more than what is resident since. */
static void test_samples(void)
{
	struct hak_exposition *e = NULL;
	size_t bytes;
	char *made;

	EXPECT(hak_exposition_start(&m, "/", &e) == 0, "starts");
	on_added(&process[0], e);
	resident = (struct hak_resident){ .rss = 90, .anonymous = 80, .lazy_free = 70, .pss = 60 };
	walks = 0;
	total(e);
	EXPECT(walks == 1 && taken.source == HAK_RESIDENT_SUMMED && taken.lazy_free == 70,
	       "%u walks, %u lazily freed", walks, (unsigned)taken.lazy_free);
	resident = (struct hak_resident){ .rss = 30, .anonymous = 20 };
	total(e);
	EXPECT(walks == 1 && taken.rss == 30 && taken.lazy_free == 20 && taken.pss == 30,
	       "%u walks, %u of %u lazily freed", walks, (unsigned)taken.lazy_free,
	       (unsigned)taken.anonymous);
	now_ns += 10 * SECOND;
	EXPECT(text(HAK_METRICS_PROMETHEUS, e, &made, &bytes) == 0, "a text");
	EXPECT(strstr(made, "\nhakmem_daemon_sample_age_seconds 11\n"), "%s", made);
	free(made);
	now_ns += 60 * SECOND;
	total(e);
	EXPECT(walks == 2 && taken.lazy_free == 0, "%u walks", walks);
	hak_exposition_stop(e);
}

/* The walks over one user's processes take that user's share of the time. */
static void test_walks(void)
{
	struct hak_exposition *e = start();

	walks = 0;
	walk_ns = SAMPLES_USER_NS;
	total(e);
	EXPECT(walks == SAMPLES_NS / SAMPLES_USER_NS, "%u walks", walks);
	total(e);
	EXPECT(walks > SAMPLES_NS / SAMPLES_USER_NS, "no more walks follow");
	walk_ns = 0;
	hak_exposition_stop(e);
}

static const struct tcase cases[] = {
	{ "samples", test_samples }, { "walks", test_walks }, { "bounds", test_bounds },
	{ "saves", test_saves },     { "ends", test_ends },   { "unmet", test_unmet },
};

int main(int argc, char **argv)
{
	hak_processor_clock(processor);
	hak_sleep_clock(no_sleep);
	for (unsigned i = 0; i < ALL; i++) {
		segment[i].stats_ino = 10000 + i;
		segment[i].header.created_ns = 3 * i + 1;
		process[i].seg = &segment[i];
		process[i].manager = &m;
		process[i].id.account = 1000 + i / EACH;
		snprintf(process[i].id.comm, HAK_COMM_BYTES, "command%u", i / EACH);
	}
	return RUN(argc, argv, cases);
}
