/* SPDX-License-Identifier: MIT */
/* Borrows a thread of another process. See borrow.h. */
#include <errno.h>

#include "hakmemctl/borrow.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "control/proc.h"
#include "control/segment.h"

/* Of the kernel; its headers for programs lack these. */
enum { ERESTARTSYS = 512, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK = 516 };

#define GET_RSEQ 0x420f /* PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13 */
struct rseq_place {
	uint64_t address;
	uint32_t bytes, signature, flags, padding;
};
#define RSEQ_CS_AT 8u
struct rseq_section { /* the kernel's struct rseq_cs */
	uint32_t version, flags;
	uint64_t start, bytes, abort;
};

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define STOP_NS	     500000000u /* within which a thread has to stop */
#define TICK_US	     20000	/* between two looks at the time */
#define RED_ZONE     128u
#define ROOM_BYTES   (48u << 10) /* of stack, for the code and what is written */
#define PAGE_BYTES   4096u
#define CODE_BYTES   64u    /* more than hak_called_entry has */
#define TRAP_FLAGS   0x500u /* direction and trap: not set in a function that begins */
#define CODE_SEGMENT 0x33u

/* The area that XSAVE writes, in a frame of a signal. */
enum { XSTATE_BYTES = 16384, LEGACY_BYTES = 512, FEATURES_AT = LEGACY_BYTES };
enum { TILE_CONFIG = 17, TILE_DATA = 18 };
struct frame_words { /* the kernel's struct _fpx_sw_bytes */
	uint32_t magic1, extended_bytes;
	uint64_t features;
	uint32_t bytes, padding[7];
};
#define WORDS_AT (LEGACY_BYTES - sizeof(struct frame_words))
#define MAGIC1	 0x46505853u
#define MAGIC2	 0x46505845u

struct borrowed {
	const struct hak_segment *seg;
	pid_t tid;
	int mem; /* the memory of the program that the thread ran when it stopped */
	uint64_t call, until_ns;
	struct user_regs_struct regs;
	uint64_t mask;
	size_t xstate_bytes;
	_Alignas(64) unsigned char xstate[XSTATE_BYTES + sizeof(uint32_t)];
};

static long trace(int request, pid_t tid, uintptr_t address, const void *data)
{
	return ptrace(request, tid, address, data) < 0 ? -errno : 0;
}

/* -- waiting ----------------------------------------------------------------------------------- */
static void tick(int signal)
{
	(void)signal;
}

