/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl trace: measures the cost of a process's memory in the kernel, and whether the kernel
 * provides the same pages again. This file has the command line and the run of a trace; see trace.h
 * for the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/output.h"
#include "control/target.h"
#include "hakmemctl/trace/trace.h"

#define TICK_MS 50

struct request {
	uint64_t ns; /* 0: until the command ends */
	const char *output;
	enum ctl_format format; /* of the output */
	char **command;		/* NULL: a target */
};

/* Selects what goes into --output, by --map, --json and the suffix. Returns 0 or CTL_USAGE. */
static int choose_format(struct ctl *ctl, struct trace *t, struct request *q)
{
	const enum ctl_format suffix = ctl_format_of(q->output);

	if (strcmp(q->output, "-") == 0)
		return ctl_usage(ctl, "--output takes a file: standard output has the report");
	if (suffix == CTL_FORMAT_FOLDED || suffix == CTL_FORMAT_PPROF)
		return ctl_usage(ctl, "trace writes text, JSON (.json) and SVG (.svg), and no %s",
				 ctl_format_word(suffix));
	if (t->map && suffix != CTL_FORMAT_NONE && suffix != CTL_FORMAT_SVG)
		return ctl_contradiction(ctl, "--map", suffix);
	if (ctl->json != HAK_JSON_OFF && suffix == CTL_FORMAT_TEXT)
		return ctl_contradiction(ctl, "--json", suffix);
	q->format = suffix;
	if (t->map)
		q->format = CTL_FORMAT_SVG;
	else if (suffix == CTL_FORMAT_NONE)
		q->format = ctl->json == HAK_JSON_OFF ? CTL_FORMAT_TEXT : CTL_FORMAT_JSON;
	t->map = q->format == CTL_FORMAT_SVG;
	return 0;
}

/* Returns 0, or non-zero with the exit code in ctl->failure. */
static int parse(struct ctl *ctl, struct trace *t, struct request *q, int argc, char **argv)
{
	char why[HAK_WHY_TEXT];
	int option;

	*q = (struct request){ .ns = 0 };
	t->window_ns = 1000000000;
	while ((option = ctl_option(ctl, argc, argv)) >= 0) {
		switch (option) {
		case 's':
			if (ctl_time_above_zero(ctl, "seconds", &q->ns) != CTL_OK)
				return -1;
			break;
		case CTL_WINDOW:
			if (ctl_time_above_zero(ctl, "window", &t->window_ns) != CTL_OK)
				return -1;
			break;
		case 'e':
			if (trace_events(ctl->argument, &t->events, why) < 0)
				return ctl_usage(ctl, "--events: %s", why);
			break;
		case 'm':
			t->map = true;
			break;
		case 'O':
			q->output = ctl->argument;
			break;
		}
	}
	if (option == -2)
		return -1;
	if (t->map && !q->output)
		return ctl_usage(ctl, "--map needs --output=FILE, such as --output=map.svg");
	if (q->output && choose_format(ctl, t, q) != 0)
		return -1;
	if (optind < argc && strcmp(argv[optind - 1], "--") == 0)
		q->command = argv + optind;
	else if (optind + 1 != argc)
		return ctl_usage(ctl, "expects one TARGET, or -- and a COMMAND");
	t->target = argv[optind];
	if (!q->command && !q->ns)
		q->ns = 10000000000;
	return 0;
}

