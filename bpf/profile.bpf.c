// SPDX-License-Identifier: (MIT OR GPL-2.0)
/*
 * Sampled allocations of one process: where each was made, and which of them are in use. The loader
 * attaches this to that process alone.
 */
#include "bpf/vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/*
 * Without cookies (before 5.15) libbpf would use this to tell probes apart; there this is not
 * loaded.
 */
#undef PT_REGS_IP
#define PT_REGS_IP(ctx) 0
#include <bpf/usdt.bpf.h>

#include "bpf/profile.h"

const volatile struct hak_profile_options options;

__u64 numbers;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 32 << 20);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HAK_PROFILE_LIVE_MAX);
	__type(key, __u64);
	__type(value, __u64);
} live SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hak_profile_totals);
} totals SEC(".maps");

static __always_inline struct hak_profile_totals *my_totals(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&totals, &zero);
}

static __always_inline void copy_state(struct hak_site_event *e, void *regs)
{
	__u32 words = options.regs_words;

	if (words > HAK_REGS_MAX)
		words = HAK_REGS_MAX;
	__builtin_memset(e->regs, 0, sizeof(e->regs));
	bpf_probe_read_kernel(e->regs, words * sizeof(__u64), regs);
	bpf_probe_read_kernel(&e->key.sp, sizeof(e->key.sp),
			      regs + options.regs_sp * sizeof(__u64));
	e->stack_bytes = 0;
	/* Bisection finds the end of a stack that is shorter than the copy. */
	if (bpf_probe_read_user(e->stack, HAK_STACK_COPY, (void *)e->key.sp) == 0)
		e->stack_bytes = HAK_STACK_COPY;
	else if (bpf_probe_read_user(e->stack, HAK_STACK_COPY / 2, (void *)e->key.sp) == 0)
		e->stack_bytes = HAK_STACK_COPY / 2;
	else if (bpf_probe_read_user(e->stack, HAK_STACK_COPY / 8, (void *)e->key.sp) == 0)
		e->stack_bytes = HAK_STACK_COPY / 8;
}

SEC("usdt")
int on_alloc(struct pt_regs *ctx)
{
	struct hak_profile_totals *t = my_totals();
	__u64 number = __sync_fetch_and_add(&numbers, 1), id = bpf_get_current_pid_tgid();
	long address = 0, bytes = 0, weight = 0;
	struct hak_site_event *e;
	__u64 key;

	bpf_usdt_arg(ctx, 0, &address);
	bpf_usdt_arg(ctx, 1, &bytes);
	bpf_usdt_arg(ctx, 2, &weight);
	if (!t)
		return 0;
	t->samples++;
	t->weight += weight;
	key = address;
	if (bpf_map_update_elem(&live, &key, &number, BPF_ANY) < 0)
		t->unfollowed++;
	e = bpf_ringbuf_reserve(&samples, sizeof(*e), 0);
	if (!e) {
		t->lost++;
		t->lost_weight += weight;
		return 0;
	}
	__builtin_memset(&e->head, 0, sizeof(e->head));
	__builtin_memset(&e->key, 0, sizeof(e->key));
	e->head.time_ns = bpf_ktime_get_ns();
	e->head.type = HAK_EVENT_SITE;
	e->head.pid = id >> 32;
	e->head.tid = id;
	e->head.a = address;
	e->head.b = bytes;
	e->head.c = weight;
	e->head.d = number;
	copy_state(e, ctx);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("usdt")
int on_free(struct pt_regs *ctx)
{
	struct hak_profile_totals *t = my_totals();
	long address = 0;
	__u64 key;

	bpf_usdt_arg(ctx, 0, &address);
	key = address;
	bpf_map_delete_elem(&live, &key);
	if (t)
		t->frees++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