/* Ticks interrupt waiting. */
static void begin_ticks(void)
{
	const struct sigaction action = { .sa_handler = tick };
	const struct itimerval every = { { 0, TICK_US }, { 0, TICK_US } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static bool is_exec(int status)
{
	return status >> 16 == PTRACE_EVENT_EXEC;
}

/* Returns 0 when the thread has stopped, -ESRCH when it ended or executes a program, -ETIMEDOUT. */
static int wait_stop(pid_t tid, uint64_t until_ns, int *status)
{
	for (;;) {
		pid_t got = waitpid(tid, status, __WALL);

		if (got == tid)
			return WIFSTOPPED(*status) && !is_exec(*status) ? 0 : -ESRCH;
		if (errno != EINTR)
			return errno == ECHILD ? -ESRCH : -errno;
		if (hak_monotonic_ns() > until_ns)
			return -ETIMEDOUT;
	}
}

static bool is_event_stop(int status)
{
	return status >> 16 == PTRACE_EVENT_STOP;
}

/* A stop that is PTRACE_INTERRUPT's, and not that of a signal that stops the process. */
static bool is_interrupt(int status)
{
	return is_event_stop(status) && WSTOPSIG(status) == SIGTRAP;
}

/* The signal that the thread stopped for and has not taken yet; 0: none. */
static int signal_of(int status)
{
	return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status);
}

/* Lets the thread take the signals that come first. */
static int interrupt(pid_t tid, uint64_t until_ns)
{
	int status, r = (int)trace(PTRACE_INTERRUPT, tid, 0, NULL);

	while (r == 0) {
		r = wait_stop(tid, until_ns, &status);
		if (r < 0 || is_interrupt(status))
			return r;
		if (is_event_stop(status))
			return -ECANCELED;
		r = (int)trace(PTRACE_CONT, tid, 0, (void *)(intptr_t)signal_of(status));
	}
	return r;
}

/* -- the state of the thread ------------------------------------------------------------------- */
static int get_set(const struct borrowed *b, uintptr_t set, void *to, size_t *bytes)
{
	struct iovec part = { to, *bytes };
	int r = (int)trace(PTRACE_GETREGSET, b->tid, set, &part);

	*bytes = part.iov_len;
	return r;
}

static int put_set(const struct borrowed *b, uintptr_t set, void *from, size_t bytes)
{
	struct iovec part = { from, bytes };

	return (int)trace(PTRACE_SETREGSET, b->tid, set, &part);
}

static int put_registers(const struct borrowed *b, const struct user_regs_struct *regs)
{
	return put_set(b, NT_PRSTATUS, (void *)regs, sizeof(*regs));
}

static bool peek(const struct borrowed *b, uint64_t address, void *to, size_t bytes)
{
	struct iovec here = { to, bytes }, there = { (void *)(uintptr_t)address, bytes };

	return process_vm_readv(b->tid, &here, 1, &there, 1, 0) == (ssize_t)bytes;
}

/*
 * The kernel aborts a critical section when the thread goes on, by the place at which it does. A
 * thread that goes on elsewhere first would miss that.
 */
static bool is_in_section(const struct borrowed *b)
{
	struct rseq_section section;
	struct rseq_place place;
	uint64_t address;

	if (trace(GET_RSEQ, b->tid, sizeof(place), &place) < 0 || !place.address ||
	    !peek(b, place.address + RSEQ_CS_AT, &address, sizeof(address)) || !address ||
	    !peek(b, address, &section, sizeof(section)))
		return false;
	return b->regs.rip - section.start < section.bytes;
}

static int save(struct borrowed *b)
{
	size_t bytes = sizeof(b->regs);
	int r = get_set(b, NT_PRSTATUS, &b->regs, &bytes);

	if (r == 0 && (bytes != sizeof(b->regs) || b->regs.cs != CODE_SEGMENT))
		return -ENOEXEC;
	if (r == 0 && is_in_section(b))
		return -EALREADY;
	b->xstate_bytes = XSTATE_BYTES;
	if (r == 0)
		r = get_set(b, NT_X86_XSTATE, b->xstate, &b->xstate_bytes);
	if (r == 0 && (b->xstate_bytes <= FEATURES_AT || b->xstate_bytes == XSTATE_BYTES))
		return -ENOEXEC;
	return r ? r : (int)trace(PTRACE_GETSIGMASK, b->tid, sizeof(b->mask), &b->mask);
}

/*
 * These calls return EINTR whenever a thread is stopped (signal(7)). Without a time limit they are
 * made again, unless a handler runs.
 */
static bool waits_without_limit(const struct user_regs_struct *regs)
{
	switch (regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)regs->r10 == -1;
	case SYS_rt_sigtimedwait:
		return regs->rdx == 0;
	case SYS_semop:
		return true;
	case SYS_semtimedop:
		return regs->r10 == 0;
	default:
		return false;
	}
}

/*
 * The mask first: a thread that is let go before the end still has the frame that restores all.
 */
static int give_back(struct borrowed *b)
{
	struct user_regs_struct regs = b->regs;
	int r = put_set(b, NT_X86_XSTATE, b->xstate, b->xstate_bytes);

	if (r == 0)
		r = (int)trace(PTRACE_SETSIGMASK, b->tid, sizeof(b->mask), &b->mask);
	if ((int64_t)regs.rax == -EINTR && waits_without_limit(&regs))
		regs.rax = (unsigned long long)-ERESTARTNOHAND;
	return r ? r : put_registers(b, &regs);
}

/* -- the memory -------------------------------------------------------------------------------- */
struct file {
	uint64_t ino;
	uint32_t major, minor;
};

