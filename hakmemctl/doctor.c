/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl doctor: tests the features of this machine that hakmem uses, and reports for each
 * missing feature the consequence and the remedy. Each line comes from an attempt or from a file
 * that is read now. A result that neither can give is "unknown". The exit code is 1 if a required
 * feature is missing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <gnu/libc-version.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/missing.h"
#include "control/pageout.h"
#include "control/proc.h"
#include "control/target.h"
#include "hakmemctl/doctor.h"

static const struct hak_column columns[] = {
	{ "CHECK", "check", HAK_SHOW_TEXT },
	{ "RESULT", "result", HAK_SHOW_RESULT },
	{ "FOUND", "found", HAK_SHOW_TEXT },
	{ "REMEDY", "remedy", HAK_SHOW_TEXT },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

const char doctor_ok[] = "ok", doctor_limited[] = "limited";
const char doctor_missing[] = "missing", doctor_unknown[] = "unknown";

/* The first line of a file; "" if there is none. */
static const char *first_line(const char *path, char *buf, size_t bytes)
{
	FILE *f = fopen(path, "re");

	buf[0] = '\0';
	if (f && fgets(buf, (int)bytes, f))
		buf[strcspn(buf, "\n")] = '\0';
	if (f)
		fclose(f);
	return buf;
}

static void not_known(struct finding *f, const char *what, const char *why)
{
	snprintf(f->found, sizeof(f->found), "%s: %.200s", what, why);
	f->result = doctor_unknown;
}

/* False, with an unknown result, if /proc cannot be read. */
static bool has_proc(struct finding *f)
{
	char why[HAK_WHY_TEXT];

	if (hak_proc_check(why) == 0)
		return true;
	not_known(f, "not tried", why);
	return false;
}

static bool has_capability(unsigned cap)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[cap / 32].effective & (1u << (cap % 32));
}

static unsigned kernel_version(void)
{
	struct utsname u;
	unsigned major_ = 0, minor_ = 0;

	if (uname(&u) == 0)
		sscanf(u.release, "%u.%u", &major_, &minor_);
	return major_ * 1000 + minor_;
}

/* -- the checks -------------------------------------------------------------------------------- */
static void check_kernel(struct finding *f)
{
	struct utsname u;

	uname(&u);
	snprintf(f->found, sizeof(f->found), "Linux %.60s", u.release);
	if (kernel_version() < 5010)
		f->result = doctor_missing, f->remedy = "hakmem needs Linux 5.10 or newer";
}

static void check_memfd(struct finding *f)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE;
	int fd = memfd_create("hakmemctl-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char noexec[16];

	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, seals) == 0) {
		snprintf(f->found, sizeof(f->found), "sealed memfds can be created");
	} else {
		snprintf(f->found, sizeof(f->found), "no sealed memfd: %s", strerror(errno));
		f->result = doctor_missing;
		f->remedy = "processes allocate, but are not visible; check for seccomp filters";
		if (strcmp(first_line("/proc/sys/vm/memfd_noexec", noexec, sizeof(noexec)), "2") ==
		    0)
			f->remedy = "sysctl vm.memfd_noexec=1";
	}
	if (fd >= 0)
		close(fd);
}

static void check_pidfd(struct finding *f)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd >= 0) {
		snprintf(f->found, sizeof(f->found), "pidfds work");
		close(fd);
		return;
	}
	snprintf(f->found, sizeof(f->found), "no pidfd: %s", strerror(errno));
	f->result = doctor_limited, f->remedy = "page-out is off; check for seccomp filters";
}

static void check_library(struct finding *f)
{
	char path[HAK_PATH_BYTES];

	if (ctl_find_library(path, f->found) == 0)
		snprintf(f->found, sizeof(f->found), "%.300s", path);
	else
		f->result = doctor_missing,
		f->remedy = "install hakmem, or name the library in HAKMEM_LIB";
}

