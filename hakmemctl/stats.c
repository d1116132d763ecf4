/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl stats: all counters of a process's segment. JSON has all of them. The text has, for
 * each process, memory by state, the tiers, the region cache, the stages of refill and free, what
 * realloc and calloc saved, purges, and system calls.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hakmemctl/ctl.h"
#include "hakmemctl/words.h"

static int add_process(struct json_object *o, void *arg)
{
	json_object_array_add(arg, o);
	return CTL_OK;
}

/* -- text -------------------------------------------------------------------------------------- */
/* Writes "-" for a figure that is not known. */
static void bytes_of(struct json_object *o, const char *key, char text[HAK_VALUE_TEXT])
{
	strcpy(text, "-");
	if (key && hak_json_member(o, key))
		hak_bytes_format(hak_json_get(o, key), text);
}

/* A line of memory: keys of its figures, and its text. */
struct line {
	const char *key, *resident, *label, *remark;
};

static const struct line memory_lines[] = {
	{ "in_use", "in_use_resident", "in use", "blocks that the program holds" },
	{ "requested", NULL, "  requested", "of these, the bytes that were asked for; estimated" },
	{ "thread_cached", "thread_cached_resident", "thread-cached",
	  "free blocks that threads keep for their next malloc" },
	{ "slab_free", "slab_free_resident", "free in slabs", "free blocks between blocks in use" },
	{ "dirty", "dirty_resident", "cached dirty",
	  "free pages, kept for reuse until purge.delay_ms is over" },
	{ "lazy", "lazy_resident", "lazily freed",
	  "free pages, the kernel's as soon as it needs them" },
	{ NULL, "free_resident", "  all free",
	  "the four above: the most that could be given back" },
	{ "clean", NULL, "clean", "free, and given back already" },
	{ "reserved", NULL, "reserved", "for blocks that are still to come" },
	{ "mapped", NULL, "mapped", "in use and all that follows it, without metadata" },
	{ "metadata", "metadata_resident", "metadata", "tables of hakmem itself" },
};

static void print_memory(FILE *to, struct json_object *m)
{
	fprintf(to, "\nMEMORY %20s %9s  address space; the most of it that is resident\n", "SPACE",
		"RESIDENT");
	for (size_t i = 0; i < sizeof(memory_lines) / sizeof(memory_lines[0]); i++) {
		char space[HAK_VALUE_TEXT], resident[HAK_VALUE_TEXT];

		bytes_of(m, memory_lines[i].key, space);
		bytes_of(m, memory_lines[i].resident, resident);
		fprintf(to, "  %-15s %9s %9s  %s\n", memory_lines[i].label, space, resident,
			memory_lines[i].remark);
	}
}

/* -- resident memory --------------------------------------------------------------------------- */
/* Below this a process is small, whatever its memory belongs to. */
#define OTHER_LEAST_BYTES (16u << 20)

static void tell_other(FILE *to, struct json_object *r)
{
	char other[HAK_VALUE_TEXT], malloced[HAK_VALUE_TEXT];
	uint64_t bytes = hak_json_get(r, "other");

	if (bytes < OTHER_LEAST_BYTES || bytes <= hak_json_get(r, "malloc"))
		return;
	hak_bytes_format(bytes, other);
	bytes_of(r, "malloc", malloced);
	fprintf(to,
		"  Most of this program's memory, %s, is not from malloc, and hakmem acts on %s at "
		"most.\n",
		other, malloced);
}

static const struct line resident_lines[] = {
	{ "malloc", NULL, "malloc", "at most: the memory above" },
	{ "other", NULL, "other", "the program's own mappings, and stacks of threads" },
	{ "stack", NULL, "stack", "of the first thread" },
	{ "files", NULL, "files", "programs, libraries, mapped files" },
	{ "shared", NULL, "shared memory", "memfds, System V, /dev/shm" },
	{ "rss", NULL, "RSS", "all of the above" },
	{ "pss", NULL, "  PSS", "the same, with shared pages divided among processes" },
	{ "private", NULL, "  private", "in pages that no other process has" },
	{ "huge", NULL, "  huge pages", "in transparent huge pages" },
	{ "swap", NULL, "swap", "not in RSS" },
};

