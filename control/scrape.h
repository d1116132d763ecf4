/* SPDX-License-Identifier: MIT */
/*
 * Asking hakmemd for its metrics: the client's side of the socket that it serves.
 *
 * A client connects, sends one line, "openmetrics" or "prometheus", and reads the text up to the
 * end of the stream. Sums per unit only; who may read them may read `systemctl status` too, so
 * everybody may ask. For: hakmemctl, hakmem-exporter. Blocks for a bounded time.
 */
#ifndef HAK_SCRAPE_H
#define HAK_SCRAPE_H

#include <stddef.h>
#include <stdint.h>

#include "control/metrics.h"

#define HAK_METRICS_SOCKET    "/run/hakmem/metrics"
#define HAK_METRICS_MAX_BYTES (64u << 20)

/* -EINVAL if there is none of that name. */
int hak_metrics_format_of(const char *word, enum hak_metrics_format *ret);

/*
 * The text in a new buffer, ended by a NUL that *ret_bytes does not count. 0, or with a sentence in
 * `why`: -ENOENT, -ECONNREFUSED (no daemon there), -EACCES, -ETIMEDOUT, -EFBIG, or what the system
 * said.
 */
int hak_metrics_ask(const char *path, enum hak_metrics_format format, uint64_t timeout_ns,
		    char **ret, size_t *ret_bytes, char why[HAK_WHY_TEXT]);

#endif
