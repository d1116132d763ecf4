/* SPDX-License-Identifier: MIT */
/*
 * Prints the document of a trace as text, see trace.h: first the result, then the times, then the
 * details. Bars consist of eighths of a character where the terminal has them, and of # elsewhere.
 * Colour only repeats what the words say.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hakmemctl/trace/trace.h"

struct report {
	FILE *to;
	struct json_object *o;
	bool color, blocks; /* blocks: the terminal can show them */
	int width;
};

/* -- reading the document ---------------------------------------------------------------------- */
static uint64_t number(struct json_object *o, const char *key)
{
	return o ? hak_json_get(o, key) : 0;
}

static double real(struct json_object *o, const char *key)
{
	struct json_object *value = o ? hak_json_member(o, key) : NULL;

	return value ? json_object_get_double(value) : 0;
}

/* Returns texts in a rotation of buffers, so that one line may use several. */
static const char *bytes(uint64_t v)
{
	static char text[8][HAK_VALUE_TEXT];
	static int next;

	next = (next + 1) % 8;
	hak_bytes_format(v, text[next]);
	return text[next];
}

static const char *time_of(uint64_t ns)
{
	static char text[8][HAK_VALUE_TEXT];
	static int next;

	next = (next + 1) % 8;
	hak_ns_format(ns, text[next]);
	return text[next];
}

static int percent(double ratio)
{
	return (int)(ratio * 100 + 0.5);
}

/* -- drawing ----------------------------------------------------------------------------------- */
static void head(const struct report *r, const char *text)
{
	fprintf(r->to, "\n%s%s%s\n", r->color ? "\033[1m" : "", text, r->color ? "\033[0m" : "");
}

