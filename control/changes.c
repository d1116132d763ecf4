/* SPDX-License-Identifier: MIT */
/*
 * Changes as entries of the journal, see changes.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "control/changes.h"
#include "control/escape.h"
#include "control/identity.h"
#include "control/json.h"

void hak_change_id(char ret[HAK_CHANGE_ID_BYTES])
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != (ssize_t)sizeof(id))
		id = (uint64_t)time(NULL) << 20 | (uint64_t)getpid();
	snprintf(ret, HAK_CHANGE_ID_BYTES, "%012" PRIx64, id & 0xffffffffffff);
}

#if HAK_SYSTEMD
#include <systemd/sd-journal.h>

#define FIELDS_MAX 20

struct entry {
	struct iovec field[FIELDS_MAX];
	int n;
};

/* Adds a field, escaped; with NULL the field is left out. */
static void add(struct entry *e, const char *name, const char *value)
{
	char *text, *escaped;

	if (!value || e->n == FIELDS_MAX)
		return;
	escaped = malloc(4 * strlen(value) + 1);
	if (!escaped)
		return;
	hak_escape(value, escaped, 4 * strlen(value) + 1);
	if (asprintf(&text, "%s=%s", name, escaped) < 0)
		text = NULL;
	free(escaped);
	if (!text)
		return;
	e->field[e->n++] = (struct iovec){ text, strlen(text) };
}

static void add_number(struct entry *e, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	add(e, name, text);
}

static bool changed(struct json_object *row)
{
	static const char *const results[] = { "applied", "clamped", "pending" };
	const char *result = hak_json_get_text(row, "result");

	if (!hak_json_get_text(row, "name"))
		return false; /* a row of a purge */
	for (size_t i = 0; result && i < sizeof(results) / sizeof(results[0]); i++)
		if (strcmp(result, results[i]) == 0)
			return true;
	return false;
}

static void add_identity(struct entry *e, int procfd, pid_t pid)
{
	struct hak_identity id;

	if (hak_identity_read(procfd, pid, &id) < 0)
		return;
	add_number(e, HAK_FIELD_START, id.start_ticks);
	add(e, HAK_FIELD_UNIT, id.unit[0] ? id.unit : NULL);
}

/* Adds the fields that all entries have. */
static void begin(struct entry *e, char *message, int procfd, pid_t pid)
{
	e->n = 0;
	add(e, "MESSAGE", message);
	free(message);
	add(e, "MESSAGE_ID", HAK_MESSAGE_TUNABLE);
	add(e, "PRIORITY", "6");
	add_number(e, "OBJECT_PID", (uint64_t)pid);
	add_identity(e, procfd, pid);
}

static void send(struct entry *e)
{
	sd_journal_sendv(e->field, e->n);
	for (int i = 0; i < e->n; i++)
		free(e->field[i].iov_base);
}

static void send_row(struct json_object *row, int procfd, const char *id, const char *who,
		     const char *why)
{
	const char *name = hak_json_get_text(row, "name"), *comm = hak_json_get_text(row, "comm");
	const char *asked = hak_json_get_text(row, "asked_text");
	const char *result = hak_json_get_text(row, "result");
	const char *before = hak_json_get_text(row, "layer_before");
	uint64_t until = hak_json_get(row, "layer_before_until_ns");
	uint64_t left_ns = hak_json_get(row, "expires_ns");
	pid_t pid = (pid_t)hak_json_get(row, "pid");
	struct entry e;
	char *message;

	if (asprintf(&message, "process %d (%s): %s: %s -> %s (%s)", (int)pid, comm, name,
		     before ? before : "not set", asked ? asked : "not set", who) < 0)
		return;
	begin(&e, message, procfd, pid);
	add(&e, HAK_FIELD_COMMAND, comm);
	add(&e, HAK_FIELD_TUNABLE, name);
	add(&e, HAK_FIELD_OLD, hak_json_get_text(row, "before"));
	add(&e, HAK_FIELD_NEW,
	    strcmp(result, "pending") == 0 ? asked : hak_json_get_text(row, "in_force_text"));
	if (left_ns)
		add_number(&e, HAK_FIELD_UNTIL, hak_realtime_us() + left_ns / 1000);
	add(&e, HAK_FIELD_RESULT, result);
	add(&e, HAK_FIELD_WHO, who);
	add(&e, HAK_FIELD_WHY, why);
	add(&e, HAK_FIELD_CHANGE, id);
	add(&e, HAK_FIELD_LAYER_OLD, before);
	if (until)
		add_number(&e, HAK_FIELD_LAYER_UNTIL, until);
	add(&e, HAK_FIELD_LAYER_NEW, asked);
	send(&e);
}

/* Sends one entry for the changes that have none of their own. */
static void send_rest(struct json_object *row, unsigned n, int procfd, const char *id,
		      const char *who)
{
	pid_t pid = (pid_t)hak_json_get(row, "pid");
	struct entry e;
	char *message;

	if (asprintf(&message, "process %d: %u more changes by one call (%s)", (int)pid, n, who) <
	    0)
		return;
	begin(&e, message, procfd, pid);
	add(&e, HAK_FIELD_WHO, who);
	add(&e, HAK_FIELD_CHANGE, id);
	send(&e);
}

unsigned hak_changes_journal(struct json_object *rows, int procfd, const char *id, const char *who,
			     const char *why, unsigned max)
{
	struct json_object *last = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!changed(row))
			continue;
		if (n < max)
			send_row(row, procfd, id, who, why);
		last = row;
		n++;
	}
	if (n <= max)
		return n;
	send_rest(last, n - max, procfd, id, who);
	return max + 1;
}
#else
unsigned hak_changes_journal(struct json_object *rows, int procfd, const char *id, const char *who,
			     const char *why, unsigned max)
{
	return 0;
}
#endif
