/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl advise: what its files share. advise.c has the command line and prints the answer.
 * measure.c turns a span of a process's life into figures. rules.c has the table of rules, each of
 * which is a function of figures and of nothing else; notes.c has what no tunable changes. apply.c
 * tries an advice. tracing.c adds the figures that only the kernel has, where BPF may be used
 * (nobpf.c elsewhere).
 *
 * There is one thread. Figures are sums over the span, unless they say otherwise.
 */
#ifndef HAK_CTL_ADVISE_H
#define HAK_CTL_ADVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/policy.h"
#include "control/snapshot.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/trace/price.h"

/*
 * FIGURE(name, what)
 *	SUM: of a counter, over the span; MOST, LEAST, LAST: of samples within it; else as said
 */
#define ADVICE_FIGURES(FIGURE)                                                             \
	FIGURE(span_ns) /* length of the span */                                           \
	FIGURE(samples) /* the number of samples */                                        \
	FIGURE(cpu_ns)	/* for which the process ran */                                    \
	FIGURE(faults)	/* minor, of the whole process */                                  \
	FIGURE(rss)	/* mean of the samples */                                          \
	FIGURE(heaps)	/* threads with a cache, LAST */                                   \
	FIGURE(agent)	/* 1: an agent answers while the process sleeps; LAST */           \
	FIGURE(allocs)                                                                     \
	FIGURE(slow)	    /* allocations and frees that left the fast path */            \
	FIGURE(refilled)    /* blocks into thread caches */                                \
	FIGURE(flushed)	    /* blocks out of them, to slabs of the same thread */          \
	FIGURE(cached_most) /* bytes in thread caches, MOST */                             \
	FIGURE(whale_allocs)                                                               \
	FIGURE(whale_bytes) /* of those */                                                 \
	FIGURE(whale_misses)                                                               \
	FIGURE(whales_dropped) /* unmapped when freed, or removed from the region cache */ \
	FIGURE(ring_bytes_most)                                                            \
	FIGURE(ring_dirty_most)                                                            \
	FIGURE(evictions)                                                                  \
	FIGURE(evicted_bytes)                                                              \
	FIGURE(purged_bytes)                                                               \
	FIGURE(dirty_least)   /* free bytes that were not needed, LEAST */                 \
	FIGURE(madvise_calls) /* that give pages back */                                   \
	FIGURE(extent_maps)   /* mmaps for other blocks than whales */                     \
	FIGURE(extent_unmaps)                                                              \
	FIGURE(cached_least)	/* bytes in thread caches, LEAST */                        \
	FIGURE(free_least)	/* bytes in thread caches, dirty or lazily freed, LEAST */ \
	FIGURE(slab_free_least) /* free bytes within slabs and runs in use, LEAST */       \
	FIGURE(in_use)		/* bytes of blocks, LAST */                                \
	FIGURE(owned)		/* bytes of malloc that may be resident, LAST */           \
	FIGURE(heaps_dead)	/* of ended threads, LAST */                               \
	FIGURE(huge_extents)	/* advised for huge pages, LAST */                         \
	FIGURE(agent_error)	/* errno for which there is no agent, LAST */              \
	FIGURE(limit)		/* CachedMax= of the policy; 0: none */                    \
	FIGURE(group_limit)	/* of memory, of the control groups, LAST; 0: none */      \
	FIGURE(group_obeyed)	/* times that memory was given back because of it */       \
	/* Of a trace; 0 without one. */                                                   \
	FIGURE(traced)                                                                     \
	FIGURE(returned)       /* bytes of memory that the kernel gained */                \
	FIGURE(refilled_bytes) /* of these, bytes that were taken again soon */            \
	FIGURE(kernel_ns)      /* in faults and in calls about memory */                   \
	FIGURE(distance_ns)    /* time between both for 95 % of the pages, at most */

#define ADVICE_SETTINGS 32 /* the ids of the tunables that rules use are below this */

struct advice_setting {
	bool known;
	bool held; /* set by an administrator */
	uint64_t value;
	unsigned origin;
};

