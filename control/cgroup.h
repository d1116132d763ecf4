/* SPDX-License-Identifier: MIT */
/*
 * The place of a process in the tree of control groups, and the systemd unit that this is. Read
 * from /proc/PID/cgroup alone, without a bus or systemd.
 *
 * For hakmemctl and hakmemd. Three layouts are known: one unified hierarchy ("0::/path"), version 1
 * with systemd's own ("name=systemd:/path"), and both at once. A path is unescaped text from the
 * kernel; a caller that prints it escapes it (escape.h). Paths of units are relative to PID 1's,
 * which is read once. There is no other state. One thread.
 */
#ifndef HAK_CGROUP_H
#define HAK_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HAK_CGROUP_BYTES    1024 /* longer paths count as absent; systemd's are below 256 */
#define HAK_UNIT_NAME_BYTES 256	 /* systemd's own limit */

/* All lines of one process's file. */
struct hak_cgroups {
	char text[8192];
};

/* `procfd` is /proc/PID. Returns 0 or -errno. */
int hak_cgroup_read(int procfd, struct hak_cgroups *ret);

/* Returns where the unified hierarchy is mounted, for the caller to free; NULL if it is not. */
char *hak_cgroup_mount(void);

/*
 * Stores the path in the hierarchy that systemd keeps: name=systemd or the unified one. Of these
 * the longer path is taken, since the other hierarchy is a mirror or unused. "" if there is
 * neither.
 */
void hak_cgroup_path(const struct hak_cgroups *groups, char ret[HAK_CGROUP_BYTES]);

/*
 * Stores the path in the hierarchy of the memory controller: that of version 1 with "memory" among
 * its controllers, otherwise the unified one. "" if there is neither.
 */
void hak_cgroup_memory_path(const struct hak_cgroups *groups, char ret[HAK_CGROUP_BYTES]);

/* Returns true if the process lies in `path` or below, in any hierarchy. */
bool hak_cgroup_below(const struct hak_cgroups *groups, const char *path);

/*
 * Returns true if the path belongs to `unit` of the system's manager: a service or scope, or a
 * slice around it; or, for a template ("foo@.service"), an instance of it. Groups below a unit are
 * named by the user or container that the unit runs, and do not count. The exception is a unit of
 * the caller's own user manager (user@UID.service). Root has no such units.
 */
bool hak_cgroup_in_unit(const char *path, const char *unit);
bool hak_cgroup_in_unit_of(const char *path, const char *unit, uid_t uid);

/*
 * Stores the unit of the system's manager that owns the path, as `systemctl status PID` shows it;
 * for slice: the slice in which the path lies ("-.slice" for none). Returns false and stores ""
 * where there is no unit.
 */
bool hak_cgroup_unit(const char *path, char ret[HAK_UNIT_NAME_BYTES]);
void hak_cgroup_slice(const char *path, char ret[HAK_UNIT_NAME_BYTES]);

/*
 * Returns the account that work about a process is charged to. One person may have many users, by
 * namespaces or by programs that change their user, but cannot leave the slice that systemd has for
 * the person. The account is root, or the user N of "/user.slice/user-N.slice/", or `uid`. 0 is
 * root alone.
 */
uid_t hak_cgroup_account(const char *path, uid_t uid);
uid_t hak_account(int procfd, uid_t uid);
/* Does the same for a process by its name in an opened /proc. Returns false if there is none. */
bool hak_account_at(int procdir, const char *process, uid_t *ret);
/* For a peer that connected as `uid` with this pid. Where that is no longer a process of this user,
 * all such peers are one account. */
#define HAK_ACCOUNT_UNKNOWN ((uid_t)-2)
uid_t hak_account_of_peer(pid_t pid, uid_t uid);

/* Returns a place in a table of `places`, a power of two. Several accounts may share one. Because
 * of the secret no user can choose which. */
static inline uint32_t hak_account_place(uid_t account, uint32_t secret, uint32_t places)
{
	uint32_t hash = ((uint32_t)account ^ secret) * 2654435761u;

	return (hash ^ hash >> 16) & (places - 1);
}

/* Returns true for a name that systemd accepts, of a kind that has processes: service, scope,
 * slice, socket, mount or swap. */
bool hak_unit_name_valid(const char *name);

/*
 * Returns true if the unit has that name, or is an instance of it. No unit "foo@.service" itself
 * runs.
 */
bool hak_unit_is(const char *name, const char *unit);

#endif
