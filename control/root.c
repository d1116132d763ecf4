/* SPDX-License-Identifier: MIT */
/*
 * Files below a root folder, see root.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/missing.h"
#include "control/root.h"

/* The kernel answers EAGAIN where a ".." and a rename meet. Endless renames end in an error. */
#define TRIES 64

int hak_open_in(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	if (root == HAK_OWN_ROOT) {
		fd = openat(root, path, flags | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	for (int i = 0; i < TRIES; i++) {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : fd;
}

/* The offset of stx_mnt_id, which headers before Linux 5.8 have as spare bytes. */
#define MOUNT_AT 0x90
_Static_assert(sizeof(struct statx) == 256 && MOUNT_AT + sizeof(uint64_t) <= 256,
	       "struct statx is as in linux/stat.h");

/*
 * Returns false if the identity is unknown. The mount's number stays unique as long as the
 * descriptor is open.
 */
static bool identify(int fd, struct statx *ret, uint64_t *ret_mount)
{
	const unsigned all = STATX_INO | STATX_MNT_ID;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, all, ret) < 0 ||
	    (ret->stx_mask & all) != all)
		return false;
	memcpy(ret_mount, (const char *)ret + MOUNT_AT, sizeof(*ret_mount));
	return true;
}

bool hak_root_is_own(int root)
{
	int own = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t own_mount, its_mount;
	struct statx a, b;
	bool same;

	same = own >= 0 && identify(own, &a, &own_mount) && identify(root, &b, &its_mount) &&
	       own_mount == its_mount && a.stx_ino == b.stx_ino &&
	       a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor;
	if (own >= 0)
		close(own);
	return same;
}

int hak_root_check(int root, char why[HAK_WHY_TEXT])
{
	int probe = hak_open_in(root, ".", O_PATH | O_DIRECTORY);

	if (probe >= 0) {
		close(probe);
		return 0;
	}
	/* A seccomp filter older than openat2() answers EPERM; the kernel never does so for ".". */
	if (probe != -ENOSYS && probe != -EPERM) {
		snprintf(why, HAK_WHY_TEXT, "%s", strerror(-probe));
		return probe;
	}
	snprintf(why, HAK_WHY_TEXT,
		 "openat2() is missing here (%.60s), without which links could "
		 "lead out of the folder: Linux 5.6 has it, and a sandbox has to permit it",
		 strerror(-probe));
	return -EOPNOTSUPP;
}

int hak_open_file_of(int fd)
{
	char link[64];
	struct statx st;
	int r;

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	/* Takes what the kernel knows already: an untrusted filesystem might never answer. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.stx_mode))
		r = S_ISDIR(st.stx_mode) ? -EISDIR : S_ISLNK(st.stx_mode) ? -ELOOP : -EINVAL;
	else if ((r = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int hak_open_file_in(int root, const char *path)
{
	return hak_open_file_of(hak_open_in(root, path, O_PATH));
}

int hak_open_file_at(int folder, const char *name)
{
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return hak_open_file_of(fd < 0 ? -errno : fd);
}

static int path_of(int fd, char ret[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

int hak_path_in(int root, int fd, char ret[PATH_MAX])
{
	char folder[PATH_MAX] = "";
	int r = path_of(fd, ret);
	size_t n;

	if (r == 0 && root != HAK_OWN_ROOT)
		r = path_of(root, folder);
	if (r < 0)
		return r;
	n = strlen(folder);
	if (strcmp(folder, "/") == 0)
		n = 0;
	if (strncmp(ret, folder, n) != 0 || (ret[n] != '/' && ret[n] != '\0'))
		return -EXDEV;
	memmove(ret, ret + n, strlen(ret + n) + 1);
	if (!*ret)
		strcpy(ret, "/");
	return 0;
}
