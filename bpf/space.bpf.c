/* SPDX-License-Identifier: (MIT OR GPL-2.0) */
/*
 * System calls about address space, see space.h. Two pairs of programs do the same. One is on the
 * tracepoints of the few calls that matter, and costs no other call any time. The other is on the
 * tracepoints of all calls, and needs no tracefs. One pair is loaded.
 *
 * Pages count as given back when the call returns: a call that fails gives nothing.
 */
#include "bpf/vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/space.h"
#include "bpf/walk.bpf.h"

#define MAP_FIXED_	  0x10
#define MAP_POPULATE_	  0x8000
#define MREMAP_FIXED_	  2
#define MREMAP_DONTUNMAP_ 4
#define ERRNO_MAX	  4095
#define ENOMEM_		  12
/* A larger range from which no memory was freed is not followed, because it was only reserved. */
#define EMPTY_MAX   (64ULL << 20)
#define IOVECS_MAX  64
#define REGIONS_MAX 16 /* regions seen from each end of the range to be replaced */

enum advice {
#define ADVICE(name, number) ADVICE_##name = number,
	HAK_ADVICES(ADVICE)
#undef ADVICE
};

const volatile struct hak_numbers numbers;
const volatile __u8 pages_told; /* page_free() is loaded */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct hak_space_owner);
} space_owners SEC(".maps");

static const struct hak_space_owner no_owner;

/* Ranges that munmap took away, by their start. */
struct range_key {
	__u64 owner, start;
};
struct range {
	__u64 bytes, time_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct range_key);
	__type(value, struct range);
} ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hak_site_key);
	__type(value, struct hak_site);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 8192);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, HAK_STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* -- one call ---------------------------------------------------------------------------------- */
/* The outcome of a call that returned. */
struct outcome {
	__u64 address, bytes; /* of the range of the call */
	__u64 given;	      /* bytes given back */
	__u64 freed;	      /* pages of memory that went back to the kernel */
	__u32 lazy, pad;
};

/* Data too large for the stack: a program and all functions that it calls have 512 bytes, in parts
 * of 32 for each function. There is one on each processor, where nothing else runs meanwhile. */
struct room {
	struct hak_site_key key;
	struct hak_site first;
	struct walk walk;
	struct outcome out;
	struct range_key range_key;
	struct range range;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct room);
} rooms SEC(".maps");

static __always_inline __u64 pages_up(__u64 bytes)
{
	__u64 mask = (1ULL << (filter.page_shift & 31)) - 1;

	return (bytes + mask) & ~mask;
}

/* There is one walk for all that a call does. */
static __always_inline void go(struct walk *walk, __u32 what, __u64 start, __u64 bytes)
{
	walk->what = what;
	walk->start = start;
	walk->end = start + bytes;
	walk->found = walk->late = 0;
	walk_range(walk);
}

static __always_inline void give_back(struct walk *walk, struct outcome *out, __u64 start,
				      __u64 bytes)
{
	out->given += bytes;
	if (pages_told && !out->freed && !out->lazy && bytes > EMPTY_MAX)
		note_add(HAK_NOTE_PAGES_UNFOLLOWED, bytes >> (filter.page_shift & 31));
	else
		go(walk, out->lazy ? WALK_GIVE_LAZY : WALK_GIVE, start, bytes);
}

static __always_inline void populate(struct walk *walk, struct hak_space_totals *totals,
				     __u64 start, __u64 bytes)
{
	go(walk, WALK_POPULATE, start, bytes);
	totals->populated += walk->found << (filter.page_shift & 31);
	totals->populated_late += walk->late << (filter.page_shift & 31);
}

static __always_inline struct mm_struct *current_mm(void)
{
	return BPF_CORE_READ(current_task(), mm);
}

