/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The regions of an address space at one moment, as records, without the privilege and the text of
 * /proc/PID/maps.
 *
 * For bpf/vmas.bpf.c and bpf/vmas.c.
 */
#ifndef HAK_BPF_VMAS_H
#define HAK_BPF_VMAS_H

#include "bpf/target.h"

enum hak_vma_kind { HAK_VMA_ANONYMOUS, HAK_VMA_HEAP, HAK_VMA_STACK, HAK_VMA_FILE };

struct hak_vma {
	__u64 start, end, flags; /* flags: vm_flags */
	__u32 pid, kind;
	char name[32]; /* last part of the file's path, cut */
};

#endif