/* -- targets ----------------------------------------------------------------------------------- */
/* Opens the folder of a v2 cgroup; -errno with a sentence. */
static int open_cgroup(const char *path, char why[HAK_WHY_TEXT])
{
	char whole[PATH_MAX], *mount = hak_cgroup_mount();
	int fd = -1;

	/* Each folder of a v2 hierarchy has this file, and no other folder. */
	snprintf(whole, sizeof(whole), "%s%s/cgroup.controllers", mount ? mount : "", path);
	if (mount && access(whole, F_OK) == 0) {
		snprintf(whole, sizeof(whole), "%s%s", mount, path);
		fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	free(mount);
	if (fd >= 0)
		return fd;
	snprintf(why, HAK_WHY_TEXT, "there is no v2 cgroup \"%.100s\"", path);
	return -ENOENT;
}

/* Refuses a thread that is not a process. */
static int check_process(pid_t pid)
{
	char path[48], line[128];
	int r = -ESRCH, tgid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			r = tgid == pid ? 0 : -ENOTSUP;
	if (f)
		fclose(f);
	return r;
}

static int watch(struct trace *t, pid_t pid, bool only)
{
	int r = check_process(pid);

	if (r == -ENOTSUP && only) {
		ctl_complain("hakmemctl: %d is a thread; give the PID of its process\n", (int)pid);
		return -ESRCH;
	}
	if (r == 0)
		r = hak_session_watch(t->session, pid);
	if (r == 0)
		r = trace_add(t, pid, BORN_BEFORE, hak_session_owner(t->session, pid));
	if (r < 0 && only)
		ctl_complain("hakmemctl: process %d: %s\n", (int)pid, strerror(-r));
	if (r < 0)
		return r;
	return 0;
}

static int watch_target(struct trace *t, const struct hak_target *target)
{
	bool only = target->kind == HAK_TARGET_PID;
	pid_t *pids;
	size_t n;
	int r = ctl_check_proc();

	if (r != CTL_OK)
		return r;
	r = hak_target_any_pids(target, &pids, &n);
	if (r < 0) {
		ctl_complain("hakmemctl: cannot look for processes: %s\n", strerror(-r));
		return CTL_FAILED;
	}
	for (size_t i = 0; i < n; i++)
		if (pids[i] != getpid())
			r = watch(t, pids[i], only);
	free(pids);
	if (t->processes)
		return CTL_OK;
	if (!only)
		ctl_complain("hakmemctl: there is no such process\n");
	return only && r < 0 ? ctl_exit_code(r) : CTL_NOTHING;
}

/* Starts a child that becomes the command after let_go(). */
static int start_command(struct trace *t, char **command, int *ret_go)
{
	int fds[2];
	pid_t pid;
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		close(fds[1]);
		if (read(fds[0], &c, 1) != 1)
			_exit(CTL_FAILED);
		execvp(command[0], command);
		c = errno == ENOENT ? 127 : 126;
		ctl_complain("hakmemctl: cannot run %s: %s\n", command[0], strerror(errno));
		_exit(write(fds[0], &c, 1) == 1 ? c : CTL_FAILED);
	}
	close(fds[0]);
	if (pid < 0) {
		close(fds[1]);
		return -errno;
	}
	t->command = pid;
	*ret_go = fds[1];
	return 0;
}

/* Returns CTL_OK when the child has executed the command, and the shell's exit code if it
 * cannot. */
static int let_go(int go)
{
	char c;

	if (send(go, "g", 1, MSG_NOSIGNAL) != 1)
		return CTL_FAILED;
	return read(go, &c, 1) == 1 ? c : CTL_OK;
}

