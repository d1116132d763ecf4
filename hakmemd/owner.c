/* SPDX-License-Identifier: MIT */
/* Whether a caller on the bus is the owner of a process, see owner.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/proc.h"
#include "control/reader.h"
#include "hakmemd/owner.h"

/* Longer only for a process with hundreds of groups, which then has no owner here. */
/* User namespaces nest at most 32 deep (kernel/user_namespace.c). */
#define LEVELS_MAX 33

enum { REAL, EFFECTIVE, SAVED, FILESYSTEM, IDS };

struct credentials {
	uid_t uid[IDS];
	gid_t gid[IDS];
	uint64_t permitted; /* capabilities */
	bool dumpable;
	dev_t ns_dev; /* of the user namespace */
	ino_t ns_ino;
};

/* -- reading ----------------------------------------------------------------------------------- */
static bool parse_ids(const char *status, const char *key, unsigned ret[IDS])
{
	const char *p = hak_proc_status(status, key);

	return p && sscanf(p, "%u %u %u %u", &ret[REAL], &ret[EFFECTIVE], &ret[SAVED],
			   &ret[FILESYSTEM]) == IDS;
}

/*
 * The files in /proc/PID, unlike the folder itself, belong to the effective user. If the process is
 * not dumpable, they belong to the root of the namespace in which the program was executed. Whether
 * a process whose effective user is root is dumpable can therefore not be determined.
 */
static bool is_dumpable(int procfd, uid_t euid)
{
	struct stat st;

	return euid != 0 && fstatat(procfd, "maps", &st, 0) == 0 && st.st_uid == euid;
}

/*
 * Reads the ids before "dumpable". When a process gains privileges, the kernel makes it undumpable
 * first and then changes the ids (commit_creds()), so the old ids are never combined with the
 * dumpable state of the new program.
 */
static int read_credentials(int procfd, struct credentials *ret)
{
	char status[HAK_PROC_STATUS_BYTES];
	ssize_t n = hak_reader_text(procfd, "status", status, sizeof(status));
	const char *permitted = hak_proc_status(status, "\nCapPrm:");
	struct stat st;

	if (n < 0)
		return (int)n;
	if (!parse_ids(status, "\nUid:", ret->uid) || !parse_ids(status, "\nGid:", ret->gid) ||
	    !permitted || sscanf(permitted, "%" SCNx64, &ret->permitted) != 1)
		return -EIO;
	ret->dumpable = is_dumpable(procfd, ret->uid[EFFECTIVE]);
	if (fstatat(procfd, "ns/user", &st, 0) < 0)
		return -errno;
	ret->ns_dev = st.st_dev;
	ret->ns_ino = st.st_ino;
	return 0;
}

static bool has_ended(int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	return poll(&end, 1, 0) != 0;
}

/* Reads the credentials of the process that connected, not of another process that has its number
 * now. */
static int read_caller(const struct hak_caller *caller, struct credentials *ret)
{
	char path[32];
	int pidfd = caller->pidfd, procfd, r;

	if (caller->pid <= 0)
		return -ESRCH;
	if (pidfd < 0)
		pidfd = (int)syscall(SYS_pidfd_open, caller->pid, 0);
	if (pidfd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%d", (int)caller->pid);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = procfd < 0 ? -errno : read_credentials(procfd, ret);
	if (r == 0 && has_ended(pidfd))
		r = -ESRCH;
	if (procfd >= 0)
		close(procfd);
	if (pidfd != caller->pidfd)
		close(pidfd);
	return r;
}

/* -- user namespaces --------------------------------------------------------------------------- */
static bool is_whole_map(const char *name)
{
	unsigned inside, outside, count;
	char map[256];

	return hak_proc_read(AT_FDCWD, name, map, sizeof(map)) > 0 &&
	       sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
	       outside == 0 && count == UINT32_MAX;
}

/*
 * In a namespace that does not map all users, all unmapped users look like one user. The root that
 * owns the files of undumpable processes may then look like an ordinary user.
 */
static bool is_our_namespace(const struct credentials *c)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) == 0 && c->ns_dev == st.st_dev &&
	       c->ns_ino == st.st_ino && is_whole_map("/proc/self/uid_map") &&
	       is_whole_map("/proc/self/gid_map");
}

static bool is_namespace_of(int ns, const struct credentials *c)
{
	struct stat st;

	return fstat(ns, &st) == 0 && st.st_dev == c->ns_dev && st.st_ino == c->ns_ino;
}

/*
 * Whether the process lives in or below a namespace that the caller, from outside it, created. The
 * caller then has all capabilities there (cap_capable()). This does not open the files of /proc/PID
 * that belong to other users.
 */
static bool owns_namespace(const struct credentials *caller, int procfd)
{
	int ns = openat(procfd, "ns/user", O_RDONLY | O_CLOEXEC);
	bool owns = false;

	for (int i = 0; ns >= 0 && i < LEVELS_MAX; i++) {
		int parent = ioctl(ns, NS_GET_PARENT);
		uid_t owner;

		if (parent >= 0 && is_namespace_of(parent, caller)) {
			owns = ioctl(ns, NS_GET_OWNER_UID, &owner) == 0 &&
			       owner == caller->uid[EFFECTIVE];
			close(parent);
			break;
		}
		close(ns);
		ns = parent;
	}
	if (ns >= 0)
		close(ns);
	return owns;
}

/* -- the decision ------------------------------------------------------------------------------ */
static bool all_are(const unsigned id[IDS], unsigned n, unsigned expected)
{
	for (unsigned i = 0; i < n; i++)
		if (id[i] != expected)
			return false;
	return true;
}

static bool has_group(const struct hak_caller *caller, gid_t gid)
{
	for (size_t i = 0; i < caller->groups; i++)
		if (caller->group[i] == gid)
			return true;
	return false;
}

/* Whether the process that connected still has the credentials that the bus reports, and no
 * others. */
static bool is_plain(const struct hak_caller *caller, const struct credentials *c)
{
	return all_are(c->uid, IDS, caller->uid) && all_are(c->gid, IDS, c->gid[REAL]) &&
	       has_group(caller, c->gid[REAL]) && c->dumpable && is_our_namespace(c);
}

/* Security modules have rules of their own, which one process cannot query for another one. */
static bool same_label(const struct hak_caller *caller, int procfd)
{
	char label[HAK_CALLER_LABEL + 1];

	if (!caller->label[0])
		return true;
	if (hak_proc_read(procfd, "attr/current", label, sizeof(label)) <= 0)
		return false;
	label[strcspn(label, "\n")] = '\0';
	return strcmp(label, caller->label) == 0;
}

bool hak_owner_may(const struct hak_caller *caller, int procfd)
{
	struct credentials from, to;

	if (caller->uid == 0 || read_credentials(procfd, &to) < 0 || !to.dumpable)
		return false;
	if (read_caller(caller, &from) < 0 || !is_plain(caller, &from) ||
	    !same_label(caller, procfd))
		return false;
	if (to.ns_dev != from.ns_dev || to.ns_ino != from.ns_ino)
		return to.uid[EFFECTIVE] == caller->uid && owns_namespace(&from, procfd);
	return all_are(to.uid, FILESYSTEM, caller->uid) &&
	       all_are(to.gid, FILESYSTEM, from.gid[REAL]) && to.permitted == 0;
}
