/* SPDX-License-Identifier: MIT */
/*
 * Finds the processes on hakmem. The scan is paced, because the kernel reports new processes only
 * to processes with further privileges:
 *
 * - Each look (LookEvery=) reads the number of the youngest process from /proc/loadavg. While this
 *   number does not change, there is no new process. When it has moved a little, the numbers in
 *   between are tried. Only when it has moved far, and now and then, /proc is listed.
 * - A new process is examined in this look and in the next YOUNG looks, in which most processes
 *   execute their program and libhakmem creates its segment. After that it is examined at growing
 *   intervals, because a program may load the library late. The longest interval is between OLDEST
 *   looks and twice that. An examination searches the maps of the process.
 * - A process that executes another program is new (program.h). If its program cannot be watched,
 *   its executable is compared each OLD looks.
 * - All of this runs in slices of a bounded time. The pauses between slices are many times as long.
 *   Each user has a share (control/budget.h): if the processes of a user are expensive to examine,
 *   they delay only each other. A process that takes too long is put off, and gets more time in the
 *   next look.
 * - The pidfd of a known process reports its end.
 *
 * A process that ends during an examination is normal and never an error here. Nor is an invalid
 * segment at first, because the process may be creating it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/escape.h"
#include "control/proc.h"
#include "control/reader.h"
#include "hakmemd/apply.h"
#include "hakmemd/discover.h"
#include "hakmemd/journal.h"

#define YOUNG  4u
#define OLD    16u
#define OLDEST 512u /* a power of two */
#define RARELY 8u   /* looks after the young ones, after which the interval is OLDEST */
/* The processor time of one slice: for all processes, for those of one user, for one process. */
#define SLICE_NS   10000000
#define USER_NS	   5000000
#define PROCESS_NS 5000000
/* The first look is one slice, so that a service that starts after the daemon finds all processes
 * known. */
#define FIRST_NS      300000000
#define FIRST_USER_NS 50000000
/* The number of places in the table between two readings of the clock. */
#define CLOCK_EVERY 128u
/* Up to this many numbers, trying them is cheaper than listing /proc. */
#define TRY_MAX	   128
#define LIST_EVERY 32u /* looks */
/* A segment that is being created is not valid yet. An error is reported if it persists for this
 * time. */
#define DOUBT_NS 10000000000u
/* Until then the process is examined once in this many looks, or in twice as many. */
#define DOUBTFUL 16u

/* A process that was seen. */
struct seen {
	pid_t pid;		    /* 0: this place is free */
	unsigned last;		    /* the scan in which it was last listed */
	unsigned looks;		    /* the number of examinations */
	unsigned look;		    /* the look of the last examination */
	struct hak_program program; /* none while the process is known */
	bool known;		    /* in the manager's table */
	bool told;		    /* its segment is invalid, and that was reported */
	struct doubt {
		uint64_t since_ns; /* 0: no error */
		uint64_t ino;	   /* the inode of the segment */
		int error;
	} doubt;
	struct hak_turn turn; /* of discovery->shares */
};

struct hak_discovery {
	struct hak_manager *manager;
	DIR *proc;
	struct seen *seen; /* open addressing by PID; a power of two, at most half in use */
	size_t room, n;
	size_t next; /* the next place in the table */
	size_t left; /* the number of places left in this look */
	struct hak_shares shares;
	bool listing; /* a list of all processes is not complete */
	size_t listed_n;
	pid_t youngest;
	unsigned listed; /* the look in which all were listed */
	unsigned scan;
	bool first;
	bool full; /* processes were left out, and that was reported */
};

/* -- the table --------------------------------------------------------------------------------- */
static struct seen *place_of(struct seen *table, size_t room, pid_t pid)
{
	size_t i = ((unsigned)pid * 2654435761u) & (room - 1);

	while (table[i].pid && table[i].pid != pid)
		i = (i + 1) & (room - 1);
	return &table[i];
}

