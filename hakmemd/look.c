/* SPDX-License-Identifier: MIT */
/*
 * The looks at all processes, see look.h.
 */
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "control/pageout.h"
#include "hakmemd/apply.h"
#include "hakmemd/discover.h"
#include "hakmemd/journal.h"
#include "hakmemd/lazy.h"
#include "hakmemd/look.h"
#include "hakmemd/pressure.h"
#include "hakmemd/purge.h"
#include "hakmemd/state.h"

#define SWAP_EVERY  32u /* looks */
#define NAMES_EVERY 64u
/* A pause lasts this many times as long as the slice before it. */
#define PAUSE	     9u
#define PAUSE_MIN_US 1000u
/* The longest pause, whatever delayed the slice, because processes of other users wait as well. */
#define PAUSE_MAX_US 1000000u

/* -- known processes --------------------------------------------------------------------------- */
/* A user may get a name while its processes run, because the name service started later or the user
 * was added. */
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
	hak_tell_changed(p);
}

/* Swap may be switched on and off. */
static void look_for_page_out(struct hak_manager *m)
{
	char why[HAK_WHY_TEXT];
	bool can = hak_pageout_possible(why) == 0;

	if (m->can_page_out && !can)
		hak_log(LOG_INFO, "lazily freed memory stays until the kernel needs it: %s", why);
	m->can_page_out = can;
}

static void begin(struct hak_manager *m)
{
	m->pace.going = true;
	if (++m->look % SWAP_EVERY == 0)
		look_for_page_out(m);
	if (m->look % NAMES_EVERY == 0)
		hak_identity_forget_users();
	hak_shares_look(&m->shares);
	m->at = m->processes;
}

/* False if the process has ended. */
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
		hak_tell_changed(p);
	}
	hak_purge_look(p);
	hak_lazy_look(p);
	return true;
}

static bool slice(struct hak_manager *m)
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

uint64_t hak_look_put_off(const struct hak_manager *m)
{
	return m->shares.put_off + hak_discovery_put_off(m) + m->refused + m->reads_put_off;
}

void hak_look_status(struct hak_manager *m)
{
	char returned[HAK_VALUE_TEXT], late[48] = "", bad[48] = "", status[sizeof(m->status)];
	uint64_t put_off = hak_look_put_off(m);
	size_t problems = hak_manager_problems(m);

	hak_bytes_format(m->returned_bytes, returned);
	if (put_off)
		snprintf(late, sizeof(late), ", put off %llu time%s", (unsigned long long)put_off,
			 put_off == 1 ? "" : "s");
	if (problems)
		snprintf(bad, sizeof(bad), ", %zu problem%s in files", problems,
			 problems == 1 ? "" : "s");
	snprintf(status, sizeof(status), "%zu process%s, %zu polic%s, %s returned%s%s",
		 m->processes_n, m->processes_n == 1 ? "" : "es", m->policies->n,
		 m->policies->n == 1 ? "y" : "ies", returned, late, bad);
	if (strcmp(status, m->status) == 0)
		return;
	strcpy(m->status, status);
	sd_notifyf(false, "STATUS=%s", status);
}

static void end(struct hak_manager *m)
{
	m->pace.going = false;
	if (m->pressure_stale)
		hak_pressure_update(m);
	hak_state_save(m);
	hak_look_status(m);
	hak_tell_tick(m);
}

/* -- the pace ---------------------------------------------------------------------------------- */
/* Schedules the next slice or look from the end of this one, because its duration was not known
 * before. */
static void pause_from_now(struct hak_manager *m, uint64_t begun_us, bool more)
{
	uint64_t now_us = hak_monotonic_ns() / 1000, pause_us = (now_us - begun_us) * PAUSE;

	if (pause_us < PAUSE_MIN_US)
		pause_us = PAUSE_MIN_US;
	if (pause_us > PAUSE_MAX_US)
		pause_us = PAUSE_MAX_US;
	if (!more && now_us + pause_us < m->pace.next_us)
		sd_event_source_set_time(m->pace.timer, m->pace.next_us);
	else
		sd_event_source_set_time(m->pace.timer, now_us + pause_us);
}

static int on_timer(sd_event_source *source, uint64_t unused, void *arg)
{
	struct hak_manager *m = arg;
	uint64_t begun_us = hak_monotonic_ns() / 1000;
	bool more;

	if (!m->pace.going && begun_us >= m->pace.next_us) {
		begin(m);
		hak_discovery_begin(m);
	}
	more = slice(m);
	more |= hak_discovery_slice(m);
	if (m->pace.going && !m->at && hak_discovery_over(m)) {
		end(m);
		m->pace.next_us = hak_monotonic_ns() / 1000 + m->conf.look_us;
	}
	pause_from_now(m, begun_us, more);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void hak_look_hurry(struct hak_manager *m)
{
	/* Processes that were examined in this look are examined once more. */
	hak_shares_look(&m->shares);
	m->at = m->processes;
	if (m->pace.timer)
		pause_from_now(m, hak_monotonic_ns() / 1000, true);
}

int hak_look_start(struct hak_manager *m)
{
	int r;

	look_for_page_out(m);
	begin(m);
	r = hak_discovery_start(m);
	return r < 0 ? r
		     : sd_event_add_time_relative(m->event, &m->pace.timer, CLOCK_MONOTONIC,
						  PAUSE_MIN_US, 0, on_timer, m);
}

void hak_look_stop(struct hak_manager *m)
{
	m->pace.timer = sd_event_source_disable_unref(m->pace.timer);
	hak_discovery_stop(m);
}
