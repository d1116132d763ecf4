/* SPDX-License-Identifier: MIT */
/*
 * The socket on which clients request metrics. A client connects, sends one line, and reads a text.
 *
 * Any user may connect, so the cost of a client is limited: the number of clients in all and of one
 * user, the time of each, and the length of the line. Texts are shared, and there are at most two
 * of each format. Nothing here blocks.
 */
#ifndef HAK_SCRAPES_H
#define HAK_SCRAPES_H

#include <systemd/sd-event.h>

#include "control/scrape.h"

struct hak_scrapes;

/* Makes a text of this format in a new buffer, which is freed by free(). Returns 0 or -errno. */
typedef int hak_scrape_text(enum hak_metrics_format format, void *arg, char **ret,
			    size_t *ret_bytes);

/* Returns 0 or -errno. A socket that an earlier run left is replaced, because the folder belongs to
 * the caller alone. */
int hak_scrapes_start(sd_event *event, const char *path, hak_scrape_text *text, void *arg,
		      struct hak_scrapes **ret);
void hak_scrapes_stop(struct hak_scrapes *s); /* may be NULL */

#endif
