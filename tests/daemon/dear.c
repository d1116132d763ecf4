/* SPDX-License-Identifier: MIT */
/*
 * usage: dear descriptors N | maps N A process that is expensive to look at; prints "ready" and
 * stays until its standard input ends. descriptors: maps eight memfds by the name of a segment,
 * closes them, and holds N copies of a ninth: a search for the eight tries all N for each of them.
 * maps: has N mappings before that of a memfd by the name of a segment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define NAME "hakmem-stats"
#define PAGE 4096u

static int map_one(void)
{
	int fd = memfd_create(NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, PAGE) < 0 ||
	    mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -1;
	return fd;
}

static int hold_descriptors(unsigned n)
{
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (unsigned i = 0; i < 8; i++) {
		fd = map_one();
		if (fd < 0)
			return -1;
		close(fd);
	}
	fd = memfd_create(NAME, MFD_ALLOW_SEALING);
	for (unsigned i = 0; i < n; i++)
		if (fd < 0 || dup(fd) < 0)
			return -1;
	return 0;
}

/* Neighbours with different rights, so that the kernel keeps them apart. They lie below what is
 * mapped first. */
static int hold_maps(unsigned n)
{
	char *at;

	if (map_one() < 0)
		return -1;
	at = mmap(NULL, (size_t)n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (at == MAP_FAILED)
		return -1;
	for (unsigned i = 0; i < n; i += 2)
		if (mprotect(at + (size_t)i * PAGE, PAGE, PROT_READ) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	unsigned n = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 0) : 0;
	int r = -1;

	if (n && strcmp(argv[1], "descriptors") == 0)
		r = hold_descriptors(n);
	else if (n && strcmp(argv[1], "maps") == 0)
		r = hold_maps(n);
	if (r < 0) {
		perror("dear");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &(char){ 0 }, 1) > 0)
		;
	return 0;
}
