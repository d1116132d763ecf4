/* SPDX-License-Identifier: MIT */
/* What inherited seccomp filters allow. See filter.h. */
#include "filter.h"

#include <fcntl.h>
#include <link.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/sys.h"
#include "base/vdso.h"
#include "memfd.h"
#include "os.h"

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

/* ---- the child ---- */

/*
 * Makes the calls of os.c that glibc's malloc does not make, with the arguments that a filter may
 * look at.
 */
static void try_memory_calls(void)
{
	static const int advice[] = { MADV_WIPEONFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE };
	struct utsname name;
	struct rlimit limit;
	long p = hak_sys(SYS_mmap, 0, (long)hak_page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p < 0 && p > -4096)
		return;
	for (unsigned int i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
		hak_sys(SYS_madvise, p, (long)hak_page, advice[i], 0, 0, 0);
	hak_sys(SYS_munmap, p, (long)hak_page, 0, 0, 0, 0);
	hak_sys(SYS_uname, (long)&name, 0, 0, 0, 0, 0);
	hak_sys(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0);
	hak_sys(SYS_prlimit64, 0, RLIMIT_DATA, 0, (long)&limit, 0, 0);
}

/* A trial of its own. systemd's @system-service, under which most services run, allows all calls
 * but mincore, and without mincore only sums are less exact. */
static bool mincore_fails(void)
{
	unsigned char resident;
	long p = hak_sys(SYS_mmap, 0, (long)hak_page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r = -1;

	if (p > 0 || p <= -4096) {
		r = hak_sys(SYS_mincore, p, (long)hak_page, (long)&resident, 0, 0, 0);
		hak_sys(SYS_munmap, p, (long)hak_page, 0, 0, 0, 0);
	}
	return r != 0;
}

/*
 * A trial of its own, for the same reason. It asks only whether the calls may be made: a purge that
 * takes caches over makes both.
 */
static bool membarrier_fails(void)
{
	return hak_sys(SYS_sched_yield, 0, 0, 0, 0, 0, 0) < 0 ||
	       hak_sys(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0, 0, 0, 0) < 0;
}

/*
 * What the child tries. The child runs in the library's memory or in a copy of it, so it reads
 * this.
 */
static enum { TRY_ALL, TRY_MINCORE, TRY_MEMBARRIER } trial;

static _Noreturn HAK_NOINLINE void child(void)
{
	const struct rlimit none = { 0, 0 };
	bool failed;

	hak_sys(SYS_prlimit64, 0, RLIMIT_CORE, (long)&none, 0, 0, 0); /* the child may well die */
	switch (trial) {
	case TRY_MINCORE:
		failed = mincore_fails();
		break;
	case TRY_MEMBARRIER:
		failed = membarrier_fails();
		break;
	default:
		try_memory_calls();
		failed = hak_memfd_probe();
	}
	for (;;)
		hak_sys(SYS_exit_group, failed, 0, 0, 0, 0, 0);
}

/*
 * Before Linux 5.16 a filter that kills a process also kills all processes that share its memory,
 * because the kernel dumps them together. The version is read from a note of the vDSO, without a
 * system call.
 */
static bool death_is_shared(void)
{
	const char *vdso = (const char *)hak_auxv(AT_SYSINFO_EHDR);
	const ElfW(Ehdr) *head = (const void *)vdso;
	uint32_t version;

	for (unsigned int i = 0; vdso && i < head->e_phnum; i++) {
		const ElfW(Phdr) *part =
			(const void *)(vdso + head->e_phoff + i * head->e_phentsize);
		const char *at = vdso + part->p_offset, *end = at + part->p_filesz;

		while (part->p_type == PT_NOTE && (size_t)(end - at) > sizeof(ElfW(Nhdr))) {
			const ElfW(Nhdr) *note = (const void *)at;
			const char *name = at + sizeof(*note);
			const char *desc = name + hak_align_up(note->n_namesz, 4);

			if (note->n_type == 0 && note->n_descsz == sizeof(version) &&
			    memcmp(name, "Linux", 6) == 0) {
				memcpy(&version, desc, sizeof(version));
				return version < (5 << 16 | 16 << 8);
			}
			at = desc + hak_align_up(note->n_descsz, 4);
		}
	}
	return true;
}

/*
 * Both functions return twice, the child first, and on one stack if they share the memory. Their
 * frames may therefore hold nothing but the call. The child sends no signal when it ends, because
 * the program would see that signal.
 */
static HAK_NOINLINE long start_by_clone3(bool share)
{
	static const struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} args[] = { { .flags = CLONE_VFORK }, { .flags = CLONE_VFORK | CLONE_VM } };
	long pid = hak_sys(SYS_clone3, (long)&args[share], sizeof(args[0]), 0, 0, 0, 0);

	if (pid == 0)
		child();
	return pid;
}

static HAK_NOINLINE long start_by_clone(bool share)
{
	long pid = hak_sys(SYS_clone, CLONE_VFORK | (share ? CLONE_VM : 0), 0, 0, 0, 0, 0);

	if (pid == 0)
		child();
	return pid;
}

/* ---- whether a child may be started ---- */

/* Returns the number of filters on a process; -1 if it is unknown. */
static int count_filters(const char *status_file)
{
	static const char field[] = "\nSeccomp_filters:\t";
	char buf[4096];
	size_t n = hak_os_read_text(status_file, buf, sizeof(buf));
	char *at;
	int count = 0;

	if (!n)
		return -1;
	for (at = buf; memcmp(at, field, sizeof(field) - 1); at++)
		if (at + sizeof(field) > buf + n)
			return -1;
	for (at += sizeof(field) - 1; *at >= '0' && *at <= '9'; at++)
		count = count * 10 + (*at - '0');
	return count;
}

/*
 * The parent runs under the filters that this process inherited, and did start a child: this
 * process.
 */
static bool parent_is_under_the_same(long ppid)
{
	char path[32] = "/proc/", digits[20];
	unsigned int n = 0, at = 6;
	int ours;

	do
		digits[n++] = (char)('0' + ppid % 10);
	while (ppid /= 10);
	while (n)
		path[at++] = digits[--n];
	memcpy(path + at, "/status", sizeof("/status"));
	ours = count_filters("/proc/self/status");
	return ours > 0 && ours == count_filters(path);
}

/*
 * A filter may also kill for starting a child. Filters that cannot look into the arguments of
 * clone3 (containers, RestrictNamespaces=) refuse it with an error; a filter that kills for clone
 * belongs to programs without children. So clone is tried only where a process can be expected to
 * have children: in containers, in services, and below a parent under the same filters.
 */
static bool children_are_usual(void)
{
	long ppid = hak_sys(SYS_getppid, 0, 0, 0, 0, 0, 0);

	return ppid == 0 || hak_sys(SYS_getpid, 0, 0, 0, 0, 0, 0) == 1 ||
	       hak_environment("INVOCATION_ID") || parent_is_under_the_same(ppid);
}

static bool allowed(void)
{
	bool share = !death_is_shared();
	int status = -1;
	long r, pid = start_by_clone3(share);

	if (pid < 0 && children_are_usual())
		pid = start_by_clone(share);
	if (pid < 0)
		return false;
	do
		r = hak_sys(SYS_wait4, pid, (long)&status, __WALL, 0, 0, 0);
	while (r == -EINTR);
	return r == pid && status == 0;
}

void hak_filter_look(void)
{
	static _Atomic bool looked;

	if (atomic_exchange_explicit(&looked, true, memory_order_relaxed))
		return;
	if (hak_sys(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
		return;
	trial = TRY_ALL;
	if (!allowed()) {
		hak_os_set_sandboxed();
		return;
	}
	trial = TRY_MINCORE;
	if (!allowed())
		hak_os_forgo_mincore();
	trial = TRY_MEMBARRIER;
	if (!allowed())
		hak_os_forgo_barrier();
}
