// SPDX-License-Identifier: (MIT OR GPL-2.0)
/* Counts the hits of each of libhakmem's probes, and adds up their arguments. See hits.c. */
#include "bpf/vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#undef PT_REGS_IP
#define PT_REGS_IP(ctx) 0
#include <bpf/usdt.bpf.h>

#include "tests/bpf/hits.h"

struct hits hits[HITS_MAX];

SEC("usdt")
int hit(struct pt_regs *ctx)
{
	unsigned long probe = bpf_usdt_cookie(ctx);
	long value;

	if (probe >= HITS_MAX)
		return 0;
	__sync_fetch_and_add(&hits[probe].n, 1);
	for (int i = 0; i < 3; i++)
		if (bpf_usdt_arg(ctx, i, &value) == 0)
			__sync_fetch_and_add(&hits[probe].sum[i], value);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
