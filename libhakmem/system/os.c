/* SPDX-License-Identifier: MIT */
/* System calls about memory, raw and counted. os.h says when and from where they may be made. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/mman.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/lock.h"
#include "base/stats.h"
#include "base/stop.h"
#include "base/sys.h"
#include "base/values.h"
#include "base/vdso.h"

size_t hak_page = 4096;

static _Atomic bool sandboxed, no_mincore, no_barrier, barrier_ready;
static _Atomic uint64_t asleep_ns; /* CLOCK_BOOTTIME minus CLOCK_MONOTONIC, before the sandbox */

void hak_os_init(void)
{
	size_t page = hak_auxv(AT_PAGESZ);

	if (page)
		hak_page = page;
}

void hak_os_set_sandboxed(void)
{
	atomic_store_explicit(&sandboxed, true, memory_order_relaxed);
}

void hak_os_forgo_mincore(void)
{
	atomic_store_explicit(&no_mincore, true, memory_order_relaxed);
}

void hak_os_forgo_barrier(void)
{
	atomic_store_explicit(&no_barrier, true, memory_order_relaxed);
}

bool hak_os_sandboxed(void)
{
	return atomic_load_explicit(&sandboxed, memory_order_relaxed);
}

/*
 * glibc's malloc reads no clock, so a sandbox may kill a process that asks the kernel for one. With
 * a vDSO the coarse clock is read without a system call. The fine clocks are read so only where the
 * kernel's clock is the processor's counter, and not hpet or acpi_pm. So in a sandbox every clock
 * is the coarse one, and without a vDSO time stands still.
 */
static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0, 0 };
	bool may_call = !hak_os_sandboxed();

	if (hak_unlikely(!may_call))
		clock = CLOCK_MONOTONIC_COARSE;
	if (hak_unlikely(!hak_vdso_clock(clock, &ts)) && may_call)
		hak_sys(SYS_clock_gettime, clock, (long)&ts, 0, 0, 0, 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t hak_os_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t hak_os_boottime_ns(void)
{
	uint64_t now = clock_ns(CLOCK_BOOTTIME);

	if (hak_os_sandboxed())
		now += atomic_load_explicit(&asleep_ns, memory_order_relaxed);
	return now;
}

void hak_os_enter_sandbox(void)
{
	if (!hak_os_sandboxed())
		atomic_store_explicit(&asleep_ns,
				      clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC),
				      memory_order_relaxed);
	hak_os_set_sandboxed();
}

uint64_t hak_os_now_ms(void)
{
	uint64_t ms = clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000u;

#if HAK_DEBUG
	ms += (uint64_t)hak_stop_clock_ms();
#endif
	return ms;
}

uint32_t hak_os_kernel(void)
{
	static _Atomic uint32_t cached;
	uint32_t v = atomic_load_explicit(&cached, memory_order_relaxed);
	struct utsname u;
	const char *s;
	uint32_t part[2] = { 0, 0 };

	if (v)
		return v;
	if (hak_os_sandboxed() || hak_sys(SYS_uname, (long)&u, 0, 0, 0, 0, 0))
		return 0; /* an unknown version counts as old, and is asked for again later */
	s = u.release;
	for (int i = 0; i < 2; i++) {
		while (*s >= '0' && *s <= '9')
			part[i] = part[i] * 10 + (uint32_t)(*s++ - '0');
		if (*s == '.')
			s++;
	}
	v = part[0] << 16 | part[1];
	atomic_store_explicit(&cached, v, memory_order_relaxed);
	return v;
}

/* ---- counting ---- */

enum call {
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MREMAP,
	CALL_DONTNEED,
	CALL_FREE,
	CALL_HUGEPAGE,
	CALL_META,
	CALLS
};

