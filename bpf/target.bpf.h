/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The maps that all programs of one trace share, and the question that each asks first: is the
 * current process watched? The object that is loaded first makes the maps; the others use them.
 *
 * For bpf/X.bpf.c, after vmlinux.h and bpf_helpers.h.
 */
#ifndef HAK_BPF_TARGET_BPF_H
#define HAK_BPF_TARGET_BPF_H

#include "bpf/number.bpf.h"
#include "bpf/target.h"

const volatile struct hak_filter filter;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct hak_proc);
} procs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HAK_NOTES);
	__type(key, __u32);
	__type(value, __u64);
} notes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

static __always_inline __u64 note_add(__u32 note, __u64 n)
{
	__u64 *slot = bpf_map_lookup_elem(&notes, &note);

	return slot ? __sync_fetch_and_add(slot, n) : 0;
}

static __always_inline struct task_struct *current_task(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* Returns the current process; 0 if the loader cannot see it. */
static __always_inline __u32 current_tgid(void)
{
	if (!filter.pid_ns)
		return bpf_get_current_pid_tgid() >> 32;
	return process_of(current_task(), filter.pid_ns);
}

/* Returns NULL if there is no room, which is counted. The event must be submitted at once. */
static __always_inline struct hak_event *event_begin(__u64 bytes, __u32 type, __u64 owner)
{
	struct hak_event *e = bpf_ringbuf_reserve(&events, bytes, 0);

	if (!e) {
		note_add(HAK_NOTE_LOST_EVENTS, 1);
		return NULL;
	}
	e->time_ns = bpf_ktime_get_ns();
	e->owner = owner;
	e->type = type;
	e->pid = current_tgid();
	e->tid = number_of(current_task(), filter.pid_ns);
	e->pad = 0;
	e->a = e->b = e->c = e->d = e->e = 0;
	__builtin_memset(e->name, 0, sizeof(e->name));
	return e;
}

static __always_inline void tell(__u32 type, __u64 owner, __u32 pid, __u64 parent)
{
	struct hak_event *e = event_begin(sizeof(*e), type, owner);

	if (!e)
		return;
	e->pid = pid;
	e->a = parent;
	bpf_get_current_comm(e->name, sizeof(e->name));
	bpf_ringbuf_submit(e, 0);
}

/* Adds a process that a program met for the first time, with a new owner or with the given one. */
static __always_inline struct hak_proc *take_in(__u32 tgid, __u64 owner)
{
	struct hak_proc proc = { .owner = owner };

	if (note_add(HAK_NOTE_QUIET, 0))
		return NULL;
	if (!owner)
		proc.owner = note_add(HAK_NOTE_OWNERS, 1) + 1;
	if (bpf_map_update_elem(&procs, &tgid, &proc, BPF_NOEXIST) == -7 /* E2BIG */)
		note_add(HAK_NOTE_LOST_PROCS, 1);
	return bpf_map_lookup_elem(&procs, &tgid);
}

/*
 * Returns whether this is the loader or a child of it: the pager, the keeper of its readers, and
 * the readers.
 */
static __always_inline bool is_loader(__u32 tgid)
{
	struct task_struct *parent, *grandparent;

	if (tgid == filter.self)
		return true;
	parent = BPF_CORE_READ(current_task(), real_parent);
	grandparent = BPF_CORE_READ(parent, real_parent);
	return process_of(parent, filter.pid_ns) == filter.self ||
	       process_of(grandparent, filter.pid_ns) == filter.self;
}

static __always_inline struct hak_proc *current_proc(void)
{
	__u32 tgid = current_tgid();
	struct hak_proc *proc = bpf_map_lookup_elem(&procs, &tgid);

	if (proc || !filter.by_cgroup || !tgid || is_loader(tgid))
		return proc;
	/* A process that ends counts as gone, though it still faults a little. */
	if (BPF_CORE_READ(current_task(), signal, live.counter) <= 0 ||
	    bpf_current_task_under_cgroup(&cgroups, 0) != 1)
		return NULL;
	proc = take_in(tgid, 0);
	if (proc)
		tell(HAK_EVENT_MET, proc->owner, tgid, 0);
	return proc;
}

/* All maps have room for the sums of the same number of owners. */
static __always_inline void no_sums(struct hak_proc *proc)
{
	if (!__sync_lock_test_and_set(&proc->unsummed, 1))
		note_add(HAK_NOTE_LOST_PROCS, 1);
}

static __always_inline __u32 log2_slot(__u64 v)
{
	__u32 slot = 0;

	if (v >> 32)
		slot += 32, v >>= 32;
	if (v >> 16)
		slot += 16, v >>= 16;
	if (v >> 8)
		slot += 8, v >>= 8;
	if (v >> 4)
		slot += 4, v >>= 4;
	if (v >> 2)
		slot += 2, v >>= 2;
	slot += v >> 1;
	return slot < HAK_HISTOGRAM_SLOTS ? slot : HAK_HISTOGRAM_SLOTS - 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#endif
