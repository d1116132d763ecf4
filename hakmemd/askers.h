/* SPDX-License-Identifier: MIT */
/*
 * Who asks on the bus, and how much of our time each user's questions may take: a tenth, after a
 * quarter of a second that is free. Beyond that they are refused unseen, so that no user keeps
 * others waiting. Root is not counted.
 *
 * The bus hands us one message after the other, whoever sent it, so that refusing has to be faster
 * than dbus-daemon is: a refusal is answered a hundred times in a second, and those beyond that are
 * thrown away. Those that are there are thrown away together, in one turn of the event loop.
 *
 * Which user that is, dbus-daemon is asked once about each of a few thousand connections; asking is
 * work for that user.
 *
 * Time is what the processor spends from the arrival of a message until the event loop goes on;
 * what is done for it later, when a process or polkit has answered, is charged by who does it. For
 * bus.c and call.c.
 */
#ifndef HAK_ASKERS_H
#define HAK_ASKERS_H

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "hakmemd/owner.h"

struct hak_askers;

/* 0 or -errno. For one connection: names on another bus are others'. `address` is the bus's, and
 * stays; `refused` counts refusals. */
int hak_askers_new(sd_event *event, sd_bus *bus, const char *address, uint64_t *refused,
		   struct hak_askers **ret);
void hak_askers_free(struct hak_askers *a); /* NULL is fine */

struct hak_asker {
	uid_t uid;
	uid_t account; /* whose share of our time counts, see hak_account() */
};

/* Who is behind a message: 0, or -errno when nobody is there any more. */
int hak_askers_who(struct hak_askers *a, sd_bus_message *message, struct hak_asker *ret);

/* All that the bus itself knows of the sender, asked anew; as hak_credentials_of(). */
int hak_askers_caller(struct hak_askers *a, sd_bus_message *message, struct hak_caller *ret);

/* A message of a stranger's came in. 0: it may be looked at, and is counted from now on; -EDQUOT:
 * it may not; -EBUSY: nor is it answered; or as hak_askers_who(). */
int hak_askers_begin(struct hak_askers *a, sd_bus_message *message);

/* Work was done for this user that begin() does not see. */
void hak_askers_charge(struct hak_askers *a, uid_t account, int64_t ns);
/* Whether more was done for the user than there is time for: what can wait waits. */
bool hak_askers_owes(struct hak_askers *a, uid_t account);

#endif
