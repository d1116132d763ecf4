/* SPDX-License-Identifier: MIT */
/* Small files of /proc, see proc.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "control/proc.h"

int hak_proc_check(char why[HAK_WHY_TEXT])
{
	char self[16], ours[16];
	struct statfs fs;
	ssize_t n;

	if (statfs("/proc", &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
		snprintf(why, HAK_WHY_TEXT, "/proc is not mounted: no process can be looked at");
		return -ENODEV;
	}
	n = readlink("/proc/self", self, sizeof(self) - 1);
	self[n < 0 ? 0 : n] = '\0';
	snprintf(ours, sizeof(ours), "%d", (int)getpid());
	if (strcmp(self, ours) == 0)
		return 0;
	snprintf(why, HAK_WHY_TEXT,
		 "/proc is that of another PID namespace: its numbers are not "
		 "those of processes here");
	return -ENODEV;
}

/* The kernel makes such a file whole at the first read. A read that returns less than there is room
 * for has reached the end of the file, so no second read follows. */
ssize_t hak_proc_read(int dir, const char *name, char *buf, size_t bytes)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf[0] = '\0';
	if (fd < 0)
		return -errno;
	do
		n = read(fd, buf, bytes - 1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	else
		buf[n] = '\0';
	close(fd);
	return n;
}

ssize_t hak_proc_read_comm(int dir, const char *name, char *buf, size_t bytes)
{
	ssize_t n = hak_proc_read(dir, name, buf, bytes);

	if (n > 0 && buf[n - 1] == '\n')
		buf[--n] = '\0';
	return n;
}

/*
 * Returns where the field begins, or NULL. The command in field 2 may hold any character, including
 * ')'.
 */
static const char *find_field(const char *text, unsigned field)
{
	const char *p = strrchr(text, ')');

	for (unsigned i = 2; p && i < field; i++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	return p;
}

int hak_proc_field(const char *stat, unsigned field, uint64_t *ret)
{
	const char *p = find_field(stat, field);

	if (!p)
		return -EIO;
	*ret = strtoull(p, NULL, 10);
	return 0;
}

const char *hak_proc_status(const char *status, const char *key)
{
	const char *p = strstr(status, key);

	return p && strchr(p + 1, '\n') ? p + strlen(key) : NULL;
}

bool hak_proc_own_pid(const char *status, uint32_t *ret)
{
	const char *p = hak_proc_status(status, "\nNSpid:");
	char *end;

	for (; p && (*p == '\t' || *p == ' '); p = end)
		*ret = (uint32_t)strtoul(p, &end, 10);
	return p;
}

int hak_proc_euid(const char *status, uid_t *ret)
{
	const char *p = hak_proc_status(status, "\nUid:");
	char *real_end;

	if (!p)
		return -EIO;
	strtoul(p, &real_end, 10);
	*ret = (uid_t)strtoul(real_end, NULL, 10);
	return 0;
}

char hak_proc_state(const char *stat)
{
	const char *p = find_field(stat, 3);

	return p ? *p : '\0';
}