/* Checks whether a new mapping lies where another one was until recently. */
static __always_inline void met_again(struct room *room, struct hak_space_totals *totals,
				      __u64 start, __u64 bytes)
{
	struct walk *walk = &room->walk;
	struct range *range;

	room->range_key = (struct range_key){ .owner = walk->owner, .start = start };
	range = bpf_map_lookup_elem(&ranges, &room->range_key);
	totals->maps++;
	go(walk, WALK_LOOK, start, bytes);
	if (walk->found) {
		totals->overlapping++;
		totals->overlapping_bytes += walk->found << (filter.page_shift & 31);
	}
	if (!range)
		return;
	if (range->bytes == bytes && walk->now - range->time_ns < filter.window_ns) {
		totals->exact++;
		totals->exact_bytes += bytes;
		totals->exact_slots[log2_slot(walk->now - range->time_ns) % HAK_HISTOGRAM_SLOTS]++;
	}
	bpf_map_delete_elem(&ranges, &room->range_key);
}

/* Returns whether the size of the address space tells what this thread did: it is the only thread,
 * or there is no other way to know. */
static __always_inline bool size_tells(void)
{
	return !bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma) ||
	       BPF_CORE_READ(current_task(), signal, live.counter) == 1;
}

/*
 * A mapping at a fixed address gives back what was there without a munmap. The size of the address
 * space tells how much: it grew by so much less than by `added`. The pages are known only where the
 * walk from the ends of the range saw them; other pages are not followed. Where other threads map
 * and unmap meanwhile, only the pages that were seen are counted.
 */
static __always_inline void replace(struct walk *walk, struct hak_thread *t, struct outcome *out,
				    __u64 start, __u64 bytes, __u64 added)
{
	__u64 grown = (BPF_CORE_READ(current_mm(), total_vm) - t->total_vm)
		      << (filter.page_shift & 31);
	__u64 end = start + bytes, gone = size_tells() ? added - grown : 0, seen;

	if (t->first_free >= end || gone == bytes) {
		give_back(walk, out, start, bytes);
		return;
	}
	seen = t->first_free - start + end - t->last_free;
	give_back(walk, out, start, t->first_free - start);
	give_back(walk, out, t->last_free, end - t->last_free);
	/* More than is possible: another thread unmaps at the same time. */
	if (gone > seen && gone < bytes) {
		out->given += gone - seen;
		note_add(HAK_NOTE_PAGES_UNFOLLOWED, (gone - seen) >> (filter.page_shift & 31));
	}
}

static __always_inline void mmap_done(struct room *room, struct hak_space_totals *totals,
				      struct hak_thread *t, __u64 at, struct outcome *out)
{
	struct walk *walk = &room->walk;
	__u64 bytes = pages_up(t->arg[1]);

	out->address = at;
	out->bytes = bytes;
	if (t->arg[3] & MAP_FIXED_)
		replace(walk, t, out, at, bytes, bytes);
	else
		met_again(room, totals, at, bytes);
	if (t->arg[3] & MAP_POPULATE_)
		populate(walk, totals, at, bytes);
}

static __always_inline void munmap_done(struct room *room, struct hak_thread *t,
					struct outcome *out)
{
	struct walk *walk = &room->walk;

	out->address = t->arg[0];
	out->bytes = pages_up(t->arg[1]);
	give_back(walk, out, out->address, out->bytes);
	room->range_key = (struct range_key){ .owner = walk->owner, .start = out->address };
	room->range = (struct range){ .bytes = out->bytes, .time_ns = walk->now };
	bpf_map_update_elem(&ranges, &room->range_key, &room->range, BPF_ANY);
}

static __always_inline void mremap_done(struct walk *walk, struct hak_thread *t, __u64 at,
					struct outcome *out)
{
	__u64 old = pages_up(t->arg[1]), new = pages_up(t->arg[2]);

	bool leaves = t->arg[3] & MREMAP_DONTUNMAP_;

	out->address = at;
	out->bytes = new;
	if (t->arg[3] & MREMAP_FIXED_)
		replace(walk, t, out, at, new, leaves ? new : new - old);
	if (new < old && !leaves)
		give_back(walk, out, t->arg[0] + new, old - new);
}

