/* SPDX-License-Identifier: MIT */
/*
 * Files that root writes where another user prepared the place: hak_output() over files of every
 * mode with links, descriptors and mappings held, over links, FIFOs and devices. It must not block,
 * lead to another file, or leave the other user more than the right to read. Root's own files go on
 * working, including /dev/stdout and similar names.
 */
#include <err.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "control/output.h"
#include "tests/check.h"

enum { USER = 65533, STRANGER = 65532, SWAPS = 300 };
static const char text[] = "what root wrote\n", old[] = "old\n", secret[] = "secret\n";

/* -- files ------------------------------------------------------------------------------------- */
static void put(const char *path, const char *what, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, what, strlen(what)) != (ssize_t)strlen(what) ||
	    fchmod(fd, mode) < 0)
		err(99, "%s", path);
	close(fd);
}

static bool holds(const char *path, const char *what)
{
	char got[256] = "";
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);

	if (fd >= 0)
		close(fd);
	return n >= 0 && strcmp(got, what) == 0;
}

static void folder(const char *path, uid_t uid, mode_t mode)
{
	if (mkdir(path, 0700) < 0 || chown(path, uid, uid) < 0 || chmod(path, mode) < 0)
		err(99, "%s", path);
}

/* Runs `run` in a process of that user; returns its result. */
static int as_user(int (*run)(const void *arg), const void *arg)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (syscall(SYS_setgroups, 0, NULL) < 0 || setresgid(USER, USER, USER) < 0 ||
		    setresuid(USER, USER, USER) < 0)
			_exit(98);
		_exit(run(arg));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		errx(99, "no process of user %d", USER);
	return WEXITSTATUS(status);
}

static int try_write(const void *path)
{
	return open(path, O_WRONLY) >= 0;
}

static void check_no_remains(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		EXPECT(strncmp(entry->d_name, ".hakmem", 7) != 0, "%s/%s is left", path,
		       entry->d_name);
	if (d)
		closedir(d);
}

/* -- over a file of another user --------------------------------------------------------------- */
/* Grants the user all rights by an ACL, in the attribute where the kernel keeps it. */
static int grant(const char *path, const char *attribute)
{
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entry[5];
	} acl = {
		2, { { 1, 7, -1u }, { 2, 7, USER }, { 4, 5, -1u }, { 16, 7, -1u }, { 32, 5, -1u } }
	};

	return setxattr(path, attribute, &acl, sizeof(acl), 0);
}

struct held {
	int fd;
	char *map;
	ino_t ino;
};

static int prepare_file(const void *mode)
{
	put("user/out", old, 0600);
	return link("user/out", "user/hard") < 0 || chmod("user/out", *(const mode_t *)mode) < 0;
}

static void write_over(mode_t mode, bool acl)
{
	char why[HAK_WHY_TEXT] = "";
	struct held held;
	struct stat st;
	int r;

	EXPECT(as_user(prepare_file, &mode) == 0, "the file was not prepared");
	if (acl && grant("user/out", "system.posix_acl_access") < 0)
		err(99, "an ACL");
	/* Held as the user's processes would hold it: a descriptor and a mapping that write. */
	held.fd = open("user/out", O_RDWR);
	held.map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, held.fd, 0);
	if (held.map == MAP_FAILED || fstat(held.fd, &st) < 0)
		err(99, "user/out");
	held.ino = st.st_ino;

	EXPECT(hak_output_check("user/out", why) == 0, "%04o: %s", mode, why);
	r = hak_output("user/out", text, strlen(text), why);
	EXPECT(r == 0, "%04o: %s", mode, why);
	EXPECT(lstat("user/out", &st) == 0 && st.st_ino != held.ino, "%04o: the same inode", mode);
	EXPECT(st.st_uid == 0 && st.st_nlink == 1, "%04o: of user %u, %u links", mode, st.st_uid,
	       (unsigned)st.st_nlink);
	EXPECT((st.st_mode & 07777) == 0644, "%04o became %04o", mode, st.st_mode & 07777);
	memcpy(held.map, "evil", 4);
	EXPECT(pwrite(held.fd, "evil", 4, 4) == 4 && ftruncate(held.fd, 8) == 0, "not held");
	EXPECT(holds("user/out", text), "%04o: what was held reaches the new file", mode);
	EXPECT(as_user(try_write, "user/out") == 0, "%04o: the user can open it to write", mode);
	munmap(held.map, 4096);
	close(held.fd);
	unlink("user/out");
	unlink("user/hard");
	check_no_remains("user");
}

