// SPDX-License-Identifier: MIT
/*
 * What malloc reports, and what may be set, through glibc's own interface: malloc_trim, mallinfo,
 * malloc_stats, malloc_info, mallopt.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>

/* Freed memory leaves the process, and malloc_trim reports it. */
static void trim_returns_memory(void)
{
	enum { BLOCKS = 60000 };
	static void *p[BLOCKS];
	long full, kept;
	size_t i;
	int r;

	for (i = 0; i < BLOCKS; i++) {
		size_t n = 16 + i % 2000 * (1 + i % 3);

		CHECK((p[i] = malloc(n)) != NULL);
		memset(p[i], 1, n);
	}
	full = rss_kib();
	for (i = 0; i < BLOCKS; i++)
		free(p[i]);
	r = malloc_trim(0);
	CHECK(r == 0 || r == 1, "malloc_trim returned %d", r);
	kept = rss_kib();
	CHECK(full > 64 * 1024, "only %ld KiB were in use", full);
	CHECK(kept < full / 4, "%ld KiB before, %ld after", full, kept);
	if (on_hakmem()) {
		malloc_trim(0);
		CHECK(malloc_trim(0) == 0); /* nothing is left to return */
	}
	exercise_all_tiers(1);
}

static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void mallinfo2_tells_the_truth(void)
{
	static void *p[10000];
	size_t before = in_use(), with, after, i, sum = 0;

	for (i = 0; i < 10000; i++) {
		size_t n = i % 100 == 0 ? 100000 : i % 1000 == 1 ? 2 * MIB : 500;

		CHECK((p[i] = malloc(n)) != NULL);
		sum += n;
	}
	with = in_use();
	CHECK(with - before >= sum, "%zu in use, %zu more than before, for %zu", with,
	      with - before, sum);
	CHECK(with - before < sum + sum / 4 + MIB, "%zu more for %zu", with - before, sum);
	for (i = 0; i < 10000; i++)
		free(p[i]);
	after = in_use();
	CHECK(after < before + sum / 20, "%zu before, %zu with, %zu after", before, with, after);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void mallinfo_fits_in_ints(void)
{
	void *p = malloc(64 * MIB);
	struct mallinfo m = mallinfo();

	CHECK(p);
	CHECK(m.uordblks >= 0 && m.hblkhd >= 0 && m.arena >= 0 && m.fordblks >= 0);
	CHECK((size_t)m.uordblks + m.hblkhd >= 64 * MIB, "%d + %d", m.uordblks, m.hblkhd);
	free(p);
}
#pragma GCC diagnostic pop

static void stats_to_stderr(void *arg)
{
	(void)arg;
	malloc_stats();
}

static void malloc_stats_prints(void)
{
	struct outcome o;

	run_captured(stats_to_stderr, NULL, &o);
	CHECK(o.status == 0, "status %#x", o.status);
	CHECK(o.len > 20 && strchr(o.err, '\n') && strpbrk(o.err, "0123456789"), "it printed: %s",
	      o.err);
}

/* Every element is closed, in the right order; attributes are quoted. */
static void xml_is_well_formed(const char *s)
{
	char open[32][32];
	int depth = 0, seen = 0;

	while ((s = strchr(s, '<')) != NULL) {
		const char *end = strchr(s, '>');
		size_t name;

		CHECK(end, "an element is not closed: %.40s", s);
		s++;
		if (*s == '/') {
			CHECK(depth > 0);
			depth--;
			CHECK(strncmp(open[depth], s + 1, strlen(open[depth])) == 0,
			      "<%s> is closed by <%.20s", open[depth], s);
		} else if (end[-1] != '/') {
			name = strcspn(s, " />");
			CHECK(depth < 32 && name > 0 && name < 32);
			memcpy(open[depth], s, name);
			open[depth++][name] = '\0';
		}
		seen++;
		s = end;
	}
	CHECK(depth == 0 && seen >= 4, "%d elements, %d open", seen, depth);
}

static void malloc_info_is_xml(void)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");
	int r;

	CHECK(f);
	r = malloc_info(0, f);
	CHECK(r == 0, "malloc_info returned %d", r);
	fclose(f);
	CHECK(strncmp(text, "<malloc version=", 16) == 0, "it begins %.40s", text);
	CHECK(strstr(text, "</malloc>"));
	xml_is_well_formed(text);
	f = fmemopen(text, sizeof(text), "w");
	CHECK(f);
	r = malloc_info(opaque(1), f);
	CHECK(r == EINVAL, "malloc_info(1, f) returned %d", r); /* as glibc's does */
	fclose(f);
}