static __always_inline void brk_done(struct walk *walk, struct hak_thread *t, __u64 at,
				     struct outcome *out)
{
	__u64 old = pages_up(t->brk), new = pages_up(at);

	out->address = at;
	if (new > old) {
		out->bytes = new - old;
	} else if (new < old) {
		out->bytes = old - new;
		give_back(walk, out, new, old - new);
	}
}

/* Returns whether this is a madvise that gives its range back. */
static __always_inline bool gives_back(__u32 call)
{
	return call == HAK_CALL_DONTNEED || call == HAK_CALL_DONTNEED_LOCKED ||
	       call == HAK_CALL_FREE;
}

static __always_inline void madvise_done(struct walk *walk, struct hak_space_totals *totals,
					 struct hak_thread *t, struct outcome *out)
{
	out->address = t->arg[0];
	out->bytes = pages_up(t->arg[1]);
	out->lazy = t->call == HAK_CALL_FREE;
	if (gives_back(t->call))
		give_back(walk, out, out->address, out->bytes);
	else if (t->call == HAK_CALL_POPULATE_READ || t->call == HAK_CALL_POPULATE_WRITE)
		populate(walk, totals, out->address, out->bytes);
}

/*
 * `done` bytes of the ranges were advised, from the first on. The kernel accepts DONTNEED and FREE
 * from a process about itself only, so the owner of the pages needs no look-up.
 */
static __always_inline void process_madvise_done(struct walk *walk, struct hak_thread *t,
						 __u64 done, struct outcome *out)
{
	bool hard = t->arg[3] == ADVICE_DONTNEED || t->arg[3] == ADVICE_DONTNEED_LOCKED;

	out->lazy = t->arg[3] == ADVICE_FREE;
	out->bytes = done;
	for (__u32 i = 0; i < IOVECS_MAX && i < t->arg[2] && done; i++) {
		struct iovec v = { 0 };
		__u64 bytes;

		if (bpf_probe_read_user(&v, sizeof(v), (void *)(t->arg[1] + i * sizeof(v))))
			return;
		if (i == 0)
			out->address = (__u64)v.iov_base;
		bytes = pages_up(v.iov_len);
		if (bytes > done)
			bytes = done;
		done -= bytes;
		if (hard || out->lazy)
			give_back(walk, out, (__u64)v.iov_base, bytes);
	}
}

