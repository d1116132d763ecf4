/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Counts what is populated again, how soon after it was given back, and what faults cost: their
 * number and time by kind, and the pages that the kernel had to clear for them.
 *
 * For bpf/fault.bpf.c and readers of a trace.
 */
#ifndef HAK_BPF_FAULT_H
#define HAK_BPF_FAULT_H

#include "bpf/target.h"

enum hak_fault {
	HAK_FAULT_MINOR,
	HAK_FAULT_THP,	 /* minor, and given a huge page */
	HAK_FAULT_MAJOR, /* waited for a disk */
	HAK_FAULTS,
};

#define HAK_HUGE_ORDER(page_shift) (HAK_BLOCK_SHIFT - (page_shift))

struct hak_fault_totals {
	__u64 faults[HAK_FAULTS];
	__u64 timed[HAK_FAULTS]; /* of these, those whose beginning was seen as well */
	__u64 ns[HAK_FAULTS];	 /* of the timed ones */
	__u64 ns_slots[HAK_FAULTS][HAK_HISTOGRAM_SLOTS];
	__u64 refilled;	      /* bytes given back and populated again within T */
	__u64 refilled_fresh; /* of these, bytes that took memory, not a file's cache */
	__u64 refilled_lazy;  /* of these, bytes that MADV_FREE had given back */
	__u64 refilled_late;  /* bytes populated again after T */
	__u64 distance_slots[HAK_HISTOGRAM_SLOTS]; /* pages, by ns since given back; also late */
	__u64 zeroed;				   /* bytes cleared for the program */
	__u64 tables; /* bytes of pages cleared for page tables and the like */
};

/* For each owner, on each processor. */
struct hak_fault_owner {
	__u64 faults, ns, refilled;
};

#endif
