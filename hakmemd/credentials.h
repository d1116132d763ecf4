/* SPDX-License-Identifier: MIT */
/*
 * The credentials of a connection as dbus-daemon reports them. Nothing of this comes from /proc.
 *
 * The daemon asks dbus-daemon over a separate connection and waits for the answer. On the
 * connection that calls arrive on, the answer would arrive after all calls. If other clients send
 * messages to the separate connection, it is replaced by a new one. The connection accepts
 * descriptors, so that a dbus-daemon that has a pidfd of the caller (1.15.8) passes it on. For
 * askers.c.
 */
#ifndef HAK_CREDENTIALS_H
#define HAK_CREDENTIALS_H

#include "hakmemd/owner.h"

struct hak_credentials;

/* Returns 0 or -errno. `address` is the address of the bus and must stay valid. */
int hak_credentials_new(const char *address, struct hak_credentials **ret);
void hak_credentials_free(struct hak_credentials *c); /* may be NULL */

/* Asks for the credentials of the connection `name`. Returns 0, -ENXIO when the connection is
 * closed, or another error. The caller closes ret->pidfd. */
int hak_credentials_of(struct hak_credentials *c, const char *name, struct hak_caller *ret);

#endif
