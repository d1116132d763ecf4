/* SPDX-License-Identifier: MIT */
/*
 * Where a process stands in the tree of control groups, and which systemd unit that is. Read from
 * /proc/PID/cgroup alone: no bus, no systemd that answers.
 *
 * For: hakmemctl, hakmemd. Three layouts are known: one unified hierarchy ("0::/path"), version 1
 * with systemd's own ("name=systemd:/path"), and both at once. A path is unescaped text of the
 * kernel's: whoever prints it escapes it (escape.h). Paths of units are seen from PID 1's, which is
 * read once; no other state; for one thread.
 */
#ifndef HAK_CGROUP_H
#define HAK_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HAK_CGROUP_BYTES    1024 /* longer paths count as none; systemd's are below 256 */
#define HAK_UNIT_NAME_BYTES 256	 /* systemd's own limit */

/* All lines of one process's file. */
struct hak_cgroups {
	char text[8192];
};

/* `procfd` is /proc/PID. 0 or -errno. */
int hak_cgroup_read(int procfd, struct hak_cgroups *ret);

/* Where the unified hierarchy is mounted, for the caller to free; NULL if it is not. */
char *hak_cgroup_mount(void);

/*
 * The path in the hierarchy that systemd keeps: name=systemd or the unified one, whichever is
 * longer, since the other one is a mirror of it or not used; "" if there is neither.
 */
void hak_cgroup_path(const struct hak_cgroups *groups, char ret[HAK_CGROUP_BYTES]);

/* True if the process lies in `path` or below, in any hierarchy. */
bool hak_cgroup_below(const struct hak_cgroups *groups, const char *path);

/*
 * True if the path belongs to `unit` of the system's manager: a service or scope, or a slice around
 * it; or, of a template ("foo@.service"), an instance of it. Groups below a unit are named by whom
 * it runs for, a user or a container, and mean nothing, but for a unit of the caller's own user
 * manager (user@UID.service), whose names count as well. Root has none.
 */
bool hak_cgroup_in_unit(const char *path, const char *unit);
bool hak_cgroup_in_unit_of(const char *path, const char *unit, uid_t uid);

/*
 * The unit of the system's manager that owns the path, as `systemctl status PID` says it, and the
 * slice that it lies in ("-.slice" for none). False, and "", where there is no unit.
 */
bool hak_cgroup_unit(const char *path, char ret[HAK_UNIT_NAME_BYTES]);
void hak_cgroup_slice(const char *path, char ret[HAK_UNIT_NAME_BYTES]);

/*
 * Whose share of our work is used up: one person may have many users, by namespaces or by programs
 * that change their user, but not leave the slice that systemd has for him. Root, or the user N of
 * "/user.slice/user-N.slice/", or `uid`. 0 is root alone.
 */
uid_t hak_cgroup_account(const char *path, uid_t uid);
uid_t hak_account(int procfd, uid_t uid);
/* The same of a process by its name in an opened /proc. False: there is none. */
bool hak_account_at(int procdir, const char *process, uid_t *ret);
/* Of one who connected as `uid` with this pid; where that is not a process of this user any more,
 * all such are one account. */
#define HAK_ACCOUNT_UNKNOWN ((uid_t)-2)
uid_t hak_account_of_peer(pid_t pid, uid_t uid);

/* A place in a table of `places`, a power of two. Several may share one; with a secret, nobody
 * chooses with whom. */
static inline uint32_t hak_account_place(uid_t account, uint32_t secret, uint32_t places)
{
	uint32_t hash = ((uint32_t)account ^ secret) * 2654435761u;

	return (hash ^ hash >> 16) & (places - 1);
}

/* True for a name that systemd would take, of a kind that has processes: service, scope, slice,
 * socket, mount or swap. */
bool hak_unit_name_valid(const char *name);

/* True if the unit has that name, or is an instance of it: nothing runs as "foo@.service". */
bool hak_unit_is(const char *name, const char *unit);

#endif
