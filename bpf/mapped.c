/* SPDX-License-Identifier: MIT */
/* Files that a process maps, see mapped.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/mapped.h"
#include "control/segment.h"

struct wanted {
	uint64_t address;
	const char *path; /* NULL: by the address */
	char name[48];	  /* of its link */
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
	struct stat st;
	int procfd, fd, r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return -errno;
	r = hak_each_mapping(procfd, see, w);
	fd = r <= 0 ? (r ? r : -ENOENT)
		    : openat(procfd, w->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r > 0 && fd < 0)
		fd = -errno;
	close(procfd);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -ENOENT;
	}
	return fd;
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
