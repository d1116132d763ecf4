/* SPDX-License-Identifier: MIT */
/*
 * Decides whether a library in a unit's LD_PRELOAD would be loaded into its processes: whether the
 * program has a glibc dynamic linker that honours the environment, whether the drop-in takes
 * effect, and whether the unit can read the library. What files cannot tell becomes a note.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "control/conf.h"
#include "hakmemctl/service/unit.h"

#define SCRIPTS_MAX 4 /* a script whose interpreter is a script, and so on */
/* For all EnvironmentFile= of a unit together: the entries of folders that are compared with
 * patterns, and the bytes of files. */
#define ENTRIES_MAX 4096u
#define BYTES_MAX   (16u << 20)

/* The settings with which systemd turns on NoNewPrivileges= in services without CAP_SYS_ADMIN:
 * systemd.exec(5). */
static const char *const implies_no_new_privileges[] = {
	"DynamicUser",
	"LockPersonality",
	"MemoryDenyWriteExecute",
	"PrivateDevices",
	"ProtectClock",
	"ProtectHostname",
	"ProtectKernelLogs",
	"ProtectKernelModules",
	"ProtectKernelTunables",
	"RestrictAddressFamilies",
	"RestrictNamespaces",
	"RestrictRealtime",
	"RestrictSUIDSGID",
	"SystemCallArchitectures",
	"SystemCallFilter",
	"SystemCallLog",
};

