/* SPDX-License-Identifier: MIT */
/*
 * Finding processes on hakmem. A paced scan, since the kernel tells nobody without further
 * privileges of new processes:
 *
 * - Each look (LookEvery=) reads the number of the youngest process from /proc/loadavg. While it
 *   does not change there is nothing new; when it moved on by a little, the numbers in between are
 *   tried; only when it moved far, and now and then, /proc is listed.
 * - A process that is new is looked at in this and the next YOUNG looks, in which most of them
 *   execute their program and libhakmem makes its segment; then ever more rarely, since loading it
 *   may take its time, down to once in OLDEST looks or two. Looking at means to search its maps.
 * - One that executes another program is new (program.h). Where its program cannot be watched, its
 *   executable is compared each OLD looks.
 * - All that in slices of a bounded time, with pauses between them that are many times as long, and
 *   each user with a share of its own (control/budget.h): the processes of a user who makes looking
 *   at them dear wait for each other, and for as long as it takes. One that takes too long is put
 *   off, and gets more time the next time.
 * - The end of a known process is told by its pidfd.
 *
 * A process that ends while it is looked at is normal, and is no error anywhere here. Nor is a
 * segment that is not valid yet, since the process may be about to make it.
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
#define RARELY 8u   /* looks after the young ones, from which on it is one in OLDEST */
/* Of our processor, in one slice: all processes, those of one user, one process. */
#define SLICE_NS   10000000
#define USER_NS	   5000000
#define PROCESS_NS 5000000
/* The first look is one slice, so that whoever waits for our start finds all processes known. */
#define FIRST_NS      300000000
#define FIRST_USER_NS 50000000
/* Numbers in the table between looks at the clock. */
#define CLOCK_EVERY 128u
/* So many numbers are tried before listing all is cheaper. */
#define TRY_MAX	   128
#define LIST_EVERY 32u /* looks */
/* A segment that is being made is not valid yet. What is wrong is said when it still is so long
 * after it was first seen. */
#define DOUBT_NS 10000000000u
#define DOUBTFUL 16u /* until then it is looked at once in so many looks, or twice */

/* One process that was seen. */
struct seen {
	pid_t pid;		    /* 0: this place is free */
	unsigned last;		    /* scan in which it was last listed */
	unsigned looks;		    /* how often it was looked at */
	unsigned look;		    /* look at which that was last */
	struct hak_program program; /* none while it is known */
	bool known;		    /* in the manager's table */
	bool told;		    /* its segment is bad, and that was said */
	struct doubt {
		uint64_t since_ns; /* 0: there is none */
		uint64_t ino;	   /* of the segment */
		int error;
	} doubt;
	struct hak_turn turn; /* of discovery->shares */
};

struct hak_discovery {
	struct hak_manager *manager;
	DIR *proc;
	struct seen *seen; /* open addressing by pid; a power of two, at most half full */
	size_t room, n;
	size_t next; /* place in the table that is looked at next */
	size_t left; /* how many places are left in this look */
	struct hak_shares shares;
	bool listing; /* a list of all is not complete */
	size_t listed_n;
	pid_t youngest;
	unsigned listed; /* look at which all were listed */
	unsigned scan;
	bool first;
	bool full; /* processes were left out, which was said */
};

/* -- the table --------------------------------------------------------------------------------- */
static struct seen *place_of(struct seen *table, size_t room, pid_t pid)
{
	size_t i = ((unsigned)pid * 2654435761u) & (room - 1);

	while (table[i].pid && table[i].pid != pid)
		i = (i + 1) & (room - 1);
	return &table[i];
}

/* Without those that were not listed in the last scan, in a table of the right size. */
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

/* It, or who has its number now, is new. */
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
		/* Nobody is old news in the middle of a scan. */
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

/* Goes on with the list of all for as long as a slice may last. */
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
	/* Mostly the same; the dead are cleared away when they are many. */
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

/* The numbers behind `from`, up to `to`; threads have some of them, and those no pidfd. */
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

/* The last field of /proc/loadavg: what was last given out, to threads too; -1 if unknown. */
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

	/* Too long to look through says nothing. */
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

/* A service may drop its root, a desktop may move what it has started into a scope: soon after its
 * start, mostly. */
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

/* The inode of what it maps as its segment, 0 if unknown; and whether it can go on at all. */
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

/* True unless the same is wrong with the same segment as long ago. One that is stopped may have
 * been stopped while it made its segment. */
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

/* Takes the program over, too. */
static int add(struct hak_manager *m, struct hak_segment *seg, struct hak_program *program)
{
	struct hak_process *p = calloc(1, sizeof(*p));
	int r = p ? hak_identity_read(seg->procfd, seg->pid, &p->id) : -ENOMEM;

	if (r == 0 && m->only && fnmatch(m->only, p->id.comm, 0) != 0)
		r = -ENOENT;
	/* What was read of /proc/PID is the segment's process: its pidfd was opened before. */
	if (r == 0)
		r = hak_segment_alive(seg);
	if (r == 0 && seg->pidfd >= 0)
		r = sd_event_add_io(m->event, &p->end, seg->pidfd, EPOLLIN, on_end, p);
	/* A user may end thousands at once. */
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

/* Too many are known. The process is looked at again now and then, since others may have ended. */
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

	/* Who was there before us is hardly young. */
	s->looks = d->first ? YOUNG + 4 : s->looks + 1;
	s->look = m->look;
	snprintf(name, sizeof(name), "%d", (int)s->pid);
	/* Before its maps are read: whatever it executes later is noticed. Anew each time, since a
	 * young one may still have borrowed its parent's memory. */
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
	/* Just forked, on its way out, or its segment is not made yet: another look will tell. */
	if (r < 0 && r != -ESTALE && r != -ESRCH && r != -ENOENT && r != -ETIME)
		tell_bad(d, s, account, r, why);
}

/* Within the share of the user whose process it is: the owner of its folder, whatever it says of
 * itself. */
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
	/* It gets twice the time in the next look, up to a limit. */
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

/* Whether it is worth a look now. */
static bool due(struct hak_discovery *d, struct seen *s)
{
	unsigned pause;

	if (s->known) {
		if (hak_process_find(d->manager, s->pid, 0))
			return false;
		renew(s);
	}
	/* Nothing that was found out about its former program holds. */
	if (executed(d, s))
		renew(s);
	if (s->looks < YOUNG)
		return true;
	pause = s->looks - YOUNG < RARELY ? 2u << (s->looks - YOUNG) : OLDEST;
	if (s->doubt.since_ns && !s->told && pause > DOUBTFUL)
		pause = DOUBTFUL;
	/* Not all of those that were first seen in one look in one look again. */
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

/* Those that no list had for long are gone; while one is made, those of the last one are there. */
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
