/* SPDX-License-Identifier: MIT */
/* Prints a profile as text and as JSON, see profile.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "control/emit.h"
#include "control/escape.h"
#include "control/value.h"
#include "hakmemctl/profile/profile.h"

#define STACKS_SHOWN 20
#define FRAMES_SHOWN 6
#define NAME_BYTES   2048

static const char *const words[PROFILE_WHATS] = {
	[PROFILE_ALLOC] = "allocated",
	[PROFILE_LIVE] = "in_use",
};

/* The largest standard deviation of a sum of weights, see libhakmem/heap/sample.h. */
static double error_of(const struct profile *p, double bytes)
{
	return sqrt((double)p->rate * bytes);
}

bool profile_says_why(const struct profile *p, char why[HAK_WHY_TEXT])
{
	char rate[HAK_VALUE_TEXT], ns[HAK_VALUE_TEXT];

	if (p->totals.samples || p->totals.lost)
		return false;
	hak_bytes_format(p->rate, rate);
	hak_ns_format(p->ns, ns);
	if (p->calls)
		snprintf(why, HAK_WHY_TEXT,
			 "no sample: it allocated %" PRIu64 " times in %s, too little for one "
			 "sample every %s; try a smaller --rate, such as --rate=1K, or more "
			 "--seconds",
			 p->calls, ns, rate);
	else
		snprintf(why, HAK_WHY_TEXT,
			 "no sample: it allocated nothing in %s; give it work, or try more "
			 "--seconds; hakmemctl stats %d shows what it holds",
			 ns, (int)p->pid);
	return true;
}

/* -- JSON -------------------------------------------------------------------------------------- */
static void add_sums(const struct profile *p, struct json_object *o,
		     const struct profile_sums sums[PROFILE_WHATS])
{
	for (int what = 0; what < PROFILE_WHATS; what++) {
		struct json_object *s = json_object_new_object();

		hak_json_number(s, "bytes", (uint64_t)(sums[what].bytes + .5));
		hak_json_number(s, "error_bytes", (uint64_t)(error_of(p, sums[what].bytes) + .5));
		hak_json_number(s, "blocks", (uint64_t)(sums[what].blocks + .5));
		json_object_object_add(o, words[what], s);
	}
}

static struct json_object *frames_of(const struct profile *p, const struct profile_stack *s)
{
	struct json_object *list = json_object_new_array();
	char name[NAME_BYTES];