static void print_resident(FILE *to, struct json_object *r)
{
	fprintf(to, "\nRESIDENT\n");
	if (!r)
		fprintf(to, "  not known\n");
	for (size_t i = 0; r && i < sizeof(resident_lines) / sizeof(resident_lines[0]); i++) {
		char text[HAK_VALUE_TEXT];

		bytes_of(r, resident_lines[i].key, text);
		fprintf(to, "  %-15s %9s  %s\n", resident_lines[i].label, text,
			resident_lines[i].remark);
	}
	if (r)
		tell_other(to, r);
}

static void print_faults(FILE *to, struct json_object *p)
{
	if (hak_json_member(p, "minor_faults") && hak_json_member(p, "major_faults"))
		fprintf(to, "  %-15s %9" PRIu64 "  minor, and %" PRIu64 " major\n", "page faults",
			hak_json_get(p, "minor_faults"), hak_json_get(p, "major_faults"));
}

static void print_cycles(FILE *to, struct json_object *whale, const char *key, const char *label)
{
	struct json_object *value = hak_json_member(whale, key);

	if (value)
		fprintf(to, ", %s %.0f cycles", label, json_object_get_double(value));
}

static void print_whales(FILE *to, struct json_object *whale, struct json_object *c)
{
	char bytes[HAK_VALUE_TEXT], dirty[HAK_VALUE_TEXT];
	struct json_object *ratio = hak_json_member(whale, "hit_ratio");
	uint64_t hits = hak_json_get(c, "whale.hits"), misses = hak_json_get(c, "whale.misses");
	uint64_t regions = hak_json_get(c, "ring.regions");
	uint64_t evictions = hak_json_get(c, "ring.evictions");

	fprintf(to, "\nWHALES (blocks of 1 MiB and more)\n  %" PRIu64 " %s, %" PRIu64 " %s", hits,
		hits == 1 ? "hit" : "hits", misses, misses == 1 ? "miss" : "misses");
	if (ratio)
		fprintf(to, ", %.1f %%", 100 * json_object_get_double(ratio));
	fprintf(to, ", %" PRIu64 " mmap, %" PRIu64 " munmap", misses,
		hak_json_get(c, "whale.unkept") + hak_json_get(c, "ring.unmaps"));
	print_cycles(to, whale, "get_cycles", "get");
	print_cycles(to, whale, "put_cycles", "put");
	hak_bytes_format(hak_json_get(c, "ring.bytes"), bytes);
	hak_bytes_format(hak_json_get(c, "ring.dirty_bytes"), dirty);
	fprintf(to,
		"\n  kept for reuse: %" PRIu64 " %s of %s, up to %s of it resident; pages given "
		"back %" PRIu64 " %s\n",
		regions, regions == 1 ? "mapping" : "mappings", bytes, dirty, evictions,
		evictions == 1 ? "time" : "times");
}

/* What realloc and calloc were spared, and what they paid. */
static void print_resizes(FILE *to, struct json_object *c)
{
	char copied[HAK_VALUE_TEXT];

	hak_bytes_format(hak_json_get(c, "realloc.copy_bytes"), copied);
	fprintf(to,
		"\nREALLOC AND CALLOC\n  realloc: %" PRIu64 " in place, %" PRIu64
		" moved by mremap, %" PRIu64 " copied, %s in all\n",
		hak_json_get(c, "realloc.in_place"), hak_json_get(c, "realloc.remap"),
		hak_json_get(c, "realloc.copy"), copied);
	fprintf(to,
		"  calloc of more than 16K: %" PRIu64 " of memory that was zero already, %" PRIu64
		" cleared\n",
		hak_json_get(c, "calloc.skipped"), hak_json_get(c, "calloc.cleared"));
}

