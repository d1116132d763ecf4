/* SPDX-License-Identifier: MIT */
/*
 * Writes the values of the policies into the policy layer of each process, and reports the values
 * that a process has in force to the journal.
 *
 * The tune page is the record of what the daemon set: its policy slots belong to the daemon. When a
 * process is first seen, and at a reload, a slot that no policy sets is removed. Between reloads, a
 * slot that another controller changed is written again, a few times only, because two daemons, one
 * in a container and one around it, must not write against each other for ever. The admin slots are
 * never written.
 *
 * The daemon remembers the values in force of each process. A difference is an event, whether a
 * policy, an administrator, a deadline or the program caused it.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/changes.h"
#include "control/escape.h"
#include "hakmemd/apply.h"
#include "hakmemd/journal.h"

/* The number of events of one process that are reported in a minute. A process may change its
 * values at any rate. */
#define EVENTS_MAX 64u
#define EVENTS_NS  60000000000u
/* The number of repairs of a policy layer between two reloads. */
#define REPAIRS_MAX 8u
#define BUSY_NS	    1000000000u /* a lock that is held for longer is logged */

/* -- writing ----------------------------------------------------------------------------------- */
/* The row of hak_tunable_rows for a tunable of the process; -1 if the tunable is newer than the
 * daemon. */
static int row_of(const struct hak_tunable_desc *desc)
{
	const struct hak_tunable_row *row = hak_tunable_row_by_id(desc->id);

	return row ? (int)(row - hak_tunable_rows) : -1;
}

/* The value that the effect sets, as the process encodes it: the words of an ENUM may have other
 * indices there. */
static bool wanted(const struct hak_process *p, uint32_t index, uint64_t *ret)
{
	const struct hak_tunable_desc *desc = &p->seg->tunable[index];
	struct hak_spec its = hak_spec_of_desc(desc), ours;
	char text[HAK_VALUE_TEXT], why[HAK_WHY_TEXT];
	int row = row_of(desc);

	if (row < 0 || !p->effect.tunable_of[row] || desc->when == HAK_WHEN_START)
		return false;
	ours = hak_spec_of_row(&hak_tunable_rows[row]);
	hak_value_format(&ours, p->effect.tunable[row], text);
	return hak_value_parse(&its, text, ret, why) == 0;
}

/* The changes that the policy layer needs; with `all`, also the slots that must be removed. */
static size_t plan(const struct hak_process *p, const struct hak_tune *tune, bool all,
		   struct hak_change *changes)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->seg->header.tunables; i++) {
		const struct hak_tune_slot *slot = &tune->slot[i].policy;
		struct hak_change change = { .index = i };

		change.set = wanted(p, i, &change.value);
		if (!change.set && !(slot->set && all))
			continue;
		if (change.set && slot->set && slot->value == change.value && !slot->deadline_ns)
			continue;
		changes[n++] = change;
	}
	return n;
}

static bool may_tell(struct hak_process *p)
{
	uint64_t now = hak_monotonic_ns();

	if (now - p->told_since_ns > EVENTS_NS) {
		p->told_since_ns = now;
		p->told_n = 0;
	}
	if (p->told_n >= EVENTS_MAX || !hak_may_tell(p->id.account))
		return false;
	p->told_n++;
	return true;
}

static void trouble(struct hak_process *p, int error, const char *why)
{
	char shown[4 * HAK_WHY_TEXT];
	uint64_t now = hak_monotonic_ns();

	p->dirty_policy = error == -EBUSY;
	/* A writer holds the lock for a moment while it changes tunables. */
	if (error == -EBUSY && !p->busy_since_ns)
		p->busy_since_ns = now;
	if (error == -EBUSY && now - p->busy_since_ns < BUSY_NS)
		return;
	if (strcmp(p->trouble, why) == 0)
		return;
	snprintf(p->trouble, sizeof(p->trouble), "%s", why);
	hak_escape(why, shown, sizeof(shown));
	if (error != -ESRCH && may_tell(p))
		hak_log(LOG_NOTICE, "process %d: policy is not applied: %s", (int)p->id.pid, shown);
	hak_tell_changed(p);
}

static void settle(struct hak_process *p)
{
	p->busy_since_ns = 0;
	if (!p->trouble[0])
		return;
	p->trouble[0] = '\0';
	hak_tell_changed(p);
}

