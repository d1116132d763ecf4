/* SPDX-License-Identifier: MIT */
/*
 * Finds and opens a process's two memfds (segment.h), and reads the files of /proc that identify
 * their owner. The order of the steps is the defence: see segment.h.
 *
 * hakmem-stats has no descriptor in the process. Its mapping is opened, or its memory is read where
 * it is mapped. The header that is read this way names the descriptor of hakmem-tune. The
 * descriptors of a process are never listed, because the process decides how many there are.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "control/budget.h"
#include "control/escape.h"
#include "control/missing.h"
#include "control/proc.h"
#include "control/reader.h"
#include "control/segment.h"

#define TUNE_SEALS     (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MAPS_MAX_BYTES (16u << 20)
/*
 * A real process maps its segment in a few pieces. A process that was just forked also maps its
 * parent's.
 */
#define CANDIDATES 8

static const char stats_path[] = "/memfd:" HAK_STATS_NAME " (deleted)";
static const char tune_path[] = "/memfd:" HAK_TUNE_NAME " (deleted)";

/* -- small files of /proc ---------------------------------------------------------------------- */
/* In nanoseconds since boot. */
static int start_time_ns(int procfd, uint64_t *ret)
{
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t ticks;
	int r = hak_reader_stat(procfd, 22, &ticks);

	if (r < 0)
		return r;
	if (hz <= 0)
		return -EIO;
	*ret = ticks * (1000000000u / (uint64_t)hz);
	return 0;
}

bool hak_segment_stopped(const struct hak_segment *seg)
{
	char state = hak_reader_state(seg->procfd);

	return state == 'T' || state == 't';
}

/*
 * Reads the effective user of the process, and its pid in its own namespace: the last one of NSpid.
 */
static int read_status(struct hak_segment *seg, uint32_t *ret_own_pid)
{
	char buf[HAK_PROC_STATUS_BYTES];
	ssize_t n = hak_reader_text(seg->procfd, "status", buf, sizeof(buf));
	int r = n < 0 ? (int)n : hak_proc_euid(buf, &seg->uid);

	if (r < 0)
		return r;
	*ret_own_pid = (uint32_t)seg->pid;
	hak_proc_own_pid(buf, ret_own_pid);
	return 0;
}

static bool boottime_offset(int procfd, int64_t *ret)
{
	char buf[256], *p;
	long long s, ns;

	if (hak_proc_read(procfd, "timens_offsets", buf, sizeof(buf)) <= 0)
		return false;
	p = strstr(buf, "boottime");
	if (!p || sscanf(p, "boottime %lld %lld", &s, &ns) != 2)
		return false;
	*ret = s * 1000000000 + ns;
	return true;
}

/* Returns the boot clock of the process minus this program's. Nearly all processes live in one time
 * namespace; then the two links are the same. */
static int64_t clock_difference(int procfd)
{
	char its[64], ours[64];
	ssize_t a = readlinkat(procfd, "ns/time", its, sizeof(its));
	ssize_t b = readlink("/proc/self/ns/time", ours, sizeof(ours));
	int64_t its_offset, our_offset;
	int self;
	bool ok;

	if (a <= 0 || (a == b && memcmp(its, ours, (size_t)a) == 0))
		return 0;
	self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self < 0)
		return 0;
	ok = boottime_offset(procfd, &its_offset) && boottime_offset(self, &our_offset);
	close(self);
	return ok ? its_offset - our_offset : 0;
}

/* -- mappings ---------------------------------------------------------------------------------- */
/*
 * Parses the number at *at, and moves *at behind it and the one character `end`. Returns false if
 * there is no number.
 */
static bool parse_number(char **at, int base, char end, uint64_t *ret)
{
	char *from = *at;

	*ret = strtoull(from, at, base);
	return *at != from && *(*at)++ == end;
}

/* Parses by hand, because a process may have a million mappings: "START-END PERMS OFFSET
 * MAJOR:MINOR INO PATH". */
