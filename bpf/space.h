/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Counts which system calls give address space back and which take some, how much, at what price,
 * from where in the program, and whether what is mapped was unmapped shortly before.
 *
 * For bpf/space.bpf.c and readers of a trace.
 */
#ifndef HAK_BPF_SPACE_H
#define HAK_BPF_SPACE_H

#include "bpf/target.h"

/* The advices of madvise, by linux/mman.h: the same on all machines but alpha, mips, parisc and
 * xtensa. */
#define HAK_ADVICES(ADVICE)         \
	ADVICE(NORMAL, 0)           \
	ADVICE(RANDOM, 1)           \
	ADVICE(SEQUENTIAL, 2)       \
	ADVICE(WILLNEED, 3)         \
	ADVICE(DONTNEED, 4)         \
	ADVICE(FREE, 8)             \
	ADVICE(REMOVE, 9)           \
	ADVICE(DONTFORK, 10)        \
	ADVICE(DOFORK, 11)          \
	ADVICE(MERGEABLE, 12)       \
	ADVICE(UNMERGEABLE, 13)     \
	ADVICE(HUGEPAGE, 14)        \
	ADVICE(NOHUGEPAGE, 15)      \
	ADVICE(DONTDUMP, 16)        \
	ADVICE(DODUMP, 17)          \
	ADVICE(WIPEONFORK, 18)      \
	ADVICE(KEEPONFORK, 19)      \
	ADVICE(COLD, 20)            \
	ADVICE(PAGEOUT, 21)         \
	ADVICE(POPULATE_READ, 22)   \
	ADVICE(POPULATE_WRITE, 23)  \
	ADVICE(DONTNEED_LOCKED, 24) \
	ADVICE(COLLAPSE, 25)        \
	ADVICE(HWPOISON, 100)       \
	ADVICE(SOFT_OFFLINE, 101)   \
	ADVICE(GUARD_INSTALL, 102)  \
	ADVICE(GUARD_REMOVE, 103)

/* madvise counts by its advice. */
enum hak_call {
	HAK_CALL_NONE,
	HAK_CALL_MMAP,
	HAK_CALL_MUNMAP,
	HAK_CALL_MREMAP,
	HAK_CALL_BRK,
#define ADVICE(name, number) HAK_CALL_##name,
	HAK_ADVICES(ADVICE)
#undef ADVICE
		HAK_CALL_ADVISE, /* any other advice */
	HAK_CALL_PROCESS_MADVISE,
	HAK_CALLS,
};

/* The numbers of the system calls on this machine, set before loading. */
struct hak_numbers {
	__u32 mmap, munmap, mremap, brk, madvise, process_madvise;
};

/*
 * `freed` is off by up to 31 pages a call. A processor holds the pages that it freed last in a
 * batch, regardless of the thread, and they go when the batch does.
 */
struct hak_call_totals {
	__u64 calls, failed;
	__u64 bytes; /* in the ranges of the calls that succeeded */
	__u64 given; /* bytes of address space that they gave back */
	__u64 freed; /* bytes of memory that went to the kernel meanwhile */
	__u64 ns;    /* from entry to return, failures included */
	__u64 ns_slots[HAK_HISTOGRAM_SLOTS];
};

/* On each processor; readers add up. */
struct hak_space_totals {
	struct hak_call_totals call[HAK_CALLS];
	__u64 given_lazy;		       /* bytes, of all given: by MADV_FREE in any call */
	__u64 size_slots[HAK_HISTOGRAM_SLOTS]; /* calls that gave back, by bytes */
	__u64 maps;			       /* mmaps that made a mapping */
	__u64 exact; /* of these, those that got a range unmapped within T */
	__u64 exact_bytes;
	__u64 overlapping; /* mmaps that met a page unmapped within T */
	__u64 overlapping_bytes;
	__u64 exact_slots[HAK_HISTOGRAM_SLOTS]; /* by ns between munmap and mmap */
	__u64 populated;			/* bytes populated again by a call, within T */
	__u64 populated_late;
	__u64 populated_slots[HAK_HISTOGRAM_SLOTS]; /* pages of both, by ns since given back */
	__u64 vmas_changed; /* sum of the changes that calls made to the number of regions */
};

/* For each owner, on each processor. */
struct hak_space_owner {
	__u64 calls, given, freed, ns;
	__u64 vmas;    /* regions after its last call */
	__u64 vmas_ns; /* time of that call: the latest of all processors holds */
	__u64 vmas_most;
};

/* A place in the program from which memory was given back. The words tell paths apart, the copy of
 * the stack identifies the path. */
struct hak_site_key {
	__u64 owner, sp, return_ip;
	__s32 stack; /* in the table of stacks; negative: none */
	__u32 call;
};

struct hak_site {
	__u64 calls, bytes, freed, ns;
};

struct hak_site_event {
	struct hak_event head;
	struct hak_site_key key;
	__u64 regs[HAK_REGS_MAX];
	__u64 stack_bytes; /* copied, from sp on */
	__u8 stack[HAK_STACK_COPY];
};

#define HAK_STACK_DEPTH 64 /* return addresses by frame pointers */

#endif