/* What the mappings of the thread's program have to show. */
struct memory {
	const struct hak_segment *seg;
	uint64_t from, to; /* what is to be written to */
	uint64_t writable; /* bytes of that */
	struct file library, call;
	bool segment;
};

static void see_code(const struct hak_mapping *map, uint64_t address, struct file *ret)
{
	if (map->start <= address && address < map->end && map->perms[2] == 'x')
		*ret = (struct file){ map->ino, map->major, map->minor };
}

static void see_mapping(const struct hak_mapping *map, struct memory *m)
{
	uint64_t start = map->start > m->from ? map->start : m->from;
	uint64_t end = map->end < m->to ? map->end : m->to;

	see_code(map, m->seg->header.code, &m->library);
	see_code(map, m->seg->header.call, &m->call);
	m->segment |= map->ino == m->seg->stats_ino && hak_is_memfd_device(map->major, map->minor);
	if (start < end && map->perms[1] == 'w')
		m->writable += end - start;
}

/* Reads without the reader (control/reader.h): this program is one that is killed in time. */
static int see_mappings(const struct borrowed *b, struct memory *m)
{
	char path[48], *line = NULL;
	struct hak_mapping map;
	size_t room = 0;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "task/%d/maps", (int)b->tid);
	fd = openat(b->seg->procfd, path, O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0)
		if (hak_parse_mapping(line, &map))
			see_mapping(&map, m);
	free(line);
	fclose(f);
	return 0;
}

/*
 * A program that was executed since the segment was opened does not map it. Without the segment
 * nothing is known of what the addresses in it mean.
 */
static int check_memory(const struct borrowed *b, uintptr_t top)
{
	struct memory m = { .seg = b->seg, .from = top - ROOM_BYTES, .to = top };
	int r = see_mappings(b, &m);

	if (r < 0 || !m.segment)
		return -ESRCH;
	if (!m.library.ino || m.call.ino != m.library.ino || m.call.major != m.library.major ||
	    m.call.minor != m.library.minor)
		return -EBADMSG;
	return m.writable == ROOM_BYTES ? 0 : -EADDRNOTAVAIL;
}

static bool poke(const struct borrowed *b, uint64_t address, const void *from, size_t bytes)
{
	return pwrite(b->mem, from, bytes, (off_t)address) == (ssize_t)bytes;
}

static int open_memory(struct borrowed *b)
{
	char path[48];

	snprintf(path, sizeof(path), "task/%d/mem", (int)b->tid);
	b->mem = openat(b->seg->procfd, path, O_RDWR | O_CLOEXEC);
	return b->mem < 0 ? -errno : 0;
}

/* -- the frame --------------------------------------------------------------------------------- */
/* What the kernel does to registers of a thread that no tracer holds, with a handler that ran. */
static void as_after_handler(struct user_regs_struct *regs)
{
	if ((int64_t)regs->orig_rax < 0)
		return;
	switch (-(int64_t)regs->rax) {
	case ERESTARTSYS:
	case ERESTARTNOINTR:
	case ERESTARTNOHAND:
		regs->rax = regs->orig_rax;
		regs->rip -= 2;
		break;
	case ERESTART_RESTARTBLOCK:
		regs->rax = (unsigned long long)-EINTR;
		break;
	}
}

static void fill_context(const struct borrowed *b, uintptr_t xstate, ucontext_t *ret)
{
	struct user_regs_struct r = b->regs;
	greg_t *g = ret->uc_mcontext.gregs;

	as_after_handler(&r);
	memset(ret, 0, sizeof(*ret));
	ret->uc_flags = 7;	    /* UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS */
	ret->uc_stack.ss_flags = 3; /* not valid: the alternate stack stays as it is */
	g[REG_R8] = (greg_t)r.r8, g[REG_R9] = (greg_t)r.r9, g[REG_R10] = (greg_t)r.r10;
	g[REG_R11] = (greg_t)r.r11, g[REG_R12] = (greg_t)r.r12, g[REG_R13] = (greg_t)r.r13;
	g[REG_R14] = (greg_t)r.r14, g[REG_R15] = (greg_t)r.r15, g[REG_RDI] = (greg_t)r.rdi;
	g[REG_RSI] = (greg_t)r.rsi, g[REG_RBP] = (greg_t)r.rbp, g[REG_RBX] = (greg_t)r.rbx;
	g[REG_RDX] = (greg_t)r.rdx, g[REG_RAX] = (greg_t)r.rax, g[REG_RCX] = (greg_t)r.rcx;
	g[REG_RSP] = (greg_t)r.rsp, g[REG_RIP] = (greg_t)r.rip, g[REG_EFL] = (greg_t)r.eflags;
	g[REG_CSGSFS] = (greg_t)(r.cs | r.gs << 16 | r.fs << 32 | r.ss << 48);
	memcpy(&ret->uc_mcontext.fpregs, &xstate, sizeof(xstate));
	memcpy(&ret->uc_sigmask, &b->mask, sizeof(b->mask));
}

