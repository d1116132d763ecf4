/* SPDX-License-Identifier: MIT */
/*
 * A systemd service as its files describe it: the unit file and all drop-ins, merged by systemd's
 * rules, whether or not a systemd runs. For enable, disable and status.
 *
 * `root` is a descriptor of the folder that counts as /, HAK_OWN_ROOT for the machine's own. Paths
 * in a unit are those that systemd sees; what lies behind one is opened by control/root.h, which
 * follows links inside of root. The files may be hostile: their number, size and settings are
 * bounded, and nothing but regular files is read.
 * Settings that a running systemd holds only in memory are not visible.
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
	char path[PATH_MAX]; /* of the file, as systemd sees it */
};

struct ctl_unit {
	int root;
	char name[HAK_UNIT_NAME_BYTES]; /* its own, where an alias was asked for */
	char fragment[PATH_MAX];	/* as systemd sees it */
	struct ctl_setting *settings;	/* of [Service], an empty one removed those before; and the
					 * manager's DefaultEnvironment */
	size_t n;
	size_t bytes;		 /* of all files read so far */
	bool ours_etc, ours_run; /* a drop-in of ours is there */
};

/*
 * 0, or with a sentence in `why`: -EINVAL (no name of a service), -ENOENT, -ERFKILL (masked), or
 * what the system said.
 */
int ctl_unit_load(int root, const char *name, struct ctl_unit **ret, char why[HAK_WHY_TEXT]);
/* By its name alone: whether or not there is such a unit, only drop-ins of ours are known of it. 0,
 * -EINVAL or -ENOMEM. */
int ctl_unit_named(int root, const char *name, struct ctl_unit **ret, char why[HAK_WHY_TEXT]);
void ctl_unit_free(struct ctl_unit *unit); /* NULL is fine */

/* The last value of that setting, or the `i`th; NULL if there is none. */
const char *ctl_unit_last(const struct ctl_unit *unit, const char *name);
const struct ctl_setting *ctl_unit_nth(const struct ctl_unit *unit, const char *name, size_t i);
bool ctl_unit_true(const struct ctl_unit *unit, const char *name);

/*
 * The value of LD_PRELOAD in Environment=, or else in the manager's DefaultEnvironment=, and the
 * file it is from; ours counts or not. NULL: none.
 * In *ret_value, as written (specifiers not expanded), for the caller to free.
 */
const struct ctl_setting *ctl_unit_preload(const struct ctl_unit *unit, bool with_ours,
					   char **ret_value);

/* The drop-in of ours, as systemd sees it. */
void ctl_unit_drop_in(const struct ctl_unit *unit, bool runtime, char ret[PATH_MAX]);

/* The next word of a setting in a new string, quotes and escapes resolved as systemd.syntax(7)
 * says; NULL at the end, and at an invalid escape, where systemd leaves out the rest too. */
char *ctl_next_word(const char **at);

/* -- preloadable.c ----------------------------------------------------------------------------- */
#define CTL_NOTES 8
struct ctl_verdict {
	char why[HAK_WHY_TEXT];		    /* why it cannot be, "" if it can */
	char note[CTL_NOTES][HAK_WHY_TEXT]; /* what to know about it all the same */
	size_t notes;
};

/* Whether `library`, as systemd sees it, would be loaded into the unit's processes. */
void ctl_preloadable(const struct ctl_unit *unit, const char *library, struct ctl_verdict *ret);

/* -- elf.c ------------------------------------------------------------------------------------- */
struct ctl_executable {
	unsigned machine; /* e_machine */
	bool elf64, dynamic;
	char interpreter[PATH_MAX]; /* of ELF: the dynamic linker; of a script: what runs it */
	bool script;
};

/* Of a regular file. 0, -ENOEXEC (neither ELF nor script) or -errno. */
int ctl_executable_read(int fd, struct ctl_executable *ret);

/* -- status.c ---------------------------------------------------------------------------------- */
/* Whether a process of that unit of this machine runs. */
bool ctl_unit_runs(const char *unit);

/* -- reload.c ---------------------------------------------------------------------------------- */
/* Has the machine's systemd read its files again. 0; -ENOTCONN: none runs; -errno with a sentence.
 */
int ctl_reload_systemd(char why[HAK_WHY_TEXT]);

#endif
