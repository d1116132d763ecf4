/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * How often processors were made to forget addresses (TLB shootdowns).
 *
 * For: bpf/flush.bpf.c, and readers of a trace.
 */
#ifndef HAK_BPF_FLUSH_H
#define HAK_BPF_FLUSH_H

#include "bpf/target.h"

struct hak_flush_totals {
	__u64 sent;	  /* times that other processors were asked to */
	__u64 sent_pages; /* pages of these, where they are counted */
	__u64 sent_all;	  /* of these, those that meant the whole address space */
	__u64 received;	  /* interrupts that arrived while a watched thread ran */
	__u64 local;	  /* flushes of the own processor */
};

#endif
