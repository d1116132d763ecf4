/* SPDX-License-Identifier: MIT */
/* Loads the program on TLB shootdowns, see flush.bpf.c. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "bpf/probes.h"
#include "bpf/flush.skel.h"

static const char lost[] = "TLB shootdowns";

int hak_flush_load(struct hak_session *s)
{
	struct flush_bpf *b;
	int r;

	if (!hak_has_btf_tracepoint("tlb_flush")) {
		hak_session_lacks(s, lost, "this kernel has no tracepoint for them");
		return -ENOENT;
	}
	b = flush_bpf__open();
	r = b ? 0 : -errno;
	if (r == 0) {
		b->rodata->filter = s->filter;
		r = hak_session_lend(s, b->obj);
	}
	if (r == 0)
		r = flush_bpf__load(b);
	if (r < 0) {
		hak_session_lacks(s, lost, "its program is not taken: %s", strerror(-r));
		flush_bpf__destroy(b);
		return r;
	}
	s->flush = b;
	return 0;
}

int hak_flush_start(struct hak_session *s)
{
	int r = hak_session_add_link(s, bpf_program__attach(s->flush->progs.tlb_flush));

	if (r < 0)
		hak_session_lacks(s, lost, "its program cannot be attached: %s", strerror(-r));
	return r;
}

int hak_flush_read(const struct hak_session *s, struct hak_flush_totals *ret)
{
	uint32_t zero = 0;

	memset(ret, 0, sizeof(*ret));
	if (!s->flush)
		return -ENOENT;
	return hak_sum_processors(bpf_map__fd(s->flush->maps.flush_totals), &zero, ret,
				  sizeof(*ret));
}

void hak_flush_close(struct hak_session *s)
{
	flush_bpf__destroy(s->flush);
}