static void check_modes(void)
{
	static const mode_t modes[] = { 04777, 06777, 02777, 01777, 0666, 0777, 0400 };
	char why[HAK_WHY_TEXT];
	struct stat st;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		write_over(modes[i], false);
	/* The same with an ACL of the file, and one of the folder for new files. */
	if (grant("user", "system.posix_acl_default") < 0) {
		printf("ACLs not tried: %s\n", strerror(errno));
	} else {
		write_over(0666, true);
		removexattr("user", "system.posix_acl_default");
	}
	umask(077);
	EXPECT(hak_output("user/out", text, strlen(text), why) == 0, "%s", why);
	EXPECT(stat("user/out", &st) == 0 && (st.st_mode & 07777) == 0600, "umask 077: %04o",
	       st.st_mode & 07777);
	umask(022);
	unlink("user/out");
}

/* -- where a path leads ------------------------------------------------------------------------ */
struct way {
	const char *path;
	const char *link; /* put there first, by `by`; NULL: nothing */
	const char *at;	  /* the link itself, if it is not the path */
	uid_t by;
	int want;
	const char *lands; /* where the text is afterwards; NULL: nowhere */
};

static const struct way ways[] = {
	{ "user/out", "../root/secret", .by = USER, .want = -ELOOP },
	{ "user/out", "../root/secret", .by = 0, .want = -ELOOP },
	{ "sticky/out", "../root/secret", .by = USER, .want = -ELOOP },
	{ "open/out", "../root/secret", .by = 0, .want = -ELOOP },
	{ "group/out", "../root/secret", .by = 0, .want = -ELOOP },
	{ "group-sticky/out", "../root/secret", .by = USER, .want = -ELOOP },
	{ "user/way/secret", "../root", "user/way", USER, -ELOOP },
	{ "sticky/way/new", "../root", "sticky/way", USER, -ELOOP },
	{ "open/way/new", "../root", "open/way", 0, -ELOOP },
	{ "root/in/out", "../user", "root/in", 0, 0, "user/out" },
	{ "sticky/out", "../root/target", .by = 0, .want = 0, .lands = "root/target" },
	{ "sticky/way/target", "../root", "sticky/way", 0, 0, "root/target" },
	{ "root/out", "target", .by = 0, .want = 0, .lands = "root/target" },
	{ "root/out", "../root/./target", .by = 0, .want = 0, .lands = "root/target" },
	{ "root/out", "../user/out", .by = 0, .want = 0, .lands = "user/out" },
	{ "root/out", "out", .by = 0, .want = -ELOOP },
	{ "root/out", "no/such", .by = 0, .want = -ENOENT },
	{ "root/../root//target", NULL, .want = 0, .lands = "root/target" },
	{ "user/../root/target", NULL, .want = 0, .lands = "root/target" },
	{ "root/secret/x", NULL, .want = -ENOTDIR },
	{ "root", NULL, .want = -EISDIR },
	{ "root/", NULL, .want = -EISDIR },
	{ "root/.", NULL, .want = -EISDIR },
	{ "..", NULL, .want = -EISDIR },
	{ "/", NULL, .want = -EISDIR },
	{ "root/none/", NULL, .want = -ENOENT },
	{ "", NULL, .want = -ENOENT },
};