	for (size_t k = 0; k < s->frames; k++) {
		struct json_object *o = json_object_new_object();
		struct hak_symbol symbol = p->places->place[profile_place(p, s->frame[k])].symbol;

		profile_plain_name(p, s->frame[k], name, sizeof(name));
		hak_json_text(o, "function", name);
		hak_json_text(o, "symbol", symbol.function);
		hak_json_text(o, "file", symbol.module);
		hak_json_number(o, "offset", symbol.module_offset);
		hak_json_text(o, "source", symbol.source);
		if (symbol.source)
			hak_json_number(o, "line", (uint64_t)symbol.line);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *missing_of(const struct profile *p)
{
	struct json_object *rows = json_object_new_array(), *row;
	char why[HAK_WHY_TEXT];

	if (p->symbols && hak_symbols_missing(p->symbols, why)) {
		row = json_object_new_object();
		hak_json_text(row, "what", HAK_SYMBOLS_MISSING);
		hak_json_text(row, "why", why);
		json_object_array_add(rows, row);
	}
	return rows;
}

struct json_object *profile_document(const struct profile *p)
{
	struct json_object *o = hak_json_document("profile"), *list = json_object_new_array();
	char why[HAK_WHY_TEXT];

	hak_json_number(o, "pid", (uint64_t)p->pid);
	hak_json_text(o, "comm", p->comm);
	hak_json_number(o, "ns", p->ns);
	hak_json_number(o, "sample_bytes", p->rate);
	hak_json_number(o, "samples", p->totals.samples);
	hak_json_number(o, "sampled_frees", p->totals.frees);
	hak_json_text(o, "no_sample", profile_says_why(p, why) ? why : NULL);
	hak_json_number(o, "lost", p->totals.lost);
	hak_json_number(o, "lost_bytes", p->totals.lost_weight);
	hak_json_number(o, "unfollowed", p->totals.unfollowed);
	hak_json_number(o, "left_out", p->left_out);
	add_sums(p, o, p->sums);
	for (size_t i = 0; i < p->stacks; i++) {
		struct json_object *s = json_object_new_object();

		add_sums(p, s, p->stack[i].sums);
		json_object_object_add(s, "stack", frames_of(p, &p->stack[i]));
		json_object_array_add(list, s);
	}
	json_object_object_add(o, "stacks", list);
	/* names are resolved for the stacks */
	json_object_object_add(o, "missing", missing_of(p));
	return o;
}

/* -- text -------------------------------------------------------------------------------------- */
static void print_sum(const struct profile *p, FILE *to, const char *head, enum profile_what what)
{
	char bytes[HAK_VALUE_TEXT], error[HAK_VALUE_TEXT];

	hak_bytes_format((uint64_t)(p->sums[what].bytes + .5), bytes);
	hak_bytes_format((uint64_t)(error_of(p, p->sums[what].bytes) + .5), error);
	fprintf(to, "%-10s %8s +- %s in %.0f blocks\n", head, bytes, error, p->sums[what].blocks);
}

static void print_stack(const struct profile *p, FILE *to, const struct profile_stack *s)
{
	char bytes[HAK_VALUE_TEXT], name[NAME_BYTES];
	double all = p->sums[p->what].bytes;

	hak_bytes_format((uint64_t)(s->sums[p->what].bytes + .5), bytes);
	fprintf(to, "%8s %5.1f %% %9.0f  ", bytes, 100 * s->sums[p->what].bytes / all,
		s->sums[p->what].blocks);
	for (size_t k = 0; k < s->frames && k < FRAMES_SHOWN; k++) {
		profile_name(p, s->frame[k], name, sizeof(name));
		fprintf(to, "%s%s", k ? " < " : "", name);
	}
	fputs(!s->frames ? "[unknown]\n" : s->frames > FRAMES_SHOWN ? " < ...\n" : "\n", to);
}

void profile_report(const struct profile *p, FILE *to)
{
	char rate[HAK_VALUE_TEXT], ns[HAK_VALUE_TEXT], comm[4 * HAK_COMM_BYTES], why[HAK_WHY_TEXT];
	size_t shown = 0;

	hak_bytes_format(p->rate, rate);
	hak_ns_format(p->ns, ns);
	hak_escape(p->comm, comm, sizeof(comm));
	fprintf(to, "%d (%s): %" PRIu64 " samples in %s, one every %s\n", (int)p->pid, comm,
		(uint64_t)p->totals.samples, ns, rate);
	print_sum(p, to, "Allocated", PROFILE_ALLOC);
	print_sum(p, to, "In use", PROFILE_LIVE);
	if (p->totals.lost)
		fprintf(to, "Not in these figures: %" PRIu64 " samples that came too fast\n",
			(uint64_t)p->totals.lost);
	if (p->totals.unfollowed)
		fprintf(to, "In use is too low: %" PRIu64 " samples were too many to follow\n",
			(uint64_t)p->totals.unfollowed);
	if (p->left_out)
		fprintf(to,
			"Without their stacks: %" PRIu64
			" samples, because there were too many stacks\n",
			p->left_out);
	if (p->sums[p->what].bytes <= 0)
		return;
	fprintf(to, "\n%8s %7s %9s  WHERE\n", p->what == PROFILE_LIVE ? "IN-USE" : "ALLOC", "",
		"BLOCKS");
	for (size_t i = 0; i < p->stacks && shown < STACKS_SHOWN; i++)
		if (p->stack[i].sums[p->what].bytes > 0) {
			print_stack(p, to, &p->stack[i]);
			shown++;
		}
	if (p->symbols && hak_symbols_missing(p->symbols, why))
		fprintf(to, "\nMissing: " HAK_SYMBOLS_MISSING ": %s\n", why);
}
