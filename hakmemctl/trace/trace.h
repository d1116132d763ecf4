/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl trace: what its files share. trace.c takes the command line and runs the trace;
 * trace_watch.c keeps the processes, call sites and counters of hakmem that belong to it;
 * trace_malloc.c tells which malloc a process uses; trace_figures.c makes the document of it, the
 * one place where figures are computed; trace_report.c shows the document to people; trace_map.c
 * draws address spaces.
 *
 * One thread. A process that ends during the trace stays in the list: what it did is part of the
 * sums. What is printed of strangers (names, paths, symbols) goes through hak_json_text() or
 * hak_escape().
 */
#ifndef HAK_CTL_TRACE_H
#define HAK_CTL_TRACE_H

#include "bpf/session.h"
#include "bpf/symbols.h"
#include "control/snapshot.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/trace/price.h"

#define TRACE_SITES_MAX 8192
#define TRACE_MOMENTS	310 /* that a picture shows apart */

/* What hakmem's own counters say; zeros before the process had any. */
struct trace_kept {
	uint64_t hits, misses; /* whales served from what is kept, or not */
	uint64_t evictions, evicted_bytes;
};

struct trace_process {
	pid_t pid;
	uint64_t owner; /* of the last exec */
	char comm[HAK_COMM_BYTES], allocator[24];
	enum { BORN_BEFORE, BORN_FORKED, BORN_EXEC, BORN_MET } born;
	bool ended;
	size_t parent; /* index of whom it was forked from, +1; its owner then */
	uint64_t parents_owner;
	uint64_t vmas_first, vmas_last; /* 0: unknown */
	struct hak_symbols *symbols;
	bool of_32_bits; /* its system calls are not seen */
	bool on_hakmem;
	struct trace_kept kept_first, kept_last;
	struct hak_vma *after; /* regions when it was looked at last, for the map */
	size_t after_n;
};

/* A place that gives memory back, unwound when it was first seen. */
struct trace_site {
	struct hak_site_key key;
	const struct hak_symbols *symbols; /* NULL: nothing is known of its files */
	uint64_t path; /* a number for the frames, whatever process they are of */
	uint64_t address[HAK_FRAMES_MAX];
	size_t frames;
};

/* The sums at one moment. */
struct trace_moment {
	uint64_t ns, given, refilled;
};

struct trace {
	struct ctl *ctl;
	struct hak_session *session;
	uint64_t window_ns, started_ns, stopped_ns;
	bool events;
	const char *target; /* as given, or the command's name */
	struct trace_process *process;
	size_t processes, processes_room;
	struct trace_site *site;
	size_t sites, sites_room;
	bool map;
	struct trace_moment *moment; /* for the map */
	size_t moments, moments_room;
	uint64_t moment_ns; /* from one to the next, at least */
	pid_t command;	    /* 0: none, or it has ended */
};

/* -- trace_watch.c ----------------------------------------------------------------------------- */
/* A process at the start of the trace, or one that is told of later. 0 or -errno. */
int trace_add(struct trace *t, pid_t pid, int born, uint64_t owner);
/* For struct hak_session_options. */
void trace_told(const struct hak_event *e, void *arg);
/* Looks at what cannot be looked at once a process is gone. `last`: at the end of the trace. */
void trace_look(struct trace *t, bool last);
void trace_free(struct trace *t);
/* Notes the sums of this moment, if the one before is some time ago or it is the `last`. */
void trace_note_moment(struct trace *t, bool last);
const char *trace_call_word(enum hak_call call);

/* -- trace_malloc.c ---------------------------------------------------------------------------- */
/* A word for the malloc that a process uses; NULL: unknown. */
const char *trace_malloc_of(int procfd);

/* -- trace_figures.c --------------------------------------------------------------------------- */
struct json_object *trace_figures(struct trace *t);

/* -- trace_report.c ---------------------------------------------------------------------------- */
void trace_report(FILE *to, struct ctl *ctl, struct json_object *document);

/* -- trace_map.c ------------------------------------------------------------------------------- */
/* Draws the address space in which most happened. 0 or -errno. */
int trace_map(struct trace *t, FILE *to);

#endif