static void check_way(const struct way *w)
{
	const char *at = w->at ? w->at : w->path;
	char why[HAK_WHY_TEXT] = "";
	struct stat st;
	int r;

	if (w->link && (symlink(w->link, at) < 0 || lchown(at, w->by, w->by) < 0))
		err(99, "%s", at);
	r = hak_output_check(w->path, why);
	EXPECT(r == w->want, "check of %s -> %s: %d, not %d: %s", w->path, w->link, r, w->want,
	       why);
	r = hak_output(w->path, text, strlen(text), why);
	EXPECT(r == w->want, "%s -> %s: %d, not %d: %s", w->path, w->link, r, w->want, why);
	EXPECT(r == 0 || why[0], "%s: no reason", w->path);
	EXPECT(holds("root/secret", secret), "%s -> %s changed the secret", w->path, w->link);
	EXPECT(access("root/new", F_OK) < 0, "%s -> %s made root/new", w->path, w->link);
	if (w->lands)
		EXPECT(holds(w->lands, text), "%s -> %s is not in %s", w->path, w->link, w->lands);
	if (w->lands)
		unlink(w->lands);
	if (w->link)
		EXPECT(lstat(at, &st) == 0 && S_ISLNK(st.st_mode) && unlink(at) == 0,
		       "%s: the link is gone", at);
}

static void check_ways(void)
{
	char path[5000], why[HAK_WHY_TEXT];

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		check_way(&ways[i]);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	EXPECT(hak_output(path, text, 1, why) == -ENAMETOOLONG, "5000 letters");
	path[300] = '\0';
	EXPECT(hak_output(path, text, 1, why) == -ENAMETOOLONG, "300 letters");
}

/* The user exchanges a folder for a link, repeatedly, while root writes below it. */
static void check_swaps(void)
{
	char why[HAK_WHY_TEXT];
	pid_t pid;

	folder("user/way", USER, 0755);
	if (symlink("../root", "user/swap") < 0)
		err(99, "user/swap");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			syscall(SYS_renameat2, AT_FDCWD, "user/way", AT_FDCWD, "user/swap", 2);
	}
	for (int i = 0; i < SWAPS; i++) {
		hak_output("user/way/secret", text, strlen(text), why);
		hak_output("user/way/new", text, strlen(text), why);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT(holds("root/secret", secret), "a race changed the secret");
	EXPECT(access("root/new", F_OK) < 0, "a race made root/new");
}

/* -- FIFOs, devices, sockets ------------------------------------------------------------------- */
struct special {
	const char *path;
	mode_t kind;
	unsigned major, minor;
	uid_t owner;
	int want;
	const char *says;
};

static const struct special specials[] = {
	{ "user/out", S_IFIFO, .owner = USER, .want = -EPERM, .says = "FIFO" },
	{ "user/out", S_IFIFO, .owner = 0, .want = -EPERM, .says = "FIFO" },
	{ "sticky/out", S_IFIFO, .owner = USER, .want = -EPERM, .says = "FIFO" },
	{ "open/out", S_IFIFO, .owner = 0, .want = -EPERM, .says = "FIFO" },
	{ "user/out", S_IFCHR, 1, 3, USER, -EPERM, "device" },
	{ "sticky/out", S_IFCHR, 1, 3, USER, -EPERM, "device" },
	{ "root/out", S_IFCHR, 1, 3, 0, 0, "" },
	{ "root/out", S_IFCHR, 1, 7, 0, -ENOSPC, "No space" },
	{ "root/out", S_IFBLK, 7, 250, 0, -EINVAL, "block device" },
	{ "root/out", S_IFSOCK, 0, 0, 0, -EINVAL, "socket" },
};

static void check_specials(void)
{
	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
		const struct special *s = &specials[i];
		dev_t device = (dev_t)s->major << 8 | s->minor;
		char why[HAK_WHY_TEXT] = "";
		struct stat st;
		int r;

		if (mknod(s->path, s->kind | 0666, device) < 0) {
			printf("%s of kind %o not tried: %s\n", s->path, s->kind, strerror(errno));
			continue;
		}
		if (chown(s->path, s->owner, s->owner) < 0)
			err(99, "%s", s->path);
		r = hak_output(s->path, text, strlen(text), why);
		/* A sandbox may forbid opening devices. */
		EXPECT(r == s->want || (S_ISCHR(s->kind) && s->owner == 0 && r == -EACCES),
		       "%s, kind %o of %u: %d, not %d: %s", s->path, s->kind, s->owner, r, s->want,
		       why);
		EXPECT(r != s->want || strstr(why, s->says), "%s: %s", s->path, why);
		EXPECT(lstat(s->path, &st) == 0 && (st.st_mode & S_IFMT) == s->kind,
		       "row %zu: it went", i);
		unlink(s->path);
	}
}