/* -- call sites -------------------------------------------------------------------------------- */
static __always_inline void tell_site(const struct hak_site_key *key, void *regs)
{
	struct hak_site_event *e = (void *)event_begin(sizeof(*e), HAK_EVENT_SITE, key->owner);
	__u32 words = filter.regs_words;

	if (!e)
		return;
	e->key = *key;
	if (words > HAK_REGS_MAX)
		words = HAK_REGS_MAX;
	__builtin_memset(e->regs, 0, sizeof(e->regs));
	bpf_probe_read_kernel(e->regs, words * sizeof(__u64), regs);
	e->stack_bytes = 0;
	/* Bisection finds the end of a stack that is shorter than the copy. */
	if (bpf_probe_read_user(e->stack, HAK_STACK_COPY, (void *)key->sp) == 0)
		e->stack_bytes = HAK_STACK_COPY;
	else if (bpf_probe_read_user(e->stack, HAK_STACK_COPY / 2, (void *)key->sp) == 0)
		e->stack_bytes = HAK_STACK_COPY / 2;
	else if (bpf_probe_read_user(e->stack, HAK_STACK_COPY / 8, (void *)key->sp) == 0)
		e->stack_bytes = HAK_STACK_COPY / 8;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline void count_site(void *ctx, struct room *room, struct hak_proc *proc,
				       __u32 call, __u64 given, __u64 freed, __u64 ns)
{
	__u64 *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct hak_site_key *key = &room->key;
	struct hak_site *site;

	key->owner = proc->owner;
	key->call = call;
	key->sp = key->return_ip = 0;
	bpf_probe_read_kernel(&key->sp, sizeof(key->sp), regs + filter.regs_sp);
	bpf_probe_read_user(&key->return_ip, sizeof(key->return_ip), (void *)key->sp);
	key->stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	site = bpf_map_lookup_elem(&sites, key);
	if (site) {
		site->calls++;
		site->bytes += given;
		site->freed += freed;
		site->ns += ns;
		return;
	}
	room->first = (struct hak_site){ .calls = 1, .bytes = given, .freed = freed, .ns = ns };
	if (bpf_map_update_elem(&sites, key, &room->first, BPF_NOEXIST) == 0)
		tell_site(key, regs);
	else
		note_add(HAK_NOTE_LOST_SITES, 1);
}

/* -- entry and return -------------------------------------------------------------------------- */
static __always_inline __u32 call_of(__u32 nr, __u64 advice)
{
	if (nr == numbers.mmap)
		return HAK_CALL_MMAP;
	if (nr == numbers.munmap)
		return HAK_CALL_MUNMAP;
	if (nr == numbers.mremap)
		return HAK_CALL_MREMAP;
	if (nr == numbers.brk)
		return HAK_CALL_BRK;
	if (nr == numbers.process_madvise)
		return HAK_CALL_PROCESS_MADVISE;
	if (nr != numbers.madvise)
		return HAK_CALL_NONE;
	switch (advice) {
#define ADVICE(name, number) \
	case number:         \
		return HAK_CALL_##name;
		HAK_ADVICES(ADVICE)
#undef ADVICE
	default:
		return HAK_CALL_ADVISE;
	}
}

struct region {
	__u64 start, end;
};

static long see_region(struct task_struct *task, struct vm_area_struct *vma, struct region *region)
{
	region->start = vma->vm_start;
	region->end = vma->vm_end;
	return 0;
}

/*
 * Finds the mapped parts of the range, as far as they are seen from its ends. Global for the reason
 * that walk_range() is.
 */
__noinline int look_from_ends(struct hak_thread *t, __u64 start, __u64 end)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct region region = { 0 };

	if (!t)
		return 0;
	t->first_free = start;
	t->last_free = end;
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_find_vma))
		return 0;
	for (int i = 0; i < REGIONS_MAX && t->first_free < end; i++) {
		if (bpf_find_vma(task, t->first_free, see_region, &region, 0) ||
		    region.end <= t->first_free)
			break;
		t->first_free = region.end < end ? region.end : end;
	}
	for (int i = 0; i < REGIONS_MAX && t->last_free > t->first_free; i++) {
		if (bpf_find_vma(task, t->last_free - 1, see_region, &region, 0) ||
		    region.start >= t->last_free)
			break;
		t->last_free = region.start > t->first_free ? region.start : t->first_free;
	}
	return 0;
}

static __always_inline void enter(__u32 nr, const __u64 arg[5])
{
	__u32 call = call_of(nr, arg[2]);
	struct hak_thread *t;
	struct mm_struct *mm;

	if (call == HAK_CALL_NONE || !current_proc())
		return;
	t = current_thread();
	if (!t)
		return;
	for (int i = 0; i < 5; i++)
		t->arg[i] = arg[i];
	mm = current_mm();
	t->total_vm = BPF_CORE_READ(mm, total_vm);
	t->brk = BPF_CORE_READ(mm, brk);
	t->call = call;
	t->freed = 0;
	if (call == HAK_CALL_MMAP && arg[3] & MAP_FIXED_)
		look_from_ends(t, arg[0], arg[0] + pages_up(arg[1]));
	else if (call == HAK_CALL_MREMAP && arg[3] & MREMAP_FIXED_)
		look_from_ends(t, arg[4], arg[4] + pages_up(arg[2]));
	t->call_ns = bpf_ktime_get_ns();
}

