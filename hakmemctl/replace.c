/* SPDX-License-Identifier: MIT */
/*
 * Files that are there whole or not at all: whoever reads one meanwhile sees the old text or the
 * new one, and where there is no room for the new one the old one stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hakmemctl/ctl.h"

static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, text, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n, bytes -= (size_t)n;
	}
	return 0;
}

static int replace(const char *path, mode_t mode, const char *text, size_t bytes)
{
	char *temporary;
	int fd, r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		free(temporary);
		return r;
	}
	r = write_all(fd, text, bytes);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	free(temporary);
	return r;
}

int ctl_replace(const char *path, const char *text, size_t bytes)
{
	return replace(path, 0644, text, bytes);
}

/* 0, or -errno of the folder that a new file would be made in. */
static int check_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int r = !folder ? -ENOMEM : access(folder, W_OK | X_OK) < 0 ? -errno : 0;

	free(folder);
	return r;
}

/* Devices, pipes, links, and files whose folder is not ours. */
static bool written_in_place(const char *path, const struct stat *st)
{
	return !S_ISREG(st->st_mode) || check_folder(path) < 0;
}

int ctl_output_check(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? check_folder(path) : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return !written_in_place(path, &st) || access(path, W_OK) == 0 ? 0 : -errno;
}

int ctl_output(const char *path, const char *text, size_t bytes)
{
	mode_t mask = umask(0);
	struct stat st;
	int fd, r;

	umask(mask);
	if (lstat(path, &st) < 0)
		return replace(path, 0666 & ~mask, text, bytes);
	if (!written_in_place(path, &st))
		return replace(path, st.st_mode & 07777, text, bytes);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, bytes);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}