/* Prints `part` of a bar of `cells`. */
static void bar(const struct report *r, double part, int cells, const char *color)
{
	static const char *const eighth[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	int eighths = (int)(part * cells * 8 + 0.5), used;

	/* A share above 0 has a visible bar. */
	if (part > 0 && eighths == 0)
		eighths = 1;
	if (r->color)
		fputs(color, r->to);
	for (used = 0; used < eighths / 8; used++)
		fputs(r->blocks ? "█" : "#", r->to);
	if (r->blocks && eighths % 8) {
		fputs(eighth[eighths % 8], r->to);
		used++;
	} else if (!r->blocks && (eighths % 8 >= 4 || eighths < 8) && eighths % 8) {
		fputs(eighths % 8 >= 4 ? "#" : ".", r->to);
		used++;
	}
	if (r->color)
		fputs("\033[0m", r->to);
	fprintf(r->to, "%*s", cells - used, "");
}

static void line(const struct report *r, const char *label, uint64_t value, uint64_t sum,
		 uint64_t most, const char *color)
{
	fprintf(r->to, "  %9s ", label);
	fputs(r->blocks ? "│" : "|", r->to);
	bar(r, most ? (double)value / (double)most : 0, r->width - 32, color);
	fprintf(r->to, " %8s %3d %%\n", bytes(value),
		sum ? percent((double)value / (double)sum) : 0);
}

/* -- parts ------------------------------------------------------------------------------------- */
#define PROCESSES_SHOWN 5

static int by_time(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a;
	struct json_object *y = *(struct json_object *const *)b;
	uint64_t p = number(x, "calls_ns") + number(x, "faults_ns");
	uint64_t q = number(y, "calls_ns") + number(y, "faults_ns");

	return (p < q) - (p > q);
}

static void print_processes(const struct report *r)
{
	struct json_object *rows = hak_json_member(r->o, "processes"),
			   *cost = hak_json_member(r->o, "cost");
	size_t n = json_object_array_length(rows);

	json_object_array_sort(rows, by_time);
	for (size_t i = 0; i < n && i < PROCESSES_SHOWN; i++) {
		struct json_object *p = json_object_array_get_idx(rows, i);
		const char *allocator = hak_json_get_text(p, "allocator");
		const char *born = hak_json_get_text(p, "born");
		bool ended = json_object_get_boolean(hak_json_member(p, "ended"));

		fprintf(r->to, "%" PRIu64 " %s%s%s%s%s%s\n", number(p, "pid"),
			hak_json_get_text(p, "comm"), allocator ? " on " : "",
			allocator ? allocator : "", strcmp(born, "running") ? ", " : "",
			strcmp(born, "running") ? born : "", ended ? ", ended" : "");
	}
	if (n > PROCESSES_SHOWN)
		fprintf(r->to, "and %zu more processes\n", n - PROCESSES_SHOWN);
	fprintf(r->to, "%s traced, window %s; memory cost %s of processor time, %d %% of one\n\n",
		time_of(number(r->o, "ns")), time_of(number(r->o, "window_ns")),
		time_of(number(cost, "ns")), percent(real(cost, "of_one_processor")));
}

static void print_summary(const struct report *r)
{
	struct json_object *g = hak_json_member(r->o, "given_back"),
			   *f = hak_json_member(r->o, "refilled"),
			   *a = hak_json_member(r->o, "address_reuse"),
			   *k = hak_json_member(r->o, "kept_reuse");
	bool least = json_object_get_boolean(hak_json_member(f, "lower_bound"));

	fprintf(r->to, "Given back    %8s  of address space, by %" PRIu64 " calls\n",
		bytes(number(g, "bytes")), number(g, "calls"));
	if (hak_json_member(g, "freed_bytes"))
		fprintf(r->to, "Memory freed  %8s  by these calls\n",
			bytes(number(g, "freed_bytes")));
	if (number(g, "lazy_bytes"))
		fprintf(r->to,
			"Freed lazily  %8s  (MADV_FREE), to be taken when the kernel needs "
			"it\n",
			bytes(number(g, "lazy_bytes")));
	fprintf(r->to, "Taken again   %8s  within %s: %s%d %% of the address space",
		bytes(number(f, "bytes")), time_of(number(r->o, "window_ns")),
		least ? "at least " : "", percent(real(f, "ratio")));
	if (hak_json_member(f, "ratio_of_memory") && !least)
		fprintf(r->to, ", about %d %% of the memory", percent(real(f, "ratio_of_memory")));
	if (number(f, "late_bytes"))
		fprintf(r->to, "; %s later", bytes(number(f, "late_bytes")));
	fputc('\n', r->to);
	if (number(a, "maps"))
		fprintf(r->to,
			"Mapped again  %8" PRIu64 "  of %" PRIu64
			" new mappings took the place of one that was removed: %d %%\n",
			number(a, "exact"), number(a, "maps"), percent(real(a, "exact_ratio")));
	if (k && number(k, "hits") + number(k, "misses"))
		fprintf(r->to,
			"Kept          %8" PRIu64 "  of %" PRIu64
			" blocks of 1 MiB and more needed no call, because hakmem kept memory: "
			"%d %%\n",
			number(k, "hits"), number(k, "hits") + number(k, "misses"),
			percent(real(k, "ratio")));
	if (least)
		fputs("A page that MADV_FREE gave back and that is used again before the kernel "
		      "takes it\ncauses no fault, so such reuse is not counted.\n",
		      r->to);
}

/* Prints a histogram of nanoseconds, in rows that each cover four times the time of the previous
 * one. */
static void print_distances(const struct report *r)
{
	struct json_object *f = hak_json_member(r->o, "refilled"),
			   *rows = hak_json_member(f, "distance_ns");
	uint64_t bin[HAK_HISTOGRAM_SLOTS / 2] = { 0 }, most, sum;
	size_t first = HAK_HISTOGRAM_SLOTS / 2, last = 0;

	if (!number(hak_json_member(r->o, "given_back"), "bytes"))
		return;
	most = sum = hak_json_member(f, "never_bytes") ? number(f, "never_bytes") : 0;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		unsigned slot = 62u - (unsigned)__builtin_clzll(number(row, "to") | 2);
		size_t at = slot / 2 < sizeof(bin) / sizeof(bin[0]) ? slot / 2 : 0;

		bin[at] += number(row, "count");
		sum += number(row, "count");
		most = bin[at] > most ? bin[at] : most;
		first = at < first ? at : first;
		last = at > last ? at : last;
	}
	if (first > last && !hak_json_member(f, "never_bytes"))
		return;
	head(r, "How soon what was given back is taken again");
	for (size_t i = first; i <= last; i++) {
		char label[16];

		snprintf(label, sizeof(label), "< %s", time_of(4ull << (2 * i)));
		line(r, label, bin[i], sum, most, "\033[33m");
	}
	if (hak_json_member(f, "never_bytes"))
		line(r, "not again", number(f, "never_bytes"), sum, most, "\033[32m");
}

