/* SPDX-License-Identifier: MIT */
/*
 * An entry in the journal about one process: the fields that name the process and the policy, the
 * fields of the entry, and a text that begins with the process. Counted for the account of the
 * process (journal.h), and left out beyond its limit.
 */
#ifndef HAK_ENTRY_H
#define HAK_ENTRY_H

#include "hakmemd/journal.h"
#include "hakmemd/process.h"

#define HAK_ENTRY_FIELDS 4

struct hak_entry {
	int level;
	const char *message_id;
	const struct hak_policy *policy; /* NULL: none */
	struct hak_field field[HAK_ENTRY_FIELDS];
};

void hak_entry_write(const struct hak_process *p, const struct hak_entry *e, const char *text);

#endif