/* mmap and similar calls return an address or an error, madvise 0, process_madvise bytes. */
static __always_inline bool failed(struct hak_thread *t, long result)
{
	if (t->call == HAK_CALL_BRK) /* returns where the end is, whatever was requested */
		return t->arg[0] && (__u64)result != t->arg[0];
	return (unsigned long)result >= (unsigned long)-ERRNO_MAX;
}

/* A call that meets a hole takes effect on both sides of it, and reports the hole. */
static __always_inline bool carried_out(struct hak_thread *t, long result)
{
	return !failed(t, result) || (result == -ENOMEM_ && gives_back(t->call));
}

static __always_inline void count_owner(struct hak_proc *proc, struct hak_space_totals *totals,
					__u64 given, __u64 freed, __u64 ns, __u64 now)
{
	struct hak_space_owner *owner = bpf_map_lookup_elem(&space_owners, &proc->owner);
	__u64 vmas = BPF_CORE_READ(current_mm(), map_count), before;

	if (!owner) {
		bpf_map_update_elem(&space_owners, &proc->owner, (const void *)&no_owner,
				    BPF_NOEXIST);
		owner = bpf_map_lookup_elem(&space_owners, &proc->owner);
		if (!owner) {
			no_sums(proc);
			return;
		}
	}
	before = owner->vmas;
	if (before)
		totals->vmas_changed += vmas > before ? vmas - before : before - vmas;
	owner->vmas = vmas;
	owner->vmas_ns = now;
	if (vmas > owner->vmas_most)
		owner->vmas_most = vmas;
	owner->calls++;
	owner->given += given;
	owner->freed += freed;
	owner->ns += ns;
}

/* Finds the outcome of a call that succeeded. Global for the verifier, as walk_range() is. */
__noinline int judge(struct hak_thread *t, __u64 owner, __u64 now)
{
	struct hak_space_totals *totals;
	struct outcome *out;
	struct room *room;
	struct walk *walk;
	__u32 zero = 0;

	totals = bpf_map_lookup_elem(&space_totals, &zero);
	room = bpf_map_lookup_elem(&rooms, &zero);
	if (!t || !totals || !room)
		return 0;
	out = &room->out;
	walk = &room->walk;
	walk->owner = owner;
	walk->now = now;
	switch (t->call) {
	case HAK_CALL_MMAP:
		mmap_done(room, totals, t, out->address, out);
		break;
	case HAK_CALL_MUNMAP:
		munmap_done(room, t, out);
		break;
	case HAK_CALL_MREMAP:
		mremap_done(walk, t, out->address, out);
		break;
	case HAK_CALL_BRK:
		brk_done(walk, t, out->address, out);
		break;
	case HAK_CALL_PROCESS_MADVISE:
		process_madvise_done(walk, t, out->address, out);
		break;
	default:
		madvise_done(walk, totals, t, out);
	}
	return 0;
}

