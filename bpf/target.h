/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The contract between the BPF programs and their loaders, for all probes: which processes are
 * watched, how they are identified, and which events a program reports at once instead of adding
 * them up.
 *
 * An owner is one address space of one process: a number given when the process is added, and a new
 * one at exec. So pages given back before exec never match pages populated after it, and a reused
 * pid is another owner.
 *
 * For bpf/. Fixed-size types only; both sides are compiled on the same machine.
 */
#ifndef HAK_BPF_TARGET_H
#define HAK_BPF_TARGET_H

#define HAK_BLOCK_SHIFT	    21	 /* blocks of 2 MiB: one lookup a fault, one entry a block */
#define HAK_BLOCK_WORDS	    8	 /* 512 pages of 4 KiB, fewer where pages are larger */
#define HAK_HISTOGRAM_SLOTS 48	 /* log2: slot n counts from 2^n to 2^(n+1)-1, 0 in slot 0 */
#define HAK_STACK_COPY	    8192 /* bytes copied from a user's stack, to be unwound afterwards */
#define HAK_REGS_MAX	    34	 /* words; the most that a supported machine has in pt_regs */

/* Set once, before the programs are loaded: the verifier drops code for what is not requested. */
struct hak_filter {
	__u64 window_ns; /* pages populated after this time are late */
	__u64 events;	 /* bit n: report each call n of enum hak_call; HAK_REFILLS: each refill */
	__u32 page_shift;
	__u32 regs_words, regs_sp, regs_ip; /* pt_regs of this machine, in words */
	__u32 self;			    /* the loader: it and its children are not added */
	__u32 pid_ns;			    /* namespace of pids; 0: the first of the machine */
	__u8 by_cgroup; /* processes of the cgroup are added when they are met */
	__u8 sites;	/* keep call sites */
	__u8 pad[6];
};

#define HAK_REFILLS (1ULL << 63) /* of the events */

/* The entry of a watched process: tgid -> this. */
struct hak_proc {
	__u64 owner;
	__u64 unsummed; /* not 0: there was no room for sums of its own */
};

/* Shared numbers, in an array with one slot for each. */
enum hak_note {
	HAK_NOTE_OWNERS,       /* owners given out */
	HAK_NOTE_LOST_EVENTS,  /* no room in the ring buffer */
	HAK_NOTE_LOST_PROCS,   /* processes not added, or without sums of their own */
	HAK_NOTE_LOST_THREADS, /* calls and faults of threads for which there was no room */
	HAK_NOTE_LOST_SITES,
	HAK_NOTE_BLOCKS_ADDED, /* entries made in the table of blocks */
	HAK_NOTE_PAGES_ADDED,  /* bits set there, and cleared */
	HAK_NOTE_PAGES_TAKEN,
	HAK_NOTE_PAGES_UNFOLLOWED, /* given back in ranges too long to follow */
	HAK_NOTE_QUIET,		   /* not 0: no process is added any more */
	HAK_NOTES,
};

enum hak_event_type {
	HAK_EVENT_FORK = 1, /* pid: the child; a: the parent; this and the next three: name */
	HAK_EVENT_EXEC,
	HAK_EVENT_MET, /* added for its cgroup */
	HAK_EVENT_EXIT,
	HAK_EVENT_CALL,	  /* a: enum hak_call, b: address, c: bytes, d: result, e: ns */
	HAK_EVENT_REFILL, /* a: address, b: bytes, c: ns since it was given back */
	HAK_EVENT_SITE,	  /* struct hak_site_event */
};

struct hak_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 owner;
	__u32 type, pid, tid, pad;
	__u64 a, b, c, d, e;
	char name[16]; /* of the process at that time */
};

/* -- what follows is shared by the programs on system calls and those on faults ---------------- */
struct hak_block_key {
	__u64 owner;
	__u64 block; /* address >> HAK_BLOCK_SHIFT */
};

/* Pages of one block, a bit each. */
struct hak_block {
	__u64 time_ns;		      /* time of the last giving back in this block */
	__u64 given[HAK_BLOCK_WORDS]; /* given back, not populated since */
	__u64 lazy[HAK_BLOCK_WORDS];  /* of those, by MADV_FREE */
	__u64 again[HAK_BLOCK_WORDS]; /* populated again at least once, at any time */
	__u64 read[HAK_BLOCK_WORDS];  /* populated again without memory: read, not written yet */
};

/* The state of one thread between its entry to the kernel and its return. */
struct hak_thread {
	__u64 call_ns; /* 0: in no call of the probes */
	__u64 arg[5];
	__u64 total_vm, brk; /* at entry */
	__u64 freed;	     /* pages that the call freed so far */
	__u64 first_free;    /* of the range that a fixed mapping takes: mapped from its */
	__u64 last_free;     /* start up to first_free, and from last_free to its end */
	__u32 call, pad;
	__u64 fault_ns;	    /* 0: in no fault */
	__u32 order, fresh; /* of the largest page given to the fault; whether it got any */
};

#endif