static void print_limit(FILE *to, struct json_object *p, struct json_object *c)
{
	uint64_t limit = hak_json_get(c, "purge.limit_bytes");
	uint64_t obeyed = hak_json_get(c, "purge.limit_obeyed");
	const char *path = hak_json_get_text(p, "memory_cgroup");
	char text[HAK_VALUE_TEXT];

	if (!limit)
		return;
	hak_bytes_format(limit, text);
	fprintf(to, "  limit %s of cgroup %s or one above, obeyed %" PRIu64 " %s\n", text,
		path ? path : "?", obeyed, obeyed == 1 ? "time" : "times");
}

static void print_purges(FILE *to, struct json_object *p, struct json_object *c)
{
	char bytes[HAK_VALUE_TEXT], time[HAK_VALUE_TEXT];
	uint64_t ns = hak_json_get(c, "purge.ns");

	hak_bytes_format(hak_json_get(c, "purge.bytes"), bytes);
	hak_ns_format(ns, time);
	fprintf(to, "\nPURGES\n  %" PRIu64 ", %s given back%s%s; requests answered: %" PRIu64 "\n",
		hak_json_get(c, "purge.count"), bytes, ns ? " in " : "", ns ? time : "",
		hak_json_get(c, "purge.requests"));
	fprintf(to,
		"  caches of sleeping threads emptied: %" PRIu64
		"; threads that kept theirs until their next call: %" PRIu64 "\n",
		hak_json_get(c, "purge.takeovers"), hak_json_get(c, "purge.held"));
	print_limit(to, p, c);
}

/* Every non-zero counter whose name begins with one of the prefixes, on as few lines as fit. */
static void print_group(FILE *to, const char *title, const char *const *prefixes,
			struct json_object *counters)
{
	int column = 0;

	fprintf(to, "\n%s\n", title);
	for (; *prefixes; prefixes++) {
		json_object_object_foreach(counters, name, value)
		{
			char text[160];
			int n;

			if (strncmp(name, *prefixes, strlen(*prefixes)) != 0 ||
			    json_object_get_uint64(value) == 0)
				continue;
			n = snprintf(text, sizeof(text), "%s %" PRIu64, name,
				     json_object_get_uint64(value));
			if (column && column + n > 92) {
				fputc('\n', to);
				column = 0;
			}
			fprintf(to, "%*s%s", 2, "", text);
			column += n + 2;
		}
	}
	fprintf(to, column ? "\n" : "  nothing yet\n");
}

static const struct hak_column tier_columns[] = {
	{ "TIER", "tier", HAK_SHOW_TEXT },
	{ "ALLOCS", "allocs", HAK_SHOW_NUMBER },
	{ "FREES", "frees", HAK_SHOW_NUMBER },
	{ "IN-USE", "in_use", HAK_SHOW_NUMBER },
	{ "BYTES", "in_use_bytes", HAK_SHOW_BYTES },
	{ "REQUESTED", "requested_bytes", HAK_SHOW_BYTES },
	{ "CACHED", "cached", HAK_SHOW_NUMBER },
	{ "CACHED-BYTES", "cached_bytes", HAK_SHOW_BYTES },
};
static const struct hak_column class_columns[] = {
	{ "CLASS", "class", HAK_SHOW_NUMBER },
	{ "SIZE", "size", HAK_SHOW_NUMBER },
	{ "TIER", "tier", HAK_SHOW_TEXT },
	{ "ALLOCS", "allocs", HAK_SHOW_NUMBER },
	{ "FREES", "frees", HAK_SHOW_NUMBER },
	{ "IN-USE", "in_use", HAK_SHOW_NUMBER },
	{ "BYTES", "in_use_bytes", HAK_SHOW_BYTES },
	{ "CACHED", "cached", HAK_SHOW_NUMBER },
	{ "REFILLED", "refilled", HAK_SHOW_NUMBER },
	{ "FLUSHED", "flushed", HAK_SHOW_NUMBER },
	{ "REMOTE", "flushed_remote", HAK_SHOW_NUMBER },
	{ "INHERITED", "inherited", HAK_SHOW_NUMBER, .hidden = true },
	{ "SAMPLES", "requested_samples", HAK_SHOW_NUMBER, .hidden = true },
	{ "SAMPLED", "requested_bytes", HAK_SHOW_NUMBER, .hidden = true },
};
#define CLASS_COLUMNS (sizeof(class_columns) / sizeof(class_columns[0]))
static const struct hak_column call_columns[] = {
	{ "CALL", "call", HAK_SHOW_TEXT },
	{ "CALLS", "calls", HAK_SHOW_NUMBER },
	{ "BYTES", "bytes", HAK_SHOW_BYTES },
	{ "TIME", "ns", HAK_SHOW_NS },
};

