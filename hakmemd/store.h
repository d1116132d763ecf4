/* SPDX-License-Identifier: MIT */
/*
 * A text that survives the daemon: a memfd in systemd's descriptor store, by name. Without systemd
 * it lasts as long as the process. What it must never be is a descriptor of a segment, whose lock
 * would say that somebody still pages out.
 *
 * The memfd holds two slots. A save writes the older one and makes it valid by its head last, so
 * that a daemon that is killed half-way, by the watchdog for instance, leaves the other one whole.
 */
#ifndef HAK_STORE_H
#define HAK_STORE_H

#include <stdio.h>

struct hak_store;

/*
 * Takes over what is stored under that name, or begins anew. The text saved last is the caller's to
 * free; NULL: there is none. 0 or -errno.
 */
int hak_store_open(const char *name, struct hak_store **ret, char **ret_text);

/* Saves what `write` writes. 0 or -errno: the former text stays. */
int hak_store_save(struct hak_store *store, void (*write)(FILE *to, void *arg), void *arg);

void hak_store_close(struct hak_store *store); /* NULL is fine */

#endif
