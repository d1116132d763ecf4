/* SPDX-License-Identifier: MIT */
/*
 * Control groups and units, see cgroup.h.
 *
 * The kernel's own files have names such as cgroup.procs. systemd therefore puts an underscore
 * before a unit whose name would clash with one, or that begins with an underscore itself
 * (cg_escape()).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "control/proc.h"
#include "control/reader.h"

static const char *const kinds[] = { ".service", ".scope", ".slice", ".socket", ".mount", ".swap" };
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

int hak_cgroup_read(int procfd, struct hak_cgroups *ret)
{
	ssize_t n = hak_proc_read(procfd, "cgroup", ret->text, sizeof(ret->text));

	return n < 0 ? (int)n : 0;
}

/*
 * "36 35 98:0 /root /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw": field 5. Escapes in it are for
 * blanks, which do not occur in that path.
 */
char *hak_cgroup_mount(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *mount = NULL, *path = NULL;
	size_t room = 0;

	while (f && !mount && getline(&line, &room, f) > 0)
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %ms", &path) == 1)
			mount = path;
	free(line);
	if (f)
		fclose(f);
	return mount;
}

/* One line: ID:CONTROLLERS:PATH. */
struct line {
	const char *controllers, *path;
	size_t controllers_bytes, path_bytes;
};

/* Parses the next whole line. Returns where the line after it begins, NULL if there is none. */
static const char *next_line(const char *at, struct line *ret)
{
	static const char deleted[] = " (deleted)";
	size_t gone = sizeof(deleted) - 1;

	while (*at) {
		const char *end = strchr(at, '\n'), *first, *second = NULL;

		if (!end)
			return NULL; /* cut off: not a whole line */
		first = memchr(at, ':', (size_t)(end - at));
		if (first)
			second = memchr(first + 1, ':', (size_t)(end - first - 1));
		at = end + 1;
		if (!second || second[1] != '/')
			continue;
		ret->controllers = first + 1;
		ret->controllers_bytes = (size_t)(second - first - 1);
		ret->path = second + 1;
		ret->path_bytes = (size_t)(end - second - 1);
		if (ret->path_bytes > gone && memcmp(end - gone, deleted, gone) == 0)
			ret->path_bytes -= gone;
		return at;
	}
	return NULL;
}

/* A container with version 2 alone, on a machine where systemd keeps both, has all its processes
 * in one group of name=systemd; a container with version 1 alone has them in one group of
 * version 2. */
void hak_cgroup_path(const struct hak_cgroups *groups, char ret[HAK_CGROUP_BYTES])
{
	static const char systemd[] = "name=systemd";
	const char *at = groups->text;
	struct line line, best = { .path_bytes = 0 };

	while ((at = next_line(at, &line))) {
		bool ours = line.controllers_bytes == sizeof(systemd) - 1 &&
			    memcmp(line.controllers, systemd, sizeof(systemd) - 1) == 0;

		if ((ours || !line.controllers_bytes) && line.path_bytes < HAK_CGROUP_BYTES &&
		    line.path_bytes > best.path_bytes)
			best = line;
	}
	memcpy(ret, best.path_bytes ? best.path : "", best.path_bytes);
	ret[best.path_bytes] = '\0';
}

static bool has_controller(const struct line *line, const char *name)
{
	const char *at = line->controllers, *end = at + line->controllers_bytes;
	size_t bytes = strlen(name);

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t n = (size_t)((comma ? comma : end) - at);

		if (n == bytes && memcmp(at, name, n) == 0)
			return true;
		at += n + 1;
	}
	return false;
}

void hak_cgroup_memory_path(const struct hak_cgroups *groups, char ret[HAK_CGROUP_BYTES])
{
	const char *at = groups->text;
	struct line line, best = { .path_bytes = 0 };
	bool found = false;

	while (!found && (at = next_line(at, &line))) {
		found = has_controller(&line, "memory");
		if (found || !line.controllers_bytes)
			best = line;
	}
	if (best.path_bytes >= HAK_CGROUP_BYTES)
		best.path_bytes = 0;
	memcpy(ret, best.path_bytes ? best.path : "", best.path_bytes);
	ret[best.path_bytes] = '\0';
}

bool hak_cgroup_below(const struct hak_cgroups *groups, const char *path)
{
	size_t bytes = strlen(path);
	const char *at = groups->text;
	struct line line;

	while (bytes && path[bytes - 1] == '/')
		bytes--;
	while ((at = next_line(at, &line)))
		if (line.path_bytes >= bytes && memcmp(line.path, path, bytes) == 0 &&
		    (line.path_bytes == bytes || line.path[bytes] == '/'))
			return true;
	return false;
}

/* Copies the next component without its escape; returns NULL at the end. */
static const char *next_part(const char *at, char ret[HAK_UNIT_NAME_BYTES])
{
	size_t bytes;

	while (*at == '/')
		at++;
	if (!*at)
		return NULL;
	bytes = strcspn(at, "/");
	ret[0] = '\0';
	if (*at == '_')
		at++, bytes--;
	if (bytes < HAK_UNIT_NAME_BYTES) {
		memcpy(ret, at, bytes);
		ret[bytes] = '\0';
	}
	return at + bytes;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n > m && memcmp(text + n - m, end, m) == 0;
}

