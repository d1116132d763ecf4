/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl status: prints whether a service was enabled, whether each of its processes runs on
 * hakmem, which its mappings show, and what has to be restarted so that both agree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/cgroup.h"
#include "control/identity.h"
#include "control/target.h"
#include "hakmemctl/ctl.h"
#include "hakmemctl/service/unit.h"

static const struct hak_column columns[] = {
	{ "UNIT", "unit", HAK_SHOW_TEXT },
	{ "ENABLED", "enabled", HAK_SHOW_TEXT },
	{ "PID", "pid", HAK_SHOW_NUMBER },
	{ "COMM", "comm", HAK_SHOW_TEXT },
	{ "HAKMEM", "on_hakmem", HAK_SHOW_TEXT },
	{ "VERSION", "version", HAK_SHOW_TEXT },
	{ "RESTART", "restart", HAK_SHOW_TEXT },
	{ "NOTE", "note", HAK_SHOW_TEXT },
	{ "DROP-IN", "drop_in", HAK_SHOW_TEXT, .hidden = true },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* The state of one unit, while its processes are read. */
struct status {
	struct json_object *rows, *processes;
	const char *unit, *enabled;
	char drop_in[PATH_MAX]; /* the file that sets LD_PRELOAD, or "" */
	bool on;		/* it should run on hakmem */
	struct timespec since;	/* the last change of that file */
	bool restart;
	struct hak_shares *shares; /* for all units */
};

/* -- processes --------------------------------------------------------------------------------- */
/* Calls `see` for each process of the unit until it returns true. Returns whether it did. */
static bool each_process(const char *unit, bool (*see)(int procfd, pid_t pid, void *arg), void *arg)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	bool stop = false;

	while (proc && !stop && (entry = readdir(proc))) {
		char path[HAK_CGROUP_BYTES];
		struct hak_cgroups groups;
		pid_t pid = atoi(entry->d_name);
		int fd;

		if (pid <= 0)
			continue;
		fd = openat(dirfd(proc), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (hak_cgroup_read(fd, &groups) == 0) {
			hak_cgroup_path(&groups, path);
			stop = hak_cgroup_in_unit(path, unit) && see(fd, pid, arg);
		}
		close(fd);
	}
	if (proc)
		closedir(proc);
	return stop;
}

static bool any(int procfd, pid_t pid, void *arg)
{
	return true;
}

bool ctl_unit_runs(const char *unit)
{
	return each_process(unit, any, NULL);
}

/* True if the process began before the file was written, or if that cannot be determined. */
static bool older_than(int procfd, const struct timespec *since)
{
	struct timespec now, boot;
	uint64_t ticks;
	double began;

	if (hak_start_ticks(procfd, &ticks) < 0)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	began = (double)(now.tv_sec - boot.tv_sec) + 1e-9 * (double)(now.tv_nsec - boot.tv_nsec) +
		(double)ticks / (double)sysconf(_SC_CLK_TCK);
	/* The kernel counts start times in hundredths of a second. */
	return began < (double)since->tv_sec + 1e-9 * (double)since->tv_nsec;
}

static int maps_library(const struct hak_mapping *map, void *arg)
{
	const char *name = strrchr(map->path, '/');

	return name && strncmp(name + 1, "libhakmem.so", 12) == 0;
}

/* The state of a process, and the action that it needs. */
struct judgement {
	int on; /* 1, 0; -1: unknown */
	bool restart;
	char version[sizeof(((struct hak_stats_header *)0)->version) + 1];
	char note[HAK_WHY_TEXT];
};

static void judge_segment(const struct status *s, const struct hak_segment *seg,
			  struct judgement *j)
{
	j->on = 1;
	snprintf(j->version, sizeof(j->version), "%.*s", (int)sizeof(seg->header.version),
		 seg->header.version);
	j->restart = !s->on || seg->library_state != HAK_LIBRARY_OK;
	if (!s->on)
		snprintf(j->note, sizeof(j->note), "the unit is not enabled");
	else if (j->restart)
		snprintf(j->note, sizeof(j->note), "the library was %s since it started",
			 seg->library_state == HAK_LIBRARY_DELETED ? "deleted" : "replaced");
}

static void judge_without(const struct status *s, int procfd, int error, const char *why,
			  struct judgement *j)
{
	struct stat owner;
	int mapped = -ETIME;

	if (fstat(procfd, &owner) == 0 &&
	    hak_share_enter(s->shares, hak_account(procfd, owner.st_uid), NULL)) {
		mapped = hak_each_mapping(procfd, maps_library, NULL);
		hak_share_leave(s->shares, NULL);
	}
	if (mapped < 0 || (error != -ENOENT && error != -ESTALE)) {
		j->on = -1;
		snprintf(j->note, sizeof(j->note), "%s", mapped < 0 ? strerror(-mapped) : why);
	} else if (mapped) {
		j->on = 1;
		j->restart = !s->on;
		snprintf(j->note, sizeof(j->note), "it can be neither read nor changed: %.200s",
			 why);
	} else if (s->on && older_than(procfd, &s->since)) {
		j->restart = true;
		snprintf(j->note, sizeof(j->note), "it started before the service was enabled");
	} else if (s->on) {
		snprintf(j->note, sizeof(j->note),
			 "it started later, without the library: systemd was not "
			 "reloaded, or the process clears its environment");
	}
}

static bool add_process(int procfd, pid_t pid, void *arg)
{
	struct status *s = arg;
	struct judgement j = { .on = 0 };
	struct json_object *o = json_object_new_object();
	char why[HAK_WHY_TEXT];
	struct hak_identity id;
	struct hak_segment *seg;
	int r;

	if (hak_identity_read(procfd, pid, &id) < 0) {
		json_object_put(o);
		return false;
	}
	r = hak_target_open(s->shares, pid, 0, &seg, why);
	if (r == 0) {
		judge_segment(s, seg, &j);
		hak_segment_close(seg);
	} else {
		judge_without(s, procfd, r, why, &j);
	}
	hak_json_text(o, "unit", s->unit);
	hak_json_text(o, "enabled", s->enabled);
	hak_json_number(o, "pid", (uint64_t)pid);
	hak_json_text(o, "comm", id.comm);
	if (j.on < 0)
		hak_json_null(o, "on_hakmem");
	else
		hak_json_bool(o, "on_hakmem", j.on);
	hak_json_text(o, "version", j.version[0] ? j.version : NULL);
	hak_json_bool(o, "restart", j.restart);
	hak_json_text(o, "note", j.note[0] ? j.note : NULL);
	hak_json_text(o, "drop_in", s->drop_in[0] ? s->drop_in : NULL);
	json_object_array_add(s->rows, o);
	json_object_array_add(s->processes, json_object_get(o));
	s->restart = s->restart || j.restart;
	return false;
}

/* -- units ------------------------------------------------------------------------------------- */
/* "yes", "runtime", "no", or "elsewhere" if a file that enable did not write names the library. */
static void read_state(const struct ctl_unit *unit, struct status *s)
{
	char *value;
	const struct ctl_setting *from = ctl_unit_preload(unit, true, &value);
	struct stat st;
	int fd = -1;

	s->unit = unit->name;
	s->on = value && strstr(value, "libhakmem.so");
	s->enabled = unit->ours_etc   ? "yes"
		     : unit->ours_run ? "runtime"
		     : s->on	      ? "elsewhere"
				      : "no";
	if (s->on)
		snprintf(s->drop_in, sizeof(s->drop_in), "%s", from->path);
	else if (unit->ours_etc || unit->ours_run)
		ctl_unit_drop_in(unit, !unit->ours_etc, s->drop_in);
	if (s->drop_in[0])
		fd = hak_open_in(unit->root, s->drop_in, O_PATH);
	if (fd >= 0 && fstat(fd, &st) == 0)
		s->since = st.st_mtim;
	if (fd >= 0)
		close(fd);
	free(value);
}

/* Adds a row for a unit without processes. */
static void add_idle(struct status *s)
{
	struct json_object *o = json_object_new_object();

	hak_json_text(o, "unit", s->unit);
	hak_json_text(o, "enabled", s->enabled);
	hak_json_text(o, "note", "no process runs");
	hak_json_text(o, "drop_in", s->drop_in[0] ? s->drop_in : NULL);
	json_object_array_add(s->rows, o);
}

static int add_unit(int root, const char *name, struct json_object *units, struct json_object *rows)
{
	struct hak_shares shares;
	struct status s = { .rows = rows, .shares = &shares };
	struct json_object *o;
	char why[HAK_WHY_TEXT];
	struct ctl_unit *unit;
	int r = ctl_unit_load(root, name, &unit, why);

	if (r < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		return r == -ENOENT ? CTL_NOTHING : CTL_FAILED;
	}
	hak_target_shares(&shares);
	read_state(unit, &s);
	o = json_object_new_object();
	hak_json_text(o, "unit", unit->name);
	hak_json_text(o, "enabled", s.enabled);
	hak_json_text(o, "drop_in", s.drop_in[0] ? s.drop_in : NULL);
	s.processes = json_object_new_array();
	json_object_object_add(o, "processes", s.processes);
	if (root == HAK_OWN_ROOT)
		each_process(unit->name, add_process, &s);
	hak_json_bool(o, "restart", s.restart);
	json_object_array_add(units, o);
	if (json_object_array_length(s.processes) == 0)
		add_idle(&s);
	ctl_unit_free(unit);
	return CTL_OK;
}

int verb_status(struct ctl *ctl, int argc, char **argv)
{
	struct json_object *document, *rows, *units;
	int root = HAK_OWN_ROOT, option, r = CTL_OK, result = CTL_OK;
	char why[HAK_WHY_TEXT];

	while (r == CTL_OK && (option = ctl_option(ctl, argc, argv)) >= 0)
		r = ctl_root_option(ctl, &root);
	if (r != CTL_OK)
		return r;
	if (option == -2)
		return ctl->failure;
	if (optind == argc)
		return ctl_usage(ctl, "expects names of services");
	if (hak_emit_check_columns(columns, COLUMNS, ctl->columns, why) < 0)
		return ctl_usage(ctl, "%s", why);
	if (root == HAK_OWN_ROOT && ctl_check_proc() != CTL_OK)
		return CTL_FAILED;
	document = hak_json_document("status");
	units = json_object_new_array();
	json_object_object_add(document, "units", units);
	rows = json_object_new_array();
	for (int i = optind; i < argc; i++) {
		r = add_unit(root, argv[i], units, rows);
		result = result ? result : r;
	}
	r = ctl_answer(ctl, document, rows, columns, COLUMNS);
	json_object_put(rows);
	return result ? result : r;
}
