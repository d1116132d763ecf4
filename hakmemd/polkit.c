/* SPDX-License-Identifier: MIT */
/*
 * Calls CheckAuthorization of org.freedesktop.PolicyKit1 asynchronously. libpolkit would need a
 * second event loop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/escape.h"
#include "hakmemd/bus.h"

#define ALLOW_USER_INTERACTION 1u
/* The user may have to look up the password. polkit gives up earlier than this. */
#define PATIENCE_US 300000000u

struct question {
	void (*done)(int result, const char *why, void *arg);
	void *arg;
	char action[64];
};

static int answered(sd_bus_message *reply, void *arg, sd_bus_error *unused)
{
	const struct question *q = arg;
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	char why[HAK_WHY_TEXT];
	int allowed = 0, challenge = 0, r;

	(void)unused;
	if (error) {
		snprintf(why, sizeof(why), "only root may do this: polkit does not answer (%.120s)",
			 error->name);
		q->done(-EACCES, why, q->arg);
		return 0;
	}
	r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
	if (r >= 0)
		r = sd_bus_message_read(reply, "bb", &allowed, &challenge);
	if (r >= 0 && allowed) {
		q->done(0, NULL, q->arg);
		return 0;
	}
	snprintf(why, sizeof(why), "polkit does not allow %s%s", q->action,
		 r >= 0 && challenge ? " without asking the user" : "");
	q->done(r >= 0 && challenge ? -ENOTUNIQ : -EACCES, why, q->arg);
	return 0;
}

static int append_details(sd_bus_message *m, const struct hak_process *p)
{
	char pid[16], comm[4 * HAK_COMM_BYTES], unit[4 * HAK_UNIT_NAME_BYTES], uid[16];

	if (!p)
		return sd_bus_message_append(m, "a{ss}", 0);
	snprintf(pid, sizeof(pid), "%d", (int)p->id.pid);
	snprintf(uid, sizeof(uid), "%u", (unsigned)p->id.uid);
	hak_escape(p->id.comm, comm, sizeof(comm));
	hak_escape(p->id.unit, unit, sizeof(unit));
	return sd_bus_message_append(m, "a{ss}", 4, "pid", pid, "uid", uid, "command", comm, "unit",
				     unit);
}

static int new_question(sd_bus *bus, sd_bus_message *message, const char *action,
			const struct hak_process *p, sd_bus_message **ret)
{
	bool interactive = sd_bus_message_get_allow_interactive_authorization(message) > 0;
	int r = sd_bus_message_new_method_call(bus, ret, "org.freedesktop.PolicyKit1",
					       "/org/freedesktop/PolicyKit1/Authority",
					       "org.freedesktop.PolicyKit1.Authority",
					       "CheckAuthorization");

	if (r >= 0)
		r = sd_bus_message_append(*ret, "(sa{sv})s", "system-bus-name", 1, "name", "s",
					  sd_bus_message_get_sender(message), action);
	if (r >= 0)
		r = append_details(*ret, p);
	if (r >= 0)
		r = sd_bus_message_append(*ret, "us", interactive ? ALLOW_USER_INTERACTION : 0, "");
	return r;
}

int hak_polkit_ask(sd_bus *bus, sd_bus_message *message, const char *action,
		   const struct hak_process *p,
		   void (*done)(int result, const char *why, void *arg), void *arg,
		   sd_bus_slot **ret)
{
	struct question *q = calloc(1, sizeof(*q));
	sd_bus_message *m = NULL;
	sd_bus_slot *slot = NULL;
	int r;

	if (!q)
		return -ENOMEM;
	q->done = done;
	q->arg = arg;
	snprintf(q->action, sizeof(q->action), "%s", action);
	r = new_question(bus, message, action, p, &m);
	if (r >= 0)
		r = sd_bus_call_async(bus, &slot, m, answered, q, PATIENCE_US);
	sd_bus_message_unref(m);
	if (r >= 0)
		r = sd_bus_slot_set_destroy_callback(slot, free);
	if (r < 0) {
		sd_bus_slot_unref(slot);
		free(q);
		return r;
	}
	*ret = slot;
	return 0;
}
