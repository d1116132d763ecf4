/* SPDX-License-Identifier: MIT */
/*
 * Reacts to memory pressure by the kernel's PSI triggers (Documentation/accounting/psi.rst) on the
 * host and on the cgroups of units whose policy has [Pressure].
 *
 * A trigger fires at most once in its window, and its effect is limited. The processes of the
 * cgroup are sorted, idle processes with most cached memory first. The first of them are asked to
 * purge, each no more often than its own cooldown and backoff allow (purge.c). After that the
 * trigger is ignored for its cooldown, which is longer if the last round returned little.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/escape.h"
#include "hakmemd/journal.h"
#include "hakmemd/pressure.h"
#include "hakmemd/purge.h"

#define ASK_MAX	    32u		 /* the number of processes asked at a time */
#define WORTH_BYTES (256u << 10) /* a process that has cached less is not asked */
#define IDLE_NS	    2000000000u
#define AGE_US	    1000000u
/* The processor time to measure: for all processes, for those of one user, for one process. */
#define MEASURE_NS	50000000
#define MEASURE_USER_NS 10000000
#define MEASURE_ONE_NS	5000000
/* The number of triggers for processes of one user other than root. */
#define OF_USER_MAX 64u
/* Without CAP_SYS_RESOURCE the kernel grants only windows of whole multiples of 2 s. */
#define STEP_US	     2000000u
#define LITTLE_BYTES (1u << 20)
#define BACKOFF_MAX  6u
#define RETRY_NS     2000000000u /* between attempts to set up a trigger */

struct trigger {
	struct trigger *next;
	struct hak_manager *manager;
	char *cgroup;  /* "" for the host */
	uid_t account; /* of the first process that wanted it; 0 for the host */
	uint64_t threshold_us, window_us, cooldown_us;
	unsigned action;
	bool wanted;
	int fd;		   /* -1: it cannot be set up */
	uint64_t tried_ns; /* 0: not yet */
	sd_event_source *source;
	uint64_t deaf_until_ns;
	unsigned backoff;
	uint64_t returned_before; /* the manager's sum when the trigger last fired */
	bool asked;		  /* a process was asked at that time */
};

struct hak_pressure {
	struct trigger *triggers;
	struct hak_shares shares; /* of the time to measure */
	char *mount;		  /* of cgroup version 2; NULL: none */
};

/* -- acting ------------------------------------------------------------------------------------ */
static bool within(const struct hak_process *p, const char *cgroup)
{
	size_t n = strlen(cgroup);

	return strncmp(p->id.cgroup, cgroup, n) == 0 &&
	       (p->id.cgroup[n] == '\0' || p->id.cgroup[n] == '/' || n == 0 ||
		strcmp(cgroup, "/") == 0);
}

struct candidate {
	struct hak_process *p;
	bool idle;
};

static int worst_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->idle != y->idle)
		return x->idle ? -1 : 1;
	return (x->p->cached_bytes < y->p->cached_bytes) -
	       (x->p->cached_bytes > y->p->cached_bytes);
}

/* Returns the number of processes asked. */
static unsigned purge_worst(struct trigger *t)
{
	struct hak_manager *m = t->manager;
	struct candidate *all = calloc(m->processes_n + 1, sizeof(*all));
	struct hak_shares *shares = &m->pressure->shares;
	unsigned asked = 0;
	size_t n = 0;

	if (!all)
		return 0;
	hak_shares_begin(shares);
	for (struct hak_process *p = m->processes; p; p = p->next) {
		if (!within(p, t->cgroup))
			continue;
		/* A process for which the time is too short keeps its previous figure. */
		if (hak_share_enter(shares, p->id.account, NULL)) {
			hak_purge_measure(p, AGE_US);
			hak_share_leave(shares, NULL);
		}
		if (p->cached_bytes < WORTH_BYTES)
			continue;
		all[n].p = p;
		all[n++].idle = p->measured_ns > p->active_ns &&
				p->measured_ns - p->active_ns > IDLE_NS;
	}
	if (n)
		qsort(all, n, sizeof(*all), worst_first);
	for (size_t i = 0; i < n && asked < ASK_MAX; i++) {
		unsigned level = t->cgroup[0] && all[i].p->effect.pressure ? all[i].p->effect.action
									   : t->action;

		asked += hak_purge_process(all[i].p, level, "pressure") == 0;
	}
	free(all);
	return asked;
}

