/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl advise: what its files share. advise.c takes the command line and answers;
 * advise_measure.c turns a span of a process's life into figures; advise_rules.c holds the table of
 * rules, each a function of figures and of nothing else; advise_apply.c tries an advice out;
 * advise_trace.c adds what only the kernel knows, where BPF may be used (untraced.c elsewhere).
 *
 * One thread. Figures are sums over the span, but where they are said to be something else.
 */
#ifndef HAK_CTL_ADVISE_H
#define HAK_CTL_ADVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/snapshot.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/trace/price.h"

/*
 * FIGURE(name, what)
 *	SUM: of a counter, over the span; MOST, LEAST, LAST: of samples within it; else as said
 */
#define ADVICE_FIGURES(FIGURE)                                                      \
	FIGURE(span_ns) /* how long */                                              \
	FIGURE(samples) /* at how many moments it was looked at */                  \
	FIGURE(cpu_ns)	/* that the process ran */                                  \
	FIGURE(faults)	/* minor, of the whole process */                           \
	FIGURE(rss)	/* mean of the samples */                                   \
	FIGURE(heaps)	/* threads with a cache, LAST */                            \
	FIGURE(agent)	/* 1: one answers while the process sleeps; LAST */         \
	FIGURE(allocs)                                                              \
	FIGURE(slow)	    /* allocations and frees that left the fast path */     \
	FIGURE(refilled)    /* blocks into thread caches */                         \
	FIGURE(flushed)	    /* blocks out of them, to slabs of the same thread */   \
	FIGURE(cached_most) /* bytes in thread caches, MOST */                      \
	FIGURE(whale_allocs)                                                        \
	FIGURE(whale_bytes) /* of those */                                          \
	FIGURE(whale_misses)                                                        \
	FIGURE(whales_dropped) /* unmapped when freed, or pushed out of the ring */ \
	FIGURE(ring_bytes_most)                                                     \
	FIGURE(ring_dirty_most)                                                     \
	FIGURE(evictions)                                                           \
	FIGURE(evicted_bytes)                                                       \
	FIGURE(purged_bytes)                                                        \
	FIGURE(dirty_least)   /* free bytes that nobody needed, LEAST */            \
	FIGURE(madvise_calls) /* that give pages back */                            \
	FIGURE(extent_maps)   /* mmaps that were for no whale */                    \
	FIGURE(extent_unmaps)                                                       \
	/* Of a trace; 0 without one. */                                            \
	FIGURE(traced)                                                              \
	FIGURE(returned)       /* bytes of memory that the kernel got back */       \
	FIGURE(refilled_bytes) /* that it had to give again soon, of those */       \
	FIGURE(kernel_ns)      /* in faults and in calls about memory */            \
	FIGURE(distance_ns)    /* between both: most were sooner (95 %) */

#define ADVICE_SETTINGS 32 /* ids of tunables that rules may know of are below that */

struct advice_setting {
	bool known;
	bool held; /* an administrator has set it */
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

/* What a rule says. Estimates, both: a part of one processor, and bytes; less is negative. */
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
	/* What following it is to bring down, a ratio to the work done; NAN where none was. */
	double (*figure)(const struct advice_figures *f);
	const char *figure_is;
	bool (*look)(const struct advice_figures *f, struct advice *ret);
};

extern const struct advice_rule advice_rules[];
extern const size_t advice_rules_n;

/* Stable: of the rule, of whom it is about and of the tunable, and of nothing that was measured. */
#define ADVICE_ID_BYTES 9
void advice_id(const struct advice_rule *rule, const char *subject, char ret[ADVICE_ID_BYTES]);

const struct hak_tunable_row *advice_tunable(const struct advice_rule *rule); /* NULL: a purge */

/* -- advise_measure.c -------------------------------------------------------------------------- */
struct advice_watch {
	struct hak_segment *seg;      /* owned */
	char subject[HAK_PATH_BYTES]; /* the unit, or the command */
	struct hak_snapshot first;
	struct advice_figures figures;
	uint64_t rss_sum;
	int error; /* of what could not be read: there are no figures */
};

/* Takes the segment over. 0 or -errno; the segment is closed on failure. */
int advice_watch_open(struct hak_segment *seg, struct advice_watch *ret);
void advice_watch_close(struct advice_watch *w);

/*
 * Measures all of them over one span, which a signal shortens. `trace` is asked for one process
 * only; 0, or why there was none in `why`. -EINTR after a signal: the figures are those of a
 * shorter span.
 */
int advice_measure(struct advice_watch *w, size_t n, uint64_t span_ns, bool trace, int *ret_trace,
		   char why[HAK_WHY_TEXT]);
/* Waits. -EINTR after a signal. */
int advice_pause(uint64_t ns);
void advice_catch_signals(void);

struct json_object *advice_figures_json(const struct advice_figures *f);

/* -- advise_apply.c ---------------------------------------------------------------------------- */
struct advice_trial {
	const char *id;
	uint64_t span_ns, for_ns; /* for_ns 0: only while it is measured */
	bool keep, force, trace;
};
int advice_apply(struct ctl *ctl, struct advice_watch *w, const struct advice_trial *trial);

/* -- advise_trace.c, untraced.c ---------------------------------------------------------------- */
struct hak_session;
/* 0, or -errno with a sentence. */
int advice_trace_begin(pid_t pid, struct hak_session **ret, char why[HAK_WHY_TEXT]);
int advice_trace_poll(struct hak_session *s, int timeout_ms);
/* Adds to the figures, if there are any, and lets go of it. */
void advice_trace_end(struct hak_session *s, struct advice_figures *f);

#endif
