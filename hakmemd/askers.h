/* SPDX-License-Identifier: MIT */
/*
 * Limits the time that each user's calls on the bus may take: a tenth of a processor, after a
 * quarter of a second that is free. Beyond that the calls are refused unread, so that no user keeps
 * the others waiting. Root is not limited.
 *
 * The bus delivers messages in order, whichever user sent them, so the daemon must refuse messages
 * faster than dbus-daemon delivers them. One hundred refusals a second are answered. Further
 * messages are discarded, all that have arrived in one turn of the event loop.
 *
 * The user of a connection comes from dbus-daemon, which is asked once for each of a few thousand
 * connections. This request is charged to the user.
 *
 * The time of a message is the processor time from its arrival until the event loop continues. Work
 * that is done later, after a process or polkit has answered, is charged by the code that does it.
 * For bus.c and call.c.
 */
#ifndef HAK_ASKERS_H
#define HAK_ASKERS_H

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "hakmemd/owner.h"

struct hak_askers;

/* Returns 0 or -errno. For one connection, because another bus has other names. `address` is the
 * address of the bus and must stay valid. `refused` counts refusals. */
int hak_askers_new(sd_event *event, sd_bus *bus, const char *address, uint64_t *refused,
		   struct hak_askers **ret);
void hak_askers_free(struct hak_askers *a); /* may be NULL */

struct hak_asker {
	uid_t uid;
	uid_t account; /* the account whose share is used, see hak_account() */
};

/* Finds the user behind a message: 0, or -errno when the sender has left the bus. */
int hak_askers_who(struct hak_askers *a, sd_bus_message *message, struct hak_asker *ret);

/* Asks dbus-daemon for all that it knows of the sender; results as hak_credentials_of(). */
int hak_askers_caller(struct hak_askers *a, sd_bus_message *message, struct hak_caller *ret);

/* Is called for each call that arrives from a user other than root. 0: the message may be handled,
 * and is charged from now on; -EDQUOT: it must be refused; -EBUSY: it must be discarded without an
 * answer; or an error of hak_askers_who(). */
int hak_askers_begin(struct hak_askers *a, sd_bus_message *message);

/* Charges work for this user that hak_askers_begin() does not see. */
void hak_askers_charge(struct hak_askers *a, uid_t account, int64_t ns);
/* Whether the user has used more time than it has. Work that can wait then waits. */
bool hak_askers_owes(struct hak_askers *a, uid_t account);

#endif