bool hak_unit_is(const char *name, const char *unit)
{
	const char *at = strchr(unit, '@');

	if (!at || at[1] != '.' || at != strrchr(unit, '.') - 1)
		return strcmp(name, unit) == 0;
	return strncmp(name, unit, (size_t)(at + 1 - unit)) == 0 &&
	       ends_with(name + (at + 1 - unit), at + 1);
}

/*
 * In a container whose own root is not the root of what it sees, returns where its manager's part
 * of the path begins.
 */
static const char *below_manager(const char *path)
{
	static const char scope[] = "/init.scope";
	static char root[HAK_CGROUP_BYTES];
	static bool known;
	size_t bytes;

	if (!known) {
		int init = open("/proc/1", O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct hak_cgroups *groups = malloc(sizeof(*groups));

		if (groups && init >= 0 && hak_cgroup_read(init, groups) == 0)
			hak_cgroup_path(groups, root);
		known = groups != NULL;
		free(groups);
		if (init >= 0)
			close(init);
		bytes = strlen(root);
		bytes -= ends_with(root, scope) ? sizeof(scope) - 1 : bytes;
		root[bytes] = '\0';
	}
	bytes = strlen(root);
	return strncmp(path, root, bytes) == 0 && path[bytes] == '/' ? path + bytes : path;
}

/*
 * Walks through the slices to the first group that is no slice; groups below that one are named by
 * its owner.
 */
static bool leads_through(const char **path, const char *unit)
{
	char part[HAK_UNIT_NAME_BYTES] = "-.slice";

	while (ends_with(part, ".slice") && (*path = next_part(*path, part)))
		if (hak_unit_is(part, unit))
			return true;
	return false;
}

bool hak_cgroup_in_unit_of(const char *path, const char *unit, uid_t uid)
{
	char own[HAK_UNIT_NAME_BYTES];
	const char *rest = below_manager(path);
	size_t bytes = (size_t)snprintf(own, sizeof(own),
					"/user.slice/user-%u.slice/user@%u.service/", (unsigned)uid,
					(unsigned)uid);
	bool of_user = uid && strncmp(rest, own, bytes) == 0;

	if (leads_through(&rest, unit))
		return true;
	return of_user && leads_through(&rest, unit);
}

bool hak_cgroup_in_unit(const char *path, const char *unit)
{
	return hak_cgroup_in_unit_of(path, unit, geteuid());
}

uid_t hak_cgroup_account(const char *path, uid_t uid)
{
	static const char slice[] = "/user.slice/user-", end[] = ".slice/";
	unsigned long long account = 0;
	const char *at;

	path = below_manager(path);
	at = path + sizeof(slice) - 1;
	if (uid == 0 || strncmp(path, slice, sizeof(slice) - 1) != 0)
		return uid;
	for (; *at >= '0' && *at <= '9' && account < UINT32_MAX; at++)
		account = account * 10 + (unsigned)(*at - '0');
	/* A user's work in a session of root's is still not root's. */
	if (strncmp(at, end, sizeof(end) - 1) != 0 || account == 0 || account >= UINT32_MAX)
		return uid;
	return (uid_t)account;
}

uid_t hak_account(int procfd, uid_t uid)
{
	char path[HAK_CGROUP_BYTES];
	struct hak_cgroups groups;

	if (uid == 0 || hak_cgroup_read(procfd, &groups) < 0)
		return uid;
	hak_cgroup_path(&groups, path);
	return hak_cgroup_account(path, uid);
}

bool hak_account_at(int procdir, const char *process, uid_t *ret)
{
	struct stat st;
	int procfd;

	if (fstatat(procdir, process, &st, 0) < 0)
		return false;
	procfd = openat(procdir, process, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*ret = hak_account(procfd, st.st_uid);
	if (procfd >= 0)
		close(procfd);
	return true;
}

uid_t hak_account_of_peer(pid_t pid, uid_t uid)
{
	uid_t account = HAK_ACCOUNT_UNKNOWN, now;
	char path[32], status[4096];
	int procfd;

	if (uid == 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (procfd < 0)
		return HAK_ACCOUNT_UNKNOWN;
	if (hak_reader_text(procfd, "status", status, sizeof(status)) > 0 &&
	    hak_proc_euid(status, &now) == 0 && now == uid)
		account = hak_account(procfd, uid);
	close(procfd);
	return account;
}

bool hak_unit_name_valid(const char *name)
{
	size_t bytes = strlen(name);
	bool kind = false;

	for (size_t i = 0; i < KINDS && !kind; i++)
		kind = ends_with(name, kinds[i]);
	return kind && bytes < HAK_UNIT_NAME_BYTES && name[0] != '@' && name[0] != '.' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 ":_.\\@-")] == '\0';
}

bool hak_cgroup_unit(const char *path, char ret[HAK_UNIT_NAME_BYTES])
{
	path = below_manager(path);
	while ((path = next_part(path, ret)))
		if (!ends_with(ret, ".slice"))
			break;
	if (path && hak_unit_name_valid(ret))
		return true;
	ret[0] = '\0';
	return false;
}

void hak_cgroup_slice(const char *path, char ret[HAK_UNIT_NAME_BYTES])
{
	char part[HAK_UNIT_NAME_BYTES];

	path = below_manager(path);
	snprintf(ret, HAK_UNIT_NAME_BYTES, "-.slice");
	while ((path = next_part(path, part)) && ends_with(part, ".slice"))
		memcpy(ret, part, HAK_UNIT_NAME_BYTES);
}