static void print_calls(const struct report *r)
{
	struct json_object *rows = hak_json_member(r->o, "calls");
	char text[100];

	if (json_object_array_length(rows) == 0)
		return;
	snprintf(text, sizeof(text), "%-19s %7s %6s %8s %8s %8s %8s %8s", "System calls", "CALLS",
		 "FAILED", "BYTES", "GIVEN", "FREED", "TIME", "MEAN");
	head(r, text);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *c = json_object_array_get_idx(rows, i);

		fprintf(r->to, "  %-17s %7" PRIu64 " %6" PRIu64 " %8s %8s %8s %8s %8s\n",
			hak_json_get_text(c, "call"), number(c, "calls"), number(c, "failed"),
			bytes(number(c, "bytes")), bytes(number(c, "given_bytes")),
			bytes(number(c, "freed_bytes")), time_of(number(c, "ns")),
			time_of(number(c, "mean_ns")));
	}
}

static void print_faults(const struct report *r)
{
	struct json_object *rows = hak_json_member(r->o, "faults"),
			   *tlb = hak_json_member(r->o, "tlb"),
			   *cost = hak_json_member(r->o, "cost");
	char text[100];

	snprintf(text, sizeof(text), "%-19s %7s %42s %8s", "Page faults", "FAULTS", "TIME", "MEAN");
	head(r, text);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *f = json_object_array_get_idx(rows, i);

		if (!number(f, "faults") && i)
			continue;
		fprintf(r->to, "  %-17s %7" PRIu64 " %42s %8s\n", hak_json_get_text(f, "fault"),
			number(f, "faults"), number(f, "timed") ? time_of(number(f, "ns")) : "-",
			number(f, "timed") ? time_of(number(f, "mean_ns")) : "-");
	}
	fprintf(r->to, "  cleared by the kernel: %s, about %s of the time above (estimated)\n",
		bytes(number(r->o, "zeroed_bytes")),
		time_of(number(cost, "zeroing_within_ns_estimated")));
	if (tlb)
		fprintf(r->to,
			"  TLB shootdowns: %" PRIu64 " sent to other processors, %" PRIu64
			" interrupts taken\n",
			number(tlb, "shootdowns"), number(tlb, "interrupts"));
}

static void print_regions(const struct report *r)
{
	struct json_object *rows = hak_json_member(r->o, "processes");
	uint64_t first = 0, last = 0, most = 0;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *v =
			hak_json_member(json_object_array_get_idx(rows, i), "regions");

		first += number(v, "first");
		last += number(v, "last");
		most = number(v, "most") > most ? number(v, "most") : most;
	}
	fputs("\nRegions (VMAs): ", r->to);
	if (json_object_array_length(rows) == 1)
		fprintf(r->to, "%" PRIu64 " at the start, %" PRIu64 " at the end, ", first, last);
	fprintf(r->to,
		"at most %" PRIu64 " in one process; made or removed by calls: %" PRIu64 "\n", most,
		number(r->o, "regions_changed"));
}