static void refuse(struct ctl_verdict *v, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void note(struct ctl_verdict *v, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void refuse(struct ctl_verdict *v, const char *format, ...)
{
	va_list args;

	if (v->why[0])
		return;
	va_start(args, format);
	vsnprintf(v->why, sizeof(v->why), format, args);
	va_end(args);
}

static void note(struct ctl_verdict *v, const char *format, ...)
{
	va_list args;

	if (v->notes == CTL_NOTES)
		return;
	va_start(args, format);
	vsnprintf(v->note[v->notes++], sizeof(v->note[0]), format, args);
	va_end(args);
}

/* -- the program ------------------------------------------------------------------------------- */
static bool runs_as_root(const struct ctl_unit *unit)
{
	const char *user = ctl_unit_last(unit, "User");

	return (!user || strcmp(user, "root") == 0 || strcmp(user, "0") == 0) &&
	       !ctl_unit_true(unit, "DynamicUser");
}

static bool no_new_privileges(const struct ctl_unit *unit)
{
	const size_t n = sizeof(implies_no_new_privileges) / sizeof(implies_no_new_privileges[0]);

	if (ctl_unit_true(unit, "NoNewPrivileges") || ctl_unit_true(unit, "DynamicUser"))
		return true;
	for (size_t i = 0; i < n && !runs_as_root(unit); i++) {
		const char *value = ctl_unit_last(unit, implies_no_new_privileges[i]);

		if (value && strcmp(value, "no") != 0 && strcmp(value, "false") != 0 &&
		    strcmp(value, "0") != 0)
			return true;
	}
	return false;
}

/* The dynamic linker ignores LD_PRELOAD in a program that gains privileges (AT_SECURE). A program
 * gains none under NoNewPrivileges=, or if root starts a program that root owns. */
static void check_privileges(const struct ctl_unit *unit, int fd, const char *shown,
			     struct ctl_verdict *v)
{
	struct stat st;
	bool root = runs_as_root(unit);

	if (no_new_privileges(unit) || fstat(fd, &st) < 0)
		return;
	if (st.st_mode & S_ISUID && !(root && st.st_uid == 0))
		refuse(v, "%.200s is setuid: the dynamic linker ignores LD_PRELOAD in it", shown);
	if (st.st_mode & S_ISGID && st.st_mode & S_IXGRP && !(root && st.st_gid == 0))
		refuse(v, "%.200s is setgid: the dynamic linker ignores LD_PRELOAD in it", shown);
	if (!root && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		refuse(v,
		       "%.200s has file capabilities: the dynamic linker ignores LD_PRELOAD in "
		       "it; AmbientCapabilities= and NoNewPrivileges=yes in the unit can replace "
		       "them",
		       shown);
}

static void check_elf(const struct ctl_executable *e, const struct ctl_executable *library,
		      const char *shown, struct ctl_verdict *v)
{
	if (!e->elf64 || e->machine != library->machine)
		refuse(v, "%.200s is of another architecture than the library", shown);
	else if (!e->dynamic)
		refuse(v, "%.200s is linked statically, so no dynamic linker reads LD_PRELOAD",
		       shown);
	else if (strstr(e->interpreter, "musl"))
		refuse(v, "%.200s is linked with musl (%.80s), hakmem is for glibc", shown,
		       e->interpreter);
	else if (!strstr(e->interpreter, "/ld-linux") && !strstr(e->interpreter, "/ld64") &&
		 !strstr(e->interpreter, "ld.so"))
		note(v, "%.150s is loaded by %.100s, which is not known to be glibc's", shown,
		     e->interpreter);
}

/* Skips the characters in front of the path in ExecStart=, which say how to start the program. */
static char *program_of(const char *exec)
{
	exec += strspn(exec, "@-:+!|");
	return ctl_next_word(&exec);
}

/* Opens a program for reading, or returns -errno. A name without a slash is searched for in
 * systemd's folders. */
static int open_program(int root, const char *name)
{
	static const char *const places[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					      "/usr/bin",	 "/sbin",	   "/bin" };
	char path[PATH_MAX];

	if (name[0] == '/')
		return hak_open_file_in(root, name);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%.255s", places[i], name);
		fd = hak_open_file_in(root, path);
		if (fd != -ENOENT && fd != -ENOTDIR)
			return fd;
	}
	return -ENOENT;
}

/* Whether the program is hakmemd or hakmem-exporter, by the name of the file behind all links. */
static bool watches_others(int root, int fd, struct ctl_verdict *v)
{
	char found[PATH_MAX];
	const char *base = hak_path_in(root, fd, found) < 0 ? "" : strrchr(found, '/') + 1;

	if (strcmp(base, "hakmemd") != 0 && strcmp(base, "hakmem-exporter") != 0)
		return false;
	refuse(v, "%s must not run on hakmem, because it manages processes that do", base);
	return true;
}

/* Checks an open program of the unit. 1: it is a script, and *e names its interpreter; 0: the check
 * is complete. */
static int check_opened(const struct ctl_unit *unit, int root, int fd, const char *shown,
			const struct ctl_executable *library, struct ctl_executable *e,
			struct ctl_verdict *v)
{
	int r = fd < 0 ? fd : ctl_executable_read(fd, e);

	if (r == -ENOEXEC || r == -EINVAL || r == -EISDIR) {
		refuse(v, "%.200s is neither an ELF program nor a script", shown);
		return 0;
	}
	if (r < 0) {
		note(v, "%.200s was not read: %.60s", shown, strerror(-r));
		return 0;
	}
	if (watches_others(root, fd, v))
		return 0;
	if (e->script)
		return 1;
	check_privileges(unit, fd, shown, v);
	check_elf(e, library, shown, v);
	return 0;
}

/* Checks one program of the unit, and its interpreter if it is a script. */
static void check_program(const struct ctl_unit *unit, int root, const char *name,
			  const struct ctl_executable *library, struct ctl_verdict *v)
{
	struct ctl_executable e = { .interpreter = "" };
	char shown[PATH_MAX];
	int more = 1;

	snprintf(shown, sizeof(shown), "%s", name);
	for (int i = 0; more && i < SCRIPTS_MAX; i++) {
		int fd = open_program(root, shown);

		more = check_opened(unit, root, fd, shown, library, &e, v);
		if (fd >= 0)
			close(fd);
		if (more && i == 0)
			note(v, "%.200s is a script: all that it starts runs on hakmem too", shown);
		snprintf(shown, sizeof(shown), "%s", e.interpreter);
	}
}

static void check_programs(const struct ctl_unit *unit, int root,
			   const struct ctl_executable *library, struct ctl_verdict *v)
{
	const struct ctl_setting *s;
	size_t i;

	for (i = 0; (s = ctl_unit_nth(unit, "ExecStart", i)); i++) {
		char *program = program_of(s->value);

		if (!program || !*program || strchr(program, '%'))
			note(v, "ExecStart=%.100s was not read", s->value);
		else
			check_program(unit, root, program, library, v);
		free(program);
	}
	if (i == 0)
		refuse(v, "%.200s starts nothing: it has no ExecStart=", unit->name);
}

/* -- the environment --------------------------------------------------------------------------- */
/* Whether a line of the text assigns LD_PRELOAD. */
static bool assigns_preload(const char *text)
{
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += strspn(p, " \t\r\n");
		if (strncmp(p, "LD_PRELOAD", 10) == 0 && p[10 + strspn(p + 10, " \t")] == '=')
			return true;
	}
	return false;
}

/* For the functions below, to which glob() passes nothing but a path. Their number of calls is
 * limited, because the folders may be hostile. */
static int glob_root;
static unsigned glob_entries;
static size_t bytes_left;

/* A file that cannot be read may have cost as much as the largest one that can. */
static void spend(size_t bytes)
{
	bytes_left -= bytes < bytes_left ? bytes : bytes_left;
}

static void check_one_file(const struct ctl_unit *unit, const char *path, const char *name,
			   struct ctl_verdict *v)
{
	int fd = bytes_left ? hak_open_file_in(unit->root, path) : -ENOENT, r;
	size_t bytes;
	char *text;

	if (fd == -ENOENT)
		return;
	r = fd < 0 ? fd : hak_conf_text_of(fd, &text, &bytes);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		note(v, "%.150s cannot be read (%.60s): an LD_PRELOAD there would take precedence",
		     path, r == -EINVAL ? "it is no regular text file" : strerror(-r));
		spend(HAK_CONF_MAX_BYTES);
		return;
	}
	spend(bytes);
	if (assigns_preload(text))
		refuse(v,
		       "%.200s (EnvironmentFile=) sets LD_PRELOAD, which takes precedence over a "
		       "drop-in: add the library there",
		       name);
	free(text);
}

