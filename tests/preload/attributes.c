// SPDX-License-Identifier: MIT
/*
 * Hazard 8: what a program did to the pages of a large block and did not undo when it freed the
 * block: protection, locks, fork and dump advice, guard pages, keys, seals, a fault handler. munmap
 * hides all of it. An allocator that keeps regions must not pass it on to the next owner, who
 * touches, forks and writes here. A region that is reused while still resident is the documented
 * exception (hakmem(7)); without kept regions, and with mapping over, there is none.
 */
#include "harness.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
enum { GUARD_INSTALL = 102 };

static const size_t sizes[] = { MIB, 2 * MIB, 3 * MIB + 77 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

/* What a program may do to its own pages and forget before free. */
enum attribute {
	NO_ACCESS,
	READ_ONLY,
	LOCKED,
	DONT_FORK,
	DONT_DUMP,
	WIPE_ON_FORK,
	NO_HUGE_PAGE,
	GUARDS,
	PKEY,
	SEALED,
	BOUND,
	USERFAULT,
};

/* A thread that touches a missing page waits for a handler that never comes. */
static int handle_faults_never(char *page, size_t n)
{
	struct uffdio_register reg = { .range = { (uintptr_t)page, n },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	static int fd = -1;

	if (fd < 0) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
		if (fd < 0 || ioctl(fd, UFFDIO_API, &api) != 0)
			return -1;
	}
	return ioctl(fd, UFFDIO_REGISTER, &reg);
}

static int apply(enum attribute a, char *page, size_t n)
{
	switch (a) {
	case NO_ACCESS:
		return mprotect(page, n, PROT_NONE);
	case READ_ONLY:
		return mprotect(page, n, PROT_READ);
	case LOCKED:
		return mlock(page, n);
	case DONT_FORK:
		return madvise(page, n, MADV_DONTFORK);
	case DONT_DUMP:
		return madvise(page, n, MADV_DONTDUMP);
	case WIPE_ON_FORK:
		return madvise(page, n, MADV_WIPEONFORK);
	case NO_HUGE_PAGE:
		return madvise(page, n, MADV_NOHUGEPAGE);
	case GUARDS:
		return madvise(page, n, GUARD_INSTALL);
	case PKEY:
		return pkey_mprotect(page, n, PROT_READ | PROT_WRITE,
				     pkey_alloc(0, PKEY_DISABLE_ACCESS));
	case SEALED:
		return syscall(SYS_mseal, page, n, 0);
	case BOUND: {
		unsigned long node_0 = 1;

		return syscall(SYS_mbind, page, n, 2 /* MPOL_BIND */, &node_0, 64, 0);
	}
	case USERFAULT:
		return handle_faults_never(page, n);
	}
	return -1;
}

/* Touches all of it here and in a child, which must see what was written. */
static void block_is_clean(char *p, size_t n, uint64_t seed)
{
	pid_t pid;

	fill(p, n, seed);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		check_block(p, n, seed);
		memset(p, 1, n);
		_exit(0);
	}
	reap(pid, "a child that uses the block");
	check_block(p, n, seed);
}

static void attribute_is_gone(enum attribute a)
{
	enum { N = 4 };
	const char *hakmem = getenv("HAKMEM");
	/* A region that is reused while still resident keeps its attributes, as
	 * hakmem(7) says; without a ring, or once mapped over, it must not. */
	int unmaps = !on_hakmem() || (hakmem && (strstr(hakmem, "ring_slots=0") ||
						 strstr(hakmem, "evict_bytes=0")));
	size_t i, k, round;

	if (!on_hakmem()) /* glibc's munmap hides all this, its heap does not */
		mallopt(M_MMAP_THRESHOLD, 500000);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < SIZES; i++) { /* below 1 MiB this is the program's fault */
			size_t n = sizes[i];
			char *p[N];

			for (k = 0; k < N; k++) {
				char *page;

				p[k] = malloc(n);
				CHECK(p[k]);
				fill(p[k], n, k);
				page = (char *)(((uintptr_t)p[k] + 65536) & ~(uintptr_t)4095);
				if (apply(a, page, round ? 4096 : (n - 135168) & ~4095UL) != 0)
					SKIP("the kernel says %s", strerror(errno));
			}
			for (k = 0; k < N; k++)
				free(p[k]);
			if (!unmaps)
				malloc_trim(0);
			for (k = 0; k < N; k++) {
				p[k] = malloc(n);
				CHECK(p[k]);
				block_is_clean(p[k], n, k);
			}
			for (k = 0; k < N; k++)
				free(p[k]);
		}
	}
	if (a == LOCKED)
		CHECK(proc_kib("/proc/self/status", "\nVmLck:") == 0, "%ld KiB stay locked",
		      proc_kib("/proc/self/status", "\nVmLck:"));
}

