/* SPDX-License-Identifier: MIT */
/*
 * The state that survives a restart, besides the sums of the metrics. It is text with one record a
 * line. Words are separated by tabs and escaped:
 *	returned BYTES
 *	policy NAME				in force
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/escape.h"
#include "hakmemd/journal.h"
#include "hakmemd/state.h"
#include "hakmemd/store.h"

#define STORE_NAME "hakmem-state"

/* -- text -------------------------------------------------------------------------------------- */
static void put_word(FILE *f, const char *word)
{
	char shown[4 * HAK_CGROUP_BYTES];

	hak_escape(word, shown, sizeof(shown));
	fprintf(f, "\t%s", shown);
}

static void unescape(char *text)
{
	char *to = text;
	unsigned byte;

	for (; *text; to++) {
		if (text[0] == '\\' && text[1] == '\\') {
			*to = '\\';
			text += 2;
		} else if (sscanf(text, "\\x%2x", &byte) == 1) {
			*to = (char)byte;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

static void write_text(FILE *to, void *arg)
{
	const struct hak_manager *m = arg;

	fprintf(to, "returned\t%" PRIu64 "\n", m->returned_bytes);
	for (size_t i = 0; i < m->policies->n; i++) {
		fputs("policy", to);
		put_word(to, m->policies->policy[i]->name);
		fputc('\n', to);
	}
}

/* -- loading ----------------------------------------------------------------------------------- */
static void take_policy(struct hak_manager *m, char *name)
{
	char shown[4 * HAK_PATH_BYTES];

	if (!name)
		return;
	unescape(name);
	for (size_t i = 0; i < m->policies->n; i++)
		if (strcmp(m->policies->policy[i]->name, name) == 0)
			return;
	hak_escape(name, shown, sizeof(shown));
	hak_log(LOG_NOTICE,
		"policy %s was removed while hakmemd did not run; its values are withdrawn", shown);
}

static void take_text(struct hak_manager *m, char *text)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		char *kind = strsep(&line, "\t");

		if (!line)
			continue;
		if (strcmp(kind, "returned") == 0)
			m->returned_bytes += strtoull(line, NULL, 10);
		else if (strcmp(kind, "policy") == 0)
			take_policy(m, line);
	}
}

/* -- life -------------------------------------------------------------------------------------- */
int hak_state_start(struct hak_manager *m)
{
	char *text;
	int r = hak_store_open(STORE_NAME, &m->store, &text);

	if (r < 0)
		return r;
	if (text)
		take_text(m, text);
	free(text);
	m->state_stale = true;
	return 0;
}

void hak_state_save(struct hak_manager *m)
{
	if (!m->store || !m->state_stale)
		return;
	m->state_stale = hak_store_save(m->store, write_text, m) < 0;
}

void hak_state_stop(struct hak_manager *m)
{
	m->state_stale = true;
	hak_state_save(m);
	hak_store_close(m->store);
	m->store = NULL;
}
