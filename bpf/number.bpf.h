/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The number of a process as the loader sees it. In a PID namespace of its own the loader sees
 * other numbers than the kernel's, and a process outside of that namespace has none.
 *
 * For bpf/X.bpf.c, after vmlinux.h and bpf_core_read.h.
 */
#ifndef HAK_BPF_NUMBER_BPF_H
#define HAK_BPF_NUMBER_BPF_H

#define LEVELS_MAX 33 /* the kernel's limit on nested namespaces */

/* `ns` is the loader's namespace, 0 for the first. Returns 0 if the task has no number there. */
static __always_inline __u32 number_of(struct task_struct *task, __u32 ns)
{
	struct pid *pid;
	__u32 level;

	if (!ns)
		return BPF_CORE_READ(task, pid);
	pid = BPF_CORE_READ(task, thread_pid);
	level = BPF_CORE_READ(pid, level);
	for (__u32 i = 0; i < LEVELS_MAX && i <= level; i++) {
		struct upid *at = __builtin_preserve_access_index(&pid->numbers[0]);
		struct upid number;

		/* Usually the innermost namespace is meant. */
		at = (void *)at + (level - i) * bpf_core_type_size(struct upid);
		if (bpf_core_read(&number.ns, sizeof(number.ns), &at->ns) == 0 &&
		    BPF_CORE_READ(number.ns, ns.inum) == ns)
			return BPF_CORE_READ(at, nr);
	}
	return 0;
}

/* Returns the number of the task's process. */
static __always_inline __u32 process_of(struct task_struct *task, __u32 ns)
{
	if (!ns)
		return BPF_CORE_READ(task, tgid);
	return number_of(BPF_CORE_READ(task, group_leader), ns);
}

#endif
