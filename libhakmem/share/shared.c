/* SPDX-License-Identifier: MIT */
/* Mappings of the memfds. See shared.h. */
#include "shared.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/stop.h"
#include "base/sys.h"
#include "system/memfd.h"
#include "system/os.h"

#if HAK_CONTROL

void *hak_shared_map(void *at, size_t bytes, int prot, int fd, size_t offset)
{
	long r = hak_sys(SYS_mmap, (long)at, (long)bytes, prot, MAP_SHARED | (at ? MAP_FIXED : 0),
			 fd, (long)offset);

	return hak_shared_failed(r) ? NULL : (void *)r;
}

int hak_shared_cover(void *at, size_t bytes, int prot)
{
	long r = hak_sys(SYS_mmap, (long)at, (long)bytes, prot,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	if (!hak_shared_failed(r) && prot == PROT_NONE)
		hak_os_dump(at, bytes, false);
	return hak_shared_failed(r) ? (int)r : 0;
}

int hak_shared_populate(void *p, size_t bytes)
{
	long r;

	if (hak_os_sandboxed())
		return -EPERM;
	r = hak_stop_fault(HAK_FAULT_FALLOCATE);
	if (r)
		return (int)r;
	r = hak_sys(SYS_madvise, (long)p, (long)bytes, MADV_POPULATE_WRITE, 0, 0, 0);
	if (r != -EINVAL)
		return (int)r;
	/* Before 5.14: locking faults the pages in as well, and reports errors. */
	r = hak_sys(SYS_mlock, (long)p, (long)bytes, 0, 0, 0, 0);
	if (!r)
		r = hak_sys(SYS_munlock, (long)p, (long)bytes, 0, 0, 0, 0);
	return (int)r;
}

int hak_shared_copy(void *at, size_t bytes)
{
	return hak_shared_copy_parts(at, bytes, bytes, bytes);
}

int hak_shared_copy_parts(void *at, size_t bytes, size_t stride, size_t part)
{
	long copy = hak_sys(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long r;

	if (hak_shared_failed(copy))
		return (int)copy;
	for (size_t i = 0; i < bytes; i += stride)
		__builtin_memcpy((char *)copy + i, (char *)at + i, part);
	hak_stop("segment.copied");
	r = hak_sys(SYS_mremap, copy, (long)bytes, (long)bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		    (long)at, 0);
	if (!hak_shared_failed(r))
		return 0;
	hak_sys(SYS_munmap, copy, (long)bytes, 0, 0, 0, 0);
	return (int)r;
}

int hak_shared_recount(uint64_t *at, size_t bytes)
{
	/* length 0: a second mapping of the same pages */
	long old = hak_sys(SYS_mremap, (long)at, 0, (long)bytes, MREMAP_MAYMOVE, 0, 0);
	const uint64_t *from = (const uint64_t *)old;
	int r;

	if (hak_shared_failed(old))
		return (int)old;
	/* from then on no thread writes to the old pages */
	r = hak_shared_cover(at, bytes, PROT_READ | PROT_WRITE);
	for (size_t i = 0; !r && i < bytes / sizeof(*at); i++)
		if (from[i])
			__atomic_fetch_add(&at[i], from[i], __ATOMIC_RELAXED);
	hak_sys(SYS_munmap, old, (long)bytes, 0, 0, 0, 0);
	return r;
}

#endif