static __always_inline void leave(void *ctx, long result)
{
	struct hak_proc *proc = current_proc();
	__u32 tid = bpf_get_current_pid_tgid(), zero = 0, call;
	struct hak_space_totals *totals;
	struct hak_call_totals *c;
	struct outcome *out;
	struct hak_event *e;
	struct hak_thread *t;
	struct room *room;
	__u64 now, ns, freed;

	if (!proc)
		return;
	t = bpf_map_lookup_elem(&threads, &tid);
	totals = bpf_map_lookup_elem(&space_totals, &zero);
	room = bpf_map_lookup_elem(&rooms, &zero);
	if (!t || !totals || !room || !t->call_ns)
		return;
	out = &room->out;
	/* In the form that judge() takes. */
	*out = (struct outcome){ .address = result, .freed = t->freed };
	now = bpf_ktime_get_ns();
	ns = now - t->call_ns;
	t->call_ns = 0;
	call = t->call;
	freed = t->freed << (filter.page_shift & 31);
	if (call >= HAK_CALLS)
		return;
	if (carried_out(t, result))
		judge(t, proc->owner, now);
	else
		out->address = t->arg[0];
	c = &totals->call[call];
	c->calls++;
	c->failed += failed(t, result);
	c->bytes += out->bytes;
	c->given += out->given;
	c->freed += freed;
	c->ns += ns;
	c->ns_slots[log2_slot(ns) % HAK_HISTOGRAM_SLOTS]++;
	if (out->given) {
		if (out->lazy)
			totals->given_lazy += out->given;
		totals->size_slots[log2_slot(out->given) % HAK_HISTOGRAM_SLOTS]++;
		if (filter.sites)
			count_site(ctx, room, proc, call, out->given, freed, ns);
	}
	count_owner(proc, totals, out->given, freed, ns, now);
	if (!(filter.events & (1ULL << (call & 63))))
		return;
	e = event_begin(sizeof(*e), HAK_EVENT_CALL, proc->owner);
	if (!e)
		return;
	e->a = call;
	e->b = out->address;
	e->c = out->bytes;
	e->d = result;
	e->e = ns;
	bpf_ringbuf_submit(e, 0);
}

/*
 * Counts pages that go back to the kernel while a watched thread is in a call: the range of the
 * call may have had none, and those of a file stay in its cache.
 */
SEC("tp_btf/mm_page_free")
int BPF_PROG(page_free, struct page *page, unsigned int order)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct hak_thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t && t->call_ns)
		t->freed += 1ULL << (order & 31);
	return 0;
}

/* What the tracepoints of system calls pass to programs, on every kernel. */
struct call_entry {
	__u64 common;
	__s32 nr, pad;
	__u64 arg[6];
};
struct call_return {
	__u64 common;
	__s32 nr, pad;
	__s64 result;
};

SEC("tracepoint")
int calls_enter(struct call_entry *ctx)
{
	__u64 arg[5] = { 0 };

	/*
	 * Read in a way that the verifier does not see: it refuses a program that reads more
	 * arguments than the call of a tracepoint has, though there is room for six.
	 */
	bpf_probe_read_kernel(arg, sizeof(arg), ctx->arg);
	enter(ctx->nr, arg);
	return 0;
}

SEC("tracepoint")
int calls_exit(struct call_return *ctx)
{
	leave(ctx, ctx->result);
	return 0;
}

/*
 * Returns whether this is a call of a 32-bit program, which has other numbers: TS_COMPAT on x86,
 * TIF_32BIT on arm64.
 */
static __always_inline bool other_numbers(void)
{
	struct task_struct *task = current_task();

	if (bpf_core_field_exists(task->thread_info.status))
		return BPF_CORE_READ(task, thread_info.status) & 2;
	return BPF_CORE_READ(task, thread_info.flags) >> 22 & 1;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(all_enter, struct pt_regs *regs, long id)
{
	struct pt_regs___x86_64 *x86 = (void *)regs;
	struct pt_regs___aarch64 *arm = (void *)regs;
	__u64 arg[5];

	if (call_of(id, 0) == HAK_CALL_NONE || other_numbers())
		return 0;
	if (bpf_core_field_exists(x86->di)) {
		arg[0] = BPF_CORE_READ(x86, di);
		arg[1] = BPF_CORE_READ(x86, si);
		arg[2] = BPF_CORE_READ(x86, dx);
		arg[3] = BPF_CORE_READ(x86, r10);
		arg[4] = BPF_CORE_READ(x86, r8);
	} else {
		arg[0] = BPF_CORE_READ(arm, orig_x0);
		arg[1] = BPF_CORE_READ(arm, regs[1]);
		arg[2] = BPF_CORE_READ(arm, regs[2]);
		arg[3] = BPF_CORE_READ(arm, regs[3]);
		arg[4] = BPF_CORE_READ(arm, regs[4]);
	}
	enter(id, arg);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(all_exit, struct pt_regs *regs, long result)
{
	leave(ctx, result);
	return 0;
}