/* A block of every size is in the cache: the ranges that are shown adjoin without a gap. */
static void malloc_info_ranges_adjoin(void)
{
	static char text[65536];
	size_t n, shown = 0, below = 0, from, to;
	FILE *f = fmemopen(text, sizeof(text), "w");
	const char *s;

	need_hakmem();
	CHECK(f);
	for (n = 1; n <= 65536; n++) {
		void *p = malloc(n);

		CHECK(p);
		n = malloc_usable_size(p);
		free(p);
	}
	CHECK(malloc_info(0, f) == 0);
	fclose(f);
	if (!strstr(text, "<size "))
		SKIP("no counters for each class in this build");
	for (s = text; (s = strstr(s, "<size from=\"")) != NULL; s++) {
		CHECK(sscanf(s, "<size from=\"%zu\" to=\"%zu\"", &from, &to) == 2);
		CHECK(from <= to, "from %zu to %zu", from, to);
		CHECK(from == below + 1 || to > 65536, "%zu to %zu, after %zu", from, to, below);
		below = to;
		shown++;
	}
	CHECK(shown > 30 && below >= 65536, "%zu ranges up to %zu", shown, below);
}

static void mallopt_accepts(void)
{
	static const int known[] = {
		M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD,	    M_MMAP_MAX,
		M_ARENA_MAX,	  M_ARENA_TEST,	    M_CHECK_ACTION, M_PERTURB,
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		CHECK(mallopt(known[i], i == 7 ? 0 : 65536) == 1, "mallopt(%d)", known[i]);
	CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1);
	CHECK(mallopt(M_ARENA_MAX, 0) == 1 && mallopt(M_ARENA_TEST, 0) == 1);
	mallopt(opaque(12345), 1);
	mallopt(-12345, -1);
	mallopt(M_MMAP_THRESHOLD, INT_MAX);
	mallopt(M_TRIM_THRESHOLD, -1);
	mallopt(M_TOP_PAD, INT_MAX);
	exercise_all_tiers(2);
}

/* Returns the number behind `what` in the text of malloc_stats() or malloc_info(). */
static size_t number_after(const char *text, const char *what)
{
	const char *s = strstr(text, what);
	size_t n = 0;

	CHECK(s && sscanf(s + strlen(what), "%zu", &n) == 1, "no \"%s\" in: %s", what, text);
	return n;
}

struct said {
	size_t regions, region_bytes, most_regions, most_region_bytes;
	size_t heap_now, heap_most, now, most; /* system bytes */
};

static void ask(struct said *to)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");
	char *rest;
	int fds[2], keep = dup(2);
	ssize_t n;

	CHECK(f && malloc_info(0, f) == 0);
	fclose(f);
	to->heap_now = number_after(text, "<system type=\"current\" size=\"");
	to->heap_most = number_after(text, "<system type=\"max\" size=\"");
	rest = strstr(text, "</heap>");
	CHECK(rest);
	to->now = number_after(rest, "<system type=\"current\" size=\"");
	to->most = number_after(rest, "<system type=\"max\" size=\"");
	CHECK(pipe(fds) == 0 && dup2(fds[1], 2) == 2);
	malloc_stats();
	dup2(keep, 2);
	close(keep);
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	CHECK(n > 0);
	text[n] = 0;
	close(fds[0]);
	to->regions = number_after(text, "\nmmap regions     = ");
	to->region_bytes = number_after(text, "\nmmap bytes       = ");
	to->most_regions = number_after(text, "\nmax mmap regions = ");
	to->most_region_bytes = number_after(text, "\nmax mmap bytes   = ");
}

