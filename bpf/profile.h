/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The contract between the program on sampled allocations (libhakmem's probes otel_memory:alloc and
 * free) and its loader. Each sample is reported as a struct hak_site_event: head.a is the address,
 * b the usable bytes, c the weight, d the sample's number, from 0 on.
 *
 * For bpf/. Fixed-size types only.
 */
#ifndef HAK_BPF_PROFILE_H
#define HAK_BPF_PROFILE_H

#include "bpf/space.h"

#define HAK_PROFILE_LIVE_MAX (1 << 17) /* sampled blocks in use at one time */

struct hak_profile_options {
	__u32 regs_words, regs_sp; /* pt_regs of this machine, in words */
};

/* Sums over all processors. */
struct hak_profile_totals {
	__u64 samples, weight, frees;
	__u64 lost, lost_weight; /* samples without a stack: no room in the ring buffer */
	__u64 unfollowed;	 /* samples whose free will not be seen: too many in use */
};

#endif