/* Starts a cat on hakmem that waits for input, and returns its PID. *ret_in keeps it waiting. */
static pid_t start_cat(const char *library, int *ret_in)
{
	int fds[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid = -1;

	if (pipe2(fds, O_CLOEXEC) == 0) {
		pid = fork();
		if (pid == 0) {
			char *merged = ctl_preload_with(library, NULL);

			dup2(fds[0], STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
			unsetenv("HAKMEM");
			if (merged && setenv("LD_PRELOAD", merged, 1) == 0)
				execlp("cat", "cat", NULL);
			_exit(127);
		}
		close(fds[0]);
		*ret_in = fds[1];
	}
	if (null >= 0)
		close(null);
	return pid;
}

/* Waits up to 5 s for the segment to appear. */
static int await_segment(pid_t pid, char why[HAK_WHY_TEXT])
{
	const struct timespec tick = { .tv_nsec = 5000000 };
	struct hak_segment *seg;
	int r = -ETIMEDOUT;

	for (int i = 0; i < 1000; i++) {
		r = hak_segment_open(pid, 0, &seg, why);
		if (r == 0)
			hak_segment_close(seg);
		if (r == 0 || r == -ENODEV)
			return r;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return -ECHILD;
		nanosleep(&tick, NULL);
	}
	return r;
}

static void check_preload(struct finding *f)
{
	char path[HAK_PATH_BYTES], why[HAK_WHY_TEXT];
	int in = -1, r;
	pid_t pid;

	if (ctl_find_library(path, why) < 0) {
		snprintf(f->found, sizeof(f->found), "not tried without a library");
		f->result = doctor_missing;
		return;
	}
	pid = start_cat(path, &in);
	if (pid < 0) {
		snprintf(f->found, sizeof(f->found), "cannot start a process: %s", strerror(errno));
		f->result = doctor_missing;
		return;
	}
	r = await_segment(pid, why);
	if (r == 0)
		snprintf(f->found, sizeof(f->found),
			 "a test process was started on hakmem, found and read");
	else if (r == -ENODEV)
		not_known(f, "a test process was started on hakmem, but not found", why);
	else
		snprintf(f->found, sizeof(f->found), "%.200s",
			 r == -ECHILD ? "the process ended at once" : why);
	if (r < 0 && r != -ENODEV)
		f->result = doctor_missing,
		f->remedy = "run: hakmemctl run -- cat, and look at its messages";
	close(in);
	if (r != -ECHILD) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* The mount options of the /proc in which processes are found; -errno. */
static int proc_options(char *out, size_t bytes)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char line[1024];

	if (!mounts)
		return -errno;
	out[0] = '\0';
	while (fgets(line, sizeof(line), mounts)) {
		char at[256];
		const char *options = strstr(line, " - proc ");

		/* The last mount is on top of earlier ones. */
		if (options && sscanf(line, "%*s %*s %*s %*s %255s", at) == 1 &&
		    strcmp(at, "/proc") == 0)
			snprintf(out, bytes, "%s", options);
	}
	fclose(mounts);
	return out[0] ? 0 : -ENOENT;
}

static void check_proc(struct finding *f)
{
	char options[1024];
	bool hides;
	int r = hak_proc_check(f->found);

	if (r < 0) {
		f->result = doctor_missing, f->remedy = "mount -t proc proc /proc";
		return;
	}
	r = proc_options(options, sizeof(options));
	if (r < 0) {
		not_known(f, "mount options in /proc/self/mountinfo", strerror(-r));
		return;
	}
	hides = strstr(options, "hidepid=") && !strstr(options, "hidepid=0") &&
		!strstr(options, "hidepid=off");
	snprintf(f->found, sizeof(f->found), "/proc %s%s",
		 hides ? "hides other users' processes" : "shows all processes",
		 strstr(options, "subset=pid") ? ", and nothing else (subset=pid)" : "");
	if (strstr(options, "subset=pid"))
		f->result = doctor_limited, f->remedy = "mount -o remount,subset= /proc";
	if (hides && !has_capability(CAP_SYS_PTRACE))
		f->result = doctor_limited,
		f->remedy = "run hakmemctl as root to see processes of other users";
}

/* Capabilities in a user namespace apply to the processes of this namespace only. */
static void check_others(struct finding *f)
{
	unsigned inside, outside, count;
	char map[128];

	if (!has_proc(f))
		return;
	if (sscanf(first_line("/proc/self/uid_map", map, sizeof(map)), "%u %u %u", &inside,
		   &outside, &count) != 3) {
		not_known(f, "users", "/proc/self/uid_map cannot be read");
	} else if (!has_capability(CAP_SYS_PTRACE) || !has_capability(CAP_DAC_READ_SEARCH)) {
		snprintf(f->found, sizeof(f->found), "only processes of uid %u",
			 (unsigned)geteuid());
		f->result = doctor_limited, f->remedy = "run hakmemctl as root";
	} else if (count != UINT32_MAX) {
		snprintf(f->found, sizeof(f->found), "only processes of this user namespace");
		f->result = doctor_limited, f->remedy = "run hakmemctl outside of it";
	} else {
		snprintf(f->found, sizeof(f->found), "all processes can be read and changed");
	}
}

/* Does as open_memfd() of control/find.c, with a mapping of this process. */
static int open_any_mapping(void)
{
	int dir = open("/proc/self/map_files", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -ENOENT;
	struct dirent *entry;
	DIR *d = dir < 0 ? NULL : fdopendir(dir);

	if (!d)
		return -errno;
	while (fd == -ENOENT && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(d), entry->d_name, O_PATH | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	closedir(d);
	return fd;
}

static void check_reading(struct finding *f)
{
	char scope[16];
	int fd;

	if (!has_proc(f))
		return;
	fd = open_any_mapping();
	if (fd >= 0) {
		snprintf(f->found, sizeof(f->found), "segments are opened by their mappings");
		close(fd);
		return;
	}
	if (fd != -EPERM && fd != -EACCES) {
		not_known(f, "/proc/self/map_files", strerror(-fd));
		return;
	}
	first_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
	if (scope[0] == '\0' || scope[0] == '0') {
		snprintf(f->found, sizeof(f->found), "segments are read from processes' memory");
		return;
	}
	snprintf(f->found, sizeof(f->found), "kernel.yama.ptrace_scope=%.1s forbids to read memory",
		 scope);
	f->result = doctor_limited;
	f->remedy = "start hakmemd, run hakmemctl as root, or sysctl kernel.yama.ptrace_scope=0";
}

static void check_pageout(struct finding *f)
{
	int r = hak_pageout_possible(f->found);

	if (r == 0)
		snprintf(f->found, sizeof(f->found), "lazily freed memory of sleeping processes");
	else if (r == -ENODEV)
		f->result = doctor_unknown;
	else
		f->result = doctor_limited,
		f->remedy = r == -EPERM ? "run hakmemctl purge as root"
					: "use control.agent=on in processes that sleep";
}

static void check_lazy_free(struct finding *f)
{
	bool safe = kernel_version() >= 5018;

	snprintf(f->found, sizeof(f->found),
		 safe ? "region.evict=free may be used"
		      : "region.evict=free means dontneed on this kernel");
	if (!safe)
		f->result = doctor_limited,
		f->remedy = "region.free_force=on if nothing uses O_DIRECT";
}

static void check_thp(struct finding *f)
{
	char mode[128];

	first_line("/sys/kernel/mm/transparent_hugepage/enabled", mode, sizeof(mode));
	if (!mode[0] && access("/sys/kernel/mm", F_OK) < 0) {
		not_known(f, "/sys/kernel/mm", strerror(errno));
		return;
	}
	snprintf(f->found, sizeof(f->found), "%.100s",
		 mode[0] ? mode : "no transparent huge pages");
	if (!strstr(mode, "[madvise]") && !strstr(mode, "[always]"))
		f->result = doctor_limited, f->remedy =
						    "thp.mode has no effect; echo madvise "
						    ">/sys/kernel/mm/transparent_hugepage/enabled";
}

static void check_overcommit(struct finding *f)
{
	char mode[16];

	if (!*first_line("/proc/sys/vm/overcommit_memory", mode, sizeof(mode))) {
		not_known(f, "vm.overcommit_memory", "/proc/sys/vm cannot be read");
		return;
	}
	snprintf(f->found, sizeof(f->found), "vm.overcommit_memory=%.8s", mode);
	if (strcmp(mode, "2") == 0)
		f->result = doctor_limited,
		f->remedy =
			"memory kept for reuse counts against the limit; lower whale.ring_bytes";
}

static void check_processes(struct finding *f)
{
	const struct hak_target all = { .kind = HAK_TARGET_ALL };
	unsigned good = 0, stale = 0, broken = 0;
	struct hak_shares shares;
	size_t n, used;
	pid_t *pids;
	int error;

	if (!has_proc(f))
		return;
	hak_target_shares(&shares);
	error = hak_target_pids(&all, &shares, &pids, &n);
	if (error < 0) {
		not_known(f, "processes cannot be searched", strerror(-error));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char why[HAK_WHY_TEXT];
		struct hak_segment *seg;
		int r = hak_target_open(&shares, pids[i], 0, &seg, why);

		broken += r < 0 && ctl_exit_code(r) != CTL_NOTHING;
		if (r < 0)
			continue;
		good++;
		stale += seg->library_state != HAK_LIBRARY_OK;
		hak_segment_close(seg);
	}
	free(pids);
	used = (size_t)snprintf(f->found, sizeof(f->found), "%u %s hakmem", good,
				good == 1 ? "process runs" : "processes run");
	if (stale)
		used += (size_t)snprintf(f->found + used, sizeof(f->found) - used,
					 ", %u of them on a library that was deleted or replaced "
					 "since they started",
					 stale);
	if (broken)
		snprintf(f->found + used, sizeof(f->found) - used, "; %u cannot be read", broken);
	if (broken)
		f->result = doctor_limited, f->remedy = "hakmemctl list: its column NOTE says why";
	if (stale)
		f->result = doctor_limited,
		f->remedy = "restart those for which hakmemctl list has a note";
}

static const struct {
	const char *name;
	void (*run)(struct finding *f);
} checks[] = {
	{ "kernel", check_kernel },	  { "sealed memory", check_memfd },
	{ "pidfd", check_pidfd },	  { "/proc", check_proc },
	{ "library", check_library },	  { "preloading", check_preload },
	{ "other users", check_others },  { "reading", check_reading },
	{ "page-out", check_pageout },	  { "lazy free", check_lazy_free },
	{ "huge pages", check_thp },	  { "overcommit", check_overcommit },
	{ "processes", check_processes }, { "BPF", doctor_bpf },
	{ "systemd", doctor_systemd },	  { "journal", doctor_journal },
	{ "D-Bus", doctor_bus },	  { "polkit", doctor_polkit },
	{ "hakmemd", doctor_daemon },
};

/* -- the report -------------------------------------------------------------------------------- */
static void add_fact(struct json_object *facts, const char *name, const char *value)
{
	hak_json_text(facts, name, value);
}

static struct json_object *facts_json(void)
{
	static const char *const files[] = {
		"/proc/version",
		"/proc/meminfo",
		"/proc/sys/kernel/yama/ptrace_scope",
		"/proc/sys/vm/overcommit_memory",
		"/proc/sys/vm/max_map_count",
		"/proc/sys/vm/memfd_noexec",
		"/sys/kernel/security/lsm",
		"/sys/fs/cgroup/cgroup.controllers",
		"/sys/kernel/mm/transparent_hugepage/enabled",
		"/etc/ld.so.preload",
	};
	struct json_object *facts = json_object_new_object();
	char text[1024];

	add_fact(facts, "hakmemctl", PACKAGE_VERSION);
	snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	add_fact(facts, "processors", text);
	snprintf(text, sizeof(text), "%ld", sysconf(_SC_PAGESIZE));
	add_fact(facts, "page size", text);
	add_fact(facts, "glibc", gnu_get_libc_version());
	add_fact(facts, "LD_PRELOAD", getenv("LD_PRELOAD"));
	add_fact(facts, "HAKMEM", getenv("HAKMEM"));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		first_line(files[i], text, sizeof(text));
		add_fact(facts, files[i], text[0] ? text : NULL);
	}
	return facts;
}

static void print_facts(struct json_object *facts)
{
	json_object_object_foreach(facts, name, value)
		printf("%s: %s\n", name, value ? json_object_get_string(value) : "-");
	putchar('\n');
}

int verb_doctor(struct ctl *ctl, int argc, char **argv)
{
	struct json_object *document, *rows;
	bool report = false;
	int option, r, result = CTL_OK;

	while ((option = ctl_option(ctl, argc, argv)) >= 0)
		report = true;
	if (option == -2)
		return ctl->failure;
	if (optind < argc)
		return ctl_usage(ctl, "expects no arguments");
	document = hak_json_document("doctor");
	if (report)
		json_object_object_add(document, "facts", facts_json());
	if (report && ctl->json == HAK_JSON_OFF)
		print_facts(json_object_object_get(document, "facts"));
	rows = json_object_new_array();
	json_object_object_add(document, "checks", rows);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct finding f = { .result = doctor_ok };
		struct json_object *o = json_object_new_object();

		checks[i].run(&f);
		result = f.result == doctor_missing ? CTL_FAILED : result;
		hak_json_text(o, "check", checks[i].name);
		hak_json_text(o, "result", f.result);
		hak_json_text(o, "found", f.found);
		hak_json_text(o, "remedy", f.remedy ? f.remedy : "");
		json_object_array_add(rows, o);
	}
	fflush(stdout);
	r = ctl_answer(ctl, document, rows, columns, COLUMNS);
	return r ? r : result;
}
