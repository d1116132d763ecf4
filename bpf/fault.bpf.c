/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Page faults, see fault.h. A fault begins at the tracepoint of its exception and is given pages at
 * that of the page allocator. It has succeeded when the kernel counts it for perf, which also tells
 * whether the fault waited for a disk. Programs on the perf event alone know all but time and huge
 * pages. They are the only ones on machines without the first tracepoint.
 */
#include "bpf/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/fault.h"
#include "bpf/blocks.bpf.h"

/* Kernel and program share addresses; the kernel has those with the top bit set. */
#define KERNEL_ADDRESS(a) ((long)(a) < 0)
/* A bit of gfp_t, unchanged since 4.x. */
#define GFP_MOVABLE_ 0x08u
#define GFP_ZERO_    0x100u

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hak_fault_totals);
} fault_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct hak_fault_owner);
} fault_owners SEC(".maps");

static __always_inline int begin(unsigned long address)
{
	struct hak_thread *t;

	if (KERNEL_ADDRESS(address) || !current_proc())
		return 0;
	t = current_thread();
	if (!t)
		return 0;
	t->order = 0;
	t->fresh = 0;
	t->fault_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(user_fault, unsigned long address, struct pt_regs *regs, unsigned long error)
{
	return begin(address);
}

/* The kernel touches a program's memory on its behalf: read() into a fresh buffer. */
SEC("tp_btf/page_fault_kernel")
int BPF_PROG(kernel_fault, unsigned long address, struct pt_regs *regs, unsigned long error)
{
	return begin(address);
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(page_alloc, struct page *page, unsigned int order, gfp_t gfp, int migratetype)
{
	__u32 tid = bpf_get_current_pid_tgid(), zero = 0;
	struct hak_fault_totals *totals;
	__u64 bytes = 1ULL << ((filter.page_shift + order) & 63);
	struct hak_thread *t;

	if (!page || !current_proc())
		return 0;
	totals = bpf_map_lookup_elem(&fault_totals, &zero);
	if (!totals)
		return 0;
	/* A fault clears its huge page itself; the page allocator does not. */
	if (gfp & GFP_MOVABLE_ && (gfp & GFP_ZERO_ || order == HAK_HUGE_ORDER(filter.page_shift)))
		totals->zeroed += bytes;
	else if (gfp & GFP_ZERO_)
		totals->tables += bytes;
	t = bpf_map_lookup_elem(&threads, &tid);
	if (t && t->fault_ns && gfp & GFP_MOVABLE_) {
		t->fresh = 1;
		if (order > t->order)
			t->order = order;
	}
	return 0;
}

/* Finds whether the page at `address` had been given back, and counts accordingly. */
static __always_inline void refill(struct hak_proc *proc, struct hak_fault_totals *totals,
				   struct hak_fault_owner *owner, __u64 address, __u32 order,
				   bool fresh, __u64 now)
{
	__u32 shift = filter.page_shift & 31, huge = HAK_HUGE_ORDER(shift), n, lazy;
	struct hak_block_key key = { .owner = proc->owner, .block = address >> HAK_BLOCK_SHIFT };
	struct hak_block *block = bpf_map_lookup_elem(&blocks, &key);
	__u64 distance, pages = 0, lazies = 0, written = 0;
	struct hak_event *e;
	__s32 first, last;

	if (!block)
		return;
	if (order > huge)
		order = huge;
	first = (address & ((1 << HAK_BLOCK_SHIFT) - 1)) >> shift;
	first &= ~((1 << order) - 1);
	last = first + (1 << order);
	distance = now - block->time_ns;
	for (__u32 w = 0; w < HAK_BLOCK_WORDS; w++) {
		__u64 mask = word_mask(first, last, w), old;

		if (!mask || !((block->given[w] | block->read[w]) & mask))
			continue;
		/*
		 * Reading memory that was given back takes no memory; writing to a page that was
		 * read does.
		 */
		if (fresh)
			written += bits(__sync_fetch_and_and(&block->read[w], ~mask) & mask);
		old = __sync_fetch_and_and(&block->given[w], ~mask) & mask;
		if (!fresh)
			__sync_fetch_and_or(&block->read[w], old);
		__sync_fetch_and_or(&block->again[w], old);
		n = bits(old);
		lazy = bits(old & block->lazy[w]);
		pages += n;
		lazies += lazy;
	}
	if (written && distance < filter.window_ns)
		totals->refilled_fresh += written << shift;
	if (!pages)
		return;
	note_add(HAK_NOTE_PAGES_TAKEN, pages);
	if (distance < filter.window_ns) {
		totals->refilled += pages << shift;
		if (fresh)
			totals->refilled_fresh += pages << shift;
		totals->refilled_lazy += lazies << shift;
		if (owner)
			owner->refilled += pages << shift;
	} else {
		totals->refilled_late += pages << shift;
	}
	totals->distance_slots[log2_slot(distance) % HAK_HISTOGRAM_SLOTS] += pages;
	if (!(filter.events & HAK_REFILLS))
		return;
	e = event_begin(sizeof(*e), HAK_EVENT_REFILL, proc->owner);
	if (!e)
		return;
	e->a = address;
	e->b = pages << shift;
	e->c = distance;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline int end(__u64 address, bool major)
{
	__u32 tid = bpf_get_current_pid_tgid(), zero = 0, kind = HAK_FAULT_MINOR, order = 0;
	struct hak_proc *proc = current_proc();
	struct hak_fault_totals *totals;
	struct hak_fault_owner first = { 0 }, *owner;
	__u64 now, ns = 0;
	bool fresh = false;
	struct hak_thread *t;

	if (!proc)
		return 0;
	totals = bpf_map_lookup_elem(&fault_totals, &zero);
	if (!totals)
		return 0;
	now = bpf_ktime_get_ns();
	t = bpf_map_lookup_elem(&threads, &tid);
	if (t && t->fault_ns) {
		ns = now - t->fault_ns;
		order = t->order;
		fresh = t->fresh;
		t->fault_ns = 0;
	}
	if (major)
		kind = HAK_FAULT_MAJOR;
	else if (order >= HAK_HUGE_ORDER(filter.page_shift))
		kind = HAK_FAULT_THP;
	totals->faults[kind]++;
	if (ns) {
		totals->timed[kind]++;
		totals->ns[kind] += ns;
		totals->ns_slots[kind][log2_slot(ns) % HAK_HISTOGRAM_SLOTS]++;
	}
	owner = bpf_map_lookup_elem(&fault_owners, &proc->owner);
	if (!owner) {
		bpf_map_update_elem(&fault_owners, &proc->owner, &first, BPF_NOEXIST);
		owner = bpf_map_lookup_elem(&fault_owners, &proc->owner);
	}
	if (owner) {
		owner->faults++;
		owner->ns += ns;
	} else {
		no_sums(proc);
	}
	refill(proc, totals, owner, address, order, fresh, now);
	return 0;
}

SEC("perf_event")
int minor_done(struct bpf_perf_event_data *ctx)
{
	return end(ctx->addr, false);
}

SEC("perf_event")
int major_done(struct bpf_perf_event_data *ctx)
{
	return end(ctx->addr, true);
}