/*
 * The kernel restores no area that is larger than the one it would write. It writes tiles, which
 * are at the end, only for a process that asked for them.
 */
static size_t bytes_without_tiles(uint64_t features, size_t bytes)
{
	size_t end = LEGACY_BYTES + 64;

	for (unsigned i = 2; i < TILE_CONFIG; i++) {
		unsigned size, offset, c, d;

		if ((features >> i & 1) && __get_cpuid_count(0xd, i, &size, &offset, &c, &d) &&
		    offset + size > end)
			end = offset + size;
	}
	return end < bytes ? end : bytes;
}

/* Makes of what ptrace gave a copy as the kernel writes it for a signal. */
static size_t fill_xstate(const struct borrowed *b, unsigned char *to)
{
	const uint64_t tiles = 1ull << TILE_CONFIG | 1ull << TILE_DATA;
	struct frame_words words = { .magic1 = MAGIC1 };
	const uint32_t magic2 = MAGIC2;
	size_t bytes = b->xstate_bytes;
	uint64_t used;

	memcpy(to, b->xstate, bytes);
	memcpy(&words.features, to + WORDS_AT, sizeof(words.features)); /* all that are enabled */
	memcpy(&used, to + FEATURES_AT, sizeof(used));
	if (!(used & tiles)) {
		words.features &= ~tiles;
		bytes = bytes_without_tiles(words.features, bytes);
	}
	words.bytes = (uint32_t)bytes;
	words.extended_bytes = (uint32_t)(bytes + sizeof(magic2));
	memcpy(to + WORDS_AT, &words, sizeof(words));
	memcpy(to + bytes, &magic2, sizeof(magic2));
	return bytes + sizeof(magic2);
}

/* The first read makes a stack grow that may grow, the other one respects a guard page. */
static bool has_room(const struct borrowed *b, uintptr_t top)
{
	bool room = top >= ROOM_BYTES;
	char byte;

	for (uintptr_t at = top; room && at > top - ROOM_BYTES; at -= PAGE_BYTES)
		room = pread(b->mem, &byte, 1, (off_t)at) == 1 && peek(b, at, &byte, 1);
	return room;
}

/* Writes what rt_sigreturn() takes, and stores its address. */
static int write_frame(const struct borrowed *b, uintptr_t *ret)
{
	static unsigned char xstate[XSTATE_BYTES + sizeof(uint32_t)];
	ucontext_t context;
	size_t bytes = fill_xstate(b, xstate);
	uintptr_t below = b->regs.rsp - RED_ZONE, at = (below - bytes) & ~(uintptr_t)63;
	int r = has_room(b, below) ? check_memory(b, below) : -EADDRNOTAVAIL;

	if (r < 0)
		return r;
	fill_context(b, at, &context);
	*ret = (at - sizeof(context)) & ~(uintptr_t)15;
	return poke(b, at, xstate, bytes) && poke(b, *ret, &context, sizeof(context))
		       ? 0
		       : -EADDRNOTAVAIL;
}

