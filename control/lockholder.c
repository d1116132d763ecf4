/* SPDX-License-Identifier: MIT */
/*
 * Finds the holder of a lock, see lockholder.h. /proc/PID/fdinfo/N has a line for each lock of that
 * file:
 * 	lock:	1: OFDLCK ADVISORY  WRITE -1 00:01:2057 0 0
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/cgroup.h"
#include "control/escape.h"
#include "control/lockholder.h"
#include "control/reader.h"

/* Processor time for all processes, for those of one user, and for one process. */
#define ALL_NS	   300000000
#define USER_NS	   50000000
#define PROCESS_NS 10000000

/* The first and last byte of a lock are at the end of its line. */
static bool holds(int piddir, const char *number, unsigned byte)
{
	char path[48], text[4096], *rest = text, *line;
	bool found = false;

	snprintf(path, sizeof(path), "fdinfo/%.16s", number);
	/* The number may lead to another file by now, to one whose fdinfo may block. */
	if (hak_reader_text(piddir, path, text, sizeof(text)) <= 0)
		return false;
	while (!found && (line = strsep(&rest, "\n"))) {
		unsigned long long first, last = ~0ull;
		char *inode = strncmp(line, "lock:", 5) == 0 ? strrchr(line, ':') : NULL;

		if (inode && !strstr(line, "->") &&
		    sscanf(inode, ":%*u %llu %llu", &first, &last) >= 1)
			found = first <= byte && byte <= last;
	}
	return found;
}

static bool process_holds(int piddir, const struct stat *file, unsigned byte)
{
	int fds = openat(piddir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	bool found = false;
	DIR *d;

	d = fds < 0 ? NULL : fdopendir(fds);
	if (!d) {
		if (fds >= 0)
			close(fds);
		return false;
	}
	while (!found && !hak_budget_spent() && (entry = readdir(d))) {
		struct statx st;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		/*
		 * The descriptor may be any file, and a filesystem that never answers must not be
		 * asked.
		 */
		if (statx(dirfd(d), entry->d_name, AT_STATX_DONT_SYNC, STATX_INO, &st) < 0 ||
		    st.stx_ino != file->st_ino || st.stx_dev_major != major(file->st_dev) ||
		    st.stx_dev_minor != minor(file->st_dev))
			continue;
		found = holds(piddir, entry->d_name, byte);
	}
	closedir(d);
	return found;
}

static void name_process(int piddir, const char *pid, char *out, size_t bytes)
{
	char comm[64] = "?", shown[4 * sizeof(comm)];
	int fd = openat(piddir, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd >= 0) {
		n = read(fd, comm, sizeof(comm) - 1);
		if (n > 0)
			comm[comm[n - 1] == '\n' ? n - 1 : n] = '\0';
		close(fd);
	}
	hak_escape(comm, shown, sizeof(shown));
	snprintf(out, bytes, "process %.16s (%s)", pid, shown);
}

int hak_lock_holder(int fd, unsigned byte, char *out, size_t bytes)
{
	struct hak_shares *shares;
	struct dirent *entry;
	struct stat file;
	int r = -ENOENT;
	DIR *d;

	if (fstat(fd, &file) < 0)
		return -errno;
	d = opendir("/proc");
	if (!d)
		return -errno;
	shares = calloc(1, sizeof(*shares));
	if (!shares) {
		closedir(d);
		return -ENOMEM;
	}
	shares->pass_ns = ALL_NS, shares->user_ns = USER_NS, shares->piece_ns = PROCESS_NS;
	hak_shares_begin(shares);
	while (r < 0 && (entry = readdir(d))) {
		struct stat process;
		int piddir;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		piddir = openat(dirfd(d), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (piddir < 0)
			continue;
		if (fstat(piddir, &process) == 0 &&
		    hak_share_enter(shares, hak_account(piddir, process.st_uid), NULL)) {
			if (process_holds(piddir, &file, byte)) {
				name_process(piddir, entry->d_name, out, bytes);
				r = 0;
			}
			hak_share_leave(shares, NULL);
		}
		close(piddir);
	}
	free(shares);
	closedir(d);
	return r;
}