bool hak_parse_mapping(char *line, struct hak_mapping *map)
{
	uint64_t major_, minor_;
	char *at = line;

	if (!parse_number(&at, 16, '-', &map->start) || !parse_number(&at, 16, ' ', &map->end) ||
	    strnlen(at, 5) < 5 || at[4] != ' ')
		return false;
	memcpy(map->perms, at, 4);
	map->perms[4] = '\0';
	at += 5;
	if (!parse_number(&at, 16, ' ', &map->offset) || !parse_number(&at, 16, ':', &major_) ||
	    !parse_number(&at, 16, ' ', &minor_) || !parse_number(&at, 10, ' ', &map->ino))
		return false;
	map->major = (uint32_t)major_;
	map->minor = (uint32_t)minor_;
	map->path = at + strspn(at, " ");
	return true;
}

/* Sees all whole lines in the text, which ends with a zero. *ret is where the rest begins. */
static int see_lines(char *line, int (*see)(char *line, void *arg), void *arg, char **ret)
{
	char *end;
	int r = 0;

	while (r == 0 && (end = strchr(line, '\n'))) {
		*end = '\0';
		r = see(line, arg);
		line = end + 1;
	}
	*ret = line;
	return r;
}

int hak_each_line(int procfd, const char *name, int (*see)(char *line, void *arg), void *arg)
{
	char buf[HAK_READER_BYTES], *line;
	size_t have = 0, total = 0, room = sizeof(buf) - 1;
	ssize_t n = hak_reader_first(procfd, name, buf, room);
	int r;

	for (;; n = hak_reader_more(buf + have, room)) {
		if (n < 0)
			return (int)n;
		have += (size_t)n, total += (size_t)n;
		buf[have] = '\0';
		r = see_lines(buf, see, arg, &line);
		if (r || (size_t)n < room)
			return r;
		have = (size_t)(buf + have - line);
		memmove(buf, line, have);
		room = sizeof(buf) - 1 - have;
		if (total > MAPS_MAX_BYTES || room == 0)
			return -E2BIG;
		if (hak_budget_spent())
			return -ETIME;
	}
}

struct sight {
	int (*see)(const struct hak_mapping *map, void *arg);
	void *arg;
};

static int see_mapping(char *line, void *arg)
{
	struct sight *sight = arg;
	struct hak_mapping map;

	return hak_parse_mapping(line, &map) ? sight->see(&map, sight->arg) : 0;
}

int hak_each_mapping(int procfd, int (*see)(const struct hak_mapping *map, void *arg), void *arg)
{
	struct sight sight = { see, arg };

	return hak_each_line(procfd, "maps", see_mapping, &sight);
}

int hak_maybe_segment(int procdir, const char *pid)
{
	static const char needle[] = "/memfd:" HAK_STATS_NAME;
	enum { KEEP = sizeof(needle) - 2 }; /* of the last read: the name may be cut */
	char buf[KEEP + HAK_READER_BYTES], name[32];
	size_t total = 0;
	ssize_t n;

	snprintf(name, sizeof(name), "%.16s/maps", pid);
	memset(buf, 0, KEEP);
	n = hak_reader_first(procdir, name, buf + KEEP, HAK_READER_BYTES);
	for (; n > 0; n = hak_reader_more(buf + KEEP, HAK_READER_BYTES)) {
		if (memmem(buf, KEEP + (size_t)n, needle, sizeof(needle) - 1))
			return 1;
		memmove(buf, buf + n, KEEP);
		total += (size_t)n;
		if (n < (ssize_t)HAK_READER_BYTES || total > MAPS_MAX_BYTES)
			return 0;
		if (hak_budget_spent())
			return -ETIME;
	}
	/* The process is gone, or may not be seen; any other error leaves the answer unknown. */
	return n == 0 || n == -ENOENT || n == -ESRCH || n == -EACCES || n == -EPERM ? 0 : -ETIME;
}

/* One memfd, with its mappings. */
struct candidate {
	uint64_t ino;
	unsigned pieces;
	struct hak_piece piece[HAK_PIECES];
};

struct candidates {
	struct candidate stats[CANDIDATES], tune[CANDIDATES];
	unsigned stats_n, tune_n;
	char library[HAK_PATH_BYTES];
	uint64_t code;
};

static void note(struct candidate *seen, unsigned *n, const struct hak_mapping *map)
{
	struct candidate *c = seen;

	while (c < seen + *n && c->ino != map->ino)
		c++;
	if (c == seen + *n) {
		if (*n == CANDIDATES)
			return;
		++*n;
		c->ino = map->ino;
	}
	if (c->pieces < HAK_PIECES)
		c->piece[c->pieces++] = (struct hak_piece){ .start = map->start,
							    .bytes = map->end - map->start,
							    .offset = map->offset };
}