/* Builds a table of the right size, without the processes that were not listed in the last scan. */
static int rebuild(struct hak_discovery *d, size_t live)
{
	size_t room = 1024;
	struct seen *table;

	while (room < 4 * live)
		room *= 2;
	table = calloc(room, sizeof(*table));
	if (!table)
		return -ENOMEM;
	d->n = 0;
	for (size_t i = 0; i < d->room; i++) {
		struct seen *s = &d->seen[i];

		if (!s->pid)
			continue;
		if (s->last != d->scan) {
			hak_program_close(&s->program);
			continue;
		}
		*place_of(table, room, s->pid) = *s;
		d->n++;
	}
	free(d->seen);
	d->seen = table;
	d->room = d->left = room;
	d->next = 0;
	return 0;
}

/* The process, or another process with the same number, is new. */
static void renew(struct seen *s)
{
	hak_program_close(&s->program);
	s->looks = 0;
	s->known = s->told = false;
	s->doubt = (struct doubt){ 0 };
}

static int note(struct hak_discovery *d, pid_t pid, bool born)
{
	struct seen *s;

	if (2 * d->n >= d->room) {
		/* No entry is old in the middle of a scan. */
		for (size_t i = 0; i < d->room; i++)
			d->seen[i].last = d->seen[i].pid ? d->scan : 0;
		if (rebuild(d, d->n) < 0)
			return -ENOMEM;
	}
	s = place_of(d->seen, d->room, pid);
	if (!s->pid) {
		*s = (struct seen){ .pid = pid, .program = HAK_PROGRAM_NONE };
		d->n++;
	} else if (born && !s->known) {
		renew(s);
	}
	s->last = d->scan;
	return 0;
}

