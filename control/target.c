/* SPDX-License-Identifier: MIT */
/* TARGET, see target.h. The look at all processes costs one read of the maps of each. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "control/grow.h"
#include "control/proc.h"
#include "control/target.h"

/* Processor time for one command: for all processes together, for those of one user, and for one
 * process. */
#define ALL_NS	   10000000000
#define USER_NS	   500000000
#define PROCESS_NS 20000000

/*
 * A process makes its segment within a millisecond. Of many bad segments only SECOND_LOOKS are
 * looked at twice.
 */
#define SECOND_LOOK_NS 25000000
#define SECOND_LOOKS   8u

/* The part of a process's name that the kernel keeps. */
#define COMM_LENGTH 15

/* Units without processes of their own. */
static bool is_other_unit(const char *text)
{
	static const char *const suffixes[] = { ".automount", ".device", ".mount",  ".path",
						".socket",    ".swap",	 ".target", ".timer" };
	const char *dot = strrchr(text, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(dot, suffixes[i]) == 0)
			return true;
	return false;
}

/* A word that begins with a letter and has no suffix means a service, as for systemctl. */
static bool take_unit(const char *text, struct hak_target *ret)
{
	char service[HAK_UNIT_NAME_BYTES];

	if (!hak_unit_name_valid(text)) {
		int n = snprintf(service, sizeof(service), "%.*s.service", (int)sizeof(service),
				 text);

		if (!isalpha((unsigned char)text[0]) || is_other_unit(text) ||
		    strncmp(text, "comm:", 5) == 0 || n < 0 || (size_t)n >= sizeof(service) ||
		    !hak_unit_name_valid(service))
			return false;
		text = service;
	}
	ret->kind = HAK_TARGET_UNIT;
	snprintf(ret->path, sizeof(ret->path), "%s", text);
	return true;
}

int hak_target_parse(const char *text, struct hak_target *ret, char why[HAK_WHY_TEXT])
{
	char *end;
	long pid;

	*ret = (struct hak_target){ 0 };
	if (strcmp(text, "all") == 0) {
		ret->kind = HAK_TARGET_ALL;
		return 0;
	}
	if (strncmp(text, "comm:", 5) == 0 && text[5]) {
		ret->kind = HAK_TARGET_COMM;
		snprintf(ret->comm, sizeof(ret->comm), "%.*s", COMM_LENGTH, text + 5);
		return 0;
	}
	if (strncmp(text, "cgroup:", 7) == 0) {
		ret->kind = HAK_TARGET_CGROUP;
		if (text[7] == '/' && strlen(text + 7) < sizeof(ret->path)) {
			memcpy(ret->path, text + 7, strlen(text + 7) + 1);
			return 0;
		}
		snprintf(why, HAK_WHY_TEXT,
			 "\"%.40s\": behind cgroup: goes a path from the root "
			 "of the control groups, such as /system.slice",
			 text);
		return -EINVAL;
	}
	if (take_unit(text, ret))
		return 0;
	errno = 0;
	pid = strtol(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || pid < 1 || pid > INT_MAX) {
		snprintf(why, HAK_WHY_TEXT,
			 "\"%.40s\" is no target: give a PID, a unit such as nginx.service or "
			 "user.slice, cgroup:/PATH, comm:NAME or all",
			 text);
		return -EINVAL;
	}
	ret->kind = HAK_TARGET_PID;
	ret->pid = (pid_t)pid;
	return 0;
}

static bool has_comm(int procdir, const char *pid, const char *comm)
{
	char path[32], raw[HAK_COMM_BYTES];

	snprintf(path, sizeof(path), "%.16s/comm", pid);
	return hak_proc_read_comm(procdir, path, raw, sizeof(raw)) > 0 && strcmp(raw, comm) == 0;
}

