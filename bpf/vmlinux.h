/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * The kernel's types, as far as the programs use them. libbpf finds the members by name in the BTF
 * of the running kernel (preserve_access_index). Order, size and neighbours therefore do not matter
 * here, and one object serves all kernels.
 *
 * For bpf/X.bpf.c. Nothing outside of BPF programs may include this.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef int pid_t;
typedef unsigned int gfp_t;

enum { false, true };
typedef _Bool bool;

/* Part of the interface between kernel and programs, with fixed values. */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY, BPF_NOEXIST, BPF_EXIST };
enum { BPF_F_USER_STACK = 1 << 8, BPF_F_FAST_STACK_CMP = 1 << 9 };
enum bpf_func_id { BPF_FUNC_find_vma = 180, BPF_FUNC_loop = 181 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {};

struct pt_regs___x86_64 {
	unsigned long di, si, dx, r10, r8, r9, ip, sp;
};

struct pt_regs___aarch64 {
	unsigned long regs[31], sp, pc, orig_x0;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct inode {
	unsigned long i_ino;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
};

struct mm_struct {
	unsigned long total_vm, start_brk, brk, start_stack;
	int map_count;
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct thread_info {
	unsigned long flags;
	u32 status;
};

struct task_struct {
	struct thread_info thread_info;
	pid_t pid, tgid;
	struct pid *thread_pid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct signal_struct *signal;
	char comm[16];
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_flags;
	struct file *vm_file;
	struct mm_struct *vm_mm;
};

struct seq_file {};

struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id, seq_num;
};

struct bpf_iter__task_vma {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct vm_area_struct *vma;
};

/* The argument of a program on a perf event. */
struct bpf_perf_event_data {
	u64 addr;
};

struct page {};
struct linux_binprm {};

#pragma clang attribute pop

struct iovec {
	void *iov_base;
	u64 iov_len;
};

#endif