static void *glob_open(const char *path)
{
	int fd = hak_open_in(glob_root, path, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static struct dirent *glob_read(void *d)
{
	return glob_entries && glob_entries-- ? readdir(d) : NULL;
}

static void glob_close(void *d)
{
	closedir(d);
}

static int glob_stat_by(const char *path, struct stat *st, int flags)
{
	int fd = hak_open_in(glob_root, path, O_PATH | flags), r;

	if (fd < 0) {
		errno = -fd;
		return -1;
	}
	r = fstat(fd, st);
	close(fd);
	return r;
}

static int glob_stat(const char *path, struct stat *st)
{
	return glob_stat_by(path, st, 0);
}

static int glob_lstat(const char *path, struct stat *st)
{
	return glob_stat_by(path, st, O_NOFOLLOW);
}

static void check_environment_file(const struct ctl_unit *unit, const char *value,
				   struct ctl_verdict *v)
{
	const char *name = value + (value[0] == '-');
	glob_t files = {
		.gl_opendir = glob_open,
		.gl_readdir = glob_read,
		.gl_closedir = glob_close,
		.gl_stat = glob_stat,
		.gl_lstat = glob_lstat,
	};

	if (strchr(name, '%')) {
		note(v,
		     "EnvironmentFile=%.150s was not read: an LD_PRELOAD there would take "
		     "precedence",
		     name);
		return;
	}
	/* systemd ignores such a name. */
	if (*name != '/')
		return;
	if (glob(name, GLOB_NOSORT | GLOB_ALTDIRFUNC, NULL, &files) == 0) {
		for (size_t i = 0; i < files.gl_pathc; i++)
			check_one_file(unit, files.gl_pathv[i], name, v);
		globfree(&files);
	}
}

static void check_environment_files(const struct ctl_unit *unit, struct ctl_verdict *v)
{
	const struct ctl_setting *s;

	glob_root = unit->root;
	glob_entries = ENTRIES_MAX;
	bytes_left = BYTES_MAX;
	for (size_t i = 0; (s = ctl_unit_nth(unit, "EnvironmentFile", i)); i++) {
		check_environment_file(unit, s->value, v);
		if (glob_entries && bytes_left)
			continue;
		note(v,
		     "EnvironmentFile=%.100s and those after it were not looked at as a whole: "
		     "there are too many files; an LD_PRELOAD there would take precedence",
		     s->value);
		return;
	}
}

static void check_environment(const struct ctl_unit *unit, struct ctl_verdict *v)
{
	const struct ctl_setting *s;
	char ours[PATH_MAX], *value;

	check_environment_files(unit, v);
	for (size_t i = 0; (s = ctl_unit_nth(unit, "UnsetEnvironment", i)); i++) {
		const char *at = s->value;
		char *word;

		while ((word = ctl_next_word(&at))) {
			if (strncmp(word, "LD_PRELOAD", 10) == 0 &&
			    (word[10] == '\0' || word[10] == '='))
				refuse(v, "UnsetEnvironment= in %.200s takes LD_PRELOAD away",
				       s->path);
			free(word);
		}
	}
	for (size_t i = 0; (s = ctl_unit_nth(unit, "PassEnvironment", i)); i++)
		if (strstr(s->value, "LD_PRELOAD"))
			note(v,
			     "PassEnvironment= in %.200s: what LD_PRELOAD the manager itself "
			     "has is not known, and is replaced",
			     s->path);
	/* Drop-ins are read in the order of their names, in whichever folder they are. */
	s = ctl_unit_preload(unit, false, &value);
	ctl_unit_drop_in(unit, false, ours);
	if (s && strcmp(s->name, "Environment") == 0 && strcmp(s->path, unit->fragment) != 0 &&
	    strcmp(strrchr(s->path, '/') + 1, CTL_DROP_IN) > 0)
		refuse(v,
		       "%.200s sets LD_PRELOAD after " CTL_DROP_IN " and takes precedence: add "
		       "the library there",
		       s->path);
	free(value);
}

/* -- the unit's view of the files -------------------------------------------------------------- */
static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n > 1 && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

/* The length of the longest word of a list setting, such as "-/a:ro +/b", that covers the path; 0:
 * none. */
static size_t covered(const struct ctl_unit *unit, const char *name, const char *path)
{
	const struct ctl_setting *s;
	size_t longest = 0;

	for (size_t i = 0; (s = ctl_unit_nth(unit, name, i)); i++) {
		const char *at = s->value;
		char *word;

		while ((word = ctl_next_word(&at))) {
			char *folder = word + strspn(word, "-+"), *target = strchr(folder, ':');

			/* SOURCE:TARGET:OPTIONS of a bind mount */
			if (target && target[1] == '/' && strncmp(name, "Bind", 4) == 0)
				folder = target + 1;
			folder[strcspn(folder, ":")] = '\0';
			if (*folder == '/' && below(path, folder) && strlen(folder) > longest)
				longest = strlen(folder);
			free(word);
		}
	}
	return longest;
}

static bool bound(const struct ctl_unit *unit, const char *path)
{
	return covered(unit, "BindReadOnlyPaths", path) || covered(unit, "BindPaths", path);
}

static void check_hidden(const struct ctl_unit *unit, const char *library, struct ctl_verdict *v)
{
	const char *home = ctl_unit_last(unit, "ProtectHome");
	bool in_home = below(library, "/home") || below(library, "/root") ||
		       below(library, "/run/user");

	if (in_home && home && (ctl_unit_true(unit, "ProtectHome") || strcmp(home, "tmpfs") == 0))
		refuse(v, "%.200s is hidden from the unit by ProtectHome=%.20s", library, home);
	if (ctl_unit_true(unit, "DynamicUser") && in_home && !home)
		refuse(v, "%.200s is hidden from the unit: DynamicUser= implies ProtectHome=",
		       library);
	if ((ctl_unit_true(unit, "PrivateTmp") || ctl_unit_true(unit, "DynamicUser")) &&
	    (below(library, "/tmp") || below(library, "/var/tmp")))
		refuse(v, "%.200s is hidden from the unit by PrivateTmp=", library);
	if (covered(unit, "InaccessiblePaths", library))
		refuse(v, "%.200s is hidden from the unit by InaccessiblePaths=", library);
	if (covered(unit, "TemporaryFileSystem", library))
		refuse(v, "%.200s is hidden from the unit by TemporaryFileSystem=", library);
}

/* The user of a service that is not root needs to pass each folder of the path. */
static void check_readable(int root, const char *library, struct ctl_verdict *v)
{
	int fd = hak_open_in(root, library, O_PATH);
	char found[PATH_MAX];
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && !(st.st_mode & S_IROTH))
		refuse(v, "%.200s is not readable for the unit's user", library);
	if (hak_path_in(root, fd, found) < 0)
		strcpy(found, "/");
	close(fd);
	while (strrchr(found, '/') > found) {
		*strrchr(found, '/') = '\0';
		fd = hak_open_in(root, found, O_PATH);
		if (fd >= 0 && fstat(fd, &st) == 0 && !(st.st_mode & S_IXOTH))
			refuse(v,
			       "%.150s may not be searched by the unit's user, and %.100s lies "
			       "in it",
			       found, library);
		if (fd >= 0)
			close(fd);
	}
}

static bool is_there(int root, const char *path)
{
	int fd = hak_open_in(root, path, O_PATH);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void check_library(const struct ctl_unit *unit, int root, const char *library,
			  struct ctl_verdict *v)
{
	if (covered(unit, "NoExecPaths", library) > covered(unit, "ExecPaths", library))
		refuse(v,
		       "%.200s may not be executed in the unit (NoExecPaths=): name its folder "
		       "in ExecPaths=, or in HAKMEM_LIB a library where it may be",
		       library);
	if (bound(unit, library))
		return;
	if (ctl_unit_last(unit, "RootImage"))
		refuse(v,
		       "whether %.150s is in the unit's RootImage= cannot be told from here; "
		       "BindReadOnlyPaths= would put it there",
		       library);
	else if (!is_there(root, library))
		refuse(v,
		       "%.150s is not in the unit's RootDirectory=%.80s; BindReadOnlyPaths= "
		       "would put it there",
		       library, ctl_unit_last(unit, "RootDirectory"));
	check_hidden(unit, library, v);
	if (!runs_as_root(unit))
		check_readable(root, library, v);
}

/* -- the running system ------------------------------------------------------------------------ */
static void check_security_modules(const struct ctl_unit *unit, struct ctl_verdict *v)
{
	const char *profile = ctl_unit_last(unit, "AppArmorProfile");
	char enforcing = '0';
	FILE *f;

	if (profile)
		note(v,
		     "AppArmorProfile=%.60s has to allow the library to be mapped, and may "
		     "remove LD_PRELOAD; hakmemctl status shows the result",
		     profile);
	f = unit->root != HAK_OWN_ROOT ? NULL : fopen("/sys/fs/selinux/enforce", "re");
	if (f && fread(&enforcing, 1, 1, f) == 1 && enforcing == '1')
		note(v, "SELinux may remove LD_PRELOAD; hakmemctl status shows the result");
	if (f)
		fclose(f);
}

/* Opens the folder that is / in the unit, which is unit->root without RootDirectory=. False:
 * refused. */
static bool open_unit_root(const struct ctl_unit *unit, int *ret, struct ctl_verdict *v)
{
	const char *own = ctl_unit_last(unit, "RootDirectory");
	char why[HAK_WHY_TEXT];
	int fd;

	*ret = unit->root;
	if (!own)
		return true;
	fd = hak_open_in(unit->root, own, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		refuse(v, "RootDirectory=%.200s is not there", own);
		return false;
	}
	/* The machine's own / does not need openat2(), but this folder does. */
	if (hak_root_check(fd, why) < 0) {
		refuse(v, "RootDirectory=%.100s: %.200s", own, why);
		close(fd);
		return false;
	}
	*ret = fd;
	return true;
}

void ctl_preloadable(const struct ctl_unit *unit, const char *library, struct ctl_verdict *ret)
{
	int fd = hak_open_file_in(unit->root, library), root, r;
	struct ctl_executable e;

	*ret = (struct ctl_verdict){ .notes = 0 };
	r = fd < 0 ? fd : ctl_executable_read(fd, &e);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		refuse(ret, "%.200s: %.60s", library, strerror(-r));
		return;
	}
	if (strcmp(unit->name, "hakmemd.service") == 0)
		refuse(ret, "hakmemd must not run on hakmem, because it manages processes that do");
	if (!open_unit_root(unit, &root, ret))
		return;
	check_environment(unit, ret);
	if (!ctl_unit_last(unit, "RootImage"))
		check_programs(unit, root, &e, ret);
	check_library(unit, root, library, ret);
	check_security_modules(unit, ret);
	if (root != unit->root)
		close(root);
}