/* Combines sys.KIND.calls, .bytes and .ns into one row. Kinds that this program does not know are
 * rows like the others. */
static struct json_object *call_rows(struct json_object *counters)
{
	struct json_object *rows = json_object_new_array();

	json_object_object_foreach(counters, name, value)
	{
		char kind[HAK_NAME_BYTES], key[HAK_NAME_BYTES + 16];
		const char *end = strstr(name, ".calls");
		struct json_object *o;

		if (strncmp(name, "sys.", 4) != 0 || !end || end[6] ||
		    json_object_get_uint64(value) == 0)
			continue;
		snprintf(kind, sizeof(kind), "%.*s", (int)(end - name - 4), name + 4);
		o = json_object_new_object();
		hak_json_text(o, "call", kind);
		hak_json_number(o, "calls", json_object_get_uint64(value));
		snprintf(key, sizeof(key), "sys.%s.bytes", kind);
		hak_json_number(o, "bytes", hak_json_get(counters, key));
		snprintf(key, sizeof(key), "sys.%s.ns", kind);
		if (hak_json_get(counters, key))
			hak_json_number(o, "ns", hak_json_get(counters, key));
		json_object_array_add(rows, o);
	}
	return rows;
}

static struct json_object *used_classes(struct json_object *classes)
{
	struct json_object *rows = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(classes); i++) {
		struct json_object *c = json_object_array_get_idx(classes, i);

		if (hak_json_get(c, "allocs") || hak_json_get(c, "inherited") ||
		    hak_json_get(c, "refilled"))
			json_object_array_add(rows, json_object_get(c));
	}
	return rows;
}

void ctl_stats_words(ctl_see_word see, void *arg)
{
	for (size_t i = 0; i < sizeof(memory_lines) / sizeof(memory_lines[0]); i++)
		ctl_line_word(CTL_WORD_MEMORY, memory_lines[i].label, memory_lines[i].remark, see,
			      arg);
	for (size_t i = 0; i < sizeof(resident_lines) / sizeof(resident_lines[0]); i++)
		ctl_line_word(CTL_WORD_RESIDENT, resident_lines[i].label, resident_lines[i].remark,
			      see, arg);
	ctl_line_word(CTL_WORD_RESIDENT, "page faults",
		      "minor faults needed no read from a disk, major ones did", see, arg);
	ctl_column_words(CTL_WORD_TIERS, tier_columns,
			 sizeof(tier_columns) / sizeof(tier_columns[0]), see, arg);
	ctl_column_words(CTL_WORD_CLASSES, class_columns, CLASS_COLUMNS, see, arg);
	ctl_column_words(CTL_WORD_CALLS, call_columns,
			 sizeof(call_columns) / sizeof(call_columns[0]), see, arg);
}

static void print_table(struct ctl *ctl, FILE *to, struct json_object *rows,
			const struct hak_column *columns, size_t n, const char *selected)
{
	const struct hak_style style = { ctl->legend, ctl->color, selected };
	char why[HAK_WHY_TEXT];

	hak_emit_table(to, rows, columns, n, &style, why);
}

