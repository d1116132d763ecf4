/* SPDX-License-Identifier: MIT */
/*
 * Whether a library that a unit's LD_PRELOAD names would be loaded into its processes: is the
 * program one that has a glibc dynamic linker and heeds the environment, does what we write reach
 * it, can the library be read where the unit runs. What cannot be known from files is a note.
 */
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "hakmemctl/unit.h"

#define SCRIPTS_MAX 4		/* a script whose interpreter is a script... */

/* For what systemd turns on NoNewPrivileges=, in services without CAP_SYS_ADMIN: systemd.exec(5).
 */
static const char *const implies_no_new_privileges[] = {
	"DynamicUser",	     "LockPersonality",	 "MemoryDenyWriteExecute", "PrivateDevices",
	"ProtectClock",	     "ProtectHostname",	 "ProtectKernelLogs",	   "ProtectKernelModules",
	"ProtectKernelTunables", "RestrictAddressFamilies", "RestrictNamespaces",
	"RestrictRealtime",  "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter",
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

/* Of a program that gains privileges the dynamic linker ignores LD_PRELOAD (AT_SECURE). Under
 * NoNewPrivileges= it gains none; nor does it where root starts what root owns. */
static void check_privileges(const struct ctl_unit *unit, const char *path, const char *shown,
			     struct ctl_verdict *v)
{
	struct stat st;
	bool root = runs_as_root(unit);

	if (no_new_privileges(unit) || stat(path, &st) < 0)
		return;
	if (st.st_mode & S_ISUID && !(root && st.st_uid == 0))
		refuse(v, "%.200s is setuid: the dynamic linker ignores LD_PRELOAD in it", shown);
	if (st.st_mode & S_ISGID && st.st_mode & S_IXGRP && !(root && st.st_gid == 0))
		refuse(v, "%.200s is setgid: the dynamic linker ignores LD_PRELOAD in it", shown);
	if (!root && getxattr(path, "security.capability", NULL, 0) > 0)
		refuse(v, "%.200s has file capabilities: the dynamic linker ignores LD_PRELOAD in "
		       "it; AmbientCapabilities= and NoNewPrivileges=yes in the unit do the same "
		       "without", shown);
}

static void check_elf(const struct ctl_executable *e, const struct ctl_executable *library,
		      const char *shown, struct ctl_verdict *v)
{
	if (!e->elf64 || e->machine != library->machine)
		refuse(v, "%.200s is of another architecture than the library", shown);
	else if (!e->dynamic)
		refuse(v, "%.200s is linked statically: there is no dynamic linker to heed "
		       "LD_PRELOAD", shown);
	else if (strstr(e->interpreter, "musl"))
		refuse(v, "%.200s is linked with musl (%.80s), hakmem is for glibc", shown,
		       e->interpreter);
	else if (!strstr(e->interpreter, "/ld-linux") && !strstr(e->interpreter, "/ld64") &&
		 !strstr(e->interpreter, "ld.so"))
		note(v, "%.150s is loaded by %.100s, which is not known to be glibc's", shown,
		     e->interpreter);
}

/* What is in front of the path in ExecStart= says how to start it, not what. */
static char *program_of(const char *exec)
{
	exec += strspn(exec, "@-:+!|");
	return ctl_next_word(&exec);
}

/* A name without a slash is looked for where systemd does. */
static int find_program(const char *root, const char *name, char found[PATH_MAX])
{
	static const char *const places[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					     "/usr/bin", "/sbin", "/bin" };
	char path[PATH_MAX];

	if (name[0] == '/')
		return ctl_in_root(root, name, found);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%.255s", places[i], name);
		if (ctl_in_root(root, path, found) == 0)
			return 0;
	}
	return -ENOENT;
}

