/* SPDX-License-Identifier: MIT */
/*
 * The socket on which metrics are asked for: strangers connect, send one line, get a text.
 *
 * Any user may connect, so each costs a bounded amount: so many at a time, and few of one user; so
 * long each; a line of so many bytes; texts are shared, two of a format at most. Nothing here
 * blocks.
 */
#ifndef HAK_SCRAPES_H
#define HAK_SCRAPES_H

#include <systemd/sd-event.h>

#include "control/scrape.h"

struct hak_scrapes;

/* A text of that format in a new buffer, to be freed by free(). 0 or -errno. */
typedef int hak_scrape_text(enum hak_metrics_format format, void *arg, char **ret,
			    size_t *ret_bytes);

/* 0 or -errno. A socket that is left from before is replaced: the folder is the caller's alone. */
int hak_scrapes_start(sd_event *event, const char *path, hak_scrape_text *text, void *arg,
		      struct hak_scrapes **ret);
void hak_scrapes_stop(struct hak_scrapes *s); /* NULL is fine */

#endif
