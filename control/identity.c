/* SPDX-License-Identifier: MIT */
/* The identity of a process, see identity.h. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/identity.h"
#include "control/proc.h"
#include "control/reader.h"

int hak_start_ticks(int procfd, uint64_t *ret)
{
	int r = hak_reader_stat(procfd, 22, ret);

	return r == -ENOENT ? -ESRCH : r;
}

static int read_uid(int procfd, uid_t *ret)
{
	char buf[4096];
	ssize_t n = hak_reader_text(procfd, "status", buf, sizeof(buf));

	return n < 0 ? (int)n : hak_proc_euid(buf, ret);
}

/* A file that was replaced while the process runs is still reported as that executable. */
static void read_exe(int procfd, char exe[HAK_PATH_BYTES])
{
	static const char deleted[] = " (deleted)";
	const size_t d = sizeof(deleted) - 1;
	ssize_t n = readlinkat(procfd, "exe", exe, HAK_PATH_BYTES - 1);

	if (n < 0)
		n = 0;
	if ((size_t)n > d && memcmp(exe + n - d, deleted, d) == 0)
		n -= (ssize_t)d;
	exe[n] = '\0';
}

/* "/user.slice/user-1000.slice/user@1000.service/app.slice/mpd.service": the unit that follows the
 * one of the user's manager. */
static void find_user_unit(struct hak_identity *id)
{
	char manager[HAK_UNIT_NAME_BYTES + 2];
	const char *rest;

	if (strncmp(id->unit, "user@", 5) != 0)
		return;
	snprintf(manager, sizeof(manager), "/%s/", id->unit);
	rest = strstr(id->cgroup, manager);
	if (rest)
		hak_cgroup_unit(rest + strlen(manager) - 1, id->user_unit);
}

int hak_identity_refresh(int procfd, struct hak_identity *id)
{
	struct hak_identity now = *id;
	struct hak_cgroups *groups;
	ssize_t n;
	int r = read_uid(procfd, &now.uid);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	n = hak_proc_read_comm(procfd, "comm", now.comm, sizeof(now.comm));
	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	groups = malloc(sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	if (hak_cgroup_read(procfd, groups) == 0) {
		hak_cgroup_path(groups, now.cgroup);
		hak_cgroup_unit(now.cgroup, now.unit);
		hak_cgroup_slice(now.cgroup, now.slice);
		now.user_unit[0] = '\0';
		find_user_unit(&now);
	}
	free(groups);
	now.account = hak_cgroup_account(now.cgroup, now.uid);
	*id = now;
	return 0;
}

int hak_identity_read(int procfd, pid_t pid, struct hak_identity *ret)
{
	struct hak_identity id = { .pid = pid };
	int r = hak_start_ticks(procfd, &id.start_ticks);

	if (r < 0)
		return r;
	read_exe(procfd, id.exe);
	r = hak_identity_refresh(procfd, &id);
	if (r == 0)
		*ret = id;
	return r;
}

/* -- users ------------------------------------------------------------------------------------- */
/* The names looked up last. Few users run services. */
#define USERS 64

static struct {
	bool known;
	uid_t uid;
	char name[HAK_USER_BYTES];
} users[USERS];

void hak_identity_name_user(struct hak_identity *id)
{
	unsigned i = id->uid % USERS;

	if (!users[i].known || users[i].uid != id->uid) {
		struct passwd *entry = getpwuid(id->uid);

		users[i].known = true;
		users[i].uid = id->uid;
		if (entry && strlen(entry->pw_name) < HAK_USER_BYTES)
			strcpy(users[i].name, entry->pw_name);
		else
			snprintf(users[i].name, sizeof(users[i].name), "%u", (unsigned)id->uid);
	}
	memcpy(id->user, users[i].name, sizeof(id->user));
}

void hak_identity_forget_users(void)
{
	for (size_t i = 0; i < USERS; i++)
		users[i].known = false;
}