/* -- the call ---------------------------------------------------------------------------------- */
static int begin_call(const struct borrowed *b)
{
	const uint64_t all = ~0ull;
	struct user_regs_struct regs = b->regs;
	uintptr_t frame;
	int r = write_frame(b, &frame);

	if (r < 0)
		return r;
	regs.rip = b->call;
	regs.rsp = frame;
	regs.rbp = 0;
	regs.eflags &= ~(unsigned long long)TRAP_FLAGS;
	regs.orig_rax = ~0ull; /* no system call is to be made again */
	r = put_registers(b, &regs);
	/* After the registers, since their frame is what restores the mask. */
	return r ? r : (int)trace(PTRACE_SETSIGMASK, b->tid, sizeof(all), &all);
}

/* The thread stands before rt_sigreturn(), at the end of the code. */
static bool is_at_end(const struct borrowed *b, const struct user_regs_struct *regs)
{
	return regs->orig_rax == SYS_rt_sigreturn && regs->rip - b->call < CODE_BYTES;
}

static int run_call(const struct borrowed *b, struct user_regs_struct *regs)
{
	size_t bytes;
	int status = 0, r;

	for (;;) {
		r = (int)trace(PTRACE_SYSCALL, b->tid, 0, (void *)(intptr_t)signal_of(status));
		if (r == 0)
			r = wait_stop(b->tid, b->until_ns, &status);
		if (r < 0)
			return r == -ETIMEDOUT ? -EINPROGRESS : r;
		if (status >> 16 || WSTOPSIG(status) != SYSCALL_STOP)
			continue;
		bytes = sizeof(*regs);
		r = get_set(b, NT_PRSTATUS, regs, &bytes);
		if (r < 0 || is_at_end(b, regs))
			return r;
	}
}

/*
 * Brings the thread to a stop after which the kernel looks at its system call again, as it does at
 * the stop in which the thread was found.
 */
static int end_call(struct borrowed *b, struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rbx;
	int r, status = 0;

	regs->orig_rax = ~0ull; /* rt_sigreturn() is not made */
	r = put_registers(b, regs);
	if (r == 0)
		r = (int)trace(PTRACE_INTERRUPT, b->tid, 0, NULL);
	do {
		if (r == 0)
			r = (int)trace(PTRACE_CONT, b->tid, 0, (void *)(intptr_t)signal_of(status));
		if (r == 0)
			r = wait_stop(b->tid, UINT64_MAX, &status);
	} while (r == 0 && !is_event_stop(status));
	if (r == 0)
		r = give_back(b);
	return r ? r : result < 0 && result > -ERESTARTSYS ? (int)result : 0;
}

static int call(struct borrowed *b)
{
	struct user_regs_struct regs;
	int r = open_memory(b);

	if (r == 0)
		r = save(b);
	if (r == 0)
		r = begin_call(b);
	if (r == 0)
		r = run_call(b, &regs);
	return r ? r : end_call(b, &regs);
}

/* The number of a thread that ended may belong to a thread of another process now. */
static bool is_traced_of(const struct hak_segment *seg, pid_t tid)
{
	char path[48], status[HAK_PROC_STATUS_BYTES];
	const char *tracer;

	snprintf(path, sizeof(path), "task/%d/status", (int)tid);
	if (hak_proc_read(seg->procfd, path, status, sizeof(status)) <= 0)
		return false;
	tracer = hak_proc_status(status, "\nTracerPid:");
	return tracer && atoi(tracer) == getpid();
}

int ctl_borrow(const struct hak_segment *seg, pid_t tid, uint64_t until_ns)
{
	const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
	static struct borrowed b;
	int r;

	b = (struct borrowed){
		.seg = seg, .tid = tid, .mem = -1, .call = seg->header.call, .until_ns = until_ns
	};
	r = (int)trace(PTRACE_SEIZE, tid, 0, (void *)options);
	if (r < 0)
		return r;
	begin_ticks();
	r = is_traced_of(seg, tid) ? interrupt(tid, hak_monotonic_ns() + STOP_NS) : -ESRCH;
	if (r == 0)
		r = call(&b);
	trace(PTRACE_DETACH, tid, 0, NULL);
	return r;
}

#else

int ctl_borrow(const struct hak_segment *seg, pid_t tid, uint64_t until_ns)
{
	(void)seg, (void)tid, (void)until_ns;
	return -ENOSYS;
}

#endif