static const enum hak_proc_counter call_counter[CALLS] = {
	[CALL_MMAP] = HAK_C_MMAP_CALLS,	    [CALL_MUNMAP] = HAK_C_MUNMAP_CALLS,
	[CALL_MREMAP] = HAK_C_MREMAP_CALLS, [CALL_DONTNEED] = HAK_C_DONTNEED_CALLS,
	[CALL_FREE] = HAK_C_FREE_CALLS,	    [CALL_HUGEPAGE] = HAK_C_HUGEPAGE_CALLS,
	[CALL_META] = HAK_C_META_CALLS,
};
_Static_assert(HAK_C_MMAP_BYTES == HAK_C_MMAP_CALLS + 1 && HAK_C_MMAP_NS == HAK_C_MMAP_CALLS + 2,
	       "calls, bytes, ns");
_Static_assert(HAK_C_META_BYTES == HAK_C_META_CALLS + 1 && HAK_C_META_NS == HAK_C_META_CALLS + 2,
	       "calls, bytes, ns");

_Static_assert((int)CALL_MMAP == (int)HAK_FAULT_MMAP && (int)CALL_META == (int)HAK_FAULT_META,
	       "faults are named as calls are");

struct args {
	long nr, a, b, c, d, e, f; /* arguments that are not named are 0 */
};

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

static long counted(enum call call, size_t bytes, const struct args *x)
{
	uint64_t t0 = 0;
	long r;

	if (hak_unlikely(hak_tun(HAK_T_STATS_TIMING)))
		t0 = hak_os_now_ns();
	hak_lock_check_call();
	r = hak_stop_fault((enum hak_fault)call);
	if (!r)
		r = hak_sys(x->nr, x->a, x->b, x->c, x->d, x->e, x->f);
	hak_count(call_counter[call], 1);
	if (hak_likely(!failed(r)))
		hak_count(call_counter[call] + 1, (int64_t)bytes);
	if (t0)
		hak_count(call_counter[call] + 2, (int64_t)(hak_os_now_ns() - t0));
	if (hak_unlikely(failed(r)))
		hak_count(HAK_C_SYS_ERRORS, 1);
	return r;
}

static long map_anon(enum call call, void *hint, size_t bytes, int prot, int flags)
{
	return counted(call, bytes,
		       &(struct args){ SYS_mmap, (long)hint, (long)bytes, prot,
				       MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0 });
}

int hak_os_unmap(void *p, size_t bytes)
{
	return (int)counted(CALL_MUNMAP, bytes, &(struct args){ SYS_munmap, (long)p, (long)bytes });
}

/* Maps more than needed and unmaps what is outside of the aligned range. */
static void *map_trimmed(size_t bytes, size_t align)
{
	long r = map_anon(CALL_MMAP, NULL, bytes + align - hak_page, PROT_READ | PROT_WRITE, 0);
	size_t head;

	if (failed(r))
		return NULL;
	head = hak_align_up((uintptr_t)r, align) - (uintptr_t)r;
	if (head)
		hak_os_unmap((void *)r, head);
	if (align - hak_page - head)
		hak_os_unmap((char *)r + head + bytes, align - hak_page - head);
	return (char *)r + head;
}

/*
 * The kernel places mappings top-down, each directly below the last. The address that it picks is
 * therefore aligned as long as this library maps whole slices and no other code maps in between. If
 * not, the boundary below the picked address is likely to be free, or one further down, below
 * libraries and reservations. This way never needs more than `bytes` of address space, which
 * matters because RLIMIT_AS and RLIMIT_DATA may not allow more.
 */
static void *map_aligned(size_t bytes, size_t align, uintptr_t got)
{
	enum { TRIES = 14 }; /* each is twice as far down as the last: 32 GiB with 2 MiB */

	got &= ~(align - 1);
	for (unsigned int i = 0; i < TRIES && got > align << i; got -= align << i++) {
		long r = map_anon(CALL_MMAP, (void *)got, bytes, PROT_READ | PROT_WRITE, 0);

		if (failed(r))
			return NULL;
		if (!((uintptr_t)r & (align - 1)))
			return (void *)r;
		hak_os_unmap((void *)r, bytes);
	}
	return map_trimmed(bytes, align);
}