/* Root's own FIFO is waited for and written. */
static void check_fifo(void)
{
	char why[HAK_WHY_TEXT], got[sizeof(text)] = "";
	pid_t pid;
	int status;

	if (mkfifo("root/out", 0600) < 0)
		err(99, "root/out");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = open("root/out", O_RDONLY);

		_exit(read(fd, got, sizeof(got)) != (ssize_t)strlen(text) ||
		      strcmp(got, text) != 0);
	}
	EXPECT(hak_output("root/out", text, strlen(text), why) == 0, "%s", why);
	EXPECT(waitpid(pid, &status, 0) == pid && status == 0, "not what was written");
	unlink("root/out");
}

/* -- descriptors of this process --------------------------------------------------------------- */
static void check_descriptor(const char *format, int fd, int read_from)
{
	char path[64], why[HAK_WHY_TEXT] = "", got[sizeof(text)] = "";
	int r;

	snprintf(path, sizeof(path), format, fd);
	r = hak_output(path, text, strlen(text), why);
	EXPECT(r == 0, "%s: %s", path, why);
	EXPECT(r < 0 || (read(read_from, got, sizeof(got)) == (ssize_t)strlen(text) &&
			 strcmp(got, text) == 0),
	       "%s: %s", path, got);
}

static void check_descriptors(void)
{
	char why[HAK_WHY_TEXT];
	int pipes[2], sockets[2], fd, out;

	if (pipe(pipes) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
		err(99, "pipe");
	check_descriptor("/dev/fd/%d", pipes[1], pipes[0]);
	check_descriptor("/proc/self/fd/%d", pipes[1], pipes[0]);
	/* A socket cannot be opened again. */
	check_descriptor("/dev/fd/%d", sockets[1], sockets[0]);
	fflush(stdout);
	out = dup(1);
	dup2(pipes[1], 1);
	check_descriptor("/dev/stdout", 1, pipes[0]);
	/* Behind the existing text, as with >>; text that this program printed comes first. */
	put("root/target", "before ", 0600);
	fd = open("root/target", O_WRONLY | O_APPEND);
	dup2(fd, 1);
	printf("printed ");
	EXPECT(hak_output("/dev/stdout", text, strlen(text), why) == 0, "%s", why);
	fflush(stdout);
	dup2(out, 1);
	EXPECT(holds("root/target", "before printed what root wrote\n"), "/dev/stdout by >>");
	unlink("root/target");

	close(fd);
	fd = open("/dev/null", O_RDONLY);
	snprintf(why, sizeof(why), "/dev/fd/%d", fd);
	EXPECT(hak_output_check(why, why) == -EBADF, "a descriptor to read: %s", why);
	close(fd);
	fd = open("root/secret", O_RDWR | O_CLOEXEC);
	snprintf(why, sizeof(why), "/dev/fd/%d", fd);
	EXPECT(hak_output(why, text, 1, why) == -EBADF, "a descriptor of its own: %s", why);
	close(fd);
	EXPECT(hak_output("/dev/fd/999", text, 1, why) < 0, "no descriptor");
	EXPECT(holds("root/secret", secret), "the secret changed");
}

/* -- as another user --------------------------------------------------------------------------- */
static int write_as_user(const void *path)
{
	char why[HAK_WHY_TEXT];
	int r = hak_output_check(path, why);

	return r < 0 ? -r : -hak_output(path, text, strlen(text), why);
}

static int check_as_user(const void *path)
{
	char why[HAK_WHY_TEXT];

	return -hak_output_check(path, why);
}

/* A write that fails at the end leaves nothing. */
static void check_failure(void)
{
	int fd = open("root", O_PATH | O_DIRECTORY);

	folder("root/folder", 0, 0755);
	EXPECT(hak_replace_at(fd, "folder", text, strlen(text)) == -EISDIR, "a file for a folder");
	close(fd);
	check_no_remains("root");
}

static void check_unprivileged(void)
{
	put("sticky/out", old, 0666);
	put("root/out", old, 0666);
	EXPECT(as_user(write_as_user, "sticky/out") == EPERM, "root's file in a sticky folder");
	EXPECT(as_user(check_as_user, "sticky/out") == EPERM, "known only after the work");
	EXPECT(as_user(write_as_user, "root/out") == EACCES, "a file in root's folder");
	EXPECT(as_user(write_as_user, "root/target") == EACCES, "a new file in root's folder");
	EXPECT(holds("sticky/out", old) && holds("root/out", old), "they changed");
	EXPECT(as_user(write_as_user, "sticky/theirs") == 0, "a file of their own");
	EXPECT(as_user(write_as_user, "/dev/null") == 0, "/dev/null");
	EXPECT(holds("sticky/theirs", text), "what they wrote");
}

/* -- links of /proc ---------------------------------------------------------------------------- */
enum { HERE = 512 };
static char here[HERE];

/*
 * In a mount namespace where inner is another folder, with a link and a file; the process is in it.
 */
static void enter_elsewhere(int ready)
{
	char to[HERE + 32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(to, sizeof(to), "%s/root", here);
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "inner", "tmpfs", 0, "mode=755") < 0)
		_exit(77);
	if (chdir(here) < 0 || chdir("inner") < 0 || symlink(to, "away") < 0 ||
	    mkdir("below", 0755) < 0 || symlink("below", "near") < 0)
		err(99, "inner");
	put("file", old, 0644);
	if (dup2(open("file", O_RDWR), 100) != 100 || write(ready, "r", 1) != 1)
		err(99, "file");
	for (;;)
		pause();
}

