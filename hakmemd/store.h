/* SPDX-License-Identifier: MIT */
/*
 * A text that survives the daemon, in a memfd with a name in systemd's descriptor store. Without
 * systemd the text lasts as long as the process. The descriptor store must never contain a
 * descriptor of a segment, because its lock would claim that a controller still pages out.
 *
 * The memfd has two slots. A save writes the older slot, and makes it valid by writing its head
 * last. If the daemon is killed during a save, for example by the watchdog, the other slot is still
 * complete.
 */
#ifndef HAK_STORE_H
#define HAK_STORE_H

#include <stdio.h>

struct hak_store;

/*
 * Takes over the text that is stored under this name, or begins a new one. The caller frees the
 * text that was saved last; NULL: there is none. Returns 0 or -errno.
 */
int hak_store_open(const char *name, struct hak_store **ret, char **ret_text);

/* Saves the text that `write` writes. Returns 0, or -errno; then the former text stays. */
int hak_store_save(struct hak_store *store, void (*write)(FILE *to, void *arg), void *arg);

void hak_store_close(struct hak_store *store); /* may be NULL */

#endif
