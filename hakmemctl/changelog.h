/* SPDX-License-Identifier: MIT */
/*
 * Reads the entries of the journal on changes of tunables (control/changes.h), for history and
 * undo.
 *
 * Any user may write HAKMEM_CHANGE= into the journal. Only the fields that begin with an underscore
 * come from the journal itself. `uid` is therefore the writer of the entry, and `trusted` means
 * that the writer was root or hakmemd.
 */
#ifndef HAK_CTL_CHANGELOG_H
#define HAK_CTL_CHANGELOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/changes.h"
#include "control/value.h"

struct ctl_entry {
	uint64_t time_us; /* CLOCK_REALTIME */
	pid_t pid;
	uint64_t start_ticks; /* 0: unknown */
	uid_t uid;	      /* the writer of the entry */
	bool trusted;
	/* "" if the entry has no such field; not escaped. */
	char change[HAK_CHANGE_ID_BYTES], unit[256], command[64], tunable[64];
	char old[HAK_VALUE_TEXT], new[HAK_VALUE_TEXT];
	char result[16], who[160], why[160], rule[256];
	bool layer_old_set, layer_new_set;
	char layer_old[HAK_VALUE_TEXT], layer_new[HAK_VALUE_TEXT];
	uint64_t layer_until_ns;
	uint64_t until_us; /* deadline of `new`, CLOCK_REALTIME; 0: none */
};

/*
 * Calls `see` for each entry, the oldest first, until it returns non-zero, which is then returned.
 * `change`: only entries with this id; NULL: all. Returns 0 at the end, or -errno with a sentence.
 */
int ctl_each_entry(const char *change, int (*see)(const struct ctl_entry *e, void *arg), void *arg,
		   char why[HAK_WHY_TEXT]);

/*
 * What ctl_each_entry() could not see: -EACCES, the entries that this user may not read; -ENOENT,
 * changes that are made now, because no journal is written. Both with a sentence. 0: nothing.
 */
int ctl_journal_lacks(char why[HAK_WHY_TEXT]);

/* Returns 0 if there is a journal, it can be read, and ctl_journal_lacks() finds nothing; otherwise
 * -errno with a sentence. */
int ctl_journal_check(char why[HAK_WHY_TEXT]);

#endif
