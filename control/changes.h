/* SPDX-License-Identifier: MIT */
/*
 * Changes by users, as entries of the journal. The program that makes a change writes the entry,
 * `hakmemctl history` shows it, `hakmemctl undo` takes the change back.
 *
 * For hakmemctl and hakmemd. One command is one change, for any number of tunables and processes;
 * its entries share an id. hakmemd also writes entries for changes that it only observes, with the
 * same message id and names of fields but without a change's id. Without libsystemd, or where no
 * journal runs, no entry is written, which is no error.
 */
#ifndef HAK_CHANGES_H
#define HAK_CHANGES_H

#include <json-c/json.h>

#define HAK_MESSAGE_TUNABLE "2ec758b08de447379b7fcf0bc7d5e3c8"

/* Each entry has OBJECT_PID= and these fields. */
#define HAK_FIELD_START	  "HAKMEM_START" /* of the process, in ticks since boot */
#define HAK_FIELD_UNIT	  "HAKMEM_UNIT"
#define HAK_FIELD_COMMAND "HAKMEM_COMMAND"
#define HAK_FIELD_TUNABLE "HAKMEM_TUNABLE"
#define HAK_FIELD_OLD	  "HAKMEM_OLD" /* in force before the change, as text */
#define HAK_FIELD_NEW	  "HAKMEM_NEW"
#define HAK_FIELD_UNTIL	  "HAKMEM_UNTIL"  /* deadline of NEW, CLOCK_REALTIME in us; absent: none */
#define HAK_FIELD_RESULT  "HAKMEM_RESULT" /* "pending": NEW is not in force yet */
#define HAK_FIELD_WHO	  "HAKMEM_WHO"
#define HAK_FIELD_WHY	  "HAKMEM_WHY"
/* The writer that the process names, unverified; the entry then has no WHO. */
#define HAK_FIELD_CLAIMED_WHO "HAKMEM_CLAIMED_WHO"
#define HAK_FIELD_RULE	      "HAKMEM_RULE"
/*
 * These fields belong to a change of the admin layer. A layer that is not set has no value, so its
 * field is absent.
 */
#define HAK_FIELD_CHANGE      "HAKMEM_CHANGE" /* its id */
#define HAK_FIELD_LAYER_OLD   "HAKMEM_LAYER_OLD"
#define HAK_FIELD_LAYER_UNTIL "HAKMEM_LAYER_UNTIL" /* deadline of the old value, boottime ns */
#define HAK_FIELD_LAYER_NEW   "HAKMEM_LAYER_NEW"

#define HAK_CHANGE_ID_BYTES 13
void hak_change_id(char ret[HAK_CHANGE_ID_BYTES]); /* makes a new id */

/*
 * Writes entries for the rows of an answer to hak_request_change() that changed something in the
 * process of `procfd`. `who` and `why` are for people. At most `max` rows are written; if more
 * changed, one entry gives their number. Returns how many entries were written.
 */
unsigned hak_changes_journal(struct json_object *rows, int procfd, const char *id, const char *who,
			     const char *why, unsigned max);

#endif
