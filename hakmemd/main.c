/* SPDX-License-Identifier: MIT */
/*
 * hakmemd keeps the processes that run hakmem as the administrator's policies want them. This file
 * has the options, the event loop, and the notifications to systemd.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "hakmemd/bus.h"
#include "hakmemd/exposition.h"
#include "hakmemd/journal.h"
#include "hakmemd/look.h"
#include "hakmemd/manager.h"
#include "hakmemd/pressure.h"
#include "hakmemd/self.h"
#include "hakmemd/state.h"

#define RUNTIME_FOLDER "/run/hakmem"
/* Another hakmemd is running. hakmemd.service does not restart after this status. */
#define EXIT_TWICE 2

/* All state of the running daemon. */
struct daemon {
	sd_event *event;
	struct hak_manager *manager;
	struct hak_exposition *exposition;
	const char *bus_address; /* NULL: the system bus */
	const char *only;
	bool check;
	const char *folder; /* NULL: the daemon has none */
	struct hak_bus *bus;
};

static const char usage[] =
	"hakmemd [OPTION]...: apply policies to processes on hakmem\n"
	"\n"
	"  -b, --bus=ADDRESS      connect to this bus instead of the system bus\n"
	"  -c, --check            check the configuration and the policies, and exit\n"
	"  -l, --log-level=LEVEL  log up to error, warning, notice, info (default) or debug\n"
	"  -o, --only=GLOB        manage only processes whose command matches, to try policies\n"
	"                         beside another hakmemd\n"
	"  -h, --help             print this text\n"
	"  -V, --version          print the version\n"
	"\n"
	"See hakmemd(8).\n";

static int set_log_level(const char *word)
{
	static const struct {
		const char *word;
		int level;
	} levels[] = {
		{ "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
		{ "info", LOG_INFO }, { "debug", LOG_DEBUG },
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(levels[i].word, word) == 0) {
			hak_log_level(levels[i].level);
			return 0;
		}
	fprintf(stderr,
		"hakmemd: --log-level takes error, warning, notice, info or debug, not "
		"\"%.40s\"\n",
		word);
	return -EINVAL;
}

/* -1: continue; else the exit status. */
static int options(int argc, char **argv, struct daemon *d)
{
	static const struct option longs[] = {
		{ "bus", required_argument, NULL, 'b' },
		{ "check", no_argument, NULL, 'c' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "b:cl:o:hV", longs, NULL)) != -1) {
		switch (option) {
		case 'b':
			d->bus_address = optarg;
			break;
		case 'c':
			d->check = true;
			break;
		case 'l':
			if (set_log_level(optarg) < 0)
				return EXIT_FAILURE;
			break;
		case 'o':
			d->only = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("hakmemd " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs("Try 'hakmemd --help'.\n", stderr);
			return EXIT_FAILURE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "hakmemd: expects no arguments, not \"%.80s\"\n", argv[optind]);
	return EXIT_FAILURE;
}

/* ERRNO tells systemd about files with problems. 0 withdraws an earlier report. */
static void notify_ready(const struct hak_manager *m)
{
	sd_notifyf(false, "ERRNO=%d\nREADY=1", hak_manager_problems(m) ? EINVAL : 0);
}

/* -- signals ----------------------------------------------------------------------------------- */
static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct daemon *d = arg;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
	hak_manager_reload(d->manager);
	hak_look_status(d->manager);
	notify_ready(d->manager);
	return 0;
}

static int add_signals(struct daemon *d)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* the error of the write suffices */
	/* Without a handler these signals end the loop. */
	r = sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
	return r < 0 ? r : 0;
}

/* -- life -------------------------------------------------------------------------------------- */
/* The folder whose files belong to one hakmemd alone. NULL: this daemon runs beside another one and
 * has none. */
static const char *runtime_folder(const struct daemon *d)
{
	const char *folder = getenv("RUNTIME_DIRECTORY");

	if (folder && *folder)
		return folder;
	return d->only ? NULL : RUNTIME_FOLDER;
}

static int start(struct daemon *d)
{
	int r = sd_event_default(&d->event);

	if (r < 0)
		return hak_log_error(r, "cannot create an event loop");
	r = add_signals(d);
	if (r < 0)
		return hak_log_error(r, "cannot handle signals");
	r = sd_event_set_watchdog(d->event, true);
	if (r < 0)
		return hak_log_error(r, "watchdog");
	r = hak_manager_new(d->event, &d->manager);
	if (r < 0)
		return r;
	d->manager->only = d->only;
	r = hak_manager_reload(d->manager);
	if (r < 0)
		return r;
	r = hak_state_start(d->manager);
	if (r < 0)
		hak_log_error(r, "no state is kept over a restart");
	if (d->folder)
		hak_exposition_start(d->manager, d->folder, &d->exposition);
	r = hak_look_start(d->manager);
	if (r < 0)
		return hak_log_error(r, "cannot find processes");
	r = hak_pressure_start(d->manager);
	if (r < 0)
		return hak_log_error(r, "cannot watch memory pressure");
	hak_self_watch_pressure(d->event);
	/* The name on the system bus belongs to the other daemon. */
	if (d->only && !d->bus_address)
		return 0;
	return hak_bus_start(d->manager, d->bus_address, &d->bus);
}

static void stop(struct daemon *d)
{
	hak_bus_stop(d->bus);
	hak_exposition_stop(d->exposition);
	hak_manager_free(d->manager);
	sd_event_unref(d->event);
}

int main(int argc, char **argv)
{
	struct daemon d = { 0 };
	int r = options(argc, argv, &d);

	if (r >= 0)
		return r;
	if (hak_self_on_hakmem()) {
		hak_log(LOG_ERR, "hakmemd must not run on hakmem: remove libhakmem from its "
				 "LD_PRELOAD");
		return EXIT_FAILURE;
	}
	if (d.check)
		return hak_manager_check() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	d.folder = runtime_folder(&d);
	r = d.folder ? hak_self_take(d.folder) : 0;
	if (r == -EBUSY)
		return EXIT_TWICE;
	if (r < 0)
		d.folder = NULL;
	hak_self_set_limits();
	r = start(&d);
	if (r >= 0) {
		hak_look_status(d.manager);
		notify_ready(d.manager);
		r = sd_event_loop(d.event);
		sd_notify(false, "STOPPING=1");
	}
	stop(&d);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