void *hak_os_map(size_t bytes, size_t align)
{
	long r;

	hak_assert(!(bytes & (HAK_SLICE - 1)) && align >= HAK_SLICE && !(align & (align - 1)));
	if (bytes + align < bytes)
		return NULL;
	r = map_anon(CALL_MMAP, NULL, bytes, PROT_READ | PROT_WRITE, 0);
	if (failed(r))
		return NULL;
	if (hak_likely(!((uintptr_t)r & (align - 1))))
		return (void *)r;
	hak_os_unmap((void *)r, bytes);
	return map_aligned(bytes, align, (uintptr_t)r);
}

/*
 * Kernels before 6.12 unmap first and may then find no memory for the new mapping. The range is
 * taken again before another mapping can take it. It is made readable, as a part of the address map
 * must be.
 */
static int map_over(enum call call, void *p, size_t bytes, int flags)
{
	long r = map_anon(call, p, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | flags);

	if (hak_likely(!failed(r)))
		return 0;
	if (r == -ENOMEM)
		map_anon(CALL_META, p, bytes, PROT_READ, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
	return (int)r;
}

int hak_os_remap_fresh(void *p, size_t bytes)
{
	return map_over(CALL_MMAP, p, bytes, 0);
}

/*
 * Only a new mapping gives up the charge for the old one; mprotect does not, where a page was ever
 * touched. The mapping has no MAP_NORESERVE, because memory opened later would not be charged for
 * either.
 */
int hak_os_close(void *p, size_t bytes)
{
	long r = map_anon(CALL_MMAP, p, bytes, PROT_NONE, MAP_FIXED);

	return failed(r) ? (int)r : 0;
}

int hak_os_open(void *p, size_t bytes)
{
	return (int)counted(CALL_META, bytes,
			    &(struct args){ SYS_mprotect, (long)p, (long)bytes,
					    PROT_READ | PROT_WRITE });
}

static int advise(enum call call, void *p, size_t bytes, int advice)
{
	return (int)counted(call, bytes,
			    &(struct args){ SYS_madvise, (long)p, (long)bytes, advice });
}

int hak_os_dontneed(void *p, size_t bytes)
{
	return advise(CALL_DONTNEED, p, bytes, MADV_DONTNEED);
}

int hak_os_free(void *p, size_t bytes)
{
	return advise(CALL_FREE, p, bytes, MADV_FREE);
}

int hak_os_hugepage(void *p, size_t bytes, bool on)
{
	if (hak_os_sandboxed())
		return -EPERM;
	return advise(CALL_HUGEPAGE, p, bytes, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

size_t hak_os_resident_bytes(void *p, size_t bytes)
{
	unsigned char resident[1024];
	size_t pages = 0;

	if (hak_os_sandboxed() || atomic_load_explicit(&no_mincore, memory_order_relaxed))
		return bytes;
	for (size_t at = 0; at < bytes; at += sizeof(resident) * hak_page) {
		size_t n = (bytes - at + hak_page - 1) / hak_page;

		if (n > sizeof(resident))
			n = sizeof(resident);
		if (counted(CALL_META, n * hak_page,
			    &(struct args){ SYS_mincore, (long)p + (long)at, (long)(n * hak_page),
					    (long)resident }))
			return bytes;
		for (size_t i = 0; i < n; i++)
			pages += resident[i] & 1;
	}
	return pages * hak_page;
}

int hak_os_grow(void *p, size_t old_bytes, size_t bytes)
{
	long r = counted(CALL_MREMAP, bytes,
			 &(struct args){ SYS_mremap, (long)p, (long)old_bytes, (long)bytes, 0 });

	return failed(r) ? (int)r : 0;
}

int hak_os_move(void *p, size_t old_bytes, void *to, size_t bytes)
{
	long r = counted(CALL_MREMAP, bytes,
			 &(struct args){ SYS_mremap, (long)p, (long)old_bytes, (long)bytes,
					 MREMAP_MAYMOVE | MREMAP_FIXED, (long)to });

	return failed(r) ? (int)r : 0;
}

/* ---- tables ---- */

void hak_os_dump(void *p, size_t bytes, bool yes)
{
	if (bytes && !hak_os_sandboxed())
		hak_sys(SYS_madvise, (long)p, (long)bytes, yes ? MADV_DODUMP : MADV_DONTDUMP, 0, 0,
			0);
}

/*
 * Under mlockall(MCL_FUTURE) every mmap counts against RLIMIT_MEMLOCK, touched or not, and one
 * table may be larger than all memory that an unprivileged user may lock. A mapping that mremap
 * enlarges is locked only if it was locked before. So the first table, made at the start of the
 * program, has one page more, and each further table is that page, enlarged and moved. The page
 * also passes on MADV_DONTDUMP, for which a sandbox does not allow to ask.
 */
static _Atomic(char *) seed;

static long grow_seed(size_t bytes)
{
	char *page = atomic_exchange_explicit(&seed, NULL, memory_order_relaxed);
	long r = -ENOMEM;

	if (page)
		r = counted(CALL_META, bytes,
			    &(struct args){ SYS_mremap, (long)page, (long)hak_page, (long)bytes,
					    MREMAP_MAYMOVE });
	if (page && failed(r))
		atomic_store_explicit(&seed, page, memory_order_relaxed);
	return r;
}

void *hak_os_reserve(size_t bytes, bool readable)
{
	long r = grow_seed(bytes + hak_page);

	if (failed(r)) {
		r = map_anon(CALL_META, NULL, bytes + hak_page, PROT_NONE, MAP_NORESERVE);
		if (failed(r))
			return NULL;
		hak_os_dump((void *)r, bytes + hak_page, false);
	}
	atomic_store_explicit(&seed, (char *)r + bytes, memory_order_relaxed);
	if (readable &&
	    counted(CALL_META, bytes, &(struct args){ SYS_mprotect, r, (long)bytes, PROT_READ })) {
		hak_os_unmap((void *)r, bytes);
		return NULL;
	}
	return (void *)r;
}

void *hak_os_reserve_aligned(size_t bytes)
{
	char *p = hak_os_reserve(2 * bytes, false);
	size_t head = p ? hak_align_up((uintptr_t)p, bytes) - (uintptr_t)p : 0;

	if (!p)
		return NULL;
	if (head)
		hak_os_unmap(p, head);
	hak_os_unmap(p + head + bytes, bytes - head);
	return p + head;
}

/* Does not use mmap, because MCL_FUTURE would lock and count the mapping. */
int hak_os_reserve_over(void *p, size_t bytes)
{
	void *r = hak_os_reserve(bytes, false);
	int e = r ? hak_os_move(r, bytes, p, bytes) : -ENOMEM;

	if (r && e) {
		hak_os_unmap(r, bytes);
		hak_os_reserve_at(p, bytes); /* in case the kernel unmapped the range first */
	}
	return e;
}

void *hak_os_reserve_at(void *p, size_t bytes)
{
	long r = map_anon(CALL_META, p, bytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED_NOREPLACE);

	if (!failed(r) && r != (long)p) {
		hak_os_unmap((void *)r, bytes);
		return NULL;
	}
	if (failed(r))
		return NULL;
	hak_os_dump(p, bytes, false);
	return p;
}

static size_t limit_of(int resource)
{
	struct rlimit rl;

	if (hak_sys(SYS_prlimit64, 0, resource, 0, (long)&rl, 0, 0) || rl.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return rl.rlim_cur;
}

size_t hak_os_address_limit(void)
{
	return limit_of(RLIMIT_AS);
}

size_t hak_os_data_limit(void)
{
	return limit_of(RLIMIT_DATA);
}

/*
 * Maps over the range instead of changing its protection. New memory is then locked if MCL_FUTURE
 * says so, which counts no more than this piece, and is part of memory dumps again.
 */
int hak_os_enable(void *p, size_t bytes)
{
	int r = map_over(CALL_META, p, bytes, MAP_NORESERVE);

	if (r == -EAGAIN)
		return hak_os_enable_kept(p, bytes); /* RLIMIT_MEMLOCK: not locked, then */
	if (!r)
		hak_count(HAK_C_MEM_META, (int64_t)bytes);
	return r;
}

int hak_os_enable_kept(void *p, size_t bytes)
{
	int r = hak_os_open(p, bytes);

	if (r)
		return r;
	hak_count(HAK_C_MEM_META, (int64_t)bytes);
	hak_os_dump(p, bytes, true);
	return 0;
}

int hak_os_clear(void *p, size_t bytes)
{
	return advise(CALL_DONTNEED, p, bytes, MADV_DONTNEED);
}

int hak_os_wipe_on_fork(void *p, size_t bytes)
{
	if (hak_os_sandboxed())
		return -EPERM;
	return advise(CALL_META, p, bytes, MADV_WIPEONFORK);
}

int hak_os_keep_on_fork(void *p, size_t bytes, bool keep)
{
	if (hak_os_sandboxed())
		return -EPERM;
	return (int)hak_sys(SYS_madvise, (long)p, (long)bytes,
			    keep ? MADV_KEEPONFORK : MADV_WIPEONFORK, 0, 0, 0);
}

/* ---- files ---- */

size_t hak_os_read_text(const char *path, char *buf, size_t max)
{
	long fd = hak_sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n;

	if (fd < 0)
		return 0;
	n = hak_sys(SYS_read, fd, (long)buf, (long)max - 1, 0, 0, 0);
	hak_sys(SYS_close, fd, 0, 0, 0, 0, 0);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	return (size_t)n;
}

#define READS_MOST 64u /* of one file, so that no file is read for ever */

struct lines {
	char *buf;
	size_t max, bytes; /* in buf: of a line that has not ended */
	bool seen;	   /* of that line, the beginning */
	void (*see)(const char *line, void *arg);
	void *arg;
};

static void end_line(struct lines *l)
{
	l->buf[l->bytes] = '\0';
	if (!l->seen)
		l->see(l->buf, l->arg);
	l->bytes = 0;
}

/* Takes the characters behind `bytes`, which are n more. */
static void split(struct lines *l, size_t n)
{
	const char *at = l->buf + l->bytes, *end = at + n;

	/* written no further than read */
	for (; at < end; at++) {
		if (*at == '\n') {
			end_line(l);
			l->seen = false;
		} else {
			l->buf[l->bytes++] = *at;
		}
	}
	if (l->bytes == l->max - 1) {
		end_line(l);
		l->seen = true;
	}
}

void hak_os_each_line(const char *path, char *buf, size_t max,
		      void (*see)(const char *line, void *arg), void *arg)
{
	struct lines l = { .buf = buf, .max = max, .see = see, .arg = arg };
	long fd = hak_sys(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n;

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < READS_MOST; i++) {
		n = hak_sys(SYS_read, fd, (long)(buf + l.bytes), (long)(max - 1 - l.bytes), 0, 0,
			    0);
		if (n <= 0)
			break;
		split(&l, (size_t)n);
	}
	hak_sys(SYS_close, fd, 0, 0, 0, 0, 0);
	if (l.bytes)
		end_line(&l);
}

/* ---- barriers ---- */

static int membarrier(int command)
{
	return (int)hak_sys(SYS_membarrier, command, 0, 0, 0, 0, 0);
}

bool hak_os_barrier_prepare(void)
{
	if (hak_os_sandboxed() || atomic_load_explicit(&no_barrier, memory_order_relaxed))
		return false;
	if (atomic_load_explicit(&barrier_ready, memory_order_relaxed))
		return true;
	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) {
		hak_os_forgo_barrier();
		return false;
	}
	atomic_store_explicit(&barrier_ready, true, memory_order_relaxed);
	return true;
}

int hak_os_barrier(void)
{
	int r;

	if (!hak_os_barrier_prepare())
		return -EPERM;
	r = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	if (r != -EPERM)
		return r;
	/* a copy of the process that registered */
	atomic_store_explicit(&barrier_ready, false, memory_order_relaxed);
	return hak_os_barrier_prepare() ? membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) : -EPERM;
}
