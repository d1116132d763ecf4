/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Counts how often processors had to forget addresses (TLB shootdowns).
 *
 * For bpf/flush.bpf.c and readers of a trace.
 */
#ifndef HAK_BPF_FLUSH_H
#define HAK_BPF_FLUSH_H

#include "bpf/target.h"

struct hak_flush_totals {
	__u64 sent;	  /* requests to other processors */
	__u64 sent_pages; /* pages of these, where the kernel counts them */
	__u64 sent_all;	  /* of these, requests about the whole address space */
	__u64 received;	  /* interrupts that arrived while a watched thread ran */
	__u64 local;	  /* flushes on the processor itself */
};

#endif