bool hak_is_memfd_device(uint32_t major_, uint32_t minor_)
{
	static dev_t ours;
	static bool known;
	struct stat st;
	int fd;

	if (!known) {
		fd = memfd_create("hakmemctl", MFD_CLOEXEC);
		if (fd < 0)
			return false;
		known = fstat(fd, &st) == 0;
		ours = st.st_dev;
		close(fd);
	}
	return known && major_ == major(ours) && minor_ == minor(ours);
}

static int see_candidate(const struct hak_mapping *map, void *arg)
{
	struct candidates *c = arg;

	if (strcmp(map->path, stats_path) == 0 && hak_is_memfd_device(map->major, map->minor))
		note(c->stats, &c->stats_n, map);
	else if (strcmp(map->path, tune_path) == 0 && hak_is_memfd_device(map->major, map->minor))
		note(c->tune, &c->tune_n, map);
	else if (!c->library[0] && map->ino && strstr(map->path, "/libhakmem.so"))
		snprintf(c->library, sizeof(c->library), "%s", map->path);
	return 0;
}

/* Finds the file that holds the library: of another name, or the program itself. */
static int see_code(const struct hak_mapping *map, void *arg)
{
	struct candidates *c = arg;

	if (c->code < map->start || c->code >= map->end)
		return 0;
	if (map->ino)
		snprintf(c->library, sizeof(c->library), "%s", map->path);
	return 1;
}

/* -- opening ----------------------------------------------------------------------------------- */
/* Opens `path` (below /proc/PID) as `mode` if it is the memfd of that inode; -ENOENT if it is
 * another file. */
static int open_checked(int procfd, const char *path, uint64_t ino, int mode)
{
	char self[64];
	struct statx st;
	int look, fd = -ENOENT;

	look = hak_reader_open(procfd, path, O_PATH);
	if (look < 0)
		return look;
	/* Takes what the kernel knows already: a filesystem of the untrusted process might never
	 * answer. */
	if (statx(look, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) == 0 &&
	    S_ISREG(st.stx_mode) && st.stx_ino == ino &&
	    hak_is_memfd_device(st.stx_dev_major, st.stx_dev_minor)) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", look);
		fd = open(self, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			fd = -errno;
	}
	close(look);
	return fd;
}

/* Tries each of the mappings: the limits of one may have moved since they were read. */
static int open_mapped(int procfd, const struct candidate *c, int mode)
{
	char path[64];
	int fd = -ENOENT;

	for (unsigned i = 0; i < c->pieces && fd == -ENOENT; i++) {
		snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, c->piece[i].start,
			 c->piece[i].start + c->piece[i].bytes);
		fd = open_checked(procfd, path, c->ino, mode);
	}
	return fd;
}

/*
 * Opens the descriptor that the process claims to have, which needs no privilege, otherwise a
 * mapping.
 */
static int open_tune_memfd(const struct hak_segment *seg, const struct candidate *c, int mode)
{
	char path[32];
	int fd = -ENOENT;

	if (seg->header.tune_fd >= 0) {
		snprintf(path, sizeof(path), "fd/%d", (int)seg->header.tune_fd);
		fd = open_checked(seg->procfd, path, c->ino, mode);
	}
	return fd >= 0 ? fd : open_mapped(seg->procfd, c, mode);
}

/* Opens the tune memfd that the header names. Without it the process can be read, but not changed.
 * Returns 0 or -ETIME. */
static int open_tune(struct hak_segment *seg, const struct candidates *c, bool write)
{
	for (unsigned i = 0; i < c->tune_n; i++) {
		struct stat st;
		int fd, seals;

		if (c->tune[i].ino != seg->header.tune_ino)
			continue;
		fd = open_tune_memfd(seg, &c->tune[i], write ? O_RDWR : O_RDONLY);
		if (fd == -ETIME)
			return fd;
		if (fd < 0)
			continue;
		seals = fcntl(fd, F_GET_SEALS);
		if (seals >= 0 && (seals & TUNE_SEALS) == TUNE_SEALS && fstat(fd, &st) == 0 &&
		    st.st_size >= (off_t)sizeof(struct hak_tune) &&
		    st.st_size <= (off_t)HAK_TUNE_MAX_BYTES) {
			seg->tune_fd = fd;
			seg->tune_writable = write;
			return 0;
		}
		close(fd);
	}
	return 0;
}

