/* SPDX-License-Identifier: MIT */
/*
 * The messages of the daemon: lines for people by hak_log(), and events with a MESSAGE_ID and
 * fields, which the catalog (hakmem.catalog) explains. They go to the journal if standard error
 * leads there, and else to standard error, one line each.
 *
 * Each user can run processes about which the daemon has something to report. The number of
 * messages about the processes of one account (hak_account()) is limited in each minute. Messages
 * beyond the limit are lost, and one line reports the loss. Messages about root's processes are not
 * limited.
 *
 * For all of hakmemd. hak_event() escapes strings that other processes choose. hak_log() takes
 * strings that are escaped already.
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
#define HAK_MESSAGE_LIMIT      "1b1b759856124f918e6607bae1790ecd"
#define HAK_MESSAGE_UNANSWERED "831e27723801446c86aaff2c80037941"
#define HAK_MESSAGE_NO_AGENT   "59840141671b4703af7c9510269e3206"

struct hak_field {
	const char *name;  /* such as "HAKMEM_TUNABLE" */
	const char *value; /* NULL: the field is left out */
};

/* Messages above this level are dropped; LOG_DEBUG is the highest level. */
void hak_log_level(int level);

void hak_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Logs "what: strerror" and returns `error`, which is negative. */
int hak_log_error(int error, const char *what);

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The number of entries that the processes of one account may cause in a minute. */
#define HAK_TOLD_OF_ACCOUNT 1024u

/* The number of entries left in this minute, and a note that `n` entries were written. */
unsigned hak_told_left(uid_t account);
void hak_told_add(uid_t account, unsigned n);
/* Whether one more entry may be written; counts it. */
bool hak_may_tell(uid_t account);

#endif
