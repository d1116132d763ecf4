/* SPDX-License-Identifier: MIT */
/*
 * Reading the journal's entries on changes of tunables (control/changes.h), for history and undo.
 *
 * An entry is a stranger's word, but for the fields that begin with an underscore, which are the
 * journal's: anybody may write HAKMEM_CHANGE=. So `uid` is that of the writer, and `trusted` says
 * that it was root or hakmemd.
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
	uid_t uid;	      /* of who wrote the entry */
	bool trusted;
	/* "" where the entry has no such field; unescaped. */
	char change[HAK_CHANGE_ID_BYTES], unit[256], command[64], tunable[64];
	char old[HAK_VALUE_TEXT], new[HAK_VALUE_TEXT];
	char result[16], who[160], why[160], rule[256];
	bool layer_old_set, layer_new_set;
	char layer_old[HAK_VALUE_TEXT], layer_new[HAK_VALUE_TEXT];
	uint64_t layer_until_ns;
};

/*
 * Calls `see` for each entry, the oldest first, until it answers non-zero, which is returned.
 * `change`: only those of that id; NULL: all. 0 at the end, or -errno with a sentence.
 */
int ctl_each_entry(const char *change, int (*see)(const struct ctl_entry *e, void *arg), void *arg,
		   char why[HAK_WHY_TEXT]);

#endif
