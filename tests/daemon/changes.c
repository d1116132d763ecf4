/* SPDX-License-Identifier: MIT */
/*
 * control/changes.c with a journal of the test's own: entries are about the process that is open,
 * whichever process has its number now; beyond a limit one entry stands for all others.
 */
#include <fcntl.h>

#include "control/changes.c"
#include "tests/check.h"

#if HAK_SYSTEMD
static char entries[16][4096];
static unsigned entries_n;

int sd_journal_sendv_with_location(const char *file, const char *line, const char *function,
				   const struct iovec *field, int n)
{
	char *to = entries[entries_n++ % 16];

	for (int i = 0; i < n; i++) {
		memcpy(to, field[i].iov_base, field[i].iov_len);
		to += field[i].iov_len;
		*to++ = '\n';
	}
	*to = '\0';
	return 0;
}

static struct json_object *rows_of(unsigned n)
{
	struct json_object *rows = json_object_new_array();

	while (n--) {
		struct json_object *row = json_object_new_object();

		hak_json_number(row, "pid", 1);
		hak_json_text(row, "comm", "test");
		hak_json_text(row, "name", "a.b");
		hak_json_text(row, "result", n % 2 ? "applied" : "failed");
		hak_json_text(row, "in_force_text", "1");
		json_object_array_add(rows, row);
	}
	return rows;
}

/* The deadline is in the journal as a moment, because the clock of the process may be another. */
static void deadlines_are_moments(void)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct json_object *rows = rows_of(2);
	uint64_t before = hak_realtime_us(), until;
	const char *field;

	hak_json_number(json_object_array_get_idx(rows, 0), "expires_ns", 3600000000000);
	entries_n = 0;
	EXPECT(hak_changes_journal(rows, self, "id", "user 1", "why", 5) == 1, "no entry");
	field = strstr(entries[0], "\n" HAK_FIELD_UNTIL "=");
	CHECK(field, "no deadline: %s", entries[0]);
	until = strtoull(strchr(field, '=') + 1, NULL, 10);
	EXPECT(until >= before + 3600000000 && until <= hak_realtime_us() + 3600000000,
	       "until %" PRIu64 ", not an hour after %" PRIu64, until, before);
	hak_json_null(json_object_array_get_idx(rows, 0), "expires_ns");
	entries_n = 0;
	hak_changes_journal(rows, self, "id", "user 1", "why", 5);
	EXPECT(entries_n == 1 && !strstr(entries[0], HAK_FIELD_UNTIL), "%s", entries[0]);
	json_object_put(rows);
	close(self);
}

static void entries_are_bounded(void)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct json_object *rows = rows_of(10);
	char start[64];
	uint64_t ticks;

	EXPECT(hak_start_ticks(self, &ticks) == 0, "our start");
	snprintf(start, sizeof(start), "\n" HAK_FIELD_START "=%" PRIu64 "\n", ticks);
	EXPECT(hak_changes_journal(rows, self, "id", "user 1", "why", 5) == 5 && entries_n == 5,
	       "%u entries of five", entries_n);
	EXPECT(strstr(entries[0], start) && strstr(entries[0], "\nHAKMEM_TUNABLE=a.b\n"),
	       "not of the process: %s", entries[0]);
	entries_n = 0;
	EXPECT(hak_changes_journal(rows, self, "id", "user 1", "why", 2) == 3 && entries_n == 3,
	       "%u entries, not two and one", entries_n);
	EXPECT(strstr(entries[2], "3 more changes") && strstr(entries[2], start) &&
		       !strstr(entries[2], "HAKMEM_TUNABLE"),
	       "the last one is %s", entries[2]);
	entries_n = 0;
	EXPECT(hak_changes_journal(rows, self, "id", "user 1", "why", 0) == 1 && entries_n == 1,
	       "%u entries, not one", entries_n);
	json_object_put(rows);
}

static const struct tcase cases[] = {
	{ "entries_are_bounded", entries_are_bounded },
	{ "deadlines_are_moments", deadlines_are_moments },
};

CASES(cases)
#else
int main(void)
{
	return skip_all("without libsystemd there is no journal");
}
#endif