static void write_layer(struct hak_process *p, bool all)
{
	struct hak_change changes[HAK_MAX_TUNABLES];
	struct hak_tune tune;
	char why[HAK_WHY_TEXT];
	uint64_t generation;
	size_t n;
	int r;

	p->dirty_policy = false;
	r = hak_segment_read_tune(p->seg, &tune);
	if (r < 0) {
		snprintf(why, sizeof(why), "its tunables cannot be read: %s", strerror(-r));
		trouble(p, r, why);
		return;
	}
	n = plan(p, &tune, all, changes);
	if (n == 0) {
		settle(p);
		return;
	}
	if (!all && p->repairs++ >= REPAIRS_MAX) {
		trouble(p, -EEXIST, "another controller keeps writing the policy layer");
		return;
	}
	r = hak_tune_write(p->seg, HAK_ORIGIN_POLICY, changes, n, &generation, why);
	if (r < 0) {
		trouble(p, r, why);
		return;
	}
	p->generation = generation;
	settle(p);
}

void hak_apply_later(struct hak_process *p)
{
	struct hak_manager *m = p->manager;

	if (hak_policy_needs_user(m->policies))
		hak_identity_name_user(&p->id);
	hak_policy_effect(m->policies, &p->id, &p->effect);
	m->pressure_stale = true;
	p->repairs = 0;
	p->dirty_policy = true;
}

void hak_apply(struct hak_process *p)
{
	hak_apply_later(p);
	write_layer(p, true);
}

/* -- changed values ---------------------------------------------------------------------------- */
static void format(const struct hak_tunable_desc *desc, uint64_t value, char out[HAK_VALUE_TEXT])
{
	struct hak_spec spec = hak_spec_of_desc(desc);

	hak_value_format(&spec, value, out);
}

/*
 * The process reports values, origins and writers, and may report anything. Only the values that
 * the daemon wrote itself are known.
 */
/* "policy web", "user 0, process 4711", "program" and so on, as the process reports it. */
static void name_writer(const struct hak_value_change *change, char *out, size_t bytes)
{
	if (change->ours)
		snprintf(out, bytes, "policy %s", change->rule);
	else if (change->new.origin == HAK_ORIGIN_ADMIN)
		snprintf(out, bytes, "user %u, process %u", change->writer_uid, change->writer_pid);
	else
		snprintf(out, bytes, "%s", hak_origin_word(change->new.origin));
}

static const char *reason_of(const struct hak_value_change *change)
{
	if (change->ours && change->old.origin == HAK_ORIGIN_ADMIN)
		return "policy; its tune page has no administrator's value any more";
	if (change->ours)
		return "policy";
	if (change->new.origin == HAK_ORIGIN_POLICY)
		return "its tune page says: policy";
	if (change->new.origin == HAK_ORIGIN_ADMIN)
		return "its tune page says: set by an administrator";
	if (change->old.origin == HAK_ORIGIN_POLICY && !change->rule)
		return "no policy wants it any more";
	if (change->old.origin == HAK_ORIGIN_ADMIN)
		return "its tune page has no administrator's value any more";
	return "changed by the program";
}

