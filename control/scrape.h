/* SPDX-License-Identifier: MIT */
/*
 * Asks hakmemd for its metrics: the client's side of the socket that hakmemd serves.
 *
 * A client connects, sends one line, "openmetrics" or "prometheus", and reads the text up to the
 * end of the stream. The text has sums per unit only. Every user may ask, because every user may
 * read `systemctl status` too. For hakmemctl and hakmem-exporter. Blocks for a bounded time.
 */
#ifndef HAK_SCRAPE_H
#define HAK_SCRAPE_H

#include <stddef.h>
#include <stdint.h>

#include "control/metrics.h"

#define HAK_METRICS_SOCKET    "/run/hakmem/metrics"
#define HAK_METRICS_MAX_BYTES (64u << 20)

/* Returns -EINVAL if there is no format of that name. */
int hak_metrics_format_of(const char *word, enum hak_metrics_format *ret);

/*
 * Stores the text in a new buffer, ended by a NUL that *ret_bytes does not count. Returns 0, or
 * with a sentence in `why`: -ENOENT, -ECONNREFUSED (no daemon there), -EACCES, -ETIMEDOUT, -EFBIG,
 * or the error of a call.
 */
int hak_metrics_ask(const char *path, enum hak_metrics_format format, uint64_t timeout_ns,
		    char **ret, size_t *ret_bytes, char why[HAK_WHY_TEXT]);

#endif
