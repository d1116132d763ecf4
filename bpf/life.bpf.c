/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * Keeps the set of watched processes: children of watched processes join it when they are forked,
 * exec gives a process a new owner, exit removes the process. A thread's entry is removed with the
 * thread. Children that share their parent's address space (vfork) have the same owner, and are
 * reported at exec only.
 */
#include "bpf/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/life.h"
#include "bpf/blocks.bpf.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	__u32 from = process_of(parent, filter.pid_ns), tgid = process_of(child, filter.pid_ns);
	struct hak_proc *proc, *parents = bpf_map_lookup_elem(&procs, &from);
	bool same = BPF_CORE_READ(parent, mm) == BPF_CORE_READ(child, mm);

	if (from == tgid || !parents)
		return 0;
	proc = take_in(tgid, same ? parents->owner : 0);
	if (proc && !same)
		tell(HAK_EVENT_FORK, proc->owner, tgid, from);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(execed, struct task_struct *task)
{
	struct hak_proc *proc = current_proc();

	if (!proc)
		return 0;
	proc->owner = note_add(HAK_NOTE_OWNERS, 1) + 1;
	tell(HAK_EVENT_EXEC, proc->owner, current_tgid(), 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, pid), tgid = process_of(task, filter.pid_ns);
	struct hak_proc *proc = bpf_map_lookup_elem(&procs, &tgid);

	if (!proc)
		return 0;
	bpf_map_delete_elem(&threads, &pid);
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	tell(HAK_EVENT_EXIT, proc->owner, tgid, 0);
	bpf_map_delete_elem(&procs, &tgid);
	return 0;
}
