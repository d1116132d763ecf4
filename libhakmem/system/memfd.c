/* SPDX-License-Identifier: MIT */
/* Sealed memfds and their descriptors. See memfd.h. */
#include "memfd.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/stop.h"
#include "base/sys.h"
#include "os.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

#if HAK_CONTROL

/*
 * The range is above the numbers that programs use and list, but low, because fork copies the table
 * up to the highest descriptor, and the kernel allocates tables of 256, 512 and 1024 numbers.
 */
enum { FD_FIRST = 256, FD_LAST = 999 };

static void close_fd(int fd)
{
	if (fd >= 0)
		hak_sys(SYS_close, fd, 0, 0, 0, 0, 0);
}

static int look_at(int fd, ino_t *ret_ino, dev_t *ret_dev)
{
	struct stat st;
	long r = hak_sys(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);

	*ret_ino = st.st_ino;
	*ret_dev = st.st_dev;
	return (int)r;
}

int hak_memfd_new(struct hak_memfd *m, const char *name)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	long fd = hak_sys(SYS_memfd_create, (long)name, flags | MFD_NOEXEC_SEAL, 0, 0, 0, 0);
	int r;

	if (fd == -EINVAL) /* before 6.3 */
		fd = hak_sys(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
	if (fd < 0)
		return (int)fd;
	m->fd = (int)fd;
	r = look_at(m->fd, &m->ino, &m->dev);
	if (r)
		hak_memfd_discard(m);
	return r;
}

int hak_memfd_write(const struct hak_memfd *m, const void *p, size_t bytes, size_t offset)
{
	long r = hak_sys(SYS_pwrite64, m->fd, (long)p, (long)bytes, (long)offset, 0, 0);

	return r == (long)bytes ? 0 : r < 0 ? (int)r : -ENOSPC;
}

int hak_memfd_seal(const struct hak_memfd *m, int more)
{
	return (int)hak_sys(SYS_fcntl, m->fd, F_ADD_SEALS,
			    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | more, 0, 0, 0);
}

/*
 * Moves to a duplicate between FD_FIRST and FD_LAST. If the limit or the program leaves none free,
 * none is kept.
 */
void hak_memfd_settle(struct hak_memfd *m)
{
	long to = hak_sys(SYS_fcntl, m->fd, F_DUPFD_CLOEXEC, FD_FIRST, 0, 0, 0);

	close_fd(m->fd);
	m->fd = to < 0 ? -1 : (int)to;
	if (to > FD_LAST)
		hak_memfd_discard(m);
}

void hak_memfd_discard(struct hak_memfd *m)
{
	close_fd(m->fd);
	m->fd = -1;
}

static bool is_ours(const struct hak_memfd *m)
{
	ino_t ino;
	dev_t dev;
	bool ours = m->fd >= 0 && !look_at(m->fd, &ino, &dev) && ino == m->ino && dev == m->dev;

	hak_stop("fd.after_fstat");
	return ours;
}

void hak_memfd_close(struct hak_memfd *m)
{
	if (is_ours(m))
		close_fd(m->fd);
	m->fd = -1;
}

bool hak_memfd_is_locked(struct hak_memfd *m, off_t byte)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (!is_ours(m)) {
		m->fd = -1;
		return false;
	}
	return !hak_sys(SYS_fcntl, m->fd, F_OFD_GETLK, (long)&lock, 0, 0, 0) &&
	       lock.l_type != F_UNLCK;
}

static void probe_mapping(const struct hak_memfd *m)
{
	long p = hak_sys(SYS_mmap, 0, (long)hak_page, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);

	if (p < 0 && p > -4096)
		return;
	hak_sys(SYS_madvise, p, (long)hak_page, MADV_POPULATE_WRITE, 0, 0, 0);
	hak_sys(SYS_munmap, p, (long)hak_page, 0, 0, 0, 0);
}

int hak_memfd_probe(void)
{
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct rlimit limit;
	struct hak_memfd m;
	int r = hak_memfd_new(&m, "hakmem-probe");

	if (r)
		return r;
	hak_sys(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit, 0, 0);
	hak_memfd_write(&m, &byte, 1, 0);
	hak_sys(SYS_pwritev, m.fd, (long)&part, 1, 0, 0, 0);
	hak_sys(SYS_ftruncate, m.fd, (long)hak_page, 0, 0, 0, 0);
	hak_sys(SYS_fallocate, m.fd, 0, 0, (long)hak_page, 0, 0);
	probe_mapping(&m);
	hak_memfd_is_locked(&m, 0);
	r = hak_memfd_seal(&m, F_SEAL_FUTURE_WRITE);
	hak_memfd_settle(&m);
	hak_memfd_close(&m);
	return r;
}

#else

int hak_memfd_probe(void)
{
	return -EOPNOTSUPP;
}

#endif
