/* SPDX-License-Identifier: MIT */
/*
 * A systemd service as its files describe it: the unit file and all drop-ins, merged by systemd's
 * rules, whether or not systemd runs. For enable, disable and status.
 *
 * `root` is a descriptor of the folder that counts as /, or HAK_OWN_ROOT for the machine's own
 * root. Paths in a unit are those that systemd sees. control/root.h opens them and follows links
 * inside root. The files may be hostile: their number, size and settings are limited, and only
 * regular files are read. Settings that a running systemd holds only in memory are not visible.
 */
#ifndef HAK_CTL_UNIT_H
#define HAK_CTL_UNIT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/cgroup.h"
#include "control/root.h"
#include "control/value.h"

#define CTL_DROP_IN "50-hakmem.conf"

struct ctl_setting {
	char *name, *value;
	const char *path; /* of the file, as systemd sees it */
};

/* The path of a file with settings. */
struct ctl_file {
	struct ctl_file *next;
	char path[];
};

struct ctl_unit {
	int root;
	char name[HAK_UNIT_NAME_BYTES]; /* its own name if an alias was given */
	char fragment[PATH_MAX];	/* as systemd sees it */
	/* Of [Service], without those that an empty one cancelled, and the manager's
	 * DefaultEnvironment=. */
	struct ctl_setting *settings;
	size_t n, room;
	struct ctl_file *files;	 /* all files read so far */
	size_t bytes;		 /* of these files */
	bool ours_etc, ours_run; /* a drop-in that enable wrote exists */
};

/*
 * Returns 0, or with a sentence in `why`: -EINVAL (not the name of a service), -ENOENT, -ERFKILL
 * (masked), or another error of the system.
 */
int ctl_unit_load(int root, const char *name, struct ctl_unit **ret, char why[HAK_WHY_TEXT]);
/* Loads a unit by its name alone, whether or not the unit exists. Only drop-ins that enable wrote
 * are known of it. Returns 0, -EINVAL or -ENOMEM. */
int ctl_unit_named(int root, const char *name, struct ctl_unit **ret, char why[HAK_WHY_TEXT]);
void ctl_unit_free(struct ctl_unit *unit); /* may be NULL */

/* The last value of this setting, or the `i`th; NULL if there is none. */
const char *ctl_unit_last(const struct ctl_unit *unit, const char *name);
const struct ctl_setting *ctl_unit_nth(const struct ctl_unit *unit, const char *name, size_t i);
bool ctl_unit_true(const struct ctl_unit *unit, const char *name);

/*
 * The value of LD_PRELOAD in Environment=, or else in the manager's DefaultEnvironment=, and the
 * file that sets it. `with_ours` says whether drop-ins of enable count. NULL: none. The value is in
 * *ret_value, as written (specifiers are not expanded), for the caller to free.
 */
const struct ctl_setting *ctl_unit_preload(const struct ctl_unit *unit, bool with_ours,
					   char **ret_value);

/* The path of the drop-in that enable writes, as systemd sees it. */
void ctl_unit_drop_in(const struct ctl_unit *unit, bool runtime, char ret[PATH_MAX]);

/* Returns the next word of a setting in a new string, with quotes and escapes resolved by
 * systemd.syntax(7). Returns NULL at the end, and at an invalid escape, after which systemd ignores
 * the rest as well. */
char *ctl_next_word(const char **at);

/* -- preloadable.c ----------------------------------------------------------------------------- */
#define CTL_NOTES 8
struct ctl_verdict {
	char why[HAK_WHY_TEXT];		    /* why it cannot be loaded; "" if it can */
	char note[CTL_NOTES][HAK_WHY_TEXT]; /* restrictions, if it can */
	size_t notes;
};

/* Whether `library`, as systemd sees it, would be loaded into the unit's processes. */
void ctl_preloadable(const struct ctl_unit *unit, const char *library, struct ctl_verdict *ret);

/* -- elf.c ------------------------------------------------------------------------------------- */
struct ctl_executable {
	unsigned machine; /* e_machine */
	bool elf64, dynamic;
	char interpreter[PATH_MAX]; /* of ELF: the dynamic linker; of a script: the interpreter */
	bool script;
};

/* Reads a regular file. Returns 0, -ENOEXEC (neither ELF nor script) or -errno. */
int ctl_executable_read(int fd, struct ctl_executable *ret);

/* -- status.c ---------------------------------------------------------------------------------- */
/* Whether this machine runs a process of that unit. */
bool ctl_unit_runs(const char *unit);

/* -- reload.c ---------------------------------------------------------------------------------- */
/* Makes the machine's systemd read its files again. Returns 0; -ENOTCONN: systemd does not run;
 * -errno with a sentence. */
int ctl_reload_systemd(char why[HAK_WHY_TEXT]);

#endif