static void print_cost(const struct report *r)
{
	struct json_object *cost = hak_json_member(r->o, "cost"),
			   *m = hak_json_member(cost, "measured"),
			   *e = hak_json_member(cost, "estimated");

	head(r, "Cost, in processor time");
	fprintf(r->to, "  measured   %9s: system calls %s, page faults %s\n",
		time_of(number(m, "ns")), time_of(number(m, "calls_ns")),
		time_of(number(m, "faults_ns")));
	fprintf(r->to, "  estimated  %9s: interrupts %s, faults not timed %s\n",
		time_of(number(e, "ns")), time_of(number(e, "interrupts_ns")),
		time_of(number(e, "untimed_faults_ns")));
}

/* Prints "function", or the module with the offset, or the address. */
static void print_frame(const struct report *r, struct json_object *f)
{
	const char *function = hak_json_get_text(f, "function"),
		   *module = hak_json_get_text(f, "module"), *name;

	if (function) {
		fputs(function, r->to);
		return;
	}
	if (!module) {
		fprintf(r->to, "0x%" PRIx64, number(f, "address"));
		return;
	}
	name = strrchr(module, '/');
	fprintf(r->to, "%s+0x%" PRIx64, name ? name + 1 : module, number(f, "module_offset"));
}

#define FRAMES_SHOWN 8

static void print_sites(const struct report *r)
{
	struct json_object *rows = hak_json_member(r->o, "sites");

	if (json_object_array_length(rows) == 0)
		return;
	head(r, "Where it is given back");
	for (size_t i = 0; i < json_object_array_length(rows) && i < 5; i++) {
		struct json_object *s = json_object_array_get_idx(rows, i),
				   *frames = hak_json_member(s, "frames");
		size_t n = json_object_array_length(frames);

		fprintf(r->to, "  %3d %%  %8s  %8" PRIu64 " x %s\n", percent(real(s, "share")),
			bytes(number(s, number(s, "freed_bytes") ? "freed_bytes" : "bytes")),
			number(s, "calls"), hak_json_get_text(s, "call"));
		fprintf(r->to, "         ");
		for (size_t j = 0; j < n && j < FRAMES_SHOWN; j++) {
			if (j)
				fputs(r->blocks ? " ← " : " < ", r->to);
			print_frame(r, json_object_array_get_idx(frames, j));
		}
		fputs(n == 0		 ? "not known: the program had ended\n"
		      : n > FRAMES_SHOWN ? (r->blocks ? " ← …\n" : " < ...\n")
					 : "\n",
		      r->to);
	}
}

static void print_doubts(const struct report *r)
{
	struct json_object *lost = hak_json_member(r->o, "lost"),
			   *rows = hak_json_member(r->o, "missing");

	fprintf(r->to,
		"\nNot in these figures: %" PRIu64 " events, %" PRIu64 " calls and faults, %" PRIu64
		" call sites, %" PRIu64 " processes; not followed %s\n",
		number(lost, "events"), number(lost, "threads"), number(lost, "sites"),
		number(lost, "processes"), bytes(number(lost, "unfollowed_bytes")));
	if (json_object_get_boolean(hak_json_member(r->o, "all_calls_taxed")))
		fputs("All system calls of the machine were slowed down a little, because tracefs "
		      "cannot be\naccessed.\n",
		      r->to);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *m = json_object_array_get_idx(rows, i);

		fprintf(r->to, "Missing: %s: %s\n", hak_json_get_text(m, "what"),
			hak_json_get_text(m, "why"));
	}
}

static int terminal_width(void)
{
	struct winsize size;
	int width = 80;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		width = size.ws_col;
	return width < 60 ? 60 : width > 120 ? 120 : width;
}

void trace_report(FILE *to, struct ctl *ctl, struct json_object *document)
{
	struct report r = { .to = to,
			    .o = document,
			    .color = ctl->color,
			    .blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
			    .width = terminal_width() };

	print_processes(&r);
	print_summary(&r);
	print_distances(&r);
	print_calls(&r);
	print_faults(&r);
	print_regions(&r);
	print_cost(&r);
	print_sites(&r);
	print_doubts(&r);
}
