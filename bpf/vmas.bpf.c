/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/* The regions of one process, see vmas.h; an iterator that is attached to that process alone. */
#include "bpf/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/number.bpf.h"
#include "bpf/vmas.h"

/* Of the loader. */
const volatile __u32 pid_ns;

SEC("iter/task_vma")
int regions(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct *vma = ctx->vma;
	struct task_struct *task = ctx->task;
	struct hak_vma v = { 0 };
	const unsigned char *name;
	struct file *file;

	if (!task || !vma || task->pid != task->tgid)
		return 0;
	v.start = vma->vm_start;
	v.end = vma->vm_end;
	v.flags = vma->vm_flags;
	v.pid = number_of(task, pid_ns);
	file = vma->vm_file;
	if (file) {
		v.kind = HAK_VMA_FILE;
		name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
		bpf_probe_read_kernel_str(v.name, sizeof(v.name), name);
	} else {
		struct mm_struct *mm = vma->vm_mm;

		if (v.start <= mm->brk && v.end > mm->start_brk)
			v.kind = HAK_VMA_HEAP;
		else if (v.start <= mm->start_stack && v.end > mm->start_stack)
			v.kind = HAK_VMA_STACK;
	}
	bpf_seq_write(ctx->meta->seq, &v, sizeof(v));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
