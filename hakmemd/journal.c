/* SPDX-License-Identifier: MIT */
/*
 * Writes to the journal or to standard error, see journal.h. No call waits for the journal: if its
 * socket is full, the message is lost, as with all functions of libsystemd.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "control/cgroup.h"
#include "control/escape.h"
#include "control/segment.h"
#include "hakmemd/journal.h"

#define MESSAGE_BYTES 1024
#define FIELD_BYTES   1024
#define FIELDS_MAX    24

#define TOLD_PLACES 1024u /* for accounts; a power of two */
#define TOLD_NS	    60000000000u

static int highest = LOG_INFO;

/* What was reported about the processes of an account. Accounts share a place by a hash with a
 * secret. */
static struct told {
	uint64_t since_ns;
	unsigned n;
	bool full; /* the limit was reached, and that was reported */
} told[TOLD_PLACES];

void hak_log_level(int level)
{
	highest = level;
}

/* $JOURNAL_STREAM has the device and the inode of the standard error that the journal reads. */
static bool to_journal(void)
{
	static int known = -1;
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (known < 0)
		known = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
			fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
	return known;
}

/* FIELD=value, escaped. */
static void fill(struct iovec *iov, char *buf, const char *name, const char *value)
{
	size_t n = (size_t)snprintf(buf, FIELD_BYTES, "%s=", name);

	hak_escape(value, buf + n, FIELD_BYTES - n);
	*iov = (struct iovec){ buf, strlen(buf) };
}

static void send_journal(int level, const char *message_id, const struct hak_field *fields,
			 size_t n, const char *text)
{
	char(*buf)[FIELD_BYTES] = malloc(FIELDS_MAX * sizeof(*buf));
	char message[MESSAGE_BYTES + 16], priority[16];
	struct iovec iov[FIELDS_MAX + 2];
	int used = 0, bufs = 0;

	if (!buf)
		return;
	snprintf(message, sizeof(message), "MESSAGE=%s", text);
	snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
	iov[used++] = (struct iovec){ message, strlen(message) };
	iov[used++] = (struct iovec){ priority, strlen(priority) };
	if (message_id)
		fill(&iov[used++], buf[bufs++], "MESSAGE_ID", message_id);
	for (size_t i = 0; i < n && bufs < FIELDS_MAX; i++)
		if (fields[i].value)
			fill(&iov[used++], buf[bufs++], fields[i].name, fields[i].value);
	sd_journal_sendv(iov, used);
	free(buf);
}

__attribute__((format(printf, 5, 0))) static void write_entry(int level, const char *message_id,
							      const struct hak_field *fields,
							      size_t n, const char *format,
							      va_list args)
{
	char raw[MESSAGE_BYTES], text[MESSAGE_BYTES];

	if (level > highest)
		return;
	vsnprintf(raw, sizeof(raw), format, args);
	hak_escape(raw, text, sizeof(text));
	if (to_journal())
		send_journal(level, message_id, fields, n, text);
	else
		fprintf(stderr, "hakmemd: %s\n", text);
}

void hak_log(int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_entry(level, NULL, NULL, 0, format, args);
	va_end(args);
}

int hak_log_error(int error, const char *what)
{
	hak_log(LOG_ERR, "%s: %s", what, strerror(-error));
	return error;
}

void hak_event(int level, const char *message_id, const struct hak_field *fields, size_t n,
	       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_entry(level, message_id, fields, n, format, args);
	va_end(args);
}

/* -- limits on messages ------------------------------------------------------------------------ */
/* For accounts other than root. A minute begins with the first entry after the previous minute. */
static struct told *told_of(uid_t account)
{
	static uint32_t secret;
	uint64_t now = hak_monotonic_ns();
	struct told *t;

	while (!secret)
		if (getrandom(&secret, sizeof(secret), 0) < 0)
			secret = 1;
	t = &told[hak_account_place(account, secret, TOLD_PLACES)];
	if (!t->since_ns || now - t->since_ns > TOLD_NS)
		*t = (struct told){ .since_ns = now };
	return t;
}

unsigned hak_told_left(uid_t account)
{
	return account ? HAK_TOLD_OF_ACCOUNT - told_of(account)->n : UINT_MAX;
}

void hak_told_add(uid_t account, unsigned n)
{
	unsigned left = hak_told_left(account);

	if (account)
		told_of(account)->n += n < left ? n : left;
}

bool hak_may_tell(uid_t account)
{
	struct told *t = account ? told_of(account) : NULL;

	if (!t || t->n++ < HAK_TOLD_OF_ACCOUNT)
		return true;
	t->n = HAK_TOLD_OF_ACCOUNT;
	if (!t->full)
		hak_log(LOG_NOTICE,
			"more than %u messages of the processes of user %u in a minute: "
			"the rest is not written",
			HAK_TOLD_OF_ACCOUNT, (unsigned)account);
	t->full = true;
	return false;
}