static void check_elsewhere(pid_t pid, const char *path, int want, const char *lands)
{
	char full[2 * HERE], at[2 * HERE], why[HAK_WHY_TEXT] = "";
	int r;

	snprintf(full, sizeof(full), path, (int)pid, here);
	snprintf(at, sizeof(at), "/proc/%d/cwd/%s", (int)pid, lands ? lands : "");
	r = hak_output(full, text, strlen(text), why);
	EXPECT(r == want, "%s: %d, not %d: %s", full, r, want, why);
	EXPECT(r == 0 || why[0], "%s: no reason", full);
	EXPECT(!lands || holds(at, text), "%s is not in its folder", full);
	if (lands)
		unlink(at);
}

static void check_proc(void)
{
	char path[64], why[HAK_WHY_TEXT] = "";
	int ready[2], fd;
	char byte;
	pid_t pid;

	if (pipe(ready) < 0 || mkdir("inner", 0755) < 0 || mkdir("inner/below", 0755) < 0)
		err(99, "inner");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		enter_elsewhere(ready[1]);
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1) {
		check_elsewhere(pid, "/proc/%d/root%s/inner/out", 0, "out");
		check_elsewhere(pid, "/proc/%d/cwd/out", 0, "out");
		check_elsewhere(pid, "/proc/%d/cwd/near/out", 0, "below/out");
		check_elsewhere(pid, "/proc/%d/task/../cwd/../inner/out", 0, "out");
		check_elsewhere(pid, "/proc/%d/cwd/away/secret", -ELOOP, NULL);
		check_elsewhere(pid, "/proc/%d/root%s/inner/away/new", -ELOOP, NULL);
		check_elsewhere(pid, "/proc/%d/fd/100", -ELOOP, NULL);
		EXPECT(holds("root/secret", secret) && access("root/new", F_OK) < 0,
		       "a link led into this root");
		EXPECT(access("inner/out", F_OK) < 0 && access("inner/below/out", F_OK) < 0 &&
			       access("inner/file", F_OK) < 0,
		       "written into this machine's folder");
	} else {
		puts("another mount namespace not tried");
	}
	close(ready[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	EXPECT(hak_output("/proc/self/cwd/root/target", text, strlen(text), why) == 0, "%s", why);
	EXPECT(holds("root/target", text), "by /proc/self/cwd");
	unlink("root/target");
	fd = open("root", O_PATH | O_DIRECTORY);
	snprintf(path, sizeof(path), "/dev/fd/%d/target", fd);
	EXPECT(hak_output(path, text, strlen(text), why) == 0, "%s: %s", path, why);
	EXPECT(holds("root/target", text), "by %s", path);
	unlink("root/target");
	close(fd);
	rmdir("inner/below");
	rmdir("inner");
}

/* -- where owners have no number --------------------------------------------------------------- */
/* In a user namespace with that map. Returns 0: correct; 77: there is none; otherwise the row that
 * failed. */
static int run_unknown(const void *map)
{
	static const struct {
		const char *path;
		int want;
	} rows[] = { { "stranger/out", -ELOOP }, { "stranger/way/out", -ELOOP },
		     { "/dev/stdout", 0 },	 { "/dev/fd/1", 0 },
		     { "/proc/self/fd/1", 0 },	 { "user/out", 0 } };
	char why[HAK_WHY_TEXT];
	struct stat bin;
	int fd, r;

	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER) < 0)
		return 77;
	fd = *(const char *)map ? open("/proc/self/uid_map", O_WRONLY) : -1;
	if (*(const char *)map && write(fd, map, strlen(map)) != (ssize_t)strlen(map))
		return 77;
	close(fd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = hak_output_check(rows[i].path, why);
		if (r != rows[i].want || (r < 0 && !strstr(why, "not known")))
			return 1 + (int)i;
	}
	/* Links in / are root's, whatever number root has. */
	r = lstat("/bin", &bin) == 0 && S_ISLNK(bin.st_mode) ? hak_output_check("/bin/x/y", why)
							     : -ENOENT;
	return r == -ENOENT ? 0 : 50;
}