/* Returns whether the process is part of the target, before its mappings are looked at. */
static bool is_meant(int procdir, const char *pid, const struct hak_target *target)
{
	char path[HAK_CGROUP_BYTES];
	struct hak_cgroups groups;
	int fd, r;

	if (target->kind == HAK_TARGET_ALL)
		return true;
	if (target->kind == HAK_TARGET_COMM)
		return has_comm(procdir, pid, target->comm);
	fd = openat(procdir, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	r = hak_cgroup_read(fd, &groups);
	close(fd);
	if (r < 0)
		return false;
	if (target->kind == HAK_TARGET_CGROUP)
		return hak_cgroup_below(&groups, target->path);
	hak_cgroup_path(&groups, path);
	return hak_cgroup_in_unit(path, target->path);
}

static int append(pid_t **list, size_t *n, size_t *room, pid_t pid)
{
	pid_t *grown = hak_grow(*list, *n, room, sizeof(**list));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	(*list)[(*n)++] = pid;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* Also true for a process for which no time is left: opening the segment will tell. */
static bool may_have_segment(int procdir, const char *pid, struct hak_shares *shares)
{
	uid_t account;
	int maybe;

	if (!shares)
		return hak_maybe_segment(procdir, pid);
	if (!hak_account_at(procdir, pid, &account))
		return false;
	if (!hak_share_enter(shares, account, NULL))
		return true;
	maybe = hak_maybe_segment(procdir, pid);
	hak_share_leave(shares, NULL);
	return maybe;
}

static int look_at_all(const struct hak_target *target, bool any, struct hak_shares *shares,
		       pid_t **ret, size_t *ret_n)
{
	DIR *d = opendir("/proc");
	size_t n = 0, room = 0;
	struct dirent *entry;
	pid_t *list = NULL;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (entry = readdir(d))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (is_meant(dirfd(d), entry->d_name, target) &&
		    (any || may_have_segment(dirfd(d), entry->d_name, shares)))
			r = append(&list, &n, &room, (pid_t)atoi(entry->d_name));
	}
	closedir(d);
	if (r < 0) {
		free(list);
		return r;
	}
	if (n)
		qsort(list, n, sizeof(*list), by_number);
	*ret = list;
	*ret_n = n;
	return 0;
}

static int find_pids(const struct hak_target *target, bool any, struct hak_shares *shares,
		     pid_t **ret, size_t *ret_n)
{
	char why[HAK_WHY_TEXT];
	pid_t *list;
	int r = hak_proc_check(why);

	if (r < 0)
		return r;
	if (target->kind != HAK_TARGET_PID)
		return look_at_all(target, any, shares, ret, ret_n);
	list = malloc(sizeof(*list));
	if (!list)
		return -ENOMEM;
	*list = target->pid;
	*ret = list;
	*ret_n = 1;
	return 0;
}

int hak_target_pids(const struct hak_target *target, struct hak_shares *shares, pid_t **ret,
		    size_t *ret_n)
{
	return find_pids(target, false, shares, ret, ret_n);
}

void hak_target_shares(struct hak_shares *ret)
{
	*ret = (struct hak_shares){ .pass_ns = ALL_NS, .user_ns = USER_NS, .piece_ns = PROCESS_NS };
	hak_shares_begin(ret);
}

static int open_in_share(struct hak_shares *shares, pid_t pid, unsigned flags,
			 struct hak_segment **ret, char why[HAK_WHY_TEXT])
{
	char path[32];
	uid_t account;
	int r;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (!shares || !hak_account_at(AT_FDCWD, path, &account))
		return hak_segment_open(pid, flags, ret, why);
	if (!hak_share_enter(shares, account, NULL)) {
		if (shares->left_ns <= 0)
			snprintf(why, HAK_WHY_TEXT,
				 "looking at all processes takes too long: this one is left out");
		else
			snprintf(why, HAK_WHY_TEXT,
				 "looking at processes of user %u takes too long: this one is "
				 "left out",
				 (unsigned)account);
		return -ETIME;
	}
	r = hak_segment_open(pid, flags, ret, why);
	hak_share_leave(shares, NULL);
	return r;
}

int hak_target_open(struct hak_shares *shares, pid_t pid, unsigned flags, struct hak_segment **ret,
		    char why[HAK_WHY_TEXT])
{
	static unsigned second_looks;
	int r = open_in_share(shares, pid, flags, ret, why);

	if (r != -EBADMSG || second_looks == SECOND_LOOKS)
		return r;
	second_looks++;
	nanosleep(&(struct timespec){ .tv_nsec = SECOND_LOOK_NS }, NULL);
	return open_in_share(shares, pid, flags, ret, why);
}

int hak_target_any_pids(const struct hak_target *target, pid_t **ret, size_t *ret_n)
{
	return find_pids(target, target->kind == HAK_TARGET_COMM, NULL, ret, ret_n);
}
