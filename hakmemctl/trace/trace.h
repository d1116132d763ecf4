/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl trace: what its files share. trace.c has the command line and runs the trace. watch.c
 * keeps the processes, call sites and hakmem's counters that belong to it. malloc.c finds the
 * malloc of a process. figures.c makes the document, and is the only place where figures are
 * computed. report.c prints the document as text. map.c draws address spaces.
 *
 * There is one thread. A process that ends during the trace stays in the list, because its figures
 * are part of the sums. Text that other processes choose (names, paths, symbols) goes through
 * hak_json_text() or hak_escape().
 */
#ifndef HAK_CTL_TRACE_H
#define HAK_CTL_TRACE_H

#include "bpf/session.h"
#include "bpf/symbols.h"
#include "control/snapshot.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/trace/price.h"

#define TRACE_SITES_MAX 8192
#define TRACE_MOMENTS	310 /* the largest number that a picture can show */

/* The figures of hakmem's own counters; zeros before the process had any. */
struct trace_kept {
	uint64_t hits, misses; /* whales served from the region cache, or not */
	uint64_t evictions, evicted_bytes;
};

struct trace_process {
	pid_t pid;
	uint64_t owner; /* of the last exec */
	char comm[HAK_COMM_BYTES], allocator[24];
	enum { BORN_BEFORE, BORN_FORKED, BORN_EXEC, BORN_MET } born;
	bool ended;
	size_t parent; /* index of the process it was forked from, +1, and its owner then */
	uint64_t parents_owner;
	uint64_t vmas_first, vmas_last; /* 0: unknown */
	struct hak_symbols *symbols;
	bool of_32_bits; /* its system calls are not traced */
	bool on_hakmem;
	struct trace_kept kept_first, kept_last;
	struct hak_vma *after; /* regions at the last look, for the map */
	size_t after_n;
};

/* A call site that gives memory back, unwound when it was first seen. */
struct trace_site {
	struct hak_site_key key;
	const struct hak_symbols *symbols; /* NULL: its files are unknown */
	uint64_t path;			   /* a number for the frames, in any process */
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
	uint64_t events;    /* see struct hak_filter */
	const char *target; /* as given, or the name of the command */
	struct trace_process *process;
	size_t processes, processes_room;
	struct trace_site *site;
	size_t sites, sites_room;
	bool map;
	struct trace_moment *moment; /* for the map */
	size_t moments, moments_room;
	uint64_t moment_ns; /* the least time between two moments */
	pid_t command;	    /* 0: none, or it has ended */
};

/* -- watch.c ----------------------------------------------------------------------------------- */
/* Adds a process at the start of the trace, or one that an event reports later. Returns 0 or
 * -errno. */
int trace_add(struct trace *t, pid_t pid, int born, uint64_t owner);
/* For struct hak_session_options. */
void trace_told(const struct hak_event *e, void *arg);
/* Reads what cannot be read any more after a process has ended. `last`: the end of the trace. */
void trace_look(struct trace *t, bool last);
void trace_free(struct trace *t);
/* Records the sums of this moment, if the previous one is some time ago or this is the `last`. */
void trace_note_moment(struct trace *t, bool last);
const char *trace_call_word(enum hak_call call);
/* Adds the events of a list such as "mmap,madvise" to *events. Returns 0, or -EINVAL with a
 * sentence that lists the names. */
int trace_events(const char *names, uint64_t *events, char why[HAK_WHY_TEXT]);

/* -- malloc.c ---------------------------------------------------------------------------------- */
/* The name of the malloc that a process uses; NULL: unknown. */
const char *trace_malloc_of(int procfd);

/* -- figures.c --------------------------------------------------------------------------------- */
struct json_object *trace_figures(struct trace *t);

/* -- report.c ---------------------------------------------------------------------------------- */
void trace_report(FILE *to, struct ctl *ctl, struct json_object *document);

/* -- map.c ------------------------------------------------------------------------------------- */
/* Draws the address space with most activity. Returns 0 or -errno. */
int trace_map(struct trace *t, FILE *to);

#endif
