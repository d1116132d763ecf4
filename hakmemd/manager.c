/* SPDX-License-Identifier: MIT */
/*
 * The manager, see manager.h: the table of processes, observers, reload, the status line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-daemon.h>

#include "control/escape.h"
#include "control/pageout.h"
#include "hakmemd/journal.h"
#include "hakmemd/manager.h"

#define SWAP_EVERY  32u /* looks */
#define NAMES_EVERY 64u
/* Of our processor, in one slice of a look: all processes, those of one user, one process. */
#define SLICE_NS   10000000
#define USER_NS	   5000000
#define PROCESS_NS 5000000

/* -- life -------------------------------------------------------------------------------------- */
/* Swap may come and go. */
static void look_for_page_out(struct hak_manager *m)
{
	char why[HAK_WHY_TEXT];
	bool can = hak_pageout_possible(why) == 0;

	if (m->can_page_out && !can)
		hak_log(LOG_INFO, "lazily freed memory stays until the kernel wants it: %s", why);
	m->can_page_out = can;
}

int hak_manager_new(sd_event *event, struct hak_manager **ret)
{
	struct hak_manager *m = calloc(1, sizeof(*m));

	if (!m)
		return hak_log_error(-ENOMEM, "cannot start");
	m->event = sd_event_ref(event);
	m->shares = (struct hak_shares){ .pass_ns = SLICE_NS,
					 .user_ns = USER_NS,
					 .piece_ns = PROCESS_NS };
	if (getrandom(&m->shares.secret, sizeof(m->shares.secret), GRND_NONBLOCK) < 0)
		m->shares.secret = (uint32_t)hak_monotonic_ns();
	m->can_page_out = true;
	look_for_page_out(m);
	*ret = m;
	return 0;
}

static void free_process(struct hak_process *p)
{
	sd_event_source_disable_unref(p->end);
	hak_program_close(&p->program);
	hak_segment_close(p->seg);
	free(p);
}

void hak_manager_free(struct hak_manager *m)
{
	struct hak_process *p, *next;

	if (!m)
		return;
	hak_discovery_stop(m);
	hak_pressure_stop(m);
	hak_state_stop(m);
	for (p = m->processes; p; p = next) {
		next = p->next;
		hak_known_leave(&m->known, p->known, m->shares.secret);
		free_process(p);
	}
	hak_policy_free(m->policies);
	sd_event_unref(m->event);
	free(m);
}

/* -- observers --------------------------------------------------------------------------------- */
int hak_manager_observe(struct hak_manager *m, const struct hak_observer *observer, void *arg)
{
	if (m->observers_n == HAK_OBSERVERS)
		return -ENOSPC;
	m->observers[m->observers_n].observer = observer;
	m->observers[m->observers_n].arg = arg;
	m->observers_n++;
	return 0;
}

#define TELL(m, what, ...)                                             \
	for (unsigned tell_i = 0; tell_i < (m)->observers_n; tell_i++) \
		if ((m)->observers[tell_i].observer->what)             \
	(m)->observers[tell_i].observer->what(__VA_ARGS__, (m)->observers[tell_i].arg)

void hak_tell_value(struct hak_process *p, const struct hak_value_change *change)
{
	TELL(p->manager, value, p, change);
}

void hak_tell_purged(struct hak_process *p, uint64_t bytes, const char *why)
{
	p->returned_bytes += bytes;
	p->manager->returned_bytes += bytes;
	p->manager->state_stale = p->manager->state_stale || bytes;
	TELL(p->manager, purged, p, bytes, why);
}

/* -- processes --------------------------------------------------------------------------------- */
static struct hak_process **bucket_of(struct hak_manager *m, pid_t pid)
{
	return &m->bucket[(unsigned)pid % HAK_BUCKETS];
}

struct hak_process *hak_manager_find(struct hak_manager *m, pid_t pid, uint64_t start_ticks)
{
	for (struct hak_process *p = *bucket_of(m, pid); p; p = p->next_hash)
		if (p->id.pid == pid && (!start_ticks || p->id.start_ticks == start_ticks))
			return p;
	return NULL;
}

