/* SPDX-License-Identifier: MIT */
/*
 * Turns a span of a process's life into figures, see advise.h: two snapshots, samples between them
 * of figures that rise and fall, the processor time and faults that the kernel counts, and a trace.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/identity.h"
#include "control/proc.h"
#include "control/reader.h"
#include "hakmemctl/advise/advise.h"

#define SAMPLES	      20 /* the least number in a span */
#define TICK_MOST_NS  250000000u
#define TICK_LEAST_NS 1000000u

int advice_pause(uint64_t ns)
{
	const struct timespec pause = { .tv_sec = (time_t)(ns / 1000000000),
					.tv_nsec = (long)(ns % 1000000000) };

	if (!ctl_interrupted())
		nanosleep(&pause, NULL);
	return ctl_interrupted() ? -EINTR : 0;
}

/* -- figures of the kernel --------------------------------------------------------------------- */
static uint64_t cpu_ns(const struct hak_segment *seg)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(seg->pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t minor_faults(const struct hak_segment *seg)
{
	uint64_t faults;

	return hak_reader_stat(seg->procfd, 10, &faults) == 0 ? faults : 0;
}

/* -- one process ------------------------------------------------------------------------------- */
static uint64_t limit_of(const struct hak_policy_set *policies, struct hak_identity *id)
{
	struct hak_effect effect;

	if (!policies)
		return 0;
	hak_identity_name_user(id);
	hak_policy_effect(policies, id, &effect);
	return effect.cached_max == UINT64_MAX ? 0 : effect.cached_max;
}

int advice_watch_open(struct hak_segment *seg, const struct hak_policy_set *policies,
		      struct advice_watch *ret)
{
	struct hak_identity id;
	int r = hak_identity_read(seg->procfd, seg->pid, &id);
	const char *slash, *unit;

	*ret = (struct advice_watch){ .seg = seg };
	if (r < 0) {
		hak_segment_close(seg);
		return r;
	}
	ret->limit = limit_of(policies, &id);
	/* Scopes get new numbers each time. */
	unit = strstr(id.unit, ".service") ? id.unit : "";
	if (id.user_unit[0])
		unit = strstr(id.user_unit, ".service") ? id.user_unit : "";
	slash = strrchr(id.exe, '/');
	snprintf(ret->subject, sizeof(ret->subject), "%s",
		 *unit		     ? unit
		 : slash && slash[1] ? slash + 1
				     : id.comm);
	return 0;
}

void advice_watch_close(struct advice_watch *w)
{
	hak_snapshot_free(&w->first);
	hak_segment_close(w->seg);
	*w = (struct advice_watch){ 0 };
}

static void most(uint64_t *a, uint64_t b)
{
	if (b > *a)
		*a = b;
}

/* The first sample sets the figure. */
static void least(const struct advice_figures *f, uint64_t *a, uint64_t b)
{
	if (f->samples == 0 || b < *a)
		*a = b;
}

static void sample(struct advice_watch *w, const struct hak_snapshot *now)
{
	struct advice_figures *f = &w->figures;
	struct hak_memory m = hak_memory_of(w->seg, now);

	most(&f->cached_most, m.thread_cached);
	most(&f->ring_bytes_most, hak_total(w->seg, now, HAK_ID_RING_BYTES));
	most(&f->ring_dirty_most, hak_total(w->seg, now, HAK_ID_RING_DIRTY));
	least(f, &f->dirty_least, hak_total(w->seg, now, HAK_ID_MEM_DIRTY));
	least(f, &f->cached_least, m.thread_cached);
	least(f, &f->free_least, hak_memory_cached(&m));
	least(f, &f->slab_free_least, m.slab_free);
	f->in_use = m.in_use;
	f->owned = m.in_use + m.slab_free + hak_memory_cached(&m) + m.metadata;
	w->rss_sum += hak_segment_rss(w->seg, false);
	f->rss = w->rss_sum / ++f->samples;
}

static void begin(struct advice_watch *w)
{
	hak_snapshot_free(&w->first);
	w->figures = (struct advice_figures){ 0 };
	w->rss_sum = 0;
	w->error = hak_snapshot_take(w->seg, &w->first);
	if (w->error < 0)
		return;
	w->figures.span_ns = hak_monotonic_ns();
	w->figures.cpu_ns = cpu_ns(w->seg);
	w->figures.faults = minor_faults(w->seg);
	sample(w, &w->first);
}

static void look(struct advice_watch *w)
{
	struct hak_snapshot now;

	if (w->error == 0)
		w->error = hak_snapshot_take(w->seg, &now);
	if (w->error < 0)
		return;
	sample(w, &now);
	hak_snapshot_free(&now);
}

/* The amount by which a counter grew. */
static uint64_t grown(const struct advice_watch *w, const struct hak_snapshot *last, uint16_t id)
{
	uint64_t a = hak_total(w->seg, &w->first, id), b = hak_total(w->seg, last, id);

	return b > a ? b - a : 0;
}

static uint64_t above(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void add_up(struct advice_watch *w, const struct hak_snapshot *last)
{
#define GREW(sym) grown(w, last, HAK_ID_##sym)
	struct advice_figures *f = &w->figures;

	f->span_ns = hak_monotonic_ns() - f->span_ns;
	f->cpu_ns = above(cpu_ns(w->seg), f->cpu_ns);
	f->faults = above(minor_faults(w->seg), f->faults);
	f->heaps = hak_total(w->seg, last, HAK_ID_HEAPS_LIVE);
	f->agent = hak_total(w->seg, last, HAK_ID_AGENT) != 0;
	f->heaps_dead = hak_total(w->seg, last, HAK_ID_HEAPS_DEAD);
	f->huge_extents = hak_total(w->seg, last, HAK_ID_SUPERSLABS_THP);
	f->agent_error = hak_total(w->seg, last, HAK_ID_AGENT_ERROR);
	f->limit = w->limit;
	f->group_limit = hak_total(w->seg, last, HAK_ID_LIMIT_BYTES);
	f->group_obeyed = GREW(LIMIT_OBEYED);
	f->whale_allocs = GREW(WHALE_ALLOCS);
	f->allocs = GREW(ALLOCS) + f->whale_allocs;
	f->slow = GREW(SLOW_MALLOC) + GREW(SLOW_FREE);
	f->refilled = GREW(REFILLED);
	f->flushed = above(GREW(FLUSHED), GREW(FLUSHED_REMOTE));
	f->whale_bytes = GREW(WHALE_ALLOC_BYTES);
	f->whale_misses = GREW(WHALE_MISSES);
	f->whales_dropped = GREW(WHALE_UNKEPT) + GREW(RING_UNMAPS);
	f->evictions = GREW(RING_EVICTIONS);
	f->evicted_bytes = GREW(RING_EVICTED_BYTES);
	f->purged_bytes = GREW(PURGE_BYTES);
	f->madvise_calls = GREW(DONTNEED_CALLS) + GREW(FREE_CALLS);
	f->extent_maps = above(GREW(MMAP_CALLS), f->whale_misses);
	f->extent_unmaps = above(GREW(MUNMAP_CALLS), f->whales_dropped);
#undef GREW
}

/* A value whose deadline has passed stays in the page. */
static bool stands(const struct hak_segment *seg, const struct hak_tune_slot *slot)
{
	return slot->set && (!slot->deadline_ns || slot->deadline_ns > hak_segment_now_ns(seg));
}

static void read_settings(struct advice_watch *w)
{
	struct hak_tunable_state *states;

	w->error = hak_tunables_read(w->seg, &states);
	if (w->error < 0)
		return;
	for (uint32_t i = 0; i < w->seg->header.tunables; i++) {
		uint16_t id = w->seg->tunable[i].id;

		if (id >= ADVICE_SETTINGS)
			continue;
		w->figures.setting[id] = (struct advice_setting){
			.known = true,
			.held = stands(w->seg, &states[i].slot[HAK_ORIGIN_ADMIN]),
			.value = states[i].ack.value,
			.origin = states[i].ack.origin,
		};
	}
	free(states);
}

static void end(struct advice_watch *w, const struct ctl_prices *prices)
{
	struct hak_snapshot last;

	if (w->error == 0)
		w->error = hak_snapshot_take(w->seg, &last);
	if (w->error < 0)
		return;
	sample(w, &last);
	add_up(w, &last);
	hak_snapshot_free(&last);
	w->figures.prices = *prices;
	read_settings(w);
	if (w->error == 0)
		w->error = hak_segment_alive(w->seg);
}

/* -- all of them ------------------------------------------------------------------------------- */
/* Measures until the deadline, or a signal. */
static int watch_all(struct advice_watch *w, size_t n, uint64_t span_ns, struct hak_session *s)
{
	uint64_t deadline = hak_monotonic_ns() + span_ns, tick = span_ns / SAMPLES, now;

	tick = tick > TICK_MOST_NS ? TICK_MOST_NS : tick < TICK_LEAST_NS ? TICK_LEAST_NS : tick;
	while (!ctl_interrupted() && (now = hak_monotonic_ns()) < deadline) {
		uint64_t ns = deadline - now < tick ? deadline - now : tick;

		if (s)
			advice_trace_poll(s, (int)(ns / 1000000) + 1);
		else
			advice_pause(ns);
		for (size_t i = 0; i < n; i++)
			look(&w[i]);
		ctl_progress("measuring", span_ns - (deadline - now), span_ns);
	}
	ctl_progress_end();
	return ctl_interrupted() ? -EINTR : 0;
}

int advice_measure(struct advice_watch *w, size_t n, uint64_t span_ns, bool trace, int *ret_trace,
		   char why[HAK_WHY_TEXT])
{
	struct hak_session *s = NULL;
	struct ctl_prices prices;
	int r;

	ctl_prices(&prices);
	*ret_trace = -ENOSYS;
	if (trace && n == 1)
		*ret_trace = advice_trace_begin(w->seg->pid, &s, why);
	else
		snprintf(why, HAK_WHY_TEXT, "%s",
			 trace ? "one process at a time can be traced" : "--no-trace was given");
	for (size_t i = 0; i < n; i++)
		begin(&w[i]);
	ctl_say_wait("measuring", span_ns);
	r = watch_all(w, n, span_ns, s);
	for (size_t i = 0; i < n; i++)
		end(&w[i], &prices);
	/* At the end, because the kernel takes some time to end a trace. */
	if (s)
		advice_trace_end(s, w->error ? NULL : &w->figures);
	return r;
}

struct json_object *advice_figures_json(const struct advice_figures *f)
{
	struct json_object *o = json_object_new_object();

#define FIGURE(name) hak_json_number(o, #name, f->name);
	ADVICE_FIGURES(FIGURE)
#undef FIGURE
	return o;
}
