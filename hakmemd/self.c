/* SPDX-License-Identifier: MIT */
/*
 * The daemon's own process, see self.h.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/lockholder.h"
#include "control/segment.h"
#include "hakmemd/journal.h"
#include "hakmemd/self.h"

#define MMAP_THRESHOLD (128 << 10)

bool hak_self_on_hakmem(void)
{
	return dlsym(RTLD_DEFAULT, "hakmem_version");
}

/* -- the only one ------------------------------------------------------------------------------ */
/* Opens the folder, and creates it if it is missing. Only root and this user may be able to create
 * files in it. */
static int open_folder(const char *path)
{
	struct stat st;
	int fd, r = 0;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & S_IWOTH)
		r = -ENOTUNIQ;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

static int open_lock(const char *folder)
{
	int at = open_folder(folder), fd;
	struct stat st;

	if (at < 0)
		return at;
	/* No other user may open the file, because a user that can open it could hold the lock. */
	fd = openat(at, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		    0600);
	if (fd < 0)
		fd = -errno;
	close(at);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

int hak_self_take(const char *folder)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char path[HAK_PATH_BYTES], holder[128] = "of another user or container";
	int fd, r = 0;

	snprintf(path, sizeof(path), "%.400s/lock", folder);
	fd = open_lock(folder);
	if (fd < 0)
		r = fd;
	else if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		r = errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
	if (r == 0)
		return 0; /* the descriptor stays open, and so the lock stays */
	if (r == -EBUSY) {
		hak_lock_holder(fd, 0, holder, sizeof(holder));
		hak_log(LOG_ERR,
			"another hakmemd is running, %s: it has locked %s. A second one "
			"can try policies with --only=GLOB",
			holder, path);
	} else {
		hak_log(LOG_WARNING,
			"cannot lock %s (%s): no metrics are served, and another "
			"hakmemd may be running as well",
			path,
			r == -ENOTUNIQ ? "other users can write its folder"
			: r == -EINVAL ? "it is no regular file"
				       : strerror(-r));
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* -- limits ------------------------------------------------------------------------------------ */
void hak_self_set_limits(void)
{
	struct rlimit limit;

	/* Keeps the threshold fixed. Otherwise one large message of another process raises it, and
	 * libc keeps as much memory from then on. */
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		hak_log(LOG_WARNING, "cannot raise the limit on open files: %s", strerror(errno));
}

/* -- memory pressure --------------------------------------------------------------------------- */
static int on_pressure(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	char buf[256];

	if (events & (EPOLLERR | EPOLLHUP))
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	/* A FIFO or a socket signals pressure by a byte. A PSI file is never read. */
	if (events & EPOLLIN)
		while (read(fd, buf, sizeof(buf)) == (ssize_t)sizeof(buf))
			;
	malloc_trim(0);
	hak_log(LOG_DEBUG, "memory pressure on hakmemd itself");
	return 0;
}

static int digit_of(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* Decodes Base64. Returns the number of bytes, or -EINVAL. */
static ssize_t decode(const char *text, char *out, size_t room)
{
	uint32_t bits = 0;
	size_t n = 0, have = 0;

	for (; *text && *text != '='; text++) {
		int digit = digit_of(*text);

		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == room)
			return -EINVAL;
		out[n++] = (char)(bits >> have);
	}
	return (ssize_t)n;
}

static int open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		close(fd);
	}
	return r < 0 ? r : fd;
}

/* Opens the file as its type requires. *events is the event to wait for. */
static int open_watched(const char *path, bool write, uint32_t *events)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return -errno;
	*events = S_ISREG(st.st_mode) ? EPOLLPRI : EPOLLIN;
	if (S_ISSOCK(st.st_mode))
		return open_socket(path);
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
		return -EINVAL;
	fd = open(path, (write || S_ISFIFO(st.st_mode) ? O_RDWR : O_RDONLY) | O_CLOEXEC |
				O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int hak_self_watch_pressure(sd_event *event)
{
	const char *path = getenv("MEMORY_PRESSURE_WATCH"), *text;
	ssize_t n = 0;
	char trigger[256];
	uint32_t events = 0;
	sd_event_source *source;
	int fd, r;

	/* /dev/null means that the administrator has switched this off. */
	if (!path || !*path || strcmp(path, "/dev/null") == 0)
		return 0;
	text = getenv("MEMORY_PRESSURE_WRITE");
	n = text ? decode(text, trigger, sizeof(trigger)) : 0;
	if (n < 0)
		return hak_log_error((int)n, "$MEMORY_PRESSURE_WRITE");
	fd = open_watched(path, n > 0, &events);
	if (fd < 0)
		return hak_log_error(fd, "$MEMORY_PRESSURE_WATCH");
	if (n > 0 && write(fd, trigger, (size_t)n) != n) {
		r = -errno;
		close(fd);
		return hak_log_error(r, "$MEMORY_PRESSURE_WRITE");
	}
	r = sd_event_add_io(event, &source, fd, events, on_pressure, NULL);
	if (r < 0) {
		close(fd);
		return hak_log_error(r, "$MEMORY_PRESSURE_WATCH");
	}
	sd_event_source_set_io_fd_own(source, true);
	return sd_event_source_set_floating(source, true) < 0 ? -EIO : 0;
}