#define ATTRIBUTE_CASE(function, attribute)   \
	static void function(void)            \
	{                                     \
		attribute_is_gone(attribute); \
	}
ATTRIBUTE_CASE(no_access_8, NO_ACCESS)
ATTRIBUTE_CASE(read_only_8, READ_ONLY)
ATTRIBUTE_CASE(locked_8, LOCKED)
ATTRIBUTE_CASE(dont_fork_8, DONT_FORK)
ATTRIBUTE_CASE(dont_dump_8, DONT_DUMP)
ATTRIBUTE_CASE(wipe_on_fork_8, WIPE_ON_FORK)
ATTRIBUTE_CASE(no_huge_page_8, NO_HUGE_PAGE)
ATTRIBUTE_CASE(guards_8, GUARDS)
ATTRIBUTE_CASE(pkey_8, PKEY)
ATTRIBUTE_CASE(bound_to_a_node_8, BOUND)
ATTRIBUTE_CASE(userfault_8, USERFAULT)

/* Sealed pages can be neither unmapped nor mapped over: the allocator abandons them and goes on. */
static void sealed_8(void)
{
	size_t i;

	if (!on_hakmem())
		mallopt(M_MMAP_THRESHOLD, 500000);
	for (i = 0; i < 40; i++) {
		size_t n = MIB + i % 5 * MIB;
		char *p = malloc(n), *q;
		char *page = (char *)(((uintptr_t)p + 65536) & ~(uintptr_t)4095);

		CHECK(p);
		memset(p, 0xa5, n);
		if (i % 2 == 0 && apply(SEALED, page, 4096) != 0)
			SKIP("mseal: %s", strerror(errno));
		errno = 4242;
		free(p);
		CHECK(errno == 4242, "errno %d", errno);
		q = calloc(1, n);
		CHECK(q);
		CHECK(nonzero_at(q, n) == n);
		block_is_clean(q, n, i);
		free(q);
		if (i % 7 == 0)
			malloc_trim(0);
	}
}

#define REMAP  "region.evict=remap,region.evict_bytes=0"
#define MUNMAP "region.evict=munmap,whale.ring_slots=0"

static const struct tcase cases[] = {
	{ "no_access_8", no_access_8, 60 },
	{ "no_access_munmap_8", no_access_8, 60, MUNMAP },
	{ "no_access_remap_8", no_access_8, 60, REMAP },
	{ "read_only_8", read_only_8, 60 },
	{ "read_only_munmap_8", read_only_8, 60, MUNMAP },
	{ "read_only_remap_8", read_only_8, 60, REMAP },
	{ "locked_8", locked_8, 60 },
	{ "locked_munmap_8", locked_8, 60, MUNMAP },
	{ "locked_remap_8", locked_8, 60, REMAP },
	{ "dont_fork_8", dont_fork_8, 60 },
	{ "dont_fork_munmap_8", dont_fork_8, 60, MUNMAP },
	{ "dont_fork_remap_8", dont_fork_8, 60, REMAP },
	{ "dont_dump_8", dont_dump_8, 60 },
	{ "wipe_on_fork_8", wipe_on_fork_8, 60 },
	{ "wipe_on_fork_munmap_8", wipe_on_fork_8, 60, MUNMAP },
	{ "wipe_on_fork_remap_8", wipe_on_fork_8, 60, REMAP },
	{ "no_huge_page_8", no_huge_page_8, 60 },
	{ "guards_8", guards_8, 60 },
	{ "pkey_8", pkey_8, 60 },
	{ "bound_to_a_node_8", bound_to_a_node_8, 60 },
	{ "userfault_8", userfault_8, 60 },
	{ "userfault_munmap_8", userfault_8, 60, MUNMAP },
	{ "userfault_remap_8", userfault_8, 60, REMAP },
	{ "sealed_8", sealed_8 },
	{ "sealed_munmap_8", sealed_8, 0, MUNMAP },
};

MAIN(cases)
