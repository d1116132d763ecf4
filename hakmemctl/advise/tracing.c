/* SPDX-License-Identifier: MIT */
/*
 * The figures of a span that only the kernel has, for hakmemctl advise: how much of the memory that
 * a process gave back it soon took again, how soon, and at which cost.
 */
#include <string.h>
#include <unistd.h>

#include "bpf/session.h"
#include "hakmemctl/advise/advise.h"

/* Memory that is taken again within this time was given back uselessly. */
#define WINDOW_NS    1000000000u
#define MOST_OF_THEM 0.95

int advice_trace_begin(pid_t pid, struct hak_session **ret, char why[HAK_WHY_TEXT])
{
	const struct hak_session_options options = { .window_ns = WINDOW_NS, .cgroup_fd = -1 };
	struct hak_session *s;
	int r = hak_session_open(&options, &s, why);

	if (r < 0)
		return r;
	r = hak_session_watch(s, pid);
	if (r < 0)
		snprintf(why, HAK_WHY_TEXT, "%s", strerror(-r));
	else
		r = hak_session_start(s, why);
	if (r < 0) {
		hak_session_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

int advice_trace_poll(struct hak_session *s, int timeout_ms)
{
	return hak_session_poll(s, timeout_ms);
}

/* The end of the slot below which 95 of 100 pages are found. */
static uint64_t most_within(const struct hak_space_totals *space,
			    const struct hak_fault_totals *fault)
{
	uint64_t all = 0, seen = 0;

	for (int i = 0; i < HAK_HISTOGRAM_SLOTS; i++)
		all += fault->distance_slots[i] + space->populated_slots[i];
	for (int i = 0; i < HAK_HISTOGRAM_SLOTS; i++) {
		seen += fault->distance_slots[i] + space->populated_slots[i];
		if (seen && (double)seen >= MOST_OF_THEM * (double)all)
			return 2ull << i;
	}
	return 0;
}

static void add_up(struct advice_figures *f, const struct hak_session *s,
		   const struct hak_space_totals *space, const struct hak_fault_totals *fault)
{
	uint64_t given = 0, freed = 0;

	for (int i = 0; i < HAK_CALLS; i++) {
		given += space->call[i].given;
		freed += space->call[i].freed;
		f->kernel_ns += space->call[i].ns;
	}
	for (int i = 0; i < HAK_FAULTS; i++)
		f->kernel_ns += fault->ns[i];
	/* Memory where that is known, because ranges may have had no pages. */
	f->returned = s->knows_freed ? freed + space->given_lazy : given;
	f->refilled_bytes = fault->refilled + space->populated;
	f->distance_ns = most_within(space, fault);
	f->traced = 1;
}

void advice_trace_end(struct hak_session *s, struct advice_figures *f)
{
	struct hak_space_totals space;
	struct hak_fault_totals fault;

	hak_session_stop(s);
	if (f && hak_space_read(s, &space) == 0 && hak_fault_read(s, &fault) == 0)
		add_up(f, s, &space, &fault);
	hak_session_close(s);
}
