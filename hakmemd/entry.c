/* SPDX-License-Identifier: MIT */
/* An entry in the journal about one process, see entry.h. */
#include <stdio.h>
#include <string.h>

#include "control/escape.h"
#include "hakmemd/entry.h"

void hak_entry_write(const struct hak_process *p, const struct hak_entry *e, const char *text)
{
	char pid[16], comm[4 * HAK_COMM_BYTES];
	struct hak_field fields[4 + HAK_ENTRY_FIELDS] = {
		{ "OBJECT_PID", pid },
		{ "HAKMEM_UNIT", p->id.unit[0] ? p->id.unit : NULL },
		{ "HAKMEM_COMMAND", p->id.comm },
		{ "HAKMEM_RULE", e->policy ? e->policy->name : NULL },
	};

	if (!hak_may_tell(p->id.account))
		return;
	memcpy(fields + 4, e->field, sizeof(e->field));
	snprintf(pid, sizeof(pid), "%d", (int)p->id.pid);
	hak_escape(p->id.comm, comm, sizeof(comm));
	hak_event(e->level, e->message_id, fields, sizeof(fields) / sizeof(fields[0]),
		  "process %d (%s): %s", (int)p->id.pid, comm, text);
}