/* The newest process of the account that has most; the list begins with the newest. */
static void displace_one(struct hak_manager *m)
{
	const struct hak_known_account *largest = hak_known_largest(&m->known);

	for (struct hak_process *p = m->processes; p; p = p->next)
		if (p->known == largest) {
			hak_process_remove(p);
			return;
		}
}

static int count_in(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	enum hak_known_room room = hak_known_room(&m->known, p->id.account, m->shares.secret);

	if (room == HAK_KNOWN_FULL)
		return -EDQUOT;
	if (room == HAK_KNOWN_DISPLACE)
		displace_one(m);
	p->known = hak_known_enter(&m->known, p->id.account, m->shares.secret);
	return p->known ? 0 : -ENOMEM;
}

void hak_process_recount(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	struct hak_known_account *old = p->known;

	if (old->account == p->id.account)
		return;
	p->known = hak_known_enter(&m->known, p->id.account, m->shares.secret);
	if (p->known)
		hak_known_leave(&m->known, old, m->shares.secret);
	else
		p->known = old;
}

int hak_process_added(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	struct hak_process **bucket = bucket_of(m, p->id.pid);
	int r = count_in(p);

	if (r < 0)
		return r;
	p->next_hash = *bucket;
	*bucket = p;
	p->next = m->processes;
	if (p->next)
		p->next->prev = p;
	m->processes = p;
	m->processes_n++;
	hak_apply_first(p);
	hak_log(LOG_DEBUG, "process %d is on hakmem", (int)p->id.pid);
	TELL(m, added, p);
	return 0;
}

void hak_process_changed(struct hak_process *p)
{
	TELL(p->manager, changed, p);
}

void hak_process_remove(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	struct hak_process **at = bucket_of(m, p->id.pid);

	hak_log(LOG_DEBUG, "process %d is gone", (int)p->id.pid);
	if (m->at == p)
		m->at = p->next;
	TELL(m, removed, p);
	while (*at != p)
		at = &(*at)->next_hash;
	*at = p->next_hash;
	if (p->prev)
		p->prev->next = p->next;
	else
		m->processes = p->next;
	if (p->next)
		p->next->prev = p->prev;
	m->processes_n--;
	hak_known_leave(&m->known, p->known, m->shares.secret);
	if (p->effect.pressure)
		m->pressure_stale = true;
	free_process(p);
}

/* -- the look at all of them ------------------------------------------------------------------- */
/* A user may get a name while its processes run: the name service came later, or somebody was
 * added. */
static void name_user(struct hak_process *p)
{
	char before[HAK_USER_BYTES];

	if (!hak_policy_needs_user(p->manager->policies))
		return;
	memcpy(before, p->id.user, sizeof(before));
	hak_identity_name_user(&p->id);
	if (strcmp(before, p->id.user) == 0)
		return;
	hak_apply(p);
	hak_process_changed(p);
}

void hak_manager_look(struct hak_manager *m)
{
	if (++m->look % SWAP_EVERY == 0)
		look_for_page_out(m);
	if (m->look % NAMES_EVERY == 0)
		hak_identity_forget_users();
	hak_shares_look(&m->shares);
	m->at = m->processes;
}

/* False: it is gone. */
static bool look_at(struct hak_process *p)
{
	if (!hak_discovery_still(p)) {
		hak_process_remove(p);
		return false;
	}
	if (p->manager->look % NAMES_EVERY == 0)
		name_user(p);
	hak_discovery_refresh(p);
	if (p->reloaded)
		hak_apply_later(p);
	hak_apply_look(p);
	if (p->reloaded) {
		p->reloaded = false;
		hak_process_changed(p);
	}
	hak_purge_look(p);
	hak_lazy_look(p);
	return true;
}