static void act(struct trigger *t)
{
	struct hak_manager *m = t->manager;
	uint64_t now = hak_monotonic_ns();
	char count[16], cgroup[4 * HAK_CGROUP_BYTES];
	const struct hak_field fields[] = { { "HAKMEM_CGROUP", t->cgroup },
					    { "HAKMEM_ASKED", count } };
	unsigned asked;

	if (now < t->deaf_until_ns)
		return;
	/* The result of the previous round, whose answers have arrived. */
	if (t->asked && m->returned_bytes - t->returned_before < LITTLE_BYTES)
		t->backoff += t->backoff < BACKOFF_MAX;
	else
		t->backoff = 0;
	t->returned_before = m->returned_bytes;
	asked = purge_worst(t);
	t->asked = asked > 0;
	t->deaf_until_ns = now + (t->cooldown_us * 1000 << t->backoff);
	if (!hak_may_tell(t->account))
		return;
	snprintf(count, sizeof(count), "%u", asked);
	hak_escape(t->cgroup, cgroup, sizeof(cgroup));
	hak_event(asked ? LOG_INFO : LOG_DEBUG, HAK_MESSAGE_PRESSURE, fields, 2,
		  "memory pressure on %s: asked %u process%s to give back memory",
		  cgroup[0] ? cgroup : "the host", asked, asked == 1 ? "" : "es");
}

/* The trigger is tried again if it is still wanted. */
static void stop_trigger(struct trigger *t)
{
	t->source = sd_event_source_disable_unref(t->source);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->tried_ns = 0;
}

static int on_pressure(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct trigger *t = arg;

	if (events & EPOLLERR) {
		/* The cgroup was removed. A new cgroup of that name gets another trigger. */
		stop_trigger(t);
		t->manager->pressure_stale = true;
		return 0;
	}
	act(t);
	return 0;
}

/* -- triggers ---------------------------------------------------------------------------------- */
static char *pressure_path(const struct hak_pressure *pressure, const char *cgroup)
{
	char *path;

	if (!*cgroup)
		return strdup("/proc/pressure/memory");
	if (!pressure->mount ||
	    asprintf(&path, "%s%s/memory.pressure", pressure->mount, cgroup) < 0)
		return NULL;
	return path;
}

/* Arms the trigger as configured, or in the steps that the kernel grants without privileges. */
static int arm(struct trigger *t)
{
	uint64_t window = t->window_us, threshold = t->threshold_us;

	for (int i = 0; i < 2; i++) {
		char text[64];
		int n = snprintf(text, sizeof(text), "some %llu %llu",
				 (unsigned long long)threshold, (unsigned long long)window);

		if (write(t->fd, text, (size_t)n + 1) > 0) {
			if (i)
				hak_log(LOG_DEBUG, "window of %s rounded to %llu s", t->cgroup,
					(unsigned long long)(window / 1000000));
			return 0;
		}
		if (errno != EINVAL && errno != EPERM)
			return -errno;
		window = (window + STEP_US - 1) / STEP_US * STEP_US;
		threshold = threshold * window / t->window_us;
	}
	return -EINVAL;
}

static void free_trigger(struct trigger *t)
{
	sd_event_source_disable_unref(t->source);
	if (t->fd >= 0)
		close(t->fd);
	free(t->cgroup);
	free(t);
}

/* Returns 0 or -errno, and sets t->fd and t->source on success. */
static int start_trigger(struct hak_pressure *pressure, struct trigger *t)
{
	char *path = pressure_path(pressure, t->cgroup);
	int r;

	if (!path)
		return -ENOENT;
	t->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	r = t->fd < 0 ? -errno : arm(t);
	free(path);
	if (r == 0)
		r = sd_event_add_io(t->manager->event, &t->source, t->fd, EPOLLPRI, on_pressure, t);
	return r;
}

/* A trigger that cannot be set up is reported once, and tried again later. */
static void try_trigger(struct hak_pressure *pressure, struct trigger *t)
{
	char shown[4 * HAK_CGROUP_BYTES];
	int r = start_trigger(pressure, t), level = LOG_NOTICE;
	bool first = !t->tried_ns;

	t->tried_ns = hak_monotonic_ns();
	if (r >= 0)
		return;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	/* A cgroup that was removed is no error. */
	if (!first || r == -ENOENT || r == -ENODEV || !hak_may_tell(t->account))
		level = LOG_DEBUG;
	hak_escape(*t->cgroup ? t->cgroup : "the host", shown, sizeof(shown));
	hak_log(level, "cannot watch the memory pressure of %s: %s", shown, strerror(-r));
}