/* Nothing is kept (whale.ring_slots=0), so that this program has all that is mapped. */
static void peaks_are_those_of_the_books(void)
{
	struct said before, with, after;
	void *p[10];
	size_t i;

	need_hakmem();
	ask(&before);
	for (i = 0; i < 10; i++)
		CHECK((p[i] = malloc((i + 1) * MIB)) != NULL);
	for (i = 5; i < 10; i++) {
		free(p[i]);
		CHECK((p[i] = malloc(2 * MIB)) != NULL);
	}
	ask(&with);
	for (i = 0; i < 10; i++)
		free(p[i]);
	malloc_trim(0);
	ask(&after);
	CHECK(with.regions == before.regions + 10, "%zu, then %zu", before.regions, with.regions);
	CHECK(with.region_bytes == before.region_bytes + 25 * MIB, "%zu", with.region_bytes);
	CHECK(after.regions == before.regions && after.region_bytes == before.region_bytes,
	      "%zu regions, %zu bytes left", after.regions, after.region_bytes);
	CHECK(after.most_regions == before.regions + 10, "at most %zu", after.most_regions);
	/* 1 to 10 MiB at once, before the first of the five was replaced */
	CHECK(after.most_region_bytes == before.region_bytes + 55 * MIB, "at most %zu",
	      after.most_region_bytes);
	CHECK(after.most >= before.now + 55 * MIB && after.most <= with.heap_most + 55 * MIB,
	      "%zu bytes at most, %zu before", after.most, before.now);
	CHECK(after.heap_most >= after.heap_now && after.now < after.most, "%zu, %zu",
	      after.heap_now, after.now);
}

enum { PEAK_THREADS = 4 };
static pthread_barrier_t peak_turn;

/*
 * Only in round 7 do all threads have theirs at the same time; in other rounds each frees its own
 * before the next one allocates.
 */
static void *takes_turns(void *arg)
{
	size_t me = (size_t)arg, round;

	for (round = 0; round < 20; round++) {
		void *p = NULL;

		pthread_barrier_wait(&peak_turn);
		if (round == 7 || round % PEAK_THREADS == me)
			CHECK((p = malloc((me + 1) * 4 * MIB)) != NULL);
		pthread_barrier_wait(&peak_turn);
		free(p);
	}
	return NULL;
}

static void peaks_add_up_over_threads(void)
{
	pthread_t t[PEAK_THREADS];
	struct said before, after;
	size_t i;

	need_hakmem();
	ask(&before);
	CHECK(pthread_barrier_init(&peak_turn, NULL, PEAK_THREADS) == 0);
	for (i = 0; i < PEAK_THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, takes_turns, (void *)i) == 0);
	for (i = 0; i < PEAK_THREADS; i++)
		pthread_join(t[i], NULL);
	ask(&after);
	CHECK(after.most_regions == before.regions + 4, "at most %zu regions, %zu before",
	      after.most_regions, before.regions);
	CHECK(after.most_region_bytes == before.region_bytes + 40 * MIB, "at most %zu bytes",
	      after.most_region_bytes);
}

/* Kept regions count as mapped: a second block in the place of the first adds nothing. */
static void kept_regions_count_once(void)
{
	struct said before, after;
	size_t i;

	need_hakmem();
	free(launder(malloc(8 * MIB)));
	ask(&before);
	for (i = 0; i < 100; i++)
		free(launder(malloc(8 * MIB)));
	ask(&after);
	CHECK(after.region_bytes == before.region_bytes && before.region_bytes >= 8 * MIB,
	      "%zu, then %zu", before.region_bytes, after.region_bytes);
	CHECK(after.most_region_bytes == before.most_region_bytes, "%zu, then %zu",
	      before.most_region_bytes, after.most_region_bytes);
}

static const struct tcase cases[] = {
	{ "trim_returns_memory", trim_returns_memory },
	{ "mallinfo2_tells_the_truth", mallinfo2_tells_the_truth },
	{ "mallinfo_fits_in_ints", mallinfo_fits_in_ints },
	{ "malloc_stats_prints", malloc_stats_prints },
	{ "malloc_info_is_xml", malloc_info_is_xml },
	{ "malloc_info_ranges_adjoin", malloc_info_ranges_adjoin },
	{ "mallopt_accepts", mallopt_accepts },
	{ "peaks_are_those_of_the_books", peaks_are_those_of_the_books, 0, "whale.ring_slots=0" },
	{ "peaks_add_up_over_threads", peaks_add_up_over_threads, 0, "whale.ring_slots=0" },
	{ "kept_regions_count_once", kept_regions_count_once },
};

MAIN(cases)
