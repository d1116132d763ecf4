/* SPDX-License-Identifier: MIT */
/*
 * The table of processes and its observers, see process.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "hakmemd/journal.h"
#include "hakmemd/process.h"

/* -- observers --------------------------------------------------------------------------------- */
int hak_processes_observe(struct hak_manager *m, const struct hak_observer *observer, void *arg)
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

void hak_tell_added(struct hak_process *p)
{
	TELL(p->manager, added, p);
}

void hak_tell_changed(struct hak_process *p)
{
	TELL(p->manager, changed, p);
}

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

void hak_tell_reloaded(struct hak_manager *m)
{
	TELL(m, reloaded, m);
}

void hak_tell_tick(struct hak_manager *m)
{
	TELL(m, tick, m);
}

/* -- processes --------------------------------------------------------------------------------- */
static unsigned place_of(pid_t pid)
{
	return (unsigned)pid % HAK_BUCKETS;
}

struct hak_process *hak_process_find(const struct hak_manager *m, pid_t pid, uint64_t start_ticks)
{
	for (struct hak_process *p = m->bucket[place_of(pid)]; p; p = p->next_hash)
		if (p->id.pid == pid && (!start_ticks || p->id.start_ticks == start_ticks))
			return p;
	return NULL;
}

/* Removes the newest process of the account that has most. The list begins with the newest
 * process. */
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

int hak_process_enter(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	struct hak_process **bucket = &m->bucket[place_of(p->id.pid)];
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
	hak_log(LOG_DEBUG, "process %d is on hakmem", (int)p->id.pid);
	return 0;
}

static void free_process(struct hak_process *p)
{
	sd_event_source_disable_unref(p->end);
	hak_program_close(&p->program);
	hak_segment_close(p->seg);
	free(p);
}

void hak_process_remove(struct hak_process *p)
{
	struct hak_manager *m = p->manager;
	struct hak_process **at = &m->bucket[place_of(p->id.pid)];

	hak_log(LOG_DEBUG, "process %d has ended", (int)p->id.pid);
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

void hak_processes_free(struct hak_manager *m)
{
	struct hak_process *p, *next;

	for (p = m->processes; p; p = next) {
		next = p->next;
		hak_known_leave(&m->known, p->known, m->shares.secret);
		free_process(p);
	}
	m->processes = NULL;
}