static struct trigger *find(struct hak_pressure *pressure, const struct trigger *like)
{
	for (struct trigger *t = pressure->triggers; t; t = t->next)
		if (strcmp(t->cgroup, like->cgroup) == 0 && t->threshold_us == like->threshold_us &&
		    t->window_us == like->window_us)
			return t;
	return NULL;
}

static bool may_have_more(const struct hak_pressure *pressure, uid_t account)
{
	unsigned n = 0;

	for (const struct trigger *t = pressure->triggers; account && t; t = t->next)
		n += t->account == account;
	return n < OF_USER_MAX;
}

static void want(struct hak_manager *m, const struct trigger *like)
{
	struct trigger *t = find(m->pressure, like);

	if (!t) {
		t = may_have_more(m->pressure, like->account) ? malloc(sizeof(*t)) : NULL;
		if (!t)
			return;
		*t = *like;
		t->manager = m;
		t->fd = -1;
		t->cgroup = strdup(like->cgroup);
		if (!t->cgroup) {
			free(t);
			return;
		}
		t->next = m->pressure->triggers;
		m->pressure->triggers = t;
	}
	if (t->fd < 0 && (!t->tried_ns || hak_monotonic_ns() - t->tried_ns > RETRY_NS))
		try_trigger(m->pressure, t);
	t->wanted = true;
	t->cooldown_us = like->cooldown_us;
	t->action = like->action;
}

/* The cgroup of the process's unit if it has one, which is the path up to the name of the unit. */
static void group_of(const struct hak_process *p, char out[HAK_CGROUP_BYTES])
{
	const char *unit = p->id.user_unit[0] ? p->id.user_unit : p->id.unit;
	size_t n = strlen(unit);
	char *at;

	snprintf(out, HAK_CGROUP_BYTES, "%s", p->id.cgroup);
	if (n == 0)
		return;
	for (at = strstr(out, unit); at; at = strstr(at + 1, unit))
		if (at > out && at[-1] == '/' && (at[n] == '/' || at[n] == '\0')) {
			at[n] = '\0';
			return;
		}
}

void hak_pressure_update(struct hak_manager *m)
{
	struct trigger like = { 0 }, **at, *t;
	char group[HAK_CGROUP_BYTES], host[] = "";

	m->pressure_stale = false;
	if (!m->pressure)
		return;
	for (t = m->pressure->triggers; t; t = t->next)
		t->wanted = false;
	if (m->conf.pressure) {
		like = (struct trigger){ .cgroup = host,
					 .threshold_us = m->conf.threshold_us,
					 .window_us = m->conf.window_us,
					 .cooldown_us = m->conf.cooldown_us,
					 .action = m->conf.action };
		want(m, &like);
	}
	for (struct hak_process *p = m->processes; p; p = p->next) {
		if (!p->effect.pressure || !p->id.cgroup[0] || strcmp(p->id.cgroup, "/") == 0)
			continue;
		group_of(p, group);
		like = (struct trigger){ .cgroup = group,
					 .account = p->id.account,
					 .threshold_us = p->effect.threshold_us,
					 .window_us = p->effect.window_us,
					 .cooldown_us = p->effect.cooldown_us,
					 .action = p->effect.action };
		want(m, &like);
	}
	for (at = &m->pressure->triggers; (t = *at);) {
		if (t->wanted) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		free_trigger(t);
	}
}

/* -- life -------------------------------------------------------------------------------------- */
int hak_pressure_start(struct hak_manager *m)
{
	m->pressure = calloc(1, sizeof(*m->pressure));
	if (!m->pressure)
		return -ENOMEM;
	m->pressure->mount = hak_cgroup_mount();
	m->pressure->shares = (struct hak_shares){ .pass_ns = MEASURE_NS,
						   .user_ns = MEASURE_USER_NS,
						   .piece_ns = MEASURE_ONE_NS,
						   .secret = m->shares.secret };
	hak_pressure_update(m);
	return 0;
}

void hak_pressure_stop(struct hak_manager *m)
{
	struct trigger *t, *next;

	if (!m->pressure)
		return;
	for (t = m->pressure->triggers; t; t = next) {
		next = t->next;
		free_trigger(t);
	}
	free(m->pressure->mount);
	free(m->pressure);
	m->pressure = NULL;
}