static void check_unknown(void)
{
	static const char *const maps[] = { "", "0 65533 1", "65534 65533 1" };
	char why[HAK_WHY_TEXT];

	folder("stranger", STRANGER, 0755);
	if (symlink("../user/out", "stranger/out") < 0 || symlink("../user", "stranger/way") < 0)
		err(99, "stranger");
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		int r = as_user(run_unknown, maps[i]);

		if (r == 77)
			printf("user namespace \"%s\" not tried\n", maps[i]);
		else
			EXPECT(r == 0, "user namespace \"%s\": row %d", maps[i], r);
	}
	/* Where all users have a number, 65534 is a user like others. */
	EXPECT(chown("stranger", 65534, 65534) == 0 && setresuid(65534, 65534, 0) == 0,
	       "uid 65534");
	EXPECT(hak_output_check("stranger/none", why) == 0, "a folder of 65534's: %s", why);
	EXPECT(hak_output_check("stranger/way/none", why) == -EACCES, "a link of 65534's: %s", why);
	EXPECT(setresuid(0, 0, 0) == 0, "back to root");
}

static void swaps_leave_nothing(void)
{
	check_swaps();
	check_no_remains("root");
	check_no_remains("sticky");
}

static void failures_leave_nothing(void)
{
	check_failure();
	check_no_remains("root");
	check_no_remains("sticky");
}

static const struct tcase cases[] = {
	{ "modes", check_modes },
	{ "ways", check_ways },
	{ "specials", check_specials },
	{ "fifo", check_fifo },
	{ "descriptors", check_descriptors },
	{ "proc", check_proc },
	{ "unprivileged", check_unprivileged },
	{ "unknown", check_unknown },
	{ "failures_leave_nothing", failures_leave_nothing },
	{ "swaps_leave_nothing", swaps_leave_nothing },
};

int main(int argc, char **argv)
{
	const char *tmp = getenv("HAK_TMP");

	if (geteuid() != 0)
		return skip_all("needs root");
	if (!tmp || chdir(tmp) < 0)
		err(99, "HAK_TMP");
	umask(022);
	folder("place", 0, 0755);
	if (chdir("place") < 0 || !getcwd(here, sizeof(here)))
		err(99, "place");
	folder("user", USER, 0755);
	folder("sticky", 0, 01777);
	folder("open", 0, 0777);
	folder("group", 0, 0775);
	folder("group-sticky", 0, 01775);
	folder("root", 0, 0755);
	put("root/secret", secret, 0600);
	return RUN(argc, argv, cases);
}
