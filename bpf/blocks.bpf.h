/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The memory of a trace: which pages were given back and not populated since, by blocks of 2 MiB,
 * and what each thread is doing in the kernel. The programs on system calls and those on faults
 * write it, on several processors at a time. Bits change by atomic operations, and counts of pages
 * are counts of the bits that really changed.
 *
 * Blocks are dropped when the table is full, least recently used first, without a notice. Since
 * every bit set and cleared is counted, the difference at the end is what was dropped.
 *
 * For bpf/space.bpf.c and bpf/fault.bpf.c.
 */
#ifndef HAK_BPF_BLOCKS_BPF_H
#define HAK_BPF_BLOCKS_BPF_H

#include "bpf/target.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct hak_block_key);
	__type(value, struct hak_block);
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct hak_thread);
} threads SEC(".maps");

static const struct hak_block no_block;
static const struct hak_thread no_thread;

/* Returns the current thread's entry, made if there is none. */
static __always_inline struct hak_thread *current_thread(void)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct hak_thread *thread = bpf_map_lookup_elem(&threads, &tid);

	if (thread)
		return thread;
	bpf_map_update_elem(&threads, &tid, &no_thread, BPF_NOEXIST);
	thread = bpf_map_lookup_elem(&threads, &tid);
	if (!thread)
		note_add(HAK_NOTE_LOST_THREADS, 1);
	return thread;
}

/* Returns the mask of pages `first` to `last` - 1 of a block in its word `w`. */
static __always_inline __u64 word_mask(__s32 first, __s32 last, __s32 w)
{
	__s32 low = first - w * 64, high = last - w * 64;

	if (low < 0)
		low = 0;
	if (high > 64)
		high = 64;
	if (high <= low)
		return 0;
	return (~0ULL >> ((64 - (high - low)) & 63)) << (low & 63);
}

static __always_inline __u32 bits(__u64 v)
{
	v -= (v >> 1) & 0x5555555555555555ULL;
	v = (v & 0x3333333333333333ULL) + ((v >> 2) & 0x3333333333333333ULL);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (v * 0x0101010101010101ULL) >> 56;
}

#endif