/* Says what keeps this program from the memory of a process whose mappings it may see. */
static void say_refused(char why[HAK_WHY_TEXT])
{
	char scope[4] = "";
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, scope, sizeof(scope) - 1) <= 0)
			scope[0] = '\0';
		close(fd);
	}
	if (scope[0] >= '1' && scope[0] <= '9')
		snprintf(why, HAK_WHY_TEXT,
			 "kernel.yama.ptrace_scope=%c: only root and hakmemd can read it",
			 scope[0]);
	else
		snprintf(why, HAK_WHY_TEXT,
			 "the kernel refuses its memory: only root and hakmemd can read it");
}

/*
 * Checks that the mapping is still where it was noted. Then it lies in the memory that was opened.
 */
static int see_first_piece(const struct hak_mapping *map, void *arg)
{
	const struct candidate *c = arg;

	return map->start == c->piece[0].start && map->ino == c->ino &&
	       map->offset == c->piece[0].offset;
}

int hak_segment_open_file(const struct hak_segment *seg, const char *name, char why[HAK_WHY_TEXT])
{
	int fd = hak_reader_open(seg->procfd, name, O_RDONLY);

	/*
	 * Yama lets a program open the memory of its children, and the reader is not their parent.
	 */
	if (fd == -EACCES || fd == -EPERM) {
		fd = openat(seg->procfd, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	if (fd == -EACCES || fd == -EPERM)
		say_refused(why);
	return fd;
}

/* Opens the memory of the process, to be read at the mappings of hakmem-stats. */
static int open_memory(struct hak_segment *seg, const struct candidate *c, char why[HAK_WHY_TEXT])
{
	int fd = hak_segment_open_file(seg, "mem", why), r;

	if (fd < 0)
		return fd;
	r = hak_each_mapping(seg->procfd, see_first_piece, (void *)c);
	if (r != 1) {
		close(fd);
		return r < 0 ? r : -ESTALE;
	}
	seg->pieces = c->pieces;
	memcpy(seg->piece, c->piece, sizeof(seg->piece));
	seg->stats_ino = c->ino;
	return fd;
}

static int open_stats_memfd(struct hak_segment *seg, const struct candidate *c,
			    char why[HAK_WHY_TEXT])
{
	int fd = open_mapped(seg->procfd, c, O_RDONLY);

	seg->pieces = 0;
	why[0] = '\0';
	if (fd == -EPERM && (!seg->nowait || seg->uid == geteuid()))
		fd = open_memory(seg, c, why);
	if (fd < 0 && !why[0])
		snprintf(why, HAK_WHY_TEXT, "%s",
			 fd == -EPERM || fd == -EACCES ? "only root and hakmemd can read it"
						       : strerror(-fd));
	return fd;
}

/* Checks that the segment is this process's own, and not one that it inherited. */
static int check_identity(const struct hak_segment *seg, uint32_t own_pid, uint64_t start_ns)
{
	const uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t created = seg->header.created_ns - (uint64_t)seg->clock_ns;

	if (seg->header.pid != own_pid)
		return -ESTALE;
	return created + tick < start_ns ? -ESTALE : 0;
}

static int open_stats(struct hak_segment *seg, const struct candidates *c, char why[HAK_WHY_TEXT])
{
	uint64_t start_ns = 0;
	uint32_t own_pid = 0;
	int r = read_status(seg, &own_pid), result = -ENOENT;

	if (r == 0)
		r = start_time_ns(seg->procfd, &start_ns);
	if (r < 0)
		return r;
	seg->clock_ns = clock_difference(seg->procfd);
	for (unsigned i = 0; i < c->stats_n; i++) {
		int fd = open_stats_memfd(seg, &c->stats[i], why);

		if (fd == -ETIME)
			return fd;
		if (fd < 0) {
			result = fd;
			continue;
		}
		r = hak_segment_load(seg, fd, why);
		if (r == 0)
			r = check_identity(seg, own_pid, start_ns);
		else
			close(fd);
		if (r == 0)
			return 0;
		if (r == -ESTALE) {
			snprintf(why, HAK_WHY_TEXT, "it maps another process's segment");
			hak_segment_unload(seg);
		}
		result = r;
	}
	return result;
}

/*
 * A library whose file was deleted counts as replaced if another file has its name. That file is
 */
static void judge_library(struct hak_segment *seg, struct candidates *c)
{
	static const char *const trusted[] = { "/usr/", "/lib", "/opt/" };
	static const char deleted[] = " (deleted)";
	bool look = seg->uid == geteuid();
	struct stat st;
	size_t n;

	c->code = seg->header.code;
	if (!c->library[0])
		hak_each_mapping(seg->procfd, see_code, c);
	n = strlen(c->library);
	memcpy(seg->library, c->library, sizeof(seg->library));
	if (n < sizeof(deleted) || strcmp(seg->library + n - (sizeof(deleted) - 1), deleted) != 0)
		return;
	seg->library[n - (sizeof(deleted) - 1)] = '\0';
	for (unsigned i = 0; i < sizeof(trusted) / sizeof(trusted[0]); i++)
		look = look || strncmp(seg->library, trusted[i], strlen(trusted[i])) == 0;
	seg->library_state = look && stat(seg->library, &st) == 0 ? HAK_LIBRARY_REPLACED
								  : HAK_LIBRARY_DELETED;
}

/* /proc shows no entry of the process: it ended, or this program may not see it. */
static int judge_hidden(const struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	if (seg->pidfd < 0 || hak_segment_alive(seg) < 0)
		return -ESRCH;
	snprintf(why, HAK_WHY_TEXT, "/proc hides it from this user (hidepid=)");
	return -EACCES;
}

static int open_process(struct hak_segment *seg, char why[HAK_WHY_TEXT])
{
	char path[32];
	int r = hak_proc_check(why);

	if (r < 0)
		return r;
	seg->pidfd = (int)syscall(SYS_pidfd_open, seg->pid, 0);
	/* EINVAL, or ENOENT since Linux 6.9: a thread that is not the first of a process */
	if (seg->pidfd < 0 && errno != ENOSYS && errno != EPERM)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	snprintf(path, sizeof(path), "/proc/%d", (int)seg->pid);
	seg->procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (seg->procfd < 0)
		return errno == ENOENT ? judge_hidden(seg, why) : -errno;
	return 0;
}

static int open_segment(struct hak_segment *seg, unsigned flags, char why[HAK_WHY_TEXT])
{
	struct candidates c = { 0 };
	ssize_t n;
	int r = open_process(seg, why);

	if (r < 0)
		return r;
	n = hak_proc_read_comm(seg->procfd, "comm", seg->comm, sizeof(seg->comm));
	if (n < 0)
		return n == -ENOENT ? judge_hidden(seg, why) : (int)n;
	hak_escape_in_place(seg->comm, sizeof(seg->comm));
	r = hak_each_mapping(seg->procfd, see_candidate, &c);
	if (r < 0)
		return r;
	if (c.stats_n == 0) {
		const char *what = "does not run hakmem";

		if (c.library[0])
			what = "has hakmem loaded, but no segment: control=off, a sandbox, a "
			       "limit, or a malloc of its own (hakmem(7))";
		snprintf(why, HAK_WHY_TEXT, "it %s", what);
		return -ENOENT;
	}
	r = open_stats(seg, &c, why);
	if (r < 0)
		return r;
	r = open_tune(seg, &c, flags & HAK_SEGMENT_WRITE);
	if (r < 0)
		return r;
	judge_library(seg, &c);
	if (hak_budget_spent())
		return -ETIME;
	return hak_segment_alive(seg);
}

int hak_segment_open(pid_t pid, unsigned flags, struct hak_segment **ret, char why[HAK_WHY_TEXT])
{
	struct hak_segment *seg = calloc(1, sizeof(*seg));
	int r;

	if (!seg)
		return -ENOMEM;
	seg->pid = pid;
	seg->nowait = flags & HAK_SEGMENT_NOWAIT;
	seg->pidfd = seg->procfd = seg->stats_fd = seg->tune_fd = -1;
	why[0] = '\0';
	r = open_segment(seg, flags, why);
	if (r < 0) {
		if (r == -ESRCH)
			snprintf(why, HAK_WHY_TEXT, "no such process");
		else if (r == -ETIME)
			snprintf(why, HAK_WHY_TEXT, "looking at it takes too long: it is left out");
		else if (!why[0])
			snprintf(why, HAK_WHY_TEXT, "%s", strerror(-r));
		hak_segment_close(seg);
		return r;
	}
	*ret = seg;
	return 0;
}
