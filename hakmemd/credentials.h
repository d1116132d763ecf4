/* SPDX-License-Identifier: MIT */
/*
 * What dbus-daemon says of a connection; nothing of it comes from /proc. It is asked, and waited
 * for, over a connection of its own: on the one that questions come in by, its answer would arrive
 * behind all of them. Where others write to that connection, too, it is replaced by a new one. It
 * takes descriptors, so that a dbus-daemon that has the caller's process as one (1.15.8) hands it
 * out. For askers.c.
 */
#ifndef HAK_CREDENTIALS_H
#define HAK_CREDENTIALS_H

#include "hakmemd/owner.h"

struct hak_credentials;

/* 0 or -errno. `address` is the bus's, and stays. */
int hak_credentials_new(const char *address, struct hak_credentials **ret);
void hak_credentials_free(struct hak_credentials *c); /* NULL is fine */

/* Of the connection `name`, asked anew: 0; -ENXIO when it is not there any more; or another error.
 * The caller closes ret->pidfd. */
int hak_credentials_of(struct hak_credentials *c, const char *name, struct hak_caller *ret);

#endif