bool hak_manager_slice(struct hak_manager *m)
{
	struct hak_shares *s = &m->shares;
	struct hak_process *p;

	if (!m->at && s->waits)
		m->at = m->processes;
	hak_shares_begin(s);
	while ((p = m->at)) {
		if (s->left_ns <= 0)
			return true;
		m->at = p->next;
		if (hak_share_enter(s, p->id.account, &p->turn))
			hak_share_leave(s, look_at(p) ? &p->turn : NULL);
	}
	return s->waits;
}

void hak_manager_looked(struct hak_manager *m)
{
	if (m->pressure_stale)
		hak_pressure_update(m);
	hak_state_save(m);
	hak_manager_status(m);
	TELL(m, tick, m);
}

uint64_t hak_manager_put_off(const struct hak_manager *m)
{
	return m->shares.put_off + hak_discovery_put_off(m) + m->refused + m->reads_put_off;
}

void hak_manager_status(struct hak_manager *m)
{
	char returned[HAK_VALUE_TEXT], late[40] = "", status[sizeof(m->status)];
	uint64_t put_off = hak_manager_put_off(m);

	hak_bytes_format(m->returned_bytes, returned);
	if (put_off)
		snprintf(late, sizeof(late), ", put off %llu times", (unsigned long long)put_off);
	snprintf(status, sizeof(status), "%zu process%s, %zu polic%s, %s returned%s",
		 m->processes_n, m->processes_n == 1 ? "" : "es", m->policies->n,
		 m->policies->n == 1 ? "y" : "ies", returned, late);
	if (strcmp(status, m->status) == 0)
		return;
	strcpy(m->status, status);
	sd_notifyf(false, "STATUS=%s", status);
}

/* -- reload ------------------------------------------------------------------------------------ */
static void tell_problems(const struct hak_policy_set *set)
{
	for (size_t i = 0; i < set->problems_n; i++) {
		const struct hak_policy_problem *problem = &set->problem[i];
		char why[4 * HAK_WHY_TEXT], path[4 * HAK_PATH_BYTES], line[16];
		const struct hak_field fields[] = {
			{ "HAKMEM_RULE_FILE", problem->path },
			{ "HAKMEM_RULE_LINE", problem->line ? line : NULL },
			{ "HAKMEM_WHY", problem->why },
		};

		snprintf(line, sizeof(line), "%u", problem->line);
		hak_escape(problem->why, why, sizeof(why));
		hak_escape(problem->path, path, sizeof(path));
		hak_event(LOG_WARNING, HAK_MESSAGE_BAD_POLICY, fields, 3, "%s%s%s: %s", path,
			  problem->line ? ":" : "", problem->line ? line : "", why);
	}
}

int hak_manager_reload(struct hak_manager *m)
{
	struct hak_policy_set *policies, *old = m->policies;
	struct hak_conf conf;
	char *path = hak_policy_path();
	int r = path ? hak_policy_load(path, &policies) : -ENOMEM;

	free(path);
	if (r < 0)
		return hak_log_error(r, "cannot read the policies; those in force stay");
	tell_problems(policies);
	r = hak_conf_load(&conf);
	if (r < 0)
		hak_log_error(r, "cannot read hakmemd.conf");
	m->conf = conf;
	m->policies = policies;
	m->state_stale = true;
	hak_identity_forget_users();
	/* Most are written before the reload is said to be done; the rest in the next slices. */
	hak_shares_begin(&m->shares);
	for (struct hak_process *p = m->processes; p; p = p->next) {
		if (hak_share_enter(&m->shares, p->id.account, NULL)) {
			hak_apply(p);
			hak_process_changed(p);
			hak_share_leave(&m->shares, NULL);
		} else {
			/* what it points into goes; what it is now, the next look works out */
			p->effect = (struct hak_effect){ .cached_max = UINT64_MAX };
			p->reloaded = true;
		}
	}
	hak_policy_free(old);
	hak_discovery_hurry(m);
	hak_pressure_update(m);
	TELL(m, reloaded, m);
	hak_log(LOG_INFO, "%zu polic%s in force, %zu problem%s", policies->n,
		policies->n == 1 ? "y" : "ies", policies->problems_n,
		policies->problems_n == 1 ? "" : "s");
	return 0;
}
