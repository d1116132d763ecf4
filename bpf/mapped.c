/* SPDX-License-Identifier: MIT */
/* Files that a process maps, see mapped.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bpf/mapped.h"
#include "control/root.h"
#include "control/segment.h"

struct wanted {
	uint64_t address;
	const char *path; /* NULL: search by address */
	char name[48];	  /* of the link in map_files */
};

int hak_same_mapped(const char *mapped, const char *path)
{
	size_t n = strlen(path);

	return strncmp(mapped, path, n) == 0 &&
	       (mapped[n] == '\0' || strcmp(mapped + n, " (deleted)") == 0);
}

static int see(const struct hak_mapping *map, void *arg)
{
	struct wanted *w = arg;

	if (w->path ? !hak_same_mapped(map->path, w->path)
		    : w->address < map->start || w->address >= map->end)
		return 0;
	snprintf(w->name, sizeof(w->name), "map_files/%" PRIx64 "-%" PRIx64, map->start, map->end);
	return 1;
}

static int open_wanted(pid_t pid, struct wanted *w)
{
	char path[32];
	int procfd, fd, r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return -errno;
	r = hak_each_mapping(procfd, see, w);
	fd = r > 0 ? openat(procfd, w->name, O_PATH | O_CLOEXEC) : -1;
	if (r > 0 && fd < 0)
		r = -errno;
	close(procfd);
	if (r <= 0)
		return r ? r : -ENOENT;
	/* Opened only after the check: the process may map a device, whose open can act. */
	fd = hak_open_file_of(fd);
	return fd == -EINVAL ? -ENOENT : fd;
}

int hak_open_mapped_at(pid_t pid, uint64_t address)
{
	struct wanted w = { .address = address };

	return open_wanted(pid, &w);
}

int hak_open_mapped(pid_t pid, const char *path)
{
	struct wanted w = { .path = path };

	return open_wanted(pid, &w);
}