struct advice_figures {
#define FIGURE(name) uint64_t name;
	ADVICE_FIGURES(FIGURE)
#undef FIGURE
	struct advice_setting setting[ADVICE_SETTINGS]; /* by id, at the end of the span */
	struct ctl_prices prices;
};

/* The result of a rule. The effects are estimates: a part of one processor, and bytes. Less is
 * negative. */
struct advice {
	uint64_t value; /* of the tunable */
	double cpu;
	double rss;
	char why[HAK_WHY_TEXT];
	const char *cpu_how, *rss_how;
};

struct advice_rule {
	const char *name;
	uint16_t tunable; /* its id; 0: the advice is a purge */
	bool needs_trace;
	/* The ratio to the work done that the advice is to reduce; NAN without work. */
	double (*figure)(const struct advice_figures *f);
	const char *figure_is;
	bool (*look)(const struct advice_figures *f, struct advice *ret);
};

/* What stands in the way, without a value to try. */
struct advice_note {
	const char *name;
	bool (*look)(const struct advice_figures *f, char why[HAK_WHY_TEXT]);
};
extern const struct advice_note advice_notes[];
extern const size_t advice_notes_n;
/* Says what was looked at, where there is no advice. */
void advice_looked_at(const struct advice_figures *f, char why[HAK_WHY_TEXT]);
/* What to type next where there is no advice. */
void advice_next(const struct advice_figures *f, int pid, char what[HAK_WHY_TEXT]);

extern const struct advice_rule advice_rules[];
extern const size_t advice_rules_n;

/* Depends on the rule, the subject and the tunable, and on nothing that was measured. */
#define ADVICE_ID_BYTES 9
void advice_id(const struct advice_rule *rule, const char *subject, char ret[ADVICE_ID_BYTES]);

const struct hak_tunable_row *advice_tunable(const struct advice_rule *rule); /* NULL: a purge */

/* -- measure.c --------------------------------------------------------------------------------- */
struct advice_watch {
	struct hak_segment *seg;      /* owned */
	char subject[HAK_PATH_BYTES]; /* the unit, or the command */
	struct hak_snapshot first;
	struct advice_figures figures;
	uint64_t rss_sum;
	uint64_t limit; /* see the figure */
	int error;	/* from reading the process: there are no figures */
};

/* Takes the segment over. `policies` may be NULL. Returns 0 or -errno; the segment is closed on
 * failure. */
int advice_watch_open(struct hak_segment *seg, const struct hak_policy_set *policies,
		      struct advice_watch *ret);
void advice_watch_close(struct advice_watch *w);

/*
 * Measures all processes over one span, which a signal shortens. `trace` is set for one process
 * only; *ret_trace is 0, or why there was no trace in `why`. Returns -EINTR after a signal; the
 * figures are then those of a shorter span.
 */
int advice_measure(struct advice_watch *w, size_t n, uint64_t span_ns, bool trace, int *ret_trace,
		   char why[HAK_WHY_TEXT]);
/* Waits. -EINTR after a signal. */
int advice_pause(uint64_t ns);

struct json_object *advice_figures_json(const struct advice_figures *f);

/* -- apply.c ----------------------------------------------------------------------------------- */
struct advice_trial {
	const char *id;
	uint64_t span_ns, for_ns; /* for_ns 0: only during the measurement */
	bool keep, force, trace, dry_run;
};
int advice_apply(struct ctl *ctl, struct advice_watch *w, const struct advice_trial *trial);

/* -- tracing.c, ../nobpf.c --------------------------------------------------------------------- */
struct hak_session;
/* Returns 0, or -errno with a sentence. */
int advice_trace_begin(pid_t pid, struct hak_session **ret, char why[HAK_WHY_TEXT]);
int advice_trace_poll(struct hak_session *s, int timeout_ms);
/* Adds the figures of the trace, if there are any, and ends it. */
void advice_trace_end(struct hak_session *s, struct advice_figures *f);

#endif