static void print_process(struct ctl *ctl, FILE *to, struct json_object *p)
{
	static const char *const refill[] = { "refill.", NULL };
	static const char *const frees[] = { "free.", "remote.", "pool.", NULL };
	static const char *const rest[] = { "slow.", "superslab.", "slab.",    "extent.",
					    "heap.", "process.",   "control.", NULL };
	struct json_object *counters = hak_json_member(p, "counters"), *rows;
	const char *library = hak_json_get_text(p, "library_state");

	fprintf(to, "%s (%" PRIu64 "), hakmem %s, %" PRIu64 " %s", hak_json_get_text(p, "comm"),
		hak_json_get(p, "pid"), hak_json_get_text(p, "version"), hak_json_get(p, "heaps"),
		hak_json_get(p, "heaps") == 1 ? "heap" : "heaps");
	if (strcmp(library, "ok") != 0)
		fprintf(to, ", library %s since it started", library);
	fputc('\n', to);
	print_memory(to, hak_json_member(p, "memory"));
	print_resident(to, hak_json_member(p, "resident"));
	print_faults(to, p);
	fputc('\n', to);
	print_table(ctl, to, hak_json_member(p, "tiers"), tier_columns,
		    sizeof(tier_columns) / sizeof(tier_columns[0]), NULL);
	print_whales(to, hak_json_member(p, "whale"), counters);
	print_group(to, "REFILLS", refill, counters);
	print_group(to, "FREES", frees, counters);
	print_resizes(to, counters);
	print_purges(to, p, counters);
	print_group(to, "OTHERS", rest, counters);
	fprintf(to, "\nSYSTEM CALLS for memory (TIME is counted while stats.timing is on)\n");
	rows = call_rows(counters);
	print_table(ctl, to, rows, call_columns, sizeof(call_columns) / sizeof(call_columns[0]),
		    NULL);
	fprintf(to,
		"  failed, without harm: %" PRIu64 "; mappings that munmap refused: %" PRIu64 "\n",
		hak_json_get(counters, "sys.errors"), hak_json_get(counters, "sys.unmap_kept"));
	json_object_put(rows);
	if (hak_json_member(p, "classes")) {
		fprintf(to, "\nCLASSES in use\n");
		rows = used_classes(hak_json_member(p, "classes"));
		print_table(ctl, to, rows, class_columns, CLASS_COLUMNS, ctl->columns);
		json_object_put(rows);
	}
}

/* -- the verb ---------------------------------------------------------------------------------- */
static int show(struct ctl *ctl, const char *target, bool classes)
{
	struct json_object *document = hak_json_document("stats");
	const struct ctl_report report = { classes ? HAK_REPORT_CLASSES : HAK_REPORT_STATS,
					   add_process, NULL };
	struct json_object *processes = json_object_new_array();
	FILE *to;
	int r;

	json_object_object_add(document, "processes", processes);
	r = ctl_report_each(ctl, target, &report, processes);
	if (ctl->json != HAK_JSON_OFF) {
		hak_emit_json(stdout, document, ctl->json);
	} else if (json_object_array_length(processes)) {
		to = ctl_pager_begin(ctl);
		for (size_t i = 0; i < json_object_array_length(processes); i++) {
			fputs(i ? "\n\n" : "", to);
			print_process(ctl, to, json_object_array_get_idx(processes, i));
		}
		ctl_pager_end(to);
	}
	json_object_put(document);
	return r;
}

int verb_stats(struct ctl *ctl, int argc, char **argv)
{
	char why[HAK_WHY_TEXT];
	uint64_t pause_ns = 0;
	bool classes = false;
	int option;

	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		if (option == 'c') {
			classes = true;
			continue;
		}
		pause_ns = 2000000000;
		if (ctl->argument && ctl_time(ctl, "watch", &pause_ns) != CTL_OK)
			return ctl->failure;
		if (pause_ns < 10000000)
			return ctl_usage(ctl, "--watch: not more often than every 10ms");
	}
	if (option == -2)
		return ctl->failure;
	if (argc - optind != 1)
		return ctl_usage(ctl, "expects one TARGET");
	if (pause_ns)
		return ctl_watch(ctl, argv[optind], classes, pause_ns);
	if (ctl->columns && !classes)
		return ctl_usage(ctl, "--columns is for the tables of --classes and --watch");
	if (hak_emit_check_columns(class_columns, CLASS_COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	return show(ctl, argv[optind], classes);
}