/* -- the run ----------------------------------------------------------------------------------- */
/* The shell's exit code for the way a command ended; 0 while it runs. */
static int command_code(struct trace *t)
{
	int status;

	if (!t->command || waitpid(t->command, &status, WNOHANG) != t->command)
		return 0;
	t->command = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A command has the terminal to itself. */
static void show_progress(const struct request *q, const char *what, uint64_t done_ns)
{
	if (!q->command)
		ctl_progress(what, done_ns, done_ns ? q->ns : 0);
}

static void run(struct trace *t, const struct request *q, bool endless)
{
	uint64_t deadline = q->ns ? hak_monotonic_ns() + q->ns : UINT64_MAX, looked = 0;

	while (!ctl_interrupted() && hak_monotonic_ns() < deadline) {
		hak_session_poll(t->session, TICK_MS);
		show_progress(q, "tracing", hak_monotonic_ns() - t->started_ns);
		if (!endless && hak_session_watched(t->session) == 0)
			break;
		if (t->map)
			trace_note_moment(t, false);
		/* Processes that were created meanwhile may end before the trace does. */
		if (hak_monotonic_ns() - looked > 500000000) {
			trace_look(t, false);
			looked = hak_monotonic_ns();
		}
	}
}

static int trace_all(struct trace *t, const struct request *q, const struct hak_target *target,
		     bool by_cgroup, int go, char why[HAK_WHY_TEXT])
{
	int r = CTL_OK;

	if (t->command) {
		r = watch(t, t->command, true) < 0 ? CTL_FAILED : CTL_OK;
		if (r == CTL_OK)
			t->process[0].born = BORN_FORKED;
	} else if (!by_cgroup) {
		r = watch_target(t, target);
	}
	if (r != CTL_OK)
		return r;
	r = hak_session_start(t->session, why);
	if (r < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		return ctl_exit_code(r);
	}
	t->started_ns = hak_monotonic_ns();
	trace_note_moment(t, false);
	if (go >= 0)
		r = let_go(go);
	if (r != CTL_OK)
		return r;
	if (q->ns)
		ctl_say_wait("tracing", q->ns);
	run(t, q, by_cgroup);
	show_progress(q, "traced; reading processes and call sites", 0);
	trace_note_moment(t, true);
	trace_look(t, true);
	hak_session_stop(t->session);
	t->stopped_ns = hak_monotonic_ns();
	show_progress(q, "traced; measuring what faults cost on this machine", 0);
	return CTL_OK;
}

static int complain(const char *path, const char *why)
{
	ctl_complain("hakmemctl: %s: %s\n", path, why);
	return CTL_FAILED;
}

/* A file has no colours. */
static int write_report(struct trace *t, struct json_object *document, FILE *to)
{
	struct ctl plain = *t->ctl;

	plain.color = false;
	trace_report(to, &plain, document);
	return 0;
}

static int write_format(struct trace *t, const struct request *q, struct json_object *document,
			FILE *to)
{
	const enum hak_json_mode mode = t->ctl->json;

	if (q->format == CTL_FORMAT_SVG)
		return trace_map(t, to);
	if (q->format == CTL_FORMAT_TEXT)
		return write_report(t, document, to);
	return hak_emit_json(to, document, mode == HAK_JSON_OFF ? HAK_JSON_PRETTY : mode);
}

static int write_file(struct trace *t, const struct request *q, struct json_object *document)
{
	const char *what = q->format == CTL_FORMAT_SVG ? "the map" : "the trace";
	char *text = NULL, why[HAK_WHY_TEXT];
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	int r = to ? write_format(t, q, document, to) : -ENOMEM;

	if (to && fclose(to) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0)
		snprintf(why, sizeof(why), "%s",
			 r == -ESRCH ? "no process was traced, so there is none to draw"
				     : strerror(-r));
	else
		r = hak_output(q->output, text, bytes, why);
	free(text);
	if (r < 0)
		return complain(q->output, why);
	ctl_say_written(what, q->format, bytes, q->output);
	return CTL_OK;
}

static void print_answer(struct trace *t, struct json_object *document)
{
	FILE *to;

	if (t->ctl->json != HAK_JSON_OFF) {
		hak_emit_json(stdout, document, t->ctl->json);
		return;
	}
	to = ctl_pager_begin(t->ctl);
	trace_report(to, t->ctl, document);
	ctl_pager_end(to);
}

/* A picture is beside the report, and every other file is instead of it. */
static int answer(struct trace *t, const struct request *q)
{
	struct json_object *document = trace_figures(t);
	int r = CTL_OK;

	if (!q->output || q->format == CTL_FORMAT_SVG)
		print_answer(t, document);
	fflush(stdout);
	if (q->output)
		r = write_file(t, q, document);
	json_object_put(document);
	return r;
}

int verb_trace(struct ctl *ctl, int argc, char **argv)
{
	struct trace t = { .ctl = ctl, .moment_ns = TICK_MS * 1000000 };
	struct hak_session_options options = {
		.cgroup_fd = -1, .sites = true, .told = trace_told, .arg = &t
	};
	struct hak_target target = { 0 };
	char why[HAK_WHY_TEXT];
	struct request q;
	int r, go = -1;
	bool by_cgroup;

	if (parse(ctl, &t, &q, argc, argv) != 0)
		return ctl->failure;
	if (!q.command && hak_target_parse(t.target, &target, why) < 0)
		return ctl_usage(ctl, "%s", why);
	by_cgroup = !q.command && target.kind == HAK_TARGET_CGROUP;
	if (by_cgroup)
		options.cgroup_fd = open_cgroup(target.path, why);
	if (by_cgroup && options.cgroup_fd < 0) {
		ctl_complain("hakmemctl: %s\n", why);
		return CTL_NOTHING;
	}
	/* Checked before the trace, not after it. */
	if (q.output && hak_output_check(q.output, why) < 0)
		return complain(q.output, why);
	ctl_catch_interrupts();
	/* Before any descriptor exists that the command could inherit. */
	if (q.command && start_command(&t, q.command, &go) < 0) {
		ctl_complain("hakmemctl: cannot start a process: %s\n", strerror(errno));
		return CTL_FAILED;
	}
	options.window_ns = t.window_ns;
	options.events = t.events;
	ctl_progress("loading programs into the kernel", 0, 0);
	r = hak_session_open(&options, &t.session, why);
	ctl_progress_end();
	if (r < 0)
		ctl_complain("hakmemctl: %s\n", why);
	r = r < 0 ? ctl_exit_code(r) : trace_all(&t, &q, &target, by_cgroup, go, why);
	if (r == CTL_OK)
		r = answer(&t, &q);
	if (r == CTL_OK)
		r = command_code(&t);
	fflush(stdout);
	if (go >= 0)
		close(go);
	trace_free(&t);
	hak_session_close(t.session);
	if (options.cgroup_fd >= 0)
		close(options.cgroup_fd);
	return r;
}

int ctl_bpf_check(char why[HAK_WHY_TEXT])
{
	const struct hak_session_options options = { .window_ns = 1, .cgroup_fd = -1 };
	struct hak_session *s;
	int r = hak_session_open(&options, &s, why);

	if (r < 0)
		return r == -ENOSYS ? -EOPNOTSUPP : r;
	if (s->missing_n)
		snprintf(why, HAK_WHY_TEXT, "programs are loaded, but %s: %s", s->missing[0].what,
			 s->missing[0].why);
	else
		snprintf(why, HAK_WHY_TEXT, "programs can be loaded into the kernel (BTF)");
	r = s->missing_n ? -EINPROGRESS : 0;
	hak_session_close(s);
	return r;
}