/* One program of the unit, and what runs it, if it is a script. */
static void check_program(const struct ctl_unit *unit, const char *root, const char *name,
			  const struct ctl_executable *library, struct ctl_verdict *v)
{
	struct ctl_executable e = { .interpreter = "" };
	char found[PATH_MAX], shown[PATH_MAX];
	const char *base;

	snprintf(shown, sizeof(shown), "%s", name);
	for (int i = 0; i < SCRIPTS_MAX; i++) {
		int r = find_program(root, shown, found);

		if (r == 0)
			r = ctl_executable_read(found, &e);
		if (r == -ENOEXEC) {
			refuse(v, "%.200s is neither an ELF program nor a script", shown);
			return;
		}
		if (r < 0) {
			note(v, "%.200s was not looked at: %.60s", shown, strerror(-r));
			return;
		}
		base = strrchr(found, '/') + 1;
		if (strcmp(base, "hakmemd") == 0 || strcmp(base, "hakmem-exporter") == 0) {
			refuse(v, "%s never runs on hakmem: it watches those that do", base);
			return;
		}
		if (!e.script) {
			check_privileges(unit, found, shown, v);
			check_elf(&e, library, shown, v);
			return;
		}
		if (i == 0)
			note(v, "%.200s is a script: all that it starts runs on hakmem too", shown);
		snprintf(shown, sizeof(shown), "%s", e.interpreter);
	}
}

static void check_programs(const struct ctl_unit *unit, const char *root,
			   const struct ctl_executable *library, struct ctl_verdict *v)
{
	const struct ctl_setting *s;
	size_t i;

	for (i = 0; (s = ctl_unit_nth(unit, "ExecStart", i)); i++) {
		char *program = program_of(s->value);

		if (!program || !*program || strchr(program, '%'))
			note(v, "ExecStart=%.100s was not looked at", s->value);
		else
			check_program(unit, root, program, library, v);
		free(program);
	}
	if (i == 0)
		refuse(v, "%.200s starts nothing: it has no ExecStart=", unit->name);
}

/* -- the environment --------------------------------------------------------------------------- */
/* True if the file assigns LD_PRELOAD. */
static bool assigns_preload(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[4096];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *p = line + strspn(line, " \t");

		found = strncmp(p, "LD_PRELOAD", 10) == 0 && p[10 + strspn(p + 10, " \t")] == '=';
	}
	if (f)
		fclose(f);
	return found;
}

static void check_environment_file(const struct ctl_unit *unit, const char *value,
				   struct ctl_verdict *v)
{
	const char *name = value + (value[0] == '-');
	char pattern[2 * PATH_MAX];
	glob_t files;

	if (strchr(name, '%')) {
		note(v, "EnvironmentFile=%.150s was not looked at: an LD_PRELOAD there would win",
		     name);
		return;
	}
	snprintf(pattern, sizeof(pattern), "%s%s", unit->root, name);
	if (glob(pattern, GLOB_NOSORT, NULL, &files) != 0)
		return;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		if (access(files.gl_pathv[i], R_OK) < 0)
			note(v, "%.200s cannot be read: an LD_PRELOAD there would win",
			     files.gl_pathv[i]);
		else if (assigns_preload(files.gl_pathv[i]))
			refuse(v, "%.200s (EnvironmentFile=) sets LD_PRELOAD, which wins over what "
			       "a drop-in says: add the library there", name);
	}
	globfree(&files);
}

