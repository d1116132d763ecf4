/* SPDX-License-Identifier: MIT */
/* Files that hakmemctl writes, see output.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/escape.h"
#include "control/missing.h"
#include "control/output.h"

#define LINKS_MAX   40 /* the kernel's limit */
#define NAMES_TRIED 16

/* -- a new file in an opened folder ------------------------------------------------------------ */
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

/* Returns a descriptor and the name, or -errno. No other user can open the file until it is whole:
 * an ACL that the folder gives to new files grants nothing while the group has no bits. */
static int create_temporary(int folder, char name[32])
{
	uint64_t number;
	int fd = -1;

	for (int i = 0; i < NAMES_TRIED; i++) {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -EIO;
		snprintf(name, 32, ".hakmem-%016llx", (unsigned long long)number);
		fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int hak_replace_at(int folder, const char *name, const char *text, size_t bytes)
{
	mode_t mask = umask(0);
	char temporary[32];
	int fd, r;

	umask(mask);
	fd = create_temporary(folder, temporary);
	if (fd < 0)
		return fd;
	r = write_all(fd, text, bytes);
	if (r == 0 && (fchmod(fd, 0666 & ~mask) < 0 || fsync(fd) < 0))
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(folder, temporary, folder, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(folder, temporary, 0);
	return r;
}

/* -- the users that can have put an entry there ------------------------------------------------ */
/* Reads a few numbers of a file in /proc; returns how many there are. */
static int read_numbers(const char *path, unsigned long long *ret, int n)
{
	FILE *f = fopen(path, "re");
	int have = 0;

	while (f && have < n && fscanf(f, "%llu", &ret[have]) == 1)
		have++;
	if (f)
		fclose(f);
	return have;
}

/* Returns whether the number may stand for users that have no number in this user namespace. A
 * namespace that maps all users has no such number. */
static bool stands_for_others(uid_t uid)
{
	unsigned long long overflow = 65534, map[3];

	read_numbers("/proc/sys/kernel/overflowuid", &overflow, 1);
	return uid == overflow && (read_numbers("/proc/self/uid_map", map, 3) < 3 || map[0] != 0 ||
				   map[2] < UINT32_MAX);
}

static bool ours(uid_t uid)
{
	return (uid == 0 || uid == geteuid()) && !stands_for_others(uid);
}

/* Returns whether the folder counts as root's: the owner of / decides over every path. In a user
 * namespace that does not know the machine's root, that owner has another number than 0, and then
 * only / itself is known to belong to that owner. */
static bool our_folder(const struct stat *folder)
{
	struct stat root;

	if (ours(folder->st_uid))
		return true;
	if (stat("/", &root) < 0 || root.st_uid != folder->st_uid)
		return false;
	return !stands_for_others(root.st_uid) ||
	       (root.st_dev == folder->st_dev && root.st_ino == folder->st_ino);
}

/* Returns whether only root and this user can have put the entry into the folder. */
static bool put_by_us(const struct stat *folder, const struct stat *entry)
{
	if (!our_folder(folder))
		return false;
	/* An ACL that lets other users write shows in the group's bits. */
	if (!(folder->st_mode & (S_IWGRP | S_IWOTH)))
		return true;
	return folder->st_mode & S_ISVTX && ours(entry->st_uid);
}

/* -- where a path leads ------------------------------------------------------------------------ */
struct place {
	int folder; /* O_PATH */
	int own;    /* a descriptor of this process, if the path means one; or -1 */
	bool exists;
	struct stat st; /* of an existing file, never a link */
	char name[NAME_MAX + 1];
};

struct walk {
	struct place *at;    /* folder: the position of the walk */
	char rest[PATH_MAX]; /* the remaining path */
	unsigned links;
	bool elsewhere; /* behind a link of /proc: "/" may be another system's */
	char *why;
};

static void leave(struct place *p)
{
	if (p->folder >= 0)
		close(p->folder);
	p->folder = -1;
}

static int say(char why[HAK_WHY_TEXT], int error)
{
	snprintf(why, HAK_WHY_TEXT, "%s", strerror(-error));
	return error;
}

/* Continues the walk in that folder; fd may be -errno. */
static int enter(struct walk *w, int fd)
{
	if (fd < 0)
		return say(w->why, fd);
	leave(w->at);
	w->at->folder = fd;
	return 0;
}

static int open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * Copies the next component into at->name, "" at the end. *last: none follows, and no slash does.
 */
static int next_component(struct walk *w, bool *last)
{
	char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");

	if (n > NAME_MAX)
		return say(w->why, -ENAMETOOLONG);
	memcpy(w->at->name, p, n);
	w->at->name[n] = '\0';
	*last = n && !p[n];
	memmove(w->rest, p + n, strlen(p + n) + 1);
	return 0;
}

/* Returns whether `folder` is the /proc/self/fd of this process. */
static bool is_own_descriptors(const struct stat *folder)
{
	struct stat own;

	return stat("/proc/self/fd", &own) == 0 && own.st_dev == folder->st_dev &&
	       own.st_ino == folder->st_ino;
}

/* A magic link of /proc leads to an object of a process, whatever its text says. */
static bool is_magic(const struct walk *w, int link)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS };
	struct statfs fs;
	int fd;

	if (fstatfs(link, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return false;
	fd = (int)syscall(SYS_openat2, w->at->folder, w->at->name, &how, sizeof(how));
	if (fd >= 0)
		close(fd);
	/* Without openat2() all links count as magic: the kernel can follow the others as well. */
	return fd < 0 && (errno == ELOOP || errno == ENOSYS || errno == EPERM);
}

static int refuse_link(const struct walk *w, const char *reason)
{
	char shown[4 * NAME_MAX + 1];

	hak_escape(w->at->name, shown, sizeof(shown));
	snprintf(w->why, HAK_WHY_TEXT, "\"%.60s\" is %s: name the file itself", shown, reason);
	return -ELOOP;
}

static int follow_magic(struct walk *w)
{
	int fd = openat(w->at->folder, w->at->name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOTDIR)
		return refuse_link(w, "a link of /proc to a file that a process has, which cannot "
				      "be replaced by that way");
	if (fd < 0)
		return say(w->why, -errno);
	w->elsewhere = true;
	return enter(w, fd);
}

/* Puts the text of the link before the rest of the path. */
static int follow(struct walk *w, int link)
{
	char to[PATH_MAX], joined[PATH_MAX];
	ssize_t n = readlinkat(link, "", to, sizeof(to) - 1);

	if (n < 0)
		return say(w->why, -errno);
	to[n] = '\0';
	if (*to == '/' && w->elsewhere)
		return refuse_link(w, "a link to an absolute path, behind a link of /proc, where "
				      "another / may be meant");
	if (snprintf(joined, sizeof(joined), "%s%s", to, w->rest) >= (int)sizeof(joined))
		return say(w->why, -ENAMETOOLONG);
	strcpy(w->rest, joined);
	return *to == '/' ? enter(w, open_folder(AT_FDCWD, "/")) : 0;
}

/* Returns 0: go on; 1: the link is a descriptor of this process. */
static int take_link(struct walk *w, int link, const struct stat *st, bool last)
{
	struct stat folder;

	if (fstat(w->at->folder, &folder) < 0)
		return say(w->why, -errno);
	if (last && is_own_descriptors(&folder)) {
		w->at->own = (int)strtol(w->at->name, NULL, 10);
		return 1;
	}
	if (put_by_us(&folder, st)) {
		if (++w->links > LINKS_MAX)
			return say(w->why, -ELOOP);
		return is_magic(w, link) ? follow_magic(w) : follow(w, link);
	}
	if (stands_for_others(folder.st_uid))
		return refuse_link(w, "a symbolic link in a folder whose owner is not known in "
				      "this user namespace, and is not followed");
	return refuse_link(w, "a symbolic link in a folder that other users can write, and is not "
			      "followed");
}

/* Walks one component. Returns 1: the walk has ended; 0: it goes on; or -errno. */
static int step(struct walk *w)
{
	struct place *at = w->at;
	bool last;
	int r = next_component(w, &last), fd;

	if (r < 0)
		return r;
	if (!*at->name)
		return say(w->why, -EISDIR);
	fd = openat(at->folder, at->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT && last ? 1 : say(w->why, -errno);
	if (fstat(fd, &at->st) < 0)
		r = say(w->why, -errno);
	else if (S_ISLNK(at->st.st_mode))
		r = take_link(w, fd, &at->st, last);
	else if (S_ISDIR(at->st.st_mode))
		return enter(w, fd);
	else
		r = last ? 1 : say(w->why, -ENOTDIR);
	at->exists = r == 1 && at->own < 0;
	close(fd);
	return r;
}

/* Recognises the names of this process's own descriptors, which need no walk: the links on the way
 * to them are root's, and a user namespace need not know root. Returns -1 for other names. */
static int own_by_name(const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };

	if (strcmp(path, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(path, "/dev/stderr") == 0)
		return STDERR_FILENO;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		const char *number = path + strlen(folders[i]);
		size_t n;

		if (strncmp(path, folders[i], strlen(folders[i])) != 0)
			continue;
		n = strspn(number, "0123456789");
		if (n && n < 10 && !number[n])
			return (int)strtol(number, NULL, 10);
	}
	return -1;
}

static int find_place(const char *path, struct place *ret, char why[HAK_WHY_TEXT])
{
	struct walk w = { .at = ret, .why = why };
	int r;

	*ret = (struct place){ .folder = -1, .own = -1 };
	if (!*path)
		return say(why, -ENOENT);
	if (strlen(path) >= sizeof(w.rest))
		return say(why, -ENAMETOOLONG);
	strcpy(w.rest, path);
	ret->own = own_by_name(path);
	if (ret->own >= 0)
		return 0;
	r = enter(&w, open_folder(AT_FDCWD, *path == '/' ? "/" : "."));
	while (r == 0)
		r = step(&w);
	if (r < 0)
		leave(ret);
	return r < 0 ? r : 0;
}

/* -- what may be written there ----------------------------------------------------------------- */
/* Descriptors that this program opened itself are close-on-exec; inherited ones are not. */
static int check_own(int fd, char why[HAK_WHY_TEXT])
{
	int flags = fcntl(fd, F_GETFL), at_exec = fcntl(fd, F_GETFD);

	if (flags >= 0 && at_exec >= 0 && !(at_exec & FD_CLOEXEC) &&
	    (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		return 0;
	snprintf(why, HAK_WHY_TEXT, "this program was given no descriptor %d that can be written",
		 fd);
	return -EBADF;
}

static int check_replaceable(const struct place *p, const struct stat *folder,
			     char why[HAK_WHY_TEXT])
{
	if (faccessat(p->folder, ".", W_OK | X_OK, 0) < 0) {
		int r = -errno;

		snprintf(why, HAK_WHY_TEXT,
			 "its folder: %.60s; the file is not written in its "
			 "place, a new one replaces it",
			 strerror(-r));
		return r;
	}
	if (p->exists && folder->st_mode & S_ISVTX && geteuid() != 0 &&
	    folder->st_uid != geteuid() && p->st.st_uid != geteuid()) {
		snprintf(why, HAK_WHY_TEXT,
			 "it is another user's file in a folder with the sticky "
			 "bit, and cannot be replaced");
		return -EPERM;
	}
	return 0;
}

static int check_special(const struct place *p, const struct stat *folder, char why[HAK_WHY_TEXT])
{
	if (!S_ISCHR(p->st.st_mode) && !S_ISFIFO(p->st.st_mode)) {
		snprintf(why, HAK_WHY_TEXT,
			 "it is a %s; regular files, character devices and "
			 "FIFOs can be written",
			 S_ISSOCK(p->st.st_mode) ? "socket" : "block device");
		return -EINVAL;
	}
	if (!put_by_us(folder, &p->st)) {
		snprintf(why, HAK_WHY_TEXT,
			 "it is a %s in a folder that other users can write, "
			 "and is not opened: only root or this user may be able to put it there",
			 S_ISFIFO(p->st.st_mode) ? "FIFO" : "device");
		return -EPERM;
	}
	return faccessat(p->folder, p->name, W_OK, 0) < 0 ? say(why, -errno) : 0;
}

static bool is_replaced(const struct place *p)
{
	return !p->exists || S_ISREG(p->st.st_mode);
}

/* Finds the path and checks it; the caller calls leave(). */
static int prepare(const char *path, struct place *ret, char why[HAK_WHY_TEXT])
{
	struct stat folder;
	int r = find_place(path, ret, why);

	if (r < 0)
		return r;
	if (ret->own >= 0)
		r = check_own(ret->own, why);
	else if (fstat(ret->folder, &folder) < 0)
		r = say(why, -errno);
	else if (is_replaced(ret))
		r = check_replaceable(ret, &folder, why);
	else
		r = check_special(ret, &folder, why);
	if (r < 0)
		leave(ret);
	return r;
}

/*
 * Writes to a device or FIFO itself. By the rule of put_by_us() no other file can have taken its
 * place.
 */
static int write_special(const struct place *p, const char *text, size_t bytes)
{
	int fd = openat(p->folder, p->name, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC), r;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_dev != p->st.st_dev || st.st_ino != p->st.st_ino)
		r = -ESTALE;
	else
		r = write_all(fd, text, bytes);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

int hak_output_check(const char *path, char why[HAK_WHY_TEXT])
{
	struct place p;
	int r = prepare(path, &p, why);

	if (r == 0)
		leave(&p);
	return r;
}

int hak_output(const char *path, const char *text, size_t bytes, char why[HAK_WHY_TEXT])
{
	struct place p;
	int r = prepare(path, &p, why);

	if (r < 0)
		return r;
	if (p.own >= 0) {
		/* Text that was printed before stays in front. */
		fflush(stdout);
		r = write_all(p.own, text, bytes);
	} else if (is_replaced(&p)) {
		r = hak_replace_at(p.folder, p.name, text, bytes);
	} else {
		r = write_special(&p, text, bytes);
	}
	leave(&p);
	return r < 0 ? say(why, r) : 0;
}
