/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * What our BPF programs and their loaders agree on, whatever the question: which processes are
 * watched, who they are, and what a program tells at once instead of adding it up.
 *
 * An owner is one address space of one process: a number given when the process is taken in and a
 * new one at exec, so that what was given back before is never met by what is populated after, and
 * a pid used again is another owner.
 *
 * For: bpf/. Fixed-size types only; both sides are compiled on the same machine.
 */
#ifndef HAK_BPF_TARGET_H
#define HAK_BPF_TARGET_H

#define HAK_BLOCK_SHIFT	    21	 /* blocks of 2 MiB: one lookup a fault, one entry a block */
#define HAK_BLOCK_WORDS	    8	 /* 512 pages of 4 KiB, fewer where pages are larger */
#define HAK_HISTOGRAM_SLOTS 48	 /* log2: slot n counts from 2^n to 2^(n+1)-1, 0 in slot 0 */
#define HAK_STACK_COPY	    8192 /* bytes of a user's stack, for unwinding it afterwards */
#define HAK_REGS_MAX	    34	 /* words; the most any machine of ours has in pt_regs */

/* Set once, before the programs are loaded: the verifier drops what is not asked for. */
struct hak_filter {
	__u64 window_ns; /* what is populated again later than that is late */
	__u32 page_shift;
	__u32 regs_words, regs_sp, regs_ip; /* pt_regs of this machine, in words */
	__u32 self;			    /* the loader: it and its children are not taken in */
	__u32 pid_ns;	/* in which pids are numbers; 0: the first of the machine */
	__u8 by_cgroup; /* processes of the cgroup are taken in as they are met */
	__u8 events;	/* tell each system call and refill */
	__u8 sites;	/* keep call sites */
	__u8 pad[5];
};

/* How a watched process is known: tgid -> this. */
struct hak_proc {
	__u64 owner;
	__u64 unsummed; /* not 0: it found no room for sums of its own */
};

/* Shared numbers: one array, one slot each. */
enum hak_note {
	HAK_NOTE_OWNERS,       /* owners given out */
	HAK_NOTE_LOST_EVENTS,  /* no room in the ring buffer */
	HAK_NOTE_LOST_PROCS,   /* processes not taken in, or without sums of their own */
	HAK_NOTE_LOST_THREADS, /* calls and faults of threads that found no place */
	HAK_NOTE_LOST_SITES,
	HAK_NOTE_BLOCKS_ADDED, /* entries made in the table of blocks */
	HAK_NOTE_PAGES_ADDED,  /* bits set there, and cleared */
	HAK_NOTE_PAGES_TAKEN,
	HAK_NOTE_PAGES_UNFOLLOWED, /* given back by ranges too long to follow */
	HAK_NOTE_QUIET,		   /* not 0: nobody is taken in any more */
	HAK_NOTES,
};

enum hak_event_type {
	HAK_EVENT_FORK = 1, /* pid: the child; a: the parent; this and the next three: name */
	HAK_EVENT_EXEC,
	HAK_EVENT_MET, /* taken in for its cgroup */
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
	char name[16]; /* of the process, as it is then */
};

/* -- what follows is shared by the programs on system calls and those on faults ---------------- */
struct hak_block_key {
	__u64 owner;
	__u64 block; /* address >> HAK_BLOCK_SHIFT */
};

/* Pages of one block, a bit each. */
struct hak_block {
	__u64 time_ns;		      /* of the last giving back in this block */
	__u64 given[HAK_BLOCK_WORDS]; /* given back, not populated since */
	__u64 lazy[HAK_BLOCK_WORDS];  /* of those, by MADV_FREE */
	__u64 again[HAK_BLOCK_WORDS]; /* populated again at least once, however late */
	__u64 read[HAK_BLOCK_WORDS];  /* populated again without memory: read, not written yet */
};

/* One thread between the entry to the kernel and the return from it. */
struct hak_thread {
	__u64 call_ns; /* 0: in no call that we know */
	__u64 arg[5];
	__u64 total_vm, brk; /* at entry */
	__u64 freed;	     /* pages that the call freed so far */
	__u64 first_free;    /* of the range that a fixed mapping is to take: up to where it */
	__u64 last_free;     /* was mapped from its start on, and from where on to its end */
	__u32 call, pad;
	__u64 fault_ns;	    /* 0: in no fault */
	__u32 order, fresh; /* of the largest page the fault was given; whether it was any */
};

#endif
