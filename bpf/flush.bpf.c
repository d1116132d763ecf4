/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/* TLB shootdowns, see flush.h. Only x86 has the tracepoint. */
#include "bpf/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/flush.h"
#include "bpf/target.bpf.h"

/* linux/mm_types.h */
enum reason { REASON_SWITCH, REASON_RECEIVED, REASON_LOCAL, REASON_LOCAL_ALL, REASON_SENT };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hak_flush_totals);
} flush_totals SEC(".maps");

SEC("tp_btf/tlb_flush")
int BPF_PROG(tlb_flush, int reason, unsigned long pages)
{
	struct hak_flush_totals *totals;
	__u32 zero = 0;

	if (reason == REASON_SWITCH || !current_proc())
		return 0;
	totals = bpf_map_lookup_elem(&flush_totals, &zero);
	if (!totals)
		return 0;
	switch (reason) {
	case REASON_SENT:
		totals->sent++;
		if (pages == ~0UL)
			totals->sent_all++;
		else
			totals->sent_pages += pages;
		break;
	case REASON_RECEIVED:
		totals->received++;
		break;
	case REASON_LOCAL:
	case REASON_LOCAL_ALL:
		totals->local++;
		break;
	}
	return 0;
}