/* Continues the list of all processes for at most one slice. */
static int list_more(struct hak_discovery *d)
{
	struct hak_budget budget;
	struct dirent *entry;
	int r = 0;

	hak_budget_enter(&budget, d->first ? FIRST_NS : SLICE_NS);
	while (r == 0 && !hak_budget_spent() && (entry = readdir(d->proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		r = note(d, atoi(entry->d_name), false);
		d->listed_n++;
	}
	if (hak_budget_leave(&budget) && r == 0)
		return 0;
	d->listing = false;
	/* The list is mostly the same. Ended processes are removed when they are many. */
	if (r == 0 && d->n > d->listed_n + d->listed_n / 4 + 64)
		r = rebuild(d, d->listed_n);
	return r;
}

static int list_all(struct hak_discovery *d)
{
	d->scan++;
	d->listing = true;
	d->listed_n = 0;
	rewinddir(d->proc);
	return list_more(d);
}

/* Tries the numbers after `from`, up to `to`. Threads have some of the numbers, and have no
 * pidfd. */
static int try_numbers(struct hak_discovery *d, pid_t from, pid_t to)
{
	int r = 0;

	for (pid_t pid = from + 1; r == 0 && pid <= to; pid++) {
		int fd = (int)syscall(SYS_pidfd_open, pid, 0);

		if (fd < 0)
			continue;
		close(fd);
		r = note(d, pid, true);
	}
	return r;
}

/* The last field of /proc/loadavg: the number given out last, to a process or a thread; -1 if
 * unknown. */
static pid_t youngest_process(void)
{
	char buf[128], *p;

	if (hak_proc_read(AT_FDCWD, "/proc/loadavg", buf, sizeof(buf)) <= 0)
		return -1;
	p = strrchr(buf, ' ');
	return p ? atoi(p + 1) : -1;
}

/* -- one process ------------------------------------------------------------------------------- */
static int see_inode(const struct hak_mapping *map, void *arg)
{
	return map->ino == *(const uint64_t *)arg;
}

static bool maps_segment(const struct hak_segment *seg)
{
	uint64_t ino = seg->stats_ino;
	int r = hak_each_mapping(seg->procfd, see_inode, &ino);

	/* A list of mappings that takes too long to read proves nothing. */
	return r == 1 || r == -ETIME;
}

bool hak_discovery_still(struct hak_process *p)
{
	const unsigned turn = p->manager->look + (unsigned)p->id.pid;

	if (!p->end && hak_segment_alive(p->seg) < 0)
		return false;
	if (p->program.fd >= 0)
		return hak_program_runs(&p->program);
	return turn % OLD ||
	       (hak_program_same_exe(p->seg->procfd, ".", &p->program) && maps_segment(p->seg));
}

/* A service may give up root, and a desktop may move a process into a scope, mostly soon after its
 * start. */
void hak_discovery_refresh(struct hak_process *p)
{
	struct hak_identity id = p->id;

	if (p->looks++ >= YOUNG && (p->manager->look + (unsigned)p->id.pid) % OLD)
		return;
	if (hak_identity_refresh(p->seg->procfd, &id) < 0)
		return;
	if (id.uid == p->id.uid && strcmp(id.comm, p->id.comm) == 0 &&
	    strcmp(id.cgroup, p->id.cgroup) == 0)
		return;
	p->id = id;
	hak_process_recount(p);
	hak_apply(p);
	hak_tell_changed(p);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	hak_process_remove(arg);
	return 0;
}

static int see_stats(const struct hak_mapping *map, void *arg)
{
	if (strcmp(map->path, "/memfd:" HAK_STATS_NAME " (deleted)") != 0)
		return 0;
	*(uint64_t *)arg = map->ino;
	return 1;
}

/* The inode of the segment that the process maps, 0 if unknown, and whether the process is
 * stopped. */
static bool is_stopped(int proc, pid_t pid, uint64_t *ret_ino)
{
	char name[16], state;
	int procfd;

	*ret_ino = 0;
	snprintf(name, sizeof(name), "%d", (int)pid);
	procfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return true;
	state = hak_reader_state(procfd);
	hak_each_mapping(procfd, see_stats, ret_ino);
	close(procfd);
	return state == 'T' || state == 't';
}

/* True unless the same segment has had the same error for long enough. A stopped process may have
 * been stopped while it created its segment. */
static bool in_doubt(struct hak_discovery *d, struct seen *s, int error)
{
	struct doubt now = { .since_ns = hak_monotonic_ns(), .error = error };
	bool stopped = is_stopped(dirfd(d->proc), s->pid, &now.ino);

	if (!stopped && s->doubt.since_ns && s->doubt.ino == now.ino && s->doubt.error == error)
		return now.since_ns - s->doubt.since_ns < DOUBT_NS;
	s->doubt = now;
	return true;
}

static void tell_bad(struct hak_discovery *d, struct seen *s, uid_t account, int error,
		     const char *why)
{
	char pid[16], shown[4 * HAK_WHY_TEXT];
	const struct hak_field fields[] = { { "OBJECT_PID", pid }, { "HAKMEM_WHY", why } };

	if (s->told || error == -EACCES || error == -EPERM)
		return;
	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM) {
		s->told = true;
		if (hak_may_tell(account))
			hak_log(LOG_WARNING, "process %d: %s", (int)s->pid, strerror(-error));
		return;
	}
	snprintf(pid, sizeof(pid), "%d", (int)s->pid);
	hak_escape(why, shown, sizeof(shown));
	if (in_doubt(d, s, error)) {
		hak_log(LOG_DEBUG, "process %d is looked at again: %s", (int)s->pid, shown);
		return;
	}
	s->told = true;
	if (!hak_may_tell(account))
		return;
	hak_event(LOG_NOTICE, HAK_MESSAGE_HOSTILE, fields, 2, "process %d is left alone: %s",
		  (int)s->pid, shown);
}

/* Takes over the program, too. */
static int add(struct hak_manager *m, struct hak_segment *seg, struct hak_program *program)
{
	struct hak_process *p = calloc(1, sizeof(*p));
	int r = p ? hak_identity_read(seg->procfd, seg->pid, &p->id) : -ENOMEM;

	if (r == 0 && m->only && fnmatch(m->only, p->id.comm, 0) != 0)
		r = -ENOENT;
	/* What was read from /proc/PID belongs to the process of the segment, because the pidfd was
	 * opened before. */
	if (r == 0)
		r = hak_segment_alive(seg);
	if (r == 0 && seg->pidfd >= 0)
		r = sd_event_add_io(m->event, &p->end, seg->pidfd, EPOLLIN, on_end, p);
	/* A user may end thousands of processes at once. */
	if (r >= 0 && p->end)
		r = sd_event_source_set_priority(p->end, HAK_ENDS_PRIORITY);
	if (r >= 0) {
		p->manager = m;
		p->seg = seg;
		p->program = *program;
		r = hak_process_enter(p);
	}
	if (r < 0) {
		if (p)
			sd_event_source_disable_unref(p->end);
		free(p);
		hak_segment_close(seg);
		return r;
	}
	*program = HAK_PROGRAM_NONE;
	hak_apply_first(p);
	hak_tell_added(p);
	return 0;
}

/* Too many processes are known. The process is examined again now and then, because others may have
 * ended. */
static void leave_out(struct hak_discovery *d, struct seen *s, uid_t account)
{
	d->shares.put_off++;
	s->looks = YOUNG + RARELY;
	if (!d->full)
		hak_log(LOG_WARNING, "processes of user %u are left out: too many are known",
			(unsigned)account);
	d->full = true;
}

static void look_at(struct hak_discovery *d, struct seen *s, uid_t account)
{
	struct hak_manager *m = d->manager;
	const int proc = dirfd(d->proc);
	struct hak_segment *seg;
	char name[16], why[HAK_WHY_TEXT];
	int r;

	/* A process that is older than the daemon is hardly young. */
	s->looks = d->first ? YOUNG + 4 : s->looks + 1;
	s->look = m->look;
	snprintf(name, sizeof(name), "%d", (int)s->pid);
	/* Opened before the maps are read, so that a later exec is noticed. It is opened anew each
	 * time, because a young process may still borrow the memory of its parent. */
	hak_program_close(&s->program);
	if (hak_program_open(proc, name, &s->program) == -ENOENT) {
		renew(s);
		s->last = d->scan - 2; /* until it is listed again */
		return;
	}
	if (hak_maybe_segment(proc, name) != 1)
		return;
	if (!hak_known_room(&m->known, account, m->shares.secret)) {
		leave_out(d, s, account);
		return;
	}
	r = hak_segment_open(s->pid, HAK_SEGMENT_WRITE | HAK_SEGMENT_NOWAIT, &seg, why);
	if (r == 0)
		r = add(m, seg, &s->program);
	s->known = r == 0;
	if (r == -EDQUOT) {
		leave_out(d, s, account);
		return;
	}
	/* The process was just forked, is ending, or has no segment yet. Another look will show
	 * this. */
	if (r < 0 && r != -ESTALE && r != -ESRCH && r != -ENOENT && r != -ETIME)
		tell_bad(d, s, account, r, why);
}

/* Examines a process within the share of its user. The user is the owner of the folder in /proc,
 * not what the process reports. */
static void look_in_share(struct hak_discovery *d, struct seen *s)
{
	uid_t account;
	char name[16];

	snprintf(name, sizeof(name), "%d", (int)s->pid);
	if (!hak_account_at(dirfd(d->proc), name, &account)) {
		renew(s);
		s->last = d->scan - 2;
		return;
	}
	if (!hak_share_enter(&d->shares, account, &s->turn))
		return;
	look_at(d, s, account);
	/* The process gets twice the time in the next look, up to a limit. */
	if (hak_share_leave(&d->shares, &s->turn) && !s->known && s->turn.late < HAK_LATE_MAX)
		s->looks = 0;
}

static bool executed(struct hak_discovery *d, const struct seen *s)
{
	char name[16];

	if (s->program.fd >= 0)
		return !hak_program_runs(&s->program);
	if ((d->manager->look + (unsigned)s->pid) % OLD)
		return false;
	snprintf(name, sizeof(name), "%d", (int)s->pid);
	return !hak_program_same_exe(dirfd(d->proc), name, &s->program);
}

/* Whether the process is to be examined in this look. */
static bool due(struct hak_discovery *d, struct seen *s)
{
	unsigned pause;

	if (s->known) {
		if (hak_process_find(d->manager, s->pid, 0))
			return false;
		renew(s);
	}
	/* What was found out about the former program no longer holds. */
	if (executed(d, s))
		renew(s);
	if (s->looks < YOUNG)
		return true;
	pause = s->looks - YOUNG < RARELY ? 2u << (s->looks - YOUNG) : OLDEST;
	if (s->doubt.since_ns && !s->told && pause > DOUBTFUL)
		pause = DOUBTFUL;
	/* Spreads the processes that were first seen in the same look over several looks. */
	return d->manager->look - s->look >= pause + (unsigned)s->pid % pause;
}

static int find_new(struct hak_discovery *d)
{
	pid_t youngest = youngest_process(), before = d->youngest;
	unsigned age = d->manager->look - d->listed;

	d->youngest = youngest;
	if (!d->first && youngest >= 0 && age < LIST_EVERY) {
		if (youngest == before)
			return 0;
		if (youngest > before && youngest - before <= TRY_MAX)
			return try_numbers(d, before, youngest);
	}
	d->listed = d->manager->look;
	return list_all(d);
}

/* Whether the process was listed recently. While a list is being made, the previous list counts. */
static bool is_listed(const struct hak_discovery *d, const struct seen *s)
{
	return s->pid && (s->last == d->scan || (d->listing && s->last == d->scan - 1));
}

bool hak_discovery_slice(struct hak_manager *m)
{
	struct hak_discovery *d = m->discovery;
	const int64_t end_ns = hak_processor_ns() + d->shares.pass_ns;

	if (d->listing && list_more(d) < 0)
		hak_log(LOG_WARNING, "out of memory; some processes were not looked at");
	if (!d->left && d->shares.waits)
		d->left = d->room;
	hak_shares_begin(&d->shares);
	for (; d->left; d->left--) {
		struct seen *s = &d->seen[d->next++ & (d->room - 1)];

		if (is_listed(d, s) && due(d, s))
			look_in_share(d, s);
		if (d->shares.left_ns <= 0 ||
		    (d->left % CLOCK_EVERY == 0 && hak_processor_ns() > end_ns)) {
			d->left--;
			break;
		}
	}
	return d->left || d->listing || d->shares.waits;
}

void hak_discovery_begin(struct hak_manager *m)
{
	struct hak_discovery *d = m->discovery;

	hak_shares_look(&d->shares);
	if (!d->listing && find_new(d) < 0)
		hak_log(LOG_WARNING, "out of memory; some processes were not looked at");
	d->left = d->room;
}

bool hak_discovery_over(struct hak_manager *m)
{
	struct hak_discovery *d = m->discovery;

	if (d->left)
		return false;
	d->first = false;
	return true;
}

uint64_t hak_discovery_put_off(const struct hak_manager *m)
{
	return m->discovery ? m->discovery->shares.put_off : 0;
}

/* -- life -------------------------------------------------------------------------------------- */
int hak_discovery_start(struct hak_manager *m)
{
	struct hak_discovery *d = calloc(1, sizeof(*d));
	char why[HAK_WHY_TEXT];
	int r;

	if (!d)
		return -ENOMEM;
	m->discovery = d;
	r = hak_proc_check(why);
	if (r < 0) {
		hak_log(LOG_ERR, "%s", why);
		return r;
	}
	d->manager = m;
	d->first = true;
	d->proc = opendir("/proc");
	if (!d->proc)
		return -errno;
	r = rebuild(d, 0);
	if (r < 0)
		return r;
	d->shares = (struct hak_shares){ .pass_ns = FIRST_NS,
					 .user_ns = FIRST_USER_NS,
					 .piece_ns = PROCESS_NS,
					 .secret = m->shares.secret };
	hak_discovery_begin(m);
	hak_discovery_slice(m);
	d->shares.pass_ns = SLICE_NS;
	d->shares.user_ns = USER_NS;
	return 0;
}

void hak_discovery_stop(struct hak_manager *m)
{
	struct hak_discovery *d = m->discovery;

	if (!d)
		return;
	if (d->proc)
		closedir(d->proc);
	for (size_t i = 0; i < d->room; i++)
		if (d->seen[i].pid)
			hak_program_close(&d->seen[i].program);
	free(d->seen);
	free(d);
	m->discovery = NULL;
}
