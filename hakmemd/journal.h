/* SPDX-License-Identifier: MIT */
/*
 * What the daemon says: lines for people by hak_log(), and events with a MESSAGE_ID and fields,
 * which the catalog (hakmem.catalog) explains. To the journal where stderr leads there, else to
 * stderr, one line each.
 *
 * Each user can run processes that give the daemon something to say. What is said of the
 * processes of one account (hak_account()) has a limit in each minute; what the limit holds back is
 * lost, and one line says that it is. Nothing is held back of root's processes.
 *
 * For all of hakmemd. Strings of strangers are escaped here, by hak_event(); hak_log() takes what
 * was escaped already.
 */
#ifndef HAK_JOURNAL_H
#define HAK_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <syslog.h>

#include "control/changes.h" /* HAK_MESSAGE_TUNABLE, and the names of its fields */

#define HAK_MESSAGE_PURGE      "5e82c1f4522d4eb7b71567e71c866467"
#define HAK_MESSAGE_PRESSURE   "254d48bed860437b830c3eb0fb14838b"
#define HAK_MESSAGE_HOSTILE    "d65a8791bfe24f169ed6c7c43f5b2dea"
#define HAK_MESSAGE_BAD_POLICY "8cd01dbac3d84abea23f382f3cddf138"

struct hak_field {
	const char *name;  /* "HAKMEM_TUNABLE" */
	const char *value; /* NULL: this field is left out */
};

/* Above this level (LOG_DEBUG is the highest) nothing is said. */
void hak_log_level(int level);

void hak_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs "what: strerror" and returns `error`, which is negative. */
int hak_log_error(int error, const char *what);

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* How many entries one account's processes may cause in a minute. */
#define HAK_TOLD_OF_ACCOUNT 1024u

/* How many are left in this minute; that `n` were written. */
unsigned hak_told_left(uid_t account);
void hak_told_add(uid_t account, unsigned n);
/* Whether one may be written, which is counted. */
bool hak_may_tell(uid_t account);

#endif