static void journal(struct hak_process *p, const struct hak_value_change *change)
{
	const struct hak_tunable_desc *desc = &p->seg->tunable[change->index];
	char pid[16], old[HAK_VALUE_TEXT], new[HAK_VALUE_TEXT], who[160], start[24];
	char shown_old[4 * HAK_VALUE_TEXT], shown_new[4 * HAK_VALUE_TEXT];
	char name[4 * HAK_NAME_BYTES], shown_who[4 * sizeof(who)], comm[4 * HAK_COMM_BYTES];
	const char *why = reason_of(change);
	bool claimed = !change->ours && (change->new.origin == HAK_ORIGIN_ADMIN ||
					 change->new.origin == HAK_ORIGIN_POLICY);
	const struct hak_field fields[] = {
		{ "OBJECT_PID", pid },
		{ "HAKMEM_START", start },
		{ "HAKMEM_UNIT", p->id.unit[0] ? p->id.unit : NULL },
		{ "HAKMEM_COMMAND", p->id.comm },
		{ "HAKMEM_TUNABLE", desc->name },
		{ "HAKMEM_OLD", old },
		{ "HAKMEM_NEW", new },
		{ "HAKMEM_OLD_ORIGIN", hak_origin_word(change->old.origin) },
		{ "HAKMEM_NEW_ORIGIN", hak_origin_word(change->new.origin) },
		{ HAK_FIELD_WHO, change->ours ? who : NULL },
		{ HAK_FIELD_CLAIMED_WHO, change->ours ? NULL : who },
		{ "HAKMEM_WHY", why },
		{ "HAKMEM_RULE", change->ours ? change->rule : NULL },
	};

	snprintf(pid, sizeof(pid), "%d", (int)p->id.pid);
	snprintf(start, sizeof(start), "%" PRIu64, p->id.start_ticks);
	format(desc, change->old.value, old);
	format(desc, change->new.value, new);
	name_writer(change, who, sizeof(who));
	hak_escape(desc->name, name, sizeof(name));
	hak_escape(old, shown_old, sizeof(shown_old));
	hak_escape(new, shown_new, sizeof(shown_new));
	hak_escape(who, shown_who, sizeof(shown_who));
	hak_escape(p->id.comm, comm, sizeof(comm));
	hak_event(LOG_INFO, HAK_MESSAGE_TUNABLE, fields, sizeof(fields) / sizeof(fields[0]),
		  "process %d (%s): %s: %s -> %s (%s%s)", (int)p->id.pid, comm, name, shown_old,
		  shown_new, claimed ? "its tune page says: " : "", shown_who);
}

static void take_values(struct hak_process *p, bool tell)
{
	struct hak_tunable_state *all;

	if (hak_tunables_read(p->seg, &all) < 0)
		return;
	for (uint32_t i = 0; i < p->seg->header.tunables; i++) {
		const struct hak_tunable_state *s = &all[i];
		struct hak_value now = { s->ack.value, (uint8_t)s->ack.origin };
		struct hak_value_change change = { .index = i, .old = p->value[i], .new = now };
		int row = row_of(&p->seg->tunable[i]);
		uint64_t value;

		p->value[i] = now;
		if (!tell || (change.old.value == now.value && change.old.origin == now.origin))
			continue;
		if (row >= 0 && p->effect.tunable_of[row])
			change.rule = p->effect.tunable_of[row]->name;
		change.ours = now.origin == HAK_ORIGIN_POLICY && wanted(p, i, &value) &&
			      value == now.value;
		if (now.origin == HAK_ORIGIN_ADMIN || now.origin == HAK_ORIGIN_POLICY) {
			change.writer_pid = s->slot[now.origin].writer_pid;
			change.writer_uid = s->slot[now.origin].writer_uid;
		}
		if (!may_tell(p))
			continue;
		journal(p, &change);
		hak_tell_value(p, &change);
	}
	free(all);
}

/*
 * Whether the process acknowledges other values than the daemon remembers. The values themselves
 * are compared, because the end of a deadline and a program that sets a value change no generation.
 */
static bool values_moved(const struct hak_process *p)
{
	const uint32_t n = p->seg->header.tunables;
	struct hak_ack_value value[HAK_MAX_TUNABLES];

	if (hak_segment_read(p->seg, p->seg->header.ack_off + offsetof(struct hak_ack, value),
			     value, n * sizeof(value[0])) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (value[i].value != p->value[i].value ||
		    (uint8_t)value[i].origin != p->value[i].origin)
			return true;
	return false;
}

/* Reads only the word of the page that each change increments. The caller validates the page before
 * it reads more. */
static int read_generation(const struct hak_process *p, uint64_t *ret)
{
	return pread(p->seg->tune_fd, ret, sizeof(*ret),
		     offsetof(struct hak_tune, generation_seq)) == (ssize_t)sizeof(*ret)
		       ? 0
		       : -EIO;
}

void hak_apply_first(struct hak_process *p)
{
	p->locked = p->seg->header.locked;
	read_generation(p, &p->generation);
	take_values(p, false);
	hak_apply(p);
}

void hak_apply_look(struct hak_process *p)
{
	uint64_t generation;

	/* Another controller wrote the page, usually the administrator's layer, which is not the
	 * daemon's. */
	if (read_generation(p, &generation) == 0 &&
	    (p->dirty_policy || generation != p->generation)) {
		p->generation = generation;
		write_layer(p, p->dirty_policy);
	}
	if (values_moved(p))
		take_values(p, true);
}
