/* SPDX-License-Identifier: MIT */
/*
 * Pages out lazily freed memory of processes that do not use it. While the daemon is attached
 * (control/pageout.h), processes free lazily and publish the ranges. If a table has not changed
 * from one look to the next, the process has reused none of its ranges, and they are paged out
 * once.
 */
#include <errno.h>
#include <stddef.h>

#include "control/pageout.h"
#include "hakmemd/journal.h"
#include "hakmemd/lazy.h"

struct head {
	uint64_t seq;
	uint32_t count, overflow;
};
_Static_assert(offsetof(struct hak_lazy_table, count) == offsetof(struct head, count), "abi.h");

static void attach(struct hak_process *p, bool wanted)
{
	if (wanted == p->attached)
		return;
	if (wanted)
		p->attached = hak_pageout_attach(p->seg) == 0;
	else
		hak_pageout_detach(p->seg), p->attached = false;
}

void hak_lazy_look(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	uint64_t now = hak_monotonic_ns(), bytes = 0;
	struct head head;

	attach(p, m->conf.page_out && m->can_page_out && !p->locked);
	if (!p->attached || now < p->lazy_next_ns)
		return;
	p->lazy_next_ns = now + m->conf.page_out_us * 1000;
	if (hak_segment_read(p->seg, p->seg->header.lazy_off, &head, sizeof(head)) < 0)
		return;
	if (head.seq % 2 == 0 && head.count && head.seq == p->lazy_seq &&
	    head.seq != p->lazy_done_seq) {
		/* Ranges for which the time is too short are left for another look. */
		if (hak_pageout_some(p->seg, HAK_PAGE_OUT_BYTES, &bytes) != -ETIME)
			p->lazy_done_seq = head.seq;
		if (bytes)
			hak_tell_purged(p, bytes, "lazy");
	}
	p->lazy_seq = head.seq;
}
