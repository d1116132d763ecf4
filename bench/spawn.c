// SPDX-License-Identifier: MIT
/*
 * spawn - runs a command --count times, one after the other, and reports time and memory of it.
 *
 * The library under test is preloaded into the command alone: spawn --preload FILE -- COMMAND.
 * Its output is discarded; a command that fails ends the run. Peak memory is the largest
 * ru_maxrss. Across execve that figure starts at the parent's peak, which is why a process as
 * small as this one starts the command, not the runner; the figure is refused if it is no
 * larger than spawn's own.
 */
#include "bench.h"
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static uint64_t count = 1;

static const struct bench_option options[] = {
	{ "count", &count, "times to run the command", NULL, false },
	{ 0 },
};

struct total {
	uint64_t cpu_ns;
	long peak_kib;
	long faults;
};

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
}

static void run(char **command, const posix_spawn_file_actions_t *actions, struct total *total)
{
	struct rusage usage;
	int status, r;
	pid_t pid;

	r = posix_spawnp(&pid, command[0], actions, NULL, command, environ);
	if (r)
		bench_die("%s: %s", command[0], strerror(r));
	while (wait4(pid, &status, 0, &usage) < 0)
		if (errno != EINTR)
			bench_die("wait4: %s", strerror(errno));
	if (WIFSIGNALED(status))
		bench_die("%s: killed by signal %d", command[0], WTERMSIG(status));
	if (WEXITSTATUS(status))
		bench_die("%s: exit status %d", command[0], WEXITSTATUS(status));
	total->cpu_ns += timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	total->faults += usage.ru_minflt;
	if (usage.ru_maxrss > total->peak_kib)
		total->peak_kib = usage.ru_maxrss;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	struct bench_phase phase;
	struct total total = { 0 };
	double wall_ns, done;
	int first;

	/* The one option with a text, so it is looked at before the others. */
	if (argc > 2 && !strcmp(argv[1], "--preload")) {
		if (setenv("LD_PRELOAD", argv[2], 1))
			bench_die("setenv: %s", strerror(errno));
		argv[2] = argv[0];
		argv += 2;
		argc -= 2;
	}
	first = bench_init(argc, argv, options);
	if (first == argc || !count)
		bench_die("usage: spawn [--preload FILE] [--count N] -- COMMAND [ARGUMENT]...");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);

	phase = bench_begin(count, 0);
	for (; phase.done < count; phase.done++)
		run(argv + first, &actions, &total);
	bench_end(&phase);

	wall_ns = (double)(phase.end.wall_ns - phase.start.wall_ns);
	done = (double)phase.done;
	bench_print("ops", done);
	bench_print("ns_per_op", wall_ns / done);
	bench_print("cpu_ns_per_op", (double)total.cpu_ns / done);
	bench_print("minor_faults", (double)total.faults / done);
	if (total.peak_kib > bench_peak_kib())
		bench_print("peak_rss_kib", (double)total.peak_kib);
	return 0;
}
