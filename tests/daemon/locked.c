/* SPDX-License-Identifier: MIT */
/*
 * usage: locked UID GID FOLDER PROGRAM A process of that user that holds the lock of its memory,
 * which /proc/PID/maps takes, until its standard input ends or this program is killed. Prints "held
 * PID", with the process's number; exit status 77, with the reason, where that cannot be done.
 * FOLDER is where a file system of its own is mounted, which no other process sees. The process
 * goes on as that user in PROGRAM, which is this file: its memory is then that of a program which
 * it executed, and belongs to the user.
 *
 * The way: the file system (FUSE, served by this program) is told to hold a page that was written.
 * To map the file without the cache, the kernel waits within mmap() until that page is written
 * back: for an answer, which never comes. The mapping lies over another, so that the kernel has
 * also locked the maps that it replaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

static int cannot(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 77;
}

/* -- the file system --------------------------------------------------------------------------- */
static int reply(int dev, uint64_t unique, int error, const void *data, size_t bytes)
{
	struct {
		struct fuse_out_header header;
		char data[256];
	} out = {
		{ .len = (uint32_t)(sizeof(out.header) + bytes), .error = error, .unique = unique },
		{ 0 }
	};

	if (bytes)
		memcpy(out.data, data, bytes);
	/* The process that asked may be gone. */
	return write(dev, &out, out.header.len) < 0 && errno != ENOENT ? -1 : 0;
}

static struct fuse_attr attr_of(uint64_t node)
{
	bool folder = node == FUSE_ROOT_ID;

	return (struct fuse_attr){ .ino = node,
				   .mode = folder ? S_IFDIR | 0755 : S_IFREG | 0666,
				   .nlink = 1,
				   .size = folder ? 0 : PAGE,
				   .blksize = PAGE };
}

/* Serves one request; returns 1 for the write that stays without an answer. */
static int serve(int dev, const struct fuse_in_header *in)
{
	const void *body = in + 1;

	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
					     .minor = 31,
					     .flags = FUSE_WRITEBACK_CACHE,
					     .max_background = 4,
					     .max_write = 65536 };
		return reply(dev, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = { .nodeid = FUSE_ROOT_ID + 1,
					      .entry_valid = 100000,
					      .attr_valid = 100000,
					      .attr = attr_of(FUSE_ROOT_ID + 1) };
		return reply(dev, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr_valid = 100000, .attr = attr_of(in->nodeid) };
		return reply(dev, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_OPEN: {
		const struct fuse_open_in *how = body;
		struct fuse_open_out out = { .open_flags = how->flags & O_DIRECT ? FOPEN_DIRECT_IO
										 : 0 };
		return reply(dev, in->unique, 0, &out, sizeof(out));
	}
	case FUSE_WRITE:
		return 1;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return 0;
	default:
		return reply(dev, in->unique, -ENOSYS, NULL, 0);
	}
}

static int serve_all(int dev, pid_t child)
{
	static char buf[1 << 20] __attribute__((aligned(16)));
	struct pollfd p[2] = { { .fd = dev, .events = POLLIN }, { .fd = STDIN_FILENO } };

	for (;;) {
		ssize_t n;
		int r;

		if (poll(p, 2, -1) < 0)
			return 1;
		if (p[1].revents)
			return 0;
		n = read(dev, buf, sizeof(buf));
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		r = n < 0 ? -1 : serve(dev, (struct fuse_in_header *)(void *)buf);
		if (r < 0)
			return cannot("the file system");
		if (r == 1) {
			printf("held %d\n", (int)child);
			fflush(stdout);
		}
	}
}

/* -- the process ------------------------------------------------------------------------------- */
static int hold(const char *folder)
{
	static char page[PAGE];
	char path[256];
	void *area =
		mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int cached, direct;

	/* A process with a segment's name, as far as others can see before the lock is taken. */
	int fd = memfd_create("hakmem-stats", MFD_CLOEXEC);

	if (area == MAP_FAILED || fd < 0 || ftruncate(fd, PAGE) < 0 ||
	    mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return cannot("memory");
	snprintf(path, sizeof(path), "%s/file", folder);
	cached = open(path, O_RDWR | O_CLOEXEC);
	direct = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);
	if (cached < 0 || direct < 0 || pwrite(cached, page, PAGE, 0) != PAGE)
		return cannot(path);
	mmap(area, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, direct, 0);
	return cannot("the file was mapped");
}

static int become(uid_t uid, gid_t gid, const char *program, const char *folder)
{
	char *args[] = { (char *)program, (char *)folder, NULL };

	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return cannot("another user");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(program, args);
	return cannot(program);
}

int main(int argc, char **argv)
{
	char options[96];
	pid_t child;
	int dev;

	if (argc == 2)
		return hold(argv[1]);
	if (argc != 5)
		return 1;
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return cannot("/dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
		 dev);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("locked", argv[3], "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		return cannot("mount");
	child = fork();
	if (child == 0)
		_exit(become((uid_t)atoi(argv[1]), (gid_t)atoi(argv[2]), argv[4], argv[3]));
	if (child < 0)
		return cannot("fork");
	return serve_all(dev, child);
}