static void check_environment(const struct ctl_unit *unit, struct ctl_verdict *v)
{
	const struct ctl_setting *s;
	char ours[PATH_MAX], *value;

	for (size_t i = 0; (s = ctl_unit_nth(unit, "EnvironmentFile", i)); i++)
		check_environment_file(unit, s->value, v);
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
			note(v, "PassEnvironment= in %.200s: what LD_PRELOAD the manager itself "
			     "has is not known, and is replaced", s->path);
	/* Drop-ins are read in the order of their names, wherever they lie. */
	s = ctl_unit_preload(unit, false, &value);
	ctl_unit_drop_in(unit, false, ours);
	if (s && strcmp(s->name, "Environment") == 0 && strcmp(s->path, unit->fragment) != 0 &&
	    strcmp(strrchr(s->path, '/') + 1, CTL_DROP_IN) > 0)
		refuse(v, "%.200s sets LD_PRELOAD after " CTL_DROP_IN ", and so wins: add the "
		       "library there", s->path);
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

/* Length of the longest word of a list setting, such as "-/a:ro +/b", that holds the path; 0: none.
 */
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

/* A service that is not root's needs to pass each folder on the way. */
static void check_readable(const char *root, const char *library, struct ctl_verdict *v)
{
	char path[PATH_MAX], found[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s", library);
	if (ctl_in_root(root, path, found) < 0 || stat(found, &st) < 0)
		return;
	if (!(st.st_mode & S_IROTH))
		refuse(v, "%.200s is not readable for the unit's user", library);
	while (strrchr(found, '/') > found) {
		*strrchr(found, '/') = '\0';
		if (stat(found, &st) == 0 && !(st.st_mode & S_IXOTH))
			refuse(v, "%.150s may not be searched by the unit's user, and %.100s lies "
			       "in it", found, library);
	}
}

static void check_library(const struct ctl_unit *unit, const char *root, const char *library,
			  struct ctl_verdict *v)
{
	char found[PATH_MAX];

	if (covered(unit, "NoExecPaths", library) > covered(unit, "ExecPaths", library))
		refuse(v, "%.200s may not be executed in the unit (NoExecPaths=): name its folder "
		       "in ExecPaths=, or in HAKMEM_LIB a library where it may be", library);
	if (bound(unit, library))
		return;
	if (ctl_unit_last(unit, "RootImage"))
		refuse(v, "whether %.150s is in the unit's RootImage= cannot be told from here; "
		       "BindReadOnlyPaths= would put it there", library);
	else if (ctl_in_root(root, library, found) < 0)
		refuse(v, "%.150s is not in the unit's RootDirectory=%.80s; BindReadOnlyPaths= "
		       "would put it there", library, ctl_unit_last(unit, "RootDirectory"));
	check_hidden(unit, library, v);
	if (!runs_as_root(unit))
		check_readable(root, library, v);
}

/* -- what only the running system knows -------------------------------------------------------- */
static void check_security_modules(const struct ctl_unit *unit, struct ctl_verdict *v)
{
	const char *profile = ctl_unit_last(unit, "AppArmorProfile");
	char enforcing = '0';
	FILE *f;

	if (profile)
		note(v, "AppArmorProfile=%.60s has to allow the library to be mapped, and may "
		     "scrub LD_PRELOAD; hakmemctl status shows what came of it", profile);
	f = *unit->root ? NULL : fopen("/sys/fs/selinux/enforce", "re");
	if (f && fread(&enforcing, 1, 1, f) == 1 && enforcing == '1')
		note(v, "SELinux may scrub LD_PRELOAD; hakmemctl status shows what came of it");
	if (f)
		fclose(f);
}

void ctl_preloadable(const struct ctl_unit *unit, const char *library, struct ctl_verdict *ret)
{
	const char *own = ctl_unit_last(unit, "RootDirectory");
	char path[PATH_MAX], root[PATH_MAX];
	struct ctl_executable e;
	int r = ctl_in_root(unit->root, library, path);

	*ret = (struct ctl_verdict){ .notes = 0 };
	if (r == 0)
		r = ctl_executable_read(path, &e);
	if (r < 0) {
		refuse(ret, "%.200s: %.60s", library, strerror(-r));
		return;
	}
	if (strcmp(unit->name, "hakmemd.service") == 0)
		refuse(ret, "hakmemd never runs on hakmem: it watches those that do");
	snprintf(root, sizeof(root), "%s", unit->root);
	if (own && ctl_in_root(unit->root, own, root) < 0) {
		refuse(ret, "RootDirectory=%.200s is not there", own);
		return;
	}
	check_environment(unit, ret);
	if (!ctl_unit_last(unit, "RootImage"))
		check_programs(unit, root, &e, ret);
	check_library(unit, root, library, ret);
	check_security_modules(unit, ret);
}
