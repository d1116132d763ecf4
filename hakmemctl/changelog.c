/* SPDX-License-Identifier: MIT */
/*
 * Reads the entries of the journal on changes, see changelog.h.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/changes.h"
#include "control/escape.h"
#include "hakmemctl/changelog.h"

#if HAK_SYSTEMD
#include <systemd/sd-journal.h>

/* Gets a field, escaped. False, and "", if the entry has no such field. A longer field is cut. */
static bool get(sd_journal *j, const char *name, char *out, size_t bytes)
{
	size_t n, skip = strlen(name) + 1;
	const void *data;

	out[0] = '\0';
	if (sd_journal_get_data(j, name, &data, &n) < 0 || n < skip)
		return false;
	hak_escape_bytes((const char *)data + skip, n - skip, out, bytes);
	return true;
}

/* Gets an id as hak_change_id() makes it. Any other text in this field counts as no id. */
static void get_change(sd_journal *j, char out[HAK_CHANGE_ID_BYTES])
{
	char text[HAK_CHANGE_ID_BYTES + 1];

	get(j, HAK_FIELD_CHANGE, text, sizeof(text));
	out[0] = '\0';
	if (strlen(text) == HAK_CHANGE_ID_BYTES - 1 &&
	    strspn(text, "0123456789abcdef") == HAK_CHANGE_ID_BYTES - 1)
		memcpy(out, text, HAK_CHANGE_ID_BYTES);
}

static uint64_t get_number(sd_journal *j, const char *name, uint64_t missing)
{
	char text[32];

	return get(j, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : missing;
}

static void read_entry(sd_journal *j, struct ctl_entry *e)
{
	char unit[256], who[128];

	*e = (struct ctl_entry){ .pid = (pid_t)get_number(j, "OBJECT_PID", 0) };
	sd_journal_get_realtime_usec(j, &e->time_us);
	e->start_ticks = get_number(j, HAK_FIELD_START, 0);
	e->uid = (uid_t)get_number(j, "_UID", (uid_t)-1);
	get(j, "_SYSTEMD_UNIT", unit, sizeof(unit));
	e->trusted = e->uid == 0 || strcmp(unit, "hakmemd.service") == 0;
	get_change(j, e->change);
	get(j, HAK_FIELD_UNIT, e->unit, sizeof(e->unit));
	get(j, HAK_FIELD_COMMAND, e->command, sizeof(e->command));
	get(j, HAK_FIELD_TUNABLE, e->tunable, sizeof(e->tunable));
	get(j, HAK_FIELD_OLD, e->old, sizeof(e->old));
	get(j, HAK_FIELD_NEW, e->new, sizeof(e->new));
	get(j, HAK_FIELD_RESULT, e->result, sizeof(e->result));
	if (!get(j, HAK_FIELD_WHO, e->who, sizeof(e->who)) &&
	    get(j, HAK_FIELD_CLAIMED_WHO, who, sizeof(who)))
		snprintf(e->who, sizeof(e->who), "its tune page says: %s", who);
	get(j, HAK_FIELD_WHY, e->why, sizeof(e->why));
	get(j, HAK_FIELD_RULE, e->rule, sizeof(e->rule));
	e->layer_old_set = get(j, HAK_FIELD_LAYER_OLD, e->layer_old, sizeof(e->layer_old));
	e->layer_new_set = get(j, HAK_FIELD_LAYER_NEW, e->layer_new, sizeof(e->layer_new));
	e->layer_until_ns = get_number(j, HAK_FIELD_LAYER_UNTIL, 0);
	e->until_us = get_number(j, HAK_FIELD_UNTIL, 0);
}

static int add_matches(sd_journal *j, const char *change)
{
	char match[64];
	int r = sd_journal_add_match(j, "MESSAGE_ID=" HAK_MESSAGE_TUNABLE, 0);

	if (r < 0 || !change)
		return r;
	snprintf(match, sizeof(match), HAK_FIELD_CHANGE "=%.40s", change);
	return sd_journal_add_match(j, match, 0);
}

static int cannot_be_read(int error, char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT, "the journal cannot be read: %s", strerror(-error));
	return error;
}

static int open_journal(sd_journal **ret, char why[HAK_WHY_TEXT])
{
	sd_journal *j;
	int r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);

	if (r < 0)
		return cannot_be_read(r, why);
	if (sd_journal_has_runtime_files(j) == 0 && sd_journal_has_persistent_files(j) == 0) {
		sd_journal_close(j);
		snprintf(why, HAK_WHY_TEXT,
			 "there is no journal here that you may read: without one, changes are "
			 "not recorded");
		return -ENOENT;
	}
	*ret = j;
	return 0;
}

int ctl_each_entry(const char *change, int (*see)(const struct ctl_entry *e, void *arg), void *arg,
		   char why[HAK_WHY_TEXT])
{
	struct ctl_entry e;
	sd_journal *j;
	int r = open_journal(&j, why), stop = 0;

	if (r < 0)
		return r;
	r = add_matches(j, change);
	if (r < 0) {
		sd_journal_close(j);
		return cannot_be_read(r, why);
	}
	SD_JOURNAL_FOREACH(j)
	{
		read_entry(j, &e);
		if (e.pid <= 0 || !e.tunable[0])
			continue;
		stop = see(&e, arg);
		if (stop)
			break;
	}
	sd_journal_close(j);
	return stop;
}

/* Entries of hakmemd and of root are in files of this name. The journal's own library passes over
 * files without a word that this user may not read. */
static bool may_read_all(void)
{
	static const char *const patterns[] = { "/run/log/journal/*/system.journal",
						"/var/log/journal/*/system.journal" };
	bool all = true;

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		glob_t found;

		if (glob(patterns[i], GLOB_NOSORT, NULL, &found) != 0)
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++)
			all = all && (access(found.gl_pathv[k], R_OK) == 0 || errno == ENOENT);
		globfree(&found);
	}
	return all;
}

int ctl_journal_lacks(char why[HAK_WHY_TEXT])
{
	if (!may_read_all()) {
		snprintf(why, HAK_WHY_TEXT,
			 "you may read your own entries of the journal only; run hakmemctl as "
			 "root, or join the group systemd-journal");
		return -EACCES;
	}
	if (access("/run/systemd/journal/socket", F_OK) == 0)
		return 0;
	snprintf(why, HAK_WHY_TEXT,
		 "systemd-journald does not run here, so changes that are made now are not "
		 "recorded");
	return -ENOENT;
}

int ctl_journal_check(char why[HAK_WHY_TEXT])
{
	sd_journal *j;
	int r = open_journal(&j, why);

	if (r < 0)
		return may_read_all() ? r : -EACCES;
	sd_journal_close(j);
	return ctl_journal_lacks(why);
}
#else
int ctl_journal_lacks(char why[HAK_WHY_TEXT])
{
	why[0] = '\0';
	return 0;
}

int ctl_journal_check(char why[HAK_WHY_TEXT])
{
	return ctl_each_entry(NULL, NULL, NULL, why);
}

int ctl_each_entry(const char *change, int (*see)(const struct ctl_entry *e, void *arg), void *arg,
		   char why[HAK_WHY_TEXT])
{
	snprintf(why, HAK_WHY_TEXT,
		 "this hakmemctl was built without libsystemd, which reads the "
		 "journal");
	return -ENOSYS;
}
#endif
